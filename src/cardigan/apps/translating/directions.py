"""The ways that a model translates, and the test images that each is measured on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from torch import Tensor

import cardigan
from cardigan.apps.model import Model
from cardigan.apps.scores import Score
from cardigan.data import Dataset
from cardigan.data.cache import cache_folder
from cardigan.data.sides import TwoSided, Unpaired
from cardigan.data.spec import DataSpec, Side
from cardigan.errors import DataError
from cardigan.evaluation import Evaluation, Result
from cardigan.evaluation import evaluate as judge
from cardigan.evaluation.features import chunk_size
from cardigan.evaluation.intervals import grouping
from cardigan.evaluation.lpips import LEAST_SIDE
from cardigan.evaluation.segmentation import LabelledPhotos, Segmenter, train_segmenter
from cardigan.evaluation.sources import Remembered, permutation
from cardigan.training.randomness import address

GROUPS = 10
LPIPS = "lpips:"
"""What the name of a metric begins with that goes on with two files of weights."""
SEGMENTER_SEED = 0
BY_NAME = (
    "images of the same name on both sides are taken for true partners: where they are not, pass over what is measured "
    "against them"
)

LIKENESS = {
    "psnr": Score("higher", "dB against the true {}, mean over the images"),
    "ssim": Score("higher", "structural similarity to the true {}, 1 at best"),
    "l1": Score("lower", "mean absolute difference from the true {}, pixels in [-1, 1]"),
}


@dataclass
class Context:
    """What all directions share."""

    model: Model
    train: TwoSided
    test: TwoSided
    seed: int
    count: int
    features: str

    def notes(self, names: Sequence[str] | None) -> Iterator[str]:
        if self.test.truth is None and names is None:
            yield "no image has a true partner: psnr, ssim, l1 and segmentation were not measured"
        if isinstance(self.test, Unpaired) and self.test.truth is not None:
            yield BY_NAME

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.model.translating().two

    @property
    def measured(self) -> TwoSided:
        """The test images: pairs, where they are known."""
        return self.test if self.test.truth is None else self.test.truth

    @property
    def can_segment(self) -> bool:
        """Whether there are pairs of a photograph and a label map."""
        maps = sum(bool(side.palette) for side in self.sides)
        return maps == 1 and self.train.truth is not None and self.test.truth is not None

    @cached_property
    def segmenter(self) -> Segmenter:
        """What has learnt from the training pairs to tell classes from photographs."""
        train, test = self.labelled(self.train), self.labelled(self.test)
        return train_segmenter(train, test, SEGMENTER_SEED, cache_folder(), self.model.device)

    def labelled(self, split: TwoSided) -> LabelledPhotos:
        assert split.truth is not None
        place = 0 if self.sides[0].palette else 1
        maps, photos = split.truth.sides[place], split.truth.sides[1 - place]
        return LabelledPhotos(photos, maps, len(self.sides[place].palette), split.truth.digest)


class Translations:
    """Translations of the test images of one side as a source, in an order that is a function of the seed."""

    def __init__(self, context: Context, to: int) -> None:
        self.model, self.seed, self.to = context.model, context.seed, context.sides[to].name
        self.inputs: Dataset = context.measured.sides[1 - to]
        self.indices = permutation(len(self.inputs), self.seed)[: context.count]
        channels = context.sides[to].inputs
        self.spec: DataSpec = context.measured.sides[to].spec.model_copy(update={"channels": channels})
        config = self.model.config
        self.name = f"{config.recipe} after {config.images:,} images, to {self.to}, noise of seed {self.seed}"
        self.digest = self.model.digest

    @property
    def size(self) -> int | None:
        """Number of translations."""
        return len(self.indices)

    def images(self, start: int, count: int, /) -> Tensor:
        """Translations start .. start + count - 1, cut to [-1, 1]; of a label map what the network makes.

        Raises:
            DataError: one is not finite.
        """
        rows = self.indices[start : start + count]
        seeds = [address(self.seed, "translation", row) for row in rows.tolist()]
        made = self.model.translate(self.inputs.images(rows), to=self.to, seeds=seeds)
        if not made.isfinite().all():
            raise DataError(f"{self.name} yields images with NaN or infinite values: nothing to measure")
        return made.clamp(-1.0, 1.0)


@dataclass(frozen=True)
class Part:
    """Some test images with what became of them.

    Attributes:
        inputs: as they are stored.
        made: their translations, as networks make them.
        partners: what they should have become, as it is stored; None where that is not known.
        groups: of the jackknife.
    """

    inputs: Tensor
    made: Tensor
    partners: Tensor | None
    groups: Tensor


class Direction:
    """The translations to one side."""

    def __init__(self, context: Context, to: int) -> None:
        self.context, self.to = context, to
        self.source, self.target = context.sides[1 - to], context.sides[to]
        self.translations = Translations(context, to)
        self.remembered = Remembered(self.translations)
        self.count = len(self.translations.indices)

    def suits(self, name: str) -> bool:
        """Whether a score says something about these translations."""
        if name.startswith(LPIPS):
            fitting = self.target.channels in (1, 3) and min(self.context.test.spec.shape[1:]) >= LEAST_SIDE
            return fitting and self.suits("psnr")
        if name in LIKENESS:
            return not self.target.palette and self.context.test.truth is not None
        if name == "colours":
            return not self.target.palette and self.target.channels in (1, 3, 4)
        if name == "accuracy":
            return False  # it is of the classifier, whichever way is translated
        if self.target.palette:
            return self.context.test.truth is not None
        return self.context.can_segment

    def parts(self) -> Iterator[Part]:
        """The images in parts that fit memory, in the same ones as `evaluate` asks for, so that each is translated once."""
        truth, step = self.context.test.truth, chunk_size(self.translations.spec.dimensions)
        groups = grouping(self.count, GROUPS)
        for start in range(0, self.count, step):
            rows = self.translations.indices[start : start + step]
            made = self.remembered.images(start, len(rows))
            partners = None if truth is None else truth.sides[self.to].images(rows)
            yield Part(self.translations.inputs.images(rows), made, partners, groups[start : start + step])

    def judged(self, names: Sequence[str], lenient: bool) -> Evaluation:
        """The distances between the translations, where they are photographs, and the test images of their side.

        Args:
            lenient: note why there is nothing to compare, rather than raise a DataError.
        """
        if self.target.palette or not names:
            return Evaluation(())
        context = self.context
        train, test = context.train.sides[self.to], context.measured.sides[self.to]
        known = context.train.digest == context.model.config.digest
        try:
            found = judge(
                self.remembered,
                test,
                train=train,
                seen=train if known else None,
                metrics=names,
                features=context.features,
                seed=context.seed,
                device=context.model.device,
            )
        except DataError as error:
            if not lenient:
                raise
            return Evaluation((), (f"translations to {self.target.name} were not compared: {error}",))
        notes = tuple(f"to {self.target.name}: {note}" for note in found.notes)
        return Evaluation(tuple(map(self.directed, found.results)), notes)

    def directed(self, result: Result) -> Result:
        return replace(result, metric=self.named(result.metric), protocol={**result.protocol, **self.way})

    def named(self, metric: str) -> str:
        return f"{metric} to {self.target.name}"

    @property
    def way(self) -> dict[str, str]:
        return {"direction": f"{self.source.name} to {self.target.name}"}

    def result(
        self,
        metric: str,
        value: float,
        interval: tuple[float, float],
        floor: tuple[str, float] | None,
        score: Score,
        /,
        **protocol: Any,
    ) -> Result:
        """A result with the common protocol and what this metric adds to it; the floor comes with what scores it."""
        test, inputs, config = self.context.measured, self.translations.inputs, self.context.model.config
        entries: dict[str, Any] = {
            "generated": {
                "name": f"{config.recipe} after {config.images:,} images",
                "digest": self.translations.digest,
            },
            **self.way,
            "inputs": {"name": inputs.name, "digest": inputs.digest, "split": inputs.split, "count": self.count},
            "reference": {"name": test.name, "digest": test.digest, "split": test.split, "count": len(test)},
            "samples": self.count,
            "seed": self.context.seed,
            "noise": "of the seed and the image's number",
            "meaning": score.meaning.format(self.target.name),
            "version": cardigan.__version__,
            **protocol,
        }
        if floor is not None:
            entries["floor"] = floor[0]
        return Result(self.named(metric), value, *interval, None if floor is None else floor[1], score.better, entries)
