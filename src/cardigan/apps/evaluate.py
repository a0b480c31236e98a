"""Judge a trained model, or pictures made by anything, against real images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cardigan.apps.model import Model, ModelSource, load
from cardigan.data import DataOptions, Dataset, Splits, open_data
from cardigan.data.spec import Batch
from cardigan.errors import DataError
from cardigan.evaluation import Evaluation, Result
from cardigan.evaluation import evaluate as judge
from cardigan.evaluation.sources import Joined
from cardigan.training.randomness import seed_everything
from cardigan.training.recipe import data_options, parse_settings
from cardigan.training.run import RunFolder

CHUNK = 100


def evaluate(
    judged: str | Path,
    data: str | Path | None = None,
    *,
    metrics: Sequence[str] | None = None,
    samples: int | None = None,
    features: str = "auto",
    seed: int = 0,
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
        settings: how to read the images: "data.size=64".

    Raises:
        CardiganError: with one line that says what to do.
    """
    path = Path(judged)
    changes = dict(settings) if isinstance(settings, dict) else parse_settings(settings)
    options = data_options(changes.get("data", {}))
    how: dict[str, Any] = {"metrics": metrics, "samples": samples, "features": features, "seed": seed}
    if (path / "run.toml").is_file():
        record = RunFolder(path).read_record()
        splits = open_data(data or record.data, record.recipe.data if "data" not in changes else options)
        return evaluate_model(load(path, device), splits, **how)
    if (path / "config.json").is_file():
        model = load(path, device)
        return evaluate_model(model, open_data(data or model.config.data, options), **how)
    if data is None:
        raise DataError(f"{judged} is not a run: name the real images to compare it with: --data DATA")
    return compare_pictures(open_data(judged, options), open_data(data, options), **how)


def compare_pictures(made: Splits, real: Splits, **how: Any) -> Evaluation:
    """Pictures that nobody trains on, taken whole, against real ones."""
    parts = [(split, torch.arange(len(split))) for split in (made.train, made.test)]
    return judge(Joined(parts, made.train.name), real.test, train=real.train, **how)


def evaluate_model(model: Model, splits: Splits, **how: Any) -> Evaluation:
    """All that can be measured of a model: reconstruction on test images, and samples against them."""
    results: list[Result] = []
    notes: tuple[str, ...] = ()
    if model.can_encode and not how.get("metrics"):
        results += reconstruction_results(model, splits.test)
    if model.can_sample:
        judgement = judge(ModelSource(model, how.pop("seed", 0)), splits.test, train=splits.train, **how)
        results += judgement.results
        notes = judgement.notes
    elif how.get("metrics"):
        model.generative()
    return Evaluation(tuple(results), notes)


@torch.no_grad()
def reconstruction_results(model: Model, test: Dataset) -> list[Result]:
    """The game's own held-out scores over the whole test split, with the interval of their mean."""
    seed_everything("reconstruction results")
    scores: dict[str, list[Tensor]] = {}
    for indices in torch.arange(len(test)).split(CHUNK):
        batch = Batch(test.images(indices).to(model.device))
        for name, value in model.game.validate(batch).items():
            scores.setdefault(name, []).append(value.float().cpu())
    protocol = {"data": test.name, "split": test.split, "digest": test.digest, "count": len(test)}
    return [mean_result(name, torch.stack(values), protocol) for name, values in scores.items()]


MEANING = {
    "mse": ("lower", "mean squared error of a reconstruction, pixels in [-1, 1]"),
    "elbo": ("higher", "nats per example, a lower bound on log p(x)"),
    "kl": ("target", "nats per example that the code carries"),
    "bits per dimension": ("lower", "an upper bound on the code length"),
}


def mean_result(name: str, values: Tensor, protocol: dict[str, Any]) -> Result:
    mean = values.mean().item()
    half = 1.96 * values.std().item() / math.sqrt(len(values)) if len(values) > 1 else 0.0
    better, meaning = MEANING[name]
    return Result(name, mean, mean - half, mean + half, None, better, {**protocol, "meaning": meaning})
