"""The order of examples, addressed rather than consumed."""

from __future__ import annotations

import torch
from torch import Tensor

from cardigan.data.seeds import derived_seed


class Order:
    """An endless sequence of permutations of range(count), one an epoch.

    Position p holds example ``permutation(seed, p // count)[p % count]``: a pure function of the seed and the
    position, so that a training goes on from any position without having drawn those before it.

    Args:
        count: number of examples.
        seed: decides all permutations.
    """

    def __init__(self, count: int, seed: int) -> None:
        if count < 1:
            raise ValueError(f"count must be at least 1, not {count}")
        self.count = count
        self.seed = seed
        self._epoch = -1
        self._permutation = torch.empty(0, dtype=torch.int64)

    def indices(self, start: int, n: int) -> Tensor:
        """Examples at positions start, ..., start + n - 1: int64 (n,)."""
        if start < 0 or n < 0:
            raise ValueError(f"start and n must not be negative, not {start} and {n}")
        parts = []
        while n > 0:
            epoch, offset = divmod(start, self.count)
            part = self._of(epoch)[offset : offset + n]
            parts.append(part)
            start, n = start + len(part), n - len(part)
        if len(parts) == 1:
            return parts[0].clone()
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)

    def _of(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(derived_seed(self.seed, "order", epoch))
            self._permutation = torch.randperm(self.count, generator=generator)
            self._epoch = epoch
        return self._permutation
