"""The lecture, measured: plays every experiment of the lab and writes tables and pictures into docs/lecture.md."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from cardigan.apps.lab import EXPERIMENTS
from cardigan.apps.lab.findings import Row
from cardigan.apps.lab.notebook import Entry, play
from common import table

DOCS = Path(__file__).parents[1] / "docs"
COLUMNS = ["", "measured", "exact", "error"]


def shown(entry: Entry) -> str:
    """An experiment's table, verdict and time in Markdown."""
    rows = [words(row) for row in entry.findings.rows]
    verdict = f"Verdict: {entry.findings.verdict}."
    return f"{table(COLUMNS, rows)}\n\n{verdict} ({entry.seconds:.0f} s)"


def words(row: Row) -> list[str]:
    what, measured, exact, error, mark = row.cells()
    indented = "&nbsp;" * (len(what) - len(what.lstrip())) + what.strip()
    return [f"{indented} **{mark}**" if mark else indented, measured, exact, error]


def inserted(page: str, name: str, text: str) -> str:
    """The page with what stands between the marks of an experiment replaced."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    return re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n{text}\n{end}", page, flags=re.DOTALL)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of lecture.md")
    parser.add_argument("--only", nargs="+", default=list(EXPERIMENTS), choices=list(EXPERIMENTS))
    args = parser.parse_args(words)
    page = args.docs / "lecture.md"
    for name in args.only:
        entry = play(name, args.docs / "lecture")
        print("\n".join(entry.findings.lines()))
        page.write_text(inserted(page.read_text(encoding="utf-8"), name, shown(entry)), encoding="utf-8")


if __name__ == "__main__":
    main()
