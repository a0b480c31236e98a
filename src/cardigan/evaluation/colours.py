"""Whether two sets of images have the same colours: marginal histograms in CIE Lab, as in pix2pix.

Isola et al. 2017, section 4.2, figure 7 and its table: the intersection of the histograms of L, a and b over all pixels.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

CHANNELS = ("L", "a", "b")
BINS = 256
LOWEST = (0, -128, -128)

# From the chromaticities of IEC 61966-2-1 and the white point D65: linear red, green and blue (columns) to X, Y, Z.
TO_XYZ = (
    (506752 / 1228815, 87881 / 245763, 12673 / 70218),
    (87098 / 409605, 175762 / 245763, 12673 / 175545),
    (7918 / 409605, 87881 / 737289, 1001167 / 1053270),
)
BEND = 6 / 29


def lab(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """CIE L*a*b* under D65 of sRGB images in [-1, 1], in float64: L in 0..100, a and b within ±128; grey has a = b = 0."""
    encoded = ((images.double() + 1) / 2).clamp(0, 1)
    linear = torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    matrix = torch.tensor(TO_XYZ, dtype=torch.float64, device=images.device)
    white = matrix.sum(1)
    relative = torch.einsum("xc,nchw->nxhw", matrix / white[:, None], linear)
    bent = torch.where(relative > BEND**3, relative ** (1 / 3), relative / (3 * BEND**2) + 4 / 29)
    x, y, z = bent.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def lab_histograms(images: Float[Tensor, "n c h w"]) -> Int[Tensor, "n 3 256"]:
    """How many pixels of each image have each L, a and b, in bins of one unit about whole numbers: from 0, -128, -128 on.

    Args:
        images: grey, RGB, or RGB with alpha, which is passed over; in [-1, 1].
    """
    n = len(images)
    colours = images[:, :3] if images.shape[1] >= 3 else images[:, :1].expand(-1, 3, -1, -1)
    lowest = torch.tensor(LOWEST, device=images.device).view(1, 3, 1, 1)
    bins = (lab(colours).round().long() - lowest).clamp(0, BINS - 1)
    row = torch.arange(n * 3, device=images.device).view(n, 3, 1, 1)
    return torch.bincount((row * BINS + bins).flatten(), minlength=n * 3 * BINS).view(n, 3, BINS)


def intersection(first: Int[Tensor, "*k bins"], second: Int[Tensor, "*k bins"]) -> Float[Tensor, "*k"]:
    """Σ min(p, q) of two histograms as shares p and q, in float64: 1 for equal ones, 0 where they have no bin in common."""
    p, q = (counts.double() / counts.sum(-1, keepdim=True) for counts in (first, second))
    return torch.minimum(p, q).sum(-1)
