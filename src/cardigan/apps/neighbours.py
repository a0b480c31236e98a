"""Samples beside the training images nearest to them, so that anyone can see whether a model copies."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from cardigan.apps.model import Model
from cardigan.data import Dataset
from cardigan.evaluation import nearest_training_images
from cardigan.training.pictures import grid

SHOWN = 16
SIDE = 16
SEARCHED = 20_000
CHUNK = 500


def nearest_panel(model: Model, train: Dataset, shown: int = SHOWN) -> Image.Image | None:
    """Two rows of pictures: samples, and below each the nearest training image; None for what is not pictures.

    Nearest in pixels, averaged to at most 16 x 16, among at most 20,000 images spread over the whole training split.
    """
    if model.spec.kind != "images" or not model.can_sample:
        return None
    samples = model.sample(shown)
    searched = torch.arange(0, len(train), -(-len(train) // SEARCHED))
    looks = torch.cat([look(train.images(part)) for part in searched.split(CHUNK)])
    nearest, _ = nearest_training_images(look(samples), looks)
    return grid(torch.cat([samples, train.images(searched[nearest])]), columns=shown)


def look(images: Tensor) -> Tensor:
    """What two pictures are compared by, shape (n, numbers)."""
    height, width = (min(side, SIDE) for side in images.shape[2:])
    return functional.adaptive_avg_pool2d(images, (height, width)).flatten(1)
