"""What a source of images is: a named list of examples, each with its class and split where the source tells them.

This file turns the files of a folder or an archive into such a list; arrays.py does it for array files; formats.py
tells which of them a path is, and folders.py what a folder holds. Nothing is ever extracted: members of an archive are
read into memory one at a time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal

from cardigan.data.decode import SUFFIXES, Pixels, Unreadable

Split = Literal["train", "test"]
SPLITS: tuple[Split, Split] = ("train", "test")
TOP_FOLDERS = {"train": "train", "test": "test", "val": "val", "valid": "val", "validation": "val"}
SPLIT_AND_SIDE = re.compile(r"(train|test|val)_?([AB])")
LARGEST_FILE = 1 << 30
CAPTIONS = "captions.csv"


@dataclass(frozen=True, slots=True)
class Example:
    """One image that has not been read yet.

    Attributes:
        name: unique in its source.
        load: the encoded file, or pixels (height, width, channels); raises `Unreadable`.
        split: as the source says, None where it doesn't.
        label: the class's name.
    """

    name: str
    load: Callable[[], bytes | Pixels]
    split: Split | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Examples in a fixed order, and what was found beside them."""

    name: str
    kind: str
    count: int
    examples: Callable[[], Iterator[Example]]
    classes: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    encoded: bool = True


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a folder or an archive.

    Attributes:
        path: with forward slashes, below the folder or archive.
        load: its bytes; raises `Unreadable`.
        where: the shard it lies in, where there are several.
        split: train, test or val where the shard's name says so.
        bad: why it is not to be read, whatever its kind.
    """

    path: str
    load: Callable[[], bytes]
    where: str = ""
    split: str | None = None
    bad: str | None = None

    @property
    def name(self) -> str:
        return self.where + self.path


def printable(name: str) -> str:
    """A name as valid text: bytes of a file's name that are not UTF-8 are written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def shortened(items: Iterable[str], most: int = 3) -> str:
    """The first few of a list, and how many more there are."""
    every = list(items)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def natural(text: str) -> list[tuple[int, str]]:
    """Sort key by which class "10" comes after class "9"."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", text) if part]


def escapes(path: str) -> bool:
    """Whether an archive member's path leads out of the folder it would be unpacked into."""
    path = path.replace("\\", "/")
    return path.startswith("/") or re.match("[A-Za-z]:", path) is not None or ".." in path.split("/")


def from_members(name: str, kind: str, members: Iterable[Member]) -> Source:
    """The images among some files, with their classes and splits by the layout of the folders.

    * A top folder that holds everything is passed through.
    * Top folders ``train`` and ``test`` are the official split; ``val`` is left out beside them, and is the test split
      where there is no ``test``.
    * ``trainA``, ``trainB`` and the like are folders ``A`` and ``B`` of a split.
    * If every image lies in a folder and there are two or more folders, they are the classes; ``x.cls`` beside
      ``x.jpg`` (WebDataset) comes before that.
    """
    visible = [m for m in members if m.bad or not hidden(m.path)]
    bad = [Example(m.name, refusing(m.bad)) for m in visible if m.bad]
    sound = sorted((m for m in visible if not m.bad), key=lambda m: m.name)
    images = [m for m in sound if PurePosixPath(m.path).suffix.lower() in SUFFIXES]
    written = {_key(m): m for m in sound if m.path.endswith(".cls")}
    others = tuple(
        m.name
        for m in sound
        if PurePosixPath(m.path).suffix.lower() not in (SUFFIXES | {".cls"}) and PurePosixPath(m.path).name != CAPTIONS
    )
    kept, notes = _splits(images)
    labels = _labels(kept, written)
    if any(labels) and not all(labels):
        notes.append(f"{sum(not label for label in labels)} of the images have no class, so the classes are not used")
    classes = tuple(sorted({label for label in labels if label}, key=natural)) if all(labels) else ()
    if len(classes) < 2:
        classes, labels = (), [None] * len(kept)
    examples = [
        Example(member.name, member.load, split, label) for (member, split, _), label in zip(kept, labels, strict=True)
    ]
    return Source(name, kind, len(examples) + len(bad), lambda: iter(examples + bad), classes, others, tuple(notes))


def hidden(path: str) -> bool:
    """Whether a file, or a folder that it lies in, is one that systems keep for themselves."""
    return any(part.startswith((".", "__MACOSX")) and part not in (".", "..") for part in path.split("/"))


def refusing(reason: str | None) -> Callable[[], bytes]:
    """What loads a file that is not to be read."""

    def load() -> bytes:
        raise Unreadable(reason or "")

    return load


def _key(member: Member) -> str:
    """What the files of one WebDataset sample have in common: everything before the first dot of the file's name."""
    folder, _, file = member.path.rpartition("/")
    return f"{member.where}{folder}/{file.split('.')[0]}"


Placed = tuple[Member, Split | None, list[str]]


def _splits(images: list[Member]) -> tuple[list[Placed], list[str]]:
    """The images with their split and the folders below it, and what is to be said about it."""
    parts = [_apart(m.path.removeprefix("./").split("/")) for m in images]
    while images and all(len(p) > 1 and p[0] == parts[0][0] for p in parts):
        parts = [p[1:] for p in parts]
    tops = [
        m.split or (TOP_FOLDERS.get(p[0].lower()) if len(p) > 1 else None) for m, p in zip(images, parts, strict=True)
    ]
    found = Counter(tops)
    if not found["train"] or not (found["test"] or found["val"]):
        return [(m, None, p[:-1]) for m, p in zip(images, parts, strict=True)], []
    sides: dict[str | None, Split] = {"train": "train", "test" if found["test"] else "val": "test"}
    notes = []
    if found["val"]:
        role = "join neither train nor test" if found["test"] else "are the test split"
        notes.append(f"the {found['val']} images of the validation split {role}")
    if found[None]:
        notes.append(f"left out: {found[None]} of the images, which lie outside train and test")
    placed: list[Placed] = [
        (m, sides[top], p[(0 if m.split else 1) : -1])
        for m, p, top in zip(images, parts, tops, strict=True)
        if top in sides
    ]
    return placed, notes


def _apart(parts: list[str]) -> list[str]:
    """The folders on the way to a file; ``trainA``, as unpaired sets are laid out, is ``A`` inside ``train``."""
    for i, part in enumerate(parts[:-1]):
        if found := SPLIT_AND_SIDE.fullmatch(part):
            return [*parts[:i], found[1], found[2], *parts[i + 1 :]]
    return parts


def _labels(placed: list[Placed], written: dict[str, Member]) -> list[str | None]:
    if not written:
        return [folders[0] if folders else None for _, _, folders in placed]
    return [_written_label(written.get(_key(member))) for member, _, _ in placed]


def _written_label(member: Member | None) -> str | None:
    if member is None:
        return None
    try:
        return member.load().decode("utf-8", "replace").strip() or None
    except Unreadable:
        return None


def from_sources(name: str, kind: str, parts: list[Source]) -> Source:
    """Several sources of one kind, one after the other, with the union of their classes."""

    def examples() -> Iterator[Example]:
        for part in parts:
            yield from part.examples()

    classes = {c for part in parts for c in part.classes}
    return replace(
        parts[0],
        name=name,
        kind=kind,
        count=sum(p.count for p in parts),
        examples=examples,
        classes=tuple(sorted(classes, key=natural)) if all(p.classes for p in parts) else (),
        ignored=tuple(i for p in parts for i in p.ignored),
        notes=tuple(dict.fromkeys(n for p in parts for n in p.notes)),
    )
