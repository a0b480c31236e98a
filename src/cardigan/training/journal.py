"""The log of a training: one JSON line a tick, and TensorBoard where it is wanted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image

from cardigan.errors import RecipeError
from cardigan.training.run import RunFolder


class Journal:
    """Appends to progress.jsonl, flushed line by line; a number that is not finite is written as null."""

    def __init__(self, folder: RunFolder, tensorboard: bool = False, start: int = 0) -> None:
        self.file = open(folder.progress_file, "a", encoding="utf-8")  # noqa: SIM115 (open for the training's length)
        self.board = open_tensorboard(folder, start) if tensorboard else None

    def write(self, rounds: int, images: int, scalars: Mapping[str, float], **more: Any) -> None:
        finite = {name: value if math.isfinite(value) else None for name, value in scalars.items()}
        entry = {"rounds": rounds, "images": images, **more, "scalars": finite}
        self.file.write(json.dumps(entry) + "\n")
        self.file.flush()
        if self.board:
            for name, value in scalars.items():
                self.board.add_scalar(name, value, images)

    def picture(self, name: str, picture: Image.Image, images: int) -> None:
        if self.board:
            self.board.add_image(name, np.asarray(picture.convert("RGB")), images, dataformats="HWC")

    def close(self) -> None:
        self.file.close()
        if self.board:
            self.board.close()


def require_tensorboard() -> None:
    """Raise RecipeError where TensorBoard is not installed."""
    if find_spec("tensorboard") is None:
        raise RecipeError("log.tensorboard needs TensorBoard: pip install 'cardigan[tensorboard]'")


def open_tensorboard(folder: RunFolder, start: int) -> Any:
    """A writer that hides whatever an interrupted training wrote after `start` images."""
    require_tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder.path / "tensorboard"), purge_step=start + 1)
