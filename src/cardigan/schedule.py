"""Numbers that may change over a training: a constant, or a path from one value to another."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, NonNegativeFloat

from cardigan.config import Config


class Schedule(Config):
    """A value that moves from `start` to `end` over the share [`begin`, `until`] of the training and rests outside it."""

    start: NonNegativeFloat
    end: NonNegativeFloat
    shape: Literal["cosine", "linear"] = "cosine"
    begin: float = Field(0.0, ge=0.0, le=1.0)
    until: float = Field(1.0, gt=0.0, le=1.0)

    def at(self, progress: float) -> float:
        """The value when the share `progress` of the images has been seen, 0 to 1."""
        share = min(max((progress - self.begin) / max(self.until - self.begin, 1e-12), 0.0), 1.0)
        if self.shape == "cosine":
            share = 0.5 - 0.5 * math.cos(math.pi * share)
        return self.start + share * (self.end - self.start)


Number = NonNegativeFloat | Schedule


def value_at(number: float | Schedule, progress: float) -> float:
    """The number itself, or its schedule's value at `progress`."""
    return number.at(progress) if isinstance(number, Schedule) else number
