"""What is wrong with a training is seen, said in words, and stops it where training on cannot help."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cardigan.data import Batch
from cardigan.data.spec import DataSpec
from cardigan.errors import TrainingError
from cardigan.games import VAE, Encoding
from cardigan.training.health import REMEDIES, Health, advice, diversity, gain, luminance_correlation, overfit
from cardigan.training.progress import Silence
from cardigan.training.recipe import HealthConfig
from cardigan.training.session import Session
from small import play, small_recipe, small_trainer

LOOKS = {"ticks": 10, "previews": 10, "evaluations": 0}


def test_collapse_stops_with_advice_and_keeps_the_model(tmp_path: Path) -> None:
    trainer = small_trainer(
        tmp_path, "gan", images=640, log={"ticks": 10, "previews": 10, "evaluations": 0}, health={"patience": 2}
    )
    decode = trainer.game.decode
    noise = torch.randn(64, 1, 8, 8)

    def collapsing(latents: Tensor, labels: Tensor | None = None) -> Tensor:
        one = decode(latents[:1], labels[:1]).expand(len(latents), -1, -1, -1)
        return one + (noise[: len(latents)] if trainer.rounds < 12 else 0)

    trainer.game.decode = collapsing
    with pytest.raises(TrainingError, match="collapsed diversity: the generator draws nearly the same"):
        Session(trainer, Silence()).run()
    assert (tmp_path / "model/config.json").is_file()


def test_health_waits_for_patience() -> None:
    health = Health(HealthConfig(patience=3))
    sick = {"gradient generator": 0.0}
    assert [health.examine(sick) for _ in range(4)] == [[], [], ["dead generator"], []]
    assert "dead generator" in health.verdict()
    health.examine({"gradient generator": 1.0})
    assert health.verdict() == "healthy"
    assert health.fatal(["overfit discriminator"]) == []
    assert health.fatal(["dead generator"]) == ["dead generator"]
    assert Health(HealthConfig(stop=False)).fatal(["dead generator"]) == []


def test_collapse_is_a_fall_not_a_slow_start() -> None:
    slow = Health(HealthConfig(patience=1))
    assert slow.examine({"diversity": 0.01, "progress": 0.3}) == []
    assert slow.examine({"diversity": 0.01, "progress": 0.6}) == ["collapsed diversity"]
    assert slow.fatal(["collapsed diversity"]) == []
    fallen = Health(HealthConfig(patience=1))
    fallen.examine({"diversity": 0.9, "progress": 0.1})
    assert fallen.examine({"diversity": 0.01, "progress": 0.2}) == ["collapsed diversity"]
    assert fallen.fatal(["collapsed diversity"]) == ["collapsed diversity"]


def test_health_measures() -> None:
    real = torch.randn(64, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert diversity(real, real) == pytest.approx(1.0)
    assert diversity(0.1 * real, real) == pytest.approx(0.1, rel=1e-4)
    assert overfit(train=2.0, held_out=2.0, fake=-1.0) == 0.0
    assert overfit(train=2.0, held_out=-1.0, fake=-1.0) == 1.0
    assert overfit(train=0.02, held_out=-0.08, fake=-0.08) == 0.0


@pytest.mark.parametrize("kind", ["autoencoder", "vae"])
def test_a_learning_rate_that_blew_the_training_up_is_not_healthy(kind: str, tmp_path: Path) -> None:
    adam = {"autoencoder": {"name": "adam", "lr": 1.0}}
    trainer = small_trainer(tmp_path, kind, images=1600, optimiser=adam, log=LOOKS)
    Session(trainer, Silence()).run()
    assert "nothing learnt" in trainer.health.verdict()
    assert "lower the learning rate" in trainer.health.verdict()


@pytest.mark.parametrize("likelihood", [None, "bernoulli", "gaussian", "discretised-logistic"])
def test_a_training_that_learns_is_healthy(likelihood: str | None, tmp_path: Path) -> None:
    kind = "vae" if likelihood else "autoencoder"
    changes = {"likelihood": likelihood} if likelihood else {"corruption": 0.0}
    adam = {"autoencoder": {"name": "adam", "lr": 0.01, "beta1": 0.9}}
    trainer = small_trainer(tmp_path, kind, images=6400, game=changes, optimiser=adam, log=LOOKS)
    session = Session(trainer, Silence())
    session.run()
    assert trainer.health.verdict() == "healthy"
    assert session.scalars["gain"] > 0.05


def test_nothing_learnt_is_said_late_and_does_not_stop() -> None:
    health = Health(HealthConfig(patience=1))
    assert health.examine({"gain": -5.0, "progress": 0.4}) == []
    assert health.examine({"gain": 0.005, "progress": 0.6}) == ["nothing learnt"]
    assert health.fatal(["nothing learnt"]) == []
    assert health.examine({"gain": 0.5, "progress": 0.7}) == []
    assert health.verdict() == "healthy"
    assert health.examine({"gain": float("nan"), "progress": 0.8}) == ["nothing learnt"]


def test_gain_is_the_share_of_the_constants_loss_that_is_saved() -> None:
    assert gain(loss=1.0, constant=4.0) == 0.75
    assert gain(loss=5.0, constant=4.0) == -0.25
    assert gain(loss=-3.0, constant=-2.0) == 0.5  # a log-density may be of either sign


def test_the_mean_image_gains_nothing(tmp_path: Path) -> None:
    game = small_trainer(tmp_path, "autoencoder").game
    assert isinstance(game, Encoding)
    images = torch.rand(50, 1, 8, 8) * 2 - 1
    game.reconstruct = lambda seen: images.mean(0, keepdim=True).expand_as(seen)
    reached = game.validated_loss({"mse": game.validate(Batch(images))["mse"].item()})
    assert reached == pytest.approx(game.constant_loss(images, images).item())


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "discretised-logistic"])
def test_no_output_that_ignores_the_latents_is_much_better_than_the_constant(likelihood: str) -> None:
    """Against the best one that descent on the decoder's output itself finds."""
    game = small_recipe("vae", game={"likelihood": likelihood}).game.build(DataSpec(channels=1, height=4, width=4))
    assert isinstance(game, VAE)
    shape = (1 if likelihood == "bernoulli" else 2, 4, 4)
    images = (torch.rand(400, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 255).round() / 127.5 - 1
    output = torch.zeros(1, *shape, requires_grad=True)
    adam = torch.optim.Adam([output], lr=0.05)
    for _ in range(150):
        adam.zero_grad()
        best = -game.log_likelihood_of(output.expand(400, *shape), images).mean()
        best.backward()
        adam.step()
    constant = game.constant_loss(images, images).item()
    assert best.item() - 0.01 < constant < best.item() + 0.5  # nats; a logistic is fitted by its moments


def test_what_the_vae_is_judged_by_is_what_it_minimises() -> None:
    game = small_recipe("vae", game={"beta": {"start": 0.0, "end": 0.5, "shape": "linear"}}).game.build(
        DataSpec(channels=1, height=4, width=4)
    )
    assert isinstance(game, VAE)
    game.progress = 0.5
    assert game.validated_loss({"elbo": -30.0, "kl": 10.0}) == 0.25 * 10.0 + 20.0


class Memory(nn.Module):
    """Scores images that it knows `high`, generated ones `low`, and unseen ones like these, with some spread."""

    couples_batch = False

    def __init__(self, known: Tensor, unseen: Tensor, scale: float) -> None:
        super().__init__()
        self.known, self.unseen, self.scale = known.flatten(1), unseen.flatten(1), scale

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        pixels = images.flatten(1)[:, None]
        seen = [(pixels == side).all(2).any(1) for side in (self.known, self.unseen)]
        level = torch.where(seen[0], 10.0, torch.where(seen[1], 1.0, 0.0))
        return self.scale * (level + torch.linspace(-1, 1, len(images)))


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_a_critic_that_knows_its_images_by_heart_is_found_out_at_any_scale(scale: float, tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, "wgan")
    known, unseen = (
        trainer.batch_of(split, len(split)).images for split in (trainer.splits.train, trainer.splits.test)
    )
    trainer.game.critic = Memory(known, unseen, scale)
    assert Session(trainer, Silence()).validation()["overfit"] == pytest.approx(0.9, abs=0.01)


def test_a_discriminator_that_knows_its_images_by_heart_is_found_out(tmp_path: Path) -> None:
    """And one that has the two splits the other way round is not: there is nothing that it could know."""
    trainer = small_trainer(tmp_path, "gan", images=1600, log=LOOKS)
    known, unseen = (
        trainer.batch_of(split, len(split)).images for split in (trainer.splits.train, trainer.splits.test)
    )
    session = Session(trainer, Silence())
    trainer.game.discriminator = Memory(unseen, known, 1.0)
    assert session.validation()["overfit"] < 0
    trainer.game.discriminator = Memory(known, unseen, 1.0)
    session.scalars = session.validation()
    assert session.scalars["overfit"] == pytest.approx(0.9, abs=0.01)
    assert session.scalars["held-out real score"] == pytest.approx(1.0)
    for _ in range(3):
        trainer.health.examine(session.scalars)
    assert "knows its training images by heart" in trainer.health.verdict()


def test_only_a_critics_scores_are_measured_by_their_spread(tmp_path: Path) -> None:
    for objective, expected in (("wasserstein", True), ("hinge", False)):
        trainer = small_trainer(tmp_path / objective, "gan", game={"objective": objective})
        assert ("score spread" in trainer.validate(trainer.splits.test)) == expected


@pytest.mark.parametrize("previews", [0, 1, 10])
def test_however_few_the_pictures_the_last_readings_are_examined(previews: int, tmp_path: Path) -> None:
    adam = {"autoencoder": {"name": "adam", "lr": 1.0}}
    log = {"ticks": 10, "previews": previews, "evaluations": 0}
    trainer = small_trainer(tmp_path, "autoencoder", images=1600, optimiser=adam, log=log)
    Session(trainer, Silence()).run()
    assert "nothing learnt" in trainer.health.verdict()
    assert len(list(trainer.folder.samples.iterdir())) == previews
    resumed = small_trainer(tmp_path, "autoencoder", images=1600, optimiser=adam, log=log)
    resumed.restore()
    Session(resumed, Silence()).run()
    assert resumed.health.verdict() == trainer.health.verdict()


def test_diversity_is_examined_without_pictures(tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, "gan", log={"ticks": 10, "previews": 0, "evaluations": 0})
    decode = trainer.game.decode
    trainer.game.decode = lambda z, labels=None: decode(z[:1], labels[:1]).expand(len(z), -1, -1, -1)
    Session(trainer, Silence()).run()
    assert "collapsed diversity" in trainer.health.verdict()


def test_nothing_examined_is_not_healthy() -> None:
    health = Health(HealthConfig())
    assert health.verdict() == "not examined"
    assert health.examine({"progress": 1.0}) == []
    assert health.verdict() == "not examined"
    health.examine({"gain": 0.5})
    assert health.verdict() == "healthy"


def test_nobody_is_advised_what_they_do() -> None:
    """And whatever they do, something is left."""
    default = Health(
        HealthConfig(), streaks={"collapsed diversity": 3}, examinations=3, own=("default", "relativistic")
    )
    assert "default recipe" not in default.verdict()
    assert "whatever its latent: lower the generator's learning rate" in default.verdict()
    assert "latent: use the default recipe, or lower the generator's learning rate" in advice("collapsed diversity")
    assert "recipe" not in advice(
        "collapsed diversity", ("stackgan-small", "relativistic", "stackgan")
    )  # it cannot read
    assert "objective" not in advice("dead generator", ("default", "relativistic"))
    everything = {name for remedies in REMEDIES.values() for same in remedies.values() for name in same}
    for trouble in REMEDIES:
        assert not advice(trouble, everything).endswith(": ")


def test_a_training_knows_its_recipe_and_objective(tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, "gan")
    assert trainer.health.own == ("small-gan", "relativistic", "gan")
    play(trainer, 1).save()
    trainer.restore()
    assert trainer.health.own == ("small-gan", "relativistic", "gan")


def test_luminance_correlation() -> None:
    stream = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, 6, 7, generator=stream) * 2 - 1
    assert luminance_correlation(images, images) == pytest.approx(1.0)
    assert luminance_correlation(images, 0.3 - 0.2 * images) == pytest.approx(-1.0)
    assert luminance_correlation(images, torch.zeros_like(images)) == 0.0
    half = torch.cat([images[:2], -images[2:4]])
    assert luminance_correlation(images[:4], half) == pytest.approx(0.0, abs=1e-6)
    swapped = images[:, [1, 0, 2]]  # another hue is no inversion
    assert luminance_correlation(images, swapped) > 0


def test_inverted_colours_are_told_and_do_not_stop() -> None:
    health = Health(HealthConfig(patience=2), own=("mine", "least-squares", "cyclegan"))
    assert health.examine({"luminance correlation": -0.9}) == []
    assert health.examine({"luminance correlation": -0.9}) == ["inverted colours"]
    assert health.fatal(["inverted colours"]) == []
    assert "raise game.identity, or begin anew" in health.verdict()
    assert "game.identity" not in advice("inverted colours", ("mine", "non-saturating", "unit"))
    health.examine({"luminance correlation": -0.1})
    assert health.verdict() == "healthy"


@pytest.mark.parametrize("kind", ["cyclegan", "unit", "pix2pix"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_translator_that_inverts_is_found_out(kind: str, sign: float, tmp_path: Path) -> None:
    """Where pairs say what to make of an image, it may well be a negative."""
    trainer = small_trainer(tmp_path, kind, images=64, log={"ticks": 4, "previews": 4, "evaluations": 0})
    trainer.game.translate = lambda images, to, seeds=None: sign * images  # type: ignore[method-assign]
    session = Session(trainer, Silence())
    session.run()
    assert ("inverted colours" in trainer.health.verdict()) == (sign < 0 and kind != "pix2pix")
    logged = [entry["scalars"].get("luminance correlation") for entry in trainer.folder.read_progress()]
    found = [value for value in logged if value is not None]
    assert found == ([] if kind == "pix2pix" else [pytest.approx(sign)] * 4)
