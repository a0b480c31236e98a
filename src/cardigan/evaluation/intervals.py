"""Confidence intervals that suit the statistics here: none of them is a plain mean."""

from collections.abc import Callable, Sequence
from math import inf, sqrt

import torch
from scipy.special import ndtri, stdtrit
from torch import Tensor

LEVEL = 0.95


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
    """The mean of independent values (n,) and its 95 % interval by the normal approximation."""
    values = values.double()
    mean = float(values.mean())
    error = float(values.std()) / sqrt(len(values)) if len(values) > 1 else 0.0
    return mean, normal_interval(mean, error)


def block_interval(value: float, blocks: Sequence[float]) -> tuple[float, float]:
    """95 % interval around ``value`` from the same statistic on disjoint blocks of the samples (Student's t)."""
    if len(blocks) < 2:
        return value, value
    margin = _student(len(blocks) - 1) * _spread(blocks) / sqrt(len(blocks))
    return value - margin, value + margin


def jackknife_interval(
    statistic: Callable[[Tensor, Tensor], float], x: Tensor, y: Tensor, value: float, groups: int = 10
) -> tuple[float, float]:
    """95 % interval of statistic(x, y) by leaving out one group of both samples at a time (delete-a-group jackknife).

    Every replicate has nearly the full size, so the bias of a Fréchet distance at small n does not enter, as it would
    in a bootstrap, whose resamples hold duplicates.
    """
    groups = min(groups, len(x) // 2, len(y) // 2)
    if groups < 2:
        return value, value
    replicates = [statistic(_without(x, group, groups), _without(y, group, groups)) for group in range(groups)]
    margin = _student(groups - 1) * _spread(replicates) * (groups - 1) / sqrt(groups)
    return value - margin, value + margin


def within(interval: tuple[float, float], highest: float = inf) -> tuple[float, float]:
    """The interval of a quantity that lies in [0, highest]: a distance, or a share of 1 or of 100."""
    low, high = (min(max(0.0, end), highest) for end in interval)
    return low, high


def _without(x: Tensor, group: int, groups: int) -> Tensor:
    # Shuffled, for samples may come in the order of their classes.
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return x[order % groups != group]
