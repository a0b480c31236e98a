"""Judge a trained model, or pictures made by anything, against real images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from cardigan.apps.files import read, reading_options
from cardigan.apps.loglik import METRIC as LOGLIK
from cardigan.apps.loglik import log_likelihood
from cardigan.apps.model import Model, ModelSource, load
from cardigan.apps.painting_scores import PAINTING_SCORES, UNTOLD, painting_results
from cardigan.apps.scores import SCORES, reconstruction_results, refuse_missing
from cardigan.apps.translating.directions import LPIPS
from cardigan.apps.translating.scores import TRANSLATION_SCORES, is_own, translation_results, two_sided
from cardigan.data import DataOptions, DataSpec, Splits
from cardigan.errors import DataError, RecipeError
from cardigan.evaluation import METRICS, Evaluation, Result
from cardigan.evaluation import evaluate as judge
from cardigan.evaluation.sources import Joined
from cardigan.training.device import choose_device
from cardigan.training.run import RunFolder

# A tenth is kept back from a training. Where nothing is trained, one half is compared with and one gives the floor.
HALVED = DataOptions(held_out=0.5)
OTHER_SPLIT = (
    "not the images, or not the split of them, that the run was trained on: it may know its test images by heart"
)
KNOWN = tuple(dict.fromkeys((*METRICS, *SCORES, *TRANSLATION_SCORES, *PAINTING_SCORES, LOGLIK)))
RESIZING = "Lanczos, antialiased, by Pillow, on the stored levels"


def evaluate(
    judged: str | Path,
    data: str | Path | None = None,
    *,
    metrics: str | Sequence[str] | None = None,
    samples: int | None = None,
    features: str = "auto",
    seed: int = 0,
    steps: int | None = None,
    chains: int | None = None,
    settings: Sequence[str] | dict[str, Any] = (),
    device: str = "auto",
) -> Evaluation:
    """Measure a run's model, or a folder of pictures, against real images.

    >>> print(cardigan.evaluate("runs/digits"))                                        # doctest: +SKIP
    >>> print(cardigan.evaluate("their_pictures/", "real_pictures/", samples=2_000))   # doctest: +SKIP

    Args:
        judged: a run folder, a model folder, or images in any form that can be trained on.
        data: the real images; a run's own data by default. Their test split is the reference, the training split
            gives labels for features and is searched for copies.
        metrics: names from `cardigan.evaluation.METRICS` and, for a model that encodes, `cardigan.apps.scores.SCORES`,
            for one that translates `cardigan.apps.translating.scores.TRANSLATION_SCORES`, for one that paints sentences
            `cardigan.apps.painting_scores.PAINTING_SCORES`; by default all that suit; "loglik" (`cardigan.apps.loglik`),
            which takes 5 million passes through the decoder and back, only where it is named. One string of names with
            commas between them does, too.
        samples: how many; of "loglik", of translations and of pictures of sentences how many test images.
        steps, chains: of the annealing that "loglik" is measured by.
        settings: how to read the images: "data.size=64".

    Raises:
        CardiganError: with one line that says what to do.
    """
    metrics = listed(metrics)
    refuse_unknown(metrics)
    refuse_idle(metrics, steps=steps, chains=chains)
    path = Path(judged)
    how: dict[str, Any] = {"metrics": metrics, "samples": samples, "features": features, "seed": seed}
    effort = {"steps": steps, "chains": chains}
    if (path / "run.toml").is_file():
        record = RunFolder(path).read_record()
        options = reading_options(settings, record.recipe.data)
        model, real = load(path, device), data or record.data
    elif (path / "config.json").is_file():
        model = load(path, device)
        options, real = reading_options(settings, options_of(model.spec)), data or model.config.data
    elif data is None:
        missing = f"{judged} does not exist" if not path.exists() else f"{judged} is not a run"
        raise DataError(f"{missing}: give a run folder, or pictures and the real ones with --data DATA")
    else:
        refuse_of_pictures(judged, metrics)
        options = reading_options(settings)
        made, reals = read(judged, options), read(data, reading_options(settings, HALVED))
        refuse_other_shape(str(judged), made.train.spec.shape, str(data), reals.train.spec.shape)
        found = compare_pictures(made, reals, device=str(choose_device(device)), **how)
        return with_reading(found, options, {str(judged): made, str(data): reals})
    splits = read(real, options)
    if model.can_translate:
        two_sided(model, splits)
    refuse_other_shape("the model's samples", model.spec.shape, str(real), splits.train.spec.shape)
    found = evaluate_model(model, splits, **how, **effort)
    if data is None and splits.train.digest != model.config.digest:
        found = replace(found, notes=(*found.notes, OTHER_SPLIT))
    return with_reading(found, options, {str(real): splits})


def options_of(spec: DataSpec) -> DataOptions:
    """How data for a model of this spec is read, as far as the spec tells."""
    if not spec.sides:
        return DataOptions() if spec.text is None else DataOptions(encoder=spec.text)
    a, b = spec.sides
    return DataOptions(
        pairing="paired" if spec.paired else "unpaired",
        sides=(a.name, b.name),
        label_maps=tuple(side.name for side in spec.sides if side.palette),
        coding=a.coding,
    )


def compare_pictures(made: Splits, real: Splits, *, seed: int = 0, **how: Any) -> Evaluation:
    """Pictures that nobody trains on, those of both splits, against real ones; the seed says which where some suffice."""
    parts = [(split, torch.arange(len(split))) for split in (made.train, made.test)]
    return judge(Joined(parts, made.train.name, seed), real.test, train=real.train, seed=seed, **how)


def evaluate_model(
    model: Model,
    splits: Splits,
    *,
    metrics: Sequence[str] | None = None,
    samples: int | None = None,
    features: str = "auto",
    seed: int = 0,
    steps: int | None = None,
    chains: int | None = None,
) -> Evaluation:
    """All that can be measured of a model: reconstruction or translation of test images, or pictures of what is said of
    them, and samples against them.

    Its log-likelihood, too, where it is asked for by name. Where nothing is, and reconstructions can be measured but
    samples not compared, a note says why.

    Raises:
        RunError: a metric asked for that this kind of model has not.
        CardiganError: as `cardigan.evaluation.evaluate`.
    """
    if model.can_translate:
        return translation_results(model, splits, seed, metrics, samples=samples, features=features)
    if model.can_paint and splits.test.sentences is not None:
        return painting_results(model, splits, seed, metrics, samples=samples, features=features)
    if any(is_own(name) and name not in SCORES for name in metrics or ()):
        model.translating()
    if any(name in PAINTING_SCORES for name in metrics or ()):
        model.painting()
        raise DataError(UNTOLD.format(splits.test.name))
    own, of_samples = divided(metrics, model)
    refuse_missing(model, own if metrics else [])
    results: list[Result] = []
    notes: tuple[str, ...] = ()
    if own:
        model.encoding()
        results += reconstruction_results(model, splits.test, seed, own)
    if of_samples is None or of_samples:
        model.generative()
        compare = judge if metrics or not results else judged_if_possible
        judgement = compare(
            ModelSource(model, seed),
            splits.test,
            train=splits.train,
            seen=splits.train if splits.train.digest == model.config.digest else None,
            metrics=of_samples,
            samples=samples,
            features=features,
            seed=seed,
            device=model.device,
        )
        results += judgement.results
        notes = judgement.notes
        if model.can_paint:
            notes = (UNTOLD.format(splits.test.name), *notes)
    if LOGLIK in (metrics or ()):
        given = {"images": samples, "steps": steps, "chains": chains}
        effort = {name: value for name, value in given.items() if value is not None}
        likelihood = log_likelihood(model, splits.test, seed=seed, **effort)
        results += likelihood.results
        notes += likelihood.notes
    return Evaluation(tuple(results), notes)


def judged_if_possible(*sides: Any, **how: Any) -> Evaluation:
    """`judge`, or a note of why there is nothing to compare."""
    try:
        return judge(*sides, **how)
    except DataError as error:
        return Evaluation((), (f"samples were not compared: {error}",))


def divided(metrics: Sequence[str] | None, model: Model) -> tuple[list[str], list[str] | None]:
    """Metrics of reconstructions, and of samples (None: all that suit them)."""
    if metrics is None:
        return list(SCORES) if model.can_encode else [], None if model.can_sample else []
    return [name for name in metrics if name in SCORES], [name for name in metrics if name not in (*SCORES, LOGLIK)]


def listed(metrics: str | Sequence[str] | None) -> list[str] | None:
    """Names of metrics; they may come in one string, with commas between them.

    Raises:
        RecipeError: where there is none.
    """
    if metrics is None:
        return None
    names = [name.strip() for name in (metrics.split(",") if isinstance(metrics, str) else metrics)]
    if not any(names):
        raise RecipeError(f"no metric is named: choose from {', '.join(KNOWN)}")
    return [name for name in names if name]


def refuse_unknown(metrics: Sequence[str] | None) -> None:
    for name in metrics or ():
        if name not in KNOWN and not name.startswith(LPIPS):
            raise RecipeError(f"unknown metric {name!r}: choose from {', '.join(KNOWN)}")


def refuse_idle(metrics: Sequence[str] | None, **given: int | None) -> None:
    for name, value in given.items():
        if value is not None and LOGLIK not in (metrics or ()):
            raise RecipeError(f"--{name} changes nothing here: it is of the annealing, add --metrics {LOGLIK}")


def refuse_of_pictures(judged: str | Path, metrics: Sequence[str] | None) -> None:
    for name in metrics or ():
        if name not in METRICS:
            raise RecipeError(f"{name} is measured of a model, and {judged} are pictures: give a run folder")


def refuse_other_shape(made: str, shape: tuple[int, ...], real: str, wanted: tuple[int, ...]) -> None:
    """Say which settings bring two sets of pictures to one shape, where any do."""
    if shape == wanted:
        return
    mine, theirs = ("x".join(map(str, each)) for each in (shape, wanted))
    (channels, height, width), settings = shape, ""
    if shape[1:] != wanted[1:]:
        settings += f" --set data.size={height if height == width else f'[{height},{width}]'}"
    if shape[0] != wanted[0]:
        settings += f" --set data.channels={channels}"
    convertible = {shape[0], wanted[0]} <= {1, 3, 4} and 1 not in (*shape[1:], *wanted[1:])
    advice = f"bring them to one shape with{settings}" if convertible else "compare with others"
    raise DataError(f"{made} are {mine} and those of {real} {theirs}: {advice}")


def with_reading(evaluation: Evaluation, options: DataOptions, sources: dict[str, Splits]) -> Evaluation:
    """The evaluation with what there is to know of its images: what was left out, guessed, resized or converted."""
    read = tuple(f"{name}: {note}" for name, splits in sources.items() for note in splits.notes)
    evaluation = replace(evaluation, notes=(*evaluation.notes, *read))
    if options.size is None and options.channels is None:
        return evaluation
    how = {"resized": {**options.model_dump(mode="json", include={"size", "channels", "fit"}), "filter": RESIZING}}
    results = tuple(replace(result, protocol={**result.protocol, **how}) for result in evaluation.results)
    return replace(evaluation, results=results)
