"""Which modes of a known distribution the samples reach, and how evenly."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cardigan.evaluation.intervals import normal_interval

Classify = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Modes:
    """A histogram of samples over modes, counts (K,), and the true probabilities (K,) of the modes.

    Attributes:
        drawn: samples in all; those of low quality are in no mode.
    """

    counts: Tensor
    probabilities: Tensor
    drawn: int

    @property
    def total(self) -> int:
        """K, the modes there are."""
        return len(self.counts)

    @property
    def recovered(self) -> int:
        """Modes with at least one sample."""
        return int((self.counts > 0).sum())

    @property
    def high_quality(self) -> float:
        """Share of the samples that lie in some mode, 0..1."""
        return float(self.counts.sum()) / self.drawn

    @property
    def reverse_kl(self) -> float:
        """KL(q‖p) in nats of the sampled histogram q against p; +inf when no sample is in a mode."""
        return reverse_kl(self.counts, self.probabilities)

    @property
    def recovered_floor(self) -> float:
        """Σ 1 - (1 - p_k)^n: the modes that a perfect sampler recovers in expectation with n samples."""
        return float((1 - (1 - self.probabilities) ** self.drawn).sum())

    @property
    def reverse_kl_floor(self) -> float:
        """What a perfect sampler scores in expectation with as many samples: exact, about (K-1)/2n."""
        return expected_reverse_kl(self.probabilities, self.drawn)

    def recovered_interval(self) -> tuple[float, float]:
        """95 % interval of the recovered modes: a mode with c samples stays empty with probability e^-c next time."""
        empty = torch.exp(-self.counts[self.counts > 0].double())
        low, high = normal_interval(float(self.recovered), sqrt(float((empty * (1 - empty)).sum())))
        return max(low, 0.0), min(high, float(self.total))

    def reverse_kl_interval(self) -> tuple[float, float]:
        """95 % interval of the reverse KL: delta method, plus the χ² spread that remains where q = p."""
        inside = float(self.counts.sum())
        if not inside:
            return float("inf"), float("inf")
        q = self.counts.double() / inside
        ratio = torch.where(q > 0, (q / self.probabilities).clamp(min=1e-300).log(), 0.0)
        variance = float((q * ratio.square()).sum() - (q * ratio).sum().square())
        error = sqrt(max(0.0, variance) / inside + (self.total - 1) / (2 * inside**2))
        low, high = normal_interval(self.reverse_kl, error)
        return max(low, 0.0), high


def reverse_kl(counts: Int[Tensor, "k"], probabilities: Float[Tensor, "k"]) -> float:
    """KL(q‖p) = Σ q log(q/p) in nats, q the normalised counts; +inf for no counts or mass where p = 0."""
    total = counts.sum()
    if total == 0:
        return float("inf")
    q = counts.double() / total
    p = probabilities.double()
    return max(0.0, float((torch.xlogy(q, q) - torch.xlogy(q, p)).sum()))


def expected_reverse_kl(probabilities: Float[Tensor, "k"], n: int) -> float:
    """E KL(q‖p) in nats for the histogram q of n samples of p itself: Σ_k E (c/n) log(c/(n p_k)), c ~ Binomial(n, p_k)."""
    p, repeats = probabilities.double().unique(return_counts=True)
    p, repeats = p[p > 0, None], repeats[p > 0]
    c = torch.arange(n + 1, dtype=torch.float64)
    ways = torch.lgamma(torch.tensor(n + 1.0).double()) - torch.lgamma(c + 1) - torch.lgamma(n - c + 1)
    chance = (ways + torch.xlogy(c, p) + torch.xlogy(n - c, 1 - p)).exp()
    share = c / n
    return float((repeats * (chance * (torch.xlogy(share, share) - torch.xlogy(share, p))).sum(1)).sum())


def class_modes(labels: Int[Tensor, "n"], probabilities: Float[Tensor, "k"]) -> Modes:
    """Modes are classes: labels a classifier gave to the samples, against the classes' true frequencies."""
    return Modes(torch.bincount(labels, minlength=len(probabilities)), probabilities.double(), len(labels))


def stacked_labels(images: Float[Tensor, "n c h w"], classify: Classify, classes: int = 10) -> Int[Tensor, "n"]:
    """One mode index in 0..classes^c - 1 from the class of every channel (Metz et al. 2017).

    Args:
        classify: single-channel images (m, 1, h, w) to labels (m,).
    """
    n, channels, height, width = images.shape
    digits = classify(images.reshape(n * channels, 1, height, width)).reshape(n, channels)
    return (digits * classes ** torch.arange(channels)).sum(1)


def point_modes(points: Float[Tensor, "n 2"], centres: Float[Tensor, "k 2"], deviation: float) -> Modes:
    """Ring and grid (Srivastava et al. 2017): a sample counts for its nearest centre if within 3 standard deviations.

    A perfect sampler has 1 - e^{-9/2} = 98.89 % inside; more means under-dispersion, not quality.
    """
    distances = torch.cdist(points.double(), centres.double(), compute_mode="donot_use_mm_for_euclid_dist")
    nearest, index = distances.min(1)
    counts = torch.bincount(index[nearest <= 3 * deviation], minlength=len(centres))
    return Modes(counts, uniform(len(centres)), len(points))


def uniform(k: int) -> Float[Tensor, "k"]:
    """Equal probabilities."""
    return torch.full((k,), 1 / k, dtype=torch.float64)


def frequencies(labels: Int[Tensor, "n"], classes: int) -> Float[Tensor, "k"]:
    """Relative frequencies of the classes."""
    return torch.bincount(labels, minlength=classes).double() / len(labels)
