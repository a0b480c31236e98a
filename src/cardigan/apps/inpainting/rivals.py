"""The other ways of filling that a completion is compared with, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from cardigan.apps.files import open_as
from cardigan.apps.inpainting import classical
from cardigan.apps.inpainting.completion import CompletionOptions
from cardigan.apps.model import Model, load
from cardigan.apps.train import train
from cardigan.errors import RecipeError, RunError
from cardigan.games import ContextEncoder

Rival = Literal["tv", "biharmonic", "nearest", "network"]
RIVALS: tuple[Rival, ...] = get_args(Rival)
CHUNK = 256

Filling = Callable[[Tensor, Tensor], Tensor]
"""From images (n, channels, height, width) and holes (n, 1, height, width) to images with their holes filled."""


def rivals(
    names: Sequence[str], model: Model, options: CompletionOptions, network: Callable[[], Model | None]
) -> Mapping[str, Filling]:
    """The other ways of filling, ready to be used."""
    if strange := sorted(set(names) - set(RIVALS)):
        raise RecipeError(f"there is no filling {strange[0]!r} to compare with: choose from {', '.join(RIVALS)}")
    made: dict[str, Filling] = {}
    for name in names:
        match name:
            case "tv":
                made[name] = classical.total_variation
            case "biharmonic":
                classical.require_biharmonic()
                made[name] = classical.biharmonic
            case "nearest":
                train_split = open_as(model.config.data, model.spec).train
                made[name] = lambda x, holes, t=train_split: classical.nearest(x, holes, t, options.blended)
            case "network":
                made[name] = network_filling(network())
    return made


def network_filling(model: Model | None) -> Filling:
    game = model.game if model else None
    if not isinstance(game, ContextEncoder):
        raise RunError("there is no network to compare with: train one with --recipe context-encoder")
    complete, device = game.complete, next(game.autoencoder.parameters()).device

    @torch.no_grad()
    def fill(images: Tensor, holes: Tensor) -> Tensor:
        parts = zip(images.split(CHUNK), holes.split(CHUNK), strict=True)
        return torch.cat([complete(x.to(device), hole.to(device)).float().cpu() for x, hole in parts])

    return fill


def context_encoder(run: Path, model: Model, mask: str, minutes: float) -> Model:
    """The network trained for such holes on the images that `model` has learnt from; kept in the run folder."""
    folder = run / "inpainting" / f"context-encoder-{mask}"
    if (folder / "report.html").is_file():
        return load(folder, str(model.device))
    spec = model.spec
    data: dict[str, Any] = {"size": [spec.height, spec.width]}
    if spec.channels in (1, 3, 4):
        data["channels"] = spec.channels
    return train(
        model.config.data,
        recipe="context-encoder",
        out=folder,
        minutes=minutes,
        settings={"game": {"mask": mask}, "data": data},
        resume=True,
        device=str(model.device),
        evaluate=False,
    ).model
