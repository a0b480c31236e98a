"""A trained model on disk: `config.json` and `model.safetensors`, nothing that could run code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save

import cardigan
from cardigan.config import Config
from cardigan.data.spec import DataSpec
from cardigan.errors import RunError
from cardigan.games import Game, GameConfig
from cardigan.training.checkpoint import write_atomically

FORMAT = 4


class ModelConfig(Config):
    """All that is needed to rebuild a model's networks, and where they came from.

    Attributes:
        data, digest: where the training images lay, and their identity.
        frequencies: of the classes among them; empty without classes.
    """

    format: Literal[4] = FORMAT
    cardigan: str = cardigan.__version__
    recipe: str
    data: str
    digest: str
    frequencies: tuple[float, ...] = ()
    spec: DataSpec
    game: GameConfig
    images: int
    averaged: bool


def save_model(folder: Path, config: ModelConfig, game: Game) -> None:
    """Write the networks with the weights they hold now; the weights first, so that a config implies them."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{name}.{key}": tensor.detach().cpu().contiguous()
        for name in game.stored
        for key, tensor in getattr(game, name).state_dict().items()
    }
    write_atomically(folder / "model.safetensors", lambda path: path.write_bytes(save(tensors, {"format": "pt"})))
    text = json.dumps(config.model_dump(mode="json", exclude_none=True), indent=2)
    write_atomically(folder / "config.json", lambda path: path.write_text(text + "\n"))


def read_model(folder: Path) -> tuple[ModelConfig, Game]:
    """The game whose networks hold the stored weights, on the CPU and in evaluation mode.

    Networks that were not stored stay on the meta device and take no memory.

    Raises:
        RunError: where a file is missing, damaged or foreign.
    """
    if not (folder / "config.json").is_file():
        raise RunError(f"no model in {folder}: give a run folder, or the model folder inside it")
    try:
        config = TypeAdapter(ModelConfig).validate_json((folder / "config.json").read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RunError(f"{folder / 'config.json'} is damaged or foreign: {where} {first['msg'].lower()}") from error
    try:
        tensors = load_file(folder / "model.safetensors")
    except (SafetensorError, OSError) as error:
        raise RunError(f"{folder / 'model.safetensors'} is missing or damaged: copy it again, or train anew") from error
    with torch.device("meta"):
        game = config.game.build(config.spec)
    try:
        result = game.load_state_dict(tensors, strict=False, assign=True)
    except RuntimeError as error:
        raise RunError(f"{folder / 'model.safetensors'} does not fit {folder / 'config.json'}") from error
    missing = [key for key in result.missing_keys if key.split(".")[0] in game.stored]
    if missing or result.unexpected_keys:
        raise RunError(f"{folder / 'model.safetensors'} does not fit {folder / 'config.json'}: {len(missing)} missing")
    return config, game.eval().requires_grad_(False)
