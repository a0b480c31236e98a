"""Completing faces of people never seen: PSNR and SSIM in four kinds of hole, against other fillings and ablations."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from cardigan.apps.inpainting.completion import CompletionOptions
from cardigan.apps.inpainting.files import inpaint_files
from cardigan.apps.inpainting.rivals import RIVALS, context_encoder
from cardigan.apps.model import Model, load
from cardigan.apps.train import train
from cardigan.data.masks import MASKS
from common import Results, Row, options, table

SETTINGS = {"game": {"latent": {"size": 128}}, "data": {"flip": True}}
ABLATIONS: dict[str, dict[str, Any]] = {
    "completion": {},
    "no prior loss": {"prior": 0.0},
    "no weighting": {"weighted": False},
}
NAMES = {"blended": "completion", "pasted": "no blending", "tv": "total variation", "nearest": "nearest training image"}


def faces() -> str:
    folder = os.environ.get("CARDIGAN_DATA")
    if not folder:
        raise SystemExit("set CARDIGAN_DATA to the folder that holds lfw_gray64/lfw_gray64.zip")
    return str(Path(folder) / "lfw_gray64/lfw_gray64.zip")


def generator(run: Path, images: int) -> Model:
    """The trained generator, trained here where there is none."""
    if not (run / "report.html").is_file():
        train(faces(), out=run, images=images, settings=SETTINGS, resume=True)
    return load(run)


def measure(model: Model, args: argparse.Namespace, mask: str, name: str) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        done = inpaint_files(
            model,
            faces(),
            mask,
            Path(folder) / "out",
            options=CompletionOptions(**ABLATIONS[name]),
            images=args.images,
            against=RIVALS if name == "completion" else (),
            trained=lambda kind: context_encoder(args.run, model, kind, args.network_minutes),
        )
    scores = {NAMES.get(way, way): vars(score) for way, score in done.scores.items()}
    if name != "completion":
        scores = {name: scores["completion"]}
    return {"scores": scores, "steps": done.steps}


def summary(rows: dict[str, dict[str, Any]], model: Model, args: argparse.Namespace) -> str:
    ways = list(dict.fromkeys(way for scores in rows.values() for way in scores))
    order = ["completion", "no prior loss", "no weighting", "no blending"]
    ways = [way for way in order if way in ways] + [way for way in ways if way not in order]

    def cells(way: str, key: str, digits: int) -> list[str]:
        found = [rows[mask].get(way) for mask in MASKS]
        return [f"{each[key]:.{digits}f} ± {each[key + '_error']:.{digits}f}" if each else "" for each in found]

    about = (
        f"{args.images} test faces of people who are not among the {model.config.data.rpartition('/')[2]} training "
        f"faces; the generator is the default recipe after {model.config.images:,} images, the network a context "
        f"encoder trained {args.network_minutes:g} minutes for each kind of hole. Mean ± standard error, in the hole."
    )
    parts = [about]
    for title, key, digits in (("PSNR in dB", "psnr", 2), ("SSIM", "ssim", 3)):
        parts.append(f"{title}:\n\n" + table(["", *MASKS], [[way, *cells(way, key, digits)] for way in ways]))
    return "\n\n".join(parts)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/faces"), help="the generator, trained if there is none")
    parser.add_argument("--training", type=int, default=300_000, help="images of that training, 68 CPU minutes")
    parser.add_argument("--network-minutes", type=float, default=3.0)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--masks", nargs="+", default=list(MASKS), choices=MASKS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = generator(args.run, args.training)
    results = Results(args.results, "inpainting")
    rows: dict[str, dict[str, Any]] = {mask: {} for mask in MASKS}
    for name in ABLATIONS:
        for mask in args.masks:
            key = {"mask": mask, "name": name, "weights": model.digest, "images": args.images}
            row = results.find(key)
            if row is None:
                row = {**key, **measure(model, args, mask, name)}
                results.append(row)
                print(row, flush=True)
            rows[mask] |= row["scores"]
    results.publish("Completing faces", summary(rows, model, args))


if __name__ == "__main__":
    main()
