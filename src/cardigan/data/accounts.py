"""What is true of examples, and what of that their sentences tell: built-in worlds know it exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Facts = Mapping[str, str]
"""What a thing has by the name of what can be told: {"belly": "yellow", "pose": "flying"}."""


@dataclass(frozen=True)
class Accounts:
    """Facts about the examples of a data set, by their indices.

    Attributes:
        true: a function that gives all facts about an example.
        told: a function that gives those that each of its sentences tells, in the order of `Dataset.captions`.
    """

    true: Callable[[int], Facts]
    told: Callable[[int], Sequence[Facts]]
