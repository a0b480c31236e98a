"""Do the generated images look augmented? Then the augmentation has leaked: the generator takes it for a part of the data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "n channels height width"]

SHRINKAGE = 0.1
LEAST_STANDARD_ERRORS = 3.0
TOLERATED = 0.1


@dataclass(frozen=True)
class Leak:
    """How far generated images have moved from the real ones towards augmented ones.

    Attributes:
        share: 0 where they look as unaugmented as the real images, 1 where they look as augmented as those that the
            discriminator is shown; a generator that augments the share s of its images reads s. It may lie below 0 or
            above 1, by chance or because the samples are unlike the real images in other ways. NaN where the features do
            not tell real from augmented images: take more images, or a higher probability.
        error: its standard error. It counts what is wrong with the samples otherwise as if that pointed in any direction
            of feature space alike; where that is much like an augmentation (pale colours are), the share is too large.
    """

    share: float
    error: float

    @property
    def certain(self) -> bool:
        """True where more than a tenth has leaked, beyond two standard errors."""
        return self.share - 2 * self.error > TOLERATED


@torch.no_grad()
def leak(
    samples: Images,
    real: Images,
    augment: Callable[[Tensor], Tensor],
    features: Callable[[Tensor], Tensor],
) -> Leak:
    """Measure how much of an augmentation the generated images show.

    Images are scored along Fisher's discriminant of real against augmented real images, w = Σ⁻¹(μ_augmented - μ_real) in
    feature space, and the samples' mean score is told as a share of the way from the real images' to the augmented
    ones'. Each real image, and its augmentation, is scored by a w that was fitted without it, so that as many real images
    read 0 on average. Samples that are bad in ways that w does not point to read 0 as well, which mere distances to
    the two sets would not give: far from both, they are as near to the one as to the other.

    Args:
        samples: generated images, 2 at least.
        real: real ones, 4 at least, better some hundreds.
        augment: n images to as many; a `Draw` for len(real), with the training's probability or of one kind alone.
        features: images to (n, d) of comparable scale, with d well below the number of real images.
    """
    sampled, clean, augmented = (features(images).double() for images in (samples, real, augment(real)))
    centre = clean.mean(0)
    sampled, clean, augmented = sampled - centre, clean - centre, augmented - centre
    odd = torch.arange(len(clean)) % 2 == 1
    weights = [discriminant(clean[fold], augmented[fold]) for fold in (odd, ~odd)]
    at_samples = torch.stack([sampled @ weight for weight in weights]).mean(0)
    at_clean, at_augmented = (torch.where(odd, x @ weights[1], x @ weights[0]) for x in (clean, augmented))
    way, its_error = mean_and_error(at_augmented - at_clean)
    if not way > LEAST_STANDARD_ERRORS * its_error:
        return Leak(math.nan, math.nan)
    gone, error = mean_and_error(at_samples)
    share = (gone - at_clean.mean().item()) / way
    _, end_error = mean_and_error((1 - share) * at_clean + share * at_augmented)
    return Leak(share, math.hypot(error / way, end_error / way, astray(sampled, clean, augmented)))


def within(clean: Tensor, augmented: Tensor) -> Tensor:
    """The covariance (d, d) that both have about their own means, with part of what is off its diagonal left out."""
    around = torch.cat([clean - clean.mean(0), augmented - augmented.mean(0)])
    covariance = around.mT @ around / len(around)
    variances = covariance.diag()
    floor = SHRINKAGE * variances.mean().clamp(min=1e-12)  # of features that hardly ever differ nothing can be known
    return (1 - SHRINKAGE) * covariance + SHRINKAGE * variances.clamp(min=floor).diag()


def discriminant(clean: Tensor, augmented: Tensor) -> Tensor:
    """Fisher's direction (d,) from one set of features (n, d) to the other."""
    return torch.linalg.solve(within(clean, augmented), augmented.mean(0) - clean.mean(0))


def astray(sampled: Tensor, clean: Tensor, augmented: Tensor) -> float:
    """How far a reading may be off since the samples are bad otherwise: if in any direction of feature space alike.

    What of their distance from the real images is not on the way to the augmented ones, and not chance, is shared out
    evenly over all directions.
    """
    whiten = torch.linalg.cholesky(within(clean, augmented))
    gone, way = (
        torch.linalg.solve_triangular(whiten, (x.mean(0) - clean.mean(0))[:, None], upper=False).squeeze(1)
        for x in (sampled, augmented)
    )
    length = way.square().sum()
    aside = (gone - (gone @ way) / length * way).square().mean() - 1 / len(sampled) - 1 / len(clean)
    return (aside.clamp(min=0) / length).sqrt().item()


def mean_and_error(values: Tensor) -> tuple[float, float]:
    """The mean and its standard error."""
    return values.mean().item(), (values.var() / len(values)).sqrt().item()
