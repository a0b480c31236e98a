"""Holes in images: which pixels are to be filled in. True is a hole, as white is in a mask's picture."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional

from cardigan.errors import DataError

MaskKind = Literal["center", "random", "pattern", "half"]
MASKS: tuple[MaskKind, ...] = get_args(MaskKind)

MISSING = {"random": 0.8, "pattern": 0.25}
"""Shares of the pixels that are missing (Yeh et al. 2017, section 4)."""
BLOBS = 5


def draw_holes(kind: MaskKind, count: int, height: int, width: int, generator: torch.Generator | None = None) -> Tensor:
    """Holes of one kind for each of `count` images: bool (count, 1, height, width).

    The kinds of Yeh et al. 2017, section 4: a square of half the sides in the middle; four fifths of the pixels, each
    by itself; a quarter of them, in random blobs; the left, right, upper or lower half.
    """
    match kind:
        case "center":
            holes = torch.zeros(count, 1, height, width, dtype=torch.bool)
            top, left = height // 4, width // 4
            holes[:, :, top : top + max(1, height // 2), left : left + max(1, width // 2)] = True
            return holes
        case "half":
            sides = torch.randint(4, (count, 1, 1, 1), generator=generator)
            lower = (torch.arange(height) >= height // 2).view(1, 1, -1, 1).expand(count, 1, height, width)
            right = (torch.arange(width) >= width // 2).view(1, 1, 1, -1).expand(count, 1, height, width)
            return torch.where(sides < 2, lower, right) ^ (sides % 2 == 1)
        case "random":
            heights = torch.rand(count, 1, height, width, generator=generator)
        case "pattern":
            coarse = torch.randn(count, 1, BLOBS, BLOBS, generator=generator)
            heights = functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
    missing = heights.flatten(1).topk(round(MISSING[kind] * height * width)).indices
    return torch.zeros(count, height * width, dtype=torch.bool).scatter(1, missing, True).view(-1, 1, height, width)


def read_hole(path: Path, height: int, width: int) -> tuple[Tensor, tuple[str, ...]]:
    """The hole that a grey picture shows, white on black: bool (1, 1, height, width), and what was done to it.

    A picture of the same shape in another size is brought to this one; a pixel of which any part is white is missing.

    Raises:
        DataError: the picture cannot be read, or has another shape.
    """
    try:
        with Image.open(path) as picture:
            grey = torch.from_numpy(np.array(picture.convert("L")))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"cannot read the mask {path}: give a grey picture, white where a hole is") from error
    hole, (rows, columns) = grey >= 128, grey.shape
    if (rows, columns) == (height, width):
        return hole.view(1, 1, height, width), ()
    if abs(rows * width - columns * height) > max(rows, columns) * max(height, width) * 0.01:
        raise DataError(
            f"the mask {path} is {columns} x {rows} pixels, the images are {width} x {height}: give one of their shape"
        )
    fitted = functional.adaptive_max_pool2d(hole.view(1, 1, rows, columns).float(), (height, width)) > 0
    return fitted, (f"the mask of {columns} x {rows} pixels was brought to {width} x {height}",)


def check_holes(holes: Tensor) -> None:
    """
    Raises:
        DataError: a mask (n, 1, height, width) leaves nothing known, or nothing to fill.
    """
    share = holes.flatten(1).float().mean(1)
    if bool((share == 1).any()):
        raise DataError("the mask is a hole all over: nothing is known that the rest could fit; mark less of it white")
    if bool((share == 0).any()):
        raise DataError("the mask has no hole: there is nothing to fill; mark white what is missing")
