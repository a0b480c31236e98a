"""One operation on some of the images of a batch."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Step:
    """Changes the chosen images and leaves the others as they are, to the bit.

    All fields are tensors on the images' device, with one row for each chosen image.

    Attributes:
        chosen: int64 (m,), which of the images.
    """

    chosen: Tensor

    def change(self, images: Tensor) -> Tensor:
        """The m chosen images (m, channels, height, width), changed; linear in them up to a constant."""
        raise TypeError(f"{type(self).__name__} defines no change")

    def __call__(self, images: Tensor) -> Tensor:
        if len(self.chosen) == len(images):
            return self.change(images)
        return images.index_copy(0, self.chosen, self.change(images.index_select(0, self.chosen)))

    def repeat(self, times: int, n: int) -> Step:
        """The same for several batches of n images, one behind the other."""
        rows = {f.name: torch.cat([getattr(self, f.name)] * times) for f in fields(self)}
        starts = n * torch.arange(times, device=self.chosen.device).repeat_interleave(len(self.chosen))
        return replace(self, **rows | {"chosen": rows["chosen"] + starts})
