"""The command line inside this process, and small runs to use it on."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image

from cardigan.cli import main

GAN = ["--set", 'game.generator={name="mlp", widths=[16]}', "--set", 'game.discriminator={name="mlp", widths=[16]}']
QUICK = ["--set", "log.evaluations=0", "--set", "batch=64", "--images", "128"]
SHORT = [*QUICK, "--no-evaluate"]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


def cardigan(*words: str | Path) -> Outcome:
    """What a command prints and how it ends; an exception of ours passes through."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with patch.object(sys, "argv", ["cardigan", *map(str, words)]), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Outcome(code, out.getvalue(), err.getvalue())


def succeeds(*words: str | Path) -> str:
    outcome = cardigan(*words)
    assert outcome.code == 0, outcome.err
    return outcome.out


def refused(*words: str | Path) -> str:
    """The one line by which a command is refused."""
    outcome = cardigan(*words)
    assert outcome.code == 2, outcome
    line = outcome.err.rstrip("\n")
    assert line.startswith("cardigan: "), line
    assert "\n" not in line
    assert "Traceback" not in line
    return line


def process(*words: str | Path, **more: object) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    start = [sys.executable, "-c", "from cardigan.cli import main; main()", *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(start, text=True, stdout=pipe, stderr=pipe, env=environment, **more)  # type: ignore[call-overload]


def make_runs(folder: Path) -> Path:
    """Runs of digits called gan, classes (class-conditional), vae and autoencoder."""
    succeeds("train", "digits", "--out", folder / "gan", *GAN, *SHORT)
    succeeds("train", "digits", "--out", folder / "classes", "--set", "game.conditional=true", *GAN, *SHORT)
    for name in ("vae", "autoencoder"):
        succeeds("train", "digits", "--out", folder / name, "--recipe", name, *SHORT)
    return folder


def write_pictures(folder: Path, count: int = 30, height: int = 8, width: int = 8, seed: int = 0) -> Path:
    """Noise, as PNG files."""
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (count, height, width), dtype=np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{i:03d}.png")
    return folder
