"""What an experiment has found: numbers beside the exact ones, a verdict, and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Relation = Literal["=", "<=", ">="]
SIGNS: Mapping[Relation, str] = {"=": "", "<=": "at most ", ">=": "at least "}


@dataclass(frozen=True)
class Row:
    """One quantity.

    Attributes:
        exact: what theory says, or None where it says nothing.
        tolerance: how far `measured` may be on the wrong side of `exact`; None where the row is shown, not judged.
        relation: of `measured` to `exact`.
    """

    what: str
    measured: float
    exact: float | None = None
    tolerance: float | None = None
    relation: Relation = "="

    @property
    def error(self) -> float | None:
        """measured - exact."""
        return None if self.exact is None else self.measured - self.exact

    @property
    def holds(self) -> bool:
        if self.exact is None or self.tolerance is None:
            return True
        if math.isinf(self.exact):
            return self.measured == self.exact
        error = self.measured - self.exact
        sides = {"=": abs(error), "<=": error, ">=": -error}
        return sides[self.relation] <= self.tolerance

    def cells(self) -> tuple[str, str, str, str, str]:
        """what, measured, exact, error, and a mark where it does not hold."""
        exact = "" if self.exact is None else SIGNS[self.relation] + number(self.exact)
        error = "" if self.error is None or not math.isfinite(self.error) else f"{self.error:+.1e}"
        return self.what, number(self.measured), exact, error, "" if self.holds else "does not hold"


@dataclass(frozen=True)
class Findings:
    """The end of an experiment.

    Attributes:
        shows: what the numbers show, if every row holds.
        figures: drawings by name.
        movies: frames by name.
    """

    rows: tuple[Row, ...]
    shows: str
    notes: tuple[str, ...] = ()
    figures: Mapping[str, Figure] = field(default_factory=dict)
    movies: Mapping[str, list[Image.Image]] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return all(row.holds for row in self.rows)

    @property
    def verdict(self) -> str:
        failed = [row.what for row in self.rows if not row.holds]
        return f"not shown: {'; '.join(failed)}" if failed else self.shows

    def lines(self) -> list[str]:
        """A table for people, the verdict and the notes."""
        table = [("", "measured", "exact", "error", ""), *(row.cells() for row in self.rows)]
        widths = [max(len(line[column]) for line in table) for column in range(4)]
        text = [
            f"{line[0]:<{widths[0]}}  " + "  ".join(f"{line[c]:>{widths[c]}}" for c in (1, 2, 3)) + f"  {line[4]}"
            for line in table
        ]
        return [line.rstrip() for line in text] + [
            f"verdict: {self.verdict}",
            *(f"note: {note}" for note in self.notes),
        ]

    def to_dict(self) -> dict[str, Any]:
        """All but the pictures, as JSON can hold it."""
        rows = [{key: plain(value) for key, value in {**asdict(row), "holds": row.holds}.items()} for row in self.rows]
        return {"verdict": self.verdict, "holds": self.holds, "rows": rows, "notes": list(self.notes)}


def plain(value: Any) -> Any:
    """What JSON has no number for, as a string."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def number(value: float) -> str:
    """Six digits at most; the error has a column of its own."""
    if not math.isfinite(value):
        return str(value)
    return f"{value:.6g}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.3e}"
