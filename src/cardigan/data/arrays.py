"""Images in array files: idx(.gz), npy, npz, CIFAR-10 batches and parquet. They are read a few rows at a
time, but for npy arrays in Fortran's order and CIFAR-10 batches, of which each is read as a whole.

In four axes the shorter of the second and the last is the channels, the last if they are equal.
"""

from __future__ import annotations

import gzip
import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cardigan.data.archives import BROKEN_STREAM
from cardigan.data.decode import Unreadable
from cardigan.data.levels import Quantise, quantiser
from cardigan.data.sources import LARGEST_FILE, Example, Source, Split, natural, printable, refusing
from cardigan.errors import DataError

IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
BYTES_AT_ONCE = 1 << 20
BROKEN_HEADER = (ValueError, KeyError, TypeError, SyntaxError, OverflowError, MemoryError, RecursionError)
BROKEN_FILE = (*BROKEN_STREAM, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True)
class ArrayFile:
    """An array whose first axis counts examples, lying in a stream that can be opened again and again."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    open: Callable[[], IO[bytes]]
    split: Split | None = None
    labels: NDArray | None = None
    fortran: bool = False

    def rows(self) -> Iterator[NDArray]:
        """The examples in order; fewer than announced where the file is cut short."""
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        native = self.dtype.newbyteorder("=")
        with self.open() as stream:
            if self.fortran:
                data = _read(stream, size * self.shape[0])
                if len(data) == size * self.shape[0]:  # else no example is whole
                    flat = np.frombuffer(data, self.dtype)
                    yield from flat.reshape(self.shape, order="F").astype(native, copy=False)
                return
            at_once = max(1, BYTES_AT_ONCE // size)
            for start in range(0, self.shape[0], at_once):
                wanted = min(at_once, self.shape[0] - start)
                data = _read(stream, wanted * size)
                whole = len(data) // size
                rows = np.frombuffer(data, self.dtype, count=whole * math.prod(self.shape[1:]))
                yield from rows.reshape(whole, *self.shape[1:]).astype(native, copy=False)
                if whole < wanted:
                    return
            try:
                stream.read(1)  # a compressed stream compares its checksum only where it ends
            except BROKEN_FILE as error:
                raise DataError(f"{self.name} is damaged: its checksum is wrong; get it again") from error


def _read(stream: IO[bytes], size: int) -> bytearray:
    """Up to `size` bytes, as far as the stream is sound; asked for in parts, as a damaged header names any size."""
    data = bytearray()
    with suppress(*BROKEN_FILE):
        while len(data) < size and (more := stream.read(min(BYTES_AT_ONCE, size - len(data)))):
            data += more
    return data


def _refuse_impossible(name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    row = math.prod(shape[1:]) * dtype.itemsize
    if min(shape) < 0 or not 0 < row <= LARGEST_FILE:
        raise DataError(f"{name} announces the shape {shape} of {dtype}, which no images have: get it again")


def from_arrays(name: str, kind: str, files: list[ArrayFile], notes: tuple[str, ...] = ()) -> Source:
    """Array files of one kind of pixels as a source, with what there is to say about them."""
    for file in files:
        if len(file.shape) not in (3, 4) or 0 in file.shape[1:]:
            raise DataError(
                f"{file.name} has shape {file.shape}: images need (count, height, width), "
                "(count, height, width, channels) or (count, channels, height, width)"
            )
        if file.labels is not None and file.labels.shape != file.shape[:1]:
            raise DataError(f"{file.name} holds {file.shape[0]} images but labels of shape {file.labels.shape}")
    labelled = all(f.labels is not None for f in files)
    if not labelled and any(f.labels is not None for f in files):
        notes = (*notes, "some files have no labels: none are used")
    names = sorted({str(v) for f in files if f.labels is not None for v in np.unique(f.labels)}, key=natural)
    classes = tuple(names) if labelled else ()
    quantise, guess = quantiser(name, {f.dtype for f in files}, (row for f in files for row in f.rows()))
    if guess is not None:
        notes = (*notes, guess)

    def examples() -> Iterator[Example]:
        for file in files:
            yield from _examples(file, quantise, bool(classes))

    count = sum(f.shape[0] for f in files)
    return Source(name, kind, count, examples, classes, notes=notes, encoded=False)


def _examples(file: ArrayFile, quantise: Quantise, labelled: bool) -> Iterator[Example]:
    count = 0
    for count, row in enumerate(file.rows(), 1):
        label = str(file.labels[count - 1]) if labelled and file.labels is not None else None
        yield Example(f"{file.name}[{count - 1}]", partial(quantise, _channels_last(row)), file.split, label)
    if count < file.shape[0]:
        yield Example(
            f"{file.name}[{count}]", refusing(f"the file ends after {count} of {file.shape[0]} images"), file.split
        )


def _channels_last(row: NDArray) -> NDArray:
    if row.ndim == 2:
        return row[:, :, None]
    return np.moveaxis(row, 0, 2) if row.shape[0] < row.shape[2] else row


def read_labels(file: ArrayFile) -> NDArray:
    """A whole label array of shape (count,), integers or strings."""
    if len(file.shape) > 2 or math.prod(file.shape[1:]) != 1 or file.dtype.kind not in "iubUS":
        raise DataError(f"{file.name} has shape {file.shape} of {file.dtype}: labels need one integer an image")
    rows = list(file.rows())
    labels = np.array(rows, file.dtype.newbyteorder("=")).reshape(-1)
    if len(rows) < file.shape[0]:
        raise DataError(f"{file.name} ends after {len(rows)} of {file.shape[0]} labels: get it again")
    return labels.astype(str) if labels.dtype.kind in "US" else labels.astype(np.int64)


def idx_file(path: Path, split: Split | None = None, labels: Path | None = None) -> ArrayFile:
    """An idx or idx.gz file, by LeCun's definition: 0 0 type axes, the lengths, the numbers, all big-endian."""

    def start(skip: int) -> IO[bytes]:
        stream: IO[bytes] = open_plain_or_gz(path)
        stream.read(skip)
        return stream

    try:
        with start(0) as stream:
            magic = stream.read(4)
            shape = tuple(int(n) for n in np.frombuffer(stream.read(4 * magic[3]), ">u4"))
    except (*BROKEN_FILE, IndexError, ValueError) as error:
        raise DataError(f"{path} is not a whole idx file: get it again") from error
    if magic[:2] != b"\0\0" or magic[2] not in IDX_TYPES or not shape or len(shape) != magic[3]:
        raise DataError(f"{path} is not an idx file")
    name, dtype = printable(path.name), np.dtype(IDX_TYPES[magic[2]])
    _refuse_impossible(name, shape, dtype)
    beside = read_labels(idx_file(labels)) if labels else None
    return ArrayFile(name, shape, dtype, partial(start, 4 + 4 * len(shape)), split, beside)


def open_plain_or_gz(path: Path) -> Any:
    """A file's content, unpacked if it is gzip by its first bytes."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return (gzip.open if packed else open)(path, "rb")


def npy_file(name: str, start: Callable[[], IO[bytes]], split: Split | None = None) -> ArrayFile:
    """An npy stream, whose header is read now and whose rows are read later."""

    def parse(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        return read(stream)

    def at_rows() -> IO[bytes]:
        stream = start()
        parse(stream)
        return stream

    try:
        with start() as stream:
            shape, fortran, dtype = parse(stream)
    except (*BROKEN_FILE, *BROKEN_HEADER) as error:
        raise DataError(f"{name} is not a whole npy array: save it again") from error
    if dtype.hasobject:
        raise DataError(f"{name} holds Python objects, which could run code when read: save an array of numbers")
    if not shape:
        raise DataError(f"{name} holds a single number, not images")
    _refuse_impossible(name, shape, dtype)
    return ArrayFile(name, shape, dtype, at_rows, split, fortran=fortran)


def npz_files(path: Path, stack: ExitStack) -> tuple[list[ArrayFile], tuple[str, ...]]:
    """The arrays of an npz, and a note that names those which are not used.

    They are images, x or arr_0 (with labels or y), or x_train and x_test (with y_train and y_test).
    """
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise DataError(f"{path} is a damaged npz: save it again") from error
    name = printable(path.name)
    keys = {n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")}
    used: set[str | None] = set()

    def array(key: str, split: Split | None = None) -> ArrayFile:
        return npy_file(f"{name}:{printable(key)}", partial(archive.open, f"{key}.npy"), split)

    def read(key: str, split: Split | None, label_key: str | None) -> ArrayFile:
        used.update((key, label_key))
        return replace(array(key, split), labels=read_labels(array(label_key)) if label_key else None)

    if {"x_train", "x_test"} <= keys:
        labelled = {"y_train", "y_test"} <= keys
        files = [read(f"x_{s}", s, f"y_{s}" if labelled else None) for s in ("train", "test")]
    else:
        key = next((k for k in ("images", "x", "arr_0") if k in keys), None)
        if key is None:
            found = ", ".join(sorted(keys)) or "nothing"
            raise DataError(f"{path} holds {found}: name the array images, x or arr_0 (labels: labels or y)")
        files = [read(key, None, next((k for k in ("labels", "y") if k in keys), None))]
    return files, _unused(sorted(keys - used), files)


def _unused(keys: list[str], files: list[ArrayFile]) -> tuple[str, ...]:
    if not keys:
        return ()
    cure = "" if files[0].labels is not None else "; labels are read from labels or y, or from both y_train and y_test"
    return (f"arrays that are not used: {printable(', '.join(keys))}{cure}",)


CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_FILES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
CIFAR10_RECORD = 1 + 3 * 32 * 32


def from_cifar10(name: str, batches: dict[str, Callable[[], bytes]]) -> Source:
    """CIFAR-10's binary version: records of one label byte and 3x32x32 pixels; ``test_batch.bin`` is the test split."""

    def examples() -> Iterator[Example]:
        for file, load in sorted(batches.items()):
            yield from _cifar10_examples(file, load)

    lacking = ", ".join(file for file in CIFAR10_FILES if file not in batches)
    notes = (f"not all of CIFAR-10: {lacking} not found",) if lacking else ()
    count = 10_000 * len(batches)
    return Source(name, "CIFAR-10 binary", count, examples, CIFAR10_CLASSES, notes=notes, encoded=False)


def _cifar10_examples(file: str, load: Callable[[], bytes]) -> Iterator[Example]:
    split: Split = "test" if file.startswith("test") else "train"
    try:
        data = load()
    except Unreadable as problem:
        yield Example(file, refusing(str(problem)), split)
        return
    whole, cut = divmod(len(data), CIFAR10_RECORD)
    records = np.frombuffer(data, np.uint8, count=whole * CIFAR10_RECORD).reshape(whole, CIFAR10_RECORD)
    for i, record in enumerate(records):
        pixels = record[1:].reshape(3, 32, 32).transpose(1, 2, 0)
        label = CIFAR10_CLASSES[record[0]] if record[0] < 10 else None
        yield Example(f"{file}[{i}]", pixels.copy, split, label)
    if cut:
        yield Example(f"{file}[{whole}]", refusing(f"the file ends within its image {whole}"), split)
