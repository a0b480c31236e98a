"""Running means that never make the device wait."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Meter:
    """Sums named scalars on their device; they become Python numbers once a tick, not once a step."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    @torch.no_grad()
    def add(self, name: str, value: Tensor) -> None:
        value = value.detach().float()
        self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.counts[name] = self.counts.get(name, 0) + 1

    def add_all(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self.add(name, value)

    def read(self) -> dict[str, float]:
        """The means since the last reading; one transfer for all of them."""
        if not self.sums:
            return {}
        means = torch.stack([total / self.counts[name] for name, total in self.sums.items()]).tolist()
        result = dict(zip(self.sums, means, strict=True))
        self.sums, self.counts = {}, {}
        return result
