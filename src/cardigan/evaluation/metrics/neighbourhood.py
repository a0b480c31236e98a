"""Precision, recall, density and coverage: who lies in whose neighbourhood."""

from collections.abc import Iterator
from math import inf

from torch import Tensor

from cardigan.evaluation.bench import Bench
from cardigan.evaluation.intervals import block_interval, hull, mean_interval, share_interval, within
from cardigan.evaluation.manifold import Manifold, manifold
from cardigan.evaluation.protocol import Result


class Neighbourhood:
    """A mean of one kind of verdict of a `Manifold`.

    Args:
        k: neighbours whose farthest is a ball's radius.
        verdict: the attribute of the manifold.
        highest: the largest value there is.
    """

    def __init__(self, name: str, k: int, verdict: str, meaning: str, highest: float = 1.0) -> None:
        self.name, self.k, self.verdict, self.meaning, self.highest = name, k, verdict, meaning, highest

    def __call__(self, bench: Bench) -> Iterator[Result]:
        features, k = bench.features[0], self.k
        fake, real, held = bench.pairs(features)
        judged = bench.once(f"manifold {k}", lambda: manifold(real, fake, k))
        floor = bench.once(f"manifold of reals {k}", lambda: manifold(real, held, k))
        parts = bench.once(f"manifolds of parts {k}", lambda: _in_parts(real, fake, k))
        verdicts = getattr(judged, self.verdict)
        value = self.mean(judged)
        # The neighbourhoods vary with the reals too: parts see that, and the verdicts' own spread is the least there is.
        own = share_interval(value, len(verdicts)) if self.highest == 1 else mean_interval(verdicts)[1]
        interval = hull(own, block_interval(value, [self.mean(part) for part in parts]))
        yield bench.result(
            self.name,
            value,
            within(interval, self.highest),
            self.mean(floor),
            "higher",
            features,
            k=k,
            meaning=self.meaning,
            interval=f"{len(parts)} disjoint parts of both sides, Student's t; at least that of the points judged",
        )

    def mean(self, judged: Manifold) -> float:
        """The metric's value."""
        return float(getattr(judged, self.verdict).mean())


def _in_parts(real: Tensor, fake: Tensor, k: int) -> list[Manifold]:
    """The verdicts within each of five disjoint parts of both sides, fewer where a part were too small for k."""
    count = min(5, len(real) // (k + 2))
    pairs = zip(real.tensor_split(count), fake.tensor_split(count), strict=True)
    return [manifold(x, y, k) for x, y in pairs] if count > 1 else []


precision = Neighbourhood("precision", 3, "fake_inside", "share of samples that look real")
recall = Neighbourhood("recall", 3, "real_inside", "share of reals the samples reach")
density = Neighbourhood("density", 5, "fake_density", "how deep among the reals; may exceed 1", inf)
coverage = Neighbourhood("coverage", 5, "real_covered", "share of reals with a sample nearby")
