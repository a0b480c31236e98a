"""How far one distribution is from another, by quadrature, by sums over atoms, or in closed form.

p is the data and q the model throughout; natural logarithms. Distributions that share no mass (distinct points, distinct
parallel lines, points and a density) are as far apart as each divergence allows.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from cardigan.errors import TheoryError
from cardigan.objectives.divergences import FDivergence
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
    return integrate(p, q, lambda log_p, log_q: log_p.exp() * (log_p - log_q), singular=math.inf)


def reverse_kl(p: Distribution, q: Distribution) -> float:
    """KL(q‖p), what maximum likelihood does not minimise: it seeks modes."""
    return kl(q, p)


def pearson(p: Distribution, q: Distribution) -> float:
    """Pearson's χ²(p‖q) = ∫ (p − q)²/q; of Gaussians finite only if p's variance is below twice q's."""
    return integrate(p, q, lambda log_p, log_q: (2 * log_p - log_q).exp() - log_p.exp(), singular=math.inf)


def neyman(p: Distribution, q: Distribution) -> float:
    """Neyman's χ²(p‖q) = ∫ (p − q)²/p, which is Pearson's with the two exchanged."""
    return pearson(q, p)


def squared_hellinger(p: Distribution, q: Distribution) -> float:
    """H²(p, q) = ∫ (√p − √q)² = 2 − 2 ∫ √(pq), from 0 to 2 (half of it in some books)."""
    return integrate(p, q, lambda log_p, log_q: ((log_p / 2).exp() - (log_q / 2).exp()).square(), singular=2.0)


def total_variation(p: Distribution, q: Distribution) -> float:
    """TV(p, q) = ½ ∫ |p − q|, from 0 to 1: the most by which the two disagree on the probability of an event."""
    return integrate(p, q, lambda log_p, log_q: 0.5 * (log_p.exp() - log_q.exp()).abs(), singular=1.0)


def triangular(p: Distribution, q: Distribution) -> float:
    """Δ(p, q) = ∫ (p − q)²/(p + q), from 0 to 2 (Vincze 1981, Le Cam 1986): what least squares minimises."""

    def integrand(log_p: Tensor, log_q: Tensor) -> Tensor:
        return (log_p.exp() - log_q.exp()).square() / (log_p.exp() + log_q.exp())

    return integrate(p, q, integrand, singular=2.0)


def jensen_shannon(p: Distribution, q: Distribution) -> float:
    """JSD(p‖q) = ½ KL(p‖m) + ½ KL(q‖m) with m = ½(p + q), from 0 to log 2 (Lin 1991)."""

    def integrand(log_p: Tensor, log_q: Tensor) -> Tensor:
        log_m = torch.logaddexp(log_p, log_q) - LOG_2
        return 0.5 * (below(log_p, log_m) + below(log_q, log_m))

    return integrate(p, q, integrand, singular=LOG_2)


def below(log_p: Tensor, log_m: Tensor) -> Tensor:
    """p log(p/m) for m that is nought only where p is."""
    return torch.where(log_p > -math.inf, log_p.exp() * (log_p - log_m), 0.0)


def f_divergence(p: Density, q: Density, divergence: FDivergence) -> float:
    """D_f(p‖q) = ∫ q f(p/q) (Csiszár 1967), for any of the library's f."""
    return integrate(p, q, lambda log_p, log_q: log_q.exp() * divergence.f((log_p - log_q).exp()))


def variational_bound(p: Density, q: Density, divergence: FDivergence, realness: Callable[[Tensor], Tensor]) -> float:
    """E_p g_f(v) − E_q f*(g_f(v)) ≤ D_f(p‖q) for a critic v(x), exactly (Nowozin et al. 2016, Eq. 4).

    Args:
        realness: points (n, dimension) to the critic's unbounded output (n,).
    """
    rule = rule_for(p, q)

    def payoff(x: Tensor) -> Tensor:
        v = realness(x)
        return p.log_prob(x).exp() * divergence.activation(v) - q.log_prob(
            x
        ).exp() * divergence.conjugate_of_activation(v)

    return rule.integral(payoff)


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


# ---- closed forms --------------------------------------------------------------------------------------------------


def gaussian_kl(p: Gaussian, q: Gaussian) -> float:
    """KL of Gaussians: ½ (tr(Σq⁻¹Σp) + |μq − μp|² in Σq⁻¹ − d + log |Σq|/|Σp|)."""
    dimension, shift = same_dimension(p, q), q.mean - p.mean
    trace = torch.linalg.solve(q.covariance, p.covariance).trace()
    distance = shift @ torch.linalg.solve(q.covariance, shift)
    return 0.5 * (trace + distance - dimension + q.covariance.logdet() - p.covariance.logdet()).item()


# ---- integration ---------------------------------------------------------------------------------------------------


def integrate(p: Distribution, q: Distribution, integrand: Integrand, singular: float | None = None) -> float:
    """The integral of a function of (log p, log q) over all points; `singular` is its value where no mass is shared.

    Raises:
        TheoryError: where the dimensions differ, or no integral is known for these kinds of distributions.
    """
    same_dimension(p, q)
    if isinstance(p, Density) and isinstance(q, Density):
        return rule_for(p, q).integral(lambda x: integrand(p.log_prob(x), q.log_prob(x)))
    if isinstance(p, PointMasses) and isinstance(q, PointMasses):
        values = integrand(*(mass.log() for mass in on_common_points(p, q)))
        return values.nan_to_num(nan=0.0, posinf=math.inf).sum().item()
    if isinstance(p, UpwardLine) and p == q:
        return 0.0
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
