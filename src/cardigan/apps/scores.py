"""What an autoencoder is worth on images it has not seen: a value for each, so that the interval is that of a mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import cardigan
from cardigan.apps.decoders import density_entries
from cardigan.apps.model import Model
from cardigan.data import Dataset
from cardigan.errors import RunError
from cardigan.evaluation import Result, psnr
from cardigan.evaluation.intervals import mean_interval
from cardigan.evaluation.protocol import Better
from cardigan.games.autoencoder import Autoencoder
from cardigan.games.vae import VAE
from cardigan.objectives import bits_per_dimension
from cardigan.training.randomness import seed_everything

CHUNK = 100
BOUNDS = ("elbo", "iwae")  # of log p(x)
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


def scores_of(model: Model) -> list[str]:
    """Names of the scores that the model has."""
    game = model.game
    bounds = BOUNDS if isinstance(game, VAE) else ()
    bits = ["bits-per-dimension"] if isinstance(game, VAE) and game.config.likelihood != "gaussian" else []
    errors = ["mse", *(["psnr"] if model.spec.kind == "images" else [])]
    return [*bounds, *bits, *(errors if isinstance(game, VAE | Autoencoder) else [])]


def refuse_missing(model: Model, names: Sequence[str]) -> None:
    """Refuse a score that was asked for by name and that the model has not.

    Raises:
        RunError: where it has no encoder, or no such score.
    """
    if names:
        model.encoding()
    for name in names:
        if name not in (known := scores_of(model)):
            law = f" with a {model.game.config.likelihood} likelihood" if isinstance(model.game, VAE) else ""
            raise RunError(
                f"a model of the recipe {model.config.recipe}{law} has no {name}: choose from {', '.join(known)}"
            )


def reconstruction_results(model: Model, test: Dataset, seed: int, names: Sequence[str]) -> list[Result]:
    """The scores of `names` that the model has, over the whole test split, each with the interval of its mean.

    The importance-weighted bound, which costs the most, is taken on at most 1,000 images spread evenly over the split,
    with its own count in its protocol.
    """
    seed_everything(seed, "reconstruction results")
    values: dict[str, list[Tensor]] = {}
    for indices in torch.arange(len(test)).split(CHUNK):
        for name, score in image_scores(model, test.images(indices, model.device)).items():
            values.setdefault(name, []).append(score.double().cpu())
    if "iwae" in names and isinstance(model.game, VAE):
        bounds = [tight_bound(model.game, test.images(i, model.device)) for i in spread(len(test)).split(CHUNK)]
        values["iwae"] = [bound.double().cpu() for bound in bounds]
    return [result(name, torch.cat(values[name]), protocol(model, test, seed)) for name in names if name in values]


@torch.no_grad()
def image_scores(model: Model, images: Tensor) -> dict[str, Tensor]:
    """Scores of each image, shape (n,), but for the importance-weighted bound."""
    game = model.game
    scores: dict[str, Tensor] = {}
    if isinstance(game, VAE):
        observed = game.observe(images)
        fit, kl = game.elbo_terms(observed)
        scores["elbo"] = fit - kl
        if "bits-per-dimension" in scores_of(model):
            scores["bits-per-dimension"] = bits_per_dimension(fit - kl, model.spec.dimensions)
    if isinstance(game, VAE | Autoencoder):
        rebuilt = game.reconstruct(images).float()
        scores["mse"] = (rebuilt - images).square().flatten(1).mean(1)
        if model.spec.kind == "images":
            scores["psnr"] = psnr(rebuilt, images)
    return scores


@torch.no_grad()
def tight_bound(game: VAE, images: Tensor) -> Tensor:
    """The importance-weighted bound of each image, shape (n,)."""
    return game.importance_weighted_bound(game.observe(images), BOUND_SAMPLES)


def spread(length: int) -> Tensor:
    """Indices of at most 1,000 images spread evenly over a split, which may lie in the order of its classes."""
    count = min(BOUND_IMAGES, length)
    return torch.arange(count) * length // count


def protocol(model: Model, test: Dataset, seed: int) -> dict[str, Any]:
    entries = {
        "generated": {"name": f"{model.config.recipe} after {model.config.images:,} images", "digest": model.digest},
        "reference": {"name": test.name, "digest": test.digest, "split": test.split, "count": len(test)},
        "seed": seed,
        "interval": "normal, over the images",
        "version": cardigan.__version__,
    }
    if isinstance(model.game, VAE):
        entries["likelihood"] = model.game.config.likelihood
        if model.game.config.likelihood == "gaussian":
            entries |= density_entries(model.spec)
    return entries


def result(name: str, values: Tensor, entries: dict[str, Any]) -> Result:
    mean, (low, high) = mean_interval(values)
    score = SCORES[name]
    density = f", a density of {entries['density of']}" if name in BOUNDS and "density of" in entries else ""
    entries = {**entries, "samples": len(values), "meaning": score.meaning + density}
    return Result(name.replace("-", " "), mean, low, high, None, score.better, entries)
