"""What the README and the documentation tell people to type works."""

import inspect
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from cardigan.apps import train as training
from cardigan.cli import app
from cardigan.training.progress import Silence

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FEW = 256


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page that are in one of the languages."""
    found = re.findall(r"^```(\w+)[^\n]*\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    return [text for language, text in found if language in languages]


def commands(page: Path) -> list[list[str]]:
    """The words after `cardigan` in every command line of a page."""
    lines = "\n".join(blocks(page, "bash", "console", "sh")).replace("\\\n", " ").splitlines()
    found = []
    for line in lines:
        words = shlex.split(line.removeprefix("$ "), comments=True)
        for start, word in enumerate(words):
            if word == "cardigan" and (start == 0 or words[start - 1] in ("&&", ";", "|")):
                rest = words[start + 1 :]
                end = next((i for i, word in enumerate(rest) if word in ("&&", ";", "|", ">")), len(rest))
                found.append(rest[:end])
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_command_lines_are_understood(page: Path):
    for words in commands(page):
        name, *arguments = words
        if name.startswith("-"):
            continue
        group = get_command(app)
        command = group.commands.get(name)  # type: ignore[attr-defined]
        assert command is not None, f"there is no `cardigan {name}`"
        command.make_context(name, list(arguments))


def hurried(train: Callable[..., Any]) -> Callable[..., Any]:
    """`train` with a tiny budget and no words."""

    def run(*arguments: Any, **options: Any) -> Any:
        bound = inspect.signature(train).bind(*arguments, **options)
        bound.apply_defaults()
        given = bound.arguments
        given["images"], given["minutes"] = min(given["images"] or FEW, FEW), None
        given["progress"] = given["progress"] or Silence()
        return train(*bound.args, **bound.kwargs)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda page: page.name)
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "train", hurried(training.train))
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, block in enumerate(blocks(page, "python"), 1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), names)
