"""How often a classifier that was taught by one side's labels is right, on either side's test images."""

from __future__ import annotations

import torch

import cardigan
from cardigan.apps.model import Model
from cardigan.data import Dataset
from cardigan.data.palette import coded
from cardigan.data.sides import TwoSided
from cardigan.evaluation import Result
from cardigan.evaluation.features import chunk_size
from cardigan.evaluation.intervals import WILSON, share_interval
from cardigan.games import Adaptation


def accuracies(model: Model, test: Dataset) -> list[Result]:
    """The share of each side's test images whose class is told; of a side without labels of these classes nothing."""
    if not isinstance(model.game, Adaptation) or not isinstance(test, TwoSided):
        return []
    return [result(model, test, side) for side in (0, 1) if test.sides[side].spec.classes == model.spec.classes]


def result(model: Model, test: TwoSided, side: int) -> Result:
    images, name = test.sides[side], model.spec.sides[side].name
    share = right(model, images, side) / len(images)
    protocol = {
        "generated": {"name": f"{model.config.recipe} after {model.config.images:,} images", "digest": model.digest},
        "reference": {"name": images.name, "digest": images.digest, "split": images.split, "count": len(images)},
        "samples": len(images),
        "interval": WILSON,
        "version": cardigan.__version__,
        "meaning": f"share of the test images of {name} whose class is told"
        + (", by labels of the other side alone" if side else ""),
    }
    return Result(f"accuracy on {name}", share, *share_interval(share, len(images)), None, "higher", protocol)


@torch.no_grad()
def right(model: Model, dataset: Dataset, side: int) -> int:
    """How many of a side's images are told rightly."""
    assert isinstance(model.game, Adaptation)
    count = 0
    for indices in torch.arange(len(dataset)).split(chunk_size(dataset.spec.dimensions)):
        labels = dataset.labels(indices)
        assert labels is not None
        images = coded(model.spec.sides[side], dataset.images(indices).to(model.device))
        count += int((model.game.classify(images, 1 if side else 0).argmax(1).cpu() == labels).sum())
    return count
