"""Which kind of source a path is, told by its content rather than its name."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from cardigan.data.archives import COMPRESSIONS, folder_members, tar_members, walk, zip_members
from cardigan.data.arrays import ArrayFile, from_arrays, from_cifar10, idx_file, npy_file, npz_files
from cardigan.data.decode import SUFFIXES
from cardigan.data.parquet import from_parquet
from cardigan.data.sources import Member, Source, Split, from_members, from_sources, printable, refusing, shortened
from cardigan.errors import DataError

KINDS = "a folder, zip or tar of images, an idx, npy, npz or parquet file"
CIFAR10_BATCH = re.compile(r"(^|/)(data_batch_\d+|test_batch)\.bin$")
SPLIT_NAME = re.compile(r"(train|test|val(?:id(?:ation)?)?)(?:\W|_|\d|$)", re.IGNORECASE)


def listing(path: Path) -> list[tuple[str, int, int]]:
    """(name, bytes, time of change in ns) of every file of a source: it changes whenever the source does."""
    found = [(path.name, path)] if path.is_file() else list(walk(path))
    if path.is_file() and (labels := _labels_beside(path)):
        found.append((labels.name, labels))
    return [(name, info.st_size, info.st_mtime_ns) for name, file in found if (info := _stat(file))]


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """The examples of a path, which can be read until the context ends.

    Raises:
        DataError: the path is missing or is nothing that holds images.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist")
    with ExitStack() as stack:
        yield _folder(path, stack) if path.is_dir() else _file(path, stack)


def _folder(path: Path, stack: ExitStack) -> Source:
    name = printable(path.name)
    files = {n: file for n, file in walk(path) if not n.startswith(".") and "/." not in n}
    if any(file.suffix.lower() in SUFFIXES for file in files.values()):
        return from_members(name, "folder", folder_members(path))
    top = [file for n, file in files.items() if "/" not in n]
    if idx := _idx_files(top):
        return from_arrays(name, "idx", idx)
    if shut := [n for n in files if n.endswith("/")]:
        raise DataError(f"{path / shut[0]} cannot be read: permit it, or give a folder without it")
    if parquet := {n: file for n, file in files.items() if file.suffix == ".parquet"}:
        return _parquet_shards(name, parquet)
    if any(CIFAR10_BATCH.search(file) for file in files):
        return from_cifar10(name, _cifar10_batches(folder_members(path)))
    if tars := {n: f for n, f in files.items() if ".tar" in f.suffixes or f.suffix == ".tgz"}:
        members = [
            m for n, f in tars.items() for m in tar_members(f, stack, f"{printable(f.name)}/", _split_in_name(n))
        ]
        return _tar_source(name, members)
    raise DataError(f"{path} holds no images: Cardigan reads {KINDS}")


def _file(path: Path, stack: ExitStack) -> Source:
    name = printable(path.name)
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if head.startswith(b"PK"):
        if path.suffix.lower() == ".npz":
            return from_arrays(name, "npz", *npz_files(path, stack))
        return from_members(name, "zip", zip_members(path, stack))
    if head.startswith(b"\x93NUMPY"):
        return from_arrays(name, "npy", [npy_file(name, lambda: path.open("rb"))])
    if head.startswith(b"PAR1"):
        return from_parquet(path)
    if head[:2] == b"\0\0" or (head[:2] == b"\x1f\x8b" and _looks_like_idx(path)):
        return from_arrays(name, "idx", [idx_file(path, labels=_labels_beside(path))])
    if any(head.startswith(magic) for magic in COMPRESSIONS) or tarfile.is_tarfile(path):
        return _tar_source(name, tar_members(path, stack))
    if path.suffix.lower() in SUFFIXES:
        raise DataError(f"{path} is one image: give the folder that holds at least 2")
    raise DataError(f"{path} is not a kind of data that Cardigan reads: {KINDS}")


def _tar_source(name: str, members: list[Member]) -> Source:
    batches = any(CIFAR10_BATCH.search(m.path) for m in members)
    if batches and not any(Path(m.path).suffix.lower() in SUFFIXES for m in members):
        return from_cifar10(name, _cifar10_batches(members))
    return from_members(name, "tar", members)


def _cifar10_batches(members: list[Member]) -> dict[str, Callable[[], bytes]]:
    """The batches, and what is wrong with the archive they lie in."""
    return {
        Path(m.path).name: refusing(m.bad) if m.bad else m.load
        for m in members
        if m.bad or CIFAR10_BATCH.search(m.path)
    }


def _looks_like_idx(path: Path) -> bool:
    return "idx" in path.name or "ubyte" in path.name


def _labels_beside(path: Path) -> Path | None:
    """The labels of a file of images, compressed as it is or not."""
    name = path.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    if name == path.name:
        return None
    plain = name.removesuffix(".gz")
    return next((found for n in (name, plain, f"{plain}.gz") if (found := path.with_name(n)).is_file()), None)


def _idx_files(files: list[Path]) -> list[ArrayFile]:
    """Image files with the labels beside them; a file compressed and not is taken once."""
    whole = sorted((f for f in files if not f.suffix.startswith(".part")), reverse=True)  # not half downloaded
    images = {f.name.removesuffix(".gz"): f for f in whole if "images" in f.name and _looks_like_idx(f)}
    splits: dict[Path, Split | None] = {f: _idx_split(f) for f in images.values()}
    official = set(splits.values()) == {"train", "test"}
    return [idx_file(f, s if official else None, _labels_beside(f)) for f, s in sorted(splits.items())]


def _idx_split(file: Path) -> Split | None:
    if file.name.startswith("train"):
        return "train"
    return "test" if file.name.startswith(("t10k", "test")) else None


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
