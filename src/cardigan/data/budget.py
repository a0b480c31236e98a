"""How many pixels may be in memory at once, whichever threads decode them."""

from __future__ import annotations

import math
from threading import Condition


class Budget:
    """Lets images be decoded as long as all that are held, but for the oldest, have no more pixels than `most`.

    Images are numbered from 0 and released in that order. The oldest never waits: the threads could else wait for ever
    for room that only its release makes.
    """

    def __init__(self, most: float) -> None:
        self.most = most
        self.held: dict[int, int] = {}
        self.total = 0
        self.oldest = 0
        self.changed = Condition()

    def take(self, number: int, pixels: int) -> None:
        """Wait for room for the pixels of an image, and hold them."""
        with self.changed:
            self.changed.wait_for(lambda: number == self.oldest or self.total + pixels <= self.most)
            self.held[number] = pixels
            self.total += pixels

    def shrink(self, number: int, pixels: int) -> None:
        """Hold no more than so many pixels of an image from now on."""
        if pixels < self.held.get(number, 0):
            with self.changed:
                self.total -= self.held[number] - pixels
                self.held[number] = pixels
                self.changed.notify_all()

    def release(self) -> None:
        """Hold nothing of the oldest any more, so that the next one is the oldest."""
        with self.changed:
            self.total -= self.held.pop(self.oldest, 0)
            self.oldest += 1
            self.changed.notify_all()

    def lift(self) -> None:
        """Let all go on at once: nobody will take up the results."""
        with self.changed:
            self.most = math.inf
            self.changed.notify_all()
