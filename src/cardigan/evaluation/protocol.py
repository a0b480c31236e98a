"""A number with everything that is needed to say what it means."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any, Literal

from cardigan.errors import RunError

Better = Literal["lower", "higher", "target"]
FORMAT = 1


@dataclass(frozen=True)
class Result:
    """One measurement.

    Attributes:
        metric: its name, with the features it was measured in: "FD(classifier)".
        value: the measurement.
        low, high: 95 % confidence interval; the protocol says how it was found.
        floor: what real images score against the same reference with the same count, or the exact expectation of a
            perfect sampler; None where neither is known.
        better: "lower", "higher", or "target": best where it equals the floor.
        protocol: features with hash and accuracy, reference with digest and count, samples, seed, resize, version.
    """

    metric: str
    value: float
    low: float
    high: float
    floor: float | None
    better: Better
    protocol: Mapping[str, Any]

    def line(self, width: int = 20) -> str:
        """Name, value, interval and meaning in one line."""
        interval = f"[{_number(self.low)}, {_number(self.high)}]"
        return f"{self.metric:<{width}} {_number(self.value):>9} {interval:<20} {self.meaning()}"

    def meaning(self) -> str:
        """What the number says to a person."""
        parts = [str(self.protocol["meaning"])] if "meaning" in self.protocol else []
        if self.floor is not None:
            parts.append(f"{self.protocol.get('floor', 'real against real')} scores {_number(self.floor)}")
        parts.append({"target": "best when equal to that"}.get(self.better, f"{self.better} is better"))
        return "; ".join(parts)


@dataclass(frozen=True)
class Evaluation:
    """Results, and what a reader has to know before trusting them."""

    results: tuple[Result, ...]
    notes: tuple[str, ...] = field(default=())

    def __getitem__(self, metric: str) -> Result:
        """The result of that name.

        Raises:
            KeyError: when it was not measured.
        """
        for result in self.results:
            if result.metric == metric:
                return result
        raise KeyError(f"{metric} was not measured; there are {', '.join(r.metric for r in self.results)}")

    def lines(self) -> list[str]:
        """A table for people: one line a metric, then the notes."""
        notes = [f"note: {note}" for note in self.notes]
        if not self.results:
            return notes
        width = max([len("metric"), *(len(result.metric) for result in self.results)])
        header = f"{'metric':<{width}} {'value':>9} {'95 % interval':<20} meaning"
        return [header, *(result.line(width) for result in self.results), *notes]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def to_json(self) -> str:
        """Standard JSON; numbers that are not finite are written as the strings "inf", "-inf" and "nan"."""
        results = [{key: _plain(value) for key, value in asdict(result).items()} for result in self.results]
        return json.dumps({"format": FORMAT, "results": results, "notes": self.notes}, indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Evaluation":
        """What `to_json` wrote.

        Raises:
            RunError: for anything else.
        """
        try:
            read = json.loads(text)
            if read["format"] != FORMAT:
                raise RunError(f"an evaluation of format {read['format']}, this version reads {FORMAT}: evaluate again")
            results = tuple(Result(**{key: _unplain(key, value) for key, value in r.items()}) for r in read["results"])
            return cls(results, tuple(read["notes"]))
        except (ValueError, KeyError, TypeError) as error:
            raise RunError("not an evaluation written by Cardigan: evaluate again") from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def _unplain(key: str, value: Any) -> Any:
    return float(value) if key in ("value", "low", "high", "floor") and value is not None else value


def _number(value: float) -> str:
    if not isfinite(value):
        return str(value)
    size = abs(value)
    if size >= 1000:
        return f"{value:.0f}"
    if 0 < size < 0.001:
        return f"{value:.1e}"
    return f"{value:.4g}"
