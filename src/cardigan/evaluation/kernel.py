"""Kernel distance: the squared maximum mean discrepancy under a cubic kernel (Bińkowski et al. 2018)."""

from jaxtyping import Float
from torch import Tensor

from cardigan.evaluation.intervals import shuffled

BLOCK_ROWS = 1024


def kernel_distance(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> float:
    """Unbiased MMD² with k(x, y) = (xᵀy/d + 1)³: E k(x,x') + E k(y,y') - 2 E k(x,y) over distinct pairs.

    Zero in expectation for equal distributions at any n, hence negative half of the time there. On Inception features
    this is KID. O(n²d) time, constant memory beyond the features.

    Raises:
        ValueError: for fewer than two vectors on either side.
    """
    if min(len(x), len(y)) < 2:
        raise ValueError("the unbiased estimator takes at least 2 feature vectors on each side")
    x, y = x.double(), y.double()
    return _mean_within(x) + _mean_within(y) - 2 * _kernel_sum(x, y) / (len(x) * len(y))


def kernel_distance_blocks(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], size: int = 1000, seed: int = 0
) -> list[float]:
    """The unbiased estimate on disjoint random subsets of at most ``size``; their mean ± s.e. is KID's usual report.

    Disjoint, so that the subsets are independent and their standard error means what it says. A set too small for
    ten such subsets is cut into ten.
    """
    n = min(len(x), len(y))
    size = max(2, min(size, n // 10))
    x, y = shuffled(x, seed), shuffled(y, seed + 1)
    return [kernel_distance(x[i : i + size], y[i : i + size]) for i in range(0, n - size + 1, size)]


def _kernel_sum(x: Tensor, y: Tensor) -> float:
    total = 0.0
    for start in range(0, len(x), BLOCK_ROWS):
        kernel = (x[start : start + BLOCK_ROWS] @ y.T).div_(x.shape[1]).add_(1)
        total += float((kernel.square() * kernel).sum())
    return total


def _mean_within(x: Tensor) -> float:
    diagonal = (x.square().sum(1) / x.shape[1] + 1).pow(3).sum()
    return (_kernel_sum(x, x) - float(diagonal)) / (len(x) * (len(x) - 1))
