"""What a person sees while a training runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


@dataclass(frozen=True)
class Tick:
    """The state of a training at one look."""

    images: int
    total: int
    images_per_second: float
    scalars: Mapping[str, float]
    score: tuple[str, float] | None

    @property
    def seconds_left(self) -> float:
        return max(0, self.total - self.images) / max(self.images_per_second, 1e-9)

    def summary(self, shown: int = 4) -> str:
        """Rate, the first few scalars, and the last metric."""
        parts = [f"{self.images_per_second:,.0f} img/s"]
        parts += [f"{name} {value:.3g}" for name, value in list(self.scalars.items())[:shown]]
        if self.score:
            parts.append(f"{self.score[0]} {self.score[1]:.3g}")
        return "  ".join(parts)


class Listener(Protocol):
    """Hears of a training's progress."""

    def tick(self, tick: Tick) -> None: ...

    def note(self, text: str) -> None: ...

    def close(self) -> None: ...


class Silence:
    """Shows nothing."""

    def tick(self, tick: Tick) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


class Lines:
    """One plain line at most every few seconds, for logs and pipes."""

    def __init__(self, every: float = 5.0) -> None:
        self.every = every
        self.last = 0.0

    def tick(self, tick: Tick) -> None:
        now = time.monotonic()
        if now - self.last >= self.every or tick.images >= tick.total:
            self.last = now
            left = f"{tick.seconds_left:.0f} s left"
            print(f"{tick.images:>10,} / {tick.total:,} images  {tick.summary()}  {left}", flush=True)

    def note(self, text: str) -> None:
        print(text, flush=True)

    def close(self) -> None:
        pass


class Live:
    """A live bar for a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self.progress = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,.0f} / {task.total:,.0f} images"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[summary]}"),
            console=console,
        )
        self.task = None

    def tick(self, tick: Tick) -> None:
        if self.task is None:
            self.progress.start()
            self.task = self.progress.add_task("training", total=tick.total, summary="")
        self.progress.update(self.task, completed=tick.images, summary=tick.summary())

    def note(self, text: str) -> None:
        self.progress.console.print(text, highlight=False, markup=False)

    def close(self) -> None:
        self.progress.stop()


def listener() -> Listener:
    """A live bar where a person watches, plain lines elsewhere."""
    return Live() if sys.stdout.isatty() else Lines()
