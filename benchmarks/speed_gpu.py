"""Rounds and samples on a CUDA device: images a second of recipes as they come, in float32 and in bfloat16."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

import torch

from cardigan.apps.model import Model
from cardigan.data import Dataset, DataSpec, Splits
from cardigan.data.sides import Pairs, Unpaired
from cardigan.data.spec import Side
from cardigan.training.automatic import fit_to_data
from cardigan.training.recipe import build_recipe, merge, parse_settings, recipe_table
from cardigan.training.trainer import Trainer
from common import Results, new_trainer, options, table

CUDA = torch.device("cuda")
PAPER = "{name='r3gan', width=768, max_width=768, blocks=2, group=16}"
FACES = "{name='r3gan', width=384, max_width=768, blocks=2, group=16}"


@dataclass(frozen=True)
class Trial:
    """A recipe at a size.

    Attributes:
        sides: of data for translation: None, "paired" or "unpaired".
    """

    recipe: str
    size: int
    settings: tuple[str, ...] = ()
    sides: str | None = None

    def splits(self) -> Splits:
        noise = [noise_images(self.size, seed) for seed in (0, 1)]
        if not self.sides:
            return Splits(noise[0], noise[0])
        spec = DataSpec(
            channels=6,
            height=self.size,
            width=self.size,
            sides=tuple(Side(name=name, channels=3) for name in "ab"),
            paired=self.sides == "paired",
        )
        both = (Pairs if spec.paired else Unpaired)(*noise, spec)
        return Splits(both, both)

    def trainer(self, precision: str) -> Trainer:
        splits = self.splits()
        table = recipe_table(self.recipe)
        if self.recipe == "default":
            table = fit_to_data(table, splits.train.spec, CUDA)
        table = merge(table, parse_settings(self.settings))
        return new_trainer(build_recipe(merge(table, {"precision": precision})), splits, "noise", device="cuda")


def noise_images(size: int, seed: int) -> Dataset:
    pixels = torch.randint(0, 256, (1024, 3, size, size), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
    return Dataset("noise", "train", DataSpec(channels=3, height=size, width=size), pixels, f"noise {seed}")


TRIALS = {
    "default": Trial("default", 64),
    "dcgan": Trial("dcgan", 64),
    "wgan-gp": Trial("wgan-gp", 64),
    "progressive, grown": Trial("progressive", 64, ("game.grow=false",)),
    "r3gan": Trial("r3gan", 64),
    "r3gan, the paper's for CIFAR-10": Trial(
        "r3gan", 32, (f"game.generator={PAPER}", f"game.discriminator={PAPER}", "batch=256", "game.penalty_interval=1")
    ),
    "r3gan, the paper's for FFHQ-64": Trial(
        "r3gan", 64, (f"game.generator={FACES}", f"game.discriminator={FACES}", "batch=64", "game.penalty_interval=1")
    ),
    "pix2pix": Trial("pix2pix", 256, sides="paired"),
    "pix2pix, batch 16": Trial("pix2pix", 256, ("batch=16",), "paired"),
    "cyclegan": Trial("cyclegan", 128, sides="unpaired"),
    "cyclegan, batch 8": Trial("cyclegan", 128, ("batch=8",), "unpaired"),
    "unit": Trial("unit", 128, sides="unpaired"),
}


def seconds_of_round(trainer: Trainer, repeats: int) -> float:
    """Median over `repeats` stretches of a multiple of 4 rounds, in which lazy penalties come as often as they should."""
    rounds = 4
    trainer.play_round()
    began = time.perf_counter()
    for _ in range(rounds):
        trainer.play_round()
    torch.cuda.synchronize()
    while (time.perf_counter() - began) * repeats < 2 and rounds < 64:
        rounds *= 2
        began = time.perf_counter()
        for _ in range(rounds):
            trainer.play_round()
        torch.cuda.synchronize()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        for _ in range(rounds):
            trainer.play_round()
        torch.cuda.synchronize()
        taken.append((time.perf_counter() - began) / rounds)
    return median(taken)


def measured(trial: Trial, repeats: int) -> list[str]:
    cells = [str(trial.size)]
    for precision in ("float32", "bfloat16"):
        torch.cuda.reset_peak_memory_stats()
        trainer = trial.trainer(precision)
        seconds = seconds_of_round(trainer, repeats)
        cells += [f"{1e3 * seconds:.1f}", f"{trainer.recipe.batch / seconds:,.0f}"]
        cells.append(f"{torch.cuda.max_memory_allocated() / 2**20:,.0f}")
        batch = trainer.recipe.batch
        del trainer
        torch.cuda.empty_cache()
    return [str(batch), *cells]


def sampling(trial: Trial, count: int = 4096) -> str:
    trainer = trial.trainer("float32")
    trainer.game.eval()
    model = Model(trainer.model_config(), trainer.game, "cuda")
    model.sample(128)
    began = time.perf_counter()
    model.sample(count)
    return f"{count / (time.perf_counter() - began):,.0f}"


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--trials", nargs="+", default=list(TRIALS))
    args = parser.parse_args()
    rows = []
    for name in args.trials:
        rows.append([name, *measured(TRIALS[name], args.repeats)])
        print(rows[-1], flush=True)
    header = ["recipe", "batch", "size"]
    header += [f"{p}: {what}" for p in ("float32", "bfloat16") for what in ("ms a round", "images/s", "peak MiB")]
    body = (
        f"On {torch.cuda.get_device_name()}, CUDA {torch.version.cuda}; medians of {args.repeats} stretches of rounds, "
        "whole rounds with data, all moves and the weight average.\n\n"
    )
    body += table(header, rows) + "\n\n`model.sample`, images a second to the CPU, float32:\n\n"
    body += table(["recipe", "images/s"], [[n, sampling(TRIALS[n])] for n in ("default", "r3gan") if n in args.trials])
    Results(args.results, "speed_gpu").publish("Speed on a GPU", body)


if __name__ == "__main__":
    main()
