"""Ctrl-C saves, says how to go on, and what it says works."""

import shlex
import signal
from pathlib import Path
from subprocess import Popen

import pytest

from cli_runs import GAN, cardigan, process, succeeds

ENDLESS = ["--images", "50000000", "--set", "log.evaluations=0", "--set", "log.ticks=1000000", "--no-evaluate"]


def interrupted(run: Popen[str], number: int = signal.SIGINT) -> tuple[str, str]:
    """What a training prints that is interrupted after its first rounds."""
    assert run.stdout is not None
    while " images  " not in (line := run.stdout.readline()):
        assert line, run.communicate()
    run.send_signal(number)
    return run.communicate(timeout=60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_goes_on(number: int, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    run = process("train", "digits", "--out", "my runs/it's", *GAN, *ENDLESS)
    out, err = interrupted(run, number)
    assert run.returncode == 130, err
    assert "Traceback" not in err
    command = out.splitlines()[-1].partition("go on with: ")[2]
    name, *words = shlex.split(command)
    assert name == "cardigan"
    trained = max(int(path.stem) for path in Path("my runs/it's/checkpoints").glob("*.pt"))
    assert trained > 0
    printed = succeeds(*words, "--images", "64")  # it is as long as asked for already
    assert "training: not examined" in printed


def test_an_interruption_before_the_training_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cardigan.apps.train.prepare", interrupt)
    outcome = cardigan("train", "digits", "--out", tmp_path / "run")
    assert outcome.code == 130
    assert "nothing to go on with" in outcome.out
    assert not (tmp_path / "run").exists()


def test_interrupting_another_command(monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cardigan.training.recipe.recipe_names", interrupt)
    outcome = cardigan("recipes")
    assert (outcome.code, outcome.err) == (130, "\nstopped\n")
