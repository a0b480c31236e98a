"""Grids of examples as PNG files."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

from cardigan.data.spec import DataSpec

GAP, LINE = 2, 14
"""White pixels between pictures, and the height of a line of words."""


def to_bytes(images: Tensor) -> Tensor:
    """uint8 of the same shape for images in [-1, 1], rounded to the nearest of 256 levels."""
    return images.detach().float().add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8).cpu()


def to_picture(image: Tensor) -> Image.Image:
    """A Pillow image for one (channels, height, width) tensor in [-1, 1]; of n channels the first three are shown."""
    array = to_bytes(image).permute(1, 2, 0).numpy()
    channels = array.shape[2]
    if channels in (1, 2):
        return Image.fromarray(array[:, :, 0], "L")
    return Image.fromarray(np.ascontiguousarray(array if channels == 4 else array[:, :, :3]))


def grid(images: Tensor, columns: int | None = None, smallest: int = 32, gap: int = GAP) -> Image.Image:
    """The images side by side, `columns` a row, `gap` white pixels apart.

    Ones smaller than `smallest` pixels are enlarged by a whole factor, without smoothing.
    """
    n, _, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    scale = max(1, math.ceil(smallest / min(height, width)))
    tiles = images.detach().float().cpu().repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    tiles = functional.pad(tiles, (0, gap, 0, gap), value=1.0)
    empty = tiles.new_ones(rows * columns - n, *tiles.shape[1:])
    sheet = torch.cat([tiles, empty]).unflatten(0, (rows, columns)).permute(2, 0, 3, 1, 4).flatten(3).flatten(1, 2)
    return to_picture(sheet[:, : sheet.shape[1] - gap, : sheet.shape[2] - gap])


def scatter(points: Tensor, side: int = 384, extent: float = 2.0) -> Image.Image:
    """Points of the plane, shape (n, 2, 1, 1), as dots in the square [-extent, extent]^2."""
    canvas = np.full((side, side), 255, np.uint8)
    xy = points.detach().float().cpu().flatten(1).numpy()
    pixels = np.clip(((xy + extent) / (2 * extent) * side).astype(int), 0, side - 2)
    for dx in (0, 1):
        for dy in (0, 1):
            canvas[side - 1 - pixels[:, 1] - dy, pixels[:, 0] + dx] = 32
    return Image.fromarray(canvas, "L")


def draw(examples: Tensor, spec: DataSpec, columns: int | None = None, smallest: int = 32) -> Image.Image:
    """The picture that suits the kind of data."""
    return scatter(examples) if spec.kind == "points" else grid(examples, columns, smallest)


def captioned(examples: Tensor, spec: DataSpec, captions: Sequence[str], smallest: int = 48) -> Image.Image:
    """The examples side by side, each with its words below; points are drawn without."""
    if spec.kind == "points":
        return draw(examples, spec)
    tiles = [grid(example[None], smallest=smallest) for example in examples]
    (width, height), columns = tiles[0].size, math.ceil(math.sqrt(len(tiles)))
    pen = ImageDraw.Draw(tiles[0])
    wide = max(width, *(math.ceil(pen.textlength(words)) + GAP for words in captions))
    rows = math.ceil(len(tiles) / columns)
    sheet = Image.new(tiles[0].mode, (columns * (wide + GAP) - GAP, rows * (height + LINE)), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (tile, words) in enumerate(zip(tiles, captions, strict=True)):
        left, top = number % columns * (wide + GAP), number // columns * (height + LINE)
        sheet.paste(tile, (left + (wide - width) // 2, top))
        pen.text((left + (wide - pen.textlength(words)) // 2, top + height), words, fill="black")
    return sheet


def save_picture(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    picture.save(draft, Image.registered_extensions()[path.suffix.lower()])
    os.replace(draft, path)
