"""The search for latents whose pictures are near given ones: all pictures and all starts at once.

Only the latents move; the weights of all networks are fixed. Each search begins at the best of many samples and ends
when it has converged, by itself, so that a picture's result does not depend on the pictures beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn import functional

from cardigan.apps.truncation import chosen_as
from cardigan.config import Config
from cardigan.errors import DataError
from cardigan.games import Encoding, Generative
from cardigan.training.device import choose_arithmetic
from cardigan.training.randomness import generator

PIXELS = 1 << 20
"""Pixels of all images in one pass, which bounds the memory: 256 images of 64 x 64."""
BANK = 512
"""Samples among which the search begins."""
TRIAL = 40
"""Steps after which only the best start of an image goes on: by then the order of the starts is mostly decided."""
WINDOW_STEPS = 20
DECAY = 0.3
BETAS = (0.9, 0.99)


class SearchOptions(Config):
    """How the search for latents goes.

    Attributes:
        prior: weight of the prior loss beside the error, which is a mean over pixels in [-1, 1].
        restarts: starts for each image; the best result is kept.
        steps: the most steps of a search.
        lr: first step size, in units of the latents; it falls to 0.3 of itself whenever the loss no longer does.
        decays: how often it falls before the search ends.
        improvement: the relative fall of the loss in 20 steps below which it counts as none.
        seed: of the samples among which the search begins.
    """

    prior: NonNegativeFloat = 0.0
    restarts: PositiveInt = 4
    steps: PositiveInt = 1000
    lr: PositiveFloat = 0.1
    decays: PositiveInt = 3
    improvement: PositiveFloat = 0.02
    seed: int = 0


@dataclass(frozen=True)
class Found:
    """What was found for n images.

    Attributes:
        images: the generator's, float32 (n, channels, height, width).
        latents: (n, latent size).
        losses: what was minimised, (n,).
        steps: how many the search took, int64 (n,), of the start that won.
    """

    images: Tensor
    latents: Tensor
    losses: Tensor
    steps: Tensor


def weighted_error(generated: Tensor, images: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of |generated - images| over pixels, (n,), for weights (n, 1, height, width) that sum to 1.

    With weights around a hole it is the context loss of Yeh et al. 2017.
    """
    return ((generated - images).abs() * weights).sum((1, 2, 3)) / images.shape[1]


class Search:
    """The search for latents that fit, for any number of images at once.

    Args:
        game: a trained one, in evaluation mode and without gradients for its weights.
        label: the class of all images, int64 (1,), where the game is conditional.
        radius: of the ball in which normal latents are looked for; by default the root of their number, around which
            the prior's draws lie.
    """

    def __init__(
        self,
        game: Generative,
        options: SearchOptions,
        device: torch.device,
        label: Tensor | None,
        radius: float | None = None,
    ) -> None:
        self.game, self.options, self.device, self.label = game, options, device, label
        self.radius = radius or math.sqrt(game.latent.size)
        self.bank = self.into_support(game.draw_latents(BANK, generator(options.seed, "completion")).to(device))
        arithmetic = choose_arithmetic(device, "float32", BANK, game)
        for name in game.stored:
            arithmetic.place(getattr(game, name))
        with torch.no_grad():
            at_once = rows(game)
            self.samples = torch.cat([self.decode(part) for part in self.bank.split(at_once)])
            if game.opponent:
                scores = torch.cat([self.realness(part) for part in self.samples.split(at_once)])
                self.usual, self.spread = scores.mean(), scores.std().clamp(min=1e-6)

    def decode(self, latents: Tensor) -> Tensor:
        return self.game.decode(latents, self.labels(len(latents))).float()

    def realness(self, images: Tensor) -> Tensor:
        return self.game.realness(images, self.labels(len(images))).float()

    def labels(self, n: int) -> Tensor | None:
        return None if self.label is None else self.label.expand(n)

    def prior_loss(self, latents: Tensor, generated: Tensor) -> Tensor:
        """How unusual it looks to the opponent, or, without one, -log p(z) for each latent number; (n,).

        Softplus of minus the opponent's score, counted in standard deviations of the scores of the model's own samples,
        so that its weight means the same under every objective.
        """
        if not self.game.opponent:
            return latents.square().mean(1) / 2
        return functional.softplus((self.usual - self.realness(generated)) / self.spread)

    def loss(self, latents: Tensor, generated: Tensor, images: Tensor, weights: Tensor) -> Tensor:
        error = weighted_error(generated, images, weights)
        if not self.options.prior:
            return error
        return error + self.options.prior * self.prior_loss(latents, generated)

    def into_support(self, latents: Tensor) -> Tensor:
        """Back to where the prior's draws lie: the cube of uniform ones, the ball of normal ones."""
        if self.game.latent.distribution == "uniform":
            return latents.clamp(-1.0, 1.0)
        within = latents * (self.radius / latents.norm(dim=1, keepdim=True)).clamp(max=1.0)
        return chosen_as(latents, within, self.game.choices)

    def misfits(self, image: Tensor, weights: Tensor) -> Tensor:
        """The weighted error of each sample for an image (channels, height, width), (samples,).

        Pixels that weigh nothing, as most do around a hole, are not looked at.
        """
        near = weights[0] > 0
        return (self.samples[..., near] - image[:, near]).abs().mean(1) @ weights[0, near]

    @torch.no_grad()
    def starts(self, images: Tensor, weights: Tensor, whole: Tensor) -> Tensor:
        """The samples that fit best, (n, restarts, latent size); an encoder's answer to `whole` takes the first place."""
        fit = torch.stack([self.misfits(y, w) for y, w in zip(images, weights, strict=True)])
        best = fit.topk(min(self.options.restarts, BANK), largest=False).indices
        chosen = self.bank[best]
        if isinstance(self.game, Encoding):
            chosen[:, 0] = self.into_support(self.game.encode(whole).float())
        return chosen

    def run(self, images: Tensor, weights: Tensor, whole: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Latents (n, size), losses (n,) and steps (n,) of the best start of each image."""
        starts = self.starts(images, weights, whole)
        n, restarts = starts.shape[:2]
        owners = torch.arange(n, device=self.device).repeat_interleave(restarts)
        latents, losses, steps = self.descend(starts.flatten(0, 1), images[owners], weights[owners], restarts)
        rows = losses.view(n, restarts).argmin(1) + torch.arange(n, device=self.device) * restarts
        return latents[rows], losses[rows], steps[rows]

    def descend(self, latents: Tensor, images: Tensor, weights: Tensor, restarts: int) -> tuple[Tensor, Tensor, Tensor]:
        """Adam on each row of latents by itself, until its loss stays where it is or another start of its image leads.

        Rows lie in groups of `restarts`, one group an image. Returns the best latents on the way, their losses and the
        number of steps, each for all rows.
        """
        n = len(latents)
        best, lowest = latents.clone(), latents.new_full((n,), math.inf)
        taken = torch.zeros(n, dtype=torch.int64, device=self.device)
        active = torch.arange(n, device=self.device)
        z, first, second = latents.clone(), torch.zeros_like(latents), torch.zeros_like(latents)
        rates, before = latents.new_full((n, 1), self.options.lr), lowest.clone()
        least = self.options.lr * DECAY ** (self.options.decays - 0.5)
        for step in range(self.options.steps):
            z.requires_grad_(True)
            generated = self.decode(z)
            losses = self.loss(z, generated, images, weights)
            (slopes,) = torch.autograd.grad(losses.sum(), z)
            slopes = chosen_as(torch.zeros_like(slopes), slopes, self.game.choices)
            z, losses = z.detach(), losses.detach()
            better = losses < lowest[active]
            best[active[better]], lowest[active[better]] = z[better], losses[better]
            taken[active] += 1
            first.lerp_(slopes, 1 - BETAS[0])
            second.lerp_(slopes.square(), 1 - BETAS[1])
            mean, square = first / (1 - BETAS[0] ** (step + 1)), second / (1 - BETAS[1] ** (step + 1))
            z = self.into_support(z - rates * mean / (square.sqrt() + 1e-8))
            if (step + 1) % WINDOW_STEPS == 0:
                stuck = lowest[active] > before[active] * (1 - self.options.improvement)
                before[active] = lowest[active]
                rates = torch.where(stuck[:, None], rates * DECAY, rates)
                going = (rates > least).flatten()
                if step + 1 == TRIAL:
                    going &= leading(lowest.view(-1, restarts)).flatten()[active]
                if not going.all():
                    z, first, second, rates = z[going], first[going], second[going], rates[going]
                    active, images, weights = active[going], images[going], weights[going]
                if not len(active):
                    break
        return best, lowest, taken


def rows(game: Generative) -> int:
    """How many latents go through the networks at once."""
    return max(1, min(PIXELS // (game.spec.height * game.spec.width), BANK))


def leading(losses: Tensor) -> Tensor:
    """Which is the lowest of each row, bool of the same shape."""
    return torch.zeros_like(losses, dtype=torch.bool).scatter(1, losses.argmin(1, keepdim=True), True)


def find(
    game: Generative,
    images: Tensor,
    weights: Tensor,
    options: SearchOptions,
    device: torch.device,
    *,
    label: Tensor | None = None,
    whole: Tensor | None = None,
    radius: float | None = None,
    advance: Callable[[int], None] = lambda images: None,
) -> Found:
    """Latents whose images are nearest to those given, in parts that fit memory.

    Args:
        images: (n, channels, height, width) in [-1, 1].
        weights: of their pixels in the error, (n, 1, height, width), of sum 1 for each image.
        whole: the images as an encoder can take them, where some of their pixels are unknown.
        radius: of the ball that normal latents are kept in.
        advance: called with the number of images of each part that is done.

    Raises:
        DataError: there are no images.
    """
    if not len(images):
        raise DataError("there is no image to search for: give at least one")
    whole = images if whole is None else whole
    at_once = max(1, rows(game) // options.restarts)
    found: list[tuple[Tensor, ...]] = []
    with choose_arithmetic(device, "float32", BANK, game).products():
        # A copy: the search lays the weights out for its own batches, and the model's samples are to stay the same.
        search = Search(deepcopy(game), options, device, label, radius)
        for part in zip(images.split(at_once), weights.split(at_once), whole.split(at_once), strict=True):
            latents, losses, steps = search.run(*(x.to(device) for x in part))
            with torch.no_grad():
                generated = search.decode(latents)
            found.append(tuple(x.cpu() for x in (generated, latents, losses, steps)))
            advance(len(part[0]))
    return Found(*(torch.cat(parts) for parts in zip(*found, strict=True)))
