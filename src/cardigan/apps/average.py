"""A weight average chosen after training (Karras et al. 2024, section 3.2): of any length, the best by training images."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cardigan.apps.files import appearing, check_place, read, steps_progress
from cardigan.apps.model import Model, ModelSource, load
from cardigan.apps.train import training_distance
from cardigan.data import Dataset
from cardigan.errors import RecipeError, RunError
from cardigan.games import Encoding
from cardigan.training.average import tensors
from cardigan.training.model import save_model
from cardigan.training.power_average import Mixture, Profile, check_width
from cardigan.training.randomness import seed_everything
from cardigan.training.run import RunFolder, RunRecord
from cardigan.training.snapshots import Snapshot, mixture, put_together, read_snapshots

WIDTHS = (0.02, 0.03, 0.04, 0.05, 0.06, 0.075, 0.10, 0.125, 0.15, 0.20, 0.25)
RESIDUAL = 0.1
"""Widths that are not asked for are tried up to this residual of their profile."""

JUDGED = 2_000  # training images that a model with an encoder is judged by
CHUNK = 100


@dataclass(frozen=True)
class Candidate:
    """One average.

    Attributes:
        width: its relative width, the paper's sigma_rel.
        residual: how far its profile over the training is from the one of that width, relative to it (root mean square).
        score: lower is better, infinite where it cannot be told; None where it was not scored.
    """

    width: float
    residual: float
    score: float | None = None


@dataclass(frozen=True)
class Averaged:
    """An average that was put together, and those it was chosen from.

    Attributes:
        folder: the model folder that holds it.
        images: the training images it reaches up to.
        best: the average in the folder.
        candidates: all that were tried.
        metric: what they were scored by; empty where they were not.
        before: the score of the run's model as it was.
        former: where that model is kept if the average has taken its place.
        notes: what there is to know.
    """

    folder: Path
    images: int
    best: Candidate
    candidates: tuple[Candidate, ...]
    metric: str = ""
    before: float | None = None
    former: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def model(self) -> Model:
        return load(self.folder)

    @property
    def improves(self) -> bool:
        """False where the best average was scored, and no better than the run's model."""
        return self.best.score is None or self.before is None or self.best.score < self.before

    def lines(self) -> list[str]:
        """A table for people: one line a width, then the notes."""
        table = [f"{'width':<9} {'residual':>8}  {self.metric}".rstrip()]
        for candidate in self.candidates:
            score = "" if candidate.score is None else f"{candidate.score:<10.4g}"
            mark = "<- best" if candidate is self.best and self.metric else ""
            table.append(f"{candidate.width:<9g} {candidate.residual:>8.2%}  {score} {mark}".rstrip())
        if self.before is not None:
            table.append(f"{'the model before':<18}  {self.before:<.4g}")
        return [*table, *(f"note: {note}" for note in self.notes)]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def to_json(self) -> str:
        """Standard JSON; a score that is not finite is null."""
        return json.dumps(plain(asdict(self)), indent=2, allow_nan=False)


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def average(
    run: str | Path,
    width: float | None = None,
    *,
    widths: str | Sequence[float] | None = None,
    images: int | None = None,
    out: str | Path | None = None,
    deploy: bool = False,
    device: str = "auto",
) -> Averaged:
    """Put weight averages of a run together, and keep the one whose samples are closest to the training images.

    >>> cardigan.train("digits", out="runs/digits", settings=["average.snapshots=16"])    # doctest: +SKIP
    >>> print(cardigan.average("runs/digits"))                                            # doctest: +SKIP

    Scores are of training images alone: the test images stay unseen until `evaluate`. They are those the training itself
    chooses its best model by, or for a model with an encoder its loss.

    Args:
        run: the folder of a run that was trained with average.snapshots above 0.
        width: the average's relative width, which is taken without scores; more than 0 and at most 0.2886.
        widths: those to choose from, as numbers or in one string with commas; by default 0.02 to 0.25, without those that
            the snapshots give badly.
        images: average up to the newest snapshot within so many training images; by default to the newest of all.
        out: a new model folder; by default RUN/model-average, which the next average may overwrite.
        deploy: put it in the place of RUN/model, unless it scores no better, and keep the former one as RUN/model-before.

    Raises:
        CardiganError: with one line that says what to do.
    """
    folder = RunFolder(Path(run))
    record = folder.read_record()
    asked = asked_widths(width, widths)
    place = destination(folder, out, deploy)
    snapshots = until(images, enough_snapshots(folder))
    last = snapshots[-1]
    wanted = asked or sorted({*WIDTHS, *last.widths})
    mixtures = {each: mixture(snapshots, Profile(each, last.images)) for each in wanted}
    tried, notes = (mixtures, ()) if asked else good_ones(mixtures, len(snapshots))
    model = load(run, device)
    chosen = Averaged(place, last.images, *named(tried), notes=notes)
    if width is None:
        chosen = scored(chosen, record, model, lambda each: put_together(snapshots, tried[each].weights))
    if not chosen.improves:
        note = "no average scores better than the model before" + (", which keeps its place" if deploy else "")
        chosen = replace(chosen, folder=destination(folder, out, deploy=False), notes=(*chosen.notes, note))
    former = keep_former(folder) if chosen.folder == folder.model else None
    give(model, put_together(snapshots, tried[chosen.best.width].weights))
    save_model(chosen.folder, model.config.model_copy(update={"images": last.images, "averaged": True}), model.game)
    return replace(chosen, former=former)


# ---- what is asked for -----------------------------------------------------------------------------------------------


def asked_widths(width: float | None, widths: str | Sequence[float] | None) -> list[float]:
    """The widths that are named, each once; none where the choice is left to us.

    Raises:
        RecipeError: both arguments, no number, or what is no width.
    """
    if width is not None and widths is not None:
        raise RecipeError("give --width for one average or --widths to choose from, not both")
    given = widths if width is None else [width]
    if given is None:
        return []
    words = given.split(",") if isinstance(given, str) else given
    try:
        asked = list(dict.fromkeys(float(word) for word in words if str(word).strip()))
    except ValueError as error:
        raise RecipeError(f"--widths {widths!r} are no numbers: write for example --widths 0.02,0.05,0.1") from error
    if not asked:
        raise RecipeError("no width is named: write for example --widths 0.02,0.05,0.1, or leave it out")
    for each in asked:
        check_width(each)
    return asked


def destination(folder: RunFolder, out: str | Path | None, deploy: bool) -> Path:
    """The model folder to write.

    Raises:
        RecipeError: where two are named.
        RunError: where there is something else.
    """
    if deploy and out is not None:
        raise RecipeError("give --out for a folder of its own or --deploy for the run's model, not both")
    if deploy:
        return folder.model
    if out is not None:
        check_place(Path(out), folder=True)
        return Path(out)
    return folder.path / "model-average"


def enough_snapshots(folder: RunFolder) -> list[Snapshot]:
    """The run's snapshots, two or more.

    Raises:
        RunError: where there are fewer, or one is damaged.
    """
    snapshots = read_snapshots(folder.averages)
    if len(snapshots) < 2:
        there = "only one snapshot" if snapshots else "no snapshots"
        raise RunError(f"{folder.path} has {there} of its averages: train with --set average.snapshots=16")
    return snapshots


def until(images: int | None, snapshots: list[Snapshot]) -> list[Snapshot]:
    """The snapshots that there were after so many training images; all by default.

    Raises:
        RecipeError: where there were none.
    """
    before = [snapshot for snapshot in snapshots if images is None or snapshot.images <= images]
    if not before:
        raise RecipeError(f"--images {images} is before the first snapshot, which is at {snapshots[0].images}")
    return before


def good_ones(mixtures: Mapping[float, Mixture], count: int) -> tuple[dict[float, Mixture], tuple[str, ...]]:
    """The averages that the snapshots give well, which those they hold always are, and a note of the others."""
    good = {width: each for width, each in mixtures.items() if each.residual <= RESIDUAL}
    left = ", ".join(f"{width:g}" for width in mixtures if width not in good)
    note = f"left out, since {count} snapshots give them with a residual above {RESIDUAL:.0%}: {left}"
    return good, (note,) if left else ()


def named(mixtures: Mapping[float, Mixture]) -> tuple[Candidate, tuple[Candidate, ...]]:
    """The candidates, and the first of them."""
    candidates = tuple(Candidate(width, each.residual) for width, each in mixtures.items())
    return candidates[0], candidates


# ---- choosing --------------------------------------------------------------------------------------------------------


def scored(
    chosen: Averaged, record: RunRecord, model: Model, weights_of: Callable[[float], dict[str, Tensor]]
) -> Averaged:
    """The same with a score for every candidate and for the model as it is, and the best one chosen.

    Raises:
        RunError: where no score is finite.
    """
    metric, measure = training_score(record, model)
    with steps_progress("scoring averages", 1 + len(chosen.candidates)) as step:

        def score() -> float:
            value = measure()
            step()
            return value if math.isfinite(value) else math.inf

        before = score()
        scores = []
        for candidate in chosen.candidates:
            give(model, weights_of(candidate.width))
            scores.append(score())
    if not math.isfinite(min(scores)):
        raise RunError(f"no average has a finite {metric}: name earlier --images, before the training went wrong")
    candidates = tuple(replace(each, score=value) for each, value in zip(chosen.candidates, scores, strict=True))
    best = candidates[scores.index(min(scores))]
    return replace(chosen, best=best, candidates=candidates, metric=metric, before=before)


def training_score(record: RunRecord, model: Model) -> tuple[str, Callable[[], float]]:
    """What averages are chosen by and how it is measured of the model as it stands, lower being better.

    Raises:
        CardiganError: where the training images are gone, others, or too few.
    """
    splits = read(record.data, record.recipe.data)
    if splits.train.digest != record.digest:
        raise RunError(
            f"{record.data} holds other images than the run was trained on: name the average with --width, "
            "which takes no images"
        )
    if isinstance(model.game, Encoding):
        return "loss on training images", lambda: training_loss(model, splits.train)
    if len(splits.train) < 2:
        raise RunError("one training image gives no score to choose by: name the average with --width")
    distance = training_distance(record.recipe, splits, model.device)
    return distance.name, lambda: distance(ModelSource(model))


@torch.no_grad()
def training_loss(model: Model, train: Dataset) -> float:
    """The loss that the training ended with, on at most 2,000 images spread over the training split, the same each time."""
    game = model.game
    assert isinstance(game, Encoding)
    game.progress = 1.0
    seed_everything("training loss")
    count = min(JUDGED, len(train))
    losses = []
    for indices in (torch.arange(count) * len(train) // count).split(CHUNK):
        batch = train.batch(indices, model.device)
        validated = {name: value.float().item() for name, value in game.validate(batch).items()}
        losses.append(len(indices) * game.validated_loss(validated))
    return sum(losses) / count


# ---- the model -------------------------------------------------------------------------------------------------------


@torch.no_grad()
def give(model: Model, weights: Mapping[str, Tensor]) -> None:
    """Give the model's deployed networks these weights.

    Raises:
        RunError: where they are of other networks.
    """
    modules = ((name, getattr(model.game, name)) for name in model.game.deployed)
    live = {f"{name}.{key}": tensor for name, module in modules for key, tensor in tensors(module)}
    if {key: t.shape for key, t in live.items()} != {key: t.shape for key, t in weights.items()}:
        raise RunError("the snapshots are of other networks than the run's model: train it anew")
    # Converted before they travel: not every device has float64.
    converted = {key: weights[key].to(tensor.dtype) for key, tensor in live.items()}
    for name in model.game.deployed:
        own = {key.removeprefix(f"{name}."): value for key, value in converted.items() if key.startswith(f"{name}.")}
        getattr(model.game, name).load_state_dict(own)


def keep_former(folder: RunFolder) -> Path:
    """Copy the run's model to model-before, or to model-before-2 and so on where that is taken.

    Raises:
        RunError: where another process trains in the run.
    """
    names = (f"model-before{'' if number == 1 else f'-{number}'}" for number in itertools.count(1))
    kept = next(path for path in (folder.path / name for name in names) if not path.exists())
    with folder.claimed(), appearing(kept) as draft:
        shutil.copytree(folder.model, draft)
    return kept
