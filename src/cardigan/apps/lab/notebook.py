"""Playing experiments and keeping what they find: tables, pictures, and one page of all."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
        pictures: files, by what they show.
    """

    name: str
    findings: Findings
    seconds: float
    pictures: dict[str, Path]


def play(name: str, out: Path, seed: int = 0, note: Callable[[str], None] = print) -> Entry:
    """Play one experiment and write its pictures and numbers into a folder.

    Raises:
        RecipeError: where there is no such experiment.
        RunError: without the plotting library, or where nothing can be written.
    """
    if name not in EXPERIMENTS:
        raise RecipeError(f"there is no experiment {name!r}: choose from {', '.join(EXPERIMENTS)}, or all")
    require_drawing()
    if out.exists() and not out.is_dir():
        raise RunError(f"cannot write into {out}: it is a file; name a folder")
    began = time.perf_counter()
    with one_thread():
        findings = experiment(name)(seed, note)
    return Entry(name, findings, time.perf_counter() - began, write(name, findings, out))


def play_all(out: Path, seed: int = 0, note: Callable[[str], None] = print) -> list[Entry]:
    """Play every experiment in the lecture's order, and write one page of them."""
    entries = []
    for name, shows in EXPERIMENTS.items():
        note(f"\n{name}: {shows}")
        entries.append(play(name, out, seed, note))
        note("\n".join(entries[-1].findings.lines()))
        write_page(entries, out, seed)
    return entries


def write(name: str, findings: Findings, out: Path) -> dict[str, Path]:
    """PNG, GIF and JSON files of an experiment, named after it."""
    out.mkdir(parents=True, exist_ok=True)
    pictures = {}
    for part, figure in findings.figures.items():
        pictures[part] = out / f"{name}-{part}.png"
        write_atomically(
            pictures[part], lambda path, figure=figure: figure.savefig(path, dpi=DPI, format="png", bbox_inches="tight")
        )
    for part, frames in findings.movies.items():
        pictures[part] = out / f"{name}-{part}.gif"
        first, rest = frames[0], frames[1:]
        timing = {"duration": int(1000 * FRAME_SECONDS), "loop": 0}
        write_atomically(
            pictures[part],
            lambda path, first=first, rest=rest, timing=timing: first.save(
                path, "GIF", save_all=True, append_images=rest, **timing
            ),
        )
    text = json.dumps({"experiment": name, **findings.to_dict()}, indent=2, ensure_ascii=False)
    write_atomically(out / f"{name}.json", lambda path: path.write_text(text + "\n", encoding="utf-8"))
    return pictures


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
        f'<figure><img style="image-rendering:auto" alt="{html.escape(part)}" src="{path.name}"></figure>'
        for part, path in entry.pictures.items()
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
