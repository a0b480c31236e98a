"""Fréchet distance between Gaussians fitted to two sets of features, and its limit for infinitely many samples."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from cardigan.evaluation.intervals import shuffled


@dataclass(frozen=True)
class Moments:
    """Mean (d,) and unbiased covariance (d, d) in float64 of feature vectors."""

    mean: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, features: Float[Tensor, "n d"]) -> "Moments":
        """Fit a Gaussian; at least two vectors.

        Raises:
            ValueError: for fewer than two vectors.
        """
        if len(features) < 2:
            raise ValueError(f"a covariance takes at least 2 feature vectors, got {len(features)}")
        features = features.double()
        mean = features.mean(0)
        centred = features - mean
        return cls(mean, centred.T @ centred / (len(features) - 1))

    @cached_property
    def root(self) -> Tensor:
        """R of shape (d, d) with R Rᵀ = covariance; computed once, so that a fixed reference is decomposed once."""
        values, vectors = torch.linalg.eigh(self.covariance)
        return vectors * values.clamp(min=0).sqrt()


def from_moments(x: Moments, y: Moments) -> float:
    """||m₁ - m₂||² + tr(S₁ + S₂ - 2 (S₁S₂)^½), the squared 2-Wasserstein distance of two Gaussians.

    tr (S₁S₂)^½ is the sum of the roots of the eigenvalues of RᵀS₁R with S₂ = R Rᵀ, a symmetric matrix; a singular
    covariance (constant images, fewer samples than dimensions) is no special case. Dowson & Landau 1982;
    Heusel et al. 2017, eq. 6.
    """
    product = y.root.T @ x.covariance @ y.root
    return _distance(x, y, product)


def _distance(x: Moments, y: Moments, product: Tensor) -> float:
    shift = (x.mean - y.mean).square().sum()
    fidelity = torch.linalg.eigvalsh((product + product.T) / 2).clamp(min=0).sqrt().sum()
    return max(0.0, float(shift + x.covariance.trace() + y.covariance.trace() - 2 * fidelity))


def frechet_distance(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> float:
    """Fréchet distance between two sets of features, in float64, >= 0.

    It is biased upwards by about d(d+5)/2n for n samples of each (Gaussian features), so compare only at equal n.
    With fewer samples than dimensions the eigenproblem is solved among the samples, where it has full rank.
    """
    p, q = Moments.of(x), Moments.of(y)
    if len(y) >= y.shape[1]:
        return from_moments(p, q)
    factor = (y.double() - q.mean) / (len(y) - 1) ** 0.5
    return _distance(p, q, factor @ p.covariance @ factor.T)


def frechet_extrapolated(
    x: Float[Tensor, "n d"], y: Float[Tensor, "m d"], seed: int | None = 0, parts: int = 5
) -> float:
    """FD∞: the intercept of the Fréchet distance as a line in 1/n (Chong & Forsyth 2020); may fall below zero.

    Both sets are cut to the same n and shuffled; for k = 1..parts the distance is averaged over k disjoint blocks of
    n/k samples, which puts the sizes evenly on the 1/n axis and uses every sample at every size. Both sides shrink, so
    that the bias of either is removed; Chong & Forsyth shrink the samples alone and keep the reals' bias.

    Args:
        seed: of the order; None for samples that are in random order already, whose blocks then stay nearly the same
            when a few are left out, as a jackknife has to assume.

    Raises:
        ValueError: for fewer than four samples on either side.
    """
    if seed is not None:
        x, y = shuffled(x, seed), shuffled(y, seed + 1)
    n = min(len(x), len(y))
    if n < 4:
        raise ValueError(f"an extrapolation takes at least 4 feature vectors on each side, got {n}")
    inverse, distances = [], []
    for k in range(1, min(parts, n // 2) + 1):
        size = n // k
        blocks = [slice(i * size, (i + 1) * size) for i in range(k)]
        inverse.append(1.0 / size)
        distances.append(sum(frechet_distance(x[b], y[b]) for b in blocks) / k)
    abscissa = torch.tensor(inverse, dtype=torch.float64)
    ordinate = torch.tensor(distances, dtype=torch.float64)
    centred = abscissa - abscissa.mean()
    slope = (centred * ordinate).sum() / centred.square().sum()
    return float(ordinate.mean() - slope * abscissa.mean())
