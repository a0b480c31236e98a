"""The run folder: all that a training leaves."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

import cardigan
from cardigan.config import Config
from cardigan.data.spec import DataSpec
from cardigan.errors import RunError
from cardigan.training.checkpoint import checkpoints, write_atomically
from cardigan.training.recipe import Recipe, explain

try:
    import fcntl
except ImportError:  # a system without it has no such locks
    fcntl = None


class RunRecord(Config):
    """What `run.toml` says: the resolved recipe and the data it was played on."""

    cardigan: str = cardigan.__version__
    data: str
    digest: str
    spec: DataSpec
    recipe: Recipe


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run, and the files that are plain text.

    Attributes:
        path: the folder; it holds run.toml, progress.jsonl, samples/, checkpoints/, averages/ where they are kept,
            model/, evaluation.json and report.html.
    """

    path: Path

    @property
    def record_file(self) -> Path:
        return self.path / "run.toml"

    @property
    def progress_file(self) -> Path:
        return self.path / "progress.jsonl"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def averages(self) -> Path:
        return self.path / "averages"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def evaluation_file(self) -> Path:
        return self.path / "evaluation.json"

    @property
    def report_file(self) -> Path:
        return self.path / "report.html"

    def refuse_if_taken(self) -> None:
        """Raise RunError where the folder holds anything, so that nothing is ever overwritten."""
        if self.path.is_file():
            raise RunError(f"{self.path} is a file: choose another --out")
        if self.record_file.exists():
            raise RunError(f"{self.path} already holds a run: add --resume to go on with it, or choose another --out")
        if self.path.is_dir() and any(not path.name.endswith(".part") for path in self.path.iterdir()):
            raise RunError(f"{self.path} exists and is not empty: choose another --out")

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Within the context no other process can claim the folder; it is made, and goes again if it stays empty.

        Raises:
            RunError: where another process trains in it, or it cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise RunError(f"{self.path} is a file: choose another --out") from error
        except OSError as error:
            raise RunError(f"cannot make the run folder {self.path}: {error.strerror}; choose another --out") from error
        with ExitStack() as stack:
            if fcntl:
                handle = os.open(self.path, os.O_RDONLY)
                stack.callback(os.close, handle)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise RunError(
                        f"another process trains in {self.path}: wait for it, or choose another --out"
                    ) from error
            try:
                yield
            finally:
                with suppress(OSError):  # what holds anything stays
                    self.path.rmdir()

    def create(self, record: RunRecord) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            # The record comes first: a folder that has anything in it has one, and can be resumed.
            text = tomli_w.dumps(record.model_dump(mode="json", exclude_none=True))
            write_atomically(self.record_file, lambda path: path.write_text(text))
            self.samples.mkdir(exist_ok=True)
            self.checkpoints.mkdir(exist_ok=True)
            for left in self.path.rglob(".*.part"):  # by a killed process
                left.unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"cannot make the run folder {self.path}: {error.strerror}; choose another --out") from error
        except RunError:
            with suppress(OSError):  # a folder that holds something is an older run, and stays
                self.path.rmdir()
            raise

    def read_record(self) -> RunRecord:
        """The record in run.toml.

        Raises:
            RunError: where there is none, or it is not one of Cardigan's.
        """
        if not self.record_file.is_file():
            raise RunError(f"{self.path} is not a run folder: it has no run.toml")
        try:
            table = tomllib.loads(self.record_file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RunError(f"{self.record_file} is damaged: {error}; restore it, or start a new run") from error
        try:
            return RunRecord.model_validate(table)
        except ValidationError as error:
            reason = explain(error, table)
            raise RunError(f"{self.record_file} is foreign or of another version: {reason}; start a new run") from error

    def newest_checkpoint(self) -> Path | None:
        found = checkpoints(self.checkpoints) if self.checkpoints.is_dir() else []
        return found[-1] if found else None

    def read_progress(self) -> list[dict[str, Any]]:
        """The lines of progress.jsonl; a last line cut short by a crash is left out."""
        if not self.progress_file.is_file():
            return []
        entries = []
        for line in self.progress_file.read_text().splitlines():
            try:
                entries.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return entries

    def forget_progress_after(self, rounds: int) -> None:
        """Drop what was logged after the checkpoint that training goes on from: it will be logged again."""
        kept = [entry for entry in self.read_progress() if entry["rounds"] <= rounds]
        text = "".join(json.dumps(entry) + "\n" for entry in kept)
        write_atomically(self.progress_file, lambda path: path.write_text(text))
