"""Public sets by name: found in a folder of the user's, or downloaded once."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cardigan.data.archives import unwritable
from cardigan.data.arrays import CIFAR10_CLASSES, CIFAR10_FILES
from cardigan.errors import DataError

ATTEMPTS = 3
SECONDS = 30.0
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PublicSet:
    """A public set: where its files are, and the checksums (sha256 or md5, any of them) that each must have."""

    url: str
    files: dict[str, tuple[str, ...]]
    classes: tuple[str, ...]
    folders: tuple[str, ...]
    extracted: tuple[str, ...] = ()


PUBLIC: dict[str, PublicSet] = {
    "mnist": PublicSet(
        url="https://ossci-datasets.s3.amazonaws.com/mnist/",
        files={
            "train-images-idx3-ubyte.gz": (
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "12bacf187eba4f770a04d97be5dbaad9289fe5d89a89729b6af3255c8bbfa9e1",
            ),
            "train-labels-idx1-ubyte.gz": (
                "d53e105ee54ea40749a09fcbcd1e9432",
                "7f4ede8117c9f121a708539f3c1b71dc8cb827447542df31cdf7b815d0762e1f",
            ),
            "t10k-images-idx3-ubyte.gz": (
                "9fb629c4189551a2d022fa330f9573f3",
                "c99a2fc9c8f7934dac9481251fc235227437fdcccfb8de53efcb767a8c3b057e",
            ),
            "t10k-labels-idx1-ubyte.gz": (
                "ec29112dd5afa0611ce80d1b7f02629c",
                "e2650e6732b191c90c7705906a2d65c6c0a20efb31f5c53d1b2b0bda74d911e9",
            ),
        },
        classes=tuple(map(str, range(10))),
        folders=("mnist",),
    ),
    "fashion-mnist": PublicSet(
        url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        files={
            "train-images-idx3-ubyte.gz": ("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",),
            "train-labels-idx1-ubyte.gz": ("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",),
            "t10k-images-idx3-ubyte.gz": ("346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",),
            "t10k-labels-idx1-ubyte.gz": ("67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",),
        },
        classes=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        folders=("fashion-mnist", "fashion_mnist"),
    ),
    "cifar10": PublicSet(
        url="https://www.cs.toronto.edu/~kriz/",
        files={"cifar-10-binary.tar.gz": ("c32a1d4ab5d03f1284b67883e8d87530",)},
        classes=CIFAR10_CLASSES,
        folders=("cifar10",),
        extracted=CIFAR10_FILES,
    ),
}


def locate(name: str, cache: Path, progress: Progress | None = None) -> Path:
    """Where a public set's files are: below ``CARDIGAN_DATA`` if they lie there, else in the cache, downloaded at need.

    ``CARDIGAN_MIRROR`` names a server that has ``<name>/<file>`` for all of them.

    Raises:
        DataError: offline, or what came has the wrong checksum.
    """
    chosen = PUBLIC[name]
    if own := os.environ.get("CARDIGAN_DATA"):
        for folder in (Path(own, f) for f in chosen.folders):
            if _complete(folder, chosen):
                return _only(folder, chosen)
    folder = cache / "public" / name
    mirror = os.environ.get("CARDIGAN_MIRROR")
    for file, checksums in chosen.files.items():
        if not (folder / file).is_file():
            url = f"{mirror.rstrip('/')}/{name}/{file}" if mirror else chosen.url + file
            try:
                folder.mkdir(parents=True, exist_ok=True)
                download(url, folder / file, checksums, progress)
            except _Unreachable as error:
                places = f"{Path(own or '$CARDIGAN_DATA', chosen.folders[0])} or {folder}"
                raise DataError(
                    f"{name}: cannot get {url} ({error}); try again, or put the file into {places}"
                ) from error
            except OSError as error:
                raise unwritable(error, folder) from error
    return _only(folder, chosen)


def _complete(folder: Path, chosen: PublicSet) -> bool:
    def there(file: str) -> bool:
        return (folder / file).is_file() or (folder / file.removesuffix(".gz")).is_file()

    unpacked = bool(chosen.extracted) and all(any(folder.rglob(file)) for file in chosen.extracted)
    return unpacked or all(map(there, chosen.files))


def _only(folder: Path, chosen: PublicSet) -> Path:
    """A set of one archive is that file; else it is the folder."""
    files = [folder / file for file in chosen.files]
    return files[0] if len(files) == 1 and files[0].is_file() else folder


def unlike_published(name: str, path: Path) -> tuple[str, ...]:
    """A note on files of a public set that are not, byte by byte, as published: the user may have repacked them."""
    folder = path.parent if path.is_file() else path
    files = {folder / file: known for file, known in PUBLIC[name].files.items() if (folder / file).is_file()}
    unlike = [file.name for file, known in files.items() if not _checksums(file) & set(known)]
    return (f"not as published, by their checksum: {', '.join(unlike)}",) if unlike else ()


class _Unreachable(Exception):
    """The server cannot be reached, or keeps breaking off."""


@contextmanager
def _network() -> Iterator[None]:
    """Tell the network's failures, most of which are OSError, from those of the disk."""
    try:
        yield
    except urllib.error.HTTPError as error:
        raise _Unreachable(f"{error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _Unreachable(str(error.reason)) from error
    except (http.client.HTTPException, OSError) as error:
        raise _Unreachable(str(error) or type(error).__name__) from error
    except ValueError as error:
        raise _Unreachable("not a URL") from error


def download(url: str, target: Path, checksums: tuple[str, ...], progress: Progress | None = None) -> None:
    """Get a file, going on where an earlier attempt broke off, and put it in place only if its checksum is right.

    Raises:
        DataError: wrong checksum.
    """
    part = _claim(target)
    failure: str | None = None
    try:
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(0.1 * 10 ** (attempt - 1))
            failure = _continue(url, part, progress)
            if failure is None:
                break
        else:
            raise _Unreachable(failure)
        found = _checksums(part)
        if not found & set(checksums):
            part.unlink()
            raise DataError(
                f"{url} has the wrong checksum ({min(found, key=len)}): try again, or try another CARDIGAN_MIRROR"
            )
        os.replace(part, target)
        for left in filter(_abandoned, target.parent.glob(f"{target.name}.part*")):
            left.unlink(missing_ok=True)
    finally:
        with suppress(OSError):
            os.rename(part, target.with_name(f"{target.name}.part"))


def _claim(target: Path) -> Path:
    """This process's own partial file, begun with what an earlier one left; two downloads at once do not meet."""
    mine = target.with_name(f"{target.name}.part-{os.getpid()}")
    for left in sorted(target.parent.glob(f"{target.name}.part*")):
        with suppress(OSError):
            if _abandoned(left):
                os.rename(left, mine)
                break
    return mine


def _abandoned(part: Path) -> bool:
    """Whether no process is writing a partial file any more, as far as one can tell."""
    pid = part.suffix.removeprefix(".part").removeprefix("-")
    if not pid.isdigit():
        return True
    try:
        if time.time() - part.stat().st_mtime > 60:
            return True
        if os.name == "posix":  # elsewhere the signal 0 would end the process
            os.kill(int(pid), 0)
    except (FileNotFoundError, PermissionError):
        return False
    except (ProcessLookupError, OverflowError):
        return True
    return False


def _continue(url: str, part: Path, progress: Progress | None) -> str | None:
    """Fetch what a partial file lacks; None when it is whole, else why not."""
    have = part.stat().st_size if part.exists() else 0
    try:
        with _network():
            request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
            answer = urllib.request.urlopen(request, timeout=SECONDS)
        with answer:
            if answer.status == 206 and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                part.unlink()  # to begin again
                return "the server went on from another place"
            have = have if answer.status == 206 else 0
            length = int(answer.headers.get("Content-Length") or 0)
            with part.open("ab" if have else "wb") as file:
                got = _copy(answer, file, have, have + length, progress)
            return None if not length or got == have + length else "the connection broke off"
    except _Unreachable as error:
        beyond = isinstance(error.__cause__, urllib.error.HTTPError) and error.__cause__.code == 416
        return None if beyond and have else str(error)


def _copy(answer: http.client.HTTPResponse, file: IO[bytes], have: int, total: int, progress: Progress | None) -> int:
    while chunk := _received(answer):
        file.write(chunk)
        have += len(chunk)
        if progress is not None:
            progress(have, max(total, have))
    return have


def _received(answer: http.client.HTTPResponse) -> bytes:
    with _network():
        return answer.read1(1 << 16)


def _checksums(path: Path) -> set[str]:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        return {sha256, hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()}
