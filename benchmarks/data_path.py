"""What a batch costs: the packed store against a DataLoader that decodes PNG files, and as a share of a step."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils import data as torch_data

from cardigan.data import Batches, DataOptions, Splits, open_data
from cardigan.training.automatic import fit_to_data
from cardigan.training.pictures import to_picture
from cardigan.training.recipe import build_recipe, merge, recipe_table
from common import CPU, Results, Row, new_trainer, options, table

SIZE, BATCH = 28, 64
RECIPES = ("dcgan", "gan", "default")


class PictureFiles(torch_data.Dataset[Tensor]):
    """What most training scripts begin with: a file is opened, decoded and converted when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.rglob("*.png"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.paths[index]) as image:
            return torch.from_numpy(np.array(image)).unsqueeze(0).float() / 127.5 - 1


def write_pictures(folder: Path, count: int) -> None:
    """Handwritten digits at 28 x 28 as PNG files."""
    folder.mkdir(parents=True)
    digits = open_data("digits", DataOptions(size=SIZE)).train
    for i, image in enumerate(digits.images(torch.arange(count) % len(digits))):
        to_picture(image).save(folder / f"{i:05d}.png")


def seconds_of(call: Callable[[], object], repeats: int) -> float:
    """Median CPU seconds of a call, after one that does not count."""
    call()
    each = []
    for _ in range(repeats):
        began = time.process_time()
        call()
        each.append(time.process_time() - began)
    return median(each)


def loader_seconds(folder: Path, epochs: int = 3) -> float:
    """CPU seconds a batch of the DataLoader, over whole epochs."""
    loader = torch_data.DataLoader(PictureFiles(folder), BATCH, shuffle=True, drop_last=True)
    return seconds_of(lambda: sum(len(batch) for batch in loader), epochs) / len(loader)


def store_seconds(splits: Splits, batches: int = 200, repeats: int = 9) -> float:
    """CPU seconds a batch of the packed store, order and conversion to float included."""
    stream = Batches(splits.train, BATCH, seed=0).stream()
    return seconds_of(lambda: [next(stream) for _ in range(batches)], repeats) / batches


def round_seconds(recipe: str, splits: Splits, rounds: int = 10) -> tuple[float, float]:
    """CPU seconds of one round of a recipe at its own batch, and of drawing that round's batches alone."""
    table = recipe_table(recipe)
    if recipe == "default":
        table = fit_to_data(table, splits.train.spec, CPU)
    trainer = new_trainer(build_recipe(merge(table, {"images": 10**9})), splits, "pictures")
    whole = seconds_of(trainer.play_round, rounds)
    drawn = trainer.drawn // trainer.rounds
    stream = trainer.batches.stream()
    return whole, drawn * seconds_of(lambda: [next(stream) for _ in range(100)], 9) / 100


def measure(count: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "pictures"
        write_pictures(folder, count)
        splits = open_data(folder, DataOptions(held_out=0.01), cache=Path(scratch) / "cache")
        loader, store = loader_seconds(folder), store_seconds(splits)
        rows: list[Row] = [{"label": "reading", "loader": loader, "store": store, "ratio": loader / store}]
        for recipe in RECIPES:
            whole, reading = round_seconds(recipe, splits)
            rows.append({"label": recipe, "round": whole, "reading": reading, "share": reading / whole})
    return rows


def summary(rows: list[Row]) -> str:
    reading, *steps = rows
    times = {"DataLoader over PNG files, no workers": reading["loader"], "packed store": reading["store"]}
    ratios = ["", f"{reading['ratio']:.0f} (≥ 40)"]
    rates = [
        [name, f"{1e3 * seconds:.3f}", f"{BATCH / seconds:,.0f}", ratio]
        for (name, seconds), ratio in zip(times.items(), ratios, strict=True)
    ]
    shares = [
        [row["label"], *(f"{1e3 * row[key]:.3f}" for key in ("round", "reading")), f"{row['share']:.2%} (< 2 %)"]
        for row in steps
    ]
    first = table([f"batches of {BATCH} x 1 x {SIZE} x {SIZE}", "CPU ms a batch", "images/s", "times"], rates)
    return first + "\n\n" + table(["recipe", "CPU ms a round", "of which reading", "share"], shares)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--count", type=int, default=6400, help="PNG files")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(args.count)
    results = Results(args.results, "data_path")
    results.append_all(rows)
    results.publish("Reading batches at 28 x 28", summary(rows))


if __name__ == "__main__":
    main()
