"""Images of any size for networks that take some sizes: carried on by reflection, and large ones taken in tiles.

Where tiles overlap, one fades into the next. How much each counts for adds up to 1 at every pixel, and what lies near a
tile's own border, where it does not know how the image goes on, counts for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from cardigan.errors import RecipeError
from cardigan.networks.sizes import Takes

TILE = 512
"""Pixels of a side beyond which an image is taken in tiles, where the network does not mind its size."""


@dataclass(frozen=True)
class Axis:
    """The tiles along one side of an image.

    Attributes:
        length: of the image, in pixels.
        padded: of what it is carried on to, as much before it as after it.
        tile: of a tile.
        starts: where in the padded image each tile begins.
        fade: over how many pixels a tile fades into the next, in the middle of where they overlap.
    """

    length: int
    padded: int
    tile: int
    starts: tuple[int, ...] = (0,)
    fade: float = 0.0

    @property
    def before(self) -> int:
        """Pixels that are put before the image."""
        return (self.padded - self.length) // 2

    def places(self, number: int) -> Tensor:
        """Which of the image's pixels each pixel of a tile is, int64 (tile,)."""
        start = self.starts[number] - self.before
        return reflected(torch.arange(start, start + self.tile), self.length)

    def shares(self) -> Tensor:
        """How much each pixel of each tile counts for, float32 (tiles, tile)."""
        middles = [(start + last + self.tile) / 2 for last, start in pairwise(self.starts)]
        pixels = torch.tensor(self.starts)[:, None] + torch.arange(self.tile, dtype=torch.float64) + 0.5
        shares = torch.ones_like(pixels)
        for number, middle in enumerate(middles):
            shares[number] -= self.risen(pixels[number] - middle)
            shares[number + 1] -= 1 - self.risen(pixels[number + 1] - middle)
        return shares.float()

    def risen(self, offsets: Tensor) -> Tensor:
        """From 0 to 1 about the middle of a fade, along half a wave of a cosine."""
        along = (offsets / max(self.fade, 1e-9) + 0.5).clamp(0, 1)
        return (1 - (math.pi * along).cos()) / 2


def reflected(places: Tensor, length: int) -> Tensor:
    """Places beyond an image's ends as those within it that they mirror, there and back as often as it takes."""
    period = max(2 * (length - 1), 1)
    folded = places % period
    return torch.minimum(folded, period - folded) if length > 1 else torch.zeros_like(places)


def axis(length: int, takes: Takes, tile: int, overlap: int) -> Axis:
    """The tiles along a side of an image; one, where it is no longer than a tile.

    Args:
        tile: a multiple of the network's; 0 for one tile, however long.
        overlap: pixels that neighbours have in common at least.
    """
    if not tile or length <= tile:
        padded = max(up(length, takes.multiple), takes.least)
        return Axis(length, padded, padded)
    # A stride moves by the multiple, or else the network, whose layers have strides, sees the pixels in another phase;
    # of one that depends on the whole tile, no tile agrees with another in any case.
    step = takes.multiple if takes.reach == "local" else 1
    padded, overlap = up(length, step), up(overlap, step)
    last = math.ceil((padded - overlap) / (tile - overlap)) - 1
    starts = tuple(step * (number * (padded - tile) // (step * last)) for number in range(last + 1))
    return Axis(length, padded, tile, starts, overlap / 2)


def up(length: int, multiple: int) -> int:
    """The next multiple."""
    return -(-length // multiple) * multiple


def chosen_tile(takes: Takes, trained: tuple[int, int], wanted: int | None) -> tuple[int, int]:
    """(height, width) of a tile; 0 for no tiles.

    It is a multiple of the network's. By default it is as large as a training image where the network depends on the
    whole of it; else it has 512 pixels a side, or a training image's where that is larger.

    Raises:
        RecipeError: the network takes no other size than one.
    """
    if takes.reach == "fixed":
        if wanted is not None and (wanted, wanted) != trained:
            raise RecipeError(f"this model takes {trained[1]} x {trained[0]} pixels at a time: leave --tile out")
        return trained
    if wanted is not None:
        least = max(takes.least, 2 * takes.multiple if takes.reach == "local" else 0)
        side = max(up(wanted, takes.multiple), least) if wanted else 0
        return side, side
    height, width = (side if takes.reach == "whole" else max(TILE, side) for side in trained)
    return up(height, takes.multiple), up(width, takes.multiple)


def chosen_overlap(takes: Takes, tile: tuple[int, int], wanted: int | None) -> int:
    """Pixels that neighbours have in common at least, a quarter of a tile by default.

    Raises:
        RecipeError: more than half a tile.
    """
    shorter = min(tile)
    if wanted is None:
        return shorter // 4
    if shorter and up(wanted, takes.multiple if takes.reach == "local" else 1) > shorter // 2:
        raise RecipeError(
            f"--overlap {wanted} is more than half of a tile of {shorter} pixels: give less, or larger tiles"
        )
    return wanted


def strips(down: Axis, across: Axis, row: Callable[[int], Tensor]) -> Iterator[tuple[int, Tensor]]:
    """What tiles make of images, from top to bottom as it is finished, so that little is held at a time.

    Args:
        row: gives all tiles of a row, (images, tiles, channels, down.tile, across.tile).

    Yields:
        The first row of each strip, in pixels of the image, and the strip (images, channels, rows, across.length).
    """
    left, over = across.before, None
    shares_down, shares_across = down.shares(), across.shares()
    for number, start in enumerate(down.starts):
        tiles = row(number)
        band = tiles.new_zeros(*tiles.shape[:1], *tiles.shape[2:4], across.padded)
        for place, share, tile in zip(across.starts, shares_across, tiles.unbind(1), strict=True):
            band[..., place : place + across.tile] += tile * share
        band *= shares_down[number][:, None]
        if over is not None:
            band[:, :, : over.shape[2]] += over
        end = (*down.starts, down.padded)[number + 1]
        over = band[:, :, end - start :]
        first, last = max(start, down.before), min(end, down.before + down.length)
        if first < last:
            yield first - down.before, band[:, :, first - start : last - start, left : left + across.length]
