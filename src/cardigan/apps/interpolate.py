"""Walks through the latent space."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from cardigan.apps.files import appearing
from cardigan.apps.model import Model
from cardigan.errors import RunError
from cardigan.training.pictures import draw


def spherical(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Great-circle interpolation (Shoemake 1985): latents of a Gaussian keep the length that the prior gives them."""
    unit_start, unit_end = (x / x.norm(dim=-1, keepdim=True) for x in (start, end))
    angle = (unit_start * unit_end).sum(-1, keepdim=True).clamp(-1.0, 1.0).acos()
    weights = ((1 - share) * angle).sin(), (share * angle).sin()
    return torch.where(
        angle < 1e-4, torch.lerp(start, end, share), (weights[0] * start + weights[1] * end) / angle.sin()
    )


def walk(model: Model, *, frames: int, walks: int, seed: int, stops: int = 4) -> list[Tensor]:
    """A closed walk over `stops` random latents: `frames` batches of latents (walks, size)."""
    points = model.latents(stops * walks, seed=seed).unflatten(0, (stops, walks))
    path = []
    for frame in range(frames):
        position = frame / frames * stops
        stop, share = int(position), position - math.floor(position)
        path.append(spherical(points[stop], points[(stop + 1) % stops], share))
    return path


def write_walk(model: Model, out: Path, *, frames: int = 90, walks: int = 16, seed: int = 0) -> None:
    """The walk as an animated GIF, WebP or PNG, by the file's ending.

    Raises:
        RunError: where the model cannot sample or the file cannot be written.
    """
    if out.suffix.lower() not in (".gif", ".webp", ".png"):
        raise RunError(f"cannot write a film to {out}: choose a name that ends in .gif, .webp or .png")
    path = walk(model, frames=frames, walks=walks, seed=seed)
    first, *others = [draw(model.decode(latents), model.spec) for latents in path]
    with appearing(out) as draft:
        first.save(draft, save_all=True, append_images=others, duration=50, loop=0)
