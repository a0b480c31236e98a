"""From a folder of images to completed ones, beside what other fillings make of the same holes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
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
)
from cardigan.apps.inpainting.completion import CompletionOptions
from cardigan.apps.inpainting.rivals import rivals
from cardigan.apps.model import Model
from cardigan.data.masks import MASKS, check_holes, draw_holes, read_hole
from cardigan.data.spec import DataSpec
from cardigan.errors import DataError, RecipeError, RunError
from cardigan.evaluation import hole_psnr, hole_ssim
from cardigan.training.pictures import save_picture
from cardigan.training.randomness import generator


@dataclass(frozen=True)
class Score:
    """Of one way of filling, over all images: means and standard errors, in the holes alone."""

    psnr: float
    psnr_error: float
    ssim: float
    ssim_error: float


@dataclass(frozen=True)
class Completed:
    """What `inpaint_files` did.

    Attributes:
        scores: by way of filling; against what was under the holes, which no filling has seen.
        steps: mean number of steps to the latent.
        notes: what there is to know of the images and the mask.
        protocol: all that the numbers depend on.
    """

    scores: dict[str, Score]
    steps: float
    notes: tuple[str, ...]
    protocol: dict[str, Any]

    def lines(self) -> list[str]:
        """A table for people."""
        rows = [f"{'in the hole':16} {'PSNR (dB)':>15} {'SSIM':>15}"]
        for name, score in self.scores.items():
            psnr, ssim = f"{score.psnr:.2f} ± {score.psnr_error:.2f}", f"{score.ssim:.3f} ± {score.ssim_error:.3f}"
            rows.append(f"{name:16} {psnr:>15} {ssim:>15}")
        count = self.protocol["images"]
        return [*rows, f"mean ± standard error of {count} images; {self.steps:.0f} steps to a latent"]

    def to_json(self) -> str:
        scores = {name: vars(score) for name, score in self.scores.items()}
        return json.dumps({"scores": scores, "steps": self.steps, "notes": self.notes, **self.protocol}, indent=2)


def inpaint_files(
    model: Model,
    source: str,
    mask: str,
    out: Path,
    *,
    options: CompletionOptions | None = None,
    images: int | None = None,
    label: str | None = None,
    against: Sequence[str] = (),
    trained: Callable[[str], Model] | None = None,
) -> Completed:
    """Cut holes into images, fill them, write the completed images, and compare with what was there.

    Args:
        source: images; test images are taken before training images where it has both.
        mask: a kind of hole, or a grey picture that is white where something is missing.
        images: how many; all by default.
        against: other ways of filling, of `RIVALS`.
        trained: gives the network trained for holes of a kind, for the rival of that name.

    Raises:
        CardiganError: with one line that says what to do.
    """
    options = options or CompletionOptions()
    refuse_unfit(model, mask, against)
    check_place(out, folder=True)
    spec = model.spec
    given, notes = (None, ()) if mask in MASKS else given_mask(mask, spec)
    splits = open_as(source, spec)
    network = cache(lambda: trained(mask) if trained else None)
    fillings = rivals(against, model, options, network)
    available = len(splits.test) + len(splits.train)
    wanted = min(images or available, available)
    tally, panel = Tally(), Panel(spec)
    with appearing(out) as draft, steps_progress("completing", wanted) as progress:
        draft.mkdir()
        for start, split, indices in parts(splits, wanted):
            whole = split.images(indices)
            holes = (
                cut(mask, spec, start, len(whole), options.seed) if given is None else given.repeat(len(whole), 1, 1, 1)
            )
            done = model.inpaint(whole, holes[:, 0], options, label=label, advance=progress)
            masked = whole.masked_fill(holes, 0.0)
            results = {"blended": done.images, "pasted": done.pasted} if options.blended else {"pasted": done.pasted}
            results |= {name: fill(masked, holes) for name, fill in fillings.items()}
            tally.add(results, whole, holes, done.steps)
            for stem, image in zip(stems(split, indices), done.images, strict=True):
                write_example(image, spec, draft / stem)
            panel.add({"original": whole, "masked": masked, "generated": done.generated, **results})
        save_picture(panel.drawn(), draft / "comparison.png")
    return Completed(
        scores=tally.summaries(),
        steps=tally.mean_steps(),
        notes=(
            *notes,
            *learnt(network() if "network" in fillings else None),
            *splits.notes,
            *conversions(source, spec),
        ),
        protocol=protocol(model, source, mask, wanted, options),
    )


def refuse_unfit(model: Model, mask: str, against: Sequence[str]) -> None:
    """Refuse a model that makes no images, and a network trained for holes that are of no kind.

    Raises:
        RunError, RecipeError: with one line that says what to do.
    """
    model.generative()
    if model.spec.kind != "images":
        raise RunError(f"{model.config.recipe} makes points, which have no holes: take a model of images")
    if mask not in MASKS and "network" in against:
        raise RecipeError(
            f"a network is trained for holes of one kind: choose --mask {', '.join(MASKS)}, not a picture"
        )


class Tally:
    """Scores of each way of filling, and the steps of the searches, a part of the images at a time."""

    def __init__(self) -> None:
        self.scores: dict[str, list[Tensor]] = {}
        self.steps: list[Tensor] = []

    def add(self, results: Mapping[str, Tensor], images: Tensor, holes: Tensor, steps: Tensor) -> None:
        for name, filled in results.items():
            self.scores.setdefault(name, []).append(score(filled, images, holes))
        self.steps.append(steps)

    def summaries(self) -> dict[str, Score]:
        return {name: summary(torch.cat(values, dim=1)) for name, values in self.scores.items()}

    def mean_steps(self) -> float:
        return torch.cat(self.steps).float().mean().item()


def learnt(network: Model | None) -> tuple[str, ...]:
    """How long the compared network was trained, which may have been long ago."""
    return () if network is None else (f"the compared network has learnt from {network.config.images:,} images",)


def protocol(model: Model, source: str, mask: str, images: int, options: CompletionOptions) -> dict[str, Any]:
    """All that the numbers depend on."""
    return {
        "images": images,
        "source": source,
        "mask": mask,
        "model": model.config.recipe,
        "weights": model.digest,
        "trained on": model.config.digest,
        "options": options.model_dump(),
    }


def given_mask(mask: str, spec: DataSpec) -> tuple[Tensor, tuple[str, ...]]:
    path = Path(mask)
    if not path.is_file():
        raise DataError(
            f"there is no mask {mask}: choose {', '.join(MASKS)}, or name a grey picture, white where a hole is"
        )
    hole, notes = read_hole(path, spec.height, spec.width)
    check_holes(hole)
    return hole, notes


def cut(kind: Any, spec: DataSpec, start: int, count: int, seed: int) -> Tensor:
    """Holes of images start, start + 1, ...: each a function of the seed and the image's number."""
    streams = (generator(seed, "mask", kind, number) for number in range(start, start + count))
    return torch.cat([draw_holes(kind, 1, spec.height, spec.width, stream) for stream in streams])


def score(filled: Tensor, images: Tensor, holes: Tensor) -> Tensor:
    """PSNR and SSIM in the holes, (2, n)."""
    return torch.stack([hole_psnr(filled, images, holes), hole_ssim(filled, images, holes)])


def summary(scores: Tensor) -> Score:
    """Means and standard errors of PSNR and SSIM, (2, n), over the images that have one."""
    numbers = []
    for values in scores:
        known = values[values.isfinite()]
        error = known.std().item() / len(known) ** 0.5 if len(known) > 1 else float("nan")
        numbers += [known.mean().item() if len(known) else float("nan"), error]
    return Score(*numbers)
