"""From data to a trained, evaluated and reported model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from cardigan.apps.evaluate import evaluate_model
from cardigan.apps.files import read
from cardigan.apps.model import Model, ModelSource, class_frequencies, load
from cardigan.apps.neighbours import nearest_panel
from cardigan.apps.report import write_report
from cardigan.data import Splits
from cardigan.data.builtin import BUILTIN
from cardigan.data.cache import cache_folder
from cardigan.data.public import PUBLIC
from cardigan.errors import DataError, RecipeError, RunError, TrainingError
from cardigan.evaluation import Evaluation, FrechetScore, choose_features, domain_classifier
from cardigan.games import Encoding, Generative
from cardigan.games.base import side_by_side
from cardigan.training.automatic import fit_to_data
from cardigan.training.checkpoint import write_atomically
from cardigan.training.device import choose_device
from cardigan.training.journal import require_tensorboard
from cardigan.training.pictures import draw, save_picture
from cardigan.training.progress import Listener, listener
from cardigan.training.recipe import Recipe, build_recipe, data_options, merge, parse_settings, recipe_table
from cardigan.training.run import RunFolder, RunRecord
from cardigan.training.session import Score, Session
from cardigan.training.trainer import Trainer


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        folder: the run folder.
        model: the deployed model: the best one found, where the game has a score to choose by.
        evaluation: the report's numbers.
        verdict: how the training went, in words.
    """

    folder: Path
    model: Model
    evaluation: Evaluation | None
    verdict: str


def train(
    data: str | Path | None = None,
    *,
    recipe: str | None = None,
    out: str | Path,
    images: int | None = None,
    minutes: float | None = None,
    settings: Sequence[str] | dict[str, Any] = (),
    resume: bool = False,
    device: str = "auto",
    evaluate: bool = True,
    progress: Listener | None = None,
) -> Run:
    """Train a model and leave everything in a run folder.

    >>> run = cardigan.train("digits", out="runs/digits", images=20_000)      # doctest: +SKIP
    >>> run.model.sample(4).shape                                              # doctest: +SKIP
    torch.Size([4, 1, 8, 8])

    Args:
        data: a folder, archive, array file or built-in name; may be left out when resuming.
        recipe: a recipe's name or a TOML file; by default one is fitted to the images and the machine.
        images, minutes: how long to train; at most one of them.
        settings: changes to the recipe, as "key.sub=value" strings or as a nested dict.
        resume: go on with the run in `out`, or start it where there is none.

    Raises:
        CardiganError: with one line that says what to do.
    """
    hear = progress or listener()
    choose_device(device)  # a wrong one is refused before the data is read
    if images is not None and minutes is not None:
        raise RecipeError("give --images or --minutes, not both")
    changes = dict(settings) if isinstance(settings, dict) else parse_settings(settings)
    if images is not None:
        changes = merge(changes, {"images": images})
    folder = RunFolder(Path(out))
    going_on = resume and folder.record_file.is_file()
    if not going_on:
        folder.refuse_if_taken()
    with folder.claimed():
        return play(folder, data, recipe, changes, minutes, going_on, hear, device, evaluate)


def play(
    folder: RunFolder,
    data: str | Path | None,
    recipe: str | None,
    changes: dict[str, Any],
    minutes: float | None,
    going_on: bool,
    hear: Listener,
    device: str,
    evaluate: bool,
) -> Run:
    """Train in a folder that is claimed for this process."""
    if going_on:
        record, splits = reopen(folder, data, recipe, changes)
    else:
        record, splits = prepare(folder, data, recipe, changes, device)
    trainer = Trainer(record, splits, folder, device)
    if going_on:
        trainer.restore()
    if minutes is not None:
        record = fix_length(trainer, minutes, hear)
        trainer = Trainer(record, splits, folder, device)
        if going_on:
            trainer.restore()
    score = selection_score(trainer)
    folder.create(record)
    for line in (*opening_notes(trainer), opening_line(trainer)):
        hear.note(line)
    session = Session(trainer, hear, score=score)
    try:
        session.run()
    except TrainingError:
        if (folder.model / "config.json").is_file():
            finish(folder, splits, trainer, evaluate=False)
        raise
    return finish(folder, splits, trainer, evaluate)


def finish(folder: RunFolder, splits: Splits, trainer: Trainer, evaluate: bool) -> Run:
    """Sample the deployed model, measure it, and write the report."""
    verdict = trainer.health.verdict()
    model = load(folder.path, str(trainer.arithmetic.device))
    picture = final_picture(model, splits)
    save_picture(picture, folder.path / "samples.png")
    try:
        evaluation = evaluate_model(model, splits, features=trainer.recipe.features) if evaluate else None
    except DataError as error:  # too few images to compare with; the model and its pictures are there all the same
        evaluation = Evaluation((), (f"not measured: {error}",))
    if evaluation:
        write_atomically(folder.evaluation_file, lambda path: path.write_text(evaluation.to_json()))
    write_report(folder, verdict, evaluation, picture, nearest_panel(model, splits.train))
    return Run(folder.path, model, evaluation, verdict)


def final_picture(model: Model, splits: Splits) -> Image.Image:
    """What the model makes: samples, or where it cannot sample test images beside their reconstructions."""
    if model.can_sample:
        return draw(model.sample(64 if model.spec.kind == "images" else 2_000), model.spec)
    count = len(splits.test)
    shown = min(32, count)
    images = splits.test.images(torch.arange(shown) * count // shown)
    return draw(side_by_side(images, model.reconstruct(images)), model.spec, columns=8)


def prepare(
    folder: RunFolder, data: str | Path | None, recipe: str | None, changes: dict[str, Any], device: str
) -> tuple[RunRecord, Splits]:
    """Open the data and resolve the recipe of a new run, before anything is written."""
    if data is None:
        raise RecipeError("name the data to train on: cardigan train DATA --out RUN")
    folder.refuse_if_taken()
    table = recipe_table(recipe or "default")
    options = data_options(merge(table, changes).get("data", {}))
    splits = read(data, options)
    if recipe in (None, "default"):
        table = fit_to_data(table, splits.train.spec, choose_device(device))
    resolved = build_recipe(merge(table, changes))
    spec, digest = splits.train.spec, splits.train.digest
    if resolved.log.tensorboard:
        require_tensorboard()
    if resolved.data.flip and spec.kind != "images":
        raise RecipeError(f"data.flip mirrors images, and {data} has points: leave it out")
    return RunRecord(data=location(data), digest=digest, spec=spec, recipe=resolved), splits


def location(data: str | Path) -> str:
    """Where the data can be found from any folder: a built-in or public name as it is, else an absolute path."""
    named = str(data) in BUILTIN or str(data) in PUBLIC
    return str(data) if named else str(Path(data).expanduser().resolve())


def reopen(
    folder: RunFolder, data: str | Path | None, recipe: str | None, changes: dict[str, Any]
) -> tuple[RunRecord, Splits]:
    """The record of an existing run, with its length or settings changed if asked for, and its data."""
    record = folder.read_record()
    if recipe is not None and recipe_table(recipe).get("recipe") != record.recipe.recipe:
        raise RunError(f"{folder.path} was begun with the recipe {record.recipe.recipe}: resume without --recipe")
    splits = read(data or record.data, record.recipe.data)
    if splits.train.digest != record.digest:
        raise RunError(
            f"{folder.path} was trained on other images than {data or record.data} holds now: start a new run"
        )
    resolved = build_recipe(merge(record.recipe.model_dump(mode="json", exclude_none=True), changes))
    refuse_changes(record.recipe, resolved)
    return replaced(record, data=location(data or record.data), recipe=resolved), splits


def refuse_changes(begun: Recipe, resumed: Recipe) -> None:
    """What a checkpoint or the count of images rests on cannot change within a run."""
    for key in ("seed", "batch", "data"):
        if getattr(begun, key) != getattr(resumed, key):
            raise RunError(f"{key} cannot change within a run: resume without that setting, or start a new run")
    for player, optimiser in begun.optimiser.items():
        if resumed.optimiser[player].name != optimiser.name:
            raise RunError(f"optimiser.{player}.name cannot change within a run: start a new run")


def fix_length(trainer: Trainer, minutes: float, hear: Listener) -> RunRecord:
    """The record with as many images as `minutes` are worth, by the speed of a few rounds that are then forgotten.

    A training's length is always a number of images, so that one bounded by time can be resumed and repeated exactly.
    """
    done = trainer.images
    trainer.play_round()
    began, before, rounds = time.perf_counter(), trainer.images, 0
    while time.perf_counter() - began < min(5.0, 3.0 * minutes) or rounds < 3:
        trainer.play_round()
        rounds += 1
    rate = (trainer.images - before) / (time.perf_counter() - began)
    batch = trainer.recipe.batch
    images = done + max(1, round(0.9 * rate * 60 * minutes / batch)) * batch  # a tenth for pictures and checkpoints
    hear.note(f"{minutes:g} minutes at {rate:,.0f} images/s: {images:,} images")
    recipe = trainer.recipe.model_dump(mode="json", exclude_none=True) | {"images": images}
    return replaced(trainer.record, data=trainer.record.data, recipe=build_recipe(recipe))


def replaced(record: RunRecord, *, data: str, recipe: Recipe) -> RunRecord:
    return RunRecord(data=data, digest=record.digest, spec=record.spec, recipe=recipe)


def opening_notes(trainer: Trainer) -> list[str]:
    """What there is to know of the data before hours are spent on it."""
    notes = [f"note: {note}" for note in trainer.splits.notes]
    count, batch = len(trainer.splits.train), trainer.recipe.batch
    if batch > count:
        notes.append(f"note: each batch of {batch} shows some of the {count} training images more than once")
    return notes


def opening_line(trainer: Trainer) -> str:
    spec, count = trainer.record.spec, len(trainer.splits.train)
    shape = f"{spec.channels}x{spec.height}x{spec.width}"
    arithmetic = trainer.arithmetic
    precision = "bfloat16" if arithmetic.bfloat16 else "float32"
    sizes = [f"{seat.name} {sum(p.numel() for p in seat.parameters):,}" for seat in trainer.seats.values()]
    start = f"from {trainer.images:,} of" if trainer.images else "for"
    return (
        f"{trainer.recipe.recipe} on {trainer.record.data}: {count:,} x {shape}; parameters {', '.join(sizes)}; "
        f"batch {trainer.recipe.batch} {start} {trainer.recipe.images:,} images; {arithmetic.device} {precision}"
    )


def selection_score(trainer: Trainer) -> tuple[str, Score] | None:
    """How the best model is chosen: the Fréchet distance to training images, for games whose loss says nothing."""
    game, log = trainer.game, trainer.recipe.log
    if not isinstance(game, Generative) or isinstance(game, Encoding) or not log.evaluations:
        return None
    test, train_split = trainer.splits.test, trainer.splits.train
    if len(train_split) < 2:  # no covariance
        return None
    device = trainer.arithmetic.device
    wanted, cache = trainer.recipe.features, cache_folder()
    learnt = wanted in ("auto", "classifier")
    classifier = domain_classifier(test, train_split, cache, device=device) if learnt else None
    features = choose_features(wanted, trainer.record.spec, classifier, device)[0]
    score = FrechetScore(train_split, features, log.evaluation_samples)
    model = Model(trainer.model_config(), game, str(device))
    frequencies = class_frequencies(train_split)
    return score.name, lambda: score(ModelSource(model, frequencies=frequencies))
