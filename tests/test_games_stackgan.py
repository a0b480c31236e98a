"""StackGAN's game: its losses against the paper's lines, its stages, and wrong sentences that are wrong."""

from itertools import repeat
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

import cardigan
from cardigan.data.spec import Batch, DataSpec
from cardigan.errors import RecipeError
from cardigan.games import StackGAN, StackGANConfig
from cardigan.games.stackgan import mismatched
from cardigan.training.progress import Silence
from cardigan.training.session import Session
from cardigan.training.trainer import Trainer
from small import assert_same, play, settle, small_recipe, small_trainer, told_blobs, weights

LAYER = {"discriminator": {"normalisation": "layer"}}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def build(stage: int = 2, **changes: object) -> StackGAN:
    """A game in double precision, in which both ways to the same number agree to many digits."""
    game = small_recipe("stackgan", game=changes).game.build(told_blobs().train.spec)
    assert isinstance(game, StackGAN)
    game.equip(told_blobs())
    game.generator.enter(stage)
    return game.double()


def batch(game: StackGAN, n: int = 8) -> Batch:
    side = 8 if game.shrinks else 16
    images, texts = torch.rand(n, 1, side, side).double() * 2 - 1, torch.randn(n, 6).double()
    return Batch(images, torch.arange(n) % 3, texts, torch.arange(n) % 3)


def gradients(loss: Tensor, network: torch.nn.Module) -> list[Tensor]:
    return [
        torch.zeros(()) if g is None else g
        for g in torch.autograd.grad(loss, [*network.parameters()], allow_unused=True)
    ]


# ---- wrong sentences -------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(-3, 12), min_size=1, max_size=40), st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_a_wrong_sentence_is_of_another_kind(numbers: list[int], seed: int) -> None:
    kinds = torch.tensor(numbers)
    torch.manual_seed(seed)
    partners = mismatched(kinds)
    if len(set(numbers)) == 1:
        assert partners is None
        return
    assert partners is not None
    assert (kinds[partners] != kinds).all()
    most = max(map(numbers.count, numbers))
    used = torch.bincount(partners, minlength=len(numbers))
    if 2 * most <= len(numbers):
        assert (used == 1).all()
    else:
        rest = used[kinds != kinds.mode().values]
        assert rest.max() - rest.min() <= 1
    torch.manual_seed(seed)
    assert torch.equal(mismatched(kinds), partners)


def test_every_other_kind_is_as_likely_to_be_the_wrong_one() -> None:
    """Not only its neighbours: classes that lie side by side may be alike."""
    kinds = torch.arange(6).repeat_interleave(2)
    counts = torch.zeros(12, 12)
    for _ in range(3000):
        counts[torch.arange(12), mismatched(kinds)] += 1
    allowed = kinds[:, None] != kinds
    assert counts[~allowed].sum() == 0
    expected = 3000 / 10
    assert (counts[allowed] - expected).abs().max() < 5 * expected**0.5


def test_no_image_has_no_wrong_sentence() -> None:
    assert mismatched(torch.empty(0, dtype=torch.int64)) is None


# ---- losses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [1, 2])
def test_one_encoding_an_image_gives_what_three_give(stage: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With batch normalisation: scores, loss and gradients are those of three calls, and the loss is half the paper's."""
    game = build(stage)
    real, network = batch(game), game.opponent_now
    fake = torch.rand_like(real.images)
    torch.manual_seed(1)
    partners = mismatched(real.kinds)
    right, wrong, made = (
        network(images, texts)
        for images, texts in ((real.images, real.texts), (real.images, real.texts[partners]), (fake, real.texts))
    )

    def cross_entropy(scores: Tensor, goal: float) -> Tensor:
        return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, goal))

    papers = cross_entropy(right, 1.0) + 0.5 * (cross_entropy(wrong, 0.0) + cross_entropy(made, 0.0))
    encoded = []
    features = network.features
    monkeypatch.setattr(network, "features", lambda images: encoded.append(len(images)) or features(images))
    torch.manual_seed(1)
    move = game.discriminator_move(real, fake)
    assert encoded == [8, 8]
    torch.testing.assert_close(move.loss, papers / 2, rtol=1e-8, atol=1e-10)
    expected = {"real score": right, "mismatched score": wrong, "fake score": made}
    for name, scores in expected.items():
        torch.testing.assert_close(move.log[name], scores.mean(), rtol=1e-8, atol=1e-10)
    both = zip(gradients(move.loss, network), gradients(papers / 2, network), strict=True)
    for mine, theirs in both:
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-10)


def test_the_generator_is_paid_for_being_believed_and_for_a_smooth_code() -> None:
    game = build(kl=3.0)
    real = batch(game)
    *_, move = game.round(repeat(real))
    assert move.player is game.generator
    torch.manual_seed(2)
    *_, move = game.round(repeat(real))
    torch.manual_seed(2)
    latents = game.draw_latents(8, like=real.texts).double()
    images, divergence = game.generator(latents, real.texts)
    believed = F.softplus(-game.opponent_now(images, real.texts)).mean()
    torch.testing.assert_close(move.log["kl"], divergence.mean())
    torch.testing.assert_close(move.loss, believed + 3.0 * divergence.mean())


def test_relativistic_pairs_and_r1_on_matched_pairs() -> None:
    game = build(objective="relativistic", r1=2.0, r2=3.0, penalty_interval=1, **LAYER)
    real, network = batch(game), game.opponent_now
    fake = torch.rand_like(real.images)
    torch.manual_seed(1)
    partners = mismatched(real.kinds)
    torch.manual_seed(1)
    move = game.discriminator_move(real, fake)
    right, made = network(real.images, real.texts), network(fake, real.texts)
    wrong = network(real.images, real.texts[partners])

    def slopes(images: Tensor) -> Tensor:
        images = images.clone().requires_grad_()
        (slope,) = torch.autograd.grad(network(images, real.texts).sum(), images, create_graph=True)
        return slope.square().sum((1, 2, 3)).mean()

    pairs = 0.5 * F.softplus(made - right).mean() + 0.5 * F.softplus(wrong - right).mean()
    expected = pairs + 2.0 / 2 * slopes(real.images) + 3.0 / 2 * slopes(fake)
    torch.testing.assert_close(move.loss, expected, rtol=1e-8, atol=1e-10)
    for mine, theirs in zip(gradients(move.loss, network), gradients(expected, network), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-7, atol=1e-10)
    game.rounds, game.config = 1, game.config.model_copy(update={"penalty_interval": 2})
    assert "r1" not in game.discriminator_move(real, fake).log


def test_a_batch_of_one_kind_leaves_the_term_out_and_so_does_a_mismatch_of_0() -> None:
    game = build(**LAYER)
    real = batch(game)
    fake = torch.rand_like(real.images)
    plain = game.objective.discriminator(
        game.opponent_now(real.images, real.texts), game.opponent_now(fake, real.texts)
    )
    alike = Batch(real.images, real.labels, real.texts, torch.zeros(8, dtype=torch.int64))
    unaware = build(mismatch=0.0, **LAYER)
    unaware.load_state_dict(game.state_dict())
    for one, given_batch in ((game, alike), (unaware, real)):
        move = one.discriminator_move(given_batch, fake)
        torch.testing.assert_close(move.loss, plain)
        assert "mismatched score" not in move.log


@pytest.mark.parametrize("objective", ["non-saturating", "relativistic", "hinge"])
@pytest.mark.parametrize("reuse", [True, False])
def test_gradients_flow_to_the_mover_and_stage_alone(objective: str, reuse: bool, tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, "stackgan", game={"objective": objective, "reuse_fake": reuse})
    play(trainer, 5)
    assert trainer.game.stage_at(trainer.progress) == 2
    rounds = [trainer.game.round(trainer.batches.stream(5))]
    trainer.game.progress = trainer.progress
    learning = {"generator": trainer.game.generator.two, "discriminator": trainer.game.discriminator[1]}
    seen = []
    while seat := trainer.take_move(rounds):
        moved = {id(p) for p in learning[seat.name].parameters()}
        for parameter in trainer.game.parameters():
            assert (parameter.grad is not None) == (id(parameter) in moved)
        trainer.game.zero_grad(set_to_none=True)
        seen.append(seat.name)
    assert seen == ["discriminator", "generator"]


def test_noise_is_drawn_anew_each_round_and_for_each_player_if_asked(tmp_path: Path, monkeypatch) -> None:
    trainer = small_trainer(tmp_path, "stackgan", game={"reuse_fake": False})
    drawn, draw = [], trainer.game.draw_latents
    monkeypatch.setattr(trainer.game, "draw_latents", lambda *a, **k: drawn.append(draw(*a, **k)) or drawn[-1])
    play(trainer, 2)
    assert len(drawn) == 4
    assert all(not torch.equal(drawn[i], drawn[j]) for i in range(4) for j in range(i))


# ---- stages ----------------------------------------------------------------------------------------------------------


def test_phases() -> None:
    game = build(1, enlarge=2, first=0.25, rate_halvings=1)
    assert [game.phase(share).stage for share in (0.0, 0.2, 0.25, 0.9)] == [1, 1, 2, 2]
    assert [game.phase(share).halvings for share in (0.0, 0.25)] == [1, 0]
    assert [game.phase(share).rate for share in (0.0, 0.12, 0.13, 0.25, 0.6, 0.7, 1.0)] == [1, 1, 0.5, 1, 1, 0.5, 0.5]
    game.generator.enter(2)
    assert game.phase(0.0).stage == 2, "what has begun does not go back where a training is made longer"
    assert game.phase(0.0).rate == 1
    alone = build(1, stages=1)
    assert (alone.phase(0.9).stage, alone.phase(0.9).halvings, alone.milestones) == (1, 0, (0.0,))
    assert len(alone.discriminator) == 1
    assert alone.generator.two is None


def test_stage_two_leaves_stage_one_as_it_is(tmp_path: Path) -> None:
    decay = {"name": "adam", "lr": 1e-2, "weight_decay": 0.1}
    trainer = small_trainer(tmp_path, "stackgan", optimiser={"generator": decay, "discriminator": decay})
    play(trainer, 5)
    before = {key: value.clone() for key, value in trainer.game.state_dict().items()}
    trainer.validate(trainer.splits.test)  # ends in training mode
    play(trainer, 2)
    trainer.preview(4)
    play(trainer, 2)
    assert trainer.stage == 2
    changed = {key for key, value in trainer.game.state_dict().items() if not torch.equal(value, before[key])}
    assert not [key for key in changed if key.startswith(("generator.one", "discriminator.0", "text."))]
    trained = {
        key for key in before if key.startswith(("generator.two", "discriminator.1")) and "num_batches" not in key
    }
    assert trained <= changed


def test_resume_inside_stage_two(tmp_path: Path) -> None:
    whole = play(small_trainer(tmp_path / "whole", "stackgan"), 9)
    begun = play(small_trainer(tmp_path / "begun", "stackgan"), 7)
    begun.save()
    resumed = small_trainer(tmp_path / "begun", "stackgan")
    resumed.restore()
    assert (resumed.stage, resumed.game.generator.stage) == (2, 2)
    assert_same(weights(play(resumed, 2)), weights(whole))


def test_a_training_made_longer_stays_in_stage_two(tmp_path: Path) -> None:
    play(small_trainer(tmp_path, "stackgan"), 7).save()
    longer = small_trainer(tmp_path, "stackgan", images=1600)
    longer.restore()
    one = {key: value.clone() for key, value in longer.game.generator.one.state_dict().items()}
    play(longer, 1)
    assert_same(one, dict(longer.game.generator.one.state_dict()))


@pytest.mark.parametrize("parts", [2, 4])
def test_micro_batches(parts: int, tmp_path: Path) -> None:
    trainer = play(small_trainer(tmp_path, "stackgan", micro_batches=parts), 7)
    assert trainer.is_finite()
    assert trainer.stage == 2
    with pytest.raises(RecipeError, match=r"cannot be cut into micro_batches=16 of whole groups of 2"):
        small_trainer(tmp_path / "other", "stackgan", micro_batches=16)


# ---- painting --------------------------------------------------------------------------------------------------------


def trained(folder: Path, rounds: int) -> Trainer:
    trainer = play(small_trainer(folder, "stackgan"), rounds)
    trainer.deploy()
    return trainer


@pytest.mark.parametrize("rounds", [3, 8])
def test_a_picture_is_a_function_of_latent_and_sentence(rounds: int, tmp_path: Path) -> None:
    trained(tmp_path, rounds)
    game = cardigan.load(tmp_path, "cpu").game
    assert isinstance(game, StackGAN)
    assert game.generator.stage == (1 if rounds == 3 else 2)
    settle(game.generator)
    latents, texts = game.draw_latents(5), torch.randn(5, 6)
    images = game.paint(latents, texts)
    assert images.shape == (5, 1, 16, 16)
    assert torch.equal(game.paint(latents, texts), images)
    torch.testing.assert_close(game.paint(latents[2:3], texts[2:3]), images[2:3], rtol=1e-4, atol=1e-5)
    assert not torch.equal(game.paint(latents, texts + 1), images)
    assert not torch.equal(game.paint(game.draw_latents(5), texts), images)
    small, large = game.painted_in_stages(latents, texts)
    assert small.shape == (5, 1, 8, 8)
    assert torch.equal(large, images)
    if rounds == 3:
        assert torch.equal(large[:, :, ::2, 1::2], small)


def test_a_model_keeps_its_encoder_and_sentences(tmp_path: Path) -> None:
    trainer = trained(tmp_path, 8)
    model = cardigan.load(tmp_path, "cpu")
    game = model.game
    assert isinstance(game, StackGAN)
    encoder = trainer.splits.text
    assert encoder is not None
    assert_same(dict(game.text.state_dict()), dict(encoder.state_dict()))
    told = trainer.splits.train.batch(torch.arange(len(trainer.splits.train))).texts
    assert {tuple(row) for row in game.generator.sentences.tolist()} == {tuple(row) for row in told.tolist()}
    latents = model.latents_of(range(6))
    chosen = game.generator.remembered(latents)
    torch.testing.assert_close(model.sample(6), game.paint(latents, chosen))
    torch.testing.assert_close(game.decode(latents, texts=chosen), game.paint(latents, chosen))


def test_previews_are_of_the_test_images_sentences(tmp_path: Path) -> None:
    trainer = play(small_trainer(tmp_path, "stackgan", average={"half_life": 0}), 7)
    game, test = trainer.game, trainer.splits.test
    picture = trainer.preview(40)  # more than there are test images
    game.eval()
    latents = cardigan.training.trainer.generator(trainer.recipe.seed, "preview")
    latents = game.draw_latents(40, latents)
    texts = test.batch(torch.arange(32)).texts
    with torch.no_grad():
        torch.testing.assert_close(picture, game.paint(latents, texts[torch.arange(40) % 32]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rounds", [2, 7])
def test_validation_looks_at_what_the_stage_sees(rounds: int, tmp_path: Path) -> None:
    trainer = play(small_trainer(tmp_path, "stackgan"), rounds)
    values = trainer.validate(trainer.splits.test)
    assert values.keys() == {"real score", "fake score", "mismatched score", "kl"}
    batch = trainer.splits.test.batch(torch.arange(32))
    images = F.avg_pool2d(batch.images, 2) if rounds == 2 else batch.images
    trainer.game.eval()
    expected = trainer.game.opponent_now(images, batch.texts).mean().item()
    assert values["real score"] == pytest.approx(expected, abs=1e-5)


def test_a_whole_training(tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, "stackgan", log={"previews": 2, "ticks": 4})
    Session(trainer, Silence()).run()
    assert cardigan.load(tmp_path, "cpu").sample(3).shape == (3, 1, 16, 16)
    assert len(list((tmp_path / "samples").glob("*.png"))) == 2


# ---- what is refused -------------------------------------------------------------------------------------------------


TOLD = told_blobs().train.spec


@pytest.mark.parametrize(
    ("spec", "changes", "message"),
    [
        (DataSpec(channels=3, height=64, width=64), {}, r"learns from sentences: add --set data\.text=captions"),
        (TOLD.model_copy(update={"kind": "points"}), {}, "draws images, not points"),
        (TOLD, {"r1": 1.0}, r"batch normalisation couples them: add --set game\.discriminator\.normalisation=layer"),
        (TOLD, {"enlarge": 4}, r"16 x 16 pixels are not 4 times.*data\.size=\[32,32\], or --set game\.enlarge=2"),
    ],
)
def test_what_cannot_be_played_is_refused(spec: DataSpec, changes: dict, message: str) -> None:
    config = small_recipe("stackgan", game=changes).game
    assert isinstance(config, StackGANConfig)
    with pytest.raises(RecipeError, match=message):
        config.build(spec)
