"""Built-in worlds as data: their scenes are drawn once, all views of one side by side as channels, and packed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from cardigan.data.dataset import Splits
from cardigan.data.decode import Pixels
from cardigan.data.options import DataOptions
from cardigan.data.packing import Progress, build, digest
from cardigan.data.sides import Part, joined
from cardigan.data.sources import SPLITS, Example, Source
from cardigan.data.spec import Side
from cardigan.data.store import VERSION, Pack, open_pack
from cardigan.data.worlds import streets
from cardigan.errors import DataError

SIZE = (128, 128)


@dataclass(frozen=True)
class World:
    """A world and what it shows.

    Attributes:
        version: changes whenever its scenes do.
        draw: the scene of an index at (height, width), all views as channels: uint8 (height, width, channels).
        views: the first channel of each view, and what it is.
        sides: what is translated to what where the options do not say, with pairs and without.
        counts: scenes for training and for testing.
    """

    version: int
    draw: Callable[[int, int, int], Pixels]
    views: Mapping[str, tuple[int, Side]]
    sides: Mapping[str, tuple[str, str]]
    counts: tuple[int, int]


def street(index: int, height: int, width: int) -> Pixels:
    scene = streets.scene(index, height, width)
    return np.concatenate([scene.labels[:, :, None], scene.day, scene.night], 2)


WORLDS = {
    "streets": World(
        version=1,
        draw=street,
        views={
            "labels": (0, Side(name="labels", channels=1, palette=streets.CLASSES)),
            "day": (1, Side(name="day", channels=3)),
            "night": (4, Side(name="night", channels=3)),
        },
        sides={"paired": ("labels", "day"), "unpaired": ("day", "night")},
        counts=(4_000, 500),
    )
}


def open_world(name: str, options: DataOptions, cache: Path, progress: Progress | None = None) -> Splits:
    """Train and test sets of a world: pictures of its first photograph, or two of its views.

    Raises:
        DataError: a view that it has not, or options that do not suit it.
    """
    world = WORLDS[name]
    if options.other or options.channels:
        raise DataError(f"{name} is drawn: leave data.other and data.channels unset")
    packed = pack_world(name, options.target or SIZE, cache, progress)
    if options.pairing == "none":
        part = view(world, packed, "day", options)
        train, test = (part.dataset(name, split, packed.rows(split)) for split in SPLITS)
        return Splits(train, test)
    names = options.sides or world.sides[options.pairing]
    if missing := [each for each in names if each not in world.views]:
        raise DataError(f"{name} has no side {missing[0]!r}: choose from {', '.join(world.views)}")
    return joined(name, [view(world, packed, each, options) for each in names], options)


def view(world: World, packed: Pack, name: str, options: DataOptions) -> Part:
    first, side = world.views[name]
    return Part(side.model_copy(update={"coding": options.coding}), packed, first)


def pack_world(name: str, size: tuple[int, int], cache: Path, progress: Progress | None) -> Pack:
    """The pack of a world's scenes at a size, drawn if there is none."""
    world = WORLDS[name]
    folder = cache / "packs" / digest(VERSION, name, world.version, size, world.counts)
    return open_pack(folder) or build(partial(drawn, name, size), DataOptions(), folder, progress)


@contextmanager
def drawn(name: str, size: tuple[int, int]) -> Iterator[Source]:
    world = WORLDS[name]
    train, test = world.counts
    examples = [
        Example(f"{index:06d}", partial(world.draw, index, *size), "train" if index < train else "test")
        for index in range(train + test)
    ]
    yield Source(name, "world", len(examples), lambda: iter(examples), encoded=False)
