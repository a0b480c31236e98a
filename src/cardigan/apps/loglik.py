"""log p(x) of test images under a trained decoder, bounded from below (Wu, Burda, Salakhutdinov & Grosse 2017).

A VAE has its own p(x|z). Any other generator is given N(x; G(z), σ² I), with the σ that suits other test images best.
What is reported is the bound from below, by annealed importance sampling. How far it may be off is told by images
simulated from the model, for which annealing backwards from their true latents bounds log p(x) from above.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cardigan.apps.decoders import Decoder, GaussianNoise, OwnLikelihood, Shown, batched
from cardigan.apps.files import steps_progress
from cardigan.apps.model import Model
from cardigan.apps.scores import protocol
from cardigan.data import Dataset
from cardigan.errors import DataError, RunError
from cardigan.evaluation import Evaluation, Result
from cardigan.evaluation.intervals import mean_interval
from cardigan.games import VAE, Generative
from cardigan.theory.likelihood import Annealing
from cardigan.training.device import choose_arithmetic
from cardigan.training.randomness import generator

METRIC = "loglik"
IMAGES, SIMULATED = 32, 16
STEPS, CHAINS, LEAPFROGS = 1_000, 16, 5
WIDE_GAP = 0.5  # nats

TUNING_IMAGES, TUNING_CHAINS = 16, 4
COARSE_STEPS, COARSE = 200, 2.0 ** (-torch.arange(12) / 2)  # σ of examples in [-1, 1]: from 1 down to 0.022
# Short annealing reaches least where σ is small, so the best is looked for again, mostly below.
FINE_STEPS, FINE = 1_000, 2.0 ** (-torch.arange(-1, 4) / 4)


def log_likelihood(
    model: Model, test: Dataset, *, images: int = IMAGES, steps: int = STEPS, chains: int = CHAINS, seed: int = 0
) -> Evaluation:
    """Mean log p(x) of test images in nats, from below, with the gap between both bounds of simulated images.

    Args:
        model: frozen and in evaluation mode, as `load` gives it.
        images: how many of the test split, drawn by the seed.
        steps: temperatures from the prior to the posterior; the gap falls about as 1/steps.
        chains: for each image.

    Raises:
        RunError: a model without a prior.
        DataError: too few images, or other classes than a class-conditional model's.
        TheoryError: fewer than 2 steps or 1 chain.
    """
    game = with_prior(model)
    tuning = 0 if isinstance(game, VAE) else TUNING_IMAGES
    reported, others = (shown(model, test, part) for part in chosen(test, images, tuning, seed))
    total = 2 * steps + (COARSE_STEPS + FINE_STEPS if tuning else 0)
    with steps_progress("annealing", total) as progress, choose_arithmetic(model.device, "float32", 1, game).products():
        sampler = Sampler(game.latent.size, steps, chains, generator(seed, METRIC), progress)
        decoder = decoder_of(game, others, sampler)
        bounds = sampler.bounds(decoder, decoder.observe(reported, sampler.stream))
    entries = {**protocol(model, test, seed), **decoder.protocol, **bounds.protocol, **sampler.protocol}
    if tuning:
        entries["sigma chosen on"] = f"{len(others)} other test images"
    return Evaluation((result(bounds, entries),), tuple(notes(bounds)))


# ---- what is shown to whom -------------------------------------------------------------------------------------------


def with_prior(model: Model) -> Generative:
    if not isinstance(model.game, Generative):
        raise RunError(
            f"a model of the recipe {model.config.recipe} has no prior over its codes, hence no log-likelihood: "
            "train a vae or a generator"
        )
    return model.game


def chosen(test: Dataset, count: int, tuning: int, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the images to report on, and of the other images to choose σ on."""
    if len(test) < 2:
        raise DataError(f"a log-likelihood takes at least 2 test images, {test.name} has {len(test)}: hold out more")
    order = torch.randperm(len(test), generator=generator(seed, METRIC, "images"))
    tuning = min(tuning, len(test) // 2)
    return order[tuning : tuning + count], order[:tuning]


def shown(model: Model, test: Dataset, indices: Tensor) -> Shown:
    """Images and, for a class-conditional model, their classes.

    Raises:
        DataError: other classes than the model's.
    """
    if not model.generative().conditional:
        return Shown(test.images(indices, model.device))
    if test.spec.classes != model.spec.classes:
        raise DataError(f"the model asks for the classes {', '.join(model.spec.classes)}: give test images with these")
    return Shown(test.images(indices, model.device), test.labels(indices, model.device))


def decoder_of(game: Generative, others: Shown, sampler: Sampler) -> Decoder:
    """A VAE's own p(x|z), or Gaussian noise of the σ that suits these images best."""
    if isinstance(game, VAE):
        return OwnLikelihood(game)
    return GaussianNoise(game, best_deviation(game, others, sampler))


def best_deviation(game: Generative, others: Shown, sampler: Sampler) -> Tensor:
    """The σ under which these images are likeliest: of a coarse grid, then of a fine one with longer annealing."""
    rough = likeliest(game, others, COARSE, replace(sampler, steps=COARSE_STEPS, chains=TUNING_CHAINS))
    return likeliest(game, others, rough * FINE, replace(sampler, steps=FINE_STEPS, chains=TUNING_CHAINS))


def likeliest(game: Generative, others: Shown, deviations: Tensor, sampler: Sampler) -> Tensor:
    """The best σ near a grid, for all of which the chains run at once."""
    n, count = len(others), len(deviations)
    decoder = GaussianNoise(game, deviations.repeat_interleave(n))
    bounds, _ = sampler.lower(decoder, others[torch.arange(n).repeat(count).to(others.images.device)])
    return peak(deviations, bounds.view(count, n).mean(1))


def peak(deviations: Tensor, values: Tensor) -> Tensor:
    """Where the parabola through the best value and its neighbours has its top; an end where that is best.

    Args:
        deviations: in equal ratios, like values (count,).
    """
    best = int(values.argmax())
    if best in (0, len(values) - 1):
        return deviations[best]
    before, middle, after = values[best - 1 : best + 2].tolist()
    shift = 0.5 * (before - after) / (before - 2 * middle + after)
    return deviations[best] * (deviations[1] / deviations[0]) ** shift


# ---- bounds ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sampler:
    """Annealing of one model's latents.

    Attributes:
        size: of a latent.
        steps: temperatures.
        chains: for each example.
        stream: of every draw, on the CPU.
        progress: called after every temperature.
    """

    size: int
    steps: int
    chains: int
    stream: torch.Generator
    progress: Callable[[], None] = lambda: None

    @property
    def protocol(self) -> dict[str, Any]:
        return {"chains": self.chains, "steps": self.steps, "leapfrogs": LEAPFROGS}

    def annealing(self, decoder: Decoder, examples: Shown) -> Annealing:
        density = batched(decoder.density(examples), examples.images[0].numel())
        return Annealing(density, self.size, self.steps, self.chains, LEAPFROGS)

    def lower(self, decoder: Decoder, examples: Shown) -> tuple[Tensor, float]:
        """Bounds from below, (n,) on the CPU, and the share of moves accepted."""
        start = torch.randn(self.chains, len(examples), self.size, generator=self.stream).to(examples.images)
        bound = self.annealing(decoder, examples).lower(start, self.stream, self.progress)
        return bound.log_prob.cpu(), bound.acceptance

    def bounds(self, decoder: Decoder, examples: Shown) -> Bounds:
        """From below for these observed examples, from both sides for simulated ones of the same classes."""
        n, like = len(examples), examples[:SIMULATED]
        latents = torch.randn(len(like), self.size, generator=self.stream).to(examples.images)
        simulated = decoder.simulate(latents, like.labels, self.stream)
        began = time.perf_counter()
        lower, acceptance = self.lower(decoder, examples + simulated)
        upper = self.annealing(decoder, simulated).upper(latents, self.stream, self.progress).log_prob.cpu()
        rate = self.steps * self.chains * (n + 2 * len(like)) / (time.perf_counter() - began)
        return Bounds(lower[:n], lower[n:], upper, acceptance, rate)


@dataclass(frozen=True)
class Bounds:
    """Of log p(x) in nats: of the test images (n,) from below, of simulated ones (m,) from both sides.

    Attributes:
        acceptance: mean share of moves accepted on the way from the prior.
        rate: temperatures that all chains together pass in a second.
    """

    test: Tensor
    lower: Tensor
    upper: Tensor
    acceptance: float
    rate: float

    @property
    def gap(self) -> float:
        return (self.upper - self.lower).mean().item()

    @property
    def protocol(self) -> dict[str, Any]:
        return {
            "samples": len(self.test),
            "bdmc gap": self.gap,
            "bdmc gap interval": mean_interval(self.upper - self.lower)[1],
            "simulated lower": self.lower.mean().item(),
            "simulated upper": self.upper.mean().item(),
            "simulated images": len(self.lower),
            "mean acceptance": self.acceptance,
            "chain steps per second": self.rate,
        }


def result(bounds: Bounds, entries: dict[str, Any]) -> Result:
    mean, (low, high) = mean_interval(bounds.test)
    law = entries["likelihood"] + (f" with sigma {entries['sigma']:.2g}" if "sigma" in entries else "")
    meaning = f"nats an image, {law}, from below; on simulated images the bounds are {bounds.gap:.2f} apart"
    return Result("log-likelihood", mean, low, high, None, "higher", {**entries, "meaning": meaning})


def notes(bounds: Bounds) -> list[str]:
    if bounds.gap <= WIDE_GAP:
        return []
    return [f"the bounds are {bounds.gap:.1f} nats apart on simulated images: take more --steps"]
