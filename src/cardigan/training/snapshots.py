"""Snapshots of a training's power-function averages on disk, and averages of any width put together from them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cardigan.errors import RunError
from cardigan.training.average import PowerAverages
from cardigan.training.checkpoint import write_atomically
from cardigan.training.power_average import Mixture, Profile, reconstruct_profile


@dataclass(frozen=True)
class Snapshot:
    """The averages that a training had after `images` images, one of each width; the tensors stay on disk."""

    path: Path
    images: int
    widths: tuple[float, ...]

    @property
    def profiles(self) -> list[Profile]:
        return [Profile(width, self.images) for width in self.widths]


def write_snapshot(folder: Path, images: int, averages: PowerAverages) -> Path:
    """Write the averages as they stand, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{place}.{key}": value.detach().cpu().contiguous()
        for place, average in enumerate(averages.averages)
        for key, value in average.values.items()
    }
    # One entry: several are written in any order, and equal trainings are to leave equal files.
    metadata = {"averages": json.dumps({"images": images, "widths": averages.widths})}
    path = folder / f"{images:010d}.safetensors"
    write_atomically(path, lambda temporary: temporary.write_bytes(save(tensors, metadata)))
    return path


def snapshot_files(folder: Path) -> list[Path]:
    """The snapshots in `folder`, oldest first; none where there is no folder."""
    return sorted(path for path in folder.glob("*.safetensors") if re.fullmatch(r"\d{10}", path.stem))


def forget_snapshots_after(folder: Path, images: int) -> None:
    """Drop what was written after the checkpoint that training goes on from: it will be written again."""
    for path in snapshot_files(folder):
        if int(path.stem) > images:
            path.unlink()


def read_snapshots(folder: Path) -> list[Snapshot]:
    """The snapshots in `folder`, oldest first.

    Raises:
        RunError: where a file is damaged or foreign.
    """
    return [read_header(path) for path in snapshot_files(folder)]


def read_header(path: Path) -> Snapshot:
    try:
        with safe_open(path, framework="pt") as file:
            entry = json.loads((file.metadata() or {})["averages"])
        return Snapshot(path, int(entry["images"]), tuple(map(float, entry["widths"])))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise RunError(f"{path} is damaged or no snapshot of averages: delete it, the others do without it") from error


def mixture(snapshots: Sequence[Snapshot], wanted: Profile) -> Mixture:
    """How the wanted average is put together from those of all snapshots, in their order."""
    return reconstruct_profile([profile for snapshot in snapshots for profile in snapshot.profiles], wanted)


def put_together(snapshots: Sequence[Snapshot], weights: Sequence[float]) -> dict[str, Tensor]:
    """The weighted sum of the stored averages; what is not of floating point is as in the newest.

    A sum with weights below zero could make the variance of a batch normalisation negative: there it is zero.

    Raises:
        RunError: where a file is damaged.
    """
    left = iter(weights)
    sums: dict[str, Tensor] = {}
    for snapshot in snapshots:
        for place in range(len(snapshot.widths)):
            share = next(left)
            for key, tensor in stored_average(snapshot, place).items():
                if tensor.is_floating_point():
                    sums.setdefault(key, torch.zeros_like(tensor, dtype=torch.float64)).add_(tensor, alpha=share)
                else:
                    sums[key] = tensor
    return {key: value.clamp(min=0.0) if key.endswith("running_var") else value for key, value in sums.items()}


def stored_average(snapshot: Snapshot, place: int) -> dict[str, Tensor]:
    """The average of the snapshot's width number `place`."""
    prefix = f"{place}."
    try:
        with safe_open(snapshot.path, framework="pt") as file:
            return {key.removeprefix(prefix): file.get_tensor(key) for key in file.keys() if key.startswith(prefix)}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise RunError(f"{snapshot.path} is damaged: delete it, the others do without it") from error
