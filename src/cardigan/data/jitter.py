"""Enlarged images, and windows of the old size cut out of them at random."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from cardigan.data.spec import DataSpec


def jittered(images: Tensor, factor: float, corners: Tensor, spec: DataSpec) -> Tensor:
    """Windows of images (n, channels, height, width) that have been enlarged by a factor; all channels alike.

    Label maps are enlarged without mixing their classes.

    Args:
        corners: where each window lies, (n, 2) numbers from 0 (top, left) to 1 (bottom, right).
    """
    height, width = images.shape[2:]
    size = round(height * factor), round(width * factor)
    large = torch.cat([enlarged(part, size, is_map) for part, is_map in channel_groups(images, spec)], 1)
    tops, lefts = ((corners[:, i] * (size[i] - (height, width)[i] + 1)).long().tolist() for i in (0, 1))
    windows = zip(large, tops, lefts, strict=True)
    return torch.stack([image[:, top : top + height, left : left + width] for image, top, left in windows])


def enlarged(images: Tensor, size: tuple[int, int], is_map: bool) -> Tensor:
    if is_map:
        return functional.interpolate(images, size, mode="nearest-exact")
    return functional.interpolate(images, size, mode="bilinear", align_corners=False)


def channel_groups(images: Tensor, spec: DataSpec) -> list[tuple[Tensor, bool]]:
    """The channels of each side, and whether they are those of a label map."""
    if not spec.sides:
        return [(images, False)]
    parts = images.split([side.channels for side in spec.sides], 1)
    return [(part, bool(side.palette)) for part, side in zip(parts, spec.sides, strict=True)]
