"""p(x|z) of trained models over standard normal latents, for all chains of all images at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from cardigan.data.spec import DataSpec
from cardigan.games import Generative
from cardigan.games.vae import VAE
from cardigan.objectives import gaussian_log_likelihood
from cardigan.theory.likelihood import LogLikelihood

CHUNK, CHUNK_NUMBERS = 1024, 2**19  # the most examples, and numbers in them, that pass the decoder at once

Density = Callable[[Tensor, Tensor], Tensor]
"""log p(x|z), (rows,), for standard normal latents (rows, size), of the images with these indices, int64 (rows,)."""


@dataclass(frozen=True)
class Shown:
    """Examples (n, channels, height, width) and, for a class-conditional model, their classes (n,)."""

    images: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Tensor | slice) -> Shown:
        return Shown(self.images[rows], None if self.labels is None else self.labels[rows])

    def __add__(self, other: Shown) -> Shown:
        labels = None if self.labels is None or other.labels is None else torch.cat([self.labels, other.labels])
        return Shown(torch.cat([self.images, other.images]), labels)


class Decoder(Protocol):
    """p(x|z) over standard normal latents."""

    protocol: Mapping[str, Any]
    """Which law it is and, of a density, of what."""

    def observe(self, shown: Shown, stream: torch.Generator) -> Shown:
        """What p(x|z) is a law of: the examples, or binary draws from their grey values."""
        ...

    def density(self, shown: Shown) -> Density:
        """Of these observed examples."""
        ...

    def simulate(self, latents: Tensor, labels: Tensor | None, stream: torch.Generator) -> Shown:
        """x ~ p(x|z) for latents (n, size) and, if conditional, classes (n,)."""
        ...


class OwnLikelihood:
    """A VAE's own: Bernoulli, Gaussian or discretised logistic."""

    def __init__(self, game: VAE) -> None:
        self.game = game
        density = density_entries(game.spec) if game.config.likelihood == "gaussian" else {}
        self.protocol: Mapping[str, Any] = {"likelihood": game.config.likelihood, **density}

    def observe(self, shown: Shown, stream: torch.Generator) -> Shown:
        return Shown(self.game.observe(shown.images.cpu(), stream).to(shown.images.device))

    def density(self, shown: Shown) -> Density:
        return lambda latents, rows: self.game.log_likelihood(shown.images[rows], latents)

    @torch.no_grad()
    def simulate(self, latents: Tensor, labels: Tensor | None, stream: torch.Generator) -> Shown:
        return Shown(self.game.simulate(latents, stream))


class GaussianNoise:
    """N(x; G(z), σ² I) around what a generator makes, the observation model of Wu et al. 2017.

    Args:
        deviation: σ, one for all examples, or one for each, (n,).
    """

    def __init__(self, game: Generative, deviation: Tensor) -> None:
        self.game, self.deviation = game, deviation
        one = {"sigma": deviation.item()} if deviation.numel() == 1 else {}
        self.protocol: Mapping[str, Any] = {"likelihood": "N(x; G(z), sigma² I)", **one, **density_entries(game.spec)}

    def observe(self, shown: Shown, stream: torch.Generator) -> Shown:
        return shown

    def density(self, shown: Shown) -> Density:
        log_scale = self.deviation.log().to(shown.images.device).expand(len(shown))[:, None, None, None]

        def of(latents: Tensor, rows: Tensor) -> Tensor:
            seen = shown[rows]
            return gaussian_log_likelihood(self.decode(latents, seen.labels), log_scale[rows], seen.images)

        return of

    @torch.no_grad()
    def simulate(self, latents: Tensor, labels: Tensor | None, stream: torch.Generator) -> Shown:
        means = self.decode(latents, labels).float()
        noise = torch.randn(means.shape, generator=stream).to(means.device)
        return Shown(means + self.deviation.to(means.device) * noise, labels)

    def decode(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        if self.game.latent.distribution == "uniform":
            latents = torch.erf(latents / math.sqrt(2))  # 2Φ(u) - 1 is uniform on (-1, 1) for standard normal u
        return self.game.decode(latents, labels)


def density_entries(spec: DataSpec) -> dict[str, Any]:
    """What a density is of, without which its logarithm is no number to compare."""
    if spec.kind == "points":
        return {"density of": "points as they are"}
    return {"density of": "pixels in [-1, 1]", "nats more of pixels in [0, 1]": spec.dimensions * math.log(2)}


def batched(density: Density, numbers: int, chunk: int = CHUNK) -> LogLikelihood:
    """The density for latents (chains, n, size): all chains of all examples pass the decoder in few large chunks.

    Args:
        numbers: in one example.
        chunk: the most examples in a chunk; fewer where they are large.
    """
    chunk = min(chunk, max(1, CHUNK_NUMBERS // numbers))

    def of(latents: Tensor) -> Tensor:
        chains, n, _ = latents.shape
        rows = torch.arange(n, device=latents.device).repeat(chains)
        return InChunks.apply(latents.flatten(0, 1), rows, density, chunk).view(chains, n)

    return of


class InChunks(torch.autograd.Function):
    """A density whose slopes are taken with its values, chunk by chunk, so that no graph outlives its chunk.

    This is possible because in evaluation mode no row depends on another.
    """

    @staticmethod
    def forward(ctx: Any, latents: Tensor, rows: Tensor, density: Density, chunk: int) -> Tensor:
        values: list[Tensor] = []
        slopes: list[Tensor] = []
        for part, of in zip(latents.split(chunk), rows.split(chunk), strict=True):
            with torch.enable_grad():
                leaf = part.detach().requires_grad_()
                value = density(leaf, of)
                slopes += torch.autograd.grad(value.sum(), leaf)
            values.append(value.detach())
        ctx.save_for_backward(torch.cat(slopes))
        return torch.cat(values)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None, None, None]:
        (slopes,) = ctx.saved_tensors
        return outer[0][:, None] * slopes, None, None, None
