"""How alike two samples are."""

from collections.abc import Iterator

from torch import Tensor

from cardigan.evaluation.bench import Bench, Side
from cardigan.evaluation.diversity import ms_ssim_pairs, scales
from cardigan.evaluation.intervals import mean_interval
from cardigan.evaluation.protocol import Result

SSIM_IMAGES = 2000


def similarity(bench: Bench) -> Iterator[Result]:
    """MS-SSIM of pairs within a class."""
    bench.need_images("ms-ssim", 3)
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
        interval="normal, over disjoint pairs",
        pairs="within a class" if classify else "any",
        scales=scales(bench.test.spec.height, bench.test.spec.width),
        **(bench.told_by_classifier() if classify else {}),
    )
