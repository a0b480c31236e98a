"""Integrals over boxes that are halved until they are exact, and over all that lies beyond a box."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, reduce

import numpy as np
import torch
from torch import Tensor

from cardigan.errors import TheoryError

Integrand = Callable[[Tensor], Tensor]
"""Points (n, dimension) to values (n,)."""

COARSE, FINE = 10, 14
"""Nodes a side of the two rules whose difference tells how exact a cell's integral is, and whether to halve it."""
TOLERANCE = 1e-11
"""The error of one cell, relative to the integral of the absolute value."""
LEAST = 1e-2
"""Integrals are told apart from nought as if their size were at least this: rounding allows no more."""
DEPTH, CELLS, CHUNK = 24, 60_000, 2_000
NOTHING, WIDENINGS = 1e-13, 60


@dataclass(frozen=True)
class Estimate:
    """An integral, the integral of its absolute value, and a bound of the error."""

    value: float = 0.0
    size: float = 0.0
    error: float = 0.0

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(self.value + other.value, self.size + other.size, self.error + other.error)


def halves(low: Tensor, high: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """The cells with the axes named by `where` (n, dimension) halved."""
    for axis in range(low.shape[1]):
        cut = where[:, axis]
        below, above = high.clone(), low.clone()
        below[cut, axis] = above[cut, axis] = (low[cut, axis] + high[cut, axis]) / 2
        low, high = torch.cat([low, above[cut]]), torch.cat([below, high[cut]])
        where = torch.cat([where, where[cut]])
    return low, high


@cache
def product_rule(order: int, dimension: int) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre on [-1, 1] to the power of the dimension: points (order^dimension, dimension) and weights."""
    nodes, weights = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(order))
    points = torch.cartesian_prod(*[nodes] * dimension).reshape(-1, dimension)
    return points, reduce(torch.kron, [weights] * dimension)


def nodes_in(low: Tensor, high: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Gauss-Legendre of so many nodes a side in each cell: points (n order^dimension, dimension) and their weights."""
    nodes, weights = product_rule(order, low.shape[1])
    centre, half = (high + low) / 2, (high - low) / 2
    points = centre[:, None] + half[:, None] * nodes
    return points.reshape(-1, low.shape[1]), (half.prod(1)[:, None] * weights).flatten()


def cubature(g: Integrand, low: Tensor, high: Tensor, least: float = LEAST) -> Estimate:
    """The integral over cells, each halved until two rules of it agree."""
    found = Estimate()
    for depth in range(DEPTH):
        each = [cell_integrals(g, *cells) for cells in zip(low.split(CHUNK), high.split(CHUNK), strict=True)]
        value, size, error = (torch.cat(parts) for parts in zip(*each, strict=True))
        if not torch.isfinite(value).all():
            return Estimate(total(value), torch.inf)
        bad = error > TOLERANCE * max(found.size + size.sum().item(), least)
        if depth == DEPTH - 1 or bad.sum() * 2 ** low.shape[1] > CELLS:
            bad = torch.zeros_like(bad)
        good = ~bad
        found += Estimate(*(part[good].sum().item() for part in (value, size, error)))
        if not bad.any():
            break
        low, high = halves(low[bad], high[bad], torch.ones_like(low[bad], dtype=torch.bool))
    return found


def cell_integrals(g: Integrand, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each cell the integral of g, that of |g|, and by how much a coarser rule's differs."""
    sums = []
    for order in (COARSE, FINE):
        points, weights = nodes_in(low, high, order)
        values = (weights * evaluated(g, points)).reshape(len(low), -1)
        sums.append((values.sum(1), values.abs().sum(1)))
    (coarse, _), (fine, size) = sums
    return fine, size, (fine - coarse).abs()


def beyond(g: Integrand, low: Tensor, high: Tensor, size: float) -> Estimate:
    """The integral outside a box, over frames each as wide again as all before; ±inf where they do not fade away.

    A frame that adds nothing is not enough: only when the next adds less still is the integrand held to be falling.
    """
    found, before = Estimate(), -1.0
    for _ in range(WIDENINGS):
        least = max(size + found.size, LEAST)
        frame = cubature(g, *frame_cells(low, high), least)
        if abs(frame.value) == torch.inf:
            return frame
        found += frame
        if frame.size <= NOTHING * least and (frame.size <= before or frame.size == 0):
            return found
        before, half = frame.size, (high - low) / 2
        low, high = low - half, high + half
    return Estimate(torch.inf if found.value > 0 else -torch.inf, torch.inf)


def frame_cells(low: Tensor, high: Tensor, pieces: int = 4) -> tuple[Tensor, Tensor]:
    """Cells between a box and the box of twice its size about the same centre."""
    steps, half = torch.linspace(0, 1, pieces + 1, dtype=torch.float64)[:, None], (high - low) / 2
    edges = torch.cat([low - half + half * steps[:-1], low + 2 * half * steps[:-1], high + half * steps])
    which = torch.cartesian_prod(*[torch.arange(3 * pieces)] * len(low)).reshape(-1, len(low))
    which = which[((which < pieces) | (which >= 2 * pieces)).any(1)]
    axes = torch.arange(len(low))
    return edges[which, axes], edges[which + 1, axes]


def box(points: Tensor) -> tuple[Tensor, Tensor]:
    """The lower and upper corner of the box around the points."""
    return points.amin(0), points.amax(0)


def evaluated(g: Integrand, x: Tensor) -> Tensor:
    """g at the points, or a TheoryError where it is not a number."""
    values = g(x)
    if values.isnan().any():
        place = [round(coordinate, 6) for coordinate in x[values.isnan()][0].tolist()]
        raise TheoryError(f"the integrand is not a number at {place}: give its limit there")
    return values


def total(values: Tensor) -> float:
    """Their sum; inf where one of them is, whatever the others."""
    return torch.inf if (values == torch.inf).any() else values.sum().item()
