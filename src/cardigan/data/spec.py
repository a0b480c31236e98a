"""What a model has to know of its data, and what it is given at each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cardigan.config import Config

if TYPE_CHECKING:
    from torch import Tensor


class DataSpec(Config):
    """The shape and meaning of one example; stored beside every model.

    Points of a 2-D density are examples of shape (2, 1, 1) and kind "points": they are real numbers that no
    network may squash, where images lie in [-1, 1].
    """

    channels: int
    height: int
    width: int
    kind: Literal["images", "points"] = "images"
    bits: Literal[8, 16] = 8
    classes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.channels, self.height, self.width

    @property
    def dimensions(self) -> int:
        """Numbers in one example."""
        return self.channels * self.height * self.width


@dataclass(frozen=True)
class Batch:
    """Examples on the training device.

    Attributes:
        images: float32 of shape (batch, channels, height, width), images in [-1, 1].
        labels: int64 of shape (batch,), or None where the data has no classes.
    """

    images: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)
