"""What is asked of a run that is gone on with is done, or refused in words: nothing is passed over in silence."""

from pathlib import Path
from typing import Any

import pytest

from cardigan.apps.train import Run, train
from cardigan.errors import RecipeError, RunError
from cardigan.training.progress import Silence
from cardigan.training.recipe import merge, parse_settings
from cardigan.training.run import RunFolder

RECIPE = """
base = "vae"
recipe = "mine"
batch = 64
images = 256
[game]
encoder = { name = "mlp", widths = [8] }
decoder = { name = "mlp", widths = [8] }
[log]
evaluations = 0
"""


class Notes(Silence):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def note(self, text: str) -> None:
        self.heard.append(text)


@pytest.fixture
def mine(tmp_path: Path, cache: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE)
    return path


def go(folder: Path, **options: Any) -> Run:
    return train(**{"data": "digits", "out": folder / "run", "evaluate": False, "progress": Silence(), **options})


def record(folder: Path) -> str:
    return (folder / "run/run.toml").read_text()


def length(folder: Path) -> int:
    return RunFolder(folder / "run").read_record().recipe.images


@pytest.mark.parametrize("setting", ["batch=32", "seed=5", "data.flip=true", "optimiser.generator.name=sgd"])
def test_what_a_run_rests_on_cannot_change(setting: str, tmp_path: Path, cache: Path) -> None:
    networks = parse_settings(["game.generator.widths=[8]", "game.discriminator.widths=[8]"])
    go(tmp_path, settings=merge({"images": 256, "log": {"evaluations": 0}}, networks))
    before = record(tmp_path)
    with pytest.raises(RunError, match=r"cannot change within a run"):
        go(tmp_path, settings=[setting], resume=True)
    assert record(tmp_path) == before


def test_the_same_command_goes_on(mine: Path, tmp_path: Path) -> None:
    options = {"recipe": str(mine), "images": 128, "settings": ["log.ticks=7"], "resume": True}
    go(tmp_path, **options)
    before = record(tmp_path)
    go(tmp_path, **options)
    assert record(tmp_path) == before
    mine.write_text(RECIPE.replace('recipe = "mine"', 'recipe = "mine"\nabout = "words change nothing"'))
    go(tmp_path, **options)
    go(tmp_path, resume=True, settings=["log.ticks=9"], recipe=str(mine), images=192)
    assert length(tmp_path) == 192


def test_a_recipe_file_that_has_changed_is_not_passed_over(mine: Path, tmp_path: Path) -> None:
    go(tmp_path, recipe=str(mine))
    before = record(tmp_path)
    mine.write_text(RECIPE.replace("[game]", "[game]\nbeta = 2.0").replace("[log]", "[log]\nticks = 7"))
    with pytest.raises(RunError, match=r"of game\.beta, log\.ticks: resume without --recipe.*--set") as raised:
        go(tmp_path, recipe=str(mine), resume=True)
    assert "\n" not in str(raised.value)
    assert record(tmp_path) == before
    go(tmp_path, recipe=str(mine), resume=True, settings=["game.beta=2.0", "log.ticks=7"])
    assert RunFolder(tmp_path / "run").read_record().recipe.game.beta == 2.0


def test_a_recipe_of_many_changes_names_some(mine: Path, tmp_path: Path) -> None:
    go(tmp_path, recipe=str(mine))
    mine.write_text(
        RECIPE + "ticks = 1\npreviews = 1\ncheckpoint_seconds = 1\nevaluation_samples = 1\ntensorboard = true"
    )
    with pytest.raises(RunError, match=r"log\.previews.* and 1 more:"):
        go(tmp_path, recipe=str(mine), resume=True)
    with pytest.raises(RunError, match="begun with the recipe mine: resume without --recipe"):
        go(tmp_path, recipe="vae", resume=True)


def test_a_length_that_minutes_gave_is_no_other_recipe(mine: Path, tmp_path: Path) -> None:
    go(tmp_path, recipe=str(mine), minutes=1e-5)
    trained = length(tmp_path)
    assert trained != 256
    go(tmp_path, recipe=str(mine), resume=True)
    assert length(tmp_path) == trained
    go(tmp_path, recipe=str(mine), images=trained + 64, resume=True)
    assert length(tmp_path) == trained + 64


def test_minutes_are_added_to_what_is_trained(mine: Path, tmp_path: Path) -> None:
    go(tmp_path, recipe=str(mine), minutes=1e-5)
    trained = length(tmp_path)
    go(tmp_path, recipe=str(mine), minutes=1e-5, resume=True)
    assert length(tmp_path) > trained


@pytest.mark.parametrize("resume", [False, True])
def test_a_setting_that_cannot_be_is_not_hidden_by_images(resume: bool, mine: Path, tmp_path: Path) -> None:
    if resume:
        go(tmp_path, recipe=str(mine))
    with pytest.raises(RecipeError, match=r"recipe key images: .*100\.5"):
        go(tmp_path, recipe=str(mine), settings=["images=100.5"], images=320, resume=resume)


def test_fewer_images_than_are_trained_is_said_and_loses_nothing(mine: Path, tmp_path: Path) -> None:
    go(tmp_path, recipe=str(mine))
    before, notes = record(tmp_path), Notes()
    go(tmp_path, images=128, resume=True, progress=notes)
    assert "note: 256 images are trained already, more than 128: the run ends with them" in notes.heard
    assert record(tmp_path) == before


def test_a_training_cut_short_is_as_long_as_it_was(mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go(tmp_path, recipe=str(mine))
    file = tmp_path / "run/run.toml"
    file.write_text(file.read_text().replace("images = 256", "images = 6400"))  # as if it had been interrupted
    notes = Notes()
    go(tmp_path, images=128, resume=True, progress=notes)
    assert any("--resume --images 6400 goes on to its former length" in note for note in notes.heard)
    assert length(tmp_path) == 256
    go(tmp_path, images=320, resume=True, progress=notes)
    assert length(tmp_path) == 320
