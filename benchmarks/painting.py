"""Pictures of sentences after as many images: what each part of StackGAN is worth, on held-out sentences.

By default birds of 32 x 32 pixels, from 16 x 16 in Stage I. All rows are told the same sentences by the same encoder, and
judged by the same networks, which learn from real training images alone.
"""

from __future__ import annotations

from pathlib import Path

from cardigan.apps.painting_scores import painting_results
from cardigan.data import Splits
from cardigan.data.cache import cache_folder
from cardigan.evaluation import train_attributes, with_vectors
from common import Job, Results, Row, by_label, calibrated, experiment, model_of, options, play, spread, table

DATA, IMAGES = "birds", 200_000
READER = "data.encoder={name='char-cnn-rnn', dims=128, widths=[96, 128, 128], steps=3000}"
TOLD = ("data.text=captions", "data.size=32", "data.flip=true", READER)
NARROW = (
    "batch=16",
    "game.enlarge=2",
    "game.noise=64",
    "game.generator={width=32, max_width=128, code=64}",
    "game.discriminator={width=32, max_width=128, text=64}",
    "game.reuse_fake=true",
    "game.rate_halvings=3",
    "average.half_life=10_000",
)
SYSTEMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Stage I alone": ("stackgan-small", ("game.stages=1",)),
    "two stages": ("stackgan-small", ()),
    "no conditioning augmentation": ("stackgan-small", ("game.generator.augmentation=none",)),
    "text once": ("stackgan-small", ("game.generator.text_twice=false",)),
    "not matching-aware": ("stackgan-small", ("game.mismatch=0",)),
    "the paper's objective": ("stackgan", NARROW),
}
SCORES = ("attributes", "r-precision", "fd", "diversity")
SHOWN = {"attribute accuracy": 3, "R-precision": 3, "FD(classifier)": 3, "FD(random)": 3, "MS-SSIM of a sentence": 3}
TAKES = 0  # seed of the noise


def told(job: Job) -> Splits:
    """The job's data with the vectors of its sentences, by the one encoder of its settings."""
    return with_vectors(job.splits(), cache_folder())[0]


def prepare(job: Job) -> None:
    """Train those who judge once, or else every process would train its own."""
    splits = told(job)
    if splits.train.accounts is not None:
        train_attributes(splits.train, splits.test, cache=cache_folder())


def measure(job: Job, results: Path) -> Row:
    splits = told(job)
    trainer = calibrated(job, splits)
    seconds = play(trainer, 1, lambda _: None)
    with model_of(trainer) as model:
        found = painting_results(model, splits, TAKES, SCORES if splits.train.accounts else SCORES[1:])
    return {
        "images": trainer.images,
        "cpu_seconds": round(seconds, 1),
        "scores": {result.metric: result.value for result in found.results},
        "floors": {result.metric: result.floor for result in found.results if result.floor is not None},
        "chance": {r.metric: r.protocol["chance"] for r in found.results if r.protocol.get("chance") is not None},
        "by_attribute": {r.metric: r.protocol["by attribute"] for r in found.results if "by attribute" in r.protocol},
    }


def summary(rows: list[Row]) -> str:
    shown = {metric: digits for metric, digits in SHOWN.items() if any(metric in row["scores"] for row in rows)}
    lines = [
        [
            label,
            *(spread([row["scores"].get(metric) for row in group], digits) for metric, digits in shown.items()),
            spread([row["cpu_seconds"] for row in group], 0),
        ]
        for label, group in by_label(rows).items()
    ]
    for label, key in (("real images", "floors"), ("by chance", "chance")):
        values = [spread([*{row[key].get(metric) for row in rows}], digits) for metric, digits in shown.items()]
        lines.append([label, *values, ""])
    seeds = max(map(len, by_label(rows).values()))
    about = (
        f"Pictures of the first sentences of test images; mean ± s.d. over {seeds} seed(s). Attribute accuracy: of what the "
        "sentences tell the share that a classifier of real images reads. R-precision: share of pictures nearer to their own "
        "sentence than to 99 of other kinds. FD: lower is better. MS-SSIM of two pictures of a sentence: best when equal to "
        "that of real images of one kind. By chance: pictures of other sentences, of all rows.\n\n"
    )
    return about + table(["", *shown, "CPU s"], lines)


def main() -> None:
    args = options(__doc__, images=IMAGES, seeds=[0, 1, 2], recipes=list(SYSTEMS), data=DATA).parse_args()
    jobs = [
        Job(label, args.data, recipe, seed, None, (*TOLD, *settings, *args.settings), args.images)
        for seed in args.seeds
        for label, (recipe, settings) in SYSTEMS.items()
        if label in args.recipes
    ]
    if not args.job:
        prepare(jobs[0])
    rows = experiment(__file__, args, jobs, measure)
    if rows:
        title = f"Pictures of sentences after {args.images:,} images: {args.data}"
        Results(args.results, "painting").publish(title, summary(rows), Path(args.data).stem)


if __name__ == "__main__":
    main()
