"""Random decisions that are a pure function of what they are for, and colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from cardigan.data.seeds import derived_seed

Colour = tuple[float, float, float]

T = TypeVar("T")


class Dice:
    """The stream of decisions for one purpose, such as ``Dice(seed, "streets", index)``."""

    def __init__(self, *purpose: int | str) -> None:
        self.generator = np.random.Generator(np.random.PCG64(derived_seed(*purpose)))
        self._drawn: list[float] = []

    def share(self) -> float:
        """Uniform in [0, 1)."""
        if not self._drawn:  # one by one they would take ten times as long
            self._drawn = self.generator.random(512).tolist()
        return self._drawn.pop()

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.share()

    def whole(self, low: int, high: int) -> int:
        """One of low, ..., high."""
        return low + int(self.share() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        return self.share() < probability

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.share() * len(options))]

    def sign(self) -> int:
        return 1 if self.share() < 0.5 else -1

    def near(self, colour: Colour, spread: float = 0.04) -> Colour:
        """A colour close to this one: lighter or darker as a whole, and a little of another hue."""
        shade = 1 + spread * (2 * self.share() - 1)
        r, g, b = colour
        return (
            r * shade * (1 + spread * (self.share() - 0.5)),
            g * shade * (1 + spread * (self.share() - 0.5)),
            b * shade * (1 + spread * (self.share() - 0.5)),
        )


def blend(first: Colour, second: Colour, share: float) -> Colour:
    """`share` of the second colour in the first."""
    a, b, c = first
    return a + (second[0] - a) * share, b + (second[1] - b) * share, c + (second[2] - c) * share


def scaled(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor
