"""From data to a trained, evaluated and reported model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from cardigan.apps.evaluate import evaluate_model
from cardigan.apps.files import read, steps_progress
from cardigan.apps.model import Model, ModelSource, load
from cardigan.apps.neighbours import nearest_panel
from cardigan.apps.report import write_report
from cardigan.augmentation import draw as draw_augmentation
from cardigan.augmentation import leak
from cardigan.data import Dataset, Splits
from cardigan.data.cache import cache_folder
from cardigan.data.opening import NAMES
from cardigan.data.spec import DataSpec
from cardigan.errors import DataError, RecipeError, RunError, TrainingError
from cardigan.evaluation import Evaluation, FrechetScore, choose_features, domain_classifier
from cardigan.evaluation.sentences import with_vectors
from cardigan.games import GAN, Encoding, Generative, Translating
from cardigan.games.base import side_by_side
from cardigan.training.automatic import fit_to_data
from cardigan.training.checkpoint import write_atomically
from cardigan.training.device import choose_device
from cardigan.training.journal import require_tensorboard
from cardigan.training.length import end_where_it_is, fix_length
from cardigan.training.pictures import draw, save_picture
from cardigan.training.progress import Listener, listener
from cardigan.training.randomness import seed_everything
from cardigan.training.recipe import Recipe, build_recipe, data_options, merge, parse_settings, recipe_table
from cardigan.training.resume import refuse_changes, refuse_other_recipe
from cardigan.training.run import RunFolder, RunRecord
from cardigan.training.session import Score, Session
from cardigan.training.trainer import Trainer

SHOWN = 16
LEAK_IMAGES, LEAK_LEAST = 1_000, 200
LEAK_REMEDY = "they are good otherwise, lower game.augment.limit or game.augment.probability, or leave kinds out"


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
        images, minutes: how long to train; at most one of them. When resuming, `images` counts from the run's beginning,
            and `minutes` are added to what is trained.
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
    folder = RunFolder(Path(out))
    resumes = resume and folder.record_file.is_file()
    if not resumes:
        folder.refuse_if_taken()
    request = Request(data, recipe, changes, images, minutes, resumes, device, evaluate)
    with folder.claimed():
        return play(folder, request, hear)


@dataclass(frozen=True)
class Request:
    """What `train` was asked for, as its arguments say; `resumes` is True where there is a run to go on with."""

    data: str | Path | None
    recipe: str | None
    changes: dict[str, Any]
    images: int | None
    minutes: float | None
    resumes: bool
    device: str
    evaluate: bool

    def laid_over(self, table: dict[str, Any]) -> Recipe:
        """The recipe of a table with these settings; what is wrong with one is told even where --images replaces it."""
        table = merge(table, self.changes)
        if self.images is None:
            return build_recipe(table)
        length = {"images": self.images}
        build_recipe(merge(length, table))
        return build_recipe(merge(table, length))


def play(folder: RunFolder, request: Request, hear: Listener) -> Run:
    """Train in a folder that is claimed for this process."""
    record, splits = reopen(folder, request) if request.resumes else prepare(folder, request)
    trainer = take_up(record, splits, folder, request)
    if request.minutes is not None:
        record = fix_length(trainer, request.minutes, hear)
    elif request.resumes:
        record = end_where_it_is(trainer, folder.read_record().recipe.images, hear)
    if record is not trainer.record:
        trainer = take_up(record, splits, folder, request)
    score = selection_score(trainer)
    folder.create(record)
    for line in (*opening_notes(trainer), opening_line(trainer)):
        hear.note(line)
    session = Session(trainer, hear, score=score)
    try:
        session.run()
    except TrainingError as error:
        if (folder.model / "config.json").is_file():
            finish(folder, splits, trainer, str(error), evaluate=False)
        raise
    return finish(folder, splits, trainer, trainer.health.verdict(), request.evaluate)


def take_up(record: RunRecord, splits: Splits, folder: RunFolder, request: Request) -> Trainer:
    """A trainer at the run's first round, or where its last checkpoint left it."""
    trainer = Trainer(record, splits, folder, request.device)
    if request.resumes:
        trainer.restore()
    return trainer


def finish(folder: RunFolder, splits: Splits, trainer: Trainer, verdict: str, evaluate: bool) -> Run:
    """Sample the deployed model, measure it, and write the report."""
    model = load(folder.path, str(trainer.arithmetic.device))
    if leak_seen := leaked(trainer, model, splits):
        verdict = leak_seen if verdict == "healthy" else f"{verdict}; {leak_seen}"
    picture = final_picture(model, splits)
    save_picture(picture, folder.path / "samples.png")
    try:
        evaluation = evaluate_model(model, splits, features=trainer.recipe.features) if evaluate else None
    except DataError as error:  # too few images to compare with; the model and its pictures are there all the same
        evaluation = Evaluation((), (f"not measured: {error}",))
    if evaluation:
        write_atomically(folder.evaluation_file, lambda path: path.write_text(evaluation.to_json()))
    write_report(folder, verdict, evaluation, picture, nearest_panel(model, splits.train), caption(model))
    return Run(folder.path, model, evaluation, verdict)


def leaked(trainer: Trainer, model: Model, splits: Splits) -> str:
    """A line where the model's samples show the augmentation that its discriminator was shown of the training images."""
    game = trainer.game
    if not isinstance(game, GAN) or not game.kinds or not game.often or len(splits.train) < LEAK_LEAST:
        return ""
    count = min(LEAK_IMAGES, len(splits.train))
    real = splits.train.images(torch.arange(count) * len(splits.train) // count)
    seed_everything(trainer.recipe.seed, "leak")
    change = draw_augmentation(game.kinds, count, model.spec.shape, game.often)
    features = training_distance(trainer.recipe, splits, trainer.arithmetic.device).features
    found = leak(model.sample(count), real, change, features)
    if not found.certain:
        return ""
    share = f"{found.share:.0%} ± {found.error:.0%}"
    return f"leaked augmentation: samples look {share} as augmented as what the discriminator saw; if {LEAK_REMEDY}"


def final_picture(model: Model, splits: Splits) -> Image.Image:
    """What the model makes: samples, or where it cannot sample test images beside their reconstructions."""
    if isinstance(model.game, Translating):
        return draw(translated_picture(model, splits.test), model.spec, columns=12)
    if model.can_sample:
        return draw(model.sample(64 if model.spec.kind == "images" else 2_000), model.spec)
    count = len(splits.test)
    shown = min(32, count)
    images = splits.test.images(torch.arange(shown) * count // shown)
    return draw(side_by_side(images, model.reconstruct(images)), model.spec, columns=8)


def caption(model: Model) -> str:
    """What the final picture shows."""
    if isinstance(model.game, Translating):
        return f"from left to right, over and over: {', '.join(model.game.columns)}"
    return "the trained model"


@torch.no_grad()
def translated_picture(model: Model, test: Dataset) -> Tensor:
    """Test images and what becomes of them, as the game shows them."""
    count = min(SHOWN, len(test))
    images = test.images(torch.arange(count) * len(test) // count).to(model.device)
    return model.game.preview(images, images.new_zeros(count, 0)).float().cpu()


def prepare(folder: RunFolder, request: Request) -> tuple[RunRecord, Splits]:
    """Open the data and resolve the recipe of a new run, before anything is written."""
    data = request.data
    if data is None:
        raise RecipeError("name the data to train on: cardigan train DATA --out RUN")
    folder.refuse_if_taken()
    options = data_options(merge(recipe_table(request.recipe or "default"), request.changes).get("data", {}))
    splits = read(data, options)
    spec, digest = splits.train.spec, splits.train.digest
    resolved = resolve(request, spec)
    if resolved.log.tensorboard:
        require_tensorboard()
    if resolved.data.flip and spec.kind != "images":
        raise RecipeError(f"data.flip mirrors images, and {data} has points: leave it out")
    record = RunRecord(data=location(data), digest=digest, spec=spec, recipe=resolved)
    return record, with_sentences(splits, request.device)


def with_sentences(splits: Splits, device: str) -> Splits:
    """The splits with a vector for each sentence, where sentences are told of them."""
    text = splits.train.spec.text
    if text is None:
        return splits
    with steps_progress("learning to read", text.steps) as step:
        splits, learnt = with_vectors(splits, cache_folder(), choose_device(device), lambda done, total: step())
    told = splits.train.sentences
    assert told is not None
    found = "" if learnt.precision is None else f"; R-precision of the test images {learnt.precision}"
    return replace(splits, notes=(*splits.notes, f"sentences: {len(told.table):,} different ones{found}"))


def resolve(request: Request, spec: DataSpec) -> Recipe:
    """The recipe that is asked for, fitted to the data if it is the default one, with the settings laid over it."""
    table = recipe_table(request.recipe or "default")
    if request.recipe in (None, "default"):
        table = fit_to_data(table, spec, choose_device(request.device))
    return request.laid_over(table)


def location(data: str | Path) -> str:
    """Where the data can be found from any folder: a built-in or public name as it is, else an absolute path."""
    return str(data) if str(data) in NAMES else str(Path(data).expanduser().resolve())


def reopen(folder: RunFolder, request: Request) -> tuple[RunRecord, Splits]:
    """The record of an existing run, with its length or settings changed if asked for, and its data."""
    record = folder.read_record()
    begun = record.recipe
    data = request.data or record.data
    splits = read(data, begun.data)
    if splits.train.digest != record.digest:
        raise RunError(f"{folder.path} was trained on other images than {data} holds now: start a new run")
    resolved = request.laid_over(begun.model_dump(mode="json", exclude_none=True))
    refuse_changes(begun, resolved)
    if request.recipe is not None:
        refuse_other_recipe(resolved, resolve(request, record.spec), "images")  # the run keeps its own length
    resumed = RunRecord(data=location(data), digest=record.digest, spec=record.spec, recipe=resolved)
    return resumed, with_sentences(splits, request.device)


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
    if len(trainer.splits.train) < 2:  # no covariance
        return None
    device = trainer.arithmetic.device
    score = training_distance(trainer.recipe, trainer.splits, device)
    model = Model(trainer.model_config(), game, str(device))
    return score.name, lambda: score(ModelSource(model))


def training_distance(recipe: Recipe, splits: Splits, device: torch.device) -> FrechetScore:
    """The Fréchet distance to training images, in the features and with the count that a recipe names."""
    test, train_split = splits.test, splits.train
    wanted, cache = recipe.features, cache_folder()
    learnt = wanted in ("auto", "classifier")
    classifier = domain_classifier(test, train_split, cache, device=device) if learnt else None
    features = choose_features(wanted, train_split.spec, classifier, device)[0]
    return FrechetScore(train_split, features, recipe.log.evaluation_samples)
