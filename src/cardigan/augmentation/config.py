"""Which augmentations, how often, and which of them the images at hand would not bear."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_validator

from cardigan.config import Config
from cardigan.data.spec import DataSpec
from cardigan.errors import RecipeError
from cardigan.schedule import Number, Schedule, value_at

Kind = Literal[
    "scale",
    "rotate",
    "stretch",
    "shift",
    "flip",
    "rotate90",
    "translate",
    "brightness",
    "contrast",
    "luma-flip",
    "hue",
    "saturation",
    "noise",
    "cutout",
]
Policy = Literal["diffaugment", "ada"]

KINDS: tuple[Kind, ...] = get_args(Kind)
POLICIES: dict[Policy, tuple[Kind, ...]] = {
    "diffaugment": ("brightness", "saturation", "contrast", "translate", "cutout"),
    "ada": (
        *("flip", "rotate90", "shift", "scale", "rotate", "stretch"),
        *("brightness", "contrast", "luma-flip", "hue", "saturation"),
    ),
}
"""The lists of Zhao et al. 2020 and of Karras et al. 2020 (their blitting, geometry and colour)."""

COLOURED = ("hue", "saturation")
SPATIAL = ("scale", "rotate", "stretch", "shift", "translate", "cutout")
UNIFORM = ("flip", "rotate90", "rotate", "luma-flip", "hue")
"""Drawn uniformly from a group: where they are always applied, all orientations of the data look alike."""

SMALLEST = 8


class AugmentConfig(Config):
    """What a discriminator is shown of each image.

    Each of the `kinds` is applied to each image with the `probability`, independently: a number, a schedule, or
    "adaptive", which raises it while the discriminator's overfitting is above `target` and lowers it while it is
    below, from 0 to 1 in no less than the share `ramp` of the training, and never beyond `limit` (Karras et al. 2020,
    section 3.1). `kinds` is a list, or names with commas between them; the names of policies stand for those of their
    kinds that suit the images.
    """

    kinds: Annotated[tuple[Kind | Policy, ...], Field(min_length=1)] = ("ada",)
    probability: Number | Literal["adaptive"] = "adaptive"
    target: float = Field(0.6, gt=0.0, lt=1.0)
    ramp: float = Field(0.25, gt=0.0, le=1.0)
    limit: float = Field(0.8, gt=0.0, le=1.0)

    @field_validator("kinds", mode="before")
    @classmethod
    def names(cls, value: Any) -> Any:
        names = value.split(",") if isinstance(value, str) else value
        return tuple(n.strip() if isinstance(n, str) else n for n in names) if isinstance(names, list) else names

    @field_validator("probability")
    @classmethod
    def is_probability(cls, value: float | Schedule | str) -> float | Schedule | str:
        if any(number > 1 for number in extremes(value)):
            raise ValueError("a probability is at most 1")
        return value

    @property
    def adaptive(self) -> bool:
        return self.probability == "adaptive"

    @property
    def highest(self) -> float:
        """The probability that the training may reach."""
        return max(extremes(self.probability), default=self.limit)

    def probability_at(self, progress: float, adapted: float) -> float:
        """The probability at the share `progress` of the training; `adapted` is the adaptive one as it stands."""
        return adapted if isinstance(self.probability, str) else value_at(self.probability, progress)


def extremes(probability: float | Schedule | str) -> tuple[float, ...]:
    """The values between which a probability stays; none are known of an adaptive one."""
    if isinstance(probability, Schedule):
        return probability.start, probability.end
    return () if isinstance(probability, str) else (probability,)


def adjusted(probability: float, overfit: float, share: float, config: AugmentConfig) -> float:
    """The adaptive probability after one look at the discriminator (Karras et al. 2020, section 3.1).

    Args:
        probability: as it stood.
        overfit: r_v of Eq. 1, measured on held-out images: 0 where they score like training images, 1 like fakes.
            One that is not a number changes nothing.
        share: of the whole training that has passed since the last look.
    """
    direction = (overfit > config.target) - (overfit < config.target)
    return min(max(probability + direction * share / config.ramp, 0.0), config.limit)


# ---- what the images bear ---------------------------------------------------------------------------------------------


def damaging(kinds: Iterable[Kind], spec: DataSpec) -> dict[Kind, str]:
    """Those of the kinds that such data does not bear, each with the reason."""
    return {kind: reason for kind in kinds if (reason := damage(kind, spec))}


def damage(kind: Kind, spec: DataSpec) -> str:
    """Why data of this kind does not bear the augmentation; empty where it does."""
    if spec.kind == "points":
        return "images are augmented, not points"
    if kind in COLOURED and spec.channels not in (3, 4):
        return f"there are no colours in {spec.channels} channel{'s' * (spec.channels != 1)}"
    if kind == "rotate90" and spec.height != spec.width:
        return f"a quarter turn does not fit into {spec.height} x {spec.width}"
    if kind in SPATIAL and min(spec.height, spec.width) < SMALLEST:
        return f"{spec.height} x {spec.width} is too small: {SMALLEST} x {SMALLEST} is the least"
    return ""


def refuse_damaging(config: AugmentConfig, spec: DataSpec, key: str = "game.augment") -> tuple[Kind, ...]:
    """The kinds to draw, in order: those named, and those of the named policies that suit the data.

    Args:
        key: where the settings stand in the recipe.

    Raises:
        RecipeError: where a named kind would damage the data, where no kind is left, or where kinds that are drawn from a
            whole group may be applied so often that the generator would learn them.
    """
    named = {kind for kind in config.kinds if kind not in POLICIES}
    of_policies = {kind for policy, kinds in POLICIES.items() if policy in config.kinds for kind in kinds}
    wanted = [kind for kind in KINDS if kind in named | of_policies]
    bad = damaging(wanted, spec)
    kinds = tuple(kind for kind in wanted if kind not in bad)
    if refused := [kind for kind in wanted if kind in bad and (kind in named or not kinds)]:
        reasons = dict.fromkeys(bad[kind] for kind in refused)
        told = "; ".join(f"{', '.join(k for k in refused if bad[k] == reason)}: {reason}" for reason in reasons)
        remedy = f"--set {key}.kinds={','.join(kinds)}" if kinds else "train without augmentation"
        raise RecipeError(f"{key}.kinds does not suit the images ({told}): {remedy}")
    if (leaking := [kind for kind in kinds if kind in UNIFORM]) and (
        config.highest > config.limit or config.highest == 1
    ):
        safe = config.limit if config.limit < 1 else AugmentConfig().limit
        setting = "limit" if config.adaptive else "probability"
        raise RecipeError(
            f"{key}.{setting}: with a probability of {config.highest:g} the generator would learn {', '.join(leaking)} "
            f"as if the images were so: --set {key}.{setting}={safe:g}, or leave those kinds out"
        )
    return kinds
