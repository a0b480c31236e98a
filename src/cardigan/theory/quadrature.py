"""Integrals over the line and the plane to nearly the last digit, for smooth densities and their kinks."""

from __future__ import annotations

import math
from collections.abc import Callable
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
    which total variation and its like have kinks; around the narrow parts of mixtures they are finer. In the plane:
    products of it in cells that are as small as the narrowest part of a density that they meet. Both are refined where
    an integrand needs it.

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
    mixtures = [parts for parts in map(weighted_parts, densities) if len(parts) > 1]
    rings = torch.cat([landmarks[:0], *(rings_around(part, landmarks) for parts in mixtures for part, _ in parts)])
    first = panels(landmarks, rings)
    bends = [bends_of(parts, first.points[:, 0]) for parts in mixtures]
    breaks = torch.cat(
        [landmarks, *(crossings(p, q, first.points) for p in densities for q in densities if p is not q)]
    )
    return verified(panels(breaks.unique(), torch.cat([rings, *bends])), densities)


def weighted_parts(density: Density, log_weight: float = 0.0) -> list[tuple[Density, float]]:
    """What a mixture, and the mixtures in it, consist of, with the logarithms of the weights."""
    if not isinstance(density, Mixture):
        return [(density, log_weight)]
    weighted = zip(density.parts, density.weights.tolist(), strict=True)
    return [
        found
        for part, weight in weighted
        if weight > 0
        for found in weighted_parts(part, log_weight + math.log(weight))
    ]


def rings_around(part: Density, within: Tensor) -> Tensor:
    """Points twice, four times, ... as far from a part's centre as its mass reaches.

    Where another part is far away, a mixture's logarithm follows a narrow part well beyond its mass.
    """
    low, high = box(part.landmarks()[:, 0])
    doublings = math.ceil(math.log2(max((within[-1] - within[0]).item() / (high - low).item(), 1))) + 1
    reach = (high - low) / 2 * 2.0 ** torch.arange(1, doublings + 1, dtype=torch.float64)
    points = torch.cat([(low + high) / 2 - reach, (low + high) / 2 + reach])
    return points[(points > within[0]) & (points < within[-1])]


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


def panels(breaks: Tensor, more: Tensor) -> AdaptiveRule:
    """Gauss-Legendre in equal panels between the breaks, which are cut at more points."""
    steps = torch.arange(PANELS, dtype=torch.float64) / PANELS
    edges = breaks[:-1, None] + breaks.diff()[:, None] * steps
    edges = torch.cat([edges.flatten(), breaks[-1:], more]).unique()
    return rule_of(edges[:-1, None], edges[1:, None], NODES)


def crossings(p: Density, q: Density, at: Tensor) -> Tensor:
    """Where p = q between the points."""

    def excess(x: Tensor) -> Tensor:
        return (p.log_prob(x[:, None]) - q.log_prob(x[:, None])).nan_to_num(nan=0.0)

    x = at[:, 0]
    sign = excess(x).sign()
    here = (sign[:-1] * sign[1:] < 0).nonzero().flatten()
    return bisected(lambda middle: excess(middle).sign() == sign[here], x[here], x[here + 1])


def bends_of(parts: list[tuple[Density, float]], x: Tensor) -> Tensor:
    """Where another part becomes the largest, between the points (n,): there the logarithm of a mixture bends."""

    def heights(x: Tensor) -> Tensor:
        return torch.stack([part.log_prob(x[:, None]) + log_weight for part, log_weight in parts])

    largest = heights(x).argmax(0)
    here = largest.diff().nonzero().flatten()
    before, after = largest[here], largest[here + 1]

    def first_leads(middle: Tensor) -> Tensor:
        found = heights(middle)
        return found.gather(0, before[None])[0] > found.gather(0, after[None])[0]

    return bisected(first_leads, x[here], x[here + 1])


def bisected(stays: Callable[[Tensor], Tensor], low: Tensor, high: Tensor) -> Tensor:
    """Between low and high, elementwise, where what holds at low ceases to."""
    for _ in range(60):
        middle = (low + high) / 2
        same = stays(middle)
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
