"""A resumed training is the same training, bit for bit."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cardigan.errors import RunError, TrainingError
from cardigan.training import checkpoint
from cardigan.training.checkpoint import checkpoints, read_checkpoint, save_checkpoint
from cardigan.training.run import RunFolder
from small import GAMES, PAINTERS, TRANSLATORS, assert_same, play, small_trainer, weights


@pytest.mark.parametrize("game", [*GAMES, *TRANSLATORS, *PAINTERS])
def test_resumed_equals_uninterrupted(game: str, tmp_path: Path) -> None:
    whole = play(small_trainer(tmp_path / "whole", game), 7)
    begun = play(small_trainer(tmp_path / "begun", game), 4)
    begun.save()
    resumed = small_trainer(tmp_path / "begun", game)
    resumed.restore()
    assert resumed.rounds == 4
    play(resumed, 3)
    assert resumed.images == whole.images
    assert_same(weights(resumed), weights(whole))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_looking_does_not_touch(precision: str, tmp_path: Path) -> None:
    """Previews, validation and checkpoints between rounds leave no trace in the training."""
    plain = play(small_trainer(tmp_path / "plain", "gan", precision=precision), 4)
    watched = small_trainer(tmp_path / "watched", "gan", precision=precision)
    for _ in range(4):
        watched.measuring = True
        play(watched, 1)
        watched.preview(9)
        watched.validate(watched.splits.test)
        watched.meter.read()
        watched.save()
    assert_same(weights(plain), weights(watched))


def test_first_round_depends_on_seed(tmp_path: Path) -> None:
    first, second = (play(small_trainer(tmp_path / str(seed), seed=seed), 1) for seed in (0, 1))
    pairs = zip(weights(first).values(), weights(second).values(), strict=True)
    assert not all(torch.equal(a, b) for a, b in pairs)


COMMAND = (sys.executable, "-m", "cardigan", "train", "digits", "--no-evaluate")
SMALL = {
    "autoencoder": ["--recipe", "autoencoder", "--set", "game.encoder.width=16", "--set", "game.decoder.width=16"],
    "vae": ["--recipe", "vae"],
    "gan": ["--recipe", "dcgan", "--set", "game.generator.width=8", "--set", "game.discriminator.width=8"],
    "wgan": ["--recipe", "wgan", "--set", "game.generator.width=8", "--set", "game.critic.width=8"],
}


def whole_and_killed(folder: Path, cache: Path, settings: list[str], rounds: int) -> tuple[Path, Path]:
    """Two runs with the same settings, one of them killed with kill -9 after `rounds` rounds or a few more, then resumed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CARDIGAN_CACHE": str(cache)}
    whole, killed = folder / "whole", folder / "killed"
    subprocess.run([*COMMAND, "--out", str(whole), *settings], env=environment, check=True, capture_output=True)

    process = subprocess.Popen([*COMMAND, "--out", str(killed), *settings], env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and rounds_saved(killed) < rounds:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert rounds <= rounds_saved(killed) < rounds_saved(whole), "it was killed too late to prove anything"

    resumed = [*COMMAND, "--out", str(killed), "--resume"]
    subprocess.run(resumed, env=environment, check=True, capture_output=True)
    return whole, killed


@pytest.mark.slow
@pytest.mark.parametrize("game", SMALL)
def test_kill_and_resume(game: str, tmp_path: Path, cache: Path) -> None:
    """kill -9 while it trains, then --resume: the final model is the uninterrupted one's to the last bit."""
    settings = [*SMALL[game], "--images", "12800", "--set", "log.evaluations=0", "--set", "log.checkpoint_seconds=0"]
    whole, killed = whole_and_killed(tmp_path, cache, settings, 5)
    assert_same(load_file(killed / "model/model.safetensors"), load_file(whole / "model/model.safetensors"))
    logged = [(run / "progress.jsonl").read_text().count("\n") for run in (killed, whole)]
    assert logged[0] == logged[1], "the log of a resumed run has neither gaps nor doubles"


@pytest.mark.slow
def test_kill_and_resume_with_everything_switched_on(tmp_path: Path, cache: Path) -> None:
    """Evaluations that keep the best model, the weight average and micro-batches: still the same to the last bit."""
    switches = ["log.evaluations=5", "log.evaluation_samples=200", "features=random", "log.checkpoint_seconds=0"]
    switches += ["average.half_life=2000", "micro_batches=2", "game.discriminator.normalisation=none", "game.r1=0.1"]
    settings = [*SMALL["gan"], "--images", "6400", *(word for key in switches for word in ("--set", key))]
    runs = whole_and_killed(tmp_path, cache, settings, 30)  # of 100, after the first evaluation
    models = [load_file(run / "model/model.safetensors") for run in runs]
    assert_same(*models)
    one, other = (read_checkpoint(checkpoints(run / "checkpoints")[-1]) for run in runs)
    assert (one["rounds"], one["best"]) == (other["rounds"], other["best"])
    assert_same(flat(one), flat(other))
    scores = [[entry for entry in RunFolder(run).read_progress() if is_score(entry)] for run in runs]
    assert len(scores[0]) == 5
    assert scores[0] == scores[1]


def flat(state: dict[str, Any], *path: str) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint by their place in it."""
    found = {}
    for key, value in state.items():
        if isinstance(value, dict):
            found |= flat(value, *path, str(key))
        elif isinstance(value, torch.Tensor):
            found[".".join((*path, str(key)))] = value
    return found


def is_score(entry: dict[str, Any]) -> bool:
    return any(name.startswith("FD") for name in entry["scalars"])


def rounds_saved(run: Path) -> int:
    found = checkpoints(run / "checkpoints") if (run / "checkpoints").is_dir() else []
    return int(found[-1].stem) if found else 0


def test_length_may_change_on_resume(tmp_path: Path) -> None:
    begun = play(small_trainer(tmp_path, "gan"), 10)
    assert begun.finished
    begun.save()
    longer = small_trainer(tmp_path, "gan", images=320)
    longer.restore()
    assert not longer.finished
    assert longer.progress == pytest.approx(0.5)


def test_crash_while_writing_leaves_the_previous(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = play(small_trainer(tmp_path, "gan"), 1)
    trainer.save()
    before = trainer.folder.newest_checkpoint()

    def crash(*_: object) -> None:
        raise OSError(28, "No space left on device")

    play(trainer, 1)
    monkeypatch.setattr(checkpoint.os, "replace", crash)
    with pytest.raises(RunError, match="No space left on device.*--resume"):
        trainer.save()
    assert trainer.folder.newest_checkpoint() == before
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [before.name]


def test_only_the_newest_two_are_kept(tmp_path: Path) -> None:
    for rounds in range(5):
        save_checkpoint(tmp_path, {"rounds": rounds})
    assert [int(path.stem) for path in checkpoints(tmp_path)] == [3, 4]


@pytest.mark.parametrize("cut", [0, 10, 1000])
def test_damaged_checkpoint_says_what_to_do(cut: int, tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, {"rounds": 1, "tensor": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(RunError, match="damaged.*delete it"):
        read_checkpoint(path)


def test_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "000000001.pt"
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(RunError, match="not a checkpoint of this version"):
        read_checkpoint(path)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("exploded",)


def test_checkpoint_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, write in (("torch", torch.save), ("pickle", lambda value, path: path.write_bytes(pickle.dumps(value)))):
        path = tmp_path / f"{name}.pt"
        write({"format": 1, "bomb": Bomb()}, path)
        with pytest.raises(RunError):
            read_checkpoint(path)
    assert not (tmp_path / "exploded").exists()


def test_checkpoint_of_other_networks_or_data_is_refused(tmp_path: Path) -> None:
    play(small_trainer(tmp_path, "gan"), 1).save()
    other = small_trainer(tmp_path, "gan", game={"generator": {"width": 8}})
    with pytest.raises(TrainingError, match="does not fit"):
        other.restore()
    same = small_trainer(tmp_path, "gan")
    same.record = same.record.model_copy(update={"digest": "another"})
    with pytest.raises(TrainingError, match="other data"):
        same.restore()


def test_a_resumed_run_remembers_its_health_and_takes_new_settings(tmp_path: Path) -> None:
    begun = play(small_trainer(tmp_path, "gan"), 2)
    begun.health.examine({"gradient generator": 0.0, "diversity": 0.9})
    begun.save()
    resumed = small_trainer(tmp_path, "gan", optimiser={"generator": {"beta1": 0.9}})
    resumed.restore()
    assert resumed.health.streaks == {"dead generator": 1}
    assert resumed.health.most_diverse == 0.9
    generator = next(seat for seat in resumed.seats.values() if seat.name == "generator")
    assert generator.optimiser.param_groups[0]["betas"][0] == 0.9
