"""Each metric by the name a user asks for: what it computes on the bench and what it says."""

from collections.abc import Callable, Iterator
from math import inf

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from cardigan.errors import DataError
from cardigan.evaluation import memorisation, modes, sliced
from cardigan.evaluation.bench import Bench, Side
from cardigan.evaluation.diversity import ms_ssim_pairs, scales
from cardigan.evaluation.features import chunk_size
from cardigan.evaluation.frechet import frechet_distance, frechet_extrapolated
from cardigan.evaluation.intervals import (
    block_interval,
    jackknife_interval,
    mean_interval,
    normal_interval,
    within,
)
from cardigan.evaluation.kernel import kernel_distance, kernel_distance_blocks
from cardigan.evaluation.manifold import manifold
from cardigan.evaluation.protocol import Better, Result

Metric = Callable[[Bench], Iterator[Result]]

SWD_IMAGES = 2048
SSIM_IMAGES = 2000
NEIGHBOUR_SAMPLES = 2000
EMD_POINTS = 1000
STACKED_SAMPLES = 26_000
JACKKNIFE = "delete-a-tenth jackknife, Student's t"
WIDE = 512


def frechet(bench: Bench) -> Iterator[Result]:
    """Fréchet distance in the main features and in the second opinion's."""
    for features in bench.features:
        fake, real, held = bench.pairs(features)
        value = frechet_distance(fake, real)
        interval = within(jackknife_interval(frechet_distance, fake, real, value))
        meaning = "distance of Gaussians fitted to the features"
        floor = frechet_distance(held, real)
        yield bench.result("FD", value, interval, floor, "lower", features, meaning=meaning, interval=JACKKNIFE)


def frechet_infinity(bench: Bench) -> Iterator[Result]:
    """FD∞ in the main features; from fewer distances above 512 dimensions, where each takes seconds."""
    features = bench.features[0]
    fake, real, held = bench.pairs(features)
    groups, parts = (4, 3) if features.dimensions > WIDE else (10, 5)

    def statistic(x: Tensor, y: Tensor) -> float:
        return frechet_extrapolated(x, y, bench.seed, parts)

    value = statistic(fake, real)
    yield bench.result(
        "FD∞",
        value,
        jackknife_interval(statistic, fake, real, value, groups),
        statistic(held, real),
        "lower",
        features,
        meaning="the same for infinitely many samples",
        interval=f"jackknife of {groups} groups, Student's t",
        sizes=parts,
    )


def kernel(bench: Bench) -> Iterator[Result]:
    """Unbiased kernel distance in the main features."""
    features = bench.features[0]
    fake, real, held = bench.pairs(features)
    value = kernel_distance(fake, real)
    blocks = kernel_distance_blocks(fake, real, seed=bench.seed)
    size = max(2, min(1000, len(fake) // 10))
    yield bench.result(
        "KD",
        value,
        block_interval(value, blocks),
        kernel_distance(held, real),
        "lower",
        features,
        meaning="unbiased, 0 for equal distributions, may be negative",
        interval=f"s.e. of {len(blocks)} disjoint subsets of {size}, Student's t",
    )


def _manifold_metric(name: str, k: int, verdict: str, better: Better, meaning: str, highest: float = 1.0) -> Metric:
    def metric(bench: Bench) -> Iterator[Result]:
        features = bench.features[0]
        fake, real, held = bench.pairs(features)
        judged = bench.once(f"manifold {k}", lambda: manifold(real, fake, k))
        floor = bench.once(f"manifold of reals {k}", lambda: manifold(real, held, k))
        value, interval = mean_interval(getattr(judged, verdict))
        interval = within(interval, highest)
        how = "normal, over the points judged, the neighbourhoods held fixed"
        yield bench.result(
            name,
            value,
            interval,
            float(getattr(floor, verdict).mean()),
            better,
            features,
            k=k,
            meaning=meaning,
            interval=how,
        )

    return metric


def sliced_distance(bench: Bench) -> Iterator[Result]:
    """SWD on patches of images, on the plain coordinates of points."""
    if bench.test.spec.kind == "points":
        fake, real, held = bench.pairs(bench.features[0])
        value = sliced.sliced_wasserstein(fake, real, seed=bench.seed)
        interval = within(jackknife_interval(sliced.sliced_wasserstein, fake, real, value))
        floor = sliced.sliced_wasserstein(held, real, seed=bench.seed)
        meaning = "mean W1 over 512 directions"
        yield bench.result("SWD", value, interval, floor, "lower", meaning=meaning, interval=JACKKNIFE)
        return
    _need_image(bench, "swd", 5)
    count = SWD_IMAGES * 3 // max(3, bench.test.spec.channels)
    fake, real, held = (side.images(count) for side in (bench.generated, bench.reference, bench.held))

    def mean(x: Tensor, y: Tensor) -> float:
        found = sliced.sliced_patches(x, y, bench.seed)
        return sum(found) / len(found)

    levels = sliced.sliced_patches(fake, real, bench.seed)
    value = sum(levels) / len(levels)
    blocks = [mean(x, y) for x, y in zip(fake.chunk(4), real.chunk(4), strict=False) if len(x) == len(y)]
    yield bench.result(
        "SWD",
        value,
        within(block_interval(value, blocks)),
        mean(held, real),
        "lower",
        meaning="7x7 patches, x10³",
        interval="s.e. of four disjoint parts, Student's t",
        levels=levels,
        images=len(fake),
    )


def _histogram(bench: Bench) -> tuple[modes.Modes, float, str]:
    """Modes of the samples, and the floor of their reverse KL with its name."""
    known, spec = bench.test.known_modes, bench.test.spec
    if spec.kind == "points" and known is not None:
        centres = torch.as_tensor(known.centres)
        points = bench.generated.images(bench.generated.count).flatten(1)
        found = modes.point_modes(points, centres, float(known.deviation))
        return found, found.floor, "a perfect sampler"
    if bench.classifier is None:
        raise DataError("modes take classes or a density with known modes: leave out the metrics modes and reverse-kl")
    classify = bench.classifier.classify
    if known is not None:
        size = bench.generated.source.size
        count = STACKED_SAMPLES if size is None else min(size, STACKED_SAMPLES)
        labels = _labels(Side(bench.generated.source, count), lambda x: modes.stacked_labels(x, classify))
        found = modes.class_modes(labels, modes.uniform(10**spec.channels))
        return found, found.floor, "a perfect sampler"
    real = torch.cat([y for d in (bench.test, bench.train) if d and (y := d.labels(torch.arange(len(d)))) is not None])
    probabilities = modes.frequencies(real, bench.classifier.classes)
    found, held = (modes.class_modes(_labels(s, classify), probabilities) for s in (bench.generated, bench.held))
    return found, held.reverse_kl, "real against real"


def _labels(side: Side, classify: Callable[[Tensor], Tensor]) -> Tensor:
    step = chunk_size(side.source.spec.dimensions)
    starts = range(0, side.count, step)
    return torch.cat([classify(side.source.images(start, min(step, side.count - start))) for start in starts])


def mode_count(bench: Bench) -> Iterator[Result]:
    """Modes with at least one sample."""
    found, _, _ = bench.once("histogram", lambda: _histogram(bench))
    yield bench.result(
        "modes",
        float(found.recovered),
        found.recovered_interval(),
        float(found.total),
        "higher",
        meaning=f"of {found.total} modes, in {found.drawn} samples",
        floor="a perfect sampler",
        interval="Poisson, over another draw of samples",
        samples=found.drawn,
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
    )


def high_quality(bench: Bench) -> Iterator[Result]:
    """Share of points within three standard deviations of a mode."""
    if bench.test.spec.kind != "points" or bench.test.known_modes is None:
        raise DataError("high-quality takes points with known modes (ring, grid): leave it out for images")
    found, _, _ = bench.once("histogram", lambda: _histogram(bench))
    share = found.high_quality
    interval = within(normal_interval(share, (share * (1 - share) / found.drawn) ** 0.5), 1.0)
    yield bench.result(
        "high quality",
        share,
        interval,
        0.9888910034617577,
        "target",
        meaning="share within 3 standard deviations; more is under-dispersion",
        floor="a perfect sampler",
        interval="binomial",
    )


def earth_mover(bench: Bench) -> Iterator[Result]:
    """Exact W1 between equal numbers of samples and reals."""
    if bench.test.spec.kind != "points":
        raise DataError("emd is exact only for points (ring, grid): use swd for images")
    fake, real, held = (s[:EMD_POINTS] for s in bench.pairs(bench.features[0]))
    value = exact_emd(fake, real)
    yield bench.result(
        "EMD",
        value,
        within(jackknife_interval(exact_emd, fake, real, value)),
        exact_emd(held, real),
        "lower",
        meaning=f"exact earth mover's distance of {len(fake)} points",
        interval=JACKKNIFE,
        samples=len(fake),
    )


def exact_emd(x: Tensor, y: Tensor) -> float:
    """Least mean distance of a one-to-one matching of two sets of equal size: their 1-Wasserstein distance.

    Sets of unequal size are cut to the smaller.
    """
    n = min(len(x), len(y))
    cost = torch.cdist(x[:n].double(), y[:n].double(), compute_mode="donot_use_mm_for_euclid_dist").numpy()
    return float(cost[linear_sum_assignment(cost)].mean())


def similarity(bench: Bench) -> Iterator[Result]:
    """MS-SSIM of pairs within a class."""
    _need_image(bench, "ms-ssim", 3)
    classify = None if bench.test.known_modes is not None or bench.classifier is None else bench.classifier.classify

    def pairs(side: Side) -> Tensor:
        images = side.images(SSIM_IMAGES)
        return ms_ssim_pairs(images, classify(images) if classify else None, seed=bench.seed)

    value, interval = mean_interval(pairs(bench.generated))
    yield bench.result(
        "MS-SSIM",
        value,
        interval,
        float(pairs(bench.reference).mean()),
        "target",
        meaning="likeness of two samples" + (" of one class" if classify else "") + "; higher is less diverse",
        floor="a pair of reals",
        interval="normal, over pairs",
        scales=scales(bench.test.spec.height, bench.test.spec.width),
    )


def copying_score(bench: Bench) -> Iterator[Result]:
    """C_T in the main features."""
    fake, test, train = _memory_features(bench, "c_t")
    found = memorisation.copying(fake, test, train, bench.seed)
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
        **_counts(fake, test, train),
    )


def authenticity(bench: Bench) -> Iterator[Result]:
    """AuthPct in the main features, beside that of unseen reals."""
    fake, test, train = _memory_features(bench, "auth")
    value, interval = mean_interval(100 * memorisation.authentic(fake, train))
    interval = within(interval, 100.0)
    yield bench.result(
        "AuthPct",
        value,
        interval,
        100 * float(memorisation.authentic(test, train).mean()),
        "target",
        bench.features[0],
        meaning="share not suspiciously near a training image, in percent",
        floor="an unseen real",
        interval="binomial",
        **_counts(fake, test, train),
    )


def _memory_features(bench: Bench, metric: str) -> tuple[Tensor, Tensor, Tensor]:
    if bench.train is None:
        raise DataError(f"{metric} asks whether training images were copied: give the training split, or leave it out")
    features = bench.features[0]
    fake = bench.generated.features(features)[:NEIGHBOUR_SAMPLES]
    return fake, bench.unseen(NEIGHBOUR_SAMPLES).features(features), bench.training().features(features)


def _counts(fake: Tensor, test: Tensor, train: Tensor) -> dict[str, int]:
    return {"samples": len(fake), "unseen reals": len(test), "training images": len(train)}


def _need_image(bench: Bench, metric: str, side: int) -> None:
    spec = bench.test.spec
    if spec.kind == "points" or min(spec.height, spec.width) < side:
        raise DataError(f"{metric} takes images of at least {side}x{side}: leave it out here")


METRICS: dict[str, Metric] = {
    "fd": frechet,
    "fd-infinity": frechet_infinity,
    "kid": kernel,
    "precision": _manifold_metric("precision", 3, "fake_inside", "higher", "share of samples that look real"),
    "recall": _manifold_metric("recall", 3, "real_inside", "higher", "share of reals the samples reach"),
    "density": _manifold_metric("density", 5, "fake_density", "higher", "how deep among the reals; may exceed 1", inf),
    "coverage": _manifold_metric("coverage", 5, "real_covered", "higher", "share of reals with a sample nearby"),
    "modes": mode_count,
    "reverse-kl": mode_divergence,
    "high-quality": high_quality,
    "emd": earth_mover,
    "swd": sliced_distance,
    "ms-ssim": similarity,
    "c_t": copying_score,
    "auth": authenticity,
}


def default_metrics(bench: Bench) -> list[str]:
    """All that say something about this data: Fréchet distance and its limit, kernel distance, and so on."""
    spec = bench.test.spec
    memory = ["c_t", "auth"] if bench.train is not None else []
    known = ["modes", "reverse-kl"] if bench.classifier is not None or bench.test.known_modes is not None else []
    if spec.kind == "points":
        quality = ["high-quality"] if bench.test.known_modes is not None else []
        return [*quality, *known, "emd", "fd", *memory]
    distances = ["fd", "fd-infinity", "kid", "precision", "recall", "density", "coverage"]
    patches = ["swd"] if min(spec.height, spec.width) >= 5 else []
    likeness = ["ms-ssim"] if min(spec.height, spec.width) >= 3 else []
    return [*distances, *known, *patches, *likeness, *memory]
