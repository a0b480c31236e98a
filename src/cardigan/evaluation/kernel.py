"""Kernel distance: the squared maximum mean discrepancy under a cubic kernel (Bińkowski et al. 2018)."""

import torch
from jaxtyping import Float
from torch import Tensor

from cardigan.evaluation.intervals import grouping

BLOCK_ROWS = 1024


def kernel_distance(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> float:
    """Unbiased MMD² with k(x, y) = (xᵀy/d + 1)³: E k(x,x') + E k(y,y') - 2 E k(x,y) over distinct pairs.

    Zero in expectation for equal distributions at any n, hence negative half of the time there. On Inception features
    this is KID. O(n²d) time, constant memory beyond the features.

    Raises:
        ValueError: for fewer than two vectors on either side.
    """
    return kernel_distances(x, y, groups=1)[0]


def kernel_distances(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], groups: int = 10) -> tuple[float, list[float]]:
    """The unbiased estimate, and the same without one of ``groups`` random groups of both sides at a time.

    The replicates are what a jackknife takes, at no further cost: the kernel is summed by pairs of groups, once.

    Raises:
        ValueError: for fewer than two vectors on either side.
    """
    if min(len(x), len(y)) < 2:
        raise ValueError("the unbiased estimator takes at least 2 feature vectors on each side")
    groups = max(1, min(groups, len(x) // 2, len(y) // 2))
    xs, ys = _grouped(x.double(), groups), _grouped(y.double(), groups)
    sums = [_sums(xs, xs) - _diagonal(xs), _sums(ys, ys) - _diagonal(ys), _sums(xs, ys)]
    sizes = [torch.tensor([len(group) for group in side]) for side in (xs, ys)]

    def distance(kept: Tensor) -> float:
        n, m = (int(size[kept].sum()) for size in sizes)
        among_x, among_y, across = (float(block[kept][:, kept].sum()) for block in sums)
        return among_x / (n * (n - 1)) + among_y / (m * (m - 1)) - 2 * across / (n * m)

    index = torch.arange(groups)
    return distance(index >= 0), [distance(index != group) for group in range(groups if groups > 1 else 0)]


def _grouped(x: Tensor, groups: int) -> list[Tensor]:
    group = grouping(len(x), groups)
    return [x[group == index] for index in range(groups)]


def _sums(xs: list[Tensor], ys: list[Tensor]) -> Tensor:
    """The kernel's sum over all pairs of each pair of groups."""
    return torch.tensor([[_kernel_sum(x, y) for y in ys] for x in xs], dtype=torch.float64)


def _diagonal(xs: list[Tensor]) -> Tensor:
    """The part of a side's sums that pairs each vector with itself."""
    return torch.stack([(x.square().sum(1) / x.shape[1] + 1).pow(3).sum() for x in xs]).diag()


def _kernel_sum(x: Tensor, y: Tensor) -> float:
    total = 0.0
    for start in range(0, len(x), BLOCK_ROWS):
        kernel = (x[start : start + BLOCK_ROWS] @ y.T).div_(x.shape[1]).add_(1)
        total += float((kernel.square() * kernel).sum())
    return total
