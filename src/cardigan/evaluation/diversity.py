"""Structural similarity of images, and the lack of variety it betrays between pairs of samples."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

WINDOW = 11
SIGMA = 1.5
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
PAIRS_AT_ONCE = 64


def window_size(height: int, width: int) -> int:
    """11 pixels, or the largest odd number that fits a smaller image."""
    side = min(height, width)
    return min(WINDOW, side - 1 + side % 2)


def scales(height: int, width: int) -> int:
    """How many of the five scales the window still fits."""
    window, side, count = window_size(height, width), min(height, width), 1
    while count < len(SCALE_WEIGHTS) and side > (window - 1) * 2**count:
        count += 1
    return count


def similarity_maps(x: Tensor, y: Tensor, data_range: float, window: int) -> tuple[Tensor, Tensor]:
    """SSIM and its contrast-structure factor at each place where the window fits, both (n, c, h', w')."""
    offsets = torch.arange(window, dtype=x.dtype) - window // 2
    taps = torch.exp(-offsets.square() / (2 * SIGMA**2))
    taps = taps / taps.sum()
    channels = x.shape[1]

    def blur(image: Tensor) -> Tensor:
        image = F.conv2d(image, taps.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
        return F.conv2d(image, taps.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)

    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_x, mean_y = blur(x), blur(y)
    variance_x, variance_y = blur(x * x) - mean_x.square(), blur(y * y) - mean_y.square()
    covariance = blur(x * y) - mean_x * mean_y
    contrast = (2 * covariance + c2) / (variance_x + variance_y + c2)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    return luminance * contrast, contrast


def _similarity(x: Tensor, y: Tensor, data_range: float, window: int) -> tuple[Tensor, Tensor]:
    """SSIM and its contrast-structure factor, both (n, c): means over the places where the window fits."""
    whole, contrast = similarity_maps(x, y, data_range, window)
    return whole.mean((2, 3)), contrast.mean((2, 3))


def ssim(x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], data_range: float = 2.0) -> Float[Tensor, "n"]:
    """Structural similarity per image in float64, -1..1 (Wang et al. 2004): Gaussian window of 11, σ 1.5, no border.

    Args:
        data_range: largest minus smallest possible value; 2 for images in [-1, 1]. For the usual numbers on such images
            shift them to [0, 2], as `ms_ssim_pairs` does: the luminance factor takes values to be >= 0.
    """
    return _similarity(x.double(), y.double(), data_range, window_size(*x.shape[2:]))[0].mean(1)


def ms_ssim(x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], data_range: float = 2.0) -> Float[Tensor, "n"]:
    """Multi-scale SSIM per image in float64, 0..1 (Wang et al. 2003).

    Five scales need a side above 160; smaller images use the finest ones that fit, with their weights renormalised.
    """
    x, y = x.double(), y.double()
    window, count = window_size(*x.shape[2:]), scales(*x.shape[2:])
    weights = torch.tensor(SCALE_WEIGHTS[:count], dtype=torch.float64)
    if count < len(SCALE_WEIGHTS):
        weights = weights / weights.sum()
    value = torch.ones(x.shape[:2], dtype=torch.float64)
    for scale, weight in enumerate(weights):
        whole, contrast = _similarity(x, y, data_range, window)
        last = scale == count - 1
        value = value * (whole if last else contrast).clamp(min=0) ** weight
        if not last:
            padding = [side % 2 for side in x.shape[2:]]
            x, y = F.avg_pool2d(x, 2, padding=padding), F.avg_pool2d(y, 2, padding=padding)
    return value.mean(1)


def disjoint_pairs(n: int, labels: Int[Tensor, "n"] | None, seed: int) -> Int[Tensor, "pairs 2"]:
    """Random pairs of n images, of the same class where there are labels; no image is in two, so pairs are independent."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    if labels is None:
        return order[: n // 2 * 2].view(-1, 2)
    members = [order[labels[order] == label] for label in labels.unique()]
    pairs = torch.cat([own[: len(own) // 2 * 2].view(-1, 2) for own in members])
    return pairs[torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed))]


def ms_ssim_pairs(
    images: Float[Tensor, "n c h w"], labels: Int[Tensor, "n"] | None = None, pairs: int = 500, seed: int = 0
) -> Float[Tensor, "pairs"]:
    """MS-SSIM of disjoint pairs of one class (of any two where no class has two) in [-1, 1]; high means alike.

    Odena et al. 2017. Lower than the reals' own value is not better: compare the mean with that of real pairs.
    """
    chosen = disjoint_pairs(len(images), labels, seed)
    if not len(chosen):
        chosen = disjoint_pairs(len(images), None, seed)
    shifted = images + 1
    parts = [ms_ssim(shifted[part[:, 0]], shifted[part[:, 1]]) for part in chosen[:pairs].split(PAIRS_AT_ONCE)]
    return torch.cat(parts)


def psnr(x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], data_range: float = 2.0) -> Float[Tensor, "n"]:
    """Peak signal-to-noise ratio per image in dB, 10 log₁₀(range²/MSE); +inf for equal images.

    Average the values, not the errors: the PSNR of a mean error is another number.
    """
    error = (x.double() - y.double()).square().mean((1, 2, 3))
    return 10 * torch.log10(data_range**2 / error)
