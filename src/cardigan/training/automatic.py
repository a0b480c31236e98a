"""The default recipe's sizes: chosen from the images and the machine, and written into run.toml like any other."""

from __future__ import annotations

from typing import Any

import torch

from cardigan.data.spec import DataSpec
from cardigan.training.recipe import merge


def fit_to_data(table: dict[str, Any], spec: DataSpec, device: torch.device) -> dict[str, Any]:
    """The default recipe's table with networks, batch and length that suit the data; what the user set comes later."""
    if spec.kind == "points":
        return merge(table, points())
    return merge(table, tiny_images() if min(spec.height, spec.width) <= 12 else pictures(spec, device))


def points() -> dict[str, Any]:
    network = {"name": "mlp", "widths": [128, 128, 128]}
    return {"batch": 256, "images": 1_000_000, "game": {"generator": network, "discriminator": network}}


def tiny_images() -> dict[str, Any]:
    return {}


def pictures(spec: DataSpec, device: torch.device) -> dict[str, Any]:
    return {}
