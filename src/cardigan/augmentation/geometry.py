"""Moving pixels about: one affine resampling, one exact rearrangement.

An image goes on beyond its border as its own mirror image, so that no border shows. That is how a sum of cosines goes
on, and in them an affine resampling is easy to do well: the discrete cosine transform gives the image at any point,
and what the output could not hold is left out before it could fold back as false patterns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cardigan.augmentation.step import Step

FINE = 2
"""Points a pixel along each side between which the resampling interpolates linearly."""


@dataclass(frozen=True)
class Warp(Step):
    """An affine resampling.

    Attributes:
        gain: (m, 1, height, width), what each pair of cosines keeps of its weight.
        source: int64 (m, 4 · height · width), the four fine points around each place that is read, row by row.
        weight: (m, 1, 4, height · width), of each of them.
    """

    gain: Tensor
    source: Tensor
    weight: Tensor

    @classmethod
    def along(cls, size: tuple[int, int], chosen: Tensor, matrix: Tensor, shift: Tensor) -> Warp:
        """Reads the pixel at the place p from `matrix` p + `shift`, in pixels from the centre of the image.

        Args:
            size: height and width.
            matrix: (m, 2, 2), of (down, right).
            shift: (m, 2).
        """
        height, width = size
        y, x = (centres(side, matrix) - side / 2 for side in size)
        places = matrix[:, :, 0, None, None] * y[:, None] + matrix[:, :, 1, None, None] * x + shift[:, :, None, None]
        (top, bottom, lower), (left, right, after) = (neighbours(places[:, axis], size[axis]) for axis in range(2))
        source = [row * (FINE * width) + column for row in (top, bottom) for column in (left, right)]
        weight = [down * across for down in (1 - lower, lower) for across in (1 - after, after)]
        return cls(
            chosen,
            below_nyquist(matrix, height, width)[:, None],
            torch.stack(source, 1).flatten(1),
            torch.stack(weight, 1).flatten(2)[:, None],
        )

    def change(self, images: Tensor) -> Tensor:
        n, channels, height, width = images.shape
        weights = analysis(height, images) @ images @ analysis(width, images).mT * self.gain.to(images)
        fine = synthesis(height, images) @ weights @ synthesis(width, images).mT
        read = fine.flatten(2).gather(2, self.source[:, None].expand(-1, channels, -1))
        return (read.view(n, channels, 4, -1) * self.weight.to(images)).sum(2).view_as(images)


def centres(size: int, like: Tensor, parts: int = 1) -> Tensor:
    """The centres of the pixels, or of equal parts of them, of a side of so many pixels: (size · parts,)."""
    return (torch.arange(size * parts, device=like.device, dtype=like.dtype) + 0.5) / parts


def waves(size: int, at: Tensor) -> Tensor:
    """The cosines of a side, each of which is its own mirror image at both ends: (places, size)."""
    return torch.cos(math.pi / size * at[:, None] * torch.arange(size, device=at.device))


def analysis(size: int, like: Tensor) -> Tensor:
    """From pixels to the weights of the cosines that they are a sum of: (size, size)."""
    norms = torch.full((size, 1), 2 / size, device=like.device, dtype=like.dtype)
    norms[0] /= 2
    return norms * waves(size, centres(size, like)).mT


def synthesis(size: int, like: Tensor) -> Tensor:
    """From weights of cosines to the sum at fine points: (FINE · size, size).

    A linear interpolation between them takes away sinc² of the frequency on average, which is put on here.
    """
    frequencies = torch.arange(size, device=like.device, dtype=like.dtype) / (2 * FINE * size)
    return waves(size, centres(size, like, FINE)) / torch.sinc(frequencies).square()


def below_nyquist(matrix: Tensor, height: int, width: int) -> Tensor:
    """1 for cosines that stay below half a wave a pixel when read along `matrix`, falling to 0 a quarter above that.

    The frequency f becomes Aᵀf; a product of cosines has all the signs of its two frequencies, of which the worst counts.

    Returns:
        (m, height, width).
    """
    down, right = (torch.arange(size, device=matrix.device) / (2 * size) for size in (height, width))
    read = matrix.abs()[:, :, :, None, None]
    fastest = (read[:, 0] * down[:, None] + read[:, 1] * right).amax(1)
    return ((0.625 - fastest) / 0.125).clamp(0, 1)


def neighbours(places: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """The fine points before and after each place along a side, mirrored at its ends, and the weight of the latter."""
    length = FINE * side
    fine = ((places + side / 2) * FINE).remainder(2 * length)
    fine = torch.minimum(fine, 2 * length - fine) - 0.5
    before = fine.floor()
    index = before.long()
    return index.clamp(min=0), (index + 1).clamp(max=length - 1), fine - before


@dataclass(frozen=True)
class Blit(Step):
    """An exact rearrangement of pixels.

    Attributes:
        source: int64 (m, height · width), the pixel that each is taken from.
    """

    source: Tensor

    @classmethod
    def along(cls, size: tuple[int, int], chosen: Tensor, flips: Tensor, turns: Tensor, moves: Tensor) -> Blit:
        """Mirrored left to right, then turned as `torch.rot90` does, then moved; the pixels at the border are repeated.

        Args:
            size: height and width.
            flips: int64 (m,), 0 or 1.
            turns: int64 (m,), quarter turns, 0 to 3; 0 where the sides differ.
            moves: int64 (m, 2), pixels down and right.
        """
        height, width = size
        pixels = torch.arange(height * width, device=chosen.device).view(height, width)
        quarters = range(4 if height == width else 1)
        table = torch.stack([pixels.flip(1) if flip else pixels for flip in range(2)])
        table = torch.stack([torch.rot90(table, quarter, (1, 2)) for quarter in quarters], 1)
        rows, columns = (
            (torch.arange(side, device=chosen.device) - moves[:, axis, None]).clamp(0, side - 1)
            for axis, side in enumerate(size)
        )
        flips, turns = flips[:, None, None], turns[:, None, None]
        return cls(chosen, table[flips, turns, rows[:, :, None], columns[:, None]].flatten(1))

    def change(self, images: Tensor) -> Tensor:
        source = self.source[:, None].expand(-1, images.shape[1], -1)
        return images.flatten(2).gather(2, source).view(images.shape)
