"""What a translation is worth on test images: beside its true partners, in its colours, by what can be recognised in it.

Each direction that a model has is measured by itself, and the name of a metric tells it: "psnr to night".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

import cardigan
from cardigan.apps.adaptation_scores import accuracies
from cardigan.apps.model import Model
from cardigan.apps.scores import Score
from cardigan.data import Dataset, Splits
from cardigan.data.cache import cache_folder
from cardigan.data.palette import classes_of, stored_classes
from cardigan.data.sides import TwoSided, Unpaired
from cardigan.data.spec import DataSpec, Side
from cardigan.errors import DataError, RunError
from cardigan.evaluation import METRICS, Evaluation, Result, psnr, ssim
from cardigan.evaluation import evaluate as judge
from cardigan.evaluation.colours import BINS, CHANNELS, intersection, lab_histograms
from cardigan.evaluation.features import chunk_size
from cardigan.evaluation.intervals import JACKKNIFE, grouping, jackknife_interval, mean_interval, within
from cardigan.evaluation.segmentation import Confusion, LabelledPhotos, Segmenter, confusions, train_segmenter
from cardigan.evaluation.sources import Remembered, permutation
from cardigan.training.randomness import address

IMAGES = 1_000
GROUPS = 10
SEGMENTER_SEED = 0
COPY = "a copy of the input"
OTHER_SIDES = (
    "the two sides of the data differ from those that the model was trained on ({} and {}): give data of the same "
    "channels and classes"
)
BY_NAME = (
    "images of the same name on both sides are taken for true partners: where they are not, pass over what is measured "
    "against them"
)

LIKENESS = {
    "psnr": Score("higher", "dB against the true {}, mean over the images"),
    "ssim": Score("higher", "structural similarity to the true {}, 1 at best"),
    "l1": Score("lower", "mean absolute difference from the true {}, pixels in [-1, 1]"),
}
TRANSLATION_SCORES = (*LIKENESS, "colours", "segmentation", "accuracy")
"""What `--metrics` may name of a model that translates, beside `cardigan.evaluation.METRICS`."""

BY_DEFAULT = (*TRANSLATION_SCORES, "fd")


def translation_results(
    model: Model,
    splits: Splits,
    seed: int = 0,
    names: Sequence[str] | None = None,
    *,
    samples: int | None = None,
    features: str = "auto",
) -> Evaluation:
    """Measure the translations of test images, in every direction that the model has.

    Nothing is fitted on test images: the segmenter learns from training pairs. Images are translated a part at a time.

    Args:
        seed: of the noise of each translation, and of which images where some suffice.
        names: from `TRANSLATION_SCORES` and `METRICS`; by default those that suit the data, and "fd".
        samples: how many test images of each side; by default 1,000, or as many as there are.
        features: of what is measured by `cardigan.evaluation.evaluate`.

    Raises:
        RunError: the model does not translate, or has not one of the metrics.
        DataError: the data has other sides than the model, or what was asked for does not suit it.
    """
    refuse_other_metrics(model, names)
    train, test = two_sided(model, splits)
    context = Context(model, train, test, seed, samples or IMAGES, features)
    ways = model.translating().reached
    for name in names or ():
        if name == "accuracy" and not accuracies(model, test):
            raise DataError(f"accuracy {REASONS[name]}: leave it out here")
        if name in TRANSLATION_SCORES[:-1] and not any(Direction(context, to).suits(name) for to in ways):
            raise DataError(f"{name} {REASONS[name]}: leave it out here")
    results = accuracies(model, test) if names is None or "accuracy" in names else []
    notes = list(context.notes(names))
    for to in ways:
        direction = Direction(context, to)  # one after the other: each remembers its translations
        results += direction.results([n for n in names or BY_DEFAULT if n in TRANSLATION_SCORES and direction.suits(n)])
        judged = direction.judged([n for n in names or BY_DEFAULT if n in METRICS], lenient=names is None)
        results += judged.results
        notes += judged.notes
    return Evaluation(tuple(results), tuple(notes))


REASONS = {
    **dict.fromkeys(LIKENESS, "compares translated photographs with their true partners, and this data has none"),
    "colours": "compares grey or coloured photographs, and the model makes none",
    "accuracy": "is of a classifier, which models of the recipe adaptation have, and of images with classes",
    "segmentation": "takes a side of label maps whose images have partners, and this data has none",
}


def refuse_other_metrics(model: Model, names: Sequence[str] | None) -> None:
    """Refuse what is not measured of translations.

    Raises:
        RunError: a metric that a model of this kind has not, or the model does not translate.
    """
    model.translating()
    for name in names or ():
        if name not in (*TRANSLATION_SCORES, *METRICS):
            known = ", ".join(dict.fromkeys((*BY_DEFAULT, *METRICS)))
            raise RunError(f"a model of the recipe {model.config.recipe} has no {name}: choose from {known}")


def two_sided(model: Model, splits: Splits) -> tuple[TwoSided, TwoSided]:
    """Both splits, whose sides are what the model's are.

    Raises:
        DataError: they are not.
    """
    train, test = splits.train, splits.test
    if not isinstance(train, TwoSided) or not isinstance(test, TwoSided):
        raise DataError(f"{test.name} has one kind of image, and the model translates between two: see data.pairing")
    kinds = [[(side.channels, side.palette) for side in spec.sides] for spec in (model.spec, test.spec)]
    if kinds[0] != kinds[1]:
        raise DataError(OTHER_SIDES.format(*(side.name for side in model.spec.sides)))
    return train, test


# ---- what is translated ----------------------------------------------------------------------------------------------


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
        if name in LIKENESS:
            return not self.target.palette and self.context.test.truth is not None
        if name == "colours":
            return not self.target.palette and self.target.channels in (1, 3, 4)
        if name == "accuracy":
            return False  # it is of the classifier, whichever way is translated
        if self.target.palette:
            return self.context.test.truth is not None
        return self.context.can_segment

    def results(self, names: Sequence[str]) -> Iterator[Result]:
        """The scores of these names, all in one pass over the images."""
        kinds: dict[str, Callable[[Direction], Tally]] = {
            **dict.fromkeys(LIKENESS, Likeness),
            "colours": Colours,
            "segmentation": MapRecognition if self.target.palette else Recognition,
        }
        tallies = {kind: kind(self) for kind in dict.fromkeys(kinds[name] for name in names)}
        for part in self.parts() if tallies else ():
            for tally in tallies.values():
                tally.add(part)
        for name in names:
            yield from tallies[kinds[name]].results(name)

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


# ---- what is counted -------------------------------------------------------------------------------------------------


class Tally(Protocol):
    """Counts of the parts of a direction, and what they come to."""

    def add(self, part: Part) -> None: ...

    def results(self, name: str) -> Iterator[Result]: ...


class Likeness:
    """PSNR, SSIM and mean absolute difference of each translation and its true partner.

    Where both sides have as many channels, what the untranslated image scores is the floor.
    """

    def __init__(self, direction: Direction) -> None:
        self.direction = direction
        self.copies = not direction.source.palette and direction.source.channels == direction.target.channels
        self.values: dict[str, list[Tensor]] = {name: [] for name in LIKENESS}
        self.floors: dict[str, list[Tensor]] = {name: [] for name in LIKENESS}

    def add(self, part: Part) -> None:
        assert part.partners is not None
        compared = [(self.values, part.made), *([(self.floors, part.inputs)] if self.copies else [])]
        for values, images in compared:
            values["psnr"].append(psnr(images, part.partners))
            values["ssim"].append(ssim(images + 1, part.partners + 1))
            values["l1"].append((images.double() - part.partners.double()).abs().mean((1, 2, 3)))

    def results(self, name: str) -> Iterator[Result]:
        value, interval = mean_interval(torch.cat(self.values[name]))
        floor = (COPY, torch.cat(self.floors[name]).mean().item()) if self.copies else None
        yield self.direction.result(name, value, interval, floor, LIKENESS[name], interval="normal, over the images")


class Colours:
    """The intersection of the colour histograms of translations and of real test images of their side.

    Training images of that side, as many as there are test images where they suffice, give the floor.
    """

    def __init__(self, direction: Direction) -> None:
        self.direction = direction
        context = direction.context
        train, test = context.train.sides[direction.to], context.measured.sides[direction.to]
        rows = direction.translations.indices
        if context.test.truth is None:
            rows = permutation(len(test), context.seed)[: context.count]
        self.groups = min(GROUPS, direction.count, len(rows))
        self.made = torch.zeros(GROUPS, 3, BINS, dtype=torch.int64)
        self.real = histograms_of(test, rows)
        self.floor = histograms_of(train, permutation(len(train), context.seed)[: len(rows)]).sum(0)

    def add(self, part: Part) -> None:
        self.made.index_add_(0, part.groups, lab_histograms(part.made))

    def results(self, name: str) -> Iterator[Result]:
        made, real = self.made.sum(0), self.real.sum(0)
        values, floors = intersection(made, real), intersection(self.floor, real)
        without = [intersection(made - self.made[g], real - self.real[g]) for g in range(self.groups)]
        channels = CHANNELS if self.direction.target.channels >= 3 else CHANNELS[:1]
        for place, channel in enumerate(channels):
            score = Score("higher", f"overlap of the histograms of {channel} (CIE Lab) with real {{}}, 1 at best")
            interval = share_left_out(values[place].item(), [each[place].item() for each in without])
            floor = ("a set of training images", floors[place].item())
            yield self.direction.result(
                f"colour {channel}",
                values[place].item(),
                interval,
                floor,
                score,
                interval=JACKKNIFE,
                bins="one unit wide, about whole numbers",
            )


def histograms_of(dataset: Dataset, rows: Tensor) -> Tensor:
    """Lab histograms of some of a dataset's images by the groups of a jackknife, int64 (groups, 3, bins)."""
    counts, groups = torch.zeros(GROUPS, 3, BINS, dtype=torch.int64), grouping(len(rows), GROUPS)
    size = chunk_size(dataset.spec.dimensions)
    for some, of in zip(rows.split(size), groups.split(size), strict=True):
        counts.index_add_(0, of, lab_histograms(dataset.images(some)))
    return counts


SHARES: tuple[tuple[str, Callable[[Confusion], float], str], ...] = (
    ("pixel accuracy", lambda confusion: confusion.pixel_accuracy, "share of the pixels that are right"),
    (
        "class accuracy",
        lambda confusion: confusion.class_accuracy,
        "share of a class's pixels that are right, mean over the classes",
    ),
    ("IoU", lambda confusion: confusion.mean_iou, "intersection over union, mean over the classes"),
)


class Maps:
    """Counts of how the classes of pixels are taken, by the groups of a jackknife."""

    def __init__(self, classes: int, samples: int) -> None:
        self.classes, self.groups = classes, min(GROUPS, samples)
        self.counts = torch.zeros(GROUPS, classes, classes, dtype=torch.int64)

    def add(self, predicted: Tensor, true: Tensor, groups: Tensor) -> None:
        self.counts.index_add_(0, groups, confusions(predicted, true, self.classes))

    @property
    def confusion(self) -> Confusion:
        return Confusion(self.counts.sum(0))

    def share(self, of: Callable[[Confusion], float]) -> tuple[float, tuple[float, float]]:
        """A share with its interval."""
        whole, value = self.counts.sum(0), of(self.confusion)
        return value, share_left_out(value, [of(Confusion(whole - self.counts[g])) for g in range(self.groups)])


class Recognition:
    """What the segmenter finds in translated photographs, beside the label maps that they were made of."""

    meaning = "as a segmenter sees translated {}"

    def __init__(self, direction: Direction) -> None:
        self.direction = direction
        self.side = direction.target if direction.target.palette else direction.source
        self.made, self.floor = (Maps(len(self.side.palette), direction.count) for _ in range(2))

    @property
    def segmenter(self) -> Segmenter | None:
        return self.direction.context.segmenter if self.direction.context.can_segment else None

    def add(self, part: Part) -> None:
        assert self.segmenter is not None
        assert part.partners is not None
        true = stored_classes(part.inputs)
        self.made.add(self.segmenter(part.made), true, part.groups)
        self.floor.add(self.segmenter(part.partners), true, part.groups)

    def results(self, name: str) -> Iterator[Result]:
        segmenter = self.segmenter
        entries = {} if segmenter is None else {"segmenter": segmenter.protocol}
        for metric, share, what in SHARES:
            value, interval = self.made.share(share)
            floor = None if segmenter is None else (self.scored(), share(self.floor.confusion))
            score = Score("higher", f"{what}, {self.meaning}")
            yield self.direction.result(
                metric, value, interval, floor, score, interval=JACKKNIFE, **{"by class": self.by_class(), **entries}
            )

    def scored(self) -> str:
        return f"the segmenter on real {self.direction.target.name}"

    def by_class(self) -> dict[str, float | None]:
        """The share of each class's pixels that is right; None where it does not occur."""
        names = [name for name, _ in self.side.palette]
        shares = self.made.confusion.accuracies.tolist()
        return {name: None if share != share else share for name, share in zip(names, shares, strict=True)}


class MapRecognition(Recognition):
    """Label maps that were made, beside the true ones; of photographs the segmenter's maps give the floor."""

    meaning = "in translated {}"

    def add(self, part: Part) -> None:
        assert part.partners is not None
        true = stored_classes(part.partners)
        self.made.add(classes_of(self.side, part.made), true, part.groups)
        if self.segmenter is not None:
            self.floor.add(self.segmenter(part.inputs), true, part.groups)

    def scored(self) -> str:
        return "a small segmenter of the training pairs"


def share_left_out(value: float, replicates: Sequence[float]) -> tuple[float, float]:
    """Interval of a share from what it is without each group; one group bounds nothing."""
    return within(jackknife_interval(value, replicates), 1.0) if len(replicates) > 1 else (0.0, 1.0)
