"""What is wrong with a training, in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from cardigan.training.recipe import HealthConfig

COLLAPSED = 0.25
VANISHED = 1e-7
OVERFIT = 0.6
TOLD_APART = 0.5
INVERTED = -0.4
WORTH_A_CODE = 0.01

Trouble = Literal[
    "dead generator", "collapsed diversity", "overfit discriminator", "nothing learnt", "inverted colours"
]

SIGNS = {"gradient generator", "diversity", "overfit", "gain", "luminance correlation"}
"""Readings that a trouble shows in."""

DIAGNOSES: dict[Trouble, str] = {
    "dead generator": "the generator gets no gradient, so it can no longer learn",
    "collapsed diversity": "the generator draws nearly the same picture whatever its latent",
    "overfit discriminator": ("the discriminator knows its training images by heart and scores unseen ones like fakes"),
    "nothing learnt": (
        "on held-out images the model does no better than one that ignores its input and always gives the mean image"
    ),
    "inverted colours": (
        "translations are dark where their images are light and light where they are dark, which a cycle cannot tell"
    ),
}

REMEDIES: dict[Trouble, dict[str, set[str]]] = {
    "dead generator": {
        "use a non-saturating or relativistic objective": {"non-saturating", "relativistic"},
        "lower the discriminator's learning rate": set(),
    },
    "collapsed diversity": {
        "use the default recipe": {"default", "stackgan"},
        "lower the generator's learning rate": set(),
    },
    "overfit discriminator": {"stop earlier": set(), "raise r1": set(), "train on more images": set()},
    "nothing learnt": {"lower the learning rate": set(), "train longer": set()},
    "inverted colours": {"raise game.identity": {"unit", "adaptation"}, "begin anew with another seed": set()},
}
"""What to do, each with the recipes, games or objectives that know no such thing or that it would be no change from."""


def advice(trouble: Trouble, own: Collection[str] = ()) -> str:
    """What a trouble is and what to do about it.

    Args:
        own: the recipe, the objective and the game in use, which nobody need be told to use.
    """
    *first, last = [remedy for remedy, same in REMEDIES[trouble].items() if not same & set(own)]
    return f"{DIAGNOSES[trouble]}: {', '.join(first)}{', or ' * bool(first)}{last}"


@dataclass
class Health:
    """Watches a training's readings; a trouble counts once it has lasted `patience` examinations on end.

    Attributes:
        examinations: how many there have been.
        own: the recipe, the objective and the game in use.
    """

    config: HealthConfig
    most_diverse: float = 0.0
    streaks: dict[Trouble, int] = field(default_factory=dict)
    examinations: int = 0
    own: tuple[str, ...] = ()

    def examine(self, readings: Mapping[str, float]) -> list[Trouble]:
        """The troubles that have just become certain.

        Args:
            readings: "gradient generator" (norm), "diversity" (of samples over that of real images),
                "overfit" (see `overfit`), "gain" (see `gain`), "luminance correlation" (of images and their translations),
                "progress"; those that a game does not have are left out.
        """
        if not SIGNS & readings.keys():
            return []
        self.examinations += 1
        variety = readings.get("diversity", 1.0)
        self.most_diverse = max(self.most_diverse, variety)
        # An untrained generator draws grey: low diversity is a trouble once there was more of it, or late.
        late = readings.get("progress", 1.0) > 0.5
        signs: dict[Trouble, bool] = {
            "dead generator": readings.get("gradient generator", 1.0) < VANISHED,
            "collapsed diversity": (late or self.has_been_diverse) and variety < COLLAPSED,
            "overfit discriminator": readings.get("overfit", 0.0) > OVERFIT,
            "nothing learnt": late and not readings.get("gain", 1.0) > WORTH_A_CODE,
            "inverted colours": readings.get("luminance correlation", 0.0) < INVERTED,
        }
        self.streaks = {trouble: self.streaks.get(trouble, 0) + 1 for trouble, seen in signs.items() if seen}
        return [trouble for trouble, streak in self.streaks.items() if streak == self.config.patience]

    @property
    def has_been_diverse(self) -> bool:
        return self.most_diverse > 2 * COLLAPSED

    def fatal(self, troubles: list[Trouble]) -> list[Trouble]:
        """Those that training on cannot mend: no gradient, or a diversity that was there and is lost."""
        mendable = {"overfit discriminator", "nothing learnt", "inverted colours"} | (
            {"collapsed diversity"} if not self.has_been_diverse else set()
        )
        return [trouble for trouble in troubles if trouble not in mendable] if self.config.stop else []

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: plain numbers by name, as the constructor takes them."""
        return {
            "most_diverse": self.most_diverse,
            "streaks": dict(self.streaks),
            "examinations": self.examinations,
        }

    def verdict(self) -> str:
        """One line on how the training stands; with fewer examinations than `patience`, a trouble seen in all counts."""
        if not self.examinations:
            return "not examined"
        enough = min(self.config.patience, self.examinations)
        lasting = [trouble for trouble, streak in self.streaks.items() if streak >= enough]
        return "; ".join(map(self.told, lasting)) or "healthy"

    def told(self, trouble: Trouble) -> str:
        """The trouble, what it is, and what to do about it."""
        return f"{trouble}: {advice(trouble, self.own)}"


def diversity(samples: Tensor, real: Tensor) -> float:
    """Mean distance between two samples over that between two real images; 1 for a perfect generator."""
    return (mean_distance(samples) / mean_distance(real).clamp(min=1e-12)).item()


def mean_distance(images: Tensor) -> Tensor:
    return torch.pdist(images.detach().float().flatten(1)).mean()


def overfit(train: float, held_out: float, fake: float, unit: float = 1.0) -> float:
    """Where held-out images score between training images (0) and generated ones (1); Karras et al. 2020, Eq. 1.

    Zero where the discriminator hardly tells generated images from its training images: there is nothing it could know
    by heart that would harm the generator.

    Args:
        train, held_out, fake: mean scores.
        unit: what a score is measured in: 1 for logits; for a critic, whose scale is its own, the scores' spread.
    """
    gap = train - fake
    return (train - held_out) / gap if gap > TOLD_APART * unit else 0.0


def gain(loss: float, constant: float) -> float:
    """By what share a held-out loss is below that of a model that ignores its input; at most 0 where it is not."""
    return (constant - loss) / max(abs(constant), 1e-12)


def luminance_correlation(images: Tensor, translations: Tensor) -> float:
    """How the luminance of each image's pixels goes with that of its translation's, -1..1; mean over the images.

    Both are RGB (n, 3, height, width), alpha after it is passed over. An image of one luminance correlates with nothing.
    """
    first, second = (
        luminance(pictures).sub(luminance(pictures).mean(1, keepdim=True)) for pictures in (images, translations)
    )
    sizes = first.norm(dim=1) * second.norm(dim=1)
    return ((first * second).sum(1) / sizes.clamp(min=1e-6)).mean().item()


def luminance(images: Tensor) -> Tensor:
    """Rec. 709's, of gamma-encoded pixels: (n, pixels)."""
    red, green, blue = images[:, :3].detach().float().flatten(2).unbind(1)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
