"""Modes of 1000: three digits as channels, counted by a classifier of digits, and reverse KL."""

from __future__ import annotations

from pathlib import Path

from cardigan.apps.model import ModelSource
from cardigan.evaluation import FrechetScore, choose_features, stacked_labels
from cardigan.evaluation.modes import class_modes, expected_reverse_kl, uniform
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

DATA, SAMPLES, FRECHET_SAMPLES = "stacked-digits", 26_000, 10_000
NON_SATURATING = "game.objective=non-saturating"
SYSTEMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "default": ("default", ()),
    "non-saturating, no penalty": ("default", (NON_SATURATING, "game.r1=0.0", "game.r2=0.0")),
    "non-saturating, R1 + R2": ("default", (NON_SATURATING,)),
    **{name: (name, ()) for name in ("gan", "dcgan", "lsgan", "sngan", "wgan", "wgan-gp", "r3gan")},
}
SHOWN = ["default", "non-saturating, no penalty", "non-saturating, R1 + R2", "gan", "dcgan", "wgan", "wgan-gp"]


def measure(job: Job, results: Path) -> Row:
    splits = job.splits()
    trainer = calibrated(job, splits)
    seconds = play(trainer, 1, lambda _: None)
    classifier = classifier_of(splits)
    assert classifier is not None
    features = choose_features("classifier", splits.train.spec, classifier)[0]
    with model_of(trainer) as model:
        labels = stacked_labels(model.sample(SAMPLES), classifier.classify)
        distance = FrechetScore(splits.train, features, FRECHET_SAMPLES)(ModelSource(model))
    modes = class_modes(labels, uniform(1000))
    return {
        "modes": modes.recovered,
        "reverse_kl": modes.reverse_kl,
        "fd": distance,
        "images": trainer.images,
        "cpu_seconds": round(seconds, 1),
        "accuracy": classifier.accuracy,
    }


def summary(rows: list[Row]) -> str:
    columns = {"modes of 1000": ("modes", 0), "reverse KL": ("reverse_kl", 4), "FD to training": ("fd", 2)}
    columns |= {"images seen": ("images", 0), "CPU s": ("cpu_seconds", 0)}
    lines = [
        [label, *(spread([row[key] for row in group], digits) for key, digits in columns.values())]
        for label, group in by_label(rows).items()
    ]
    perfect = expected_reverse_kl(uniform(1000), SAMPLES)
    meaning = (
        ""
        if not rows
        else (
            f"{SAMPLES:,} samples of the averaged model, classes by a classifier with {rows[0]['accuracy']:.1%} test "
            f"accuracy; a perfect sampler reaches 1000 modes and a reverse KL of {perfect:.4f}. "
            "Mean ± s.d. over seeds.\n\n"
        )
    )
    return meaning + table(["system", *columns], lines)


def main() -> None:
    args = options(__doc__, data=DATA, minutes=2.0, seeds=[0, 1, 2], recipes=SHOWN).parse_args()
    jobs = [
        Job(label, args.data, *SYSTEMS[label][:1], seed, args.minutes, (*SYSTEMS[label][1], *args.settings))
        for label in args.recipes
        for seed in args.seeds
    ]
    rows = experiment(__file__, args, jobs, measure)
    if rows is not None:
        title = f"Modes of 1000: {args.data}, {args.minutes:g} CPU minutes"
        Results(args.results, "stacked_digits").publish(title, summary(rows), "" if args.data == DATA else args.data)


if __name__ == "__main__":
    main()
