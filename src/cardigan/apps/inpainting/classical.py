"""Fillings without a generator, to compare with: each takes images and holes and returns images."""

from __future__ import annotations

import importlib.util
import math

import torch
from torch import Tensor

from cardigan.apps.inpainting.blending import blend
from cardigan.data import Dataset
from cardigan.errors import RunError

STEPS = 1000
CHUNK = 1000


def total_variation(images: Tensor, holes: Tensor, steps: int = STEPS) -> Tensor:
    """The filling of least total variation, the sum over pixels of |grad x| (Chan & Shen 2001).

    By the primal-dual steps of Chambolle & Pock 2011, Algorithm 1, with sigma = tau = 8^-1/2: no image library has it.
    """
    rate = 1 / math.sqrt(8)
    x = images.masked_fill(holes, 0.0)
    ahead, down, across = x, torch.zeros_like(x), torch.zeros_like(x)
    for _ in range(steps):
        down[:, :, :-1] += rate * (ahead[:, :, 1:] - ahead[:, :, :-1])
        across[..., :-1] += rate * (ahead[..., 1:] - ahead[..., :-1])
        length = (down.square() + across.square()).sqrt().clamp(min=1.0)
        down, across = down / length, across / length
        divergence = down + across
        divergence[:, :, 1:] -= down[:, :, :-1]
        divergence[..., 1:] -= across[..., :-1]
        new = torch.where(holes, x + rate * divergence, images)
        ahead, x = 2 * new - x, new
    return x.clamp(-1.0, 1.0)


def require_biharmonic() -> None:
    """
    Raises:
        RunError: scikit-image is not installed.
    """
    if importlib.util.find_spec("skimage") is None:
        raise RunError("biharmonic filling is scikit-image's: pip install 'cardigan[inpaint]'")


def biharmonic(images: Tensor, holes: Tensor) -> Tensor:
    """The filling of least bending (Damelin & Hoang 2018), by scikit-image."""
    from skimage.restoration import inpaint_biharmonic

    filled = images.clone()
    for i, (image, hole) in enumerate(zip(images.masked_fill(holes, 0.0), holes, strict=True)):
        smooth = inpaint_biharmonic(image.permute(1, 2, 0).double().numpy(), hole[0].numpy(), channel_axis=-1)
        filled[i] = torch.from_numpy(smooth).permute(2, 0, 1).float().clamp(-1.0, 1.0)
    return torch.where(holes, filled, images)


def nearest(images: Tensor, holes: Tensor, train: Dataset, blended: bool = True) -> Tensor:
    """The training image whose known pixels are nearest in squared distance, its hole blended in, or pasted."""
    known = (~holes).float().expand_as(images)
    seen, mask = (images * known).flatten(1), known.flatten(1)
    lowest, closest = torch.full((len(images),), math.inf), torch.zeros(len(images), dtype=torch.int64)
    for part in torch.arange(len(train)).split(CHUNK):
        looks = train.images(part).flatten(1)
        distances = mask @ looks.square().T - 2 * seen @ looks.T  # less the image's own square, the same for all
        values, indices = distances.min(1)
        better = values < lowest
        lowest, closest = torch.where(better, values, lowest), torch.where(better, part[indices], closest)
    guides = train.images(closest)
    return blend(images, guides, holes) if blended else torch.where(holes, guides, images)
