"""A model's way from one side to the other, for pictures of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cardigan.apps.model import Model
from cardigan.apps.translating.tiling import Axis, axis, chosen_overlap, chosen_tile, strips
from cardigan.data.decode import MODES, Pixels
from cardigan.data.order import derived_seed
from cardigan.data.palette import classes_of
from cardigan.data.reading import counted
from cardigan.errors import RunError
from cardigan.networks.norms import Statistics, statistics_of
from cardigan.training.pictures import to_bytes

AT_ONCE = {"cpu": 1 << 16, "cuda": 1 << 21}
"""Pixels of a batch, where an image or a tile has not more by itself."""
MOST_AT_ONCE = 64
ROWS = 32

Size = tuple[int, int]
Item = TypeVar("Item")


def unheard(steps: int) -> None:
    """Where nobody waits for it."""


class Way:
    """A model's way from one side to the other.

    Args:
        to: the side that it leads to, the second by default.
        tile: pixels of a side beyond which pictures are taken in tiles; 0 for none, None for what suits the network.
        overlap: pixels that neighbouring tiles have in common at least; by default a quarter of a tile.
        noise: whether the network's noise, if it has any, is on.

    Attributes:
        source, target: the sides.
        bits: of what is written.
        takes: sizes that the network takes.
        tile: (height, width).

    Raises:
        RunError: the model does not translate, or to what no picture holds.
        RecipeError: it does not translate to that side, or not in such tiles.
    """

    def __init__(
        self,
        model: Model,
        to: str | None = None,
        tile: int | None = None,
        overlap: int | None = None,
        noise: bool = True,
    ) -> None:
        game, side = model.translating(), model.side_index(to)
        self.model, self.noise, self.bits = model, noise, model.spec.bits
        self.source, self.target = game.two[1 - side], game.two[side]
        if not self.target.palette and self.target.channels not in MODES:
            channels = f"{self.target.name} has {self.target.channels} channels"
            raise RunError(f"{channels}, which no picture holds: take Model.translate from Python")
        self.takes = game.takes
        self.tile = chosen_tile(self.takes, game.size, tile)
        self.overlap = chosen_overlap(self.takes, self.tile, overlap)
        self.statistics: set[Statistics] = set()
        for name in game.deployed:
            self.statistics |= statistics_of(getattr(game, name))

    def axes(self, size: Size) -> tuple[Axis, Axis]:
        """The tiles of a picture, down and across."""
        down, across = (axis(size[i], self.takes, self.tile[i], self.overlap) for i in (0, 1))
        return down, across

    def tiles_of(self, size: Size) -> int:
        """How many tiles a picture of (height, width) is taken in."""
        down, across = self.axes(size)
        return len(down.starts) * len(across.starts)

    def at_once(self, pixels: int) -> int:
        """How many images of so many pixels are a batch; one, where the network normalises by its batch."""
        if "batch" in self.statistics:
            return 1
        most = AT_ONCE.get(self.model.device.type, AT_ONCE["cpu"])
        return min(max(1, most // pixels), MOST_AT_ONCE)

    def notes(self, sizes: Sequence[Size]) -> Iterator[str]:
        """What is to be known of how pictures of these sizes are translated."""
        if tiled := sum(self.tiles_of(size) > 1 for size in sizes):
            by_image = self.statistics & {"instance", "batch"}
            own = ", each normalised by its own statistics rather than the image's" if by_image else ""
            size = f"{self.tile[1]} x {self.tile[0]}"
            yield f"{counted(tiled, 'image was', 'images were')} translated in overlapping tiles of {size} pixels{own}"

    @torch.inference_mode()
    def translated(
        self, pictures: Sequence[Pixels], seeds: Sequence[int], advance: Callable[[int], None] = unheard
    ) -> list[Pixels]:
        """Pictures (height, width, channels) of one size, as the side stores them, as what is written of them.

        That is the other side's channels with the model's bits, or of a label map one channel with the likeliest class.

        Args:
            seeds: of each picture's noise.
            advance: called with the number of tiles that are done.
        """
        height, width = pictures[0].shape[:2]
        axes = self.axes((height, width))
        made: list[Pixels] = []
        for top, strip in strips(*axes, lambda row: self.tiles(pictures, seeds, axes, row, advance)):
            rows = self.written(strip)
            if not made:
                made = [np.empty((height, *rows.shape[2:]), rows.dtype) for _ in pictures]
            for picture, part in zip(made, rows, strict=True):
                picture[top : top + len(part)] = part
        return made

    def tiles(
        self,
        pictures: Sequence[Pixels],
        seeds: Sequence[int],
        axes: tuple[Axis, Axis],
        row: int,
        advance: Callable[[int], None],
    ) -> Tensor:
        """What the network makes of a row of tiles, (pictures, tiles, channels, height, width)."""
        down, across = axes
        count = len(across.starts)
        rows, columns = down.places(row).numpy()[:, None], [across.places(number).numpy() for number in range(count)]
        places = [(picture, number) for picture in range(len(pictures)) for number in range(count)]
        whole = count == len(down.starts) == 1
        made = []
        for part in in_parts(places, self.at_once(down.tile * across.tile)):
            cut = as_images(np.stack([pictures[picture][rows, columns[number]] for picture, number in part]))
            drawn = [seeds[k] if whole else derived_seed(seeds[k], "tile", row, number) for k, number in part]
            made.append(self.model.translate(cut, to=self.target.name, seeds=drawn, noise=self.noise))
            advance(len(part))
        return torch.cat(made).unflatten(0, (len(pictures), count))

    def written(self, images: Tensor) -> NDArray[np.unsignedinteger]:
        """What the network makes, (n, channels, height, width), as it is written: (n, height, width, channels)."""
        if self.target.palette:
            classes = torch.cat([classes_of(self.target, part) for part in images.split(ROWS, 2)], 1)
            return classes.to(torch.uint8).unsqueeze(3).numpy()
        if self.bits == 16:
            return images.add(1.0).mul(32767.5).round().clamp(0, 65535).movedim(1, 3).numpy().astype(np.uint16)
        return to_bytes(images).movedim(1, 3).numpy()


def as_images(pixels: Pixels) -> Tensor:
    """Pixels (n, height, width, channels) as images (n, channels, height, width) in [-1, 1]."""
    top = 65535 if pixels.dtype == np.uint16 else 255
    return torch.from_numpy(pixels.astype(np.float32)).mul_(2 / top).sub_(1.0).movedim(3, 1)


def in_parts(items: Sequence[Item], most: int) -> Iterator[Sequence[Item]]:
    for first in range(0, len(items), most):
        yield items[first : first + most]
