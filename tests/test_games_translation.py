"""Games of two sides: their losses as their papers write them, and that what is run together equals what is run apart."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

from cardigan.apps.model import Model, load
from cardigan.data import Batch
from cardigan.data.palette import shown
from cardigan.errors import RecipeError, RunError
from cardigan.games import UNIT, Adaptation, CycleGAN, Pix2Pix
from cardigan.games.adaptation import divergence
from cardigan.games.pool import ImagePool
from cardigan.training.recipe import build_recipe, merge
from small import TRANSLATORS, play, small_recipe, small_sides, small_splits, small_trainer, weights

EXACT = {"rtol": 1e-8, "atol": 1e-10}


def build(kind: str, paired: bool | None = None, **changes: Any) -> Any:
    torch.manual_seed(0)
    splits = small_sides(kind == "pix2pix" if paired is None else paired)
    return small_recipe(kind, game=changes).game.build(splits.train.spec).double()


def batch_of(n: int = 4, paired: bool = True) -> Batch:
    return Batch(small_sides(paired).train.images(torch.arange(n)).double())


def moves(game: Any, batch: Batch, seed: int = 1) -> list:
    torch.manual_seed(seed)
    return list(game.round(iter(lambda: batch, None)))


def gradients(loss: Tensor, player: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(player.parameters()), retain_graph=True))


def assert_equal_gradients(first: Tensor, second: Tensor, player: nn.Module) -> None:
    torch.testing.assert_close(first, second, **EXACT)
    for a, b in zip(gradients(first, player), gradients(second, player), strict=True):
        torch.testing.assert_close(a, b, **EXACT)


def bce(scores: Tensor, real: bool) -> Tensor:
    return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, float(real)))


class TestPix2Pix:
    @pytest.mark.parametrize("conditional", [True, False])
    @pytest.mark.parametrize("normalisation", ["batch", "instance"])
    def test_the_losses_are_the_papers(self, conditional: bool, normalisation: str) -> None:
        game: Pix2Pix = build(
            "pix2pix",
            conditional=conditional,
            generator={"dropout": 0.0},
            discriminator={"normalisation": normalisation},
            l1=7.0,
        )
        batch = batch_of()
        a, b = game.sides(batch.images)
        fake = game.generator(a)
        seen = (lambda x: torch.cat([a, x], 1)) if conditional else (lambda x: x)
        critic = (bce(game.discriminator(seen(b)), True) + bce(game.discriminator(seen(fake.detach())), False)) / 2
        painter = bce(game.discriminator(seen(fake)), True) + 7.0 * (fake - b).abs().mean()
        first, second = moves(game, batch)
        assert_equal_gradients(first.loss, critic, game.discriminator)
        assert_equal_gradients(second.loss, painter, game.generator)

    def test_each_term_can_be_left_out(self) -> None:
        only_l1 = moves(build("pix2pix", adversarial=0.0, l1=1.0), batch_of())
        assert len(only_l1) == 1
        torch.testing.assert_close(only_l1[0].loss, only_l1[0].log["l1"])
        only_gan = moves(build("pix2pix", l1=0.0), batch_of())
        assert only_gan[1].log["l1"] > only_gan[1].loss  # an image of noise is far from the truth

    def test_slopes_are_those_of_a_pairs_mean_score(self) -> None:
        game: Pix2Pix = build("pix2pix", objective="relativistic", r1=3.0, discriminator={"normalisation": "none"})
        batch = batch_of(2)
        a, b = game.sides(batch.images)
        first = moves(game, batch)[0]
        slopes = []
        for i in range(2):
            x = b[i : i + 1].clone().requires_grad_()
            score = game.discriminator(torch.cat([a[i : i + 1], x], 1)).mean()
            slopes.append(torch.autograd.grad(score, x)[0].square().sum())
        torch.testing.assert_close(first.log["r1"], 0.5 * torch.stack(slopes).mean(), rtol=1e-5, atol=1e-9)

    def test_the_discriminator_is_run_once_a_move_where_it_normalises_no_batch(self) -> None:
        for normalisation, calls in (("none", 2), ("batch", 3)):
            game = build("pix2pix", discriminator={"normalisation": normalisation})
            seen: list[int] = []
            game.discriminator.register_forward_hook(lambda *_, seen=seen: seen.append(1))
            moves(game, batch_of())
            assert len(seen) == calls


class TestCycleGAN:
    @pytest.mark.parametrize("cycles", ["both", "forward", "backward"])
    def test_run_together_equals_run_apart(self, cycles: str) -> None:
        """Every network on every batch by itself, as the paper writes it, in float64 to 1e-8."""
        game: CycleGAN = build("cyclegan", paired=False, cycles=cycles, pool=0)
        batch = batch_of(paired=False)
        a, b = game.sides(batch.images)
        to_b, to_a = game.generators["b"], game.generators["a"]
        fake_b, fake_a = to_b(a), to_a(b)
        ways = {"forward": (to_a(fake_b) - a).abs().mean(), "backward": (to_b(fake_a) - b).abs().mean()}
        cycle = sum(ways.values()) if cycles == "both" else ways[cycles]
        identity = (to_a(a) - a).abs().mean() + (to_b(b) - b).abs().mean()
        real, made = {"a": a, "b": b}, {"a": fake_a, "b": fake_b}
        squares = lambda d, x, goal: (game.discriminators[d](x) - goal).square().mean()  # noqa: E731
        # The objective carries a half on both sides (Mao et al. 2017), which Adam does not see.
        adversarial = sum(squares(d, made[d], 1) for d in "ab") / 2
        critics = sum(squares(d, real[d], 1) + squares(d, made[d].detach(), 0) for d in "ab") / 2
        first, second = moves(game, batch)
        assert_equal_gradients(first.loss, adversarial + 10 * cycle + 10 * 0.5 * identity, game.generators)
        assert_equal_gradients(second.loss, critics, game.discriminators)

    def test_four_passes_of_translators_and_four_of_discriminators(self) -> None:
        game = build("cyclegan", paired=False)
        seen: Counter[str] = Counter()
        for kind in ("generators", "discriminators"):
            for network in getattr(game, kind).values():
                network.register_forward_hook(lambda *_, kind=kind: seen.update([kind]))
        moves(game, batch_of(paired=False))
        assert seen == {"generators": 4, "discriminators": 4}

    def test_a_cycle_alone_has_no_discriminators(self) -> None:
        assert len(moves(build("cyclegan", paired=False, adversarial=0.0), batch_of(paired=False))) == 1

    def test_identity_compares_images_of_as_many_channels(self) -> None:
        spec = small_sides(False, (1, 3)).train.spec
        with pytest.raises(RecipeError, match=r"game\.identity=0"):
            small_recipe("cyclegan").game.build(spec)
        game = small_recipe("cyclegan", game={"identity": 0.0}).game.build(spec)
        batch = Batch(small_sides(False, (1, 3)).train.images(torch.arange(2)))
        assert all(move.loss.isfinite() for move in moves(game, batch))


class TestPool:
    def image(self, *numbers: int) -> Tensor:
        return torch.tensor(numbers, dtype=torch.float32).view(-1, 1, 1, 1)

    def test_while_it_fills_images_come_back_as_they_are(self) -> None:
        pool = ImagePool(5, (1, 1, 1))
        for i in range(5):
            assert torch.equal(pool.exchanged(self.image(i)), self.image(i))
        assert pool.images.flatten().tolist() == [0, 1, 2, 3, 4]

    def test_half_of_what_comes_out_is_old_and_is_then_replaced(self) -> None:
        torch.manual_seed(0)
        pool = ImagePool(50, (1, 1, 1))
        pool.exchanged(self.image(*range(50)))
        new, stored = 0, set(range(50))
        for i in range(50, 2050):
            out = int(pool.exchanged(self.image(i)).item())
            if out == i:
                new += 1
            else:
                assert out in stored
                stored = stored - {out} | {i}
            assert {int(x) for x in pool.images.flatten()} == stored
        assert abs(new / 2000 - 0.5) < 4 * 0.5 / 2000**0.5

    def test_it_gives_no_gradient_and_can_be_left_out(self) -> None:
        images = self.image(1, 2).requires_grad_()
        assert not ImagePool(0, (1, 1, 1)).exchanged(images).requires_grad
        assert not ImagePool(2, (1, 1, 1)).exchanged(images).requires_grad

    def test_it_belongs_to_the_checkpoint(self, tmp_path: Path) -> None:
        trainer = play(small_trainer(tmp_path, "cyclegan"), 2)
        stored = {key: value for key, value in trainer.game.state_dict().items() if "pools" in key}
        assert stored["pools.0.count"] == 20
        assert stored["pools.0.images"].abs().sum() > 0


class TestUNIT:
    def test_the_deepest_layers_are_the_same_parameters(self) -> None:
        game: UNIT = build("unit", paired=False)
        b = batch_of(paired=False).images[:, 2:]
        before = game.translator.encode(b, 1)
        with torch.no_grad():
            for parameter in game.translator.enter[0].parameters():
                parameter.copy_(torch.randn_like(parameter))
        assert not torch.allclose(game.translator.encode(b, 1), before)

    def test_the_losses_are_the_papers(self) -> None:
        game: UNIT = build("unit", paired=False)
        game.eval()  # without the code's noise all is a plain function
        batch = batch_of(paired=False)
        a, b = game.sides(batch.images)
        code_a, code_b = game.translator.encode(a, 0), game.translator.encode(b, 1)
        decode, encode, d = game.translator.decode, game.translator.encode, game.discriminator
        fake_b, fake_a = decode(code_a, 1), decode(code_b, 0)
        again_a, again_b = encode(fake_b, 1), encode(fake_a, 0)
        painter = (
            10 * (bce(d(fake_a, 0), True) + bce(d(fake_b, 1), True))
            + 100 * ((decode(code_a, 0) - a).abs().mean() + (decode(code_b, 1) - b).abs().mean())
            + 0.1 * (code_a.square().mean() + code_b.square().mean()) / 2
            + 100 * ((decode(again_a, 0) - a).abs().mean() + (decode(again_b, 1) - b).abs().mean())
            + 0.1 * (again_a.square().mean() + again_b.square().mean()) / 2
        )
        critic = sum(
            bce(d(real, k), True) + bce(d(fake.detach(), k), False)
            for k, real, fake in ((0, a, fake_a), (1, b, fake_b))
        )
        first, second = moves(game, batch)
        assert_equal_gradients(first.loss, critic / 2, game.discriminator)
        assert_equal_gradients(second.loss, painter, game.translator)

    def test_the_code_is_noisy_in_training_only(self) -> None:
        game: UNIT = build("unit", paired=False)
        a = batch_of(paired=False).images[:, :2]
        assert not torch.equal(game.translator(a, 0, 1), game.translator(a, 0, 1))
        game.eval()
        assert torch.equal(game.translate(a, 1), game.translate(a, 1))


@pytest.mark.parametrize("kind", TRANSLATORS)
class TestAll:
    def test_every_move_has_a_player_and_a_finite_scalar(self, kind: str) -> None:
        game = build(kind)
        for move in moves(game, batch_of(paired=kind == "pix2pix")):
            assert any(move.player is getattr(game, name) for name in game.players)
            assert move.loss.shape == ()
            assert torch.isfinite(move.loss)

    def test_preview_and_translate_give_the_same_picture(self, kind: str, tmp_path: Path) -> None:
        trainer = play(small_trainer(tmp_path, kind), 3)
        trainer.deploy()
        model, n = load(tmp_path, "cpu"), 4
        preview = trainer.preview(n)
        columns = 3 if kind == "pix2pix" else 4
        images = trainer.batch_of(trainer.splits.test, n).images[:, :2]
        made = shown(model.spec.sides[1], model.translate(images))
        torch.testing.assert_close(preview[1::columns], made)

    def test_a_translation_does_not_depend_on_its_batch(self, kind: str, tmp_path: Path) -> None:
        trainer = play(small_trainer(tmp_path, kind), 3)
        model = Model(trainer.model_config(), trainer.game.eval(), "cpu")
        images = trainer.splits.test.images(torch.arange(5))[:, :2]
        alone = torch.cat([model.translate(image[None], seeds=[i]) for i, image in enumerate(images)])
        torch.testing.assert_close(model.translate(images), alone, rtol=1e-4, atol=1e-5)

    def test_one_kind_of_image_is_refused(self, kind: str) -> None:
        with pytest.raises(RecipeError, match=r"translat|pairs"):
            small_recipe(kind).game.build(small_splits().train.spec)


@pytest.mark.parametrize("kind", ["pix2pix", "cyclegan"])
def test_micro_batches_add_up(kind: str, tmp_path: Path) -> None:
    """But for dropout, noise of a code and statistics of a batch, which are drawn and taken of each part."""
    plain = {
        "pix2pix": {
            "generator": {"dropout": 0.0, "normalisation": "instance"},
            "discriminator": {"normalisation": "none"},
        },
        "cyclegan": {"pool": 0},
    }
    changes = {
        "game": plain[kind],
        "optimiser": {n: {"name": "sgd", "lr": 0.01} for n in TRANSLATORS[kind]["optimiser"]},
    }
    whole = play(small_trainer(tmp_path / "a", kind, **changes), 1)
    parts = play(small_trainer(tmp_path / "b", kind, micro_batches=4, **changes), 1)
    for key, value in weights(whole).items():
        torch.testing.assert_close(weights(parts)[key], value, rtol=1e-3, atol=1e-5)


def test_pairs_are_needed_where_they_are_learnt_from() -> None:
    with pytest.raises(RecipeError, match="choose cyclegan"):
        small_recipe("pix2pix").game.build(small_sides(False).train.spec)


def test_a_penalty_wants_scores_that_no_batch_couples() -> None:
    with pytest.raises(RecipeError, match="normalisation=none"):
        small_recipe("pix2pix", game={"r1": 1.0}).game.build(small_sides().train.spec)


def test_what_does_not_translate_says_so(tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path / "gan", "gan")
    with pytest.raises(RunError, match="does not translate"):
        Model(trainer.model_config(), trainer.game, "cpu").translate(torch.zeros(1, 1, 8, 8))
    trainer = small_trainer(tmp_path / "pix2pix", "pix2pix")
    model = Model(trainer.model_config(), trainer.game.eval(), "cpu")
    with pytest.raises(RecipeError, match="choose b"):
        model.translate(torch.zeros(1, 2, 8, 8), to="a")
    with pytest.raises(ValueError, match="images"):
        model.translate(torch.zeros(1, 3, 8, 8))


NARROW = {"translator": {"width": 4}, "discriminator": {"width": 4}}


class TestAdaptation:
    def game(self, **changes: Any) -> Adaptation:
        torch.manual_seed(0)
        spec = small_sides(False, (1, 1), 32, labelled=True).train.spec
        table = {"recipe": "small", "batch": 8, "images": 80, "optimiser": {}, "game": {"name": "adaptation"}}
        return build_recipe(merge(table, {"game": NARROW | changes})).game.build(spec)

    def batch(self, n: int = 6) -> Batch:
        train = small_sides(False, (1, 1), 32, labelled=True).train
        return Batch(train.images(torch.arange(n)), train.labels(torch.arange(n)))

    def test_labels_of_the_first_side_teach_the_discriminator(self) -> None:
        game, batch = self.game(adversarial=0.0, matching=0.0, classification=1.0), self.batch()
        game.eval()  # without dropout
        move = moves(game, batch)[0]
        expected = F.cross_entropy(game.classify(batch.images[:, :1], 0), batch.labels)
        torch.testing.assert_close(move.loss, expected)

    def test_translations_keep_their_labels_if_so_wanted(self) -> None:
        game, batch = self.game(adversarial=0.0, matching=0.0, classification=0.0, translated=1.0), self.batch()
        game.eval()
        move = moves(game, batch)[0]
        translated = game.translate(batch.images[:, :1], 1)
        torch.testing.assert_close(move.loss, F.cross_entropy(game.classify(translated, 1), batch.labels))

    def test_the_divergence_is_that_of_two_normals(self) -> None:
        mean, deviation = torch.randn(3, 5, 1, 1), torch.rand(3, 5, 1, 1) + 0.1
        expected = kl_divergence(Normal(mean, deviation), Normal(0.0, 1.0)).flatten(1).sum(1).mean()
        torch.testing.assert_close(divergence(torch.cat([mean, deviation], 1)), expected)

    def test_it_wants_classes_and_no_pairs(self) -> None:
        with pytest.raises(RecipeError, match="classes"):
            self.game().config.build(small_sides(False, (1, 1), 32).train.spec)
        with pytest.raises(RecipeError, match="pairs"):
            self.game(objective="relativistic")
