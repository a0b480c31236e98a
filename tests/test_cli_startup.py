"""What every command does before it does anything."""

import subprocess
import sys

import pytest

from cardigan import __version__
from cli_runs import cardigan, refused

COMMANDS = (
    "train",
    "average",
    "sample",
    "evaluate",
    "reconstruct",
    "translate",
    "paint",
    "inpaint",
    "invert",
    "interpolate",
    "recipes",
    "data",
    "lab",
)
HEAVY = {"torch", "sklearn", "scipy", "PIL", "numpy", "pydantic"}


@pytest.mark.parametrize(
    "what", ["import cardigan", "import cardigan.cli as c; c.app(['--help'], standalone_mode=False)"]
)
def test_nothing_heavy_is_imported_for_help(what: str):
    script = f"import sys; {what}; print('LOADED', *({HEAVY!r} & sys.modules.keys()))"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.rstrip().endswith("LOADED"), printed


def test_help():
    outcome = cardigan("--help")
    assert outcome.code == 0
    assert all(command in outcome.out for command in COMMANDS)
    assert "..." not in outcome.out.partition("Commands:")[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command: str):
    outcome = cardigan(command, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith(f"Usage: cardigan {command} ")


def test_version():
    assert cardigan("--version").out == f"cardigan {__version__}\n"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["trian"], "Did you mean 'train'?"),
        (["train", "digits"], "Missing option '--out'"),
        (["train", "digits", "--out", "x", "--recpie", "vae"], "--recipe"),
        (["train", "digits", "--out", "x", "--images", "0"], "greater than or equal to 1"),
        (["train", "digits", "--out", "x", "--images", "many"], "'--images'"),
        (["sample", "x", "--out", "y.png", "-n", "0"], "'-n'"),
        (["evaluate", "x", "-n", "1"], "'-n'"),
    ],
)
def test_usage_errors_are_short(words: list[str], hint: str):
    outcome = cardigan(*words)
    assert outcome.code == 2
    assert hint in outcome.err + outcome.out
    assert len(outcome.err.splitlines()) <= 4


def test_mistakes_of_ours_keep_their_traceback(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("cardigan.training.recipe.recipe_names", broken)
    with pytest.raises(ZeroDivisionError):
        cardigan("recipes")


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "/there/progress.jsonl")

    monkeypatch.setattr("cardigan.training.recipe.recipe_names", full)
    assert refused("recipes").startswith("cardigan: /there/progress.jsonl: No space left on device: make room")
