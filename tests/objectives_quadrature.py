"""Pairs of one-dimensional Gaussians, and exact expectations of losses under them by quadrature."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


def gauss_legendre(breaks: list[float], panels: int = 40, nodes: int = 20) -> tuple[Tensor, Tensor]:
    """Nodes and weights of a rule that is exact to rounding for functions smooth between the breaks."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    edges = np.concatenate([np.linspace(a, b, panels, endpoint=False) for a, b in pairwise(breaks)])
    edges = np.append(edges, breaks[-1])
    centre, half = (edges[1:] + edges[:-1]) / 2, (edges[1:] - edges[:-1]) / 2
    return (
        torch.from_numpy((centre[:, None] + half[:, None] * x).ravel()),
        torch.from_numpy((half[:, None] * w).ravel()),
    )


def log_normal(x: Tensor, mean: float | Tensor, scale: float) -> Tensor:
    return -0.5 * ((x - mean) / scale).square() - math.log(scale * math.sqrt(2 * math.pi))


def derivative(f: Callable[[float], float], at: float, step: float = 1e-3) -> float:
    """Central difference of fourth order."""
    return (8 * (f(at + step) - f(at - step)) - f(at + 2 * step) + f(at - 2 * step)) / (12 * step)


@dataclass(frozen=True)
class Pair:
    """p = N(0, 1), the data, and q = N(mean, scale²), the generator."""

    mean: float
    scale: float
    x: Tensor = field(init=False, repr=False)
    weights: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        low, high = -14.0 * max(1, self.scale), self.mean + 14.0 * max(1, self.scale)
        x, weights = gauss_legendre([low, *self._crossings(), high])
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "weights", weights)

    def _crossings(self) -> list[float]:
        """Where p = q: the roots of log p/q, at which sign(p − q) has its kinks."""
        precision = 1 / self.scale**2
        quadratic = [
            (precision - 1) / 2,
            -self.mean * precision,
            self.mean**2 * precision / 2 + math.log(self.scale),
        ]
        return sorted(float(root.real) for root in np.roots(quadratic))

    @property
    def log_p(self) -> Tensor:
        return log_normal(self.x, 0, 1)

    @property
    def log_q(self) -> Tensor:
        return log_normal(self.x, self.mean, self.scale)

    @property
    def log_ratio(self) -> Tensor:
        return self.log_p - self.log_q

    def over_p(self, values: Tensor) -> Tensor:
        return (self.weights * self.log_p.exp() * values).sum()

    def over_q(self, values: Tensor) -> Tensor:
        return (self.weights * self.log_q.exp() * values).sum()

    def expect(self, loss: Loss, scores: Tensor) -> float:
        """E_p a(s) + E_q b(s) of a loss that is mean a(real) + mean b(fake), called on batches of one example."""
        zero = scores.new_zeros(1)
        of_real = torch.vmap(lambda s: loss(s[None], zero))(scores)
        of_fake = torch.vmap(lambda s: loss(zero, s[None]))(scores)
        return (self.over_p(of_real) + self.over_q(of_fake) - loss(zero, zero)).item()
