"""Each metric by the name a user asks for."""

from collections.abc import Callable, Iterator

from cardigan.evaluation.bench import Bench
from cardigan.evaluation.metrics.copying import authenticity, copying_score
from cardigan.evaluation.metrics.distance import earth_mover, frechet, frechet_infinity, kernel, sliced_distance
from cardigan.evaluation.metrics.mode import high_quality, mode_count, mode_divergence
from cardigan.evaluation.metrics.neighbourhood import coverage, density, precision, recall
from cardigan.evaluation.metrics.similarity import similarity
from cardigan.evaluation.protocol import Result

Metric = Callable[[Bench], Iterator[Result]]

METRICS: dict[str, Metric] = {
    "fd": frechet,
    "fd-infinity": frechet_infinity,
    "kid": kernel,
    "precision": precision,
    "recall": recall,
    "density": density,
    "coverage": coverage,
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
    memory = ["c_t", "auth"] if bench.seen is not None else []
    known = ["modes", "reverse-kl"] if bench.classifier is not None or bench.test.known_modes is not None else []
    if spec.kind == "points":
        quality = ["high-quality"] if bench.test.known_modes is not None else []
        return [*quality, *known, "emd", "fd", *memory]
    distances = ["fd", "fd-infinity", "kid", "precision", "recall", "density", "coverage"]
    patches = ["swd"] if min(spec.height, spec.width) >= 5 else []
    likeness = ["ms-ssim"] if min(spec.height, spec.width) >= 3 else []
    return [*distances, *known, *patches, *likeness, *memory]
