"""What a model has to know of its data, and what it is given at each step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from cardigan.config import Config
from cardigan.text import TextConfig

if TYPE_CHECKING:
    from torch import Tensor


Colour = tuple[int, int, int]
"""8-bit red, green, blue."""


class Side(Config):
    """One of the two kinds of image that a translation goes between.

    Attributes:
        name: such as "day", or the folder that its images lie in.
        channels: stored of each image; a label map has one, which holds the number of the class.
        palette: of a label map: name and colour of each class; empty for other images.
        coding: what networks see of a label map: one channel a class, or its colours.
        indices: of a label map: the value of each class where it is grey; None where they count from 0.
    """

    name: str
    channels: int
    palette: tuple[tuple[str, Colour], ...] = ()
    coding: Literal["one-hot", "colours"] = "one-hot"
    indices: tuple[int, ...] | None = Field(default=None, repr=False)  # of no concern to what the images are

    @property
    def inputs(self) -> int:
        """Channels that networks see."""
        if not self.palette:
            return self.channels
        return len(self.palette) if self.coding == "one-hot" else 3


class DataSpec(Config):
    """The shape and meaning of one example; stored beside every model.

    An example of data for translation is two images, the channels of the second side after those of the first.

    Points of a 2-D density are examples of shape (2, 1, 1) and kind "points": they are real numbers that no
    network may squash, where images lie in [-1, 1].

    `text` says what turns sentences into vectors, where sentences are told of the images.
    """

    channels: int
    height: int
    width: int
    kind: Literal["images", "points"] = "images"
    bits: Literal[8, 16] = 8
    classes: tuple[str, ...] = ()
    sides: tuple[Side, ...] = ()
    paired: bool = False
    text: TextConfig | None = None

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
        texts: float32 of shape (batch, dims), what is said of each image, or None where nothing is; in training the mean of
            some of the vectors of its sentences, else the vector of the first.
        kinds: int64 of shape (batch,), or None: sentences that are true of an image may be true of others of its kind.
    """

    images: Tensor
    labels: Tensor | None = None
    texts: Tensor | None = None
    kinds: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)
