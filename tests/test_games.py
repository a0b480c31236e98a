"""The systems against their papers' formulas."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal
from torch.nn.functional import avg_pool2d

from cardigan.data import Batch
from cardigan.data.spec import DataSpec
from cardigan.errors import RecipeError
from cardigan.games import GAN, VAE, WGAN, ContextEncoder, Game
from cardigan.objectives import OBJECTIVES
from small import GAMES, small_recipe, small_splits

SPLITS = small_splits()
BATCH = Batch(SPLITS.train.images(torch.arange(16)), SPLITS.train.labels(torch.arange(16)))


def build(kind: str, **changes: object) -> Game:
    torch.manual_seed(0)
    return small_recipe(kind, game=changes).game.build(SPLITS.train.spec)


def moves(game: Game, batch: Batch = BATCH) -> list:
    shrunk = avg_pool2d(batch.images, 2 ** game.phase(0.0).halvings)

    def forever():
        while True:
            yield Batch(shrunk, batch.labels)

    return list(game.round(forever()))


@pytest.mark.parametrize("kind", GAMES)
def test_every_move_has_a_player_and_a_finite_scalar(kind: str) -> None:
    game = build(kind)
    for move in moves(game):
        assert any(move.player is getattr(game, name) for name in game.players)
        assert move.loss.shape == ()
        assert torch.isfinite(move.loss)


def test_vae_elbo_is_the_sum_of_its_terms() -> None:
    """Against torch.distributions on the same posterior draw."""
    game = build("vae")
    assert isinstance(game, VAE)
    images = game.observe(BATCH.images)
    torch.manual_seed(1)
    fit, kl = game.elbo_terms(images)
    torch.manual_seed(1)
    mean, log_variance = game.posterior(images)
    q = Independent(Normal(mean, (log_variance / 2).exp()), 1)
    z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
    logits = game.autoencoder.decoder(z, None)
    expected_fit = Bernoulli(logits=logits).log_prob((images + 1) / 2).flatten(1).sum(1)
    prior = Independent(Normal(torch.zeros(4), torch.ones(4)), 1)
    torch.testing.assert_close(fit, expected_fit)
    torch.testing.assert_close(kl, torch.distributions.kl_divergence(q, prior), rtol=1e-4, atol=1e-5)


def test_vae_bound_tightens_with_samples() -> None:
    game = build("vae").eval()
    assert isinstance(game, VAE)
    with torch.no_grad():
        images = game.observe(BATCH.images)
        torch.manual_seed(2)
        bounds = {
            k: torch.stack([game.importance_weighted_bound(images, k).mean() for _ in range(40)]) for k in (1, 10)
        }
        elbo = torch.stack([torch.sub(*game.elbo_terms(images)).mean() for _ in range(40)])
    error = 3 * (bounds[1].std() + elbo.std()).item() / math.sqrt(40)
    assert bounds[1].mean().item() == pytest.approx(elbo.mean().item(), abs=error)
    assert bounds[10].mean() > bounds[1].mean()


def test_vae_trains_the_bound_of_as_many_samples_as_it_is_told() -> None:
    """In the very draws that the move made: k of them and no fewer."""
    game = build("vae", importance_samples=5)
    assert isinstance(game, VAE)
    torch.manual_seed(4)
    (move,) = moves(game)
    torch.manual_seed(4)
    images = game.observe(BATCH.images)
    mean, log_variance = game.posterior(images)
    posterior, prior = Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)
    log_weights = []
    for _ in range(5):
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        fit = Bernoulli(logits=game.autoencoder.decoder(z, None)).log_prob((images + 1) / 2).flatten(1).sum(1)
        log_weights.append(fit + (prior.log_prob(z) - posterior.log_prob(z)).sum(1))
    expected = -(torch.stack(log_weights).logsumexp(0) - math.log(5)).mean()
    torch.testing.assert_close(move.loss, expected)
    torch.testing.assert_close(move.log["bound"], -move.loss)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_discretised_likelihood_shares_one_among_the_levels_of_the_data(bits: int) -> None:
    """With too many or too few levels the pixel's probabilities add up to more or less."""
    spec = DataSpec(channels=1, height=1, width=1, bits=bits)
    torch.manual_seed(0)
    game = small_recipe("vae", game={"likelihood": "discretised-logistic"}).game.build(spec)
    assert isinstance(game, VAE)
    levels = torch.arange(2**bits, dtype=torch.float64) * 2 / (2**bits - 1) - 1
    with torch.no_grad():
        log_p = game.log_likelihood(levels.reshape(-1, 1, 1, 1), torch.zeros(1, 4).expand(2**bits, 4))
    assert log_p.double().exp().sum().item() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "discretised-logistic"])
def test_vae_likelihoods_train_and_decode_to_images(likelihood: str) -> None:
    game = build("vae", likelihood=likelihood)
    assert isinstance(game, VAE)
    (move,) = moves(game)
    assert torch.isfinite(move.loss)
    assert game.decode(torch.randn(3, 4)).abs().max() <= 1.0
    scores = game.validate(BATCH)
    assert ("bits per dimension" in scores) == (likelihood != "gaussian")


def test_bits_per_dimension_of_an_untrained_bernoulli_vae_is_near_one() -> None:
    """A decoder that says one half everywhere needs one bit a pixel."""
    game = build("vae")
    assert isinstance(game, VAE)
    for layer in game.autoencoder.modules():
        if isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
    assert game.validate(BATCH)["bits per dimension"].item() == pytest.approx(1.0, abs=1e-5)


def test_wgan_loss_is_the_negative_distance_and_the_estimate_has_the_right_sign() -> None:
    game = build("wgan")
    assert isinstance(game, WGAN)
    critic = moves(game)[0]
    torch.testing.assert_close(critic.loss, -critic.log["wasserstein"])

    class Brightness(nn.Module):
        def forward(self, images: torch.Tensor, labels: None) -> torch.Tensor:
            return images.flatten(1).mean(1)

    game.critic = Brightness()
    bright, dark = torch.ones(4, 1, 8, 8), -torch.ones(4, 1, 8, 8)
    assert game.distance(bright, dark).item() == pytest.approx(2.0)


def test_wgan_penalty_replaces_clipping() -> None:
    game = build("wgan", gradient_penalty=10.0)
    with torch.no_grad():
        for p in game.critic.parameters():
            p.fill_(0.5)
    critic = moves(game)[0]
    assert (critic.loss + critic.log["wasserstein"]).item() > 0
    assert max(p.abs().max().item() for p in game.critic.parameters()) == 0.5


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_gan_plays_every_objective(objective: str) -> None:
    game = build("gan", objective=objective, r1=0.0, r2=0.0)
    assert isinstance(game, GAN)
    torch.manual_seed(3)
    discriminator, generator = moves(game)
    assert torch.isfinite(discriminator.loss)
    assert torch.isfinite(generator.loss)


def test_gan_loss_is_objective_plus_weighted_penalties() -> None:
    game = build("gan", r1=2.0, r2=3.0, penalty_interval=1)
    assert isinstance(game, GAN)
    fake = game.decode(torch.randn(16, 8), BATCH.labels).detach()
    game.eval()
    move = game.discriminator_move(BATCH, fake)
    plain = game.objective.discriminator(game.score(BATCH.images, BATCH), game.score(fake, BATCH))
    torch.testing.assert_close(move.loss, plain + 2.0 * move.log["r1"] + 3.0 * move.log["r2"], rtol=1e-4, atol=1e-5)


def test_one_pass_and_two_passes_agree() -> None:
    """Real and generated images through the discriminator together or apart: the same scores and slopes."""
    game = build("gan").eval()
    assert isinstance(game, GAN)
    fake = game.decode(torch.randn(16, 8), BATCH.labels).detach()
    both = {"r1": 1.0, "r2": 1.0, "gradient_penalty": 0.0}
    together = game.scores_with_slopes(BATCH, fake, both)
    game.discriminator.__class__ = type("Coupled", (type(game.discriminator),), {"couples_batch": True})
    apart = game.scores_with_slopes(BATCH, fake, both)
    for first, second in zip(together, apart, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-6)


def test_lazy_penalty_is_due_every_kth_round_with_k_times_the_weight() -> None:
    game = build("gan", r1=1.0, r2=0.0, penalty_interval=4)
    assert isinstance(game, GAN)
    seen = []
    for game.rounds in range(8):
        seen.append(game.penalty_weights()["r1"])
    assert seen == [4.0, 0, 0, 0, 4.0, 0, 0, 0]


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(("distribution", "variance"), [("normal", 1.0), ("uniform", 1 / 3)])
def test_latents_are_drawn_as_named(distribution: str, variance: float, own: bool) -> None:
    """Both are centred: N(0, 1), and U(-1, 1) to both its ends."""
    game = build("gan", latent={"size": 50, "distribution": distribution})
    assert isinstance(game, GAN)
    torch.manual_seed(0)
    latents = game.draw_latents(2_000, torch.Generator().manual_seed(0) if own else None)
    assert latents.shape == (2_000, 50)
    assert latents.mean().item() == pytest.approx(0.0, abs=0.01)
    assert latents.var().item() == pytest.approx(variance, rel=0.02)
    if distribution == "uniform":
        assert latents.min().item() == pytest.approx(-1.0, abs=0.001)
        assert latents.max().item() == pytest.approx(1.0, abs=0.001)
        assert latents.abs().max() <= 1.0


def test_a_penaltys_schedule_follows_the_progress() -> None:
    game = build("gan", r1={"start": 4.0, "end": 0.0, "shape": "linear"}, r2=0.0, penalty_interval=1)
    assert isinstance(game, GAN)
    weights = []
    for game.progress in (0.0, 0.5, 1.0):
        weights.append(game.penalty_weights()["r1"])
    assert weights == [4.0, 2.0, 0.0]


def test_generator_answers_for_the_images_the_discriminator_saw_or_draws_anew() -> None:
    for reuse, draws in ((True, 1), (False, 2)):
        game = build("gan", reuse_fake=reuse)
        count, draw = [], game.draw_latents
        game.draw_latents = lambda *a, draw=draw, count=count, **k: (count.append(1), draw(*a, **k))[1]
        moves(game)
        assert len(count) == draws


def test_conditional_needs_classes() -> None:
    spec = SPLITS.train.spec.model_copy(update={"classes": ()})
    with pytest.raises(RecipeError, match="one folder a class"):
        small_recipe("gan").game.build(spec)


def test_autoencoder_denoises() -> None:
    game = build("autoencoder", corruption=0.5)
    torch.manual_seed(0)
    (noisy,) = moves(game)
    clean = game.validate(BATCH)["mse"]
    assert noisy.loss.item() != pytest.approx(clean.item())
    assert game.preview(BATCH.images, torch.zeros(0)).shape == (48, 1, 8, 8)
    assert game.encode(BATCH.images).shape == (16, 4)


def test_a_context_encoder_sees_no_hole_and_is_paid_for_it_alone() -> None:
    game = build("context-encoder")
    assert isinstance(game, ContextEncoder)
    images = BATCH.images
    torch.manual_seed(0)
    holes = game.holes(images)
    torch.manual_seed(0)
    (move,) = moves(game)
    painted = game.paint(images, holes)
    torch.testing.assert_close(move.loss, (painted - images)[holes.expand_as(images)].square().mean())
    other = torch.where(holes, -images, images)
    assert torch.equal(game.paint(other, holes), painted)
    done = game.complete(images, holes)
    assert torch.equal(done[~holes], images[~holes])
    assert torch.equal(done[holes], painted[holes])


def test_a_context_encoder_reconstructs_what_it_was_trained_to_fill() -> None:
    game = build("context-encoder", mask="center")
    rebuilt, images = game.reconstruct(BATCH.images), BATCH.images
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[2:6, 2:6] = True
    assert torch.equal(rebuilt[..., ~inside], images[..., ~inside])
    assert not torch.equal(rebuilt[..., inside], images[..., inside])
    assert game.encode(images).shape == (16, 4)
    assert game.constant_loss(images, images) > 0
    with pytest.raises(RecipeError, match="are points"):
        small_recipe("context-encoder").game.build(DataSpec(channels=2, height=1, width=1, kind="points"))


def gan(**changes: object) -> GAN:
    game = build("gan", **changes)
    assert isinstance(game, GAN)
    return game


PLAIN = {"name": "mlp", "widths": [8]}


def test_a_sliced_discriminator_learns_features_and_direction_by_losses_of_their_own() -> None:
    """Scores give the direction no gradient; its own loss gives the features none."""
    game = gan(sliced=True, discriminator=PLAIN, r1=0.0, r2=0.0, conditional=False)
    real, fake = BATCH, torch.rand_like(BATCH.images)
    direction = game.direction
    assert direction is not None
    features = [p for p in game.discriminator.parameters() if p is not direction.weight]
    scores = game.objective.discriminator(game.score(real.images, real), game.score(fake, real))
    assert torch.autograd.grad(scores, direction.weight, allow_unused=True) == (None,)
    own = game.direction_loss(direction, real, fake)
    assert all(g is None for g in torch.autograd.grad(own, features, allow_unused=True, retain_graph=True))
    known, made = game.discriminator.features(real.images), game.discriminator.features(fake)
    unit = direction.weight / direction.weight.norm()
    torch.testing.assert_close(own, ((made - known) @ unit.t()).mean())
    move = game.discriminator_move(real, fake)
    torch.testing.assert_close(move.loss, scores + own)
    assert direction.unit.norm().item() == pytest.approx(1.0)


def test_centring_is_the_squared_sum_of_a_pairs_scores() -> None:
    plain, centred = (gan(centring=c, discriminator=PLAIN, r1=0.0, r2=0.0, conditional=False) for c in (0.0, 0.25))
    fake = torch.rand_like(BATCH.images)
    both = plain.score(BATCH.images, BATCH) + plain.score(fake, BATCH)
    difference = centred.discriminator_move(BATCH, fake).loss - plain.discriminator_move(BATCH, fake).loss
    torch.testing.assert_close(difference, 0.25 * both.square().mean())


def test_transport_is_the_way_from_latent_to_image() -> None:
    game = gan(transport=0.5, latent={"size": 64}, conditional=False)
    latents = torch.randn(16, 64)
    fake = game.decode(latents)
    move = game.generator_move(BATCH, latents, fake)
    without = gan(latent={"size": 64}, conditional=False).generator_move(BATCH, latents, fake)
    torch.testing.assert_close(move.loss - without.loss, 0.5 * (fake.flatten(1) - latents).square().mean())
    with pytest.raises(RecipeError, match=r"--set game\.latent\.size=64"):
        build("gan", transport=0.5)


AUGMENT = {"kinds": ["flip", "brightness"], "probability": 0.8}


def test_both_sides_of_a_pair_are_augmented_alike() -> None:
    game = gan(augment=AUGMENT)
    torch.manual_seed(3)
    seen, made = game.shown(BATCH, BATCH.images.clone())
    assert torch.equal(seen.images, made)
    assert not torch.equal(made, BATCH.images)
    assert seen.labels is BATCH.labels
    plain = gan()
    assert plain.shown(BATCH, made)[1] is made


def test_the_generator_learns_through_the_augmentation() -> None:
    game = gan(augment={**AUGMENT, "kinds": ["ada"], "probability": 0.5}, conditional=False)
    latents = torch.randn(16, 8)
    move = game.generator_move(BATCH, latents, game.decode(latents))
    gradients = torch.autograd.grad(move.loss, list(game.generator.parameters()))
    assert any(gradient.abs().max() > 0 for gradient in gradients)


def test_augmentation_follows_the_discriminators_overfitting() -> None:
    game = gan(augment={"kinds": ["flip"], "probability": "adaptive", "target": 0.6, "ramp": 0.5})
    assert game.often == 0.0
    assert torch.equal(game.shown(BATCH, BATCH.images)[0].images, BATCH.images)
    game.heed({"overfit": 0.9}, share=0.1)
    assert game.often == pytest.approx(0.2)
    game.heed({"overfit": 0.1}, share=0.05)
    assert game.often == pytest.approx(0.1)
    game.heed({}, share=0.5)
    assert game.often == pytest.approx(0.1)
    again = gan(augment={"kinds": ["flip"]})
    again.load_state_dict(game.state_dict())
    assert again.often == game.often


def test_augmentation_that_would_damage_the_data_is_refused() -> None:
    with pytest.raises(
        RecipeError, match=r"game\.augment\.kinds does not suit the images \(hue: .*--set game\.augment\.kinds=flip"
    ):
        gan(augment={"kinds": ["flip", "hue"]})
