"""Small networks that judge are trained once: kept in the cache by data, seed and version."""

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import cos, pi
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn

from cardigan.evaluation.features import weights_digest

WARMING = 0.2


@dataclass(frozen=True)
class Record:
    """What lies beside a kept network.

    Attributes:
        train, test: digests of what it has learnt from and of what it was scored on.
    """

    version: int
    train: str
    test: str
    seed: int
    accuracy: float
    weights: str


def place(cache: Path, version: int, train: str, seed: int, shape: Sequence[int | str]) -> Path:
    """The folder of a network that learns from the data of that digest; `shape` is what else it depends on."""
    text = json.dumps([version, train, seed, shape])
    return cache / "features" / hashlib.sha256(text.encode()).hexdigest()[:16]


def keep(folder: Path, name: str, network: nn.Module, record: Record) -> None:
    """Write both files under passing names and move them: whoever reads finds old or new, and checks the hash."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as passing:
        weights, text = Path(passing, f"{name}.safetensors"), Path(passing, f"{name}.json")
        save_file(network.state_dict(), weights)
        text.write_text(json.dumps(asdict(record), indent=2))
        os.replace(weights, folder / weights.name)
        os.replace(text, folder / text.name)


def kept(folder: Path, name: str, network: nn.Module, version: int, train: str) -> Record | None:
    """Give a network its kept weights; None where there are none or they are not whole, and it is to be built anew."""
    try:
        record = Record(**json.loads((folder / f"{name}.json").read_text()))
        state = load_file(folder / f"{name}.safetensors")
        network.load_state_dict(state)
    except Exception:  # whatever is wrong with a cache, the remedy is to make it again
        return None
    return record if (record.version, record.train, record.weights) == (version, train, weights_digest(state)) else None


def rate(progress: float) -> float:
    """Factor of the learning rate at a share of the training: up in a straight line, then down half a cosine."""
    rising = progress / WARMING
    return max(rising if progress < WARMING else (1 + cos(pi * (progress - WARMING) / (1 - WARMING))) / 2, 1e-3)
