"""Distributions whose every property is known: exact log p, sampling, and in one dimension quantiles.

Points are float64 of shape (n, dimension), probabilities natural logarithms.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cardigan.errors import TheoryError

REACH = 14.0
"""Deviations from a Gaussian's mean beyond which its mass (1e-44) is left out of integrals."""


class Distribution(ABC):
    """Something that can be drawn from."""

    dimension: int

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n independent points: float64 (n, dimension)."""


class Density(Distribution):
    """A distribution with a density with respect to Lebesgue measure."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """log p at points (n, dimension): (n,), -inf where p is nought."""

    @abstractmethod
    def landmarks(self) -> Tensor:
        """Points (k, dimension) between which the density is smooth, the outermost of them beyond all of its mass."""


class Line(Density):
    """A density of one dimension."""

    dimension = 1

    @abstractmethod
    def cdf(self, x: Tensor) -> Tensor:
        """P(X <= x), elementwise."""

    def quantile(self, u: Tensor) -> Tensor:
        """The x where `cdf` reaches u in (0, 1), elementwise, by bisection."""
        edges = self.landmarks()
        low, high = (edge.expand_as(u).clone() for edge in (edges.min(), edges.max()))
        for _ in range(70):
            middle = (low + high) / 2
            below = self.cdf(middle) < u
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2


@dataclass(frozen=True)
class Normal(Line):
    """N(mean, deviation^2) on the line."""

    mean: float = 0.0
    deviation: float = 1.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.mean):
            raise TheoryError(f"mean must be finite, not {self.mean}")
        if not 0 < self.deviation < math.inf:
            raise TheoryError(f"deviation must be positive and finite, not {self.deviation}")

    def log_prob(self, x: Tensor) -> Tensor:
        z = (checked(x, 1)[:, 0] - self.mean) / self.deviation
        return -0.5 * z.square() - math.log(self.deviation * math.sqrt(2 * math.pi))

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.mean + self.deviation * torch.randn(n, 1, generator=generator, dtype=torch.float64)

    def cdf(self, x: Tensor) -> Tensor:
        return torch.special.ndtr((x - self.mean) / self.deviation)

    def quantile(self, u: Tensor) -> Tensor:
        return self.mean + self.deviation * torch.special.ndtri(u)

    def landmarks(self) -> Tensor:
        return self.mean + self.deviation * torch.tensor([[-REACH], [0.0], [REACH]], dtype=torch.float64)


class Gaussian(Density):
    """N(mean, covariance) in any dimension.

    Raises:
        TheoryError: where the covariance is not symmetric, not positive definite or of another dimension, or a number is
            not finite.
    """

    def __init__(self, mean: Sequence[float] | Tensor, covariance: Sequence[Sequence[float]] | Tensor) -> None:
        self.mean = torch.as_tensor(mean, dtype=torch.float64)
        self.covariance = torch.as_tensor(covariance, dtype=torch.float64)
        self.dimension = len(self.mean)
        if self.covariance.shape != (self.dimension, self.dimension):
            raise TheoryError(
                f"covariance must be {self.dimension} x {self.dimension}, not {list(self.covariance.shape)}"
            )
        if not (torch.isfinite(self.mean).all() and torch.isfinite(self.covariance).all()):
            raise TheoryError("mean and covariance must be finite")
        if not torch.allclose(self.covariance, self.covariance.T):
            raise TheoryError("covariance must be symmetric")
        root, failed = torch.linalg.cholesky_ex(self.covariance)
        if failed:
            raise TheoryError("covariance must be positive definite")
        self._root = root

    def log_prob(self, x: Tensor) -> Tensor:
        z = torch.linalg.solve_triangular(self._root, (checked(x, self.dimension) - self.mean).T, upper=False)
        scale = self._root.diagonal().log().sum() + self.dimension / 2 * math.log(2 * math.pi)
        return -0.5 * z.square().sum(0) - scale

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.mean + torch.randn(n, self.dimension, generator=generator, dtype=torch.float64) @ self._root.T

    def landmarks(self) -> Tensor:
        deviations = self.covariance.diagonal().sqrt()
        return self.mean + torch.tensor([[-REACH], [0.0], [REACH]], dtype=torch.float64) * deviations


@dataclass(frozen=True)
class Uniform(Line):
    """Equal density between low and high, nought outside."""

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.high - self.low < math.inf:
            raise TheoryError(f"high must be above low and both finite, not {self.high} and {self.low}")

    def log_prob(self, x: Tensor) -> Tensor:
        x = checked(x, 1)[:, 0]
        inside = (x >= self.low) & (x <= self.high)
        level = torch.full_like(x, -math.log(self.high - self.low))
        return level.where(inside, torch.full_like(x, -math.inf))

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.low + (self.high - self.low) * torch.rand(n, 1, generator=generator, dtype=torch.float64)

    def cdf(self, x: Tensor) -> Tensor:
        return ((x - self.low) / (self.high - self.low)).clamp(0, 1)

    def landmarks(self) -> Tensor:
        return torch.tensor([[self.low], [self.high]], dtype=torch.float64)


class Mixture(Density):
    """Densities of one dimension number, chosen with given probabilities (equal ones by default).

    Raises:
        TheoryError: where a weight is negative, or they do not add up to one.
    """

    def __init__(self, parts: Sequence[Density], weights: Sequence[float] | None = None) -> None:
        if not parts:
            raise TheoryError("a mixture needs at least one part")
        self.parts = tuple(parts)
        self.weights = masses([1 / len(parts)] * len(parts) if weights is None else weights)
        if len(self.weights) != len(self.parts):
            raise TheoryError(f"{len(self.parts)} parts need as many weights, not {len(self.weights)}")
        self.dimension = same_dimension(*parts)

    def log_prob(self, x: Tensor) -> Tensor:
        each = torch.stack([part.log_prob(x) for part in self.parts])
        return torch.logsumexp(each + self.weights.log()[:, None], 0)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        chosen = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        points = torch.empty(n, self.dimension, dtype=torch.float64)
        for index, part in enumerate(self.parts):
            rows = (chosen == index).nonzero().flatten()
            points[rows] = part.sample(len(rows), generator)
        return points

    def landmarks(self) -> Tensor:
        return torch.cat([part.landmarks() for part in self.parts])


class LineMixture(Mixture, Line):
    """A mixture on the line, which has quantiles.

    Raises:
        TheoryError: where a weight is negative, they do not add up to one, or a part has no quantiles.
    """

    def __init__(self, parts: Sequence[Line], weights: Sequence[float] | None = None) -> None:
        super().__init__(parts, weights)
        on_the_line(*parts)
        self.lines = tuple(parts)

    def cdf(self, x: Tensor) -> Tensor:
        total = sum((w * line.cdf(x) for w, line in zip(self.weights, self.lines, strict=True)), torch.zeros_like(x))
        return total.clamp(0, 1)  # rounded weights may add up to a little more


class PointMasses(Distribution):
    """Finitely many points that carry all the mass; points given twice are one.

    Raises:
        TheoryError: where a point is not finite, a mass is negative, or they do not add up to one.
    """

    def __init__(self, points: Sequence[Sequence[float]] | Tensor, mass: Sequence[float] | None = None) -> None:
        places = torch.as_tensor(points, dtype=torch.float64)
        if places.dim() != 2 or not len(places):
            raise TheoryError("points must have the shape (n, dimension), with at least one of them")
        if not torch.isfinite(places).all():
            raise TheoryError("points must be finite")
        given = masses([1 / len(places)] * len(places) if mass is None else mass)
        if len(given) != len(places):
            raise TheoryError(f"{len(places)} points need as many masses, not {len(given)}")
        self.points, which = places.unique(dim=0, return_inverse=True)
        self.mass = given.new_zeros(len(self.points)).index_add(0, which, given)
        self.dimension = places.shape[1]

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.points[torch.multinomial(self.mass, n, replacement=True, generator=generator)]


@dataclass(frozen=True)
class UpwardLine(Distribution):
    """The line {offset} x U(0, 1) in the plane: Example 1 of the WGAN paper."""

    offset: float = 0.0
    dimension = 2

    def __post_init__(self) -> None:
        if not math.isfinite(self.offset):
            raise TheoryError(f"offset must be finite, not {self.offset}")

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        height = torch.rand(n, generator=generator, dtype=torch.float64)
        return torch.stack([torch.full_like(height, self.offset), height], 1)


def ring(modes: int = 8, radius: float = 1.0, deviation: float = 0.01) -> Mixture:
    """Equal Gaussians around a circle."""
    angles = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
    return spots(radius * torch.stack([angles.cos(), angles.sin()], 1), deviation)


def grid(side: int = 5, spacing: float = 2.0, deviation: float = 0.05) -> Mixture:
    """side x side equal Gaussians about the origin."""
    axis = spacing * (torch.arange(side, dtype=torch.float64) - (side - 1) / 2)
    return spots(torch.cartesian_prod(axis, axis), deviation)


def spots(centres: Tensor, deviation: float) -> Mixture:
    """Equal round Gaussians at the centres (modes, dimension)."""
    covariance = deviation**2 * torch.eye(centres.shape[1], dtype=torch.float64)
    return Mixture([Gaussian(centre, covariance) for centre in centres])


# ---- what is refused -----------------------------------------------------------------------------------------------


def masses(values: Sequence[float] | Tensor) -> Tensor:
    """The probabilities as float64.

    Raises:
        TheoryError: where one is negative or not finite, or their sum is not 1 to 1e-9.
    """
    mass = torch.as_tensor(values, dtype=torch.float64)
    if mass.dim() != 1 or not torch.isfinite(mass).all() or (mass < 0).any():
        raise TheoryError("masses must be a list of finite numbers that are not negative")
    if abs(mass.sum().item() - 1) > 1e-9:
        raise TheoryError(f"masses must add up to 1, not to {mass.sum().item():.6g}: divide them by their sum")
    return mass


def same_dimension(*distributions: Distribution) -> int:
    """The dimension that all of them have.

    Raises:
        TheoryError: where they differ.
    """
    found = sorted({distribution.dimension for distribution in distributions})
    if len(found) > 1:
        raise TheoryError(f"both distributions need one dimension, not {found[0]} and {found[1]}")
    return found[0]


def on_the_line(*distributions: Distribution) -> None:
    """Nothing, or a TheoryError where one of them has no quantiles."""
    for distribution in distributions:
        if not isinstance(distribution, Line):
            raise TheoryError(
                f"this takes densities of the line (Normal, Uniform, LineMixture), not {type(distribution).__name__}"
            )


def checked(x: Tensor, dimension: int) -> Tensor:
    """The points, or a TheoryError where they are not (n, dimension)."""
    if x.dim() != 2 or x.shape[1] != dimension:
        raise TheoryError(f"points must have the shape (n, {dimension}), not {list(x.shape)}")
    return x
