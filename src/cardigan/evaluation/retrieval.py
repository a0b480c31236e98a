"""R-precision: whether an image is nearer to what it is to show than to what other images are to show."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from cardigan.data.order import derived_seed

OTHERS = 99
ROWS = 256


@dataclass(frozen=True)
class RPrecision:
    """A share of images.

    Attributes:
        value: the share whose own sentence is the nearest; k others that are exactly as near leave it 1 / (1 + k).
        error: its standard error.
        images: how many were judged.
        chance: the value of images that have nothing to do with the sentences.
    """

    value: float
    error: float
    images: int
    chance: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.error:.3f} of {self.images:,} images (by chance {self.chance:.3f})"


def r_precision(
    images: Float[Tensor, "n dims"],
    sentences: Float[Tensor, "m dims"],
    truth: Int[Tensor, "n"],
    image_kinds: Int[Tensor, "n"],
    sentence_kinds: Int[Tensor, "m"],
    seed: int = 0,
    others: int = OTHERS,
) -> RPrecision | None:
    """R-precision with R = 1 (Xu et al. 2018, AttnGAN): cosines with one true sentence and 99 mismatched ones.

    Args:
        images, sentences: vectors of one space; each sentence once.
        truth: which sentence each image is to show.
        image_kinds, sentence_kinds: a sentence is a mismatch only for images of another kind.
        seed: decides which mismatched sentences an image is judged with.
        others: how many; all there are where there are fewer.

    Returns:
        None where no image has a mismatch. Images that have none are left out.
    """
    scores_of = F.normalize(sentences.double(), dim=1)
    right, chances = [], []
    for start in range(0, len(images), ROWS):
        rows = slice(start, start + ROWS)
        scores = F.normalize(images[rows].double(), dim=1) @ scores_of.T
        stream = torch.Generator().manual_seed(derived_seed(seed, "mismatched", start))
        draws = torch.rand(scores.shape, generator=stream)
        wrong = (image_kinds[rows, None] != sentence_kinds) & (truth[rows, None] != torch.arange(len(sentences)))
        order = draws.masked_fill(~wrong, 2.0).argsort(dim=1, stable=True)[:, :others]
        offered = wrong.gather(1, order)
        against = scores.gather(1, order).masked_fill(~offered, -torch.inf)
        own = scores.gather(1, truth[rows, None])
        first = (against > own).sum(1) == 0
        judged = offered.any(1)
        right.append((first / (1.0 + (against == own).sum(1)))[judged])
        chances.append((1.0 / (1 + offered.sum(1)))[judged])
    values = torch.cat(right).double() if right else torch.empty(0)
    if not len(values):
        return None
    error = values.std(correction=0).item() / sqrt(len(values))
    return RPrecision(values.mean().item(), error, len(values), torch.cat(chances).mean().item())
