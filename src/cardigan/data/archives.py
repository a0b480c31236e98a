"""Files of folders, zip and tar archives, each as something that can be read when its turn comes."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import stat
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from cardigan.data.cache import cache_folder
from cardigan.data.decode import Unreadable
from cardigan.data.sources import LARGEST_FILE, Member, escapes, printable
from cardigan.errors import DataError

COMPRESSIONS: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
MOST_UNPACKED = 200  # times the size of the packed file, and one largest file more
BROKEN_STREAM = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, OSError)


def walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file below a folder with its relative path, in a fixed order; linked folders are entered once.

    A folder below it that cannot be read is given too, its path ending with a slash.

    Raises:
        DataError: the folder itself cannot be read.
    """
    seen: set[str] = set()
    shut: list[OSError] = []
    for here, folders, files in os.walk(folder, followlinks=True, onerror=shut.append):
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for file in sorted(files):
            path = Path(here, file)
            yield printable(path.relative_to(folder).as_posix()), path
    for error in shut:
        if Path(error.filename) == folder:
            raise DataError(f"{folder} cannot be read: {error.strerror}") from error
        yield printable(f"{Path(error.filename).relative_to(folder).as_posix()}/"), Path(error.filename)


def folder_members(folder: Path) -> list[Member]:
    """The files of a folder, recursively."""
    shut = "a folder that cannot be read"
    return [Member(name, file_reader(path), bad=shut if name.endswith("/") else None) for name, path in walk(folder)]


def file_reader(path: Path) -> Callable[[], bytes]:
    """What loads a file."""

    def load() -> bytes:
        try:
            if path.stat().st_size > LARGEST_FILE:
                raise Unreadable("larger than 1 GiB")
            return path.read_bytes()
        except OSError as error:
            raise Unreadable((error.strerror or "cannot be read").lower()) from error

    return load


def zip_members(path: Path, stack: ExitStack) -> list[Member]:
    """The files of a zip archive, which stays open until the stack closes."""
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise DataError(f"{path} is a damaged zip archive: get or pack it again") from error
    return [
        Member(info.filename, _zip_reader(archive, info), bad=_zip_refusal(info))
        for info in archive.infolist()
        if not info.is_dir()
    ]


def _zip_refusal(info: zipfile.ZipInfo) -> str | None:
    if escapes(info.filename):
        return "its path leads out of the archive"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a link, not a file"
    return "encrypted" if info.flag_bits & 1 else None


def _zip_reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], bytes]:
    def load() -> bytes:
        if info.file_size > LARGEST_FILE:
            raise Unreadable("larger than 1 GiB")
        try:
            return archive.read(info)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError) as error:
            raise Unreadable(f"damaged in the archive: {error}") from error

    return load


def tar_members(path: Path, stack: ExitStack, where: str = "", split: str | None = None) -> list[Member]:
    """The files of a tar archive; a compressed one is first unpacked as a whole into a nameless temporary file."""
    file, sound = _plain_tar(path, stack)
    lock, members, end = threading.Lock(), [], 0
    try:
        for info in stack.enter_context(tarfile.TarFile(fileobj=file)):
            end = info.offset_data + -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
            if not info.isdir():
                load = _tar_reader(file, lock, info)
                members.append(Member(printable(info.name), load, where, split, _tar_refusal(info)))
        file.seek(end)
        mark = file.read(tarfile.BLOCKSIZE)
        whole = sound and len(mark) == tarfile.BLOCKSIZE and not any(mark)  # a block of zeros is the end
    except (tarfile.TarError, EOFError) as error:
        if not members:
            raise DataError(f"{path} is a damaged tar archive: get or pack it again") from error
        whole = False
    return (
        members
        if whole
        else [*members, Member(printable(path.name), lambda: b"", bad="the archive is cut short or damaged")]
    )


def _plain_tar(path: Path, stack: ExitStack) -> tuple[IO[bytes], bool]:
    """The archive unpacked, and whether its compression was sound to the end."""
    file = stack.enter_context(path.open("rb"))
    opener = next((o for magic, o in COMPRESSIONS.items() if file.peek(8).startswith(magic)), None)
    if opener is None:
        return file, True
    sound = True
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        plain = tempfile.TemporaryFile(dir=cache_folder())  # noqa: SIM115 (the stack closes it)
        stack.enter_context(plain)
        most = MOST_UNPACKED * path.stat().st_size + LARGEST_FILE
        with opener(path) as packed:
            try:
                while chunk := packed.read1(1 << 20):
                    plain.write(chunk)
                    if plain.tell() > most:
                        raise DataError(
                            f"{path} unpacks to more than {most:,} bytes: unpack it yourself if you trust it"
                        )
            except BROKEN_STREAM:
                sound = False
        plain.seek(0)
    except OSError as error:
        raise unwritable(error, cache_folder()) from error
    return plain, sound


def _tar_refusal(info: tarfile.TarInfo) -> str | None:
    if escapes(info.name):
        return "its path leads out of the archive"
    return None if info.isreg() and not info.issparse() else "a link or device, not a file"


def _tar_reader(file: IO[bytes], lock: threading.Lock, info: tarfile.TarInfo) -> Callable[[], bytes]:
    offset, size = info.offset_data, info.size

    def load() -> bytes:
        if size > LARGEST_FILE:
            raise Unreadable("larger than 1 GiB")
        with lock:
            file.seek(offset)
            data = file.read(size)
        if len(data) < size:
            raise Unreadable("truncated")
        return data

    return load


def unwritable(error: OSError, folder: Path) -> DataError:
    """The line for a cache that cannot be written to."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(f"the disk of {folder} is full: free space, or name another folder in CARDIGAN_CACHE")
    return DataError(f"cannot write into {folder} ({error.strerror or error}): name another folder in CARDIGAN_CACHE")
