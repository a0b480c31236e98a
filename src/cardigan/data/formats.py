"""Which kind of source a path is, told by its content rather than its name."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cardigan.data.archives import COMPRESSIONS, folder_members, tar_members, walk, zip_members
from cardigan.data.arrays import from_arrays, idx_file, npy_file, npz_files
from cardigan.data.decode import SUFFIXES
from cardigan.data.folders import KINDS, from_folder, labels_beside, looks_like_idx, tar_source
from cardigan.data.parquet import from_parquet
from cardigan.data.sources import Member, Source, from_members, printable
from cardigan.errors import DataError


def listing(path: Path) -> list[tuple[str, int, int]]:
    """(name, bytes, time of change in ns) of every file of a source: it changes whenever the source does."""
    found = [(path.name, path)] if path.is_file() else list(walk(path))
    if path.is_file() and (labels := labels_beside(path)):
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
        yield from_folder(path, stack) if path.is_dir() else _file(path, stack)


def members_of(path: Path, stack: ExitStack) -> list[Member] | None:
    """The files of a folder, zip or tar, which can be read until the stack closes; None where it is none of these.

    Raises:
        DataError: it cannot be read.
    """
    if path.is_dir():
        return folder_members(path)
    head = _head(path)
    if _is_zip(path, head):
        return zip_members(path, stack)
    return tar_members(path, stack) if _is_tar(path, head) else None


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _is_zip(path: Path, head: bytes) -> bool:
    return head.startswith(b"PK") and path.suffix.lower() != ".npz"


def _is_idx(path: Path, head: bytes) -> bool:
    return head[:2] == b"\0\0" or (head[:2] == b"\x1f\x8b" and looks_like_idx(path))


def _is_tar(path: Path, head: bytes) -> bool:
    if _is_idx(path, head):
        return False
    return any(head.startswith(magic) for magic in COMPRESSIONS) or tarfile.is_tarfile(path)


def _file(path: Path, stack: ExitStack) -> Source:
    name, head = printable(path.name), _head(path)
    if _is_zip(path, head):
        return from_members(name, "zip", zip_members(path, stack))
    if head.startswith(b"PK"):
        return from_arrays(name, "npz", *npz_files(path, stack))
    if head.startswith(b"\x93NUMPY"):
        return from_arrays(name, "npy", [npy_file(name, lambda: path.open("rb"))])
    if head.startswith(b"PAR1"):
        return from_parquet(path)
    if _is_idx(path, head):
        return from_arrays(name, "idx", [idx_file(path, labels=labels_beside(path))])
    if _is_tar(path, head):
        return tar_source(name, tar_members(path, stack))
    if path.suffix.lower() in SUFFIXES:
        raise DataError(f"{path} is one image: give the folder that holds at least 2")
    raise DataError(f"{path} is not a kind of data that Cardigan reads: {KINDS}")
