"""Files of weights that others have trained."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from cardigan.errors import RunError


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file or of a state dict; nothing that is opened can run code.

    Raises:
        RunError: no such file, a TorchScript archive, or no weights.
    """
    if not path.is_file():
        raise RunError(f"no weights file at {path}")
    advice = "give safetensors or a state dict"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("constants.pkl") for name in archive.namelist()):
                raise RunError(f"{path} is a TorchScript program, which would run code when opened: {advice}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError, OSError) as error:
        raise RunError(f"{path} cannot be read as weights: {advice}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise RunError(f"{path} holds no state dict: {advice}")
    return dict(state)
