"""What pictures of sentences are worth, painted from sentences of test images, which no model has been told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from cardigan.apps.exhibition import Exhibition, Paintings
from cardigan.apps.model import Model
from cardigan.apps.scores import Score
from cardigan.data import Splits
from cardigan.errors import DataError, RunError
from cardigan.evaluation import METRICS, Evaluation, Result, ms_ssim
from cardigan.evaluation.attributes import (
    first_told,
    readings,
    strangers,
)
from cardigan.evaluation.diversity import PAIRS_AT_ONCE, disjoint_pairs, scales
from cardigan.evaluation.inception_score import mean_score
from cardigan.evaluation.intervals import JACKKNIFE, mean_interval, normal_interval, within
from cardigan.evaluation.sentences import seen_precision

PICTURES = 1_000
PAIRS = 500
LEAST_PAIRS = 10

PAINTING_SCORES = {
    "attributes": Score("higher", "share of what the sentences tell that a classifier reads in the pictures"),
    "r-precision": Score("higher", "share of pictures that are nearer to their own sentence than to {} of other kinds"),
    "inception-score": Score("higher", "how surely and how differently {}, 1 at least"),
    "diversity": Score("target", "likeness (MS-SSIM) of two pictures of one sentence; higher is less diverse"),
}
"""What `--metrics` may name of a model that paints sentences, beside `cardigan.evaluation.METRICS`."""

REASONS = {
    "attributes": "takes sentences of which it is known what they tell, as those of the built-in birds",
    "r-precision": "takes sentences of several kinds of image, and this data has one",
    "inception-score": "takes images with classes or known attributes, and this data has neither",
    "diversity": "takes images of at least 3 x 3 pixels",
}
UNTOLD = (
    "{} tells no sentence of its images, so pictures were painted of training sentences and only compared as samples: "
    "add --set data.text=captions or data.text=classes to hold them to what is said"
)


def painting_results(
    model: Model,
    splits: Splits,
    seed: int = 0,
    scores: Sequence[str] | None = None,
    *,
    samples: int | None = None,
    features: str = "auto",
) -> Evaluation:
    """Measure pictures that are painted of the first sentences of test images, one picture of each.

    Nothing is fitted on test images or on pictures: what judges learns from the training images and their sentences, once,
    and is kept in the cache.

    Args:
        seed: of the noise of each picture, and of which test images where some suffice.
        scores: from `PAINTING_SCORES` and `METRICS`; by default those that suit the data.
        samples: how many test images; by default 1,000, or as many as there are.
        features: of what is measured by `cardigan.evaluation.evaluate`.

    Raises:
        RunError: the model does not paint sentences, or has not one of the scores.
        DataError: no sentence is told of the images, or what was asked for does not suit the data.
    """
    refuse_other_scores(model, scores)
    if splits.test.sentences is None or splits.train.sentences is None:
        raise DataError(UNTOLD.format(splits.test.name))
    show = Exhibition(model, splits, seed, samples or PICTURES, features)
    for name in scores or ():
        if name in PAINTING_SCORES and not show.suits(name):
            raise DataError(f"{name} {REASONS[name]}: leave it out here")
    own = [name for name in scores or PAINTING_SCORES if name in PAINTING_SCORES and show.suits(name)]
    results = [MEASURES[name](show) for name in own]
    judged = show.judged(None if scores is None else [name for name in scores if name in METRICS])
    notes = [by_attribute(result) for result in results if "by attribute" in result.protocol]
    return Evaluation((*results, *judged.results), (*notes, *judged.notes))


def refuse_other_scores(model: Model, scores: Sequence[str] | None) -> None:
    """Refuse what is not measured of pictures of sentences.

    Raises:
        RunError: a score that a model of this kind has not, or the model paints none.
    """
    model.painting()
    for name in scores or ():
        if name not in METRICS and name not in PAINTING_SCORES:
            known = ", ".join(dict.fromkeys((*PAINTING_SCORES, *METRICS)))
            raise RunError(f"a model of the recipe {model.config.recipe} has no {name}: choose from {known}")


# ---- the scores -------------------------------------------------------------------------------------------------------


def attribute_accuracy(show: Exhibition) -> Result:
    """Of what the sentences tell the share that is read in the pictures, beside real birds and pictures of other sentences."""
    classifier, told = show.attributes, first_told(show.test, show.indices)
    seen = show.seen(classifier)
    found = readings(classifier.values, seen, told)
    real = readings(classifier.values, show.seen_in_reals(classifier), told)
    others = strangers(show.kinds, show.seed)
    chance = None if others is None else readings(classifier.values, seen, [told[i] for i in others.tolist()])
    score = PAINTING_SCORES["attributes"]
    shares = {"painted": found, "real": real, "of other sentences": chance}
    return show.result(
        "attribute accuracy",
        found.share,
        found.interval,
        ("the same share in the real images", real.share),
        score,
        by_chance(score.meaning, None if chance is None else chance.share),
        interval=JACKKNIFE,
        chance=None if chance is None else chance.share,
        facts=int(found.told.sum()),
        **{"by attribute": {name: each.by_attribute() for name, each in shares.items() if each is not None}},
        classifier=classifier.protocol,
    )


def precision(show: Exhibition) -> Result:
    """R-precision by the encoders that learnt from the training pairs."""
    joint, told = show.joint, show.test.sentences
    assert told is not None
    found, real = (
        seen_precision(joint, told, show.indices, looks(joint.look), show.seed)
        for looks in (show.seen, show.seen_in_reals)
    )
    assert found is not None
    assert real is not None
    score, others = PAINTING_SCORES["r-precision"], round(1 / found.chance) - 1
    return show.result(
        "R-precision",
        found.value,
        within(normal_interval(found.value, found.error), 1.0),
        ("the same of the real images", real.value),
        score,
        by_chance(score.meaning.format(others), found.chance),
        interval="normal, over the images",
        chance=found.chance,
        encoder=joint.config.model_dump(mode="json"),
    )


def inception_score_by_own_classifier(show: Exhibition) -> Result:
    """Salimans et al. 2016, by the classifier of the data's own classes, or the mean over the heads of that of attributes."""
    knows, classifier = show.knows, show.classifier
    if knows:
        look: Callable[[Tensor], Tensor] = lambda images: torch.cat(show.attributes.probabilities(images), 1)  # noqa: E731
        sizes = [len(values) for values in show.attributes.values.values()]
        told, name = show.attributes.protocol, "attributes"
    else:
        assert classifier is not None
        look, sizes, name = classifier.probabilities, [classifier.classes], "classifier"
        told = {"digest": classifier.digest, **classifier.details}
    value, interval = mean_score(show.seen(look).split(sizes, 1))
    real, _ = mean_score(show.seen_in_reals(look).split(sizes, 1))
    score = PAINTING_SCORES["inception-score"]
    what = "a classifier names the attributes, mean over them" if knows else "a classifier names the classes"
    return show.result(
        f"IS({name})",
        value,
        interval,
        ("as many real images", real),
        score,
        score.meaning.format(what),
        interval=JACKKNIFE,
        classifier=told,
    )


def diversity(show: Exhibition) -> Result:
    """MS-SSIM of two pictures of each of some sentences, with different noise."""
    some = show.indices[:PAIRS]
    again = Paintings(show.model, show.test, some, show.seed, take=1)
    values = [
        ms_ssim(show.paintings.images(at, size) + 1, again.images(at, size) + 1)
        for at, size in ((int(part[0]), len(part)) for part in torch.arange(len(some)).split(PAIRS_AT_ONCE))
    ]
    value, interval = mean_interval(torch.cat(values))
    score, floor = PAINTING_SCORES["diversity"], real_likeness(show)
    return show.result(
        "MS-SSIM of a sentence",
        value,
        interval,
        floor,
        score,
        score.meaning,
        interval="normal, over the sentences",
        samples=len(some),
        scales=scales(*show.test.spec.shape[1:]),
    )


def real_likeness(show: Exhibition) -> tuple[str, float] | None:
    """The same of real training images of one kind; of any two where hardly any kind has two."""
    train = show.splits.train
    if train.sentences is None or len(train) < 2:
        return None
    pairs, name = disjoint_pairs(len(train), train.sentences.kinds, show.seed), "a pair of real images of one kind"
    if len(pairs) < LEAST_PAIRS:
        pairs, name = disjoint_pairs(len(train), None, show.seed), "any pair of real images"
    values = [
        ms_ssim(train.images(part[:, 0]) + 1, train.images(part[:, 1]) + 1)
        for part in pairs[:PAIRS].split(PAIRS_AT_ONCE)
    ]
    return name, torch.cat(values).mean().item()


MEASURES: Mapping[str, Callable[[Exhibition], Result]] = {
    "attributes": attribute_accuracy,
    "r-precision": precision,
    "inception-score": inception_score_by_own_classifier,
    "diversity": diversity,
}


def by_chance(meaning: str, chance: float | None) -> str:
    return meaning if chance is None else f"{meaning}, {chance:.3f} by chance"


def by_attribute(result: Result) -> str:
    """The accuracies of all attributes that are told, in one line."""
    return "; ".join(attribute_lines(result.protocol["by attribute"]))


def attribute_lines(shares: Mapping[str, Mapping[str, float | None]]) -> Iterator[str]:
    others = [name for name in shares if name != "painted"]
    yield f"attribute accuracy of each attribute, painted ({', '.join(others)})"
    for key, value in shares["painted"].items():
        if value is not None:
            beside = ", ".join("-" if (each := shares[name][key]) is None else f"{each:.2f}" for name in others)
            yield f"{key} {value:.2f} ({beside})"
