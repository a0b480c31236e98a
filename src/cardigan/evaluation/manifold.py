"""Fidelity and diversity as two numbers: precision and recall, density and coverage."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cardigan.evaluation.distances import neighbour_radii, squared_distances


@dataclass(frozen=True)
class Manifold:
    """Verdicts point by point; each number is the mean of one of them.

    Attributes:
        fake_inside: (m,) 1 where a fake lies in some real's ball. Mean: precision, 0..1.
        real_inside: (n,) 1 where a real lies in some fake's ball. Mean: recall, 0..1.
        fake_density: (m,) number of reals' balls around a fake, over k. Mean: density, 0..; 1 for equal distributions.
        real_covered: (n,) 1 where a real's ball holds a fake. Mean: coverage, 0..1.
    """

    fake_inside: Tensor
    real_inside: Tensor
    fake_density: Tensor
    real_covered: Tensor

    @property
    def precision(self) -> float:
        """Share of fakes inside the manifold of reals."""
        return float(self.fake_inside.mean())

    @property
    def recall(self) -> float:
        """Share of reals inside the manifold of fakes."""
        return float(self.real_inside.mean())

    @property
    def density(self) -> float:
        """How deep the fakes lie inside the manifold of reals."""
        return float(self.fake_density.mean())

    @property
    def coverage(self) -> float:
        """Share of reals with a fake in their neighbourhood."""
        return float(self.real_covered.mean())


def manifold(real: Float[Tensor, "n d"], fake: Float[Tensor, "m d"], k: int) -> Manifold:
    """Judge both sets by balls that reach from each point to its k-th nearest neighbour in its own set.

    Precision and recall: Kynkäänniemi et al. 2019 (k = 3); density and coverage: Naeem et al. 2020 (k = 5). A ball
    is open, as in the ``prdc`` package. Two samples of one distribution do not score 1 in precision and recall, and
    score 1 - Π_{i=1..k} (n-i)/(n+m-i) in coverage: compare with real against real.

    Raises:
        ValueError: unless 1 <= k < min(n, m).
    """
    real_radii, fake_radii = neighbour_radii(real, k), neighbour_radii(fake, k)
    around = torch.zeros(len(fake), dtype=torch.float64)
    inside = torch.zeros(len(real), dtype=torch.float64)
    covered = torch.zeros(len(real), dtype=torch.float64)
    for start, block in squared_distances(real, fake):
        rows = slice(start, start + len(block))
        around += (block < real_radii[rows, None]).sum(0)
        inside[rows] = (block < fake_radii).any(1).double()
        covered[rows] = (block.amin(1) < real_radii[rows]).double()
    return Manifold((around > 0).double(), inside, around / k, covered)
