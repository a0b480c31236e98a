"""The lecture, measured: plays every experiment of the lab and writes tables and pictures into docs/lecture.md."""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cardigan.apps.lab import EXPERIMENTS
from cardigan.apps.lab.findings import Row
from cardigan.apps.lab.notebook import Entry, play
from common import table

DOCS = Path(__file__).parents[1] / "docs"
COLUMNS = ["", "measured", "exact", "error"]


def shown(entry: Entry) -> str:
    """An experiment's table, verdict, notes and time in Markdown."""
    rows = [words(row) for row in entry.findings.rows]
    notes = "".join(f" {note[0].upper()}{note[1:]}." for note in entry.findings.notes)
    return f"{table(COLUMNS, rows)}\n\nVerdict: {entry.findings.verdict}.{notes} ({entry.seconds:.0f} s)"


def words(row: Row) -> list[str]:
    what, measured, exact, error, mark = row.cells()
    indented = "&nbsp;" * (len(what) - len(what.lstrip())) + what.strip()
    return [f"{indented} **{mark}**" if mark else indented, measured, exact, error]


def inserted(page: str, name: str, text: str) -> str:
    """The page with what stands between the marks of an experiment replaced.

    Raises:
        ValueError: where the page has no such marks.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    page, count = re.subn(f"{begin}.*?{end}", lambda _: f"{begin}\n{text}\n{end}", page, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"the page marks the place of {name} {count} times, not once")
    return page


def other_seeds(entry: Entry, seeds: Sequence[int]) -> str:
    """Whether the verdict is the same with other seeds, whose pictures are not kept."""
    with tempfile.TemporaryDirectory() as folder:
        verdicts = {seed: play(entry.name, Path(folder), seed, lambda _: None).findings.verdict for seed in seeds}
    same = [seed for seed, verdict in verdicts.items() if verdict == entry.findings.verdict]
    others = "".join(f" With seed {seed}: {verdicts[seed]}." for seed in seeds if seed not in same)
    return (f" The same with seeds {', '.join(map(str, same))}." if same else "") + others


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of lecture.md")
    parser.add_argument("--only", nargs="+", default=list(EXPERIMENTS), choices=list(EXPERIMENTS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2], help="further seeds, for their verdicts")
    args = parser.parse_args(words)
    page = args.docs / "lecture.md"
    for name in args.only:
        entry = play(name, args.docs / "lecture")
        print("\n".join(entry.findings.lines()))
        text = shown(entry) + other_seeds(entry, args.seeds)
        page.write_text(inserted(page.read_text(encoding="utf-8"), name, text), encoding="utf-8")


if __name__ == "__main__":
    main()
