"""Completing many images at once against the plain loop, one image after another with the same number of steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch

from cardigan.apps.inpainting.completion import CompletionOptions, context_weights
from cardigan.apps.model import Model
from cardigan.apps.search import TRIAL, weighted_error
from cardigan.data import Dataset, DataSpec, Splits
from cardigan.data.masks import draw_holes
from cardigan.training.automatic import fit_to_data
from cardigan.training.recipe import build_recipe, recipe_table
from common import CPU, Results, model_of, new_trainer, options, table

STEPS, BATCH, ALONE = 100, 128, 2
STARTS, SOME = 4, 32


def plain(model: Model, images: torch.Tensor, holes: torch.Tensor) -> None:
    """What public code does: for each image a latent, torch's Adam and a fixed number of steps."""
    weights = context_weights(holes)
    for image, weight in zip(images.split(1), weights.split(1), strict=True):
        latent = model.latents(1).requires_grad_(True)
        adam = torch.optim.Adam([latent], lr=0.1)
        for _ in range(STEPS):
            generated = model.game.decode(latent)
            realness = model.game.realness(generated)
            loss = weighted_error(generated, image, weight) + 0.02 * torch.nn.functional.softplus(-realness)
            adam.zero_grad()
            loss.sum().backward()
            adam.step()


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    spec = DataSpec(channels=1, height=64, width=64)
    pixels = torch.randint(0, 256, (BATCH, 1, 64, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    dataset = Dataset("noise", "train", spec, pixels, "noise")
    recipe = build_recipe({**fit_to_data(recipe_table("default"), spec, CPU), "precision": "float32"})
    images, holes = dataset.images(torch.arange(BATCH)), draw_holes("center", BATCH, 64, 64)
    fixed = CompletionOptions(restarts=1, steps=STEPS, improvement=1e-12, blended=False)
    several = fixed.model_copy(update={"restarts": STARTS})

    def measured(act: Callable[[Model], object], count: int) -> float:
        """Images a minute, with networks in the layout that they come in."""
        with model_of(new_trainer(recipe, Splits(dataset, dataset), "noise")) as model:
            model.game.requires_grad_(False)
            if act is loop:
                model.game.to(memory_format=torch.contiguous_format)
            began = time.process_time()
            act(model)
            return 60 * count / (time.process_time() - began)

    def loop(model: Model) -> None:
        plain(model, images[:ALONE], holes[:ALONE])

    def together(model: Model) -> object:
        return model.inpaint(images, holes[:, 0], fixed)

    def competing(model: Model) -> object:
        return model.inpaint(images[:SOME], holes[:SOME, 0], several)

    acts = ((loop, ALONE), (together, BATCH), (competing, SOME))
    rates = [tuple(measured(act, count) for act, count in acts) for _ in range(args.repeats)]
    one, many, best = (median(column) for column in zip(*rates, strict=True))
    rows = [
        ["1", f"{one:.1f}", f"{many:.1f}", f"{median(b / a for a, b, _ in rates):.1f}"],
        [str(STARTS), f"{one / STARTS:.1f}", f"{best:.1f}", f"{median(STARTS * c / a for a, _, c in rates):.1f}"],
    ]
    body = (
        f"{STEPS} steps for each of the images of 64 x 64, default networks in float32; images a minute of CPU, medians "
        f"of {args.repeats} interleaved runs. The batch pays for the samples it starts from as well; of several starts "
        f"only the best goes on after {TRIAL} steps, where the loop, measured with one, follows each to its end.\n\n"
    )
    header = ["starts an image", "one image after another", f"{BATCH} searches at once", "ratio"]
    Results(args.results, "speed_inpaint").publish("Speed of completion", body + table(header, rows))


if __name__ == "__main__":
    main()
