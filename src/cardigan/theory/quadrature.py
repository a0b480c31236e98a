"""Integrals over the line and the plane to nearly the last digit, for smooth densities and their kinks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cardigan.errors import TheoryError
from cardigan.theory.cubature import (
    CELLS,
    FINE,
    LEAST,
    Estimate,
    Integrand,
    beyond,
    box,
    cubature,
    evaluated,
    halves,
    nodes_in,
    total,
)
from cardigan.theory.densities import REACH, Density, Gaussian, Mixture, same_dimension

PANELS, NODES = 24, 20
GRADE = 7.0
"""Deviations of a part of a density across a cell of the plane that meets it, at most."""
DOUBT = 1e-6
"""The error of an integral, relative to that of the absolute value."""


@dataclass(frozen=True)
class Rule:
    """Points (n, dimension) and weights (n,): the integral of g is about the weighted sum of g at the points.

    Attributes:
        rim: points whose bounding box the rule covers.
    """

    points: Tensor
    weights: Tensor
    rim: Tensor

    def integral(self, g: Integrand) -> float:
        """The integral of g over all space; ±inf where it diverges.

        Raises:
            TheoryError: where g is not a number, or its integral is not known to a millionth.
        """
        inside = self.inside(g)
        if abs(inside.value) == torch.inf:
            return inside.value
        outside = beyond(g, *box(self.rim), inside.size)
        if abs(outside.value) == torch.inf:
            return outside.value
        found = inside + outside
        if self.points.shape[1] > 1:  # far out a narrow ridge of the plane may slip between the points
            found += Estimate(error=outside.size)
        if found.error > DOUBT * max(found.size, LEAST):
            raise TheoryError(
                f"the integral is {found.value:.6g} but for an error of {found.error:.1g}: estimate it from samples"
            )
        return found.value

    def inside(self, g: Integrand) -> Estimate:
        """The integral over the box of the rim."""
        values = self.weights * evaluated(g, self.points)
        return Estimate(total(values), values.abs().sum().item())


@dataclass(frozen=True)
class AdaptiveRule(Rule):
    """A rule of cells, low to high (n, dimension), which are halved until an integral over them is exact."""

    low: Tensor
    high: Tensor

    def inside(self, g: Integrand) -> Estimate:
        return cubature(g, self.low, self.high)


def rule_for(*densities: Density) -> Rule:
    """A rule that is exact to rounding where the densities, and what is made of them smoothly, have their mass.

    On the line: Gauss-Legendre in panels between the densities' landmarks and the points where two of them cross, at
    which total variation and its like have kinks. In the plane: products of it in cells that are as small as the
    narrowest part of a density that they meet. Both are refined where an integrand needs it.

    Raises:
        TheoryError: where their dimensions differ, or are more than two, or a density does not add up to one.
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
    return verified(panels(breaks.unique()), densities)


def verified(rule: Rule, densities: tuple[Density, ...]) -> Rule:
    """The rule, or a TheoryError where it does not find the mass of a density to be one."""
    for density in densities:
        mass = rule.integral(lambda x, density=density: density.log_prob(x).exp())
        if not abs(mass - 1) < DOUBT:
            raise TheoryError(
                f"quadrature finds a mass of {mass:.6g} in {type(density).__name__}, not 1: give it landmarks around "
                "each of its parts, or estimate from samples"
            )
    return rule


def panels(breaks: Tensor) -> AdaptiveRule:
    """Gauss-Legendre in equal panels between the breaks."""
    steps = torch.linspace(0, 1, PANELS + 1, dtype=torch.float64)
    edges = breaks[:-1, None] + (breaks[1:] - breaks[:-1])[:, None] * steps
    low, high = edges[:, :-1].reshape(-1, 1), edges[:, 1:].reshape(-1, 1)
    return rule_of(low, high, NODES)


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


# ---- the plane -----------------------------------------------------------------------------------------------------


def plane_rule(densities: tuple[Density, ...]) -> Rule:
    low, high = box(torch.cat([density.landmarks() for density in densities]))
    shapes = [shape for density in densities for shape in shapes_of(density)]
    return verified(rule_of(*graded(low, high, shapes), FINE), densities)


def shapes_of(density: Density) -> list[tuple[Tensor, Tensor]]:
    """Of each part of a density its centre m and a matrix W: the part's mass is where |W (x − m)| < `REACH`."""
    if isinstance(density, Mixture):
        return [shape for part in density.parts for shape in shapes_of(part)]
    if isinstance(density, Gaussian):
        return [(density.mean, torch.linalg.inv(torch.linalg.cholesky(density.covariance)))]
    low, high = box(density.landmarks())
    return [((low + high) / 2, torch.diag(2 * REACH / math.sqrt(len(low)) / (high - low)))]


def graded(low: Tensor, high: Tensor, shapes: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Cells that fill a box, halved until none is wider than `GRADE` deviations of a part that it meets.

    Raises:
        TheoryError: where that takes too many.
    """
    centres, whitenings = (torch.stack(values) for values in zip(*shapes, strict=True))
    steepness = whitenings.norm(dim=1)  # along each axis, in deviations
    cells, done = (low[None], high[None]), []
    while len(cells[0]):
        width, middle = cells[1] - cells[0], (cells[0] + cells[1]) / 2
        spread = width[:, None] * steepness
        distance = torch.einsum("kij,mkj->mki", whitenings, middle[:, None] - centres).norm(dim=2)
        meets = distance < REACH + spread.sum(2) / 2
        wide = (meets[..., None] & (spread > GRADE)).any(1)
        small = ~wide.any(1)
        done.append((cells[0][small], cells[1][small]))
        cells = halves(cells[0][~small], cells[1][~small], wide[~small])
        if len(cells[0]) + sum(len(part) for part, _ in done) > CELLS:
            raise TheoryError("the densities have too many narrow parts for quadrature: estimate from samples instead")
    return torch.cat([part for part, _ in done]), torch.cat([part for _, part in done])


def rule_of(low: Tensor, high: Tensor, order: int) -> AdaptiveRule:
    """Gauss-Legendre of so many nodes a side in each cell."""
    points, weights = nodes_in(low, high, order)
    return AdaptiveRule(points, weights, torch.stack([low.amin(0), high.amax(0)]), low=low, high=high)
