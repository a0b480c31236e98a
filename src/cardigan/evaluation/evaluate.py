"""Judge images against real ones: the one verb of this room."""

from collections.abc import Sequence
from pathlib import Path

import torch

from cardigan import __version__
from cardigan.data.cache import cache_folder
from cardigan.errors import DataError, RecipeError
from cardigan.evaluation.bench import LEAST, Bench, Reals, Side, split_reals
from cardigan.evaluation.choose import choose_features, domain_classifier
from cardigan.evaluation.features import Features
from cardigan.evaluation.metrics import METRICS, default_metrics
from cardigan.evaluation.protocol import Evaluation
from cardigan.evaluation.sources import Dataset, ImageSource, Remembered

IMAGES = 10_000
POINTS = 2500
SAMPLES_PER_DIMENSION = 10


def evaluate(
    generated: ImageSource,
    reference: Dataset,
    *,
    train: Dataset | None = None,
    seen: Dataset | None = None,
    metrics: Sequence[str] | None = None,
    samples: int | None = None,
    features: str = "auto",
    seed: int = 0,
    cache: Path | None = None,
    device: str | torch.device = "cpu",
) -> Evaluation:
    """Measure how far generated images are from real ones.

    Args:
        generated: a model's samples, a folder of pictures (`FromDataset`): anything that yields the image of an index.
        reference: real images, best a split no model was trained on.
        train: other real images: labels for the features' classifier, and the floor.
        seen: the images the model was trained on, where they are known: searched for copies.
        metrics: names from `METRICS`; by default all that suit the data.
        samples: on each side; by default 10,000 images or 2,500 points, or as many as there are. All distances are
            biased at finite n: compare at equal n only.
        features: auto, classifier, random, identity, ``inception:FILE`` or ``dinov2:FOLDER_OR_HUB_ID``. By default a
            classifier of the training labels where there are any, else a seeded random network; points as they are.
        seed: of every draw: which images, pairs, patches and directions.
        cache: folder for the trained classifier; the one of ``CARDIGAN_CACHE`` by default.
        device: where the feature network runs; the arithmetic is float64 on the CPU.

    Raises:
        RecipeError: an unknown metric.
        DataError: shapes that differ, too few images, or a metric that does not suit the data.
        RunError: feature weights that cannot be used.
    """
    _check(generated, reference, metrics, samples)
    folder = cache_folder() if cache is None else cache
    wants = _wants_classifier(features, metrics)
    classifier = domain_classifier(reference, train, folder, device=device) if wants else None
    extractors = choose_features(features, reference.spec, classifier, device)
    wanted = samples or (POINTS if reference.spec.kind == "points" else IMAGES)
    wanted = wanted if generated.size is None else min(wanted, generated.size)
    reals = split_reals(reference, train, wanted, seed)
    bench = Bench(
        generated=Side(Remembered(generated), reals.count),
        reference=Side(Remembered(reals.reference), reals.count),
        held=Side(Remembered(reals.held), reals.count),
        features=extractors,
        classifier=classifier,
        train=train,
        seen=seen,
        test=reference,
        seed=seed,
        common=_protocol(generated, reference, reals, _drawn(reals, extractors, train), seed),
    )
    names = default_metrics(bench) if metrics is None else metrics
    results = [result for name in names for result in METRICS[name](bench)]
    return Evaluation(tuple(results), tuple(_notes(samples, reals, bench)))


def _check(generated: ImageSource, reference: Dataset, metrics: Sequence[str] | None, samples: int | None) -> None:
    for name in metrics or ():
        if name not in METRICS:
            raise RecipeError(f"unknown metric '{name}': choose from {', '.join(METRICS)}")
    if generated.spec.shape != reference.spec.shape:
        mine, theirs = ("x".join(map(str, spec.shape)) for spec in (generated.spec, reference.spec))
        raise DataError(f"{generated.name} is {mine} and {reference.name} {theirs}: give both the same shape")
    if not len(reference):
        raise DataError(f"{reference.name} has no {reference.split} images to compare with: choose another split")
    for what, count in ((generated.name, generated.size), ("--samples", samples)):
        if count is not None and count < LEAST:
            raise DataError(f"{what} gives {count} images, a comparison takes at least {LEAST}")


def _wants_classifier(features: str, metrics: Sequence[str] | None) -> bool:
    return (
        features in ("auto", "classifier") or metrics is None or bool({"modes", "reverse-kl", "ms-ssim"} & set(metrics))
    )


def _protocol(generated: ImageSource, reference: Dataset, reals: Reals, drawn: str, seed: int) -> dict[str, object]:
    return {
        "generated": {"name": generated.name, "digest": generated.digest},
        "samples": reals.count,
        "reference": {
            "name": reference.name,
            "digest": reals.digest,
            "split": reals.split,
            "count": reals.count,
            "drawn": drawn,
        },
        "floor images": {"split": reals.floor_split, "digest": reals.held.digest, "count": reals.count},
        "seed": seed,
        "arithmetic": "float64",
        "version": __version__,
    }


def _drawn(reals: Reals, extractors: Sequence[Features], train: Dataset | None) -> str:
    """Where the reals come from, and whether the features had seen those of the floor."""
    if extractors[0].name != "classifier" or train is None:
        return reals.description
    if train in reals.splits:
        return f"{reals.description}, most of both seen by the classifier in its training"
    return reals.description + (
        ", training images that the classifier has seen" if reals.floor_split == train.split else ""
    )


def _notes(samples: int | None, reals: Reals, bench: Bench) -> list[str]:
    main = bench.features[0]
    needed = SAMPLES_PER_DIMENSION * main.dimensions
    notes = [f"reference: {reals.count} images, {_drawn(reals, bench.features, bench.train)}"]
    if len(reals.splits) > 1 and bench.seen is not None:
        notes.append("the reference holds training images: a model that copies them scores as well as reality")
    if samples is not None and samples > reals.count:
        notes.append(f"{samples} samples were asked for, {reals.count} could be compared at equal count")
    if reals.count < needed and main.name != "identity":
        notes.append(
            f"{reals.count} samples are fewer than ten times the {main.dimensions} dimensions of the "
            f"features: FD is mostly bias below {needed}; trust it only beside the floor"
        )
    if bench.seen is None and main.name != "identity":
        notes.append("copying was not looked for: it takes the images that the model was trained on")
    return notes
