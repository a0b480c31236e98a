"""f-divergences and their variational form, which a critic can maximise from samples (Nowozin et al. 2016).

For convex f the divergence of the data p from the model q is

    D_f(p‖q) = E_q f(p/q)  =  sup_T  E_p T − E_q f*(T),

with f* the convex conjugate of f and the supremum attained at T = f'(p/q). The critic is a network's unbounded
realness v passed through an output activation g_f, T = g_f(v), which keeps T where f* is finite (Tables 1 and 2 of
the paper). Any critic gives a lower bound of the divergence.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cardigan.objectives.precision import at_least_float32

LOG_2 = math.log(2)


@dataclass(frozen=True)
class FDivergence:
    """One f-divergence, written as elementwise functions of tensors.

    Attributes:
        name: its key in ``DIVERGENCES``.
        f: the generating function f(u) of the density ratio u = p/q > 0.
        activation: g_f(v), from realness v in ℝ into the domain of f*.
        conjugate: f*(t) = sup_u ut − f(u).
        conjugate_of_activation: f*(g_f(v)) in a form that neither overflows early nor cancels.
        optimal_variational: T* = f'(u) as a function of log u.
    """

    name: str
    f: Callable[[Tensor], Tensor]
    activation: Callable[[Tensor], Tensor]
    conjugate: Callable[[Tensor], Tensor]
    conjugate_of_activation: Callable[[Tensor], Tensor]
    optimal_variational: Callable[[Tensor], Tensor]

    def lower_bound(self, real: Float[Tensor, " reals"], fake: Float[Tensor, " fakes"]) -> Float[Tensor, ""]:
        """E_p g_f(v) − E_q f*(g_f(v)) ≤ D_f(p‖q), from realness scores (Nowozin et al. 2016, section 2.2)."""
        real, fake = at_least_float32(real), at_least_float32(fake)
        return self.activation(real).mean() - self.conjugate_of_activation(fake).mean()


KL = FDivergence(
    name="kl",
    f=lambda u: torch.xlogy(u, u),
    activation=lambda v: v,
    conjugate=lambda t: torch.exp(t - 1),
    conjugate_of_activation=lambda v: torch.exp(v - 1),
    optimal_variational=lambda log_u: 1 + log_u,
)

REVERSE_KL = FDivergence(
    name="reverse-kl",
    f=lambda u: -torch.log(u),
    activation=lambda v: -torch.exp(-v),
    conjugate=lambda t: -1 - torch.log(-t),
    conjugate_of_activation=lambda v: v - 1,
    optimal_variational=lambda log_u: -torch.exp(-log_u),
)

PEARSON = FDivergence(
    name="pearson",
    f=lambda u: (u - 1).square(),
    activation=lambda v: v,
    conjugate=lambda t: t.square() / 4 + t,
    conjugate_of_activation=lambda v: v.square() / 4 + v,
    optimal_variational=lambda log_u: 2 * torch.expm1(log_u),
)

HELLINGER = FDivergence(
    name="hellinger",
    f=lambda u: (u.sqrt() - 1).square(),
    activation=lambda v: -torch.expm1(-v),
    conjugate=lambda t: t / (1 - t),
    conjugate_of_activation=torch.expm1,
    optimal_variational=lambda log_u: -torch.expm1(-log_u / 2),
)

# Twice the usual Jensen-Shannon divergence, as in the paper.
JENSEN_SHANNON = FDivergence(
    name="jensen-shannon",
    f=lambda u: torch.xlogy(u, u) - (u + 1) * torch.log((u + 1) / 2),
    activation=lambda v: LOG_2 - F.softplus(-v),
    conjugate=lambda t: -torch.log(2 - torch.exp(t)),
    conjugate_of_activation=lambda v: F.softplus(v) - LOG_2,
    optimal_variational=lambda log_u: LOG_2 - F.softplus(-log_u),
)

# The original game's value: 2 JSD − log 4, so −log 4 and not nought where p = q.
GAN = FDivergence(
    name="gan",
    f=lambda u: torch.xlogy(u, u) - (u + 1) * torch.log1p(u),
    activation=lambda v: -F.softplus(-v),
    conjugate=lambda t: -torch.log(-torch.expm1(t)),
    conjugate_of_activation=F.softplus,
    optimal_variational=lambda log_u: -F.softplus(-log_u),
)

TOTAL_VARIATION = FDivergence(
    name="total-variation",
    f=lambda u: (u - 1).abs() / 2,
    activation=lambda v: torch.tanh(v) / 2,
    conjugate=lambda t: t,
    conjugate_of_activation=lambda v: torch.tanh(v) / 2,
    optimal_variational=lambda log_u: torch.sign(log_u) / 2,
)

DIVERGENCES: Mapping[str, FDivergence] = MappingProxyType(
    {
        divergence.name: divergence
        for divergence in (KL, REVERSE_KL, PEARSON, HELLINGER, JENSEN_SHANNON, GAN, TOTAL_VARIATION)
    }
)
