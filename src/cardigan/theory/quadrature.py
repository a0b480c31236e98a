"""Integrals over the line and the plane to nearly the last digit, for smooth densities and their kinks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cardigan.errors import TheoryError
from cardigan.theory.densities import Density, same_dimension

PANELS, NODES = 24, 20
SIDE = 800
NOTHING = 1e-9
"""The share of its largest value below which an integrand counts as faded away."""


@dataclass(frozen=True)
class Rule:
    """Points (n, dimension) and weights (n,): the integral of g is about the weighted sum of g at the points.

    Attributes:
        rim: points just outside, where an integrand has to have faded away.
    """

    points: Tensor
    weights: Tensor
    rim: Tensor

    def integral(self, g: Callable[[Tensor], Tensor]) -> float:
        """The integral of g, which maps points (n, dimension) to (n,); inf where it diverges.

        A value that is not a number is that of 0 times inf, where neither density has mass: nought.
        """
        inside, outside = g(self.points).nan_to_num(nan=0.0, posinf=torch.inf), g(self.rim).nan_to_num(nan=0.0)
        if (inside == torch.inf).any() or outside.abs().max() > NOTHING * inside.abs().max():
            return torch.inf
        return (self.weights * inside).sum().item()


def rule_for(*densities: Density) -> Rule:
    """A rule that is exact to rounding where the densities, and what is made of them smoothly, have their mass.

    On the line: Gauss-Legendre in panels between the densities' landmarks and the points where two of them cross, at
    which total variation and its like have kinks. In the plane: the trapezoidal rule on a grid of equal steps, which is
    as exact for functions that fade away smoothly.

    Raises:
        TheoryError: where their dimensions differ, or are more than two.
    """
    dimension = same_dimension(*densities)
    if dimension == 1:
        return line_rule(densities)
    if dimension == 2:
        return plane_rule(densities)
    raise TheoryError(f"quadrature works in one and two dimensions, not in {dimension}: estimate from samples instead")


def line_rule(densities: tuple[Density, ...]) -> Rule:
    landmarks = torch.cat([density.landmarks()[:, 0] for density in densities]).unique()
    first = panels(landmarks)
    breaks = torch.cat(
        [landmarks, *(crossings(p, q, first.points) for p in densities for q in densities if p is not q)]
    )
    return panels(breaks.unique())


def panels(breaks: Tensor) -> Rule:
    """Gauss-Legendre in equal panels between the breaks."""
    nodes, weights = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(NODES))
    steps = torch.linspace(0, 1, PANELS + 1, dtype=torch.float64)
    edges = breaks[:-1, None] + (breaks[1:] - breaks[:-1])[:, None] * steps
    centre, half = (edges[:, 1:] + edges[:, :-1]) / 2, (edges[:, 1:] - edges[:, :-1]) / 2
    points = centre[..., None] + half[..., None] * nodes
    ends = breaks[[0]], breaks[[-1]]
    return Rule(points.reshape(-1, 1), (half[..., None] * weights).flatten(), rim(*ends))


def crossings(p: Density, q: Density, at: Tensor) -> Tensor:
    """Where p = q between the points, by bisection."""

    def excess(x: Tensor) -> Tensor:
        return (p.log_prob(x[:, None]) - q.log_prob(x[:, None])).nan_to_num(nan=0.0)

    x = at[:, 0]
    sign = excess(x).sign()
    here = (sign[:-1] * sign[1:] < 0).nonzero().flatten()
    low, high, left = x[here], x[here + 1], sign[here]
    for _ in range(60):
        middle = (low + high) / 2
        same = excess(middle).sign() == left
        low, high = torch.where(same, middle, low), torch.where(same, high, middle)
    return (low + high) / 2


def plane_rule(densities: tuple[Density, ...]) -> Rule:
    low, high = box(torch.cat([density.landmarks() for density in densities]))
    axes = [torch.linspace(*ends, SIDE, dtype=torch.float64) for ends in zip(low.tolist(), high.tolist(), strict=True)]
    points = torch.cartesian_prod(*axes)
    return Rule(points, ((high - low) / (SIDE - 1)).prod().expand(len(points)), rim(low, high))


def box(landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """The lower and upper corner of the box around the landmarks."""
    return landmarks.amin(0), landmarks.amax(0)


def rim(low: Tensor, high: Tensor, points: int = 33) -> Tensor:
    """Points on the sides of a box that is larger by a millionth than that between low and high."""
    margin = 1e-6 * (high - low)
    low, high = low - margin, high + margin
    along = low + (high - low) * torch.linspace(0, 1, points, dtype=low.dtype)[:, None]
    sides = []
    for axis in range(len(low)):
        for end in (low, high):
            side = along.clone() if len(low) > 1 else along[:1].clone()
            side[:, axis] = end[axis]
            sides.append(side)
    return torch.cat(sides)
