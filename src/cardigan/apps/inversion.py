"""Inversion: the latent whose picture is nearest to a given one (Zhu et al. 2016, section 3.1), and how near that is.

What a generator makes of the latent it is closest at shows what it can and cannot make; and the latent can be walked
from like any other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import PositiveFloat, PositiveInt
from scipy.special import chdtri
from torch import Tensor

from cardigan.apps.files import (
    Panel,
    appearing,
    check_place,
    conversions,
    open_as,
    parts,
    stems,
    steps_progress,
    write_example,
    write_text,
)
from cardigan.apps.model import Model
from cardigan.apps.search import Found, SearchOptions, find
from cardigan.errors import RunError
from cardigan.evaluation import psnr, ssim
from cardigan.games import Generative
from cardigan.training.pictures import save_picture

BEYOND = 1e-3
"""Share of the prior's draws that lie outside the ball in which normal latents are looked for."""


class InversionOptions(SearchOptions):
    """How the latent of a picture is looked for: as every search, but without a prior loss, and longer."""

    decays: PositiveInt = 4
    improvement: PositiveFloat = 0.005


def invert(
    game: Generative,
    images: Tensor,
    options: InversionOptions,
    device: torch.device,
    label: Tensor | None = None,
    advance: Callable[[int], None] = lambda images: None,
) -> Found:
    """Latents whose images have the least mean absolute error from `images` (n, channels, height, width) in [-1, 1].

    `advance` is called with the number of images of each part that is done.
    """
    height, width = images.shape[2:]
    weights = torch.full((len(images), 1, height, width), 1 / (height * width))
    radius = math.sqrt(chdtri(game.latent.size, BEYOND))
    return find(game, images, weights, options, device, label=label, radius=radius, advance=advance)


# ---- files -----------------------------------------------------------------------------------------------------------

MEASURES = {"psnr": ("PSNR (dB)", 2), "mae": ("mean abs. error", 4), "ssim": ("SSIM", 3)}


@dataclass(frozen=True)
class Inverted:
    """What `invert_files` did.

    Attributes:
        images: file, errors and steps of each image, in the order of the latents.
        notes: what there is to know of the images.
        protocol: all that the numbers depend on.
    """

    images: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]
    protocol: dict[str, Any]

    def summary(self, measure: str) -> tuple[float, float]:
        """Mean and standard error over the images that have a finite value; NaN where they are too few."""
        known = torch.tensor([each[measure] for each in self.images if each[measure] is not None], dtype=torch.float64)
        error = known.std().item() / len(known) ** 0.5 if len(known) > 1 else math.nan
        return known.mean().item() if len(known) else math.nan, error

    def lines(self) -> list[str]:
        """A table for people."""
        rows = [f"{'inverted images':16} {'mean':>8} {'± standard error':>17}"]
        for measure, (name, digits) in MEASURES.items():
            mean, error = self.summary(measure)
            rows.append(f"{name:16} {mean:>8.{digits}f} {error:>17.{digits}f}")
        steps = sum(each["steps"] for each in self.images) / len(self.images)
        return [*rows, f"of {len(self.images)} images with pixels in [-1, 1]; {steps:.0f} steps to a latent"]

    def to_json(self) -> str:
        summary = {
            name: dict(zip(("mean", "standard error"), map(finite, self.summary(name)), strict=True))
            for name in MEASURES
        }
        return json.dumps({**summary, **self.protocol, "notes": self.notes, "each": self.images}, indent=2)


def invert_files(
    model: Model,
    source: str,
    out: Path,
    *,
    options: InversionOptions | None = None,
    images: int | None = None,
    label: str | None = None,
) -> Inverted:
    """Write the model's nearest picture to each image, their latents, how near they are, and both side by side.

    Args:
        source: images; test images are taken before training images where it has both.
        out: folder for one file an image, comparison.png, latents.npy and inversion.json.
        images: how many; all by default.

    Raises:
        CardiganError: with one line that says what to do.
    """
    options = options or InversionOptions()
    model.generative()
    model.known_class(label)
    check_place(out, folder=True)
    spec = model.spec
    if spec.kind != "images":
        raise RunError(f"{model.config.recipe} makes points, which are no pictures: take a model of images")
    splits = open_as(source, spec)
    available = len(splits.test) + len(splits.train)
    wanted = min(images or available, available)
    each: list[dict[str, Any]] = []
    latents: list[Tensor] = []
    panel = Panel(spec)
    with appearing(out) as draft, steps_progress("inverting", wanted) as progress:
        draft.mkdir()
        for _, split, indices in parts(splits, wanted):
            originals, names = split.images(indices), stems(split, indices)
            found = model.invert(originals, options, label=label, advance=progress)
            latents.append(found.latents)
            each += records(names, originals, found)
            for stem, image in zip(names, found.images, strict=True):
                write_example(image, spec, draft / stem)
            panel.add({"original": originals, "inverted": found.images})
        save_picture(panel.drawn(), draft / "comparison.png")
        np.save(draft / "latents.npy", torch.cat(latents).numpy())
        done = Inverted(
            images=tuple(each),
            notes=(*splits.notes, *conversions(source, spec)),
            protocol={
                "images": wanted,
                "source": source,
                "class": label,
                "model": model.config.recipe,
                "weights": model.digest,
                "trained on": model.config.digest,
                "options": options.model_dump(),
            },
        )
        write_text(draft / "inversion.json", done.to_json() + "\n")
    return done


def records(names: list[str], images: Tensor, found: Found) -> list[dict[str, Any]]:
    """File, errors and steps of each image."""
    mae = (found.images - images).abs().mean((1, 2, 3))
    columns = psnr(found.images, images), mae, ssim(found.images + 1, images + 1), found.steps
    rows = zip(names, *(column.tolist() for column in columns), strict=True)
    return [
        {"image": name, **{m: finite(v) for m, v in zip(MEASURES, values, strict=True)}, "steps": steps}
        for name, *values, steps in rows
    ]


def finite(value: float) -> float | None:
    """JSON has no infinity, which is the PSNR of equal images."""
    return value if math.isfinite(value) else None
