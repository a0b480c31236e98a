"""Annealed importance sampling of log p(x): all images and their chains as one batch, against a loop over the images.

Both make the same moves under the same decoder, and in both the chains of one image are a batch; they take turns in one
process. What the weights are does not matter to the speed, so the decoders have been trained for one round only.
"""

from __future__ import annotations

import time
from statistics import median

import torch

from cardigan.apps.decoders import Decoder, GaussianNoise, OwnLikelihood, Shown
from cardigan.apps.loglik import CHAINS, IMAGES, Sampler
from cardigan.games import VAE, Generative
from cardigan.training.device import choose_arithmetic
from common import CPU, Job, Results, Row, model_of, options, table

TARGET = 5
WARM_UP = 1
SIGMA = 0.2


def decoder_of(game: Generative) -> Decoder:
    return OwnLikelihood(game) if isinstance(game, VAE) else GaussianNoise(game, torch.tensor(SIGMA))


def anneal(game: Generative, reals: Shown, at_once: int, steps: int) -> float:
    """CPU seconds for all of the images, `at_once` at a time."""
    stream = torch.Generator().manual_seed(0)
    sampler, decoder = Sampler(game.latent.size, steps, CHAINS, stream), decoder_of(game)
    seen = decoder.observe(reals, stream)
    began = time.process_time()
    for first in range(0, len(seen), at_once):
        sampler.lower(decoder, seen[first : first + at_once])
    return time.process_time() - began


def measure(recipe: str, data: str, images: int, steps: int, repeats: int) -> list[Row]:
    """Chain steps a CPU second of both, and the median of the turns' ratios."""
    job = Job(recipe, data, recipe, 0, 0.0)
    splits = job.splits()
    trainer = job.trainer(splits, 10**6)
    trainer.play_round()
    sizes = {"loop over images": 1, "one batch": images}
    seconds: dict[str, list[float]] = {name: [] for name in sizes}
    with model_of(trainer) as model, choose_arithmetic(CPU, "float32", 1, model.game).products():
        reals = Shown(splits.test.images(torch.arange(images)))
        for _ in range(WARM_UP + repeats):
            for name, at_once in sizes.items():
                seconds[name].append(anneal(model.generative(), reals, at_once, steps))
    turns = {name: each[WARM_UP:] for name, each in seconds.items()}
    count = images * CHAINS * steps
    return [
        {
            "label": f"{recipe}, {name}",
            "rate": count / median(each),
            "ratio": median(one / other for one, other in zip(turns["loop over images"], each, strict=True)),
            "least": min(one / other for one, other in zip(turns["loop over images"], each, strict=True)),
        }
        for name, each in turns.items()
    ]


def summary(rows: list[Row]) -> str:
    lines = [
        [
            row["label"],
            f"{row['rate']:,.0f}",
            f"{row['ratio']:.1f}",
            f"{row['least']:.1f}",
            f"≥ {TARGET}" if row["label"].endswith("one batch") else "",
        ]
        for row in rows
    ]
    about = f"A chain step is a move of one chain at one temperature; {CHAINS} chains an image.\n\n"
    return about + table(["candidate", "chain steps a CPU second", "times the loop, median", "least", "target"], lines)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--recipes", nargs="+", default=["default", "vae"])
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = [row for recipe in args.recipes for row in measure(recipe, args.data, args.images, args.steps, args.repeats)]
    results = Results(args.results, "ais_speed")
    results.append_all(rows)
    results.publish(f"Annealing {args.images} images of {args.data}, {args.repeats} interleaved turns", summary(rows))


if __name__ == "__main__":
    main()
