"""Playing experiments and keeping what they find: tables, pictures, and one page of all."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from cardigan.apps.lab import EXPERIMENTS, experiment
from cardigan.apps.lab.drawing import DPI, require_drawing
from cardigan.apps.lab.findings import Findings, Row
from cardigan.apps.report import STYLE
from cardigan.errors import RecipeError, RunError
from cardigan.training.checkpoint import write_atomically

FRAME_SECONDS = 0.12


@dataclass(frozen=True)
class Entry:
    """An experiment that has been played.

    Attributes:
        seconds: it took.
        pictures: files.
    """

    name: str
    findings: Findings
    seconds: float
    pictures: list[Path]


def play(name: str, out: Path, seed: int = 0, note: Callable[[str], None] = print) -> Entry:
    """Play one experiment and write its pictures and numbers into a folder.

    Raises:
        RecipeError: where there is no such experiment.
        RunError: without the plotting library, or where nothing can be written.
    """
    if name not in EXPERIMENTS:
        raise RecipeError(f"there is no experiment {name!r}: choose from {', '.join(EXPERIMENTS)}, or all")
    require_drawing()
    make_folder(out)
    began = time.perf_counter()
    with one_thread():
        findings = experiment(name)(seed, note)
    return Entry(name, findings, time.perf_counter() - began, write(name, findings, out, seed))


def play_all(out: Path, seed: int = 0, note: Callable[[str], None] = print) -> list[Entry]:
    """Play every experiment in the lecture's order, and write one page of them."""
    entries = []
    for name, shows in EXPERIMENTS.items():
        note(f"\n{name}: {shows}")
        entries.append(play(name, out, seed, note))
        note("\n".join(entries[-1].findings.lines()))
        write_page(entries, out, seed)
    return entries


def make_folder(out: Path) -> None:
    """Refuse a place that cannot be written to before any work is done.

    Raises:
        RunError: where it is a file, or cannot be made.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"cannot write into {out}: it is a file; name a folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot write into {out}: {error.strerror}; choose another --out") from error


def write(name: str, findings: Findings, out: Path, seed: int) -> list[Path]:
    """PNG, GIF and JSON files of an experiment, named after it; the pictures are returned."""
    figures = {out / f"{name}-{part}.png": figure for part, figure in findings.figures.items()}
    movies = {out / f"{name}-{part}.gif": frames for part, frames in findings.movies.items()}
    for path, figure in figures.items():
        write_atomically(path, partial(figure.savefig, dpi=DPI, format="png", bbox_inches="tight"))
    for path, (first, *rest) in movies.items():
        timing = {"duration": int(1000 * FRAME_SECONDS), "loop": 0}
        write_atomically(path, partial(first.save, format="GIF", save_all=True, append_images=rest, **timing))
    text = json.dumps({"experiment": name, "seed": seed, **findings.to_dict()}, indent=2, ensure_ascii=False)
    write_atomically(out / f"{name}.json", lambda path: path.write_text(text + "\n", encoding="utf-8"))
    return [*figures, *movies]


@contextmanager
def one_thread() -> Iterator[None]:
    """These networks are so small that a second thread costs more than it gives."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


# ---- the page ------------------------------------------------------------------------------------------------------


def write_page(entries: list[Entry], out: Path, seed: int) -> Path:
    """index.html beside the pictures."""
    title = "The theory of generative adversarial networks, measured"
    sections = [section(entry) for entry in entries]
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    about = f'<h1>{title}</h1><p class="about">cardigan lab all --seed {seed}</p>'
    page = out / "index.html"
    text = "\n".join([head, about, *sections, "</html>\n"])
    write_atomically(page, lambda path: path.write_text(text, encoding="utf-8"))
    return page


def section(entry: Entry) -> str:
    findings = entry.findings
    verdict = f'<p class="verdict {"healthy" * findings.holds}">{html.escape(findings.verdict)}</p>'
    pictures = "".join(
        f'<figure><img style="image-rendering:auto" alt="{path.stem}" src="{path.name}"></figure>'
        for path in entry.pictures
    )
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in findings.notes)
    heading = f"<h2>{entry.name}</h2><p>{html.escape(EXPERIMENTS[entry.name])}</p>"
    command = f'<p class="note">cardigan lab {entry.name}, {entry.seconds:.0f} s</p>'
    return heading + verdict + table(findings.rows) + pictures + notes + command


def table(rows: tuple[Row, ...]) -> str:
    head = '<tr><th></th><th class="n">measured</th><th class="n">exact</th><th class="n">error</th><th></th></tr>'
    body = "".join(
        f"<tr><td>{html.escape(what)}</td>"
        + "".join(f'<td class="n">{html.escape(cell)}</td>' for cell in numbers)
        + f"<td>{mark}</td></tr>"
        for what, *numbers, mark in (row.cells() for row in rows)
    )
    return f"<table>{head}{body}</table>"
