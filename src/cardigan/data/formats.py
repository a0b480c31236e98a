"""Which kind of source a path is, told by its content rather than its name."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from cardigan.data.archives import COMPRESSIONS, folder_members, tar_members, walk, zip_members
from cardigan.data.arrays import ArrayFile, from_arrays, from_cifar10, idx_file, npy_file, npz_files
from cardigan.data.decode import SUFFIXES
from cardigan.data.parquet import from_parquet
from cardigan.data.sources import Member, Source, Split, from_members, from_sources
from cardigan.errors import DataError

KINDS = "a folder, zip or tar of images, an idx, npy, npz or parquet file"


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
    files = {name: file for name, file in walk(path) if not name.startswith(".") and "/." not in name}
    if any(file.suffix.lower() in SUFFIXES for file in files.values()):
        return from_members(path.name, "folder", folder_members(path))
    top = [file for name, file in files.items() if "/" not in name]
    if idx := _idx_files(top):
        return from_arrays(path.name, "idx", idx)
    if parquet := [file for file in files.values() if file.suffix == ".parquet"]:
        parts = [from_parquet(file, _parquet_split(file)) for file in parquet if _split_in_name(file) != "val"]
        return _with_official_split(from_sources(path.name, "parquet", parts), {_parquet_split(f) for f in parquet})
    if batches := [f for f in files.values() if f.name.endswith("_batch.bin") or f.name.startswith("data_batch_")]:
        return from_cifar10(path.name, {f.name: f.read_bytes for f in batches if f.suffix == ".bin"})
    if tars := [file for file in files.values() if ".tar" in file.suffixes or file.suffix == ".tgz"]:
        members = [m for f in tars for m in tar_members(f, stack, f"{f.name}/", _split_in_name(f))]
        return _tar_source(path.name, members)
    raise DataError(f"{path} holds no images: Cardigan reads {KINDS}")


def _file(path: Path, stack: ExitStack) -> Source:
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if head.startswith(b"PK"):
        if path.suffix.lower() == ".npz":
            return from_arrays(path.name, "npz", npz_files(path, stack))
        return from_members(path.name, "zip", zip_members(path, stack))
    if head.startswith(b"\x93NUMPY"):
        return from_arrays(path.name, "npy", [npy_file(path.name, lambda: path.open("rb"))])
    if head.startswith(b"PAR1"):
        return from_parquet(path)
    if head[:2] == b"\0\0" or (head[:2] == b"\x1f\x8b" and _looks_like_idx(path)):
        return from_arrays(path.name, "idx", [idx_file(path, labels=_labels_beside(path))])
    if any(head.startswith(magic) for magic in COMPRESSIONS) or tarfile.is_tarfile(path):
        return _tar_source(path.name, tar_members(path, stack))
    if path.suffix.lower() in SUFFIXES:
        raise DataError(f"{path} is one image: give the folder that holds at least 2")
    raise DataError(f"{path} is not a kind of data that Cardigan reads: {KINDS}")


def _tar_source(name: str, members: list[Member]) -> Source:
    batches = {Path(m.path).name: m.load for m in members if m.path.endswith(".bin") and "_batch" in m.path}
    if batches and not any(Path(m.path).suffix.lower() in SUFFIXES for m in members):
        return from_cifar10(name, batches)
    return from_members(name, "tar", members)


def _looks_like_idx(path: Path) -> bool:
    return "idx" in path.name or "ubyte" in path.name


def _labels_beside(path: Path) -> Path | None:
    name = path.name.replace("images", "labels").replace("idx3", "idx1").replace("idx4", "idx1")
    beside = path.with_name(name)
    return beside if name != path.name and beside.is_file() else None


def _idx_files(files: list[Path]) -> list[ArrayFile]:
    """Image files with the labels beside them; a file compressed and not is taken once."""
    images = {
        f.name.removesuffix(".gz"): f for f in sorted(files, reverse=True) if "images" in f.name and _looks_like_idx(f)
    }
    splits: dict[Path, Split | None] = {f: _idx_split(f) for f in images.values()}
    official = set(splits.values()) == {"train", "test"}
    return [idx_file(f, s if official else None, _labels_beside(f)) for f, s in sorted(splits.items())]


def _idx_split(file: Path) -> Split | None:
    if file.name.startswith("train"):
        return "train"
    return "test" if file.name.startswith(("t10k", "test")) else None


def _split_in_name(file: Path) -> str | None:
    """The split that a shard's name, or its folder's, begins with."""
    for text in (file.name, file.parent.name):
        for word, split in {"train": "train", "test": "test", "val": "val"}.items():
            if text.lower().startswith(word):
                return split
    return None


def _parquet_split(file: Path) -> Split | None:
    split = _split_in_name(file)
    return "train" if split == "train" else "test" if split == "test" else None


def _with_official_split(source: Source, splits: set[Split | None]) -> Source:
    """Shard names only tell a split when both train and test are among them."""
    if {"train", "test"} <= splits:
        return source
    examples = source.examples
    return replace(source, examples=lambda: (replace(e, split=None) for e in examples()))
