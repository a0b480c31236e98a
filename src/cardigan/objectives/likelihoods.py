"""Log-likelihoods, the terms of evidence bounds, and what autoencoders are paid.

Log-likelihoods and divergences are in nats, one per example, summed over the example's dimensions: a mean over pixels
on one side of an evidence bound and a sum on the other would silently reweight it.
"""

import math
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from cardigan.objectives.precision import at_least_float32

Examples = Float[Tensor, "batch *dims"]
PerExample = Float[Tensor, " batch"]
Nats = TypeVar("Nats", float, Tensor)


def bernoulli_log_likelihood(logits: Examples, targets: Examples) -> PerExample:
    """Σ x log σ(l) + (1 − x) log(1 − σ(l)) (Kingma & Welling 2013, Eq. 11).

    Args:
        logits: any real numbers.
        targets: x in {0, 1} (see ``binarise``). Grey values in between are accepted, but then the sum is not the
            logarithm of a probability and no bound on one.
    """
    logits, targets = at_least_float32(logits), at_least_float32(targets)
    return -_sum(F.binary_cross_entropy_with_logits(logits, targets, reduction="none"))


def gaussian_log_likelihood(mean: Examples, log_scale: Float[Tensor, "..."], images: Examples) -> PerExample:
    """Σ log N(x; μ, σ²), a log-density (Kingma & Welling 2013, Eq. 12).

    Args:
        mean: μ.
        log_scale: log σ, of any shape that broadcasts to the mean's.
        images: x.
    """
    mean, log_scale, images = map(at_least_float32, (mean, log_scale, images))
    deviation = (images - mean) * torch.exp(-log_scale)
    return _sum(-0.5 * (deviation.square() + math.log(2 * math.pi)) - log_scale)


def discretised_logistic_log_likelihood(
    mean: Examples, log_scale: Float[Tensor, "..."], images: Examples, levels: int = 256
) -> PerExample:
    """Σ log [σ((x + h − μ)/s) − σ((x − h − μ)/s)], h = 1/(levels − 1) (Kingma et al. 2016).

    The probability of the pixel's level under a logistic of mean μ and scale s, the first and last level taking the
    tails (Salimans et al. 2017, section 2.1), so that the levels' probabilities sum to one.

    Args:
        mean: μ, on the images' scale.
        log_scale: log s, of any shape that broadcasts to the mean's; between about −30 and 30.
        images: x in [−1, 1], on the grid of levels −1 + 2k/(levels − 1).
        levels: how many values a pixel can take, at least 2: 256 for 8 bits.
    """
    if levels < 2:
        raise ValueError(f"levels must be at least 2, not {levels}")
    mean, log_scale, images = map(at_least_float32, (mean, log_scale, images))
    half_bin = 1 / (levels - 1)
    precision = torch.exp(-log_scale)
    # With upper edge a and lower edge b, σ(a) − σ(b) = σ(a) σ(−b) (1 − e^(b − a)): three factors, no cancellation.
    # A bin that reaches to infinity on one side lacks that side's factor and the third.
    below_upper = F.logsigmoid((images + half_bin - mean) * precision)
    above_lower = F.logsigmoid(-(images - half_bin - mean) * precision)
    width = torch.log(-torch.expm1(-2 * half_bin * precision))
    first, last = images < half_bin - 1, images > 1 - half_bin
    inside = below_upper + above_lower + width
    return _sum(torch.where(first, below_upper, torch.where(last, above_lower, inside)))


def kl_to_standard_normal(mean: Examples, log_variance: Examples) -> PerExample:
    """KL(N(μ, diag σ²) ‖ N(0, I)) = ½ Σ μ² + σ² − 1 − log σ² (Kingma & Welling 2013, appendix B)."""
    mean, log_variance = at_least_float32(mean), at_least_float32(log_variance)
    return 0.5 * _sum(mean.square() + torch.expm1(log_variance) - log_variance)


def importance_weighted_bound(log_weights: Float[Tensor, "draws batch"]) -> PerExample:
    """log 1/k Σ w over k draws from the encoder, w = p(x, z)/q(z|x) (Burda et al. 2015, Eq. 8).

    With one draw it is the evidence lower bound; its expectation grows with k towards log p(x).
    """
    log_weights = at_least_float32(log_weights)
    return torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))


def bits_per_dimension(nats: Nats, dimensions: int) -> Nats:
    """−nats/(dimensions · log 2): the code length that a log-likelihood, or a lower bound of it, stands for.

    A discretised likelihood gives bits of the stored image; a density on [−1, 1] does not, and may come out negative.

    Args:
        nats: log p(x), higher being better, as every function here returns it.
        dimensions: numbers in one example.
    """
    return -nats / (dimensions * math.log(2))


def binarise(images: Examples, generator: torch.Generator | None = None) -> Examples:
    """Draws in {0, 1} with probability (x + 1)/2 for images x in [−1, 1] (Salakhutdinov & Murray 2008).

    Drawn anew at each step this is dynamic binarisation, drawn once for a data set the static one.
    """
    return torch.bernoulli((0.5 * (images + 1)).clamp(0, 1), generator=generator)


def reconstruction_error(prediction: Examples, target: Examples) -> PerExample:
    """Mean squared error of each example, on the images' own scale [−1, 1]: four times that on [0, 1]."""
    squares = (at_least_float32(prediction) - at_least_float32(target)).square()
    return squares.flatten(1).mean(1)


def corrupt(
    images: Float[Tensor, "batch channels height width"],
    kind: Literal["gaussian", "mask"],
    level: float,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "batch channels height width"]:
    """A denoising autoencoder's input (Vincent et al. 2008, 2010).

    Args:
        images: clean examples in [−1, 1].
        kind: "gaussian" adds noise of standard deviation ``level`` and does not clip; "mask" turns each pixel, all
            channels together, black (−1) with probability ``level``.
        level: at least 0, and at most 1 for "mask"; 0 leaves the images alone.
        generator: source of the noise; torch's global one if None.
    """
    match kind:
        case "gaussian":
            return images + level * torch.empty_like(images).normal_(generator=generator)
        case "mask":
            lost = torch.empty_like(images[:, :1]).bernoulli_(level, generator=generator)
            return torch.where(lost.bool(), -1.0, images)
        case _:
            raise ValueError(f"kind must be 'gaussian' or 'mask', not {kind!r}")


def _sum(per_dimension: Tensor) -> Tensor:
    return per_dimension.flatten(1).sum(1)
