"""Making packs: a source is read image by image into a pack that appears whole or not at all.

A few images are in memory at a time, and of every image its name, label, split and hashes: about 250 bytes, and 700
more for a folder or an archive, whose files are listed first.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cardigan.data.archives import unwritable
from cardigan.data.formats import listing, open_source
from cardigan.data.options import DataOptions
from cardigan.data.reading import Met, Reading, Tally, counted, problems_in_words, refuse_unsuitable
from cardigan.data.sources import Source, shortened
from cardigan.data.store import VERSION, FileRecord, Pack, PackFile, PackIndex, open_pack
from cardigan.data.views import View
from cardigan.errors import DataError

Progress = Callable[[int, int], None]
Opened = Callable[[], AbstractContextManager[Source]]

PACKED = {"size", "channels", "fit", "skip_unreadable", "background", "held_out"}
"""The options that decide what a pack holds."""


def pack(
    path: Path, options: DataOptions, cache: Path, progress: Progress | None = None, view: View | None = None
) -> Pack:
    """The pack of a source, or of what a view shows of it, built if there is none, or if it is damaged or out of date.

    Raises:
        DataError: the source is unsuitable, or the cache cannot be written to.
    """
    folder = cache / "packs" / key(path, options, view)
    return open_pack(folder) or build(partial(open_view, path, view, options), options, folder, progress)


def key(path: Path, options: DataOptions, view: View | None = None) -> str:
    """A name that changes with the source's place and files, the view, the options and the format."""
    if not path.exists():
        raise DataError(f"{path} does not exist")
    shown = () if view is None else (view.model_dump(mode="json"),)
    return digest(VERSION, str(path.resolve()), listing(path), options.model_dump(mode="json", include=PACKED), *shown)


def digest(*parts: object) -> str:
    """A name for a pack that changes with what it is made of."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]


@contextmanager
def open_view(path: Path, view: View | None, options: DataOptions) -> Iterator[Source]:
    with open_source(path) as source:
        yield source if view is None else view.of(source, options)


def build(opened: Opened, options: DataOptions, folder: Path, progress: Progress | None = None) -> Pack:
    """Make a pack aside and move it to its place in one step; if another process was first, use its pack."""
    draft = folder.parent / f".building-{uuid.uuid4().hex}"
    try:
        try:
            draft.mkdir(parents=True)
            _sweep(folder.parent)
        except OSError as error:
            raise unwritable(error, folder.parent) from error
        with opened() as source:
            _fill(draft, source, options, progress)
        return _publish(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _sweep(packs: Path, age: float = 86_400) -> None:
    """Remove what builds that last wrote more than a day ago have left."""
    for left in packs.glob(".building-*"):
        with suppress(OSError):
            if time.time() - max(file.stat().st_mtime for file in (left, *left.iterdir())) > age:
                shutil.rmtree(left, ignore_errors=True)


def _publish(draft: Path, folder: Path) -> Pack:
    for _ in range(10):
        try:
            os.rename(draft, folder)
        except OSError:
            if (winner := open_pack(folder)) is not None:
                return winner
            aside = draft.with_name(f"{draft.name}-damaged")
            with suppress(OSError):
                os.rename(folder, aside)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            break
    made = open_pack(folder)
    if made is None:
        raise DataError(f"the pack in {folder} cannot be put into place: remove that folder, or check the disk")
    return made


class Columns:
    """What is kept in memory of each example, beside the tally, while its pixels go to disk: about 50 bytes."""

    def __init__(self) -> None:
        self.labels: list[int] = []
        self.splits = bytearray()
        self.given = bytearray()
        self.identities = bytearray()
        self.contents = bytearray()

    def add(self, met: Met, content: bytes, label: int, held_out: float) -> None:
        split = met.example.split
        self.labels.append(label)
        self.given.append(split is not None)
        self.splits.append(split == "test" if split else is_held_out(met.identity, held_out))
        self.identities += met.identity
        self.contents += hashlib.blake2b(content, digest_size=16).digest()


def is_held_out(identity: bytes, part: float) -> bool:
    """Whether an image without a given split belongs to the test split: its content alone decides.

    So exact copies are always on one side, and adding or removing files never moves another one.
    """
    return int.from_bytes(identity[:8], "big") < part * 2**64


def _fill(draft: Path, source: Source, options: DataOptions, progress: Progress | None) -> None:
    """Write all files of a pack."""
    images = PackFile(draft / "images.bin")
    try:
        tally, columns, shape, bits = _write_images(images, source, options, progress)
        refuse_unsuitable(source, options, tally)
    finally:
        record = images.close()
    splits = settle_splits(source.name, columns)
    labels = np.array(columns.labels, np.int64)
    parts = {"splits.bin": splits.tobytes(), "names.json": json.dumps(tally.names).encode()}
    if source.classes:
        parts["labels.bin"] = labels.tobytes()
    index = PackIndex(
        name=source.name,
        kind=source.kind,
        shape=shape,
        bits=bits,
        count=len(tally.names),
        classes=source.classes,
        digests=_digests((*shape, bits), columns.contents, labels, splits),
        files={"images.bin": record, **{name: _written(draft / name, data) for name, data in parts.items()}},
        problems=tuple(tally.problems),
        duplicates=tuple(tuple(group) for group in tally.duplicates),
        notes=tuple(_notes(source, tally, columns, splits)),
    )
    _written(draft / "index.json", index.model_dump_json(indent=1).encode())


def _write_images(
    images: PackFile, source: Source, options: DataOptions, progress: Progress | None
) -> tuple[Tally, Columns, tuple[int, int, int], Literal[8, 16]]:
    reading, tally, columns = Reading(source, options), Tally(), Columns()
    classes = {name: i for i, name in enumerate(source.classes)}
    first: tuple[tuple[int, ...], int] | None = None
    for done, met in enumerate(reading, 1):
        tally.add(met)
        if met.pixels is not None:
            layout = met.pixels.shape, met.pixels.itemsize
            first = first or layout
            if layout != first:
                reading.headers_only = True  # it will be refused: all that is left is to say what there is
            if not reading.headers_only:
                content = met.pixels.transpose(2, 0, 1).tobytes()
                columns.add(met, content, classes.get(met.example.label or "", -1), options.held_out)
                images.append(content)
        if progress is not None:
            progress(done, max(source.count, done))
    (height, width, channels), size = first or ((0, 0, 0), 1)
    return tally, columns, (channels, height, width), 8 if size == 1 else 16


def _written(path: Path, data: bytes) -> FileRecord:
    file = PackFile(path)
    try:
        file.append(data)
    finally:
        record = file.close()
    return record


def settle_splits(name: str, columns: Columns) -> NDArray[np.uint8]:
    """Splits as decided image by image; if that left one side empty, the image nearest to it moves, with its copies.

    Raises:
        DataError: all images are the same picture.
    """
    splits = np.frombuffer(columns.splits, np.uint8).copy()
    free = ~np.frombuffer(columns.given, bool)
    if splits.any() and not splits.all():
        return splits
    if not free.any():
        raise DataError(f"{name}: the {'test' if splits.any() else 'train'} split is all there is: both are needed")
    identities = np.frombuffer(columns.identities, "S16")
    if len(np.unique(identities)) == 1:
        raise DataError(f"{name}: all {len(splits)} images are the same picture: at least 2 different ones are needed")
    missing = 0 if splits.all() else 1
    ranked = sorted(columns.identities[16 * i : 16 * i + 16] for i in np.flatnonzero(free).tolist())
    moved = ranked[-1] if missing == 0 else ranked[0]
    for i in np.flatnonzero(free).tolist():
        if columns.identities[16 * i : 16 * i + 16] == moved:
            splits[i] = missing
    return splits


def _digests(shape: tuple[int, ...], contents: bytearray, labels: NDArray, splits: NDArray) -> dict[str, str]:
    pixels = np.frombuffer(contents, np.uint8).reshape(-1, 16)
    return {
        name: hashlib.sha256(
            repr(shape).encode() + pixels[side].tobytes() + labels[side].astype("<i8").tobytes()
        ).hexdigest()
        for name, side in (("train", splits == 0), ("test", splits == 1))
    }


def _notes(source: Source, tally: Tally, columns: Columns, splits: NDArray) -> list[str]:
    notes = list(source.notes)
    if tally.problems:
        notes.append(
            f"left out: {counted(len(tally.problems), 'unreadable image')}: {problems_in_words(tally.problems)}"
        )
    if copies := sum(map(len, tally.copies.values())):
        pairs = shortened(f"{others[0]} = {original}" for original, *others in tally.duplicates)
        notes.append(f"found {counted(copies, 'exact copy', 'exact copies')}: {pairs}")
    packed = np.frombuffer(columns.contents, "S16")
    if straddling := int(np.isin(packed[splits == 1], packed[splits == 0]).sum()):
        notes.append(
            f"{counted(straddling, 'test image')} equal to a training image: the test images are not all unseen"
        )
    if source.ignored:
        notes.append(f"ignored: {counted(len(source.ignored), 'other file')}: {shortened(source.ignored)}")
    return notes
