"""Built-in worlds as data: their scenes are drawn once, all views of one side by side as channels, and packed.

What is said of scenes is packed beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from cardigan.data.accounts import Accounts, Facts
from cardigan.data.captions import Told, kept, phrases, with_captions
from cardigan.data.dataset import Splits
from cardigan.data.decode import Pixels
from cardigan.data.options import DataOptions
from cardigan.data.packing import Progress, build, digest
from cardigan.data.sides import Part, joined
from cardigan.data.sources import SPLITS, Example, Source, Split
from cardigan.data.spec import Side
from cardigan.data.store import VERSION, Pack, open_pack
from cardigan.data.worlds import birds, streets
from cardigan.data.worlds.captions import MATTERS_OF_DEGREE, captions, facts
from cardigan.errors import DataError


@dataclass(frozen=True)
class Speech:
    """What is said of the scene of an index and a split.

    Attributes:
        captions: sentences without certain facts, each with the facts that it tells.
        kind: what kind of scene it is.
        true: all facts about it that a picture can be held to.
    """

    captions: Callable[[int, Split, Collection[str]], Sequence[tuple[str, Facts]]]
    kind: Callable[[int, Split], str]
    true: Callable[[int, Split], Facts]


@dataclass(frozen=True)
class World:
    """A world and what it shows.

    Attributes:
        version: changes whenever its scenes do.
        draw: the scene of an index and a split at (height, width), all views as channels: uint8 (height, width, channels).
        size: (height, width) where the options do not say.
        views: the first channel of each view, and what it is.
        shown: the view that is its pictures where nothing is translated.
        sides: what is translated to what where the options do not say, with pairs and without.
        counts: scenes for training and for testing.
        told: what is said of its scenes, or None where nothing is.
        squares: the least and the largest side of a picture, where all are square.
    """

    version: int
    draw: Callable[[int, Split, int, int], Pixels]
    size: tuple[int, int]
    views: Mapping[str, tuple[int, Side]]
    shown: str
    sides: Mapping[str, tuple[str, str]]
    counts: tuple[int, int]
    told: Speech | None = None
    squares: tuple[int, int] | None = None


def street(index: int, split: Split, height: int, width: int) -> Pixels:
    scene = streets.scene(index, height, width)
    return np.concatenate([scene.labels[:, :, None], scene.day, scene.night], 2)


def painted(index: int, split: Split, height: int, width: int) -> Pixels:
    return birds.draw(birds.bird(index, split), height)


def said(index: int, split: Split, without: Collection[str]) -> list[tuple[str, Facts]]:
    """Ten sentences about a bird."""
    spoken = captions(birds.bird(index, split), 0, without=without)
    return [(caption.text, certain(caption.told)) for caption in spoken]


def certain(told: Facts) -> Facts:
    return {key: value for key, value in told.items() if key not in MATTERS_OF_DEGREE}


BIRDS = Speech(
    captions=said,
    kind=lambda index, split: birds.species(birds.bird(index, split)),
    true=lambda index, split: certain(facts(birds.bird(index, split))),
)


WORLDS = {
    "birds": World(
        version=1,
        draw=painted,
        size=(64, 64),
        views={"birds": (0, Side(name="birds", channels=3))},
        shown="birds",
        sides={},
        counts=(4_000, 500),
        told=BIRDS,
        squares=(16, 512),
    ),
    "streets": World(
        version=1,
        draw=street,
        size=(128, 128),
        views={
            "labels": (0, Side(name="labels", channels=1, palette=streets.CLASSES)),
            "day": (1, Side(name="day", channels=3)),
            "night": (4, Side(name="night", channels=3)),
        },
        shown="day",
        sides={"paired": ("labels", "day"), "unpaired": ("day", "night")},
        counts=(4_000, 500),
    ),
}


def open_world(name: str, options: DataOptions, cache: Path, progress: Progress | None = None) -> Splits:
    """Train and test sets of a world: its pictures, with what is said of them if that is wanted, or two of its views.

    Raises:
        DataError: a view that it has not, or options that do not suit it.
    """
    world = WORLDS[name]
    if options.other or options.channels:
        raise DataError(f"{name} is drawn: leave data.other and data.channels unset")
    if options.text != "none" and world.told is None:
        raise DataError(f"nothing is said of {name}: leave data.text out, or give birds")
    size = options.target or world.size
    refuse_size(name, world, size)
    if options.pairing != "none" and not world.sides:
        raise DataError(f"{name} holds one kind of image, and this recipe translates between two: give streets")
    packed = pack_world(name, size, cache, progress)
    if options.pairing == "none":
        part = view(world, packed, world.shown, options)
        train, test = (part.dataset(name, split, packed.rows(split)) for split in SPLITS)
        return spoken(world, packed, Splits(train, test), options)
    names = options.sides or world.sides[options.pairing]
    if missing := [each for each in names if each not in world.views]:
        raise DataError(f"{name} has no side {missing[0]!r}: choose from {', '.join(world.views)}")
    return joined(name, [view(world, packed, each, options) for each in names], options)


def refuse_size(name: str, world: World, size: tuple[int, int]) -> None:
    if world.squares is None:
        return
    least, largest = world.squares
    if size[0] != size[1] or not least <= size[0] <= largest:
        raise DataError(f"{name} are drawn as squares of {least} to {largest} pixels: set data.size to one such number")


def spoken(world: World, packed: Pack, splits: Splits, options: DataOptions) -> Splits:
    """The world's pictures with what is said of them, where that is wanted.

    Where pictures are mirrored at random, it is not said which way anything faces.
    """
    if options.text == "none":
        return splits
    assert world.told is not None
    speech, without = world.told, ("facing",) if options.flip else ()

    def make() -> Told:
        scenes = [(index, SPLITS[side]) for index, side in enumerate(packed.splits.tolist())]
        texts = [[text for text, _ in speech.captions(*scene, without)] for scene in scenes]
        return Told(texts, [speech.kind(*scene) for scene in scenes])

    told = kept(packed, "captions-mirrored" if options.flip else "captions", make)
    if options.text == "classes":
        told = Told([phrases(kind) for kind in told.kinds], told.kinds)
        return with_captions(splits, packed, told, options)
    splits = with_captions(splits, packed, told, options)
    train, test = (
        part.accounted(accounts(speech, packed, part.split, without)) for part in (splits.train, splits.test)
    )
    return replace(splits, train=train, test=test)


def accounts(speech: Speech, packed: Pack, split: Split, without: Collection[str]) -> Accounts:
    """What is known of the scenes of a split, found anew whenever it is asked for."""
    scenes = packed.rows(split).tolist()
    return Accounts(
        true=lambda i: speech.true(scenes[i], split),
        told=lambda i: [told for _, told in speech.captions(scenes[i], split, without)],
    )


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
    splits: list[Split] = [SPLITS[0]] * train + [SPLITS[1]] * test
    examples = [
        Example(f"{index:06d}", partial(world.draw, index, split, *size), split) for index, split in enumerate(splits)
    ]
    yield Source(name, "world", len(examples), lambda: iter(examples), encoded=False)
