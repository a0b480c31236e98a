"""Small networks on points, and how they are trained here: full speed, one thread, nothing to tune."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from cardigan.training.randomness import seed_everything

Loss = Callable[[int], Tensor]


class MaxMin(nn.Module):
    """Sorts pairs of neighbours: as expressive as ReLU, and keeps the length of every gradient (Anil et al. 2019)."""

    def forward(self, x: Tensor) -> Tensor:
        pairs = x.unflatten(-1, (-1, 2))
        return torch.cat([pairs.amax(-1), pairs.amin(-1)], -1)


class Critic(nn.Module):
    """Points (n, dimension) to realness scores (n,)."""

    def __init__(self, dimension: int, widths: tuple[int, ...], activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((dimension, *widths)):
            layers += [nn.Linear(inputs, outputs), activation()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def forward(self, points: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(points).squeeze(-1)

    def parametrised(self, kind: Callable[[nn.Module], nn.Module]) -> Critic:
        """Itself, with every matrix held by `kind`."""
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                kind(layer)
        return self


def plain(
    dimension: int,
    seed: int,
    widths: tuple[int, ...] = (64, 64),
    activation: type[nn.Module] = nn.SiLU,
    sharpness: float = 1.0,
) -> Critic:
    """An unconstrained network with weights that are a function of the seed.

    Args:
        sharpness: times the first layer's weights, for densities finer than one unit.
    """
    seed_everything(seed, "critic")
    made = Critic(dimension, widths, activation)
    next(made.parameters()).data.mul_(sharpness)
    return made


def orthogonal(dimension: int, seed: int, widths: tuple[int, ...] = (64, 64, 64)) -> Critic:
    """1-Lipschitz by construction: matrices with orthonormal rows or columns, and `MaxMin`."""
    return plain(dimension, seed, widths, MaxMin).parametrised(parametrizations.orthogonal)


def spectral(dimension: int, seed: int, widths: tuple[int, ...] = (64, 64, 64)) -> Critic:
    """At most 1-Lipschitz: matrices divided by their largest singular value, and LeakyReLU (Miyato et al. 2018)."""
    made = plain(dimension, seed, widths, nn.LeakyReLU)
    return made.parametrised(lambda layer: parametrizations.spectral_norm(layer, n_power_iterations=2))


def descend(
    network: nn.Module,
    loss: Loss,
    steps: int,
    rate: float = 3e-3,
    betas: tuple[float, float] = (0.9, 0.99),
    after: Callable[[int], None] = lambda step: None,
) -> None:
    """Adam with a cosine rate on loss(step).

    Args:
        after: called after each step, with how many there have been.
    """
    optimiser = torch.optim.Adam(network.parameters(), lr=rate, betas=betas)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        optimiser.zero_grad(set_to_none=True)
        loss(step).backward()
        optimiser.step()
        schedule.step()
        after(step + 1)
