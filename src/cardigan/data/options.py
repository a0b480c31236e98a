"""How images are made ready: the settings under ``data`` of a recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cardigan.config import Config
from cardigan.text import CharEncoderConfig, TextConfig

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
        pairing: none for data of one kind; for translation "paired" where each image of one side has its partner of the
            same name on the other, "unpaired" where it has none, or is not to be known.
        sides: the two sides of a translation, first the one to come from: folders of the source, "left" and "right"
            for pictures that hold both side by side, or what a built-in world shows. By default they are found.
        other: a second source, which is the second side.
        label_maps: those of the sides whose colours are classes; they are resized without mixing them.
        palette: a CSV file with the columns name, r, g, b (and index, for grey label maps); by default the colours that
            occur.
        coding: what networks see of a label map: "one-hot", a channel a class, or its "colours".
        jitter: before each showing an image is enlarged by this factor, and a window of its size cut out at random, the
            same for both sides of a pair.
        text: what is said of the images: nothing, the sentences of a file captions.csv that lies with them (of the world
            birds its own), or the names of their classes.
        sentences: a training image is shown with the mean of so many of its sentences, drawn anew each time.
        encoder: what turns sentences into vectors.
    """

    size: Pixels | tuple[Pixels, Pixels] | None = None
    channels: Literal[1, 3, 4] | None = None
    fit: Literal["crop", "stretch", "pad"] = "crop"
    flip: bool = False
    skip_unreadable: bool = False
    background: tuple[Level, Level, Level] = (255, 255, 255)
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.1
    pairing: Literal["none", "paired", "unpaired"] = "none"
    sides: tuple[str, str] | None = None
    other: str | None = None
    label_maps: tuple[str, ...] = ()
    palette: str | None = None
    coding: Literal["one-hot", "colours"] = "one-hot"
    jitter: Annotated[float, Field(ge=1.0, le=2.0)] = 1.0
    text: Literal["none", "captions", "classes"] = "none"
    sentences: Annotated[int, Field(ge=1)] = 4
    encoder: TextConfig = CharEncoderConfig()

    @model_validator(mode="after")
    def _refuse_idle(self) -> DataOptions:
        if self.pairing == "none" and (self.sides or self.other or self.label_maps or self.palette):
            raise ValueError("sides, other, label_maps and palette are of a translation: choose a recipe of one")
        if self.label_maps and self.fit == "pad":
            raise ValueError("padding has no class: fit label maps with crop or stretch")
        if self.pairing != "none" and self.text != "none":
            raise ValueError("sentences are told of one kind of image: leave data.text out, or choose another recipe")
        return self

    @property
    def target(self) -> tuple[int, int] | None:
        """(height, width) that every image is brought to, or None."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size
