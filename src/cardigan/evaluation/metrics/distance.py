"""Distances between two sets: Fréchet, kernel, sliced and exact Wasserstein."""

from collections.abc import Iterator

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from cardigan.errors import DataError
from cardigan.evaluation import sliced
from cardigan.evaluation.bench import Bench
from cardigan.evaluation.frechet import frechet_distance, frechet_extrapolated
from cardigan.evaluation.intervals import JACKKNIFE, block_interval, jackknife_interval, leaving_out, within
from cardigan.evaluation.kernel import kernel_distance, kernel_distances
from cardigan.evaluation.protocol import Result

SWD_IMAGES = 2048
EMD_POINTS = 1000
WIDE = 512


def frechet(bench: Bench) -> Iterator[Result]:
    """Fréchet distance in the main features and in the second opinion's."""
    for features in bench.features:
        fake, real, held = bench.pairs(features)
        value = frechet_distance(fake, real)
        interval = within(jackknife_interval(value, leaving_out(frechet_distance, fake, real)))
        meaning = "distance of Gaussians fitted to the features"
        floor = frechet_distance(held, real)
        yield bench.result("FD", value, interval, floor, "lower", features, meaning=meaning, interval=JACKKNIFE)


def frechet_infinity(bench: Bench) -> Iterator[Result]:
    """FD∞ in the main features; from fewer distances above 512 dimensions, where each takes seconds."""
    features = bench.features[0]
    fake, real, held = bench.pairs(features)
    groups, parts = (4, 3) if features.dimensions > WIDE else (10, 5)

    def statistic(x: Tensor, y: Tensor) -> float:
        return frechet_extrapolated(x, y, None, parts)

    value = statistic(fake, real)
    yield bench.result(
        "FD∞",
        value,
        jackknife_interval(value, leaving_out(statistic, fake, real, groups)),
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
    value, replicates = kernel_distances(fake, real)
    yield bench.result(
        "KD",
        value,
        jackknife_interval(value, replicates),
        kernel_distance(held, real),
        "lower",
        features,
        meaning="unbiased, 0 for equal distributions, may be negative",
        interval=JACKKNIFE,
    )


def sliced_distance(bench: Bench) -> Iterator[Result]:
    """SWD on patches of images, on the plain coordinates of points."""
    if bench.test.spec.kind == "points":
        fake, real, held = bench.pairs(bench.features[0])
        value = sliced.sliced_wasserstein(fake, real, seed=bench.seed)
        interval = within(jackknife_interval(value, leaving_out(sliced.sliced_wasserstein, fake, real)))
        floor = sliced.sliced_wasserstein(held, real, seed=bench.seed)
        meaning = "mean W1 over 512 directions"
        yield bench.result("SWD", value, interval, floor, "lower", meaning=meaning, interval=JACKKNIFE)
        return
    bench.need_images("swd", 5)
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
        meaning=f"{sliced.patch_size(bench.test.spec.height, bench.test.spec.width)} patches, x10³",
        interval="four disjoint parts, Student's t",
        arithmetic="float32 patches, float64 means",
        levels=levels,
        images=len(fake),
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
        within(jackknife_interval(value, leaving_out(exact_emd, fake, real))),
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
