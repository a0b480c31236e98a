"""The two sides of a translation, from folders, from pictures side by side, from two sources or from a built-in world.

Each side is read as any images are, into a pack of its own. What is handed out are examples of both: the channels of the
second side after those of the first. Paired sides go together by name; unpaired ones in orders of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from cardigan.data.dataset import Dataset, Splits, of_pack
from cardigan.data.decode import Unreadable, quiet_pillow
from cardigan.data.formats import open_source
from cardigan.data.options import DataOptions
from cardigan.data.order import Order, derived_seed
from cardigan.data.packing import Progress, pack
from cardigan.data.palette import Palette, palette_of, read_palette
from cardigan.data.reading import counted
from cardigan.data.sources import SPLIT_AND_SIDE, SPLITS, Split, shortened
from cardigan.data.spec import DataSpec, Side
from cardigan.data.store import Pack
from cardigan.data.views import View
from cardigan.errors import DataError

HALVES = ("left", "right")


@dataclass(frozen=True)
class Part:
    """One side, by itself.

    Attributes:
        side: what its images are.
        pack: that holds them.
        first: of the pack's channels.
        folder: where they lie within the source, if in a folder of it.
    """

    side: Side
    pack: Pack
    first: int = 0
    folder: str | None = None

    @property
    def spec(self) -> DataSpec:
        """Of the images as they are stored."""
        _, height, width = self.pack.index.shape
        bits, classes = self.pack.index.bits, self.pack.index.classes
        return DataSpec(channels=self.side.channels, height=height, width=width, bits=bits, classes=classes)

    def dataset(self, name: str, split: Split, rows: Tensor) -> Dataset:
        return of_pack(self.pack, name, split, self.spec, rows, self.first)


class TwoSided(Dataset):
    """Examples of two sides, the channels of the second after those of the first.

    Attributes:
        sides: each side by itself.
        truth: the pairs where there are any, for comparison where they are not to be learnt from.
    """

    truth: Pairs | None

    def __init__(self, a: Dataset, b: Dataset, spec: DataSpec) -> None:
        kind = "paired" if spec.paired else "unpaired"
        digest = hashlib.sha256(f"{kind} {spec.sides} {a.digest} {b.digest}".encode()).hexdigest()
        super().__init__(a.name, a.split, spec, torch.empty(0), digest)
        self.sides = a, b

    def __len__(self) -> int:
        return max(map(len, self.sides))

    def each(self, indices: Tensor) -> Sequence[Tensor]:
        """The index within each side."""
        raise TypeError(f"{type(self).__name__} does not say which images go together")

    def images(self, indices: Tensor, device: torch.device | str = "cpu") -> Tensor:
        both = zip(self.sides, self.each(indices), strict=True)
        return torch.cat([side.images(rows, device) for side, rows in both], 1)

    def labels(self, indices: Tensor, device: torch.device | str = "cpu") -> Tensor | None:
        """Classes of the first side's images."""
        return self.sides[0].labels(self.each(indices)[0], device)

    def names(self, indices: Tensor) -> list[str] | None:
        """Names of the first side's images."""
        return self.sides[0].names(self.each(indices)[0])

    def halved(self, times: int) -> Dataset:
        if not times:
            return self
        raise DataError(f"{self.name} has two sides, which no growing network takes: choose another recipe")


class Pairs(TwoSided):
    """Examples whose two sides belong together; both datasets are in the order of the pairs."""

    def __init__(self, a: Dataset, b: Dataset, spec: DataSpec) -> None:
        super().__init__(a, b, spec)
        self.truth = self

    def each(self, indices: Tensor) -> Sequence[Tensor]:
        return indices, indices


class Unpaired(TwoSided):
    """Examples of two sides that have nothing to do with each other; as many as the larger side has.

    An example is addressed by one number, of which each side takes the remainder, or by two, one a side.
    """

    def __init__(self, a: Dataset, b: Dataset, spec: DataSpec, truth: Pairs | None = None) -> None:
        super().__init__(a, b, spec)
        self.truth = truth

    def each(self, indices: Tensor) -> Sequence[Tensor]:
        if indices.dim() == 2:
            return indices.unbind(1)
        return [indices % len(side) for side in self.sides]

    def order(self, seed: int) -> Orders:
        return Orders([Order(len(side), derived_seed(seed, name)) for side, name in zip(self.sides, "ab", strict=True)])


class Orders(Order):
    """Endless sequences that know nothing of each other, one a side."""

    def __init__(self, orders: list[Order]) -> None:
        self.orders = orders

    def indices(self, start: int, n: int) -> Tensor:
        """Examples at positions start, ..., start + n - 1: int64 (n, sides)."""
        return torch.stack([order.indices(start, n) for order in self.orders], 1)


def open_sides(path: Path, name: str, options: DataOptions, cache: Path, progress: Progress | None = None) -> Splits:
    """Train and test sets of both sides of a source.

    Raises:
        DataError: the sides cannot be found, do not fit together, or cannot be read.
    """
    if options.other is not None:
        parts = two_sources(path, Path(options.other).expanduser(), options, cache, progress)
    else:
        parts = two_parts(path, options, cache, progress)
    return joined(name, parts, options)


def two_parts(path: Path, options: DataOptions, cache: Path, progress: Progress | None) -> list[Part]:
    """The sides within one source."""
    names = found_sides(path, options)
    refuse_unknown_maps(options, names)
    halves = set(names) <= set(HALVES) and not folders_of(path)
    parts = []
    for name in names:
        view = View(half=name) if halves else View(folder=name)  # type: ignore[arg-type]
        parts.append(part(path, name, view, options, cache, progress))
    return parts


def two_sources(a: Path, b: Path, options: DataOptions, cache: Path, progress: Progress | None) -> list[Part]:
    """A source for each side."""
    if not b.exists():
        raise DataError(f"{b} does not exist: data.other is the path of the second side")
    names = options.sides or (a.stem, b.stem)
    if names[0] == names[1]:
        raise DataError(f'{a} and {b} are called alike: name the sides with --set \'data.sides=["a", "b"]\'')
    refuse_unknown_maps(options, names)
    return [part(path, name, View(), options, cache, progress) for path, name in zip((a, b), names, strict=True)]


def part(path: Path, name: str, view: View, options: DataOptions, cache: Path, progress: Progress | None) -> Part:
    """One side of a source."""
    palette = None
    if name in options.label_maps:
        palette = read_palette(options.palette) if options.palette else occurring(path, view)
        options = options.model_copy(update={"channels": None})
    view = view.model_copy(update={"palette": palette})
    packed = pack(path, options, cache, progress, view)
    side = Side(
        name=name,
        channels=packed.index.shape[0],
        palette=() if palette is None else palette.entries,
        coding=options.coding,
        indices=None if palette is None or not options.palette else palette.indices,
    )
    return Part(side, packed, folder=view.folder)


def occurring(path: Path, view: View) -> Palette:
    """The colours of the label maps of a view."""
    with open_source(path) as source, quiet_pillow():
        try:
            every = view.of(source, DataOptions())
            return palette_of(path.name, (view.pixels(e.load, DataOptions()) for e in every.examples()))
        except Unreadable as problem:
            raise DataError(f"{path.name}: a label map cannot be read: {problem}") from problem


# ---- which sides there are -------------------------------------------------------------------------------------------


def folders_of(path: Path) -> tuple[str, ...]:
    """The folders of a source that may be sides."""
    with open_source(path) as source:
        return source.classes


def found_sides(path: Path, options: DataOptions) -> tuple[str, str]:
    """The sides that the options name, or the only two there can be.

    Raises:
        DataError: they are not there, or there are more.
    """
    folders = folders_of(path)
    if options.sides is not None:
        known = folders or HALVES
        if missing := [side for side in options.sides if side not in known]:
            raise DataError(f"{path.name} has no side {missing[0]!r}: choose from {', '.join(known)}")
        return options.sides
    if len(folders) == 2:
        return folders[0], folders[1]
    if not folders and options.pairing == "paired":
        return HALVES
    if not folders:
        raise DataError(
            f"{path.name} has no two folders, one a side: sort the images into them, or name the second source with "
            "--set data.other=PATH"
        )
    raise DataError(
        f"{path.name} has the folders {shortened(folders, 6)}: say which are the sides with "
        f'--set \'data.sides=["{folders[0]}", "{folders[1]}"]\''
    )


def refuse_unknown_maps(options: DataOptions, names: tuple[str, str]) -> None:
    if strange := [name for name in options.label_maps if name not in names]:
        raise DataError(f"data.label_maps names {strange[0]!r}, and the sides are {' and '.join(names)}")


# ---- putting them together -------------------------------------------------------------------------------------------


def joined(name: str, parts: Sequence[Part], options: DataOptions) -> Splits:
    """Both sides as one set.

    Raises:
        DataError: they differ in size, or an image has no partner.
    """
    a, b = parts
    spec = common_spec(a, b, options)
    notes = tuple(f"{part.side.name}: {note}" for part in parts for note in part.pack.index.notes)
    train, test = (of_split(name, split, a, b, spec) for split in SPLITS)
    return Splits(train, test, notes)


def of_split(name: str, split: Split, a: Part, b: Part, spec: DataSpec) -> Pairs | Unpaired:
    """Both sides of the train or of the test split."""
    rows = a.pack.rows(split)
    first = a.dataset(name, split, rows)
    if spec.paired:
        return Pairs(first, b.dataset(name, split, partners(a, b)[rows]), spec)
    truth, second = None, b.dataset(name, split, b.pack.rows(split))
    with suppress(DataError):  # most often there are no pairs
        second = b.dataset(name, split, partners(a, b)[rows])  # so that no image's partner is in the other split
        truth = Pairs(first, second, spec.model_copy(update={"paired": True}))
    return Unpaired(first, second, spec, truth)


def common_spec(a: Part, b: Part, options: DataOptions) -> DataSpec:
    sizes = [f"{part.spec.width} x {part.spec.height}" for part in (a, b)]
    if sizes[0] != sizes[1]:
        told = f"{a.side.name} is {sizes[0]} and {b.side.name} {sizes[1]}"
        raise DataError(f"{told}: bring them to one size with --set data.size=128")
    return DataSpec(
        channels=a.side.channels + b.side.channels,
        height=a.spec.height,
        width=a.spec.width,
        bits=max(a.spec.bits, b.spec.bits),
        classes=a.spec.classes,
        sides=(a.side, b.side),
        paired=options.pairing == "paired",
    )


def partners(a: Part, b: Part) -> Tensor:
    """The row of the second side's pack that belongs to each row of the first side's: int64 (rows,).

    Raises:
        DataError: where an image has no partner, or several.
    """
    if a.pack is b.pack:
        return torch.arange(a.pack.index.count)
    places = [by_name(part) for part in (a, b)]
    if lone := sorted(places[0].keys() ^ places[1].keys()):
        raise DataError(
            f"{counted(len(lone), 'image')} of {a.side.name} and {b.side.name} without a partner of the same name: "
            f"{shortened(lone)}; remove what has none, or choose a recipe for unpaired images"
        )
    found = torch.empty(len(places[0]), dtype=torch.int64)
    for key, row in places[0].items():
        found[row] = places[1][key]
    return found


def by_name(part: Part) -> dict[str, int]:
    """The row of each image by what it is called, whichever side it is on."""
    found: dict[str, int] = {}
    for row, name in enumerate(part.pack.names):
        key = paired_name(name, part.folder)
        if key in found:
            raise DataError(f"{part.side.name} has two images called {key}: remove one of them")
        found[key] = row
    return found


def paired_name(name: str, folder: str | None) -> str:
    """An image's path without its ending and without the folder that is its side.

    >>> paired_name("train/photos/7.jpg", "photos"), paired_name("trainA/7.png", "A")
    ('train/7', 'train/7')
    """
    path = PurePosixPath(name)
    folders = [SPLIT_AND_SIDE.sub(r"\1", part) for part in path.parts[:-1] if part != folder]
    return "/".join([*folders, path.stem])
