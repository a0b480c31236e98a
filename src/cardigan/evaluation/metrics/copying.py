"""Whether the model copies what it has seen."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from cardigan.errors import DataError
from cardigan.evaluation import memorisation
from cardigan.evaluation.bench import Bench
from cardigan.evaluation.intervals import WILSON, normal_interval, share_interval
from cardigan.evaluation.protocol import Result

NEIGHBOUR_SAMPLES = 2000


def copying_score(bench: Bench) -> Iterator[Result]:
    """C_T in the main features."""
    fake, unseen, learnt, protocol = _memory_features(bench, "c_t")
    found = memorisation.copying(fake, unseen, learnt, bench.seed)
    yield bench.result(
        "C_T",
        found.score,
        normal_interval(found.score, found.error),
        0.0,
        "target",
        bench.features[0],
        meaning="z-score: far below 0 copies the training set, far above 0 underfits",
        floor="an honest model",
        interval="normal, weights of the cells",
        cells=found.cells,
        **protocol,
    )


def authenticity(bench: Bench) -> Iterator[Result]:
    """AuthPct in the main features, beside that of unseen reals."""
    fake, unseen, learnt, protocol = _memory_features(bench, "auth")
    share = float(memorisation.authentic(fake, learnt).mean())
    low, high = share_interval(share, len(fake))
    yield bench.result(
        "AuthPct",
        100 * share,
        (100 * low, 100 * high),
        100 * float(memorisation.authentic(unseen, learnt).mean()),
        "target",
        bench.features[0],
        meaning="share not suspiciously near a training image, in percent",
        floor="an unseen real",
        interval=WILSON,
        **protocol,
    )


def _memory_features(bench: Bench, metric: str) -> tuple[Tensor, Tensor, Tensor, dict[str, Any]]:
    """Features of the samples, of unseen reals and of the images learnt from, and what the protocol says of them."""
    seen = bench.seen
    if seen is None:
        raise DataError(
            f"{metric} asks whether training images were copied: evaluate a run on the data it was trained on, "
            "or leave it out"
        )
    features = bench.features[0]
    fake = bench.generated.features(features)[:NEIGHBOUR_SAMPLES]
    unseen, learnt = bench.unseen(NEIGHBOUR_SAMPLES).features(features), bench.learnt(seen).features(features)
    training = {"name": seen.name, "split": seen.split, "digest": seen.digest, "count": len(learnt)}
    return fake, unseen, learnt, {"samples": len(fake), "unseen reals": len(unseen), "training": training}
