"""What a translation is worth on test images: beside its true partners, in its colours, by what can be recognised in it.

Each direction that a model has is measured by itself, and the name of a metric tells it: "psnr to night".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from cardigan.apps.model import Model
from cardigan.apps.translating.adaptation import accuracies
from cardigan.apps.translating.directions import LIKENESS, LPIPS, Context, Direction
from cardigan.apps.translating.tallies import Colours, Likeness, MapRecognition, Perceptual, Recognition, Tally
from cardigan.data import Splits
from cardigan.data.sides import TwoSided
from cardigan.errors import DataError, RunError
from cardigan.evaluation import METRICS, Evaluation, Result

IMAGES = 1_000
OTHER_SIDES = (
    "the two sides of the data differ from those that the model was trained on ({} and {}): give data of the same "
    "channels and classes"
)
TRANSLATION_SCORES = (*LIKENESS, "colours", "segmentation", "accuracy")
"""What `--metrics` may name of a model that translates, beside `cardigan.evaluation.METRICS`."""

BY_DEFAULT = (*TRANSLATION_SCORES, "fd")


def translation_results(
    model: Model,
    splits: Splits,
    seed: int = 0,
    names: Sequence[str] | None = None,
    *,
    samples: int | None = None,
    features: str = "auto",
) -> Evaluation:
    """Measure the translations of test images, in every direction that the model has.

    Nothing is fitted on test images: the segmenter learns from training pairs. Images are translated a part at a time.

    Args:
        seed: of the noise of each translation, and of which images where some suffice.
        names: from `TRANSLATION_SCORES` and `METRICS`; by default those that suit the data, and "fd".
        samples: how many test images of each side; by default 1,000, or as many as there are.
        features: of what is measured by `cardigan.evaluation.evaluate`.

    Raises:
        RunError: the model does not translate, or has not one of the metrics.
        DataError: the data has other sides than the model, or what was asked for does not suit it.
    """
    refuse_other_metrics(model, names)
    train, test = two_sided(model, splits)
    context = Context(model, train, test, seed, samples or IMAGES, features)
    ways = model.translating().reached
    for name in names or ():
        if name == "accuracy" and not accuracies(model, test):
            raise DataError(f"accuracy {REASONS[name]}: leave it out here")
        if name != "accuracy" and is_own(name) and not any(Direction(context, to).suits(name) for to in ways):
            raise DataError(f"{name.split(':')[0]} {REASONS[name.split(':')[0]]}: leave it out here")
    results = accuracies(model, test) if names is None or "accuracy" in names else []
    notes = list(context.notes(names))
    for to in ways:
        direction = Direction(context, to)  # one after the other: each remembers its translations
        results += scored(direction, [n for n in names or BY_DEFAULT if is_own(n) and direction.suits(n)])
        judged = direction.judged([n for n in names or BY_DEFAULT if n in METRICS], lenient=names is None)
        results += judged.results
        notes += judged.notes
    return Evaluation(tuple(results), tuple(notes))


def is_own(name: str) -> bool:
    """Whether a metric is one of translations."""
    return name in TRANSLATION_SCORES or name.startswith(LPIPS)


REASONS = {
    "lpips": "compares grey or RGB translations of at least 31 x 31 pixels with their true partners",
    **dict.fromkeys(LIKENESS, "compares translated photographs with their true partners, and this data has none"),
    "colours": "compares grey or coloured photographs, and the model makes none",
    "accuracy": "is of a classifier, which models of the recipe adaptation have, and of images with classes",
    "segmentation": "takes a side of label maps whose images have partners, and this data has none",
}


def refuse_other_metrics(model: Model, names: Sequence[str] | None) -> None:
    """Refuse what is not measured of translations.

    Raises:
        RunError: a metric that a model of this kind has not, or the model does not translate.
    """
    model.translating()
    for name in names or ():
        if name not in METRICS and not is_own(name):
            known = ", ".join(dict.fromkeys((*BY_DEFAULT, *METRICS)))
            raise RunError(f"a model of the recipe {model.config.recipe} has no {name}: choose from {known}")


def two_sided(model: Model, splits: Splits) -> tuple[TwoSided, TwoSided]:
    """Both splits, whose sides are what the model's are.

    Raises:
        DataError: they are not.
    """
    train, test = splits.train, splits.test
    if not isinstance(train, TwoSided) or not isinstance(test, TwoSided):
        raise DataError(f"{test.name} has one kind of image, and the model translates between two: see data.pairing")
    kinds = [[(side.channels, side.palette) for side in spec.sides] for spec in (model.spec, test.spec)]
    if kinds[0] != kinds[1]:
        raise DataError(OTHER_SIDES.format(*(side.name for side in model.spec.sides)))
    return train, test


def scored(direction: Direction, names: Sequence[str]) -> Iterator[Result]:
    """The scores of these names, all in one pass over the images."""
    kinds: dict[str, Callable[[Direction], Tally]] = {
        **dict.fromkeys(LIKENESS, Likeness),
        "colours": Colours,
        "segmentation": MapRecognition if direction.target.palette else Recognition,
        **{name: partial(Perceptual, files=name.removeprefix(LPIPS)) for name in names if name.startswith(LPIPS)},
    }
    tallies = {kind: kind(direction) for kind in dict.fromkeys(kinds[name] for name in names)}
    for part in direction.parts() if tallies else ():
        for tally in tallies.values():
            tally.add(part)
    for name in names:
        yield from tallies[kinds[name]].results(name)
