"""Translating folders of pictures: a plain script against `cardigan translate`, CPU seconds a picture that is translated.

The plain script does what the test script of the authors' public PyTorch code does: pictures one after another, read,
resized to the network's size, translated by torch's own layers on contiguous float32 without gradients, and everything
that was seen saved as PNG. Its CycleGAN goes both ways and back again, as that code's instructions have it; "one way"
is its shorter mode, which is given one of the two networks.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # has to be said before torch is imported

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from cardigan.apps.model import Model
from cardigan.apps.translating.files import TranslateOptions, translate_files
from common import Results, options, table
from speed_translation import SIZES, residual_generator, trainer, u_net
from turns import Make, interleaved

PICTURES = 8
BOTH, ONE, PAIRS = "CycleGAN, both ways", "CycleGAN, one way", "pix2pix"
GAMES = {BOTH: "cyclegan", ONE: "cyclegan", PAIRS: "pix2pix"}


def write_pictures(folder: Path, size: int) -> None:
    rows, columns = np.mgrid[:size, :size] / size
    for i in range(PICTURES):
        waves = [np.sin(6 * rows * (i % 5 + 1) + c) * np.cos(4 * columns * (i % 3 + 1) + c) for c in range(3)]
        Image.fromarray(((np.stack(waves, 2) + 1) * 127.5).astype(np.uint8)).save(folder / f"{i:03d}.png")


# ---- the plain script ------------------------------------------------------------------------------------------------


def read(path: Path, size: int) -> Tensor:
    picture = Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.asarray(picture).copy())
    return pixels.permute(2, 0, 1).unsqueeze(0).float().div(255).sub(0.5).div(0.5)


def save(shown: dict[str, Tensor], out: Path, stem: str) -> None:
    for name, image in shown.items():
        pixels = ((image[0].numpy().transpose(1, 2, 0) + 1) / 2 * 255).astype(np.uint8)
        Image.fromarray(pixels).save(out / f"{stem}_{name}.png")


def both_ways(networks: Sequence[nn.Module], a: Tensor) -> dict[str, Tensor]:
    to_b, to_a = networks
    fake_b, fake_a = to_b(a), to_a(a)
    return {"a": a, "fake b": fake_b, "again a": to_a(fake_b), "b": a, "fake a": fake_a, "again b": to_b(fake_a)}


def one_way(networks: Sequence[nn.Module], a: Tensor) -> dict[str, Tensor]:
    return {"real": a, "fake": networks[0](a)}


def pairs(networks: Sequence[nn.Module], a: Tensor) -> dict[str, Tensor]:
    return {"a": a, "fake b": networks[0](a), "b": a}


SEEN: dict[str, Callable[[Sequence[nn.Module], Tensor], dict[str, Tensor]]] = {
    BOTH: both_ways,
    ONE: one_way,
    PAIRS: pairs,
}


def plain(what: str) -> Callable[[], object]:
    size = SIZES[GAMES[what]]
    make = residual_generator if GAMES[what] == "cyclegan" else u_net
    networks = [make().eval() for _ in range(2)]
    folder, number = Path(tempfile.mkdtemp()), count()
    write_pictures(folder, size)

    @torch.no_grad()
    def script() -> None:
        out = Path(tempfile.mkdtemp(prefix=f"{next(number)}-"))
        for path in sorted(folder.iterdir()):
            save(SEEN[what](networks, read(path, size)), out, path.stem)

    return script


# ---- cardigan translate ----------------------------------------------------------------------------------------------


def cardigan(what: str) -> Callable[[], object]:
    of = trainer(GAMES[what], "float32")
    model = Model(of.model_config(), of.game.eval(), "cpu")
    folder = Path(tempfile.mkdtemp())
    write_pictures(folder, SIZES[GAMES[what]])

    def translate() -> None:
        for to in ("b", "a") if what == BOTH else ("b",):
            translate_files(model, str(folder), Path(tempfile.mkdtemp()) / to, TranslateOptions(to=to))

    return translate


def measured(what: str, threads: int, repeats: int) -> list[str]:
    candidates: dict[str, Make] = {"plain": partial(plain, what), "cardigan": partial(cardigan, what)}
    taken = interleaved(candidates, threads, repeats)
    translations = PICTURES * (2 if what == BOTH else 1)
    script, ours = (median(taken[name]) / translations for name in candidates)
    ratio = median(a / b for a, b in zip(taken["plain"], taken["cardigan"], strict=True))
    size = SIZES[GAMES[what]]
    return [f"{what}, {size} x {size}", f"{script:.3f}", f"{ours:.3f}", f"{ratio:.2f}"]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    rows = [measured(what, args.threads, args.repeats) for what in GAMES]
    body = table(["network", "plain script, CPU s a picture", "cardigan translate", "times as fast"], rows)
    Results(args.results, "speed_translating").publish(
        f"Translating pictures, {args.threads} thread(s), {args.repeats} interleaved runs of {PICTURES} pictures", body
    )


if __name__ == "__main__":
    main()
