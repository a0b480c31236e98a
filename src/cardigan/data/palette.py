"""Label maps: pictures whose colours are classes.

A label map is stored as one channel that holds the number of the class. What networks see of it is one channel a class
(1 where it is, -1 elsewhere) or the classes' colours.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from cardigan.config import Config
from cardigan.data.decode import Pixels, Unreadable, fitted
from cardigan.data.options import DataOptions
from cardigan.data.spec import Colour, Side
from cardigan.errors import DataError

MOST_CLASSES = 64


class Palette(Config):
    """What colours mean.

    Attributes:
        entries: name and colour of each class.
        indices: the value of each class in a grey label map.
    """

    entries: tuple[tuple[str, Colour], ...]
    indices: tuple[int, ...]

    def classes(self, pixels: Pixels) -> NDArray[np.uint8]:
        """The class of each pixel, (height, width); a grey map may hold the classes' values or their colours.

        Raises:
            Unreadable: a colour is not in the palette.
        """
        found, places = np.unique(codes(pixels), return_inverse=True)
        keys = [code(colour) for _, colour in self.entries]
        if pixels.shape[2] == 1 and not np.isin(found, keys).all():
            found, keys = found & 255, list(self.indices)
        table = {key: i for i, key in enumerate(keys)}
        if strange := [int(key) for key in found if int(key) not in table]:
            told = strange[0] if keys == list(self.indices) else f"the colour {colour_of(strange[0])}"
            raise Unreadable(f"{told} is not in the palette")
        return np.array([table[int(key)] for key in found], np.uint8)[places].reshape(pixels.shape[:2])


def code(colour: Colour) -> int:
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def colour_of(key: int) -> Colour:
    return key >> 16, key >> 8 & 255, key & 255


def codes(pixels: Pixels) -> NDArray[np.int64]:
    """One number a pixel of grey, RGB or RGBA images of 8 bits, whose alpha is passed over.

    Raises:
        Unreadable: it is another kind of image.
    """
    if pixels.dtype != np.uint8 or pixels.shape[2] not in (1, 3, 4):
        raise Unreadable("a label map has 8 bits, and is grey or coloured")
    red, green, blue = (pixels[:, :, min(i, pixels.shape[2] - 1)].astype(np.int64) for i in range(3))
    return red << 16 | green << 8 | blue


def read_palette(path: str | Path) -> Palette:
    """The palette of a CSV file with the columns name, r, g and b, and maybe index; without it the rows count from 0.

    Raises:
        DataError: it cannot be read, or lacks a column.
    """
    try:
        with Path(path).expanduser().open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        entries = tuple((row["name"], (int(row["r"]), int(row["g"]), int(row["b"]))) for row in rows)
        indices = tuple(int(row.get("index") or i) for i, row in enumerate(rows))
    except OSError as error:
        raise DataError(f"cannot read the palette {path}: {error.strerror}") from error
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(
            f"{path} is no palette: it takes the columns name, r, g, b with numbers from 0 to 255"
        ) from error
    if not entries or any(not 0 <= level <= 255 for _, colour in entries for level in colour):
        raise DataError(f"{path} is no palette: it takes the columns name, r, g, b with numbers from 0 to 255")
    return Palette(entries=entries, indices=indices)


def known_palette(side: Side) -> Palette | None:
    """By which label maps of a side are read; None where it has none."""
    if not side.palette:
        return None
    return Palette(entries=side.palette, indices=side.indices or tuple(range(len(side.palette))))


def palette_of(name: str, images: Iterable[Pixels]) -> Palette:
    """The colours that occur in label maps, in order, named as in HTML.

    Raises:
        DataError: there are too many for classes.
        Unreadable: an image that is no label map.
    """
    found: set[int] = set()
    for pixels in images:
        found |= set(np.unique(codes(pixels)).tolist())
        if len(found) > MOST_CLASSES:
            raise DataError(
                f"{name} holds more than {MOST_CLASSES} colours, too many for classes: leave it out of data.label_maps, "
                "or name its classes with data.palette"
            )
    keys = sorted(found)
    return Palette(
        entries=tuple((f"#{key:06x}", colour_of(key)) for key in keys), indices=tuple(key & 255 for key in keys)
    )


def fitted_classes(classes: NDArray[np.uint8], options: DataOptions) -> Pixels:
    """A map of classes (height, width) at the size that is wanted, (height, width, 1): each pixel that of its nearest."""
    target = options.target
    if target is not None and classes.shape != target:
        box = fitted((classes.shape[0], classes.shape[1]), target, options)
        classes = np.asarray(Image.fromarray(classes).resize(target[::-1], Image.Resampling.NEAREST, box))
    return classes[:, :, None]


# ---- what networks see -----------------------------------------------------------------------------------------------


def coded(side: Side, images: Tensor) -> Tensor:
    """What networks see of stored images (n, side.channels, height, width) in [-1, 1]: (n, side.inputs, height, width)."""
    if not side.palette:
        return images
    classes = stored_classes(images)
    if side.coding == "colours":
        return colours(side, classes)
    return functional.one_hot(classes, len(side.palette)).movedim(-1, 1).to(images.dtype) * 2 - 1


def stored_classes(images: Tensor) -> Tensor:
    """The classes, int64 (n, height, width), of label maps as they are stored, (n, 1, height, width) in [-1, 1]."""
    return images[:, 0].add(1.0).mul(127.5).round().long()


def classes_of(side: Side, images: Tensor) -> Tensor:
    """The likeliest class of each pixel, int64 (n, height, width), of what networks see or make of a label map."""
    if side.coding == "one-hot":
        return images.argmax(1)
    palette = colour_table(side).to(images)
    distances = (images[:, None] - palette[None, :, :, None, None]).square().sum(2)
    return distances.argmin(1)


def shown(side: Side, images: Tensor) -> Tensor:
    """RGB, or RGBA where it has alpha, for what networks see or make of a side: (n, 3 or 4, height, width)."""
    if side.palette:
        return colours(side, classes_of(side, images)) if side.coding == "one-hot" else images
    if images.shape[1] >= 3:
        return images if images.shape[1] == 4 else images[:, :3]
    return images[:, :1].expand(-1, 3, -1, -1)


def colours(side: Side, classes: Tensor) -> Tensor:
    """Colours (n, 3, height, width) in [-1, 1] of classes (n, height, width)."""
    return colour_table(side).to(classes.device)[classes].movedim(-1, 1)


def colour_table(side: Side) -> Tensor:
    """The classes' colours in [-1, 1], (classes, 3)."""
    return torch.tensor([colour for _, colour in side.palette], dtype=torch.float32) / 127.5 - 1
