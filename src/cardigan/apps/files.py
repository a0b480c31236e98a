"""Examples to files and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cardigan.apps.model import Model
from cardigan.data import DataOptions, open_data
from cardigan.data.spec import DataSpec
from cardigan.errors import DataError, RunError
from cardigan.evaluation import psnr
from cardigan.training.pictures import draw, save_picture, to_picture


def write_examples(examples: Tensor, spec: DataSpec, out: Path) -> Path:
    """One grid where `out` is a .png, one array where it is a .npy, else a folder of single files.

    Single files keep the data's bits and channels: 16-bit grey as 16-bit PNG; what PNG cannot hold, and points, as NPY.

    Raises:
        RunError: where `out` cannot be written.
    """
    try:
        if out.suffix == ".npy":
            np.save(out, examples.numpy())
        elif out.suffix:
            save_picture(draw(examples, spec), out)
        else:
            out.mkdir(parents=True, exist_ok=True)
            for index, example in enumerate(examples):
                write_example(example, spec, out / f"{index:06d}")
    except (OSError, ValueError) as error:
        raise RunError(f"cannot write {out}: {error}") from error
    return out


def write_example(example: Tensor, spec: DataSpec, stem: Path) -> None:
    if spec.kind == "points" or spec.channels not in (1, 3, 4) or (spec.bits == 16 and spec.channels != 1):
        np.save(stem.with_suffix(".npy"), example.numpy())
    elif spec.bits == 16:
        levels = example[0].add(1.0).mul(32767.5).round().clamp(0, 65535)
        Image.fromarray(levels.numpy().astype(np.uint16)).save(stem.with_suffix(".png"))
    else:
        to_picture(example).save(stem.with_suffix(".png"))


def reconstruct_files(model: Model, source: str, out: Path) -> tuple[int, float]:
    """Write the reconstruction of every image of a source, and before/after grids of the first.

    Returns:
        How many, and their mean PSNR in dB.

    Raises:
        DataError: where the images cannot be read or have another shape than the model's.
    """
    spec = model.spec
    options = DataOptions(
        size=(spec.height, spec.width) if spec.kind == "images" else None,
        channels=spec.channels if spec.channels in (1, 3, 4) else None,
    )
    splits = open_data(source, options)
    if splits.train.spec.shape != spec.shape:
        raise DataError(f"{source} holds images of shape {splits.train.spec.shape}, the model takes {spec.shape}")
    model.encoding()
    out.mkdir(parents=True, exist_ok=True)
    count, total = 0, 0.0
    for split in (splits.train, splits.test):
        for indices in torch.arange(len(split)).split(64):
            images = split.images(indices)
            rebuilt = model.reconstruct(images)
            if count == 0:
                pairs = torch.stack([images[:32], rebuilt[:32]], 1).flatten(0, 1)
                save_picture(draw(pairs, spec, columns=8), out / "before_after.png")
            names = split.names(indices)
            for row, example in enumerate(rebuilt):
                stem = Path(names[row]).stem if names else f"{split.split}_{indices[row].item():06d}"
                write_example(example, spec, out / f"{stem}_reconstructed")
            total += psnr(rebuilt, images).sum().item()
            count += len(images)
    return count, total / count
