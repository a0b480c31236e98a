"""What can be said of a bird, and which bird stands at which place of which split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy as np

from cardigan.data.order import derived_seed
from cardigan.data.sources import Split

T = TypeVar("T")

Colour = Literal["red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "grey", "black", "white"]
Part = Literal["belly", "back", "wings", "tail", "throat", "nape", "crown", "face", "tarsus", "beak"]
Beak = Literal["conical", "pointed", "long", "curved", "hooked"]
Pose = Literal["perched", "standing", "flying"]
Facing = Literal["left", "right"]
Size = Literal["small", "medium", "large"]
Background = Literal["sky", "leaves", "autumn", "dusk", "snow"]

COLOURS: tuple[Colour, ...] = get_args(Colour)
PARTS: tuple[Part, ...] = get_args(Part)
BEAKS: tuple[Beak, ...] = get_args(Beak)
POSES: tuple[Pose, ...] = get_args(Pose)
FACINGS: tuple[Facing, ...] = get_args(Facing)
SIZES: tuple[Size, ...] = get_args(Size)
BACKGROUNDS: tuple[Background, ...] = get_args(Background)

PLUMAGE: Mapping[Part, int] = {
    "belly": 4,
    "back": 2,
    "wings": 5,
    "tail": 1,
    "throat": 1,
    "nape": 1,
    "crown": 1,
    "face": 1,
}
"""The parts with feathers, and roughly what share of the bird each is."""

HELD_OUT = 5
"""One in so many combinations of belly, back, wings and crown is seen in the test split only."""


@dataclass(frozen=True)
class Bird:
    """A bird, by all that can be told of it.

    Attributes:
        belly, back, wings, tail, throat, nape, crown, face, tarsus, beak: the colour of each part.
        beak_shape: short and conical, small and pointed, long and thin, long and curved, or hooked.
        crested: whether the feathers of the crown stand up.
        wingbars: the colour of the two bars across the wings, or None without them.
        size, pose, facing, background: how it is seen.
        look: decides everything that cannot be told: proportions, shades, twigs, clouds.
    """

    belly: Colour
    back: Colour
    wings: Colour
    tail: Colour
    throat: Colour
    nape: Colour
    crown: Colour
    face: Colour
    tarsus: Colour
    beak: Colour
    beak_shape: Beak
    crested: bool
    wingbars: Colour | None
    size: Size
    pose: Pose
    facing: Facing
    background: Background
    look: int

    def colour(self, part: Part) -> Colour:
        return getattr(self, part)

    def shares(self) -> dict[Colour, float]:
        """Roughly how much of the plumage has each colour, most first."""
        shares: dict[Colour, float] = {}
        for part, weight in PLUMAGE.items():
            shares[self.colour(part)] = shares.get(self.colour(part), 0.0) + weight / sum(PLUMAGE.values())
        return dict(sorted(shares.items(), key=lambda share: -share[1]))

    @property
    def combination(self) -> tuple[Colour, Colour, Colour, Colour]:
        """Colours of belly, back, wings and crown: what decides the split."""
        return self.belly, self.back, self.wings, self.crown


def split_of(combination: tuple[Colour, Colour, Colour, Colour]) -> Split:
    """The one split in which a combination of colours of belly, back, wings and crown occurs."""
    return "test" if derived_seed("birds", "combination", *combination) % HELD_OUT == 0 else "train"


def species(bird: Bird) -> str:
    """A name for all birds of the same main colours and beak, such as "red-crowned white-bellied grey finch".

    All that it depends on can be told in a caption.
    """
    middle = bird.back if bird.back == bird.wings else f"{bird.back}-backed {bird.wings}-winged"
    return f"{bird.crown}-crowned {bird.belly}-bellied {middle} {_FAMILY[bird.beak_shape]}"


_FAMILY: Mapping[Beak, str] = {
    "conical": "finch",
    "pointed": "warbler",
    "long": "kingfisher",
    "curved": "sunbird",
    "hooked": "shrike",
}


def bird(index: int, split: Split = "train", seed: int = 0) -> Bird:
    """The bird at a place of an endless sequence: a pure function of (seed, split, index).

    Combinations of the colours of belly, back, wings and crown that occur in one split never occur in the other,
    whatever the seeds; every single colour, shape, size, pose and background occurs in both.

    Raises:
        ValueError: index is negative.
    """
    if index < 0:
        raise ValueError(f"index must not be negative, not {index}")
    random = np.random.Generator(np.random.PCG64(derived_seed(seed, "bird", split, index)))
    while True:
        plumage = _plumage(random)
        if split_of((plumage["belly"], plumage["back"], plumage["wings"], plumage["crown"])) == split:
            break
    return Bird(
        **plumage,
        tarsus=_drawn(random, _TARSUS),
        beak=_drawn(random, _BEAK),
        beak_shape=_any(random, BEAKS),
        crested=random.random() < 0.25,
        wingbars=_wingbars(plumage["wings"]) if random.random() < 0.25 else None,
        size=_any(random, SIZES),
        pose=_drawn(random, _POSE),
        facing=_any(random, FACINGS),
        background=_any(random, BACKGROUNDS),
        look=int(random.integers(2**62)),
    )


# fmt: off
_FEATHERS: Mapping[Colour, int] = {
    "red": 4, "orange": 4, "yellow": 5, "green": 4, "blue": 5, "purple": 3, "pink": 3, "brown": 5, "grey": 5, "black": 5,
    "white": 5,
}
_TARSUS: Mapping[Colour, int] = {
    "red": 2, "orange": 4, "yellow": 3, "green": 1, "blue": 1, "purple": 1, "pink": 3, "brown": 3, "grey": 4, "black": 5,
    "white": 1,
}
_BEAK: Mapping[Colour, int] = {
    "red": 3, "orange": 4, "yellow": 4, "green": 1, "blue": 1, "purple": 1, "pink": 1, "brown": 2, "grey": 4, "black": 6,
    "white": 1,
}
_POSE: Mapping[Pose, int] = {"perched": 5, "standing": 3, "flying": 2}
# fmt: on


def _plumage(random: np.random.Generator) -> dict[Part, Colour]:
    """Two to four colours laid on as birds wear them: a mantle above, another colour below, accents on the head."""
    mantle = _drawn(random, _FEATHERS)
    below = mantle if random.random() < 0.12 else _drawn(random, _FEATHERS)
    accent = _drawn(random, _FEATHERS)
    wings = _drawn(random, {mantle: 5, accent: 3}) if random.random() < 0.8 else _drawn(random, _FEATHERS)
    crown = _drawn(random, {mantle: 4, accent: 4, below: 1})
    nape = _drawn(random, {crown: 4, mantle: 5})
    face = _drawn(random, {crown: 3, accent: 2, below: 3, mantle: 1})
    throat = _drawn(random, {below: 4, face: 4, accent: 2})
    tail = _drawn(random, {wings: 5, mantle: 4})
    return {
        "belly": below,
        "back": mantle,
        "wings": wings,
        "tail": tail,
        "throat": throat,
        "nape": nape,
        "crown": crown,
        "face": face,
    }


def _wingbars(wings: Colour) -> Colour:
    return "black" if wings in ("white", "yellow", "pink") else "white"


def _any(random: np.random.Generator, choices: tuple[T, ...]) -> T:
    return choices[int(random.integers(len(choices)))]


def _drawn(random: np.random.Generator, weights: Mapping[T, int]) -> T:
    """One of the keys, as often as its weight says."""
    left = random.random() * sum(weights.values())
    for choice, weight in weights.items():
        left -= weight
        if left < 0:
            return choice
    return choice
