"""Every recipe for the same CPU time: Fréchet distance against CPU minutes; test MSE and ELBO where they exist."""

from __future__ import annotations

from pathlib import Path

import torch

from cardigan.apps.model import Model, ModelSource
from cardigan.apps.scores import reconstruction_results
from cardigan.data import Splits
from cardigan.evaluation import FrechetScore, FromDataset, choose_features
from cardigan.games import Generative
from cardigan.games.base import side_by_side
from cardigan.training.pictures import grid, save_picture
from common import (
    Job,
    Results,
    Row,
    by_label,
    calibrated,
    classifier_of,
    experiment,
    model_of,
    options,
    play,
    spread,
    table,
)

RECIPES = ("autoencoder", "vae", "gan", "dcgan", "wgan", "wgan-gp", "default")
REDISTRIBUTABLE = ("fashion-mnist", "digits")
SAMPLES, CURVE_SAMPLES, LOOKS = 10_000, 2_000, 6
SCORES = ("mse", "elbo", "iwae")


def measure(job: Job, results: Path) -> Row:
    splits = job.splits()
    trainer = calibrated(job, splits)
    features = choose_features("auto", splits.train.spec, classifier_of(splits))[0]
    coarse = FrechetScore(splits.test, features, CURVE_SAMPLES)
    curve: list[tuple[float, float]] = []

    def look(seconds: float) -> None:
        if isinstance(trainer.game, Generative):
            with model_of(trainer) as model:
                curve.append((round(seconds / 60, 3), coarse(ModelSource(model))))

    seconds = play(trainer, LOOKS, look)
    row: Row = {"images": trainer.images, "cpu_seconds": round(seconds, 1), "curve": curve, "features": coarse.name}
    with model_of(trainer) as model:
        row |= reconstruction(model, splits)
        if model.can_sample:
            fine = FrechetScore(splits.test, features, SAMPLES)
            row |= {"fd": fine(ModelSource(model)), "floor": fine(FromDataset(splits.train)), "samples": fine.count}
        if job.seed == 0 and job.data in REDISTRIBUTABLE:
            save_picture(grid(pictures(model, splits), 8, smallest=28), results / f"quality-{job.data}-{job.label}.png")
    return row


def reconstruction(model: Model, splits: Splits) -> Row:
    """Mean test scores of the models that encode."""
    if not model.can_encode:
        return {}
    return {result.metric: result.value for result in reconstruction_results(model, splits.test, 0, SCORES)}


def pictures(model: Model, splits: Splits) -> torch.Tensor:
    if model.can_sample:
        return model.sample(64)
    real = splits.test.images(torch.arange(32))
    return side_by_side(real, model.reconstruct(real))


def summary(rows: list[Row]) -> str:
    groups = by_label(rows)
    columns = {"FD": "fd", "test MSE": "mse", "test ELBO (nats)": "elbo", "importance-weighted bound (nats)": "iwae"}
    digits = {"mse": 4}
    results = [
        [
            label,
            *(spread([row.get(key) for row in group], digits.get(key, 2)) for key in columns.values()),
            spread([row["images"] for row in group], 0),
            spread([row["cpu_seconds"] for row in group], 0),
        ]
        for label, group in groups.items()
    ]
    curves = []
    for label, group in groups.items():
        looks = [row["curve"] for row in group if len(row["curve"]) == LOOKS]
        if looks:
            at = [f"{spread([curve[i][1] for curve in looks], 1)}" for i in range(LOOKS)]
            curves.append([label, *at])
    minutes = rows[0]["minutes"] if rows else 0.0
    first = next((row for row in rows if "fd" in row), None)
    meaning = (
        ""
        if first is None
        else (
            f"FD: {first['features']} of the averaged model, {first['samples']:,} samples against as many test images; "
            f"as many training images score {first['floor']:.3f}. Lower is better; mean ± s.d. over seeds.\n\n"
        )
    )
    header = ["recipe", *columns, "images seen", "CPU s"]
    marks = [f"{minutes * (i + 1) / LOOKS:.2g} min" for i in range(LOOKS)]
    after = f"\n\nFD of {CURVE_SAMPLES:,} samples after CPU minutes of training:\n\n"
    return meaning + table(header, results) + after + table(["recipe", *marks], curves)


def main() -> None:
    parser = options(__doc__, data="fashion-mnist", minutes=3.0, seeds=[0, 1, 2], recipes=list(RECIPES))
    args = parser.parse_args()
    settings = tuple(args.settings)
    jobs = [Job(name, args.data, name, seed, args.minutes, settings) for name in args.recipes for seed in args.seeds]
    rows = experiment(__file__, args, jobs, measure)
    if rows is not None:
        title = f"Quality at equal CPU time: {args.data}, {args.minutes:g} minutes"
        Results(args.results, "quality").publish(title, summary(rows), args.data)


if __name__ == "__main__":
    main()
