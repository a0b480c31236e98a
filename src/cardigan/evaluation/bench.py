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
from cardigan.evaluation.sources import Dataset, FromDataset, ImageSource, Joined, permutation

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
        train: what the features may have learnt from, and the floor is taken from.
        seen: what the model learnt from, if that is known; test: unseen reals.
        common: protocol entries shared by all results.
    """

    generated: Side
    reference: Side
    held: Side
    features: tuple[Features, ...]
    classifier: ClassifierFeatures | None
    train: Dataset | None
    seen: Dataset | None
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

    def learnt(self, seen: Dataset) -> Side:
        """All images that the model has seen, or as many as have features that fit."""
        count = min(len(seen), IMAGE_BYTES // (8 * self.features[0].dimensions))
        return self.once("learnt", lambda: Side(FromDataset(seen, seed=self.seed), count))

    def unseen(self, count: int) -> Side:
        """At most ``count`` images of the test split."""
        source = FromDataset(self.test, seed=self.seed)
        return self.once(f"unseen {count}", lambda: Side(source, min(len(self.test), count)))

    def need_images(self, metric: str, side: int) -> None:
        """Refuse a metric that takes images of at least so many pixels a side.

        Raises:
            DataError: for points and smaller images.
        """
        spec = self.test.spec
        if spec.kind == "points" or min(spec.height, spec.width) < side:
            raise DataError(f"{metric} takes images of at least {side}x{side}: leave it out here")

    def told_by_classifier(self) -> dict[str, Any]:
        """The protocol's entry of the network that told the classes; none for points."""
        found = self.classifier
        return {} if found is None else {"classifier": {"digest": found.digest, **found.details}}

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


@dataclass(frozen=True)
class Reals:
    """Two disjoint sets of real images of equal size: the reference and the floor.

    Attributes:
        splits: the datasets that the reference was drawn from.
        floor_split: the dataset, or pool, that the floor was drawn from.
    """

    reference: ImageSource
    held: ImageSource
    count: int
    splits: tuple[Dataset, ...]
    floor_split: str

    @property
    def split(self) -> str:
        """The name of what the reference was drawn from."""
        return " + ".join(data.split for data in self.splits)

    @property
    def digest(self) -> str:
        """The identity of what the reference was drawn from."""
        return " + ".join(data.digest for data in self.splits)

    @property
    def description(self) -> str:
        """Where both sets come from."""
        others = "others of it" if self.floor_split == self.split else f"images of the {self.floor_split} split"
        return f"{self.split} split; floor from as many {others}"


def split_reals(reference: Dataset, train: Dataset | None, wanted: int, seed: int) -> Reals:
    """The reference split alone, with a floor from its other images where they suffice, else from the training split.

    Without a training split the two sides share the reference split; with fewer than ten images in either split they
    share a pool of both.

    Args:
        wanted: images on each side, at most.

    Raises:
        DataError: for too few images.
    """
    if train is None or len(reference) >= 2 * wanted:
        return _shared((reference,), wanted, seed)
    if min(len(reference), len(train)) < LEAST:
        return _shared((reference, train), wanted, seed)
    count = min(wanted, len(reference), len(train))
    return Reals(FromDataset(reference, seed=seed), FromDataset(train, seed=seed + 1), count, (reference,), train.split)


def _shared(pool: tuple[Dataset, ...], wanted: int, seed: int) -> Reals:
    """Both sides from one pool, each with half of every part of it."""
    name, total = pool[0].name, sum(len(data) for data in pool)
    if total < 2 * LEAST:
        raise DataError(f"{name} holds {total} images, a comparison takes at least {2 * LEAST}")
    orders = [permutation(len(data), seed)[: len(data) // 2 * 2] for data in pool]
    judged, floor = (
        Joined([(data, order[k::2]) for data, order in zip(pool, orders, strict=True)], name, seed) for k in (0, 1)
    )
    count = min(wanted, len(judged.indices))
    return Reals(judged, floor, count, pool, " + ".join(data.split for data in pool))
