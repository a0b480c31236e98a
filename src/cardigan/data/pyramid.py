"""Smaller copies of images, each pixel the mean of a square of the full-size ones: what growing networks are shown.

Each level is made from the full size, so that its pixels are rounded once, and only when it is asked for. A pack keeps
its levels beside the images:

    images-2.bin    as images.bin, at half the size; images-4.bin at a quarter, and so on
    images-2.json   its length and checksums
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import numpy as np
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from cardigan.data.store import FileRecord, Pack, PackFile, intact, mapped

IMAGES_AT_ONCE = 256


def box_filtered(pixels: Tensor, times: int) -> Tensor:
    """Images (n, channels, height, width), halved so many times, in their own type; halves are rounded up.

    >>> box_filtered(torch.tensor([[[[0, 1], [2, 3]]]], dtype=torch.uint8), 1)
    tensor([[[[2]]]], dtype=torch.uint8)
    """
    means = functional.avg_pool2d(pixels.float(), 1 << times)
    return means if pixels.is_floating_point() else means.add_(0.5).to(pixels.dtype)


def level(pack: Pack, times: int) -> Tensor:
    """All images of a pack, halved so many times, mapped from disk; built if there is none, or if it is damaged.

    Raises:
        DataError: the cache cannot be written to.
    """
    channels, height, width = pack.index.shape
    shape = (pack.index.count, channels, height >> times, width >> times)
    path = pack.folder / f"images-{1 << times}.bin"
    if not whole(path):
        build(pack.pixels, times, path)
    return mapped(path, np.uint8 if pack.index.bits == 8 else np.uint16, shape)


def whole(path: Path) -> bool:
    try:
        return intact(path, FileRecord.model_validate_json(path.with_suffix(".json").read_bytes()))
    except (OSError, ValidationError):
        return False


def build(pixels: Tensor, times: int, path: Path) -> None:
    """Write a level; the record comes last, so that a level without one is none."""
    draft = path.with_name(f".{uuid.uuid4().hex}.part")
    file = PackFile(draft)
    try:
        for start in range(0, len(pixels), IMAGES_AT_ONCE):
            file.append(box_filtered(pixels[start : start + IMAGES_AT_ONCE], times).numpy().tobytes())
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    finally:
        record = file.close()
    os.replace(draft, path)
    path.with_suffix(".json").write_text(record.model_dump_json())
