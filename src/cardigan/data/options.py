"""How images are made ready: the settings under ``data`` of a recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cardigan.config import Config

Pixels = Annotated[int, Field(gt=0, le=16384)]
Level = Annotated[int, Field(ge=0, le=255)]


class DataOptions(Config):
    """How a source of images becomes examples of one shape.

    Attributes:
        size: target (height, width), or one number for a square; None keeps the images' own size.
        channels: 1 grey, 3 colour, 4 colour with alpha; None keeps the images' own.
        fit: how an image of another aspect fills the target: cut its edges, stretch it, or pad it with the background.
        flip: show each image also mirrored left to right, at random.
        skip_unreadable: leave unreadable images out, and say so, instead of refusing the source.
        background: what shows through where alpha is dropped, and what pads; 8-bit red, green, blue.
        held_out: the part of the images kept for testing where the source has no split of its own.
    """

    size: Pixels | tuple[Pixels, Pixels] | None = None
    channels: Literal[1, 3, 4] | None = None
    fit: Literal["crop", "stretch", "pad"] = "crop"
    flip: bool = False
    skip_unreadable: bool = False
    background: tuple[Level, Level, Level] = (255, 255, 255)
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.1

    @property
    def target(self) -> tuple[int, int] | None:
        """(height, width) that every image is brought to, or None."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size
