"""Sliced Wasserstein distance: on plain features, and on patches of a Laplacian pyramid (Karras et al. 2018)."""

from math import ceil

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cardigan.evaluation.intervals import shuffled

PATCH = 7
SMALLEST_LEVEL = 16
DIRECTIONS = 512
PATCHES_PER_IMAGE = 128
DIRECTIONS_AT_ONCE = 16
IMAGES_AT_ONCE = 384


def sliced_wasserstein(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], directions: int = DIRECTIONS, seed: int = 0
) -> float:
    """Mean over random unit directions of the 1-Wasserstein distance between the two projections, in float64.

    A pure shift δ in d dimensions scores ||δ|| Γ(d/2) / (√π Γ((d+1)/2)). Sets of unequal size are cut to the smaller,
    at random.
    """
    n = min(len(x), len(y))
    x, y = (s if len(s) == n else shuffled(s, seed + 1)[:n] for s in (x, y))
    generator = torch.Generator().manual_seed(seed)
    rays = torch.randn(x.shape[1], directions, generator=generator, dtype=torch.float64)
    rays = (rays / rays.norm(dim=0)).to(torch.promote_types(x.dtype, y.dtype))
    total = 0.0
    for start in range(0, directions, DIRECTIONS_AT_ONCE):
        some = rays[:, start : start + DIRECTIONS_AT_ONCE].T
        # numpy sorts values alone; torch.sort also carries the indices and takes several times as long.
        p = np.sort((some.to(x.dtype) @ x.T).numpy(), axis=1)
        q = np.sort((some.to(y.dtype) @ y.T).numpy(), axis=1)
        total += float(np.abs(p.astype(np.float64) - q).mean(axis=1).sum())
    return total / directions


def patch_size(height: int, width: int) -> str:
    """7x7, or the whole of a smaller side."""
    return f"{min(PATCH, height)}x{min(PATCH, width)}"


def levels(height: int, width: int) -> int:
    """Pyramid levels for an image: halved as long as the smaller side stays at 16 or more; at least one."""
    side, count = min(height, width), 1
    while ceil(side / 2) >= SMALLEST_LEVEL:
        side, count = ceil(side / 2), count + 1
    return count


def _blur(images: Tensor, gain: float = 1.0) -> Tensor:
    channels = images.shape[1]
    taps = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=images.dtype) / 16
    kernel = (gain * torch.outer(taps, taps)).expand(channels, 1, 5, 5)
    return F.conv2d(F.pad(images, (2, 2, 2, 2), mode="reflect"), kernel, groups=channels)


def _expand(coarse: Tensor, like: Tensor) -> Tensor:
    sparse = torch.zeros_like(like)
    sparse[..., ::2, ::2] = coarse
    return _blur(sparse, gain=4.0)


def laplacian_pyramid(images: Float[Tensor, "n c h w"], count: int | None = None) -> list[Float[Tensor, "n c _ _"]]:
    """Band-pass images, fine to coarse; the last is the low-pass rest (Burt & Adelson 1983, 5x5 binomial, mirrored).

    Args:
        count: number of levels; by default those of `levels`.
    """
    pyramid = []
    for _ in range((count or levels(*images.shape[2:])) - 1):
        coarse = _blur(images)[..., ::2, ::2]
        pyramid.append(images - _expand(coarse, images))
        images = coarse
    return [*pyramid, images]


def patches(
    images: Float[Tensor, "n c h w"], per_image: int, generator: torch.Generator
) -> Float[Tensor, "descriptors channels pixels"]:
    """Random 7x7 patches, standardised per channel over the whole set; smaller images give one patch, themselves.

    At most as many per image as there are places. Standardising hides a global change of colour or contrast: that is
    the published protocol.
    """
    n, channels, height, width = images.shape
    tall, wide = min(PATCH, height), min(PATCH, width)
    places = (height - tall + 1) * (width - wide + 1)
    per_image = min(per_image, places)
    where = torch.randint(places, (n, per_image), generator=generator)
    top, left = where // (width - wide + 1), where % (width - wide + 1)
    within = (torch.arange(tall)[:, None] * width + torch.arange(wide)).flatten()
    flat = images.reshape(n, channels, -1)
    cut = images.new_empty(n, per_image, channels, tall * wide)
    step = max(1, IMAGES_AT_ONCE // channels)
    for start in range(0, n, step):
        part = flat[start : start + step]
        corner = (top * width + left)[start : start + step]
        places_of_part = (corner[:, :, None] + within).flatten(1)[:, None].expand(-1, channels, -1)
        pixels = part.gather(2, places_of_part).unflatten(2, (per_image, tall * wide))
        cut[start : start + step] = pixels.transpose(1, 2)
    cut = cut.flatten(0, 1)
    for channel in cut.unbind(1):
        spread, mean = torch.std_mean(channel.double())
        channel.sub_(mean).div_(spread if spread > 1e-12 else 1.0)
    return cut


def sliced_patches(
    x: Float[Tensor, "n c h w"],
    y: Float[Tensor, "m c h w"],
    seed: int = 0,
    per_image: int = PATCHES_PER_IMAGE,
    directions: int = DIRECTIONS,
) -> list[float]:
    """SWD x 10³ of each pyramid level, fine to coarse, between images in [-1, 1]; their mean is the usual summary.

    Karras et al. 2018, section 5: 7x7 patches of Laplacian pyramids, 128 an image, 512 directions, W1. Published values
    used 16 384 images down to 16x16; smaller images have one level here, and values compare only at equal counts.
    """
    generator = torch.Generator().manual_seed(seed)
    distances = []
    for fine, other in zip(laplacian_pyramid(x.float()), laplacian_pyramid(y.float()), strict=True):
        p, q = (patches(level, per_image, generator).flatten(1) for level in (fine, other))
        distances.append(1e3 * sliced_wasserstein(p, q, directions, seed))
    return distances
