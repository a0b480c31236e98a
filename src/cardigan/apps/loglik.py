"""log p(x) of test images under a trained decoder, bounded from below (Wu, Burda, Salakhutdinov & Grosse 2017).

A VAE has its own p(x|z). Any other generator is given N(x; G(z), σ² I), with the σ that suits other test images best.
What is reported is the bound from below, by annealed importance sampling. How far it may be off is told by images
simulated from the model, for which annealing backwards from their true latents bounds log p(x) from above.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cardigan.apps.decoders import CHUNK, Decoder, GaussianNoise, OwnLikelihood, Shown, batched
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
LONG = 60.0  # seconds

LEAST_TUNING_IMAGES, TUNING_IMAGES, TUNING_CHAINS = 4, 16, 4
COARSE_STEPS, COARSE = 200, 2.0 ** (-torch.arange(12) / 2)  # σ of examples in [-1, 1]: from 1 down to 0.022
# Short annealing reaches least where σ is small, so the best is looked for again, mostly below.
FINE_STEPS, FINE = 1_000, 2.0 ** (-torch.arange(-1, 4) / 4)


def log_likelihood(
    model: Model, test: Dataset, *, images: int = IMAGES, steps: int = STEPS, chains: int = CHAINS, seed: int = 0
) -> Evaluation:
    """Mean log p(x) of test images in nats, from below, with the gap between both bounds of simulated images.

    It takes 5 * steps * chains * (images + 32) passes through the decoder and back, 5 million by default, and where σ
    has to be found at most about as many again.

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
    tuning = None if isinstance(game, VAE) else Tuning.within(min(images, len(test)), steps, chains)
    reported, others = (shown(model, test, part) for part in chosen(test, images, tuning.images if tuning else 0, seed))
    total = 2 * steps + (tuning.coarse + tuning.fine if tuning else 0)
    with steps_progress("annealing", total) as progress, choose_arithmetic(model.device, "float32", 1, game).products():
        sampler = Sampler(game.latent.size, steps, chains, generator(seed, METRIC), progress)
        announce(game, reported, sampler, tuning)
        decoder = decoder_of(game, others, sampler, tuning)
        bounds = sampler.bounds(decoder, decoder.observe(reported, sampler.stream))
    entries = {**protocol(model, test, seed), **decoder.protocol, **bounds.protocol, **sampler.protocol}
    if tuning:
        entries["sigma chosen on"] = f"{len(others)} other test images"
        entries["sigma chosen by"] = {"steps": [tuning.coarse, tuning.fine], "chains": tuning.chains}
    return Evaluation(
        (result(bounds, entries),), (*count_notes(test, images, len(reported), len(others)), *notes(bounds))
    )


# ---- what is shown to whom -------------------------------------------------------------------------------------------


def with_prior(model: Model) -> Generative:
    if not isinstance(model.game, Generative):
        raise RunError(
            f"a model of the recipe {model.config.recipe} has no prior over its codes, hence no log-likelihood: "
            "train a vae or a generator"
        )
    return model.game


def chosen(test: Dataset, count: int, tuning: int, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the images to report on, and of the other images to choose σ on.

    Raises:
        DataError: where fewer than one is asked for, or there are fewer than two.
    """
    if count < 1:
        raise DataError(f"a log-likelihood takes at least 1 test image, not {count}: give more --samples")
    if len(test) < 2:
        raise DataError(f"a log-likelihood takes at least 2 test images, {test.name} has {len(test)}: hold out more")
    order = torch.randperm(len(test), generator=generator(seed, METRIC, "images"))
    free = len(test) - min(tuning, len(test) // 2)
    return order[:free][:count], order[free:]


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


def announce(game: Generative, examples: Shown, sampler: Sampler, tuning: Tuning | None) -> None:
    """Say on standard error what a long annealing will take, where no bar shows it."""
    if sys.stderr.isatty():
        return
    decoder = OwnLikelihood(game) if isinstance(game, VAE) else GaussianNoise(game, torch.ones(()))
    moves = sampler.moves(len(examples)) + (tuning.moves if tuning else 0)
    seconds = moves * LEAPFROGS * sampler.pace(decoder, decoder.observe(examples, torch.Generator()))
    if seconds > LONG:
        effort = f"{sampler.steps:,} steps of {sampler.chains} chains for each of {len(examples)} test images"
        took = f"{moves * LEAPFROGS:,} decoder passes, about {seconds / 60:,.0f} min"
        print(f"annealing: {effort}, {took}; fewer --steps, --chains or -n are faster", file=sys.stderr, flush=True)


# ---- the noise around a generator ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tuning:
    """How the σ of a generator's noise is looked for.

    Attributes:
        images, chains: of every σ on a grid.
        coarse, fine: steps of annealing on the two grids.
    """

    images: int = TUNING_IMAGES
    chains: int = TUNING_CHAINS
    coarse: int = COARSE_STEPS
    fine: int = FINE_STEPS

    @classmethod
    def within(cls, images: int, steps: int, chains: int) -> Tuning:
        """One that takes at most about as long as measuring so many images by so many steps and chains."""
        coarse, fine = min(COARSE_STEPS, steps), min(FINE_STEPS, steps)
        most = steps * chains * (images + 2 * SIMULATED) // (coarse * len(COARSE) + fine * len(FINE))
        used = min(TUNING_IMAGES, max(LEAST_TUNING_IMAGES, most))
        return cls(used, min(TUNING_CHAINS, chains, max(1, most // used)), coarse, fine)

    @property
    def moves(self) -> int:
        """Of all chains together."""
        return self.images * self.chains * (self.coarse * len(COARSE) + self.fine * len(FINE))


def decoder_of(game: Generative, others: Shown, sampler: Sampler, tuning: Tuning | None) -> Decoder:
    """A VAE's own p(x|z), or Gaussian noise of the σ that suits these images best."""
    if isinstance(game, VAE):
        return OwnLikelihood(game)
    return GaussianNoise(game, best_deviation(game, others, sampler, tuning or Tuning()))


def best_deviation(game: Generative, others: Shown, sampler: Sampler, tuning: Tuning) -> Tensor:
    """The σ under which these images are likeliest: of a coarse grid, then of a fine one with longer annealing."""
    rough = likeliest(game, others, COARSE, replace(sampler, steps=tuning.coarse, chains=tuning.chains))
    return likeliest(game, others, rough * FINE, replace(sampler, steps=tuning.fine, chains=tuning.chains))


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

    def moves(self, n: int) -> int:
        """Of all chains together, for the bounds of n examples and of as many simulated ones as there always are."""
        return self.steps * self.chains * (n + 2 * SIMULATED)

    def pace(self, decoder: Decoder, examples: Shown) -> float:
        """Seconds that one pass through the decoder and back takes one chain, of the many that pass at once."""
        few = examples[: max(1, CHUNK // self.chains)]
        latents = torch.zeros(self.chains, len(few), self.size).to(few.images)
        density = self.annealing(decoder, few).log_likelihood
        density(latents).sum().item()  # the first is slower
        began = time.perf_counter()
        density(latents).sum().item()
        return (time.perf_counter() - began) / latents[..., 0].numel()

    def annealing(self, decoder: Decoder, examples: Shown) -> Annealing:
        density = batched(decoder.density(examples), examples.images[0].numel())
        return Annealing(density, self.size, self.steps, self.chains, LEAPFROGS)

    def lower(self, decoder: Decoder, examples: Shown) -> tuple[Tensor, float]:
        """Bounds from below, (n,) on the CPU, and the share of moves accepted."""
        start = torch.randn(self.chains, len(examples), self.size, generator=self.stream).to(examples.images)
        bound = self.annealing(decoder, examples).lower(start, self.stream, self.progress)
        return bound.log_prob.cpu(), bound.acceptance

    def bounds(self, decoder: Decoder, examples: Shown) -> Bounds:
        """From below for these observed examples, from both sides for simulated ones of their classes in turn."""
        n = len(examples)
        like = examples[torch.arange(SIMULATED).to(examples.images.device) % n]
        latents = torch.randn(len(like), self.size, generator=self.stream).to(examples.images)
        simulated = decoder.simulate(latents, like.labels, self.stream)
        began = time.perf_counter()
        lower, acceptance = self.lower(decoder, examples + simulated)
        upper = self.annealing(decoder, simulated).upper(latents, self.stream, self.progress).log_prob.cpu()
        rate = self.moves(n) / (time.perf_counter() - began)
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
    def gap_interval(self) -> tuple[float, float]:
        return mean_interval(self.upper - self.lower)[1]

    @property
    def protocol(self) -> dict[str, Any]:
        return {
            "samples": len(self.test),
            "bdmc gap": self.gap,
            "bdmc gap interval": self.gap_interval,
            "simulated lower": self.lower.mean().item(),
            "simulated upper": self.upper.mean().item(),
            "simulated images": len(self.lower),
            "mean acceptance": self.acceptance,
            "chain steps per second": self.rate,
        }


def result(bounds: Bounds, entries: dict[str, Any]) -> Result:
    mean, (low, high) = mean_interval(bounds.test)
    law = entries["likelihood"] + (f" with sigma {entries['sigma']:.2g}" if "sigma" in entries else "")
    density = f", a density of {entries['density of']}" if "density of" in entries else ""
    counted = f"nats an image, mean of {len(bounds.test)}, from below; {law}{density}"
    meaning = f"{counted}; on {len(bounds.lower)} simulated images the bounds are {bounds.gap:.2f} apart"
    return Result("log-likelihood", mean, low, high, None, "higher", {**entries, "meaning": meaning})


def count_notes(test: Dataset, asked: int, measured: int, tuned: int) -> list[str]:
    """What there is to know of how many test images were measured."""
    found = []
    if measured < asked:
        kept = f" and sigma was chosen on {tuned} of them" if tuned else ""
        found.append(f"log p(x) of {measured} test images, not of {asked}: {test.name} has {len(test)}{kept}")
    if measured == 1:
        found.append("one test image gives log p(x) no interval: measure more")
    return found


def notes(bounds: Bounds) -> list[str]:
    """What there is to know of bounds that are far apart, or may be."""
    low, high = bounds.gap_interval
    if bounds.gap > WIDE_GAP:
        return [f"the bounds are {bounds.gap:.1f} nats apart on simulated images: take more --steps"]
    if bounds.gap < -WIDE_GAP:
        return [
            f"the bounds cross by {-bounds.gap:.1f} nats on simulated images, so both are that uncertain: "
            "take more --chains and --steps"
        ]
    if (margin := (high - low) / 2) > WIDE_GAP:
        return [
            f"how far the bounds are apart is known to ± {margin:.1f} nats only, of {len(bounds.lower)} simulated "
            "images: take more --chains and --steps"
        ]
    return []
