"""Confidence intervals that suit the statistics here: none of them is a plain mean."""

from collections.abc import Callable, Sequence
from math import inf, sqrt

import torch
from scipy.special import ndtri, stdtrit
from torch import Tensor

LEVEL = 0.95
JACKKNIFE = "delete-a-tenth jackknife, Student's t"
WILSON = "binomial, by Wilson's score"


def shuffled(x: Tensor, seed: int) -> Tensor:
    """The rows of ``x`` in an order that is a function of the seed alone."""
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))]


def _spread(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _student(freedom: int) -> float:
    return float(stdtrit(freedom, 0.5 + LEVEL / 2))


def normal_interval(value: float, error: float) -> tuple[float, float]:
    """value ± 1.96 standard errors."""
    margin = float(ndtri(0.5 + LEVEL / 2)) * error
    return value - margin, value + margin


def mean_interval(values: Tensor) -> tuple[float, tuple[float, float]]:
    """The mean of independent values (n,) and its 95 % interval by the normal approximation; one value bounds nothing."""
    values = values.double()
    mean = float(values.mean())
    error = float(values.std()) / sqrt(len(values)) if len(values) > 1 else inf
    return mean, normal_interval(mean, error)


def share_interval(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share of n independent verdicts (Wilson 1927): within [0, 1], and never without width."""
    z = float(ndtri(0.5 + LEVEL / 2))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    margin = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (centre - margin if share > 0 else 0.0), (centre + margin if share < 1 else 1.0)


def block_interval(value: float, blocks: Sequence[float]) -> tuple[float, float]:
    """95 % interval around ``value`` from the same statistic on disjoint blocks of the samples (Student's t)."""
    if len(blocks) < 2:
        return value, value
    margin = _student(len(blocks) - 1) * _spread(blocks) / sqrt(len(blocks))
    return value - margin, value + margin


def jackknife_interval(value: float, replicates: Sequence[float]) -> tuple[float, float]:
    """95 % interval around ``value`` from the same statistic without one group of the samples each (Student's t)."""
    if len(replicates) < 2:
        return value, value
    margin = _student(len(replicates) - 1) * _spread(replicates) * (len(replicates) - 1) / sqrt(len(replicates))
    return value - margin, value + margin


def leaving_out(statistic: Callable[[Tensor, Tensor], float], x: Tensor, y: Tensor, groups: int = 10) -> list[float]:
    """statistic(x, y) without one group of both samples at a time, for a delete-a-group jackknife.

    Every replicate has nearly the full size, so the bias of a Fréchet distance at small n does not enter, as it would
    in a bootstrap, whose resamples hold duplicates.
    """
    p, q = (grouping(len(s), min(groups, len(x) // 2, len(y) // 2)) for s in (x, y))
    return [statistic(x[p != group], y[q != group]) for group in range(int(p.max()) + 1)]


def grouping(n: int, groups: int) -> Tensor:
    """The group of each of n samples: groups of nearly equal size at random, for samples may be sorted by class."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(0)) % max(1, groups)


def hull(*intervals: tuple[float, float]) -> tuple[float, float]:
    """The smallest interval that holds all of them."""
    return min(low for low, _ in intervals), max(high for _, high in intervals)


def within(interval: tuple[float, float], highest: float = inf) -> tuple[float, float]:
    """The interval of a quantity that lies in [0, highest]: a distance, or a share of 1 or of 100."""
    low, high = (min(max(0.0, end), highest) for end in interval)
    return low, high
