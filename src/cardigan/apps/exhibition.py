"""Pictures painted from the sentences of test images, and those who judge them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

import cardigan
from cardigan.apps.files import steps_progress
from cardigan.apps.model import Model
from cardigan.apps.scores import Score
from cardigan.data import Dataset, DataSpec, Splits
from cardigan.data.cache import cache_folder
from cardigan.errors import DataError
from cardigan.evaluation import Evaluation, Result, domain_classifier
from cardigan.evaluation import evaluate as judge
from cardigan.evaluation.attributes import (
    AttributeClassifier,
    train_attributes,
)
from cardigan.evaluation.classifier import ClassifierFeatures
from cardigan.evaluation.features import chunk_size
from cardigan.evaluation.sentences import JointEmbedding, learn_pairs
from cardigan.evaluation.sources import Remembered, permutation

CLASSIFIER_SEED = 0


class Paintings:
    """Pictures of the first sentences of some examples as a source.

    Args:
        indices: which examples, in which order.
        take: picture of the example i is painted with the noise of the sample i + take * len(dataset) of that seed.
    """

    def __init__(self, model: Model, dataset: Dataset, indices: Tensor, seed: int, take: int = 0) -> None:
        told = dataset.captions(indices)
        assert told is not None
        self.model, self.seed = model, seed
        self.painter = model.painter()
        self.vectors = self.painter.read([sentences[0] for sentences in told])
        self.numbers = (indices + take * len(dataset)).tolist()
        config = model.config
        self.name = (
            f"{config.recipe} after {config.images:,} images, of {dataset.split} sentences, noise of seed {seed}"
        )
        self.digest = model.digest

    @property
    def spec(self) -> DataSpec:
        return self.model.spec

    @property
    def size(self) -> int | None:
        """Number of pictures."""
        return len(self.numbers)

    @torch.no_grad()
    def images(self, start: int, count: int, /) -> Tensor:
        """Pictures start .. start + count - 1, in [-1, 1].

        Raises:
            DataError: one is not finite.
        """
        some = slice(start, start + count)
        latents = self.model.latents_of(self.numbers[some], seed=self.seed)
        made = self.painter.painted(latents, self.vectors[some])
        if not made.isfinite().all():
            raise DataError(f"{self.name} yields images with NaN or infinite values: nothing to measure")
        return made


@dataclass
class Exhibition:
    """Test images, the pictures of their sentences, and those who judge them."""

    model: Model
    splits: Splits
    seed: int
    count: int
    features: str

    @property
    def test(self) -> Dataset:
        return self.splits.test

    @cached_property
    def indices(self) -> Tensor:
        """Which test images."""
        return permutation(len(self.test), self.seed)[: self.count]

    @cached_property
    def kinds(self) -> Tensor:
        """Of those images."""
        assert self.test.sentences is not None
        return self.test.sentences.kinds[self.indices]

    @cached_property
    def paintings(self) -> Remembered:
        return Remembered(Paintings(self.model, self.test, self.indices, self.seed))

    def seen(self, look: Callable[[Tensor], Tensor]) -> Tensor:
        """What somebody sees in all pictures, a part of them at a time: the parts that `evaluate` asks for, too."""
        step, count = chunk_size(self.test.spec.dimensions), len(self.indices)
        return torch.cat([look(self.paintings.images(at, min(step, count - at))) for at in range(0, count, step)])

    def seen_in_reals(self, look: Callable[[Tensor], Tensor]) -> Tensor:
        """What somebody sees in the test images themselves."""
        parts = self.indices.split(chunk_size(self.test.spec.dimensions))
        return torch.cat([look(self.test.images(part)) for part in parts])

    @cached_property
    def attributes(self) -> AttributeClassifier:
        return train_attributes(self.splits.train, self.test, CLASSIFIER_SEED, cache_folder(), self.model.device)

    @cached_property
    def classifier(self) -> ClassifierFeatures | None:
        return domain_classifier(self.test, self.splits.train, cache_folder(), device=self.model.device)

    @cached_property
    def joint(self) -> JointEmbedding:
        """The encoders of images and sentences."""
        text = self.splits.train.spec.text
        assert text is not None
        with steps_progress("learning what sentences mean", text.steps) as step:
            return learn_pairs(self.splits, cache_folder(), self.model.device, lambda done, total: step()).joint

    def suits(self, name: str) -> bool:
        """Whether a score says something about this data."""
        if name == "attributes":
            return self.knows
        if name == "r-precision":
            return len(self.kinds.unique()) > 1
        if name == "inception-score":
            return self.knows or self.classifier is not None
        return min(self.test.spec.shape[1:]) >= 3

    @property
    def knows(self) -> bool:
        """Whether it is known what is true of all images."""
        return self.test.accounts is not None and self.splits.train.accounts is not None

    def judged(self, names: Sequence[str] | None) -> Evaluation:
        """The pictures as samples beside test images; by default with all that suits, or a note why that cannot be."""
        if names is not None and not names:
            return Evaluation(())
        train = self.splits.train
        try:
            return judge(
                self.paintings,
                self.test,
                train=train,
                seen=train if train.digest == self.model.config.digest else None,
                metrics=names,
                features=self.features,
                seed=self.seed,
                device=self.model.device,
            )
        except DataError as error:
            if names is not None:
                raise
            return Evaluation((), (f"pictures were not compared with test images: {error}",))

    def result(
        self,
        metric: str,
        value: float,
        interval: tuple[float, float],
        floor: tuple[str, float] | None,
        score: Score,
        meaning: str,
        /,
        **protocol: Any,
    ) -> Result:
        """A result with the common protocol and what this score adds to it; the floor comes with what scores it."""
        test, config = self.test, self.model.config
        entries: dict[str, Any] = {
            "generated": {"name": f"{config.recipe} after {config.images:,} images", "digest": self.model.digest},
            "sentences": {"name": test.name, "digest": test.digest, "split": test.split, "which": "the first of each"},
            "samples": len(self.indices),
            "seed": self.seed,
            "meaning": meaning,
            "version": cardigan.__version__,
            **protocol,
        }
        if floor is not None:
            entries["floor"] = floor[0]
        return Result(metric, value, *interval, None if floor is None else floor[1], score.better, entries)
