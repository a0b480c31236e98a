"""Resume state on disk: written whole or not at all, and opened without running code."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from cardigan.errors import RunError

FORMAT = 2
KEPT = 2


def write_atomically(path: Path, write: Any) -> None:
    """Call `write(temporary path)`, make it durable, and only then give it its name.

    A crash at any instant leaves the old file or the new one. A full disk leaves the old one and is reported.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise RunError(f"cannot write {path} ({error.strerror or error}): free some space and use --resume") from error
    finally:
        temporary.unlink(missing_ok=True)


def save_checkpoint(folder: Path, state: dict[str, Any]) -> Path:
    """Write `state` as checkpoint of its round and drop all but the newest two."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{state['rounds']:09d}.pt"

    def write(temporary: Path) -> None:
        try:
            torch.save({"format": FORMAT, **state}, temporary)
        except RuntimeError as error:  # torch reports a full disk from its own file writer
            raise OSError(str(error).splitlines()[0]) from error

    write_atomically(path, write)
    for old in checkpoints(folder)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, oldest first."""
    return sorted(path for path in folder.glob("*.pt") if re.fullmatch(r"\d{9}", path.stem))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The state in `path`.

    Raises:
        RunError: where the file is damaged, is no checkpoint of Cardigan's, or is of a newer format.
    """
    damaged = f"{path} is damaged or not a checkpoint: delete it, then --resume goes on from the one before it"
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()  # torch writes checksums and does not look at them
        state = None if bad else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a flipped bit in the pickle may raise anything
        raise RunError(damaged) from error
    if bad:
        raise RunError(damaged)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise RunError(f"{path} is not a checkpoint of this version of Cardigan (format {FORMAT}): start a new run")
    return state
