"""Data that needs no download: real digits, digits stacked into 1000 known modes, and two densities of the plane."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from cardigan.data.dataset import Dataset, PointModes, Splits, StackedModes
from cardigan.data.order import derived_seed
from cardigan.data.sources import Split
from cardigan.data.spec import DataSpec


def digits() -> Splits:
    """The 1,797 handwritten digits of scikit-learn: grey 8x8, their 17 levels spread over 0..255.

    The test split is every fifth image of each class, in the order of the set (355 images).
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels = np.round(np.asarray(images) * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = np.asarray(labels).astype(np.int64)
    place = np.zeros_like(labels)  # of each image within its class
    for c in range(10):
        place[labels == c] = np.arange((labels == c).sum())
    spec = DataSpec(channels=1, height=8, width=8, classes=tuple(map(str, range(10))))

    def side(split: Split, chosen: np.ndarray) -> Dataset:
        x, y = pixels[chosen], labels[chosen]
        content = hashlib.sha256(x.tobytes() + y.astype("<i8").tobytes()).hexdigest()
        return Dataset("digits", split, spec, torch.from_numpy(x), content, labels=torch.from_numpy(y))

    return Splits(side("train", place % 5 != 4), side("test", place % 5 == 4))


class StackedDigits(Dataset):
    """Three random digits of one split as the channels of one image (Stacked MNIST: Metz et al. 2017).

    Example i holds the digits ``hash(i, channel) mod count``: a pure function of i, nothing is stored.
    """

    def __init__(self, name: str, base: Dataset, count: int, modes: StackedModes) -> None:
        spec = DataSpec(channels=3, height=base.spec.height, width=base.spec.width)
        digest = _digest("stacked-digits", base.digest, count)
        super().__init__(name, base.split, spec, torch.empty(0), digest, known_modes=modes)
        self._base, self._modes = base, modes
        self._triples = _scattered(3 * count, len(base)).view(count, 3)

    def __len__(self) -> int:
        return len(self._triples)

    def images(self, indices: Tensor, device: torch.device | str = "cpu") -> Tensor:
        single = self._base.images(self._triples[indices].flatten(), device)
        return single.view(len(indices), *self.spec.shape)

    def halved(self, times: int) -> Dataset:
        return StackedDigits(self.name, self._base.halved(times), len(self), self._modes)

    def digits(self, indices: Tensor) -> Tensor:
        """The true classes of the three channels: int64 (len(indices), 3)."""
        labels = self._base.labels(self._triples[indices].flatten())
        assert labels is not None
        return labels.view(len(indices), 3)


def _scattered(count: int, below: int) -> Tensor:
    """``splitmix64(i) mod below`` for i < count: the same on every machine, for ever."""
    z = (np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return torch.from_numpy(((z ^ (z >> np.uint64(31))) % np.uint64(below)).astype(np.int64))


def stacked(name: str, base: Splits) -> Splits:
    """60,000 training and 10,000 test triples of digits of the same split: 1000 equally likely modes, nearly."""
    modes = StackedModes(base)
    return Splits(StackedDigits(name, base.train, 60_000, modes), StackedDigits(name, base.test, 10_000, modes))


def stacked_digits() -> Splits:
    return stacked("stacked-digits", digits())


def ring() -> Splits:
    """Eight Gaussians of deviation .01 around the unit circle (the 2-D ring of VEEGAN, Srivastava et al. 2017)."""
    angles = torch.arange(8, dtype=torch.float64) * (2 * math.pi / 8)
    return _mixture("ring", torch.stack([angles.cos(), angles.sin()], dim=1), 0.01)


def grid() -> Splits:
    """Twenty-five Gaussians of deviation .05 around {-4, -2, 0, 2, 4}^2, all divided by sqrt(8) for unit variance."""
    axis = torch.arange(-4, 5, 2, dtype=torch.float64)
    return _mixture("grid", torch.cartesian_prod(axis, axis) / math.sqrt(8), 0.05 / math.sqrt(8))


def _mixture(name: str, centres: Tensor, deviation: float) -> Splits:
    modes = PointModes(centres.float(), deviation)
    spec = DataSpec(channels=2, height=1, width=1, kind="points")

    def side(split: Split, count: int) -> Dataset:
        generator = torch.Generator().manual_seed(derived_seed(name, split))
        chosen = torch.randint(len(centres), (count,), generator=generator)
        noise = torch.randn(count, 2, generator=generator, dtype=torch.float64)
        points = (centres[chosen] + deviation * noise).float().view(count, 2, 1, 1)
        return Dataset(name, split, spec, points, _digest(name, split, count), known_modes=modes)

    return Splits(side("train", 100_000), side("test", 20_000))


def _digest(*definition: object) -> str:
    """Of what is drawn by rule, the rule: the last bits of real numbers may differ from machine to machine."""
    return hashlib.sha256(repr(definition).encode()).hexdigest()


BUILTIN: dict[str, Callable[[], Splits]] = {
    "digits": cache(digits),
    "stacked-digits": cache(stacked_digits),
    "ring": cache(ring),
    "grid": cache(grid),
}
