"""Growing and modern generators for the same CPU time: Fréchet and sliced Wasserstein distance against CPU minutes."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import torch

from cardigan.apps.model import ModelSource
from cardigan.data import Dataset
from cardigan.evaluation import FrechetScore, FromDataset, choose_features
from cardigan.evaluation.sliced import sliced_patches
from common import Job, Results, Row, by_label, calibrated, experiment, model_of, options, play, spread, table

SYSTEMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "dcgan": ("dcgan", ()),
    "wgan-gp": ("wgan-gp", ()),
    "progressive": ("progressive", ()),
    "r3gan": ("r3gan", ()),
    "default": ("default", ()),
    "not grown": ("progressive", ("game.grow=false",)),
    "small batch, plain": (
        "progressive",
        ("game.generator.equalised=false", "game.critic.equalised=false", "game.critic.group=0", "batch=4"),
    ),
    "no equalised rate": ("progressive", ("game.generator.equalised=false", "game.critic.equalised=false")),
    "no deviation": ("progressive", ("game.critic.group=0",)),
    "no pixel norm": ("progressive", ("game.generator.pixel_norm=false",)),
}
"""Recipe and settings of each row."""

SAMPLES, CURVE_SAMPLES, LOOKS = 2_000, 1_000, 10


def measure(job: Job, results: Path) -> Row:
    splits = job.splits()
    trainer = calibrated(job, splits)
    features = choose_features("random", splits.train.spec, None)[0]
    score = FrechetScore(splits.train, features, SAMPLES)
    real = splits.train.images(spaced(splits.train, CURVE_SAMPLES))
    curve: list[tuple[float, float]] = []

    def look(seconds: float) -> None:
        with model_of(trainer) as model:
            curve.append((round(seconds, 1), swd(model.sample(CURVE_SAMPLES), real)))

    seconds = play(trainer, LOOKS, look)
    with model_of(trainer) as model:
        return {
            "images": trainer.images,
            "cpu_seconds": round(seconds, 1),
            "curve": curve,
            "fd": score(ModelSource(model)),
            "floor": score(FromDataset(splits.train, seed=1)),
            "features": score.name,
            "swd": sliced_patches(model.sample(SAMPLES), splits.train.images(spaced(splits.train, SAMPLES)), 0),
            "unlike": swd(splits.test.images(spaced(splits.test, CURVE_SAMPLES)), real),
        }


def swd(samples: torch.Tensor, real: torch.Tensor) -> float:
    """Of patches, a thousand times, over the mean of the pyramid's levels (Karras et al. 2018, section 5)."""
    return mean(sliced_patches(samples, real, 0))


def spaced(dataset: Dataset, n: int) -> torch.Tensor:
    """So many examples, spread over the whole set."""
    n = min(n, len(dataset))
    return torch.arange(n) * len(dataset) // n


def summary(rows: list[Row]) -> str:
    groups = by_label(rows)
    results, curves = [], []
    for label, group in groups.items():
        levels = zip(*(row["swd"] for row in group), strict=True)
        results.append(
            [
                label,
                spread([row["fd"] for row in group]),
                *(spread(level) for level in levels),
                spread([mean(row["swd"]) for row in group]),
                spread([row["images"] for row in group], 0),
                spread([row["cpu_seconds"] for row in group], 0),
            ]
        )
        whole = [row["curve"] for row in group if len(row["curve"]) == LOOKS]  # a short training has fewer rounds
        curves.append([label, *(spread([curve[i][1] for curve in whole], 1) for i in range(LOOKS))])
    first = rows[0]
    marks = [f"{first['minutes'] * (i + 1) / LOOKS:.2g} min" for i in range(LOOKS)]
    meaning = (
        f"{first['features']} of the averaged model: {SAMPLES:,} samples against as many training images (other training "
        f"images score {first['floor']:.3f}). SWD x 1000 of 7 x 7 patches at each level of the pyramid, from the full "
        f"size down (test against training images: {first['unlike']:.1f} on the mean). Lower is better; mean ± s.d. over "
        f"{max(map(len, groups.values()))} seed(s).\n\n"
    )
    sizes = [f"SWD {1 << i}" for i in range(len(first["swd"]))]
    header = ["system", "FD", *(f"SWD 1/{size.split()[1]}" for size in sizes), "SWD mean", "images seen", "CPU s"]
    after = f"\n\nSWD of {CURVE_SAMPLES:,} samples after CPU minutes of training:\n\n"
    return meaning + table(header, results) + after + table(["system", *marks], curves) + half_time(groups)


def half_time(groups: dict[str, list[Row]]) -> str:
    """How much sooner growing is as near as not growing ends."""
    grown, full = groups.get("progressive"), groups.get("not grown")
    if not grown or not full:
        return ""
    ratios = []
    for one, other in zip(grown, full, strict=False):
        goal = min(value for _, value in other["curve"])
        spent = next((seconds for seconds, value in other["curve"] if value == goal), None)
        reached = next((seconds for seconds, value in one["curve"] if value <= goal), None)
        ratios.append(None if reached is None or spent is None else reached / spent)
    told = ", ".join("not reached" if ratio is None else f"{ratio:.2f}" for ratio in ratios)
    return f"\n\nCPU time of growing to the least SWD of not growing, over the time that took, by seed: {told}."


def main() -> None:
    parser = options(__doc__, data="lfw_gray64", minutes=6.0, seeds=[0, 1, 2], recipes=list(SYSTEMS))
    args = parser.parse_args()
    jobs = [
        Job(label, args.data, SYSTEMS[label][0], seed, args.minutes, (*SYSTEMS[label][1], *args.settings))
        for seed in args.seeds
        for label in args.recipes
    ]
    rows = experiment(__file__, args, jobs, measure)
    if rows is not None:
        title = f"Growing and modern generators at equal CPU time: {args.data}, {args.minutes:g} minutes"
        Results(args.results, "growing").publish(title, summary(rows), args.data)


if __name__ == "__main__":
    main()
