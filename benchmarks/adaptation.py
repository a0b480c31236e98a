"""Digits of another hand without labels: a classifier of MNIST alone against one that translates (UNIT), five seeds.

The second side is scikit-learn's 8 x 8 digits, enlarged. Accuracy is of the last weights, on its test images; nothing is
selected by it, and its labels are used for nothing else.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from PIL import Image

from cardigan.apps.translating.adaptation import accuracies
from cardigan.data import Dataset, open_data
from cardigan.data.cache import cache_folder
from cardigan.training.pictures import to_picture
from common import Job, Results, Row, by_label, calibrated, experiment, model_of, options, play, spread, table

SIDE = 32
SMALL = ("game.translator.width=16", "game.discriminator.width=16", "data.channels=1")
SYSTEMS: dict[str, tuple[str, ...]] = {
    "source only": ("game.adversarial=0", "game.matching=0"),
    "UNIT": (),
    "UNIT, translations labelled": ("game.translated=1",),
}


def digits_folder() -> Path:
    """scikit-learn's digits as pictures in folders train/CLASS and test/CLASS."""
    folder = cache_folder() / "digits-as-pictures"
    if not folder.is_dir():
        draft, splits = folder.with_name(f".digits.{os.getpid()}"), open_data("digits")
        for split in (splits.train, splits.test):
            save_pictures(split, draft / split.split)
        draft.rename(folder)
    return folder


def save_pictures(dataset: Dataset, folder: Path) -> None:
    every = torch.arange(len(dataset))
    labels = dataset.labels(every)
    assert labels is not None
    for i, (image, label) in enumerate(zip(dataset.images(every), labels.tolist(), strict=True)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        to_picture(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(place / f"{i:04d}.png")


def measure(job: Job, results: Path) -> Row:
    splits = job.splits()
    trainer = calibrated(job, splits)
    seconds = play(trainer, 1, lambda _: None)
    with model_of(trainer) as model:
        source, target = accuracies(model, splits.test)
    return {
        "images": trainer.images,
        "cpu_seconds": round(seconds, 1),
        "source": source.value,
        "target": target.value,
    }


def summary(rows: list[Row]) -> str:
    lines = [
        [
            label,
            spread([100 * row["target"] for row in group], 1),
            spread([100 * row["source"] for row in group], 1),
            spread([row["cpu_seconds"] for row in group], 0),
        ]
        for label, group in by_label(rows).items()
    ]
    header = ["classifier", "% right on the other digits", "% right on MNIST", "CPU s"]
    seeds = max(map(len, by_label(rows).values()))
    return f"Test images, last weights; mean ± s.d. over {seeds} seed(s).\n\n" + table(header, lines)


def main() -> None:
    parser = options(__doc__, data="mnist", images=12_800, seeds=[0, 1, 2, 3, 4], recipes=list(SYSTEMS))
    args = parser.parse_args()
    other = f"data.other={digits_folder()}"
    pairing = ("data.pairing=unpaired", "data.size=32", other)
    jobs = [
        Job(
            label,
            args.data,
            "adaptation",
            seed,
            None,
            (*pairing, *SMALL, *SYSTEMS[label], *args.settings),
            args.images,
        )
        for seed in args.seeds
        for label in args.recipes
    ]
    rows = experiment(__file__, args, jobs, measure)
    if rows is not None:
        title = f"Domain adaptation: {args.data} to scikit-learn's digits, after {args.images:,} images"
        Results(args.results, "adaptation").publish(title, summary(rows))


if __name__ == "__main__":
    main()
