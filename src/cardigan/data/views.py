"""What one side of a translation is within a source: a folder of it, or half of each picture; maybe a label map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from cardigan.config import Config
from cardigan.data.decode import Pixels, decode
from cardigan.data.options import DataOptions
from cardigan.data.palette import Palette, fitted_classes
from cardigan.data.sources import Example, Source

Half = Literal["left", "right"]


class View(Config):
    """A part of a source.

    Attributes:
        folder: only the images of this folder (of this class, that is); None for all.
        half: only this half of each picture; None for whole ones.
        palette: what the colours mean, where the images are label maps; None where they are not.
    """

    folder: str | None = None
    half: Half | None = None
    palette: Palette | None = None

    def of(self, source: Source, options: DataOptions) -> Source:
        """The source with only what the view shows; label maps at the size that is wanted. A folder has no classes."""
        if self.folder is None:
            return replace(source, examples=lambda: (self.shown(example, options) for example in source.examples()))
        kept = [self.shown(replace(e, label=None), options) for e in source.examples() if e.label == self.folder]
        return replace(source, count=len(kept), examples=lambda: iter(kept), classes=())

    def shown(self, example: Example, options: DataOptions) -> Example:
        if self.half is None and self.palette is None:
            return example
        return replace(example, load=lambda: self.pixels(example.load, options))

    def pixels(self, load: Callable[[], bytes | Pixels], options: DataOptions) -> Pixels:
        """One image as it is to be stored, but for the resizing of photographs.

        Raises:
            Unreadable: it cannot be read, or holds a colour that is in no palette.
        """
        data = load()
        pixels = halved(decode(data).pixels if isinstance(data, bytes) else data, self.half)
        if self.palette is None:
            return pixels
        return fitted_classes(self.palette.classes(pixels), options)


def halved(pixels: Pixels, half: Half | None) -> Pixels:
    """The left or right half of an image (height, width, channels); of an odd width the middle column is in neither."""
    if half is None:
        return pixels
    width = pixels.shape[1] // 2
    return pixels[:, :width] if half == "left" else pixels[:, -width:]
