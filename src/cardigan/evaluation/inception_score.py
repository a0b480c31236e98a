"""The inception score (Salimans et al. 2016, section 4), by any classifier."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from cardigan.evaluation.intervals import grouping, jackknife_interval


def inception_score(probabilities: Float[Tensor, "n classes"]) -> float:
    """exp of the mean of KL(p(y|x) || p(y)): 1 where all images look alike, the number of classes at best.

    Args:
        probabilities: what a classifier takes each image for, rows that sum to 1.
    """
    p = probabilities.double()
    entropy_of = lambda q: -torch.xlogy(q, q).sum(-1)  # noqa: E731
    return float((entropy_of(p.mean(0)) - entropy_of(p).mean()).exp())


def mean_score(heads: Sequence[Float[Tensor, "n _"]]) -> tuple[float, tuple[float, float]]:
    """The mean of the scores by several classifiers, and its 95 % interval, by leaving out a tenth of the images at a time."""
    n = len(heads[0])
    groups = grouping(n, min(10, n))

    def score(rows: Tensor) -> float:
        return sum(inception_score(head[rows]) for head in heads) / len(heads)

    whole = score(torch.ones(n, dtype=torch.bool))
    without = [score(groups != group) for group in range(int(groups.max()) + 1)] if n > 1 else []
    low, high = jackknife_interval(whole, without)
    return whole, (max(1.0, low), high)
