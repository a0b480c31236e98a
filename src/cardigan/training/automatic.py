"""The default recipe's sizes: chosen from the images and the machine, and written into run.toml like any other."""

from __future__ import annotations

from typing import Any

import torch

from cardigan.data.spec import DataSpec
from cardigan.training.recipe import merge

Table = dict[str, Any]

TINY = 12


def fit_to_data(table: Table, spec: DataSpec, device: torch.device) -> Table:
    """The default recipe's table with networks, batch and length that suit the data; what the user set comes later."""
    if spec.kind == "points":
        return merge(table, points())
    if min(spec.height, spec.width) <= TINY:
        return merge(table, tiny_images(spec))
    return merge(table, pictures(spec, device))


def points() -> Table:
    network = {"name": "mlp", "widths": [128, 128, 128], "activation": "leaky-relu"}
    return {"batch": 256, "images": 1_280_000, "game": {**players(network, network), "r1": 0.05, "r2": 0.05}}


def tiny_images(spec: DataSpec) -> Table:
    """On eight by eight pixels an MLP makes five times as many rounds as convolutions, and better ones."""
    generator, discriminator = ({"name": "mlp", "widths": widths} for widths in ([256, 512], [512, 256]))
    return {"batch": 128, "images": 1_000_000, "game": players(generator, discriminator)}


def pictures(spec: DataSpec, device: torch.device) -> Table:
    """Width for a constant cost of one image's finest layers, and more of everything on a GPU.

    The penalties' weight grows with the number of pixels: a squared slope sums over them (Huang et al. 2024 use .05 at
    32 pixels and 150 at 256).
    """
    on_gpu = device.type == "cuda"
    side = max(spec.height, spec.width)
    width = (64 if on_gpu else 16) if side <= 64 else (32 if on_gpu else 16)
    network = {"name": "norm-free", "width": width, "max_width": 512 if on_gpu else 256}
    batch = 256 if on_gpu and side <= 64 else 64
    return {"batch": batch, "images": 1_000_000, "game": players(network, network)}


def players(generator: Table, discriminator: Table) -> Table:
    return {"generator": generator, "discriminator": discriminator}
