"""What lazy R1 and R2 cost a round, and how fast a trained generator is sampled, each as a ratio within one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch

from cardigan.apps.model import Model
from cardigan.data import Dataset, DataSpec, Splits
from cardigan.training.automatic import fit_to_data
from cardigan.training.recipe import build_recipe, merge, recipe_table
from cardigan.training.trainer import Trainer
from common import CPU, Results, model_of, new_trainer, options, table

SIDE, ROUNDS, SAMPLES = 64, 8, 64
WITHOUT = {"game": {"r1": 0.0, "r2": 0.0}}
GROWN = {"game": {"grow": False}}


def noise() -> Splits:
    spec = DataSpec(channels=3, height=SIDE, width=SIDE)
    pixels = torch.randint(0, 256, (256, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    dataset = Dataset("noise", "train", spec, pixels, "noise")
    return Splits(dataset, dataset)


def trainer(recipe: str, changes: dict) -> Trainer:
    splits = noise()
    table = recipe_table(recipe)
    if recipe == "default":
        table = fit_to_data(table, splits.train.spec, CPU)
    return new_trainer(build_recipe(merge(table, changes)), splits, "noise")


def seconds(act: Callable[[], object]) -> float:
    began = time.process_time()
    act()
    return time.process_time() - began


def rounds(of: Trainer) -> None:
    for _ in range(ROUNDS):
        of.play_round()


def penalties(recipe: str, repeats: int) -> list[str]:
    """Of 8 rounds, in which each interval divides evenly."""
    lazy, without = trainer(recipe, {}), trainer(recipe, WITHOUT)
    rounds(lazy), rounds(without)
    pairs = [(seconds(lambda: rounds(lazy)), seconds(lambda: rounds(without))) for _ in range(repeats)]
    ours, plain = (1e3 * median(column) / ROUNDS for column in zip(*pairs, strict=True))
    interval = lazy.recipe.game.model_dump()["penalty_interval"]
    return [recipe, str(interval), f"{plain:.0f}", f"{ours:.0f}", f"{median(a / b for a, b in pairs):.2f}"]


@torch.no_grad()
def one_by_one(model: Model) -> torch.Tensor:
    """The plain loop: a latent, a forward, the next."""
    latents = model.game.draw_latents(SAMPLES, torch.Generator().manual_seed(0))
    return torch.cat([model.game.decode(latent[None]) for latent in latents])


def sampling(recipe: str, repeats: int) -> list[str]:
    with model_of(trainer(recipe, GROWN if recipe == "progressive" else {})) as model:
        latents = model.game.draw_latents(SAMPLES, torch.Generator().manual_seed(0))
        difference = (model.decode(latents) - one_by_one(model).clamp(-1, 1)).abs().max().item()
        model.sample(SAMPLES)
        pairs = [(seconds(lambda: model.sample(SAMPLES)), seconds(lambda: one_by_one(model))) for _ in range(repeats)]
    ours, plain = (SAMPLES / median(column) for column in zip(*pairs, strict=True))
    return [recipe, f"{plain:.0f}", f"{ours:.0f}", f"{median(b / a for a, b in pairs):.1f}", f"{difference:.0e}"]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    body = (
        f"A round of the recipe at {SIDE} x {SIDE} x 3, with its penalties as lazily as it says and without any; "
        f"milliseconds of CPU, medians of {args.repeats} interleaved runs.\n\n"
    )
    header = ["recipe", "penalties every", "without (ms)", "with (ms)", "ratio"]
    body += table(header, [penalties(recipe, args.repeats) for recipe in ("default", "r3gan")])
    body += f"\n\n`model.sample({SAMPLES})` against one forward after another; images a second of CPU.\n\n"
    header = ["recipe", "one by one", "model.sample", "ratio", "largest difference"]
    body += table(header, [sampling(recipe, args.repeats) for recipe in ("default", "progressive", "r3gan")])
    Results(args.results, "speed_generators").publish("Speed of generators", body)


if __name__ == "__main__":
    main()
