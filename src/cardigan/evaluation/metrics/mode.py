"""Which modes the samples reach, and how evenly, where the modes are known or a classifier tells them."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from cardigan.errors import DataError
from cardigan.evaluation import modes
from cardigan.evaluation.bench import Bench, Side
from cardigan.evaluation.features import chunk_size
from cardigan.evaluation.intervals import WILSON, share_interval
from cardigan.evaluation.protocol import Result

STACKED_SAMPLES = 26_000
PERFECT_QUALITY = 0.9888910034617577  # 1 - exp(-9/2): a plane Gaussian within three standard deviations


def mode_count(bench: Bench) -> Iterator[Result]:
    """Modes with at least one sample."""
    found, _, _ = bench.once("histogram", lambda: _histogram(bench))
    yield bench.result(
        "modes",
        float(found.recovered),
        found.recovered_interval(),
        found.recovered_floor,
        "higher",
        meaning=f"of {found.total} modes, in {found.drawn} samples",
        floor="a perfect sampler",
        interval="Poisson, over another draw of samples",
        samples=found.drawn,
        **bench.told_by_classifier(),
    )


def mode_divergence(bench: Bench) -> Iterator[Result]:
    """Reverse KL of the histogram over modes."""
    found, floor, name = bench.once("histogram", lambda: _histogram(bench))
    yield bench.result(
        "reverse KL",
        found.reverse_kl,
        found.reverse_kl_interval(),
        floor,
        "lower",
        meaning=f"unevenness over the modes, in nats, from {int(found.counts.sum())} samples",
        floor=name,
        interval="delta method with χ² spread",
        samples=found.drawn,
        **bench.told_by_classifier(),
    )


def high_quality(bench: Bench) -> Iterator[Result]:
    """Share of points within three standard deviations of a mode."""
    if bench.test.spec.kind != "points" or bench.test.known_modes is None:
        raise DataError("high-quality takes points with known modes (ring, grid): leave it out for images")
    found, _, _ = bench.once("histogram", lambda: _histogram(bench))
    share = found.high_quality
    yield bench.result(
        "high quality",
        share,
        share_interval(share, found.drawn),
        PERFECT_QUALITY,
        "target",
        meaning="share within 3 standard deviations; more is under-dispersion",
        floor="a perfect sampler",
        interval=WILSON,
        samples=found.drawn,
    )


def _histogram(bench: Bench) -> tuple[modes.Modes, float, str]:
    """Modes of the samples, and the floor of their reverse KL with its name."""
    known, spec = bench.test.known_modes, bench.test.spec
    if spec.kind == "points" and known is not None:
        centres = torch.as_tensor(known.centres)
        points = bench.generated.images(bench.generated.count).flatten(1)
        found = modes.point_modes(points, centres, float(known.deviation))
        return found, found.reverse_kl_floor, "a perfect sampler"
    if bench.classifier is None:
        raise DataError("modes take classes or a density with known modes: leave out the metrics modes and reverse-kl")
    classify = bench.classifier.classify
    if known is not None:
        size = bench.generated.source.size
        count = STACKED_SAMPLES if size is None else min(size, STACKED_SAMPLES)
        labels = _labels(Side(bench.generated.source, count), lambda x: modes.stacked_labels(x, classify))
        found = modes.class_modes(labels, modes.uniform(10**spec.channels))
        return found, found.reverse_kl_floor, "a perfect sampler"
    real = torch.cat([y for d in (bench.test, bench.train) if d and (y := d.labels(torch.arange(len(d)))) is not None])
    probabilities = modes.frequencies(real, bench.classifier.classes)
    found, held = (modes.class_modes(_labels(s, classify), probabilities) for s in (bench.generated, bench.held))
    return found, held.reverse_kl, "real against real"


def _labels(side: Side, classify: Callable[[Tensor], Tensor]) -> Tensor:
    step = chunk_size(side.source.spec.dimensions)
    starts = range(0, side.count, step)
    return torch.cat([classify(side.source.images(start, min(step, side.count - start))) for start in starts])
