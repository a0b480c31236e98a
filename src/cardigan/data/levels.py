"""How the numbers of arrays become pixels: one rule for a whole source, told in a note where it had to be guessed.

uint8 and uint16 are taken as they are, and false and true are black and white. Other whole numbers must lie in 0..255
(kept at 8 bits) or 0..65535 (16 bits). Real numbers must lie in [0, 1], [-1, 1] or [0, 255], the first that holds them
all, and are kept at 8 bits.

A range of real numbers also holds those that lie outside by no more than half a level, of [0, 1] or of [0, 255], which
is numerical noise: they become the level at its end. [0, 255] is taken only where some number is above 2: what
overshoots [0, 1] would else be all but black.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardigan.data.decode import Pixels, Unreadable
from cardigan.errors import DataError

Quantise = Callable[[NDArray], Pixels]


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` to `high` in so many steps, and those outside by no more than `slack`.

    The range is meant only where some number is above `reached`.
    """

    words: str
    low: float
    high: float
    steps: int
    slack: float = 0.0
    reached: float = -math.inf

    def holds(self, least: float, most: float) -> bool:
        """Whether it holds all numbers from `least` to `most`, but for the slack."""
        return self.low - self.slack <= least and most <= self.high + self.slack and most > self.reached

    def pixels(self, row: NDArray) -> Pixels:
        """The level next to each number, as uint8 or uint16.

        Raises:
            Unreadable: a number is NaN or infinite.
        """
        if row.dtype.kind == "f" and not np.isfinite(row).all():
            raise Unreadable("holds NaN or infinity")
        levels = ((row.astype(np.float64) - self.low) * (self.steps / (self.high - self.low))).round()
        return levels.clip(0, self.steps).astype(np.uint8 if self.steps == 255 else np.uint16)


WHOLE = (Range("0..255", 0, 255, 255), Range("0..65535", 0, 65535, 65535))
REAL = (
    Range("[0, 1]", 0, 1, 255, slack=0.5 / 255),
    Range("[-1, 1], as some are negative", -1, 1, 255, slack=0.5 / 255),
    Range("[0, 255]", 0, 255, 255, slack=0.5, reached=2),
)


def quantiser(name: str, kinds: set[np.dtype], rows: Iterable[NDArray]) -> tuple[Quantise, str | None]:
    """What turns a row of numbers into pixels, and which range they were taken to lie in where that is a guess.

    Args:
        name: of the source.
        kinds: of all its numbers.
        rows: all of them; they are read only where their range matters.

    Raises:
        DataError: no numbers, or outside of every range.
    """
    kinds = {kind.newbyteorder("=") for kind in kinds}
    if kinds in ({np.dtype(np.uint8)}, {np.dtype(np.uint16)}):
        return lambda row: row, None
    if kinds == {np.dtype(bool)}:
        return lambda row: row.astype(np.uint8) * np.uint8(255), None
    whole = all(kind.kind in "iub" for kind in kinds)
    if not whole and not all(kind.kind in "iubf" for kind in kinds):
        raise DataError(f"{name} holds {', '.join(map(str, kinds))}, not numbers: images need integers or real numbers")
    least, most = _extent(rows)
    ranges, numbers = (WHOLE, "whole numbers") if whole else (REAL, "floats")
    if least > most:  # no row is finite throughout: each will be refused
        return ranges[0].pixels, None
    extent = f"from {least:g} to {most:g}"
    for taken in ranges:
        if taken.holds(least, most):
            outside = least < taken.low or most > taken.high
            clipped = "; what lies outside, by half a level at most, is clipped" if outside else ""
            return taken.pixels, f"{numbers} taken to lie in {taken.words}: they reach {extent}{clipped}"
    legal = "0..255 or 0..65535" if whole else "[0, 1], [-1, 1] or [0, 255]"
    raise DataError(f"{name} holds numbers {extent}: bring them into {legal}")


def _extent(rows: Iterable[NDArray]) -> tuple[float, float]:
    """Smallest and largest number of all rows that are finite throughout."""
    low, high = math.inf, -math.inf
    for row in rows:
        least, most = float(row.min()), float(row.max())  # both are NaN if any number is
        if math.isfinite(least) and math.isfinite(most):
            low, high = min(low, least), max(high, most)
    return low, high
