"""Optimal transport: on the line by quantiles, between Gaussians in closed form, between samples exactly.

The Earth-Mover distance of the lecture is W1, the least mean distance over all couplings of p and q; W2 is the root of
the least mean squared distance. Distances are Euclidean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from cardigan.errors import TheoryError
from cardigan.theory.densities import Gaussian, Line, masses, on_the_line, same_dimension
from cardigan.theory.quadrature import FINE, PANELS, line_rule, rule_of

TAIL = 8.0
"""Quantiles are taken between Φ(−8) and Φ(8): the mass beyond is 1e-15."""
ITERATIONS = 100_000
"""Of Sinkhorn's algorithm, at most."""


def w1(p: Line, q: Line) -> float:
    """W1(p, q) = ∫ |F_p − F_q| dx on the line, which is ∫ |F_p⁻¹ − F_q⁻¹| du (Vallender 1974).

    Raises:
        TheoryError: where p or q is no density of the line.
    """
    on_the_line(p, q)
    rule = line_rule((p, q))
    x = rule.points[:, 0]
    return (rule.weights * (p.cdf(x) - q.cdf(x)).abs()).sum().item()


def w2(p: Line, q: Line) -> float:
    """W2(p, q) = √ ∫ (F_p⁻¹ − F_q⁻¹)² du on the line, with u = Φ(t), which spreads the tails out.

    Quantiles jump where a distribution has a gap. Panels therefore end at the levels that F_p and F_q reach on a grid
    of points: within one panel neither quantile moves by more than the grid's step.

    Raises:
        TheoryError: where p or q is no density of the line.
    """
    on_the_line(p, q)
    levels = torch.cat([line.cdf(steps_of(line)) for line in (p, q)]).clamp(0, 1)
    even = torch.linspace(-TAIL, TAIL, 33, dtype=torch.float64)
    breaks = torch.cat([torch.special.ndtri(levels).clamp(-TAIL, TAIL), even]).unique()
    rule = rule_of(breaks[:-1, None], breaks[1:, None], FINE)
    t = rule.points[:, 0]
    gap = p.quantile(torch.special.ndtr(t)) - q.quantile(torch.special.ndtr(t))
    density = (-0.5 * t.square()).exp() / math.sqrt(2 * math.pi)
    return math.sqrt((rule.weights * density * gap.square()).sum().item())


def steps_of(line: Line) -> Tensor:
    """Points of the line, `PANELS` from one landmark to the next."""
    landmarks = line.landmarks()[:, 0].unique()
    part = torch.linspace(0, 1, PANELS + 1, dtype=torch.float64)
    return (landmarks[:-1, None] + landmarks.diff()[:, None] * part).flatten().unique()


def gaussian_w2(p: Gaussian, q: Gaussian) -> float:
    """W2 of Gaussians: √(|μp − μq|² + tr(Σp + Σq − 2 (Σp^½ Σq Σp^½)^½)) (Dowson & Landau 1982): the root of FID.

    Raises:
        TheoryError: where p or q is no Gaussian, or their dimensions differ.
    """
    for distribution in (p, q):
        if not isinstance(distribution, Gaussian):
            raise TheoryError(f"this takes Gaussians, not {type(distribution).__name__}: on the line, use w2")
    same_dimension(p, q)
    root = square_root(p.covariance)
    cross = torch.linalg.eigvalsh(root @ q.covariance @ root).clamp(min=0).sqrt().sum()
    spread = p.covariance.trace() + q.covariance.trace() - 2 * cross
    return math.sqrt(((p.mean - q.mean).square().sum() + spread.clamp(min=0)).item())


def square_root(matrix: Tensor) -> Tensor:
    """The symmetric root of a symmetric positive matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


@dataclass(frozen=True)
class Plan:
    """How mass moves from points x (n, d) to points y (m, d).

    Attributes:
        cost: mean distance to the power `order`, under the plan.
        coupling: float64 (n, m), whose rows add up to x's masses and whose columns to y's.
        order: 1 for the Earth-Mover distance, 2 for W2.
    """

    cost: float
    coupling: Tensor
    order: int

    @property
    def distance(self) -> float:
        """W1 or W2 of the two samples."""
        return self.cost ** (1 / self.order)


Weights = Sequence[float] | Tensor | None


def emd(x: Tensor, y: Tensor, x_mass: Weights = None, y_mass: Weights = None, order: int = 1) -> Plan:
    """The exact optimal transport of two weighted samples; equal weights by default.

    It is a network flow, which the simplex of POT solves; differences of cost below about 1e-12 of the largest cost
    count as nought to it, so one far outlier can blur what lies close together. Without POT, equally many points of
    equal weight are left to scipy as an assignment, which is as exact and takes up to thirteen times as long.

    Raises:
        TheoryError: for shapes that do not fit, points that are not finite, masses that are none, or where POT is needed
            and not installed.
    """
    cost = costs(x, y, order)
    if x_mass is None and y_mass is None and len(x) == len(y) and find_spec("ot") is None:
        return assignment(cost, order)
    weights = weights_of(x, y, x_mass, y_mass)
    ot = network_simplex("samples of unequal size or weight need")
    coupling = torch.from_numpy(ot.emd(*weights, (cost / unit_of(cost)).numpy(), numItermax=10_000_000))
    return Plan((coupling * cost).sum().item(), coupling, order)


def unit_of(cost: Tensor) -> float:
    """The largest cost, for POT's tolerance is absolute; 1 where all are nought."""
    return cost.max().item() or 1.0


def assignment(cost: Tensor, order: int) -> Plan:
    """The least mean cost of a one-to-one matching, as a plan: cost (n, n)."""
    rows, columns = linear_sum_assignment(cost.numpy())
    coupling = torch.zeros_like(cost)
    coupling[rows, columns] = 1 / len(cost)
    return Plan((coupling * cost).sum().item(), coupling, order)


def potentials(
    x: Tensor, y: Tensor, x_mass: Weights = None, y_mass: Weights = None, order: int = 1
) -> tuple[Tensor, Tensor]:
    """The dual of `emd`: f (n,) and g (m,) with f_i + g_j <= cost_ij, whose mean sum is the least cost (Kantorovich 1942).

    Raises:
        TheoryError: for shapes that do not fit, points that are not finite, masses that are none, or where POT is not
            installed.
    """
    cost = costs(x, y, order)
    weights, unit = weights_of(x, y, x_mass, y_mass), unit_of(cost)
    ot = network_simplex("the dual of a transport needs")
    _, log = ot.emd(*weights, (cost / unit).numpy(), numItermax=10_000_000, log=True)
    return torch.from_numpy(log["u"]) * unit, torch.from_numpy(log["v"]) * unit


def network_simplex(what: str) -> ModuleType:
    """POT, or a TheoryError that says what needs it."""
    try:
        import ot
    except ImportError as error:
        raise TheoryError(f"{what} POT: pip install 'cardigan[lab]'") from error
    return ot


def sinkhorn(
    x: Tensor, y: Tensor, regularisation: float, x_mass: Weights = None, y_mass: Weights = None, order: int = 1
) -> Plan:
    """The plan of least cost minus `regularisation` times its entropy (Cuturi 2013), by log-domain iterations.

    The plan is a true coupling, so its cost is never below that of `emd`, and above it by at most regularisation times
    log(n m): the bias. Small regularisations take many iterations. Points without mass take no part.

    Raises:
        TheoryError: for shapes that do not fit, points that are not finite, masses that are none, a regularisation that
            is not positive, or one so small that the marginals are not met to a millionth after `ITERATIONS`.
    """
    if not regularisation > 0:
        raise TheoryError(f"regularisation must be positive, not {regularisation}: for nought, use emd")
    cost = costs(x, y, order)
    a, b = (torch.from_numpy(mass) for mass in weights_of(x, y, x_mass, y_mass))
    rows, columns = a > 0, b > 0
    coupling = torch.zeros_like(cost)
    coupling[rows[:, None] & columns] = scaled(-cost[rows][:, columns] / regularisation, a[rows], b[columns]).flatten()
    return Plan((coupling * cost).sum().item(), coupling, order)


def scaled(kernel: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """exp(kernel) with its rows and columns scaled to add up to a and b."""
    log_a, log_b = a.log(), b.log()
    f, g, error = torch.zeros_like(log_a), torch.zeros_like(log_b), math.inf
    for _ in range(ITERATIONS):
        f = log_a - torch.logsumexp(kernel + g, 1)
        surplus = torch.logsumexp(kernel + f[:, None], 0) + g - log_b
        g = g - surplus
        error = surplus.exp().sub(1).abs().max().item()
        if error < 1e-9:
            break
    if not error < 1e-6:
        raise TheoryError(
            f"masses are still missed by {error:.1g} of them after {ITERATIONS:,} iterations: use a larger regularisation"
        )
    return (kernel + f[:, None] + g).exp()


def costs(x: Tensor, y: Tensor, order: int) -> Tensor:
    """Distances to the power `order` between points x (n, d) and y (m, d): float64 (n, m)."""
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1] or not len(x) or not len(y):
        raise TheoryError(f"points must be (n, d) and (m, d) with the same d, not {list(x.shape)} and {list(y.shape)}")
    if order not in (1, 2):
        raise TheoryError(f"order must be 1 or 2, not {order}")
    cost = torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist") ** order
    if not torch.isfinite(cost).all():
        raise TheoryError("points must be finite, and so must their distances to the power `order`")
    return cost


def weights_of(x: Tensor, y: Tensor, x_mass: Weights, y_mass: Weights) -> tuple[np.ndarray, np.ndarray]:
    found = []
    for points, given in ((x, x_mass), (y, y_mass)):
        mass = masses([1 / len(points)] * len(points) if given is None else given)
        if len(mass) != len(points):
            raise TheoryError(f"{len(points)} points need as many masses, not {len(mass)}")
        found.append(mass.numpy())
    return found[0], found[1]
