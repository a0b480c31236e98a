"""Exact Euclidean distances between large sets of points, a block at a time."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

BLOCK_NUMBERS = 1 << 22  # 32 MiB of float64


def squared_distances(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Iterator[tuple[int, Float[Tensor, "b m"]]]:
    """Yield (start, block) where block[i, j] = ||x[start + i] - y[j]||² in float64; no block exceeds 32 MiB.

    Both sets are moved to the mean of ``y`` first: expanding the square then loses no digits to a common offset.
    """
    centre = y.double().mean(0)
    x, y = x.double() - centre, y.double() - centre
    y_squared = y.square().sum(1)
    rows = max(1, BLOCK_NUMBERS // max(1, len(y)))
    for start in range(0, len(x), rows):
        part = x[start : start + rows]
        block = torch.addmm(y_squared, part, y.T, alpha=-2).add_(part.square().sum(1, keepdim=True))
        yield start, block.clamp_(min=0)


def neighbour_radii(x: Float[Tensor, "n d"], k: int) -> Float[Tensor, "n"]:
    """Squared distance of every point to its k-th nearest other point of the same set.

    Raises:
        ValueError: unless 1 <= k < n.
    """
    if not 1 <= k < len(x):
        raise ValueError(f"k must lie in 1..{len(x) - 1} for {len(x)} points, got {k}")
    radii = torch.empty(len(x), dtype=torch.float64)
    for start, block in squared_distances(x, x):
        rows = torch.arange(len(block))
        block[rows, rows + start] = -1.0
        radii[start : start + len(block)] = block.topk(k + 1, dim=1, largest=False).values[:, -1]
    return radii


def nearest_neighbours(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], *, leave_out: Int[Tensor, "n"] | None = None
) -> tuple[Int[Tensor, "n"], Float[Tensor, "n"]]:
    """Index and Euclidean distance of each point's nearest neighbour in ``y``.

    Args:
        leave_out: for each point of ``x`` one index of ``y`` that does not count (a point of the set itself).
    """
    indices = torch.empty(len(x), dtype=torch.int64)
    for start, block in squared_distances(x, y):
        stop = start + len(block)
        if leave_out is not None:
            block[torch.arange(len(block)), leave_out[start:stop]] = torch.inf
        indices[start:stop] = block.argmin(1)
    # The expanded square is only good for the choice: an exact copy must be at distance exactly zero.
    return indices, (x.double() - y.double()[indices]).square().sum(1).sqrt()
