"""Folders: of pictures, or of the files that hold them: idx, parquet, CIFAR-10 batches or tar.

Where a folder holds several of these, the one with the most images is read, pictures where they are as many, and what
is left out is told.
"""

from __future__ import annotations

import math
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from cardigan.data.archives import BROKEN_STREAM, folder_members, tar_members, walk
from cardigan.data.arrays import CIFAR10_RECORD, ArrayFile, from_arrays, from_cifar10, idx_file
from cardigan.data.decode import SUFFIXES
from cardigan.data.parquet import from_parquet, images_in
from cardigan.data.sources import (
    Member,
    Source,
    Split,
    from_members,
    from_sources,
    hidden,
    printable,
    refusing,
    shortened,
)
from cardigan.errors import DataError

KINDS = "a folder, zip or tar of images, an idx, npy, npz or parquet file"
CIFAR10_BATCH = re.compile(r"(^|/)(data_batch_\d+|test_batch)\.bin$")
SPLIT_NAME = re.compile(r"(train|test|val(?:id(?:ation)?)?)(?:\W|_|\d|$)", re.IGNORECASE)

Files = dict[str, Path]


@dataclass(frozen=True, slots=True)
class Kind:
    """Those files of a folder that are one source.

    Attributes:
        one: what one file is called.
        files: by their path below the folder.
        count: how many images they hold; given a number, it may stop counting above it.
        open: the source.
    """

    one: str
    files: Files
    count: Callable[[float], float]
    open: Callable[[], Source]

    @property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.files.values() if file.exists())

    def __str__(self) -> str:
        return f"{len(self.files):,} {self.one}{'s' if len(self.files) > 1 else ''} ({shortened(self.files)})"


def from_folder(path: Path, stack: ExitStack) -> Source:
    """The images of a folder, which can be read until the stack closes.

    Raises:
        DataError: there are none, or a folder below it that may hold shards cannot be read.
    """
    every = dict(walk(path))
    kinds = [kind for kind in _kinds(path, every, stack) if kind.files]
    chosen = kinds[0] if len(kinds) == 1 else _fullest(kinds)
    if (chosen is None or chosen.one not in ("picture", "idx file")) and (shut := [n for n in every if n[-1] == "/"]):
        raise DataError(f"{path / shut[0]} cannot be read: permit it, or give a folder without it")
    if chosen is None:
        raise DataError(f"{path} holds no images: Cardigan reads {KINDS}")
    source, others = chosen.open(), [kind for kind in kinds if kind is not chosen]
    if not others:
        return source
    note = f"the {chosen.one}s are read, as they hold the most images; left out: {', '.join(map(str, others))}"
    left = (n for kind in others for n in kind.files if n not in source.ignored)
    return replace(source, ignored=(*source.ignored, *left), notes=(*source.notes, note))


def _kinds(path: Path, every: Files, stack: ExitStack) -> Iterator[Kind]:
    """The kinds that Cardigan reads from a folder, with the files that it holds of each."""
    name = printable(path.name)
    files = {n: file for n, file in every.items() if not hidden(n) and n[-1] != "/"}

    def those(wanted: Callable[[str, Path], object]) -> Files:
        return {n: file for n, file in files.items() if wanted(n, file)}

    pictures = those(lambda n, file: file.suffix.lower() in SUFFIXES)
    yield Kind("picture", pictures, lambda _: len(pictures), lambda: from_members(name, "folder", folder_members(path)))
    idx = _idx_images(those(lambda n, file: "/" not in n))
    yield Kind("idx file", idx, lambda _: sum(idx_file(f).shape[0] for f in idx.values()), lambda: _from_idx(name, idx))
    parquet = those(lambda n, file: file.suffix == ".parquet")
    yield Kind(
        "parquet file",
        parquet,
        lambda _: sum(map(images_in, parquet.values())),
        lambda: _parquet_shards(name, parquet),
    )
    cifar10 = those(lambda n, file: CIFAR10_BATCH.search(n))
    yield Kind(
        "CIFAR-10 file",
        cifar10,
        lambda _: sum(file.stat().st_size for file in cifar10.values()) // CIFAR10_RECORD,
        lambda: from_cifar10(name, cifar10_batches(folder_members(path))),
    )
    tars = those(lambda n, file: ".tar" in file.suffixes or file.suffix == ".tgz")
    yield Kind("tar file", tars, lambda enough: _images_in_tars(tars, enough), lambda: _from_tars(name, tars, stack))


def _fullest(kinds: list[Kind]) -> Kind | None:
    """The kind with the most images, the first if several have as many; what cannot be counted goes by its bytes."""
    best, most = None, -1.0
    for kind in kinds:
        try:
            count = kind.count(most)
        except (DataError, OSError):
            count = math.inf if kind.bytes > sum(other.bytes for other in kinds if other is not kind) else 0
        if count > most:
            best, most = kind, count
    return best


def _images_in_tars(files: Files, enough: float) -> int:
    count = 0
    for file in files.values():
        try:
            with tarfile.open(file) as archive:
                for info in archive:
                    if CIFAR10_BATCH.search(info.name):
                        count += info.size // CIFAR10_RECORD
                    elif Path(info.name).suffix.lower() in SUFFIXES and not hidden(info.name):
                        count += 1
                    if count > enough:
                        return count
        except (tarfile.TarError, *BROKEN_STREAM):
            continue  # if it is read, what is wrong with it will be said
    return count


def _from_tars(name: str, files: Files, stack: ExitStack) -> Source:
    return tar_source(
        name,
        [
            member
            for n, file in files.items()
            for member in tar_members(file, stack, f"{printable(file.name)}/", _split_in_name(n))
        ],
    )


def _from_idx(name: str, files: Files) -> Source:
    splits: dict[Path, Split | None] = {file: _idx_split(file) for file in files.values()}
    official = set(splits.values()) == {"train", "test"}
    arrays: list[ArrayFile] = [
        idx_file(f, s if official else None, labels_beside(f)) for f, s in sorted(splits.items())
    ]
    return from_arrays(name, "idx", arrays)


def _idx_images(files: Files) -> Files:
    """The files of images; one that lies there compressed and not is taken once."""
    whole = sorted((n for n, file in files.items() if not file.suffix.startswith(".part")), reverse=True)
    images = {n.removesuffix(".gz"): n for n in whole if "images" in n and looks_like_idx(files[n])}
    return {n: files[n] for n in images.values()}


def _idx_split(file: Path) -> Split | None:
    if file.name.startswith("train"):
        return "train"
    return "test" if file.name.startswith(("t10k", "test")) else None


def tar_source(name: str, members: list[Member]) -> Source:
    batches = any(CIFAR10_BATCH.search(m.path) for m in members)
    if batches and not any(Path(m.path).suffix.lower() in SUFFIXES for m in members):
        return from_cifar10(name, cifar10_batches(members))
    return from_members(name, "tar", members)


def cifar10_batches(members: list[Member]) -> dict[str, Callable[[], bytes]]:
    """The batches, and what is wrong with the archive they lie in."""
    return {
        Path(m.path).name: refusing(m.bad) if m.bad else m.load
        for m in members
        if m.bad or CIFAR10_BATCH.search(m.path)
    }


def looks_like_idx(path: Path) -> bool:
    return path.suffix.lower() not in SUFFIXES and ("idx" in path.name or "ubyte" in path.name)


def labels_beside(path: Path) -> Path | None:
    """The labels of a file of images, compressed as it is or not."""
    name = path.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    if name == path.name:
        return None
    plain = name.removesuffix(".gz")
    return next((found for n in (name, plain, f"{plain}.gz") if (found := path.with_name(n)).is_file()), None)


def _split_in_name(path: str) -> str | None:
    """The split that a shard's name, or its folder's, begins with."""
    for text in path.split("/")[:-3:-1]:
        if found := SPLIT_NAME.match(text):
            return "val" if found[1].lower().startswith("val") else found[1].lower()
    return None


def _parquet_shards(name: str, files: dict[str, Path]) -> Source:
    """Shards as one source, with the splits that their names tell by the rules for the top folders of images."""
    found = {path: _split_in_name(path) for path in files}
    if "train" not in found.values() or not {"test", "val"} & set(found.values()):
        return from_sources(name, "parquet", [from_parquet(file) for file in files.values()])
    test = "test" if "test" in found.values() else "val"
    sides: dict[str | None, Split] = {"train": "train", test: "test"}
    source = from_sources(name, "parquet", [from_parquet(files[p], sides[s]) for p, s in found.items() if s in sides])
    notes = ["the validation shards are the test split"] if test == "val" else []
    if others := [path for path, split in found.items() if split not in sides]:
        notes.append(f"left out, as neither train nor test: {shortened(others)}")
    return replace(source, notes=(*source.notes, *notes))
