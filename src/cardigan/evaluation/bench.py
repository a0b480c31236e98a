"""The two sides of a comparison, laid out so that all metrics see the same images and nothing is computed twice."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from cardigan.errors import DataError
from cardigan.evaluation.classifier import ClassifierFeatures
from cardigan.evaluation.features import Features, chunk_size, extract
from cardigan.evaluation.protocol import Better, Result
from cardigan.evaluation.sources import Dataset, FromDataset, ImageSource, Joined

T = TypeVar("T")

LEAST = 10
IMAGE_BYTES = 1 << 28


@dataclass
class Side:
    """The first ``count`` images of a source, their features computed once."""

    source: ImageSource
    count: int
    _features: dict[tuple[str, str], Tensor] = field(default_factory=dict)

    def features(self, features: Features) -> Tensor:
        """float64 (count, d).

        Raises:
            DataError: when an image or its features are not finite.
        """
        key = features.name, features.digest
        if key not in self._features:
            vectors = extract(features, self.source, self.count)
            if not vectors.isfinite().all():
                raise DataError(f"{self.source.name} yields images with NaN or infinite values: nothing to measure")
            self._features[key] = vectors
        return self._features[key]

    def images(self, count: int) -> Tensor:
        """The first images themselves, at most ``count`` and no more than a quarter of a gibibyte."""
        fitting = max(LEAST, IMAGE_BYTES // (4 * self.source.spec.dimensions))
        wanted = min(count, self.count, fitting)
        step = chunk_size(self.source.spec.dimensions)
        parts = [self.source.images(start, min(step, wanted - start)) for start in range(0, wanted, step)]
        return torch.cat(parts).cpu()


@dataclass
class Bench:
    """Everything a metric may look at.

    Attributes:
        generated, reference, held: samples, the reals they are compared with, and as many other reals for the floor.
        features: the main extractor, then the second opinion if there is one.
        classifier: of the classes, or of one channel of stacked digits.
        train: what the model learnt from; test: unseen reals.
        common: protocol entries shared by all results.
    """

    generated: Side
    reference: Side
    held: Side
    features: tuple[Features, ...]
    classifier: ClassifierFeatures | None
    train: Dataset | None
    test: Dataset
    seed: int
    common: Mapping[str, Any]
    _made: dict[str, Any] = field(default_factory=dict)

    def once(self, what: str, make: Callable[[], T]) -> T:
        """What ``make`` gives, made at the first request: several metrics read one histogram or manifold."""
        if what not in self._made:
            self._made[what] = make()
        return self._made[what]

    def pairs(self, features: Features) -> tuple[Tensor, Tensor, Tensor]:
        """Features of the samples, of the reference, and of the other reals."""
        fake, real, held = (side.features(features) for side in (self.generated, self.reference, self.held))
        return fake, real, held

    def training(self) -> Side:
        """All training images, or as many as have features that fit."""
        assert self.train is not None
        source = FromDataset(self.train, permutation(len(self.train), self.seed))
        count = min(len(self.train), IMAGE_BYTES // (8 * self.features[0].dimensions))
        return self.once("training", lambda: Side(source, count))

    def unseen(self, count: int) -> Side:
        """At most ``count`` images of the test split."""
        source = FromDataset(self.test, permutation(len(self.test), self.seed))
        return self.once(f"unseen {count}", lambda: Side(source, min(len(self.test), count)))

    def result(
        self,
        metric: str,
        value: float,
        interval: tuple[float, float],
        floor: float | None,
        better: Better,
        features: Features | None = None,
        /,
        **protocol: Any,
    ) -> Result:
        """A result with the common protocol and what this metric adds to it."""
        entries: dict[str, Any] = dict(self.common)
        if features is not None:
            metric = named(metric, features)
            entries["features"] = {
                "name": features.name,
                "digest": features.digest,
                "dimensions": features.dimensions,
                **features.details,
            }
        return Result(metric, value, interval[0], interval[1], floor, better, entries | protocol)


def named(metric: str, features: Features) -> str:
    """FD(classifier), but FID, FID∞ and KID for the one network those names belong to."""
    if features.name == "inception" and metric in ("FD", "FD∞", "KD"):
        return {"FD": "FID", "FD∞": "FID∞", "KD": "KID"}[metric]
    return f"{metric}({features.name})"


def permutation(n: int, seed: int) -> Tensor:
    """An order of n things as a function of the seed."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class Reals:
    """Two disjoint sets of real images of equal size: the reference and the floor."""

    reference: ImageSource
    held: ImageSource
    count: int
    description: str


def split_reals(reference: Dataset, train: Dataset | None, wanted: int, least: int, seed: int) -> Reals:
    """The reference split against as many training images, where it is large enough; else two halves of all reals.

    Args:
        wanted: images on each side, at most.
        least: below so many reference images the training split joins the pool.

    Raises:
        DataError: for too few images.
    """
    if train is not None and min(len(reference), len(train)) >= min(wanted, least):
        count = min(wanted, len(reference), len(train))
        judged, floor = (FromDataset(data, permutation(len(data), seed)[:count]) for data in (reference, train))
        text = f"{reference.split} split; floor from as many images of the {train.split} split"
        return Reals(judged, floor, count, text)
    pool = [reference] if train is None else [reference, train]
    total = sum(len(data) for data in pool)
    if total < 2 * LEAST:
        raise DataError(f"{reference.name} holds {total} images, a comparison takes at least {2 * LEAST}")
    half = min(wanted, sum(len(data) // 2 for data in pool))
    first = max(half * len(reference) // total, half - sum(len(data) // 2 for data in pool[1:]))
    takes = [first, half - first][: len(pool)]
    orders = [permutation(len(data), seed) for data in pool]
    name = " + ".join(data.split for data in pool)
    judged, floor = (
        Joined([(d, o[k * n : (k + 1) * n]) for d, o, n in zip(pool, orders, takes, strict=True)], reference.name)
        for k in (0, 1)
    )
    return Reals(judged, floor, half, f"random half of {name}; floor from the other half")
