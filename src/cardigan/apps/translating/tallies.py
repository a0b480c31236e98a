"""What is counted of translations, a part of the test images at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from cardigan.apps.scores import Score
from cardigan.apps.translating.directions import GROUPS, LIKENESS, Direction, Part
from cardigan.data import Dataset
from cardigan.data.palette import classes_of, stored_classes
from cardigan.evaluation import Result, psnr, ssim
from cardigan.evaluation.colours import BINS, CHANNELS, intersection, lab_histograms
from cardigan.evaluation.features import chunk_size
from cardigan.evaluation.intervals import JACKKNIFE, grouping, jackknife_interval, mean_interval, within
from cardigan.evaluation.lpips import open_lpips
from cardigan.evaluation.segmentation import Confusion, Segmenter, confusions
from cardigan.evaluation.sources import permutation

COPY = "a copy of the input"


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


class Perceptual:
    """LPIPS of each translation and its true partner."""

    meaning = Score("lower", "perceptual distance (LPIPS, AlexNet) from the true {}, 0 at best")

    def __init__(self, direction: Direction, files: str) -> None:
        self.direction, self.distance = direction, open_lpips(files, direction.context.model.device)
        self.copies = not direction.source.palette and direction.source.channels == direction.target.channels
        self.values: list[Tensor] = []
        self.floors: list[Tensor] = []

    def add(self, part: Part) -> None:
        assert part.partners is not None
        self.values.append(self.distance(part.made, part.partners))
        if self.copies:
            self.floors.append(self.distance(part.inputs, part.partners))

    def results(self, name: str) -> Iterator[Result]:
        value, interval = mean_interval(torch.cat(self.values))
        floor = (COPY, torch.cat(self.floors).mean().item()) if self.copies else None
        entries = {"interval": "normal, over the images", "weights": self.distance.digest}
        yield self.direction.result("lpips", value, interval, floor, self.meaning, **entries)


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
