"""Density estimation with models that have none to give: log p(x) of decoders by annealed importance sampling.

First on a linear-Gaussian model, whose log p(x) and posterior are known; then on a VAE and on a GAN's generator trained
on digits, the latter with Gaussian noise on its pixels (Wu, Burda, Salakhutdinov & Grosse 2017). Test images are bounded
from below only; how far that may be off is told by images simulated from the model, which are bounded from both sides.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cardigan.apps.lab.drawing import FAKE, GREY, INK, REAL, THIRD, label, panels
from cardigan.apps.lab.findings import Findings, Row
from cardigan.apps.lab.training import fitted, seated
from cardigan.apps.loglik import log_likelihood
from cardigan.apps.model import Model
from cardigan.apps.scores import image_scores, tight_bound
from cardigan.data import Dataset
from cardigan.evaluation import Result
from cardigan.games import VAE
from cardigan.objectives import binarise
from cardigan.theory.likelihood import Annealing, LinearGaussian, importance_bound
from cardigan.training.randomness import generator, seed_everything

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIMENSIONS, SIZE, DEVIATION, EXAMPLES = 16, 4, math.sqrt(0.1), 64
CHAINS, LEAPFROGS = 16, 5
STEPS = (10, 30, 100, 300, 1000)
DRAWS = (1, 5, 50, 500, 5000)
KERNELS = (1_000, 10_000)
WIDTHS = torch.tensor([0.3, 0.4, 0.5, 0.6, 0.8, 1.0]).double()
TRAINED = {"vae": 200_000, "default": 150_000}  # images of digits
IMAGES, TRAINED_STEPS, TRAINED_CHAINS = 16, 1000, 8


@dataclass(frozen=True)
class Known:
    """The linear-Gaussian model with examples it has made."""

    model: LinearGaussian
    examples: Tensor
    latents: Tensor

    @property
    def exact(self) -> float:
        """Mean log p(x), in nats."""
        return float(self.model.log_prob(self.examples).mean())

    @property
    def density(self) -> Callable[[Tensor], Tensor]:
        return self.model.log_likelihood(self.examples)


def run(seed: int, note: Callable[[str], None]) -> Findings:
    note("a linear-Gaussian model, whose log p(x) is known")
    known = linear(seed)
    sandwiches = {steps: sandwich(known, steps, seed) for steps in STEPS}
    drawn = {k: (from_posterior(known, k, seed), from_prior(known, k, seed)) for k in DRAWS}
    rows = [*importance_rows(known, drawn, seed), *annealing_rows(known, sandwiches), *kernel_rows(known, seed)]
    for name, rows_of in (("vae", vae_rows), ("default", gan_rows)):
        note(f"{name} on digits, then {TRAINED_CHAINS} chains of {TRAINED_STEPS} steps for each of {IMAGES} images")
        rows += rows_of(TRAINED[name], seed)
    return Findings(
        tuple(rows),
        "annealing closes on the known log p(x) from both sides where kernels and draws from the prior are nats away, and "
        "so bounds that of a VAE and of a generator",
        figures={"bounds": draw(known, sandwiches, drawn)},
    )


def linear(seed: int) -> Known:
    stream = generator(seed, "linear")
    weights = torch.randn(DIMENSIONS, SIZE, generator=stream, dtype=torch.float64)
    model = LinearGaussian(weights, torch.zeros(DIMENSIONS, dtype=torch.float64), DEVIATION)
    return Known(model, *model.simulate(EXAMPLES, stream))


# ---- importance sampling ---------------------------------------------------------------------------------------------


def from_posterior(known: Known, draws: int, seed: int) -> float:
    """The importance-weighted bound with the best q of independent latents: the posterior's mean, precisions' inverse."""
    mean, covariance = known.model.posterior(known.examples)
    deviation = torch.linalg.inv(covariance).diagonal().rsqrt().expand_as(mean)
    return float(importance_bound(known.density, mean, deviation, draws, generator(seed, "draws", draws)).mean())


def from_prior(known: Known, draws: int, seed: int) -> float:
    """The same with q = the prior: what naive sampling gives."""
    nought = torch.zeros(EXAMPLES, SIZE, dtype=torch.float64)
    stream = generator(seed, "prior", draws)
    return float(importance_bound(known.density, nought, torch.ones_like(nought), draws, stream).mean())


def importance_rows(known: Known, drawn: dict[int, tuple[float, float]], seed: int) -> list[Row]:
    mean, covariance = known.model.posterior(known.examples)
    precision = torch.linalg.inv(covariance)
    # KL(q‖posterior) of the same mean and the inverse diagonal of the precision
    gap = 0.5 * float(precision.diagonal().log().sum() - precision.logdet())
    average = sum(from_posterior(known, 1, seed + repeat) for repeat in range(200)) / 200
    return [
        Row("ELBO of the best independent q", average, known.exact - gap, 0.02),
        Row("  with 5 importance samples (IWAE)", drawn[5][0], known.exact - gap, 0.02, ">="),
        Row("  with 500", drawn[500][0], known.exact, 0.02),
        Row("5000 draws from the prior, a nat off or more", drawn[5000][1], known.exact - 1, 0.0, "<="),
    ]


# ---- annealing -------------------------------------------------------------------------------------------------------


def sandwich(known: Known, steps: int, seed: int) -> tuple[float, float]:
    """Bounds from below and from above of the mean log p(x)."""
    annealing = Annealing(known.density, SIZE, steps, CHAINS, LEAPFROGS)
    stream = generator(seed, "annealing", steps)
    start = torch.randn(CHAINS, EXAMPLES, SIZE, generator=stream, dtype=torch.float64)
    lower = annealing.lower(start, stream).log_prob
    upper = annealing.upper(known.latents, stream).log_prob
    return float(lower.mean()), float(upper.mean())


def annealing_rows(known: Known, annealed: dict[int, tuple[float, float]]) -> list[Row]:
    rows = [Row(f"annealed from below, {steps} steps", annealed[steps][0], known.exact) for steps in (30, 300)]
    lower, upper = annealed[1000]
    return [
        *rows,
        Row("annealed from below, 1000 steps", lower, known.exact, 0.1),
        Row("annealed from above, 1000 steps", upper, known.exact, 0.3),
        Row("gap between both bounds (BDMC)", upper - lower, 0.5, 0.0, "<="),
    ]


def kernel_rows(known: Known, seed: int) -> list[Row]:
    """Kernels on samples, as the first GANs were scored: nats too low however wide the kernels."""
    rows = []
    for count in KERNELS:
        samples, _ = known.model.simulate(count, generator(seed, "kernels", count))
        best = max(float(kernels(known.examples, samples, float(width))) for width in WIDTHS)
        rows.append(Row(f"kernels on {count:,} samples, a nat off or more", best, known.exact - 1, 0.0, "<="))
    return rows


def kernels(examples: Tensor, samples: Tensor, width: float) -> Tensor:
    """Mean log density of examples under a Gaussian on each sample."""
    squared = torch.cdist(examples, samples).square()
    scale = DIMENSIONS / 2 * math.log(2 * math.pi * width**2)
    return (torch.logsumexp(-squared / (2 * width**2), 1) - math.log(len(samples)) - scale).mean()


# ---- trained decoders ------------------------------------------------------------------------------------------------


def vae_rows(images: int, seed: int) -> list[Row]:
    """Three bounds of the same binary images, the last two nearly tight."""
    model, test = trained("vae", images, seed)
    game, shown = model.game, binary(test, seed)
    assert isinstance(game, VAE)
    pixels = shown.images(torch.arange(IMAGES))
    seed_everything(seed, "bounds")
    elbo = torch.stack([image_scores(model, pixels)["elbo"] for _ in range(100)]).mean().item()
    tight = torch.stack([tight_bound(game, pixels) for _ in range(20)]).mean().item()
    found = by_annealing(model, shown, seed)
    return [
        Row(f"VAE on digits: ELBO of {IMAGES} test images", elbo),
        Row("  50 importance samples", tight, elbo, 0.05, ">="),
        Row("  annealed from below", found.value, tight, 0.25, ">="),
        Row("  gap between the bounds of simulated images", float(found.protocol["bdmc gap"]), 0.5, 0.0, "<="),
    ]


def gan_rows(images: int, seed: int) -> list[Row]:
    """A generator with Gaussian noise, of the σ that suits other test images best."""
    found = by_annealing(*trained("default", images, seed), seed)
    sigma = float(found.protocol["sigma"])
    return [
        Row(f"GAN on digits, noise of {sigma:.2g}: annealed, {IMAGES} test images", found.value),
        Row("  gap between the bounds of simulated images", float(found.protocol["bdmc gap"]), 1.0, 0.0, "<="),
    ]


def by_annealing(model: Model, test: Dataset, seed: int) -> Result:
    effort = {"images": IMAGES, "steps": TRAINED_STEPS, "chains": TRAINED_CHAINS}
    return log_likelihood(model, test, **effort, seed=seed).results[0]


def binary(test: Dataset, seed: int) -> Dataset:
    """Some test images with their pixels drawn black or white once, so that all bounds are of the same pictures."""
    seed_everything(seed, "binary")
    white = binarise(test.images(torch.arange(len(test))[:: len(test) // IMAGES][:IMAGES]))
    return Dataset("binary digits", "test", test.spec, (255 * white).to(torch.uint8), "drawn by the seed")


def trained(name: str, images: int, seed: int) -> tuple[Model, Dataset]:
    """A model of digits, frozen, and the test images."""
    trainer = seated("digits", fitted(name, "digits"), seed=seed, images=images)
    while not trainer.finished:
        trainer.play_round()
    trainer.average.swap()  # the averaged weights stay
    return Model(trainer.model_config(), trainer.game.eval().requires_grad_(False), "cpu"), trainer.splits.test


# ---- pictures --------------------------------------------------------------------------------------------------------


def draw(known: Known, annealed: dict[int, tuple[float, float]], drawn: dict[int, tuple[float, float]]) -> Figure:
    figure, axes = panels(2)
    steps, exact = list(annealed), known.exact
    axes[0].plot(steps, [low for low, _ in annealed.values()], "o-", color=REAL, label="from below", markersize=3)
    axes[0].plot(steps, [high for _, high in annealed.values()], "o-", color=FAKE, label="from above", markersize=3)
    axes[0].axhline(exact, color=INK, linestyle="--", linewidth=1, label="exact")
    label(axes[0], "annealed importance sampling", "steps", "log p(x), nats", xscale="log", ylim=(exact - 4, exact + 4))
    draws = list(drawn)
    axes[1].plot(
        draws, [q for q, _ in drawn.values()], "o-", color=THIRD, label="from the best independent q", markersize=3
    )
    axes[1].plot(draws, [p for _, p in drawn.values()], "o-", color=GREY, label="from the prior", markersize=3)
    axes[1].axhline(exact, color=INK, linestyle="--", linewidth=1, label="exact")
    label(axes[1], "importance sampling", "draws", xscale="log", yscale="symlog")
    return figure
