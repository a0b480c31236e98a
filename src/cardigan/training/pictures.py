"""Grids of examples as PNG files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cardigan.data.spec import DataSpec


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


def grid(images: Tensor, columns: int | None = None, smallest: int = 32) -> Image.Image:
    """The images side by side, `columns` a row; ones smaller than `smallest` pixels are enlarged without smoothing."""
    n, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    gap = torch.full((rows * columns - n, channels, height, width), -1.0)
    tiles = torch.cat([images.detach().float().cpu(), gap]).unflatten(0, (rows, columns))
    sheet = tiles.permute(2, 0, 3, 1, 4).reshape(channels, rows * height, columns * width)
    scale = max(1, math.ceil(smallest / min(height, width)))
    picture = to_picture(sheet)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def scatter(points: Tensor, side: int = 384, extent: float = 2.0) -> Image.Image:
    """Points of the plane, shape (n, 2, 1, 1), as dots in the square [-extent, extent]^2."""
    canvas = np.full((side, side), 255, np.uint8)
    xy = points.detach().float().cpu().flatten(1).numpy()
    pixels = np.clip(((xy + extent) / (2 * extent) * side).astype(int), 0, side - 2)
    for dx in (0, 1):
        for dy in (0, 1):
            canvas[side - 1 - pixels[:, 1] - dy, pixels[:, 0] + dx] = 32
    return Image.fromarray(canvas, "L")


def draw(examples: Tensor, spec: DataSpec, columns: int | None = None) -> Image.Image:
    """The picture that suits the kind of data."""
    return scatter(examples) if spec.kind == "points" else grid(examples, columns)


def save_picture(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
