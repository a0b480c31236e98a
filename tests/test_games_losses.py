"""What each player of each game is asked to minimise, against the paper's own line."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cardigan.errors import RecipeError
from cardigan.networks.strided import Double, Halve
from cardigan.objectives import OBJECTIVES
from cardigan.training.recipe import recipe_table
from small import small_recipe, small_splits, small_trainer

IMAGES = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
PLAIN = {"conditional": False, "r1": 0.0, "r2": 0.0, "objective": "non-saturating"}


def test_wgans_players_descend_and_ascend_the_same_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = small_trainer(tmp_path, "wgan", game={"critic": {"normalisation": "none"}, "gradient_penalty": 7.0})
    game = trainer.game
    monkeypatch.setattr(game, "generate", lambda real: IMAGES[: len(real)])
    moves = 0
    for move in game.round(trainer.batches.stream(0)):
        fake = game.critic(IMAGES, None).mean()
        if move.player is game.generator:
            torch.testing.assert_close(move.loss, -fake)
        else:
            real = game.critic(trainer.batches.at(moves).images, None).mean()
            torch.testing.assert_close(move.log["wasserstein"], real - fake)
            torch.testing.assert_close(move.loss, move.log["penalty"] - (real - fake))
            assert move.log["penalty"] > 0
        moves += 1
    assert moves == 3
    batch = trainer.batches.at(0)
    held_out = game.validate(batch)["wasserstein"]
    torch.testing.assert_close(held_out, game.critic(batch.images, None).mean() - game.critic(IMAGES, None).mean())
    assert recipe_table("wgan-gp")["game"]["gradient_penalty"] == 10.0


def test_the_discriminator_moves_as_often_as_the_recipe_says(tmp_path: Path) -> None:
    game = {**PLAIN, "discriminator_steps": 3, "gradient_penalty": 5.0}
    trainer = small_trainer(tmp_path, "gan", game=game)
    moves = list(trainer.game.round(trainer.batches.stream(0)))
    assert [move.player is trainer.game.generator for move in moves] == [False, False, False, True]
    assert moves[0].log["gradient penalty"] > 0


def test_a_gradient_penalty_is_a_term_of_the_discriminators_loss(tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, "gan", game={**PLAIN, "gradient_penalty": 5.0, "penalty_interval": 1})
    real = trainer.batches.at(0)
    move = trainer.game.discriminator_move(real, IMAGES)
    with torch.no_grad():
        trainer.game.eval()  # spectral normalisation stands still
        scores = trainer.game.score(real.images, real), trainer.game.score(IMAGES, real)
    plain = OBJECTIVES["non-saturating"].discriminator(*scores)
    torch.testing.assert_close(
        move.loss.detach(), plain + 5.0 * move.log["gradient penalty"].detach(), rtol=0.02, atol=0.02
    )


def test_beta_weighs_the_divergence_from_the_prior(tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, "vae", game={"beta": 4.0})
    (move,) = trainer.game.round(trainer.batches.stream(0))
    torch.testing.assert_close(move.loss, 3.0 * move.log["kl"] - move.log["elbo"])
    with pytest.raises(RecipeError, match=r"game\.beta"):
        small_recipe("vae", game={"beta": 4.0, "importance_samples": 5}).game.build(small_splits().train.spec)


def test_a_denoising_autoencoder_is_measured_by_the_clean_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = small_trainer(tmp_path, "autoencoder", game={"noise": "mask", "corruption": 0.9})
    monkeypatch.setattr(trainer.game, "reconstruct", lambda seen: seen.clone().requires_grad_())
    (move,) = trainer.game.round(trainer.batches.stream(0))
    assert move.loss > 0, "a network that passes on what it sees has not restored the image"
    with pytest.raises(RecipeError, match="at most 1"):
        small_recipe("autoencoder", game={"noise": "mask", "corruption": 1.5}).game.build(small_splits().train.spec)


def test_only_the_mover_gets_gradients_from_the_trainer(tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, "wgan")
    rounds = [trainer.game.round(trainer.batches.stream(0))]
    while seat := trainer.take_move(rounds):
        others = [p for other in trainer.seats.values() if other is not seat for p in other.parameters]
        assert all(p.grad is None for p in others)
        assert any(p.grad is not None for p in seat.parameters)
        trainer.game.zero_grad(set_to_none=True)


@pytest.mark.parametrize("transposed", [False, True])
def test_second_derivatives_pass_through_autocasts_casts(transposed: bool) -> None:
    """A penalty of one's own, taken in the trainer's autocast, gets torch's gradient."""
    torch.manual_seed(0)
    ours = (Double if transposed else Halve)(4, 4)
    plain = (nn.ConvTranspose2d if transposed else nn.Conv2d)(4, 4, 4, 2, 1)
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(8, 4, 8, 8)

    def weight_gradient(layer: nn.Module) -> Tensor:
        maps = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            (slope,) = torch.autograd.grad(layer(maps).float().square().sum(), maps, create_graph=True)
            slope.square().sum().backward()
        return layer.weight.grad

    mine, theirs = weight_gradient(ours), weight_gradient(plain)
    assert (mine - theirs).norm() < 0.02 * theirs.norm()
