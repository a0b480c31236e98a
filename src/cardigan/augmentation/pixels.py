"""Changing pixels where they are: colours, noise, and what is blotted out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cardigan.augmentation.step import Step


@dataclass(frozen=True)
class Colour(Step):
    """One affine map of the colours.

    Attributes:
        matrix: (m, channels, channels).
        offset: (m, channels, 1).
    """

    matrix: Tensor
    offset: Tensor

    def change(self, images: Tensor) -> Tensor:
        changed = torch.baddbmm(self.offset.to(images), self.matrix.to(images), images.flatten(2))
        return changed.view(images.shape)


@dataclass(frozen=True)
class Noise(Step):
    """Added to the image.

    Attributes:
        field: (m, channels, height, width).
    """

    field: Tensor

    def change(self, images: Tensor) -> Tensor:
        return images + self.field.to(images)


@dataclass(frozen=True)
class Blank(Step):
    """Mid grey, that is 0, where nothing is to be seen.

    Attributes:
        hidden: bool (m, 1, height, width).
    """

    hidden: Tensor

    def change(self, images: Tensor) -> Tensor:
        return images.masked_fill(self.hidden, 0)


def colour_map(
    channels: int, brightness: Tensor, contrast: Tensor, luma: Tensor, hue: Tensor, saturation: Tensor
) -> tuple[Tensor, Tensor]:
    """Brightness, contrast, the flip of luma, hue and saturation as one affine map (Karras et al. 2020, appendix B).

    Each either scales the grey axis, scales what is at right angles to it, or turns about it; so they commute, but for
    the brightness, which is added first. With four channels the last is alpha and stays as it is.

    Args:
        brightness: (n,), added to every colour.
        contrast: (n,), factors about mid grey.
        luma: (n,), 1, or -1 to turn light to dark and keep the colours' own part.
        hue: (n,), angles about the grey axis; it needs three colours.
        saturation: (n,), factors of the distance from grey.

    Returns:
        Matrices (n, channels, channels) and offsets (n, channels, 1).
    """
    colours = 3 if channels == 4 else channels
    grey = torch.full((colours, colours), 1 / colours)
    chroma = torch.eye(colours) - grey
    along, across = contrast * luma, contrast * saturation
    matrix = torch.eye(channels).repeat(len(hue), 1, 1)
    matrix[:, :colours, :colours] = times(along, grey) + times(across * hue.cos(), chroma)
    if colours == 3:  # v x, for v the unit vector of grey
        cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
        matrix[:, :colours, :colours] += times(across * hue.sin(), cross)
    offset = torch.zeros(len(hue), channels, 1)
    offset[:, :colours] = (along * brightness)[:, None, None]
    return matrix, offset


def times(factors: Tensor, matrix: Tensor) -> Tensor:
    return factors[:, None, None] * matrix


def beyond_border(moves: Tensor, height: int, width: int) -> Tensor:
    """Where a picture that was moved so many pixels down and right has left nothing: bool (m, 1, height, width)."""
    rows, columns = (
        torch.arange(size, device=moves.device) - moves[:, axis, None] for axis, size in enumerate((height, width))
    )
    rows, columns = (rows < 0) | (rows >= height), (columns < 0) | (columns >= width)
    return (rows[:, :, None] | columns[:, None])[:, None]


def square_hole(centre: Tensor, height: int, width: int) -> Tensor:
    """A hole of half the sides about `centre` (m, 2), in shares of the sides: bool (m, 1, height, width).

    Part of it may lie beyond the border.
    """
    rows, columns = (
        ((torch.arange(size, device=centre.device) + 0.5) / size - centre[:, axis, None]).abs() < 0.25
        for axis, size in enumerate((height, width))
    )
    return (rows[:, :, None] & columns[:, None])[:, None]
