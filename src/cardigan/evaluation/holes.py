"""How close a filling comes to what was there, in the hole alone."""

import torch
from jaxtyping import Bool, Float

from cardigan.evaluation.diversity import similarity_maps, window_size

Images = Float[torch.Tensor, "n c h w"]
Holes = Bool[torch.Tensor, "n 1 h w"]


def hole_psnr(filled: Images, images: Images, holes: Holes, data_range: float = 2.0) -> Float[torch.Tensor, "n"]:
    """10 log₁₀(range²/MSE) in dB per image, in float64; the mean is over the missing pixels and all channels."""
    missing = holes.expand_as(images)
    squares = (filled.double() - images.double()).square().mul(missing).sum((1, 2, 3))
    return 10 * torch.log10(data_range**2 / (squares / missing.sum((1, 2, 3))))


def hole_ssim(filled: Images, images: Images, holes: Holes, data_range: float = 2.0) -> Float[torch.Tensor, "n"]:
    """Structural similarity (Wang et al. 2004) per image in float64, -1..1, over windows whose middle is missing.

    Images in [-1, 1] are shifted to [0, 2]. NaN for a hole that lies wholly where the window of 11 does not fit.
    """
    window = window_size(*images.shape[2:])
    whole, _ = similarity_maps(filled.double() + 1, images.double() + 1, data_range, window)
    edge, (height, width) = window // 2, whole.shape[2:]
    missing = holes[:, :, edge : edge + height, edge : edge + width].expand_as(whole)
    return whole.mul(missing).sum((1, 2, 3)) / missing.sum((1, 2, 3))
