"""Does what a game reports follow the quality of its samples? Spearman of losses with FD over a training."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import median

from scipy.stats import spearmanr

from cardigan.apps.model import ModelSource
from cardigan.evaluation import FrechetScore, choose_features
from cardigan.games import Move
from cardigan.training.trainer import Trainer
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

LOOKS, SAMPLES = 20, 2_000


class Recorder(Trainer):
    """Keeps every value that the moves of a tick report."""

    reported: dict[str, list[float]]

    def record_move(self, player: str, move: Move) -> None:
        super().record_move(player, move)
        self.reported = self.__dict__.get("reported", {})
        for name, value in {player: move.loss, **move.log}.items():
            self.reported.setdefault(name, []).append(value.item())

    def medians(self) -> dict[str, float]:
        """Of what was reported since the last call, as estimates that should fall as samples get better."""
        values = {name: median(found) for name, found in self.reported.items()}
        self.reported = {}
        if "wasserstein" in values:
            return {"Wasserstein estimate": values["wasserstein"]}
        # The discriminator's loss is half the sum of both cross-entropies: at its optimum log 2 - JSD.
        return {"JSD estimate": math.log(2) - values["discriminator"], "generator loss": values["generator"]}


def measure(job: Job, results: Path) -> Row:
    splits = job.splits()
    trainer = calibrated(job, splits, Recorder)
    assert isinstance(trainer, Recorder)
    features = choose_features("auto", splits.train.spec, classifier_of(splits))[0]
    score = FrechetScore(splits.test, features, SAMPLES)
    series: dict[str, list[float]] = {"cpu minutes": [], "fd": []}

    def look(seconds: float) -> None:
        with model_of(trainer, averaged=False) as model:
            point = {"cpu minutes": seconds / 60, "fd": score(ModelSource(model)), **trainer.medians()}
        for name, value in point.items():
            series.setdefault(name, []).append(round(value, 5))

    seconds = play(trainer, LOOKS, look)
    estimates = [name for name in series if name not in ("cpu minutes", "fd")]
    ranks = {name: float(spearmanr(series[name], series["fd"]).statistic) for name in estimates}
    return {"spearman": ranks, "series": series, "images": trainer.images, "cpu_seconds": round(seconds, 1)}


def summary(rows: list[Row]) -> str:
    lines = []
    for label, group in by_label(rows).items():
        first, last = (spread([row["series"]["fd"][i] for row in group], 1) for i in (0, -1))
        for name in group[0]["spearman"]:
            each = [row["spearman"][name] for row in group]
            lines.append([label, name, spread(each), ", ".join(f"{value:.2f}" for value in each), first, last])
    meaning = (
        f"Rank correlation over {LOOKS} equal parts of a training between the median of what the game reports in a "
        f"part and the FD of {SAMPLES:,} samples of the live generator at its end. +1: the number falls when the "
        "samples get better.\n\n"
    )
    return meaning + table(["recipe", "what is reported", "Spearman with FD", "seeds", "FD, first", "FD, last"], lines)


def main() -> None:
    recipes = ["wgan-gp", "wgan", "dcgan"]
    args = options(__doc__, data="fashion-mnist", minutes=3.0, seeds=[0, 1, 2], recipes=recipes).parse_args()
    settings = tuple(args.settings)
    jobs = [Job(name, args.data, name, seed, args.minutes, settings) for name in args.recipes for seed in args.seeds]
    rows = experiment(__file__, args, jobs, measure)
    if rows is not None:
        Results(args.results, "wgan_correlation").publish(
            f"Losses and sample quality: {args.data}", summary(rows), args.data
        )


if __name__ == "__main__":
    main()
