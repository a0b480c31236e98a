"""What an autoencoder is worth on images it has not seen: a value for each, so that the interval is that of a mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import cardigan
from cardigan.apps.model import Model
from cardigan.data import Dataset
from cardigan.evaluation import Result, psnr
from cardigan.evaluation.intervals import mean_interval
from cardigan.evaluation.protocol import Better
from cardigan.games.autoencoder import Autoencoder
from cardigan.games.vae import VAE
from cardigan.objectives import bits_per_dimension
from cardigan.training.randomness import seed_everything

CHUNK = 100
BOUND_SAMPLES = 50
BOUND_IMAGES = 1_000


@dataclass(frozen=True)
class Score:
    """How a score is to be read."""

    better: Better
    meaning: str


SCORES = {
    "elbo": Score("higher", "nats an image: a lower bound on log p(x)"),
    "iwae": Score("higher", f"nats an image: the tighter bound with {BOUND_SAMPLES} importance samples"),
    "bits-per-dimension": Score("lower", "the bound as bits a pixel and channel"),
    "mse": Score("lower", "mean squared error of a reconstruction, pixels in [-1, 1]"),
    "psnr": Score("higher", "dB, mean over the images"),
}


def reconstruction_results(model: Model, test: Dataset, seed: int, names: Sequence[str]) -> list[Result]:
    """The scores of `names` that the model has, over the whole test split, each with the interval of its mean.

    The importance-weighted bound is taken on the first 1,000 images, with its own count in its protocol.
    """
    seed_everything(seed, "reconstruction results")
    values: dict[str, list[Tensor]] = {}
    for indices in torch.arange(len(test)).split(CHUNK):
        bounded = "iwae" in names and int(indices[0]) < BOUND_IMAGES
        scores = image_scores(model, test.images(indices, model.device), bounded)
        for name, score in scores.items():
            values.setdefault(name, []).append(score.double().cpu())
    return [result(name, torch.cat(values[name]), protocol(model, test, seed)) for name in names if name in values]


@torch.no_grad()
def image_scores(model: Model, images: Tensor, bounded: bool) -> dict[str, Tensor]:
    """Scores of each image, shape (n,); `bounded` adds the importance-weighted bound, which costs the most."""
    game = model.game
    scores: dict[str, Tensor] = {}
    if isinstance(game, VAE):
        observed = game.observe(images)
        fit, kl = game.elbo_terms(observed)
        scores["elbo"] = fit - kl
        if bounded:
            scores["iwae"] = game.importance_weighted_bound(observed, BOUND_SAMPLES)
        if game.config.likelihood != "gaussian":
            scores["bits-per-dimension"] = bits_per_dimension(fit - kl, model.spec.dimensions)
    if isinstance(game, VAE | Autoencoder):
        rebuilt = game.reconstruct(images).float()
        scores["mse"] = (rebuilt - images).square().flatten(1).mean(1)
        if model.spec.kind == "images":
            scores["psnr"] = psnr(rebuilt, images)
    return scores


def protocol(model: Model, test: Dataset, seed: int) -> dict[str, Any]:
    entries = {
        "generated": f"{model.config.recipe} after {model.config.images:,} images",
        "reference": {"name": test.name, "digest": test.digest, "split": test.split, "count": len(test)},
        "seed": seed,
        "interval": "normal, over the images",
        "version": cardigan.__version__,
    }
    if isinstance(model.game, VAE):
        entries["likelihood"] = model.game.config.likelihood
    return entries


def result(name: str, values: Tensor, entries: dict[str, Any]) -> Result:
    mean, (low, high) = mean_interval(values)
    score = SCORES[name]
    entries = {**entries, "samples": len(values), "meaning": score.meaning}
    return Result(name.replace("-", " "), mean, low, high, None, score.better, entries)
