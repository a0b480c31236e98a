"""Ways between latents: great circles where a prior is normal, else lines."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from cardigan.games.base import LatentConfig


def spherical(start: Tensor, end: Tensor, share: float | Tensor) -> Tensor:
    """Great-circle interpolation (Shoemake 1985): latents of a Gaussian keep the length that the prior gives them.

    Ones that point the same way, or opposite ways, between which no circle is the greatest, are joined by a line.
    """
    unit_start, unit_end = (x / x.norm(dim=-1, keepdim=True) for x in (start, end))
    angle = (unit_start * unit_end).sum(-1, keepdim=True).clamp(-1.0, 1.0).acos()
    sine = angle.sin()
    weights = ((1 - share) * angle).sin() / sine, (share * angle).sin() / sine
    return torch.where(sine < 1e-3, torch.lerp(start, end, share), weights[0] * start + weights[1] * end)


def between(start: Tensor, end: Tensor, share: float | Tensor, latent: LatentConfig) -> Tensor:
    """The latent a share of the way from start to end: on a sphere where they are normal, else in the cube, on a line."""
    return spherical(start, end, share) if latent.distribution == "normal" else torch.lerp(start, end, share)


def closed_walk(points: Tensor, frames: int, latent: LatentConfig) -> list[Tensor]:
    """From each point to the next and from the last to the first: `frames` tensors for points (stops, ..., size).

    Every point is a frame of its own, as it is, where there are as many frames as points.
    """
    stops = len(points)
    begins = [stop * frames // stops for stop in range(stops + 1)]
    return [
        between(points[stop], points[(stop + 1) % stops], (frame - begin) / (end - begin), latent)
        for stop, (begin, end) in enumerate(pairwise(begins))
        for frame in range(begin, end)
    ]


def plane(corners: Tensor, side: int, latent: LatentConfig) -> Tensor:
    """A grid between four latents (4, size), left to right and top to bottom: (side * side, size)."""
    top_left, top_right, bottom_left, bottom_right = corners
    shares = torch.linspace(0, 1, side)[:, None]
    left, right = between(top_left, bottom_left, shares, latent), between(top_right, bottom_right, shares, latent)
    return between(left[:, None], right[:, None], shares, latent).flatten(0, 1)
