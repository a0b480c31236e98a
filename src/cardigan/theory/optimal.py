"""The discriminator that cannot be beaten, for every objective of the library, as a function of log p/q.

Scores are the library's realness: p is the data, q the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from cardigan.errors import TheoryError
from cardigan.theory.densities import Line, on_the_line
from cardigan.theory.quadrature import line_rule

Score = Callable[[Tensor], Tensor]


def identity(log_ratio: Tensor) -> Tensor:
    """s* = log p/q: the logit of the optimal D = p/(p + q) is the log density ratio itself."""
    return log_ratio


def steepest(log_ratio: Tensor) -> Tensor:
    """s* = ±∞ by the sign of log p/q, and 0 where p = q: tanh(s)/2 is to reach ±½."""
    return torch.where(log_ratio == 0, 0.0, torch.sign(log_ratio) * torch.inf)


OPTIMAL_SCORES: Mapping[str, Score] = MappingProxyType(
    {
        "minimax": identity,
        "non-saturating": identity,
        "relativistic": identity,  # up to any constant
        "least-squares": torch.sigmoid,
        "hinge": torch.sign,
        "f-kl": lambda log_ratio: 1 + log_ratio,
        "f-reverse-kl": identity,
        "f-pearson": lambda log_ratio: 2 * torch.expm1(log_ratio),
        "f-hellinger": lambda log_ratio: log_ratio / 2,
        "f-jensen-shannon": identity,
        "f-gan": identity,
        "f-total-variation": steepest,
    }
)
"""s*(log p/q) by the name of the objective; Wasserstein's depends on more than the ratio: see `kantorovich_potential`."""


def optimal_score(objective: str, log_ratio: Tensor) -> Tensor:
    """The score, elementwise, that minimises the discriminator's loss of an objective.

    Raises:
        TheoryError: for Wasserstein's, which is no function of the ratio, and the relativistic average's, which has no
            closed form.
    """
    if objective not in OPTIMAL_SCORES:
        known = ", ".join(OPTIMAL_SCORES)
        raise TheoryError(
            f"the optimal score of {objective!r} is no function of the density ratio; choose from {known}"
        )
    return OPTIMAL_SCORES[objective](log_ratio)


def kantorovich_potential(p: Line, q: Line, points: int = 20_001) -> tuple[Tensor, Tensor]:
    """The critic that attains W1 on the line: x (n,) and f(x) (n,), with f' = sign(F_q − F_p), so |f'| is at most 1.

    E_p f − E_q f = ∫ f' (F_q − F_p) dx = W1(p, q): Kantorovich and Rubinstein's duality without a gap.

    Raises:
        TheoryError: where p or q is no density of the line.
    """
    on_the_line(p, q)
    ends = line_rule((p, q)).points[:, 0]
    x = torch.linspace(ends.min().item(), ends.max().item(), points, dtype=torch.float64)
    middle = (x[1:] + x[:-1]) / 2
    slopes = torch.sign(q.cdf(middle) - p.cdf(middle))
    return x, torch.cat([x.new_zeros(1), (slopes * x.diff()).cumsum(0)])
