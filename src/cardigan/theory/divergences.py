"""How far one distribution is from another, by quadrature, by sums over atoms, or in closed form.

p is the data and q the model throughout; natural logarithms. Distributions that share no mass (distinct points, distinct
parallel lines, points and a density) are as far apart as each divergence allows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from cardigan.errors import TheoryError
from cardigan.objectives.divergences import DIVERGENCES, FDivergence
from cardigan.theory.densities import (
    Density,
    Distribution,
    Gaussian,
    PointMasses,
    UpwardLine,
    same_dimension,
)
from cardigan.theory.quadrature import rule_for

Integrand = Callable[[Tensor, Tensor], Tensor]
"""What is integrated, as a function of log p and log q."""

LOG_2 = math.log(2)


def kl(p: Distribution, q: Distribution) -> float:
    """KL(p‖q) = ∫ p log(p/q): inf where q has no mass under p's."""
    return integrate(p, q, below, singular=math.inf)


def reverse_kl(p: Distribution, q: Distribution) -> float:
    """KL(q‖p), what maximum likelihood does not minimise: it seeks modes."""
    return kl(q, p)


def pearson(p: Distribution, q: Distribution) -> float:
    """Pearson's χ²(p‖q) = ∫ (p − q)²/q; of Gaussians finite only if p's variance is below twice q's."""
    if isinstance(p, Gaussian) and isinstance(q, Gaussian):
        return gaussian_pearson(p, q)
    return integrate(p, q, squared_excess, singular=math.inf)


def neyman(p: Distribution, q: Distribution) -> float:
    """Neyman's χ²(p‖q) = ∫ (p − q)²/p, which is Pearson's with the two exchanged."""
    return pearson(q, p)


def squared_hellinger(p: Distribution, q: Distribution) -> float:
    """H²(p, q) = ∫ (√p − √q)² = 2 − 2 ∫ √(pq), from 0 to 2 (half of it in some books)."""
    return integrate(p, q, squared_root_gap, singular=2.0)


def total_variation(p: Distribution, q: Distribution) -> float:
    """TV(p, q) = ½ ∫ |p − q|, from 0 to 1: the most by which the two disagree on the probability of an event."""
    return integrate(p, q, half_gap, singular=1.0)


def triangular(p: Distribution, q: Distribution) -> float:
    """Δ(p, q) = ∫ (p − q)²/(p + q), from 0 to 2 (Vincze 1981, Le Cam 1986): what least squares minimises."""

    def integrand(log_p: Tensor, log_q: Tensor) -> Tensor:
        both = log_p.exp() + log_q.exp()
        return torch.where(both > 0, (log_p.exp() - log_q.exp()).square() / both, 0.0)

    return integrate(p, q, integrand, singular=2.0)


def jensen_shannon(p: Distribution, q: Distribution) -> float:
    """JSD(p‖q) = ½ KL(p‖m) + ½ KL(q‖m) with m = ½(p + q), from 0 to log 2 (Lin 1991)."""
    return integrate(p, q, lambda log_p, log_q: 0.5 * twice_jensen_shannon(log_p, log_q), singular=LOG_2)


def f_divergence(p: Distribution, q: Distribution, divergence: FDivergence) -> float:
    """D_f(p‖q) = ∫ q f(p/q), with p f'(∞) where q is nought and q f(0) where p is (Csiszár 1967).

    For any of the library's f; of an f of one's own the ratio p/q is held between e^−700 and e^700.
    """
    if divergence is DIVERGENCES["pearson"]:
        return pearson(p, q)
    same = divergence.f(torch.ones((), dtype=torch.float64)).item()
    return integrate(p, q, perspective(divergence), singular=sum(limits(divergence)), same=same)


def limits(divergence: FDivergence) -> tuple[float, float]:
    """f(0) and f'(∞) = lim f(u)/u, what mass of q without p and mass of p without q each count."""
    nought = torch.zeros((), dtype=torch.float64)
    return divergence.f(nought).item(), divergence.optimal_variational(nought + math.inf).item()


def variational_bound(p: Density, q: Density, divergence: FDivergence, realness: Callable[[Tensor], Tensor]) -> float:
    """E_p g_f(v) − E_q f*(g_f(v)) ≤ D_f(p‖q) for a critic v(x), exactly (Nowozin et al. 2016, Eq. 4).

    It is −inf where the second mean is infinite.

    Args:
        realness: points (n, dimension) to the critic's unbounded output (n,).
    """
    rule = rule_for(p, q)

    def mean(density: Density, of: Callable[[Tensor], Tensor]) -> float:
        def integrand(x: Tensor) -> Tensor:
            probability = density.log_prob(x).exp()
            return torch.where(probability > 0, probability * of(realness(x)), 0.0)

        return rule.integral(integrand)

    loss = mean(q, divergence.conjugate_of_activation)
    return -math.inf if loss == math.inf else mean(p, divergence.activation) - loss


def relativistic(p: Density, q: Density, points: int = 4001) -> float:
    """JSD(p⊗q ‖ q⊗p) on the line: log 2 minus the least loss of a relativistic discriminator.

    Pairs (a, b) from p⊗q and from q⊗p differ by the log ratio ℓ(a) − ℓ(b), ℓ = log p/q, which a difference of scores
    attains. Then JSD = log 2 − E sp(ℓ(b) − ℓ(a)) over a ~ p, b ~ q: a double sum over a rule on the line.

    Raises:
        TheoryError: where the dimension is not one.
    """
    if same_dimension(p, q) != 1:
        raise TheoryError("the relativistic divergence is computed on the line only")
    rule = rule_for(p, q)
    log_p, log_q = p.log_prob(rule.points), q.log_prob(rule.points)
    loss = 0.0
    for part in torch.arange(len(rule.points)).split(points):
        margin = (log_p - log_q)[part, None] - (log_p - log_q)[None, :]
        weights = (rule.weights * log_p.exp())[part, None] * (rule.weights * log_q.exp())[None, :]
        loss += (weights * torch.nn.functional.softplus(-margin.nan_to_num())).sum().item()
    return LOG_2 - loss


# ---- integrands, as functions of log p and log q -------------------------------------------------------------------


def below(log_p: Tensor, log_m: Tensor) -> Tensor:
    """p log(p/m): nought where p is, inf where only m is."""
    inside = torch.where(log_m > -math.inf, log_p.exp() * (log_p - log_m), math.inf)
    return torch.where(log_p > -math.inf, inside, 0.0)


def squared_excess(log_p: Tensor, log_q: Tensor) -> Tensor:
    """(p − q)²/q, where the ratio's square may overflow though p²/q does not."""
    ratio = torch.where(log_p > -math.inf, (2 * log_p - log_q).exp(), 0.0)
    return ratio - 2 * log_p.exp() + log_q.exp()


def squared_root_gap(log_p: Tensor, log_q: Tensor) -> Tensor:
    return ((log_p / 2).exp() - (log_q / 2).exp()).square()


def half_gap(log_p: Tensor, log_q: Tensor) -> Tensor:
    return 0.5 * (log_p.exp() - log_q.exp()).abs()


def game_value(log_p: Tensor, log_q: Tensor) -> Tensor:
    """p log D* + q log(1 − D*), with D* = p/(p + q)."""
    log_sum = torch.logaddexp(log_p, log_q)
    return below(log_p, log_sum) + below(log_q, log_sum)


def twice_jensen_shannon(log_p: Tensor, log_q: Tensor) -> Tensor:
    log_m = torch.logaddexp(log_p, log_q) - LOG_2
    return below(log_p, log_m) + below(log_q, log_m)


STABLE: Mapping[str, Integrand] = MappingProxyType(
    {
        "kl": below,
        "reverse-kl": lambda log_p, log_q: below(log_q, log_p),
        "pearson": squared_excess,
        "hellinger": squared_root_gap,
        "jensen-shannon": twice_jensen_shannon,
        "gan": game_value,
        "total-variation": half_gap,
    }
)
"""q f(p/q) of the library's f, in forms that neither overflow nor lose what either density has alone."""


def perspective(divergence: FDivergence) -> Integrand:
    """q f(p/q) as a function of log p and log q, with its limits where either density is nought."""
    if DIVERGENCES.get(divergence.name) is divergence:
        return STABLE[divergence.name]
    at_nought, slope = limits(divergence)

    def integrand(log_p: Tensor, log_q: Tensor) -> Tensor:
        log_u = (log_p - log_q).nan_to_num(nan=0.0).clamp(-700, 700)
        value = torch.where(log_u < 0, log_q.exp(), (log_p - log_u).exp()) * divergence.f(log_u.exp())
        value = torch.where(log_p > -math.inf, value, counted(log_q, at_nought))
        return torch.where(log_q > -math.inf, value, counted(log_p, slope))

    return integrand


def counted(log_mass: Tensor, worth: float) -> Tensor:
    """Mass times what it is worth, which may be infinite: nought where there is no mass."""
    return torch.where(log_mass > -math.inf, log_mass.exp().clamp(min=1e-300) * worth, 0.0)


# ---- closed forms --------------------------------------------------------------------------------------------------


def gaussian_kl(p: Gaussian, q: Gaussian) -> float:
    """KL of Gaussians: ½ (tr(Σq⁻¹Σp) + |μq − μp|² in Σq⁻¹ − d + log |Σq|/|Σp|)."""
    dimension, shift = same_dimension(p, q), q.mean - p.mean
    trace = torch.linalg.solve(q.covariance, p.covariance).trace()
    distance = shift @ torch.linalg.solve(q.covariance, shift)
    return 0.5 * (trace + distance - dimension + q.covariance.logdet() - p.covariance.logdet()).item()


def gaussian_pearson(p: Gaussian, q: Gaussian) -> float:
    """χ² of Gaussians: ∫ p²/q − 1, an integral of exp(−½ xᵀAx + bᵀx) with A = 2Σp⁻¹ − Σq⁻¹, inf unless A is positive."""
    same_dimension(p, q)
    left, right = torch.linalg.inv(p.covariance), torch.linalg.inv(q.covariance)
    a, b = 2 * left - right, -right @ (q.mean - p.mean)  # seen from p's mean
    if torch.linalg.eigvalsh(a).min() <= 0:
        return math.inf
    shift = q.mean - p.mean
    exponent = 0.5 * (b @ torch.linalg.solve(a, b) + shift @ right @ shift)
    log_scale = 0.5 * (q.covariance.logdet() - a.logdet()) - p.covariance.logdet()
    return torch.expm1(exponent + log_scale).item()


# ---- integration ---------------------------------------------------------------------------------------------------


def integrate(
    p: Distribution, q: Distribution, integrand: Integrand, singular: float | None = None, same: float = 0.0
) -> float:
    """The integral of a function of (log p, log q) over all points.

    Args:
        singular: its value where no mass is shared.
        same: its value of two equal distributions.

    Raises:
        TheoryError: where the dimensions differ or are too many for quadrature, or no integral is known for these kinds
            of distributions.
    """
    same_dimension(p, q)
    if isinstance(p, Density) and isinstance(q, Density):
        return rule_for(p, q).integral(lambda x: integrand(p.log_prob(x), q.log_prob(x)))
    if isinstance(p, PointMasses) and isinstance(q, PointMasses):
        return integrand(*(mass.log() for mass in on_common_points(p, q))).sum().item()
    if isinstance(p, UpwardLine) and p == q:
        return same
    if singular is None:
        raise TheoryError(f"no density of {type(p).__name__} and {type(q).__name__} to integrate")
    return singular


def on_common_points(p: PointMasses, q: PointMasses) -> tuple[Tensor, Tensor]:
    """The masses of both on all points of either."""
    points, which = torch.cat([p.points, q.points]).unique(dim=0, return_inverse=True)
    masses = []
    for side, mass in ((which[: len(p.mass)], p.mass), (which[len(p.mass) :], q.mass)):
        masses.append(mass.new_zeros(len(points)).index_add(0, side, mass))
    return masses[0], masses[1]
