"""Averages put together after training are those that would have been kept during it."""

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.integrate import quad
from torch import nn

import cardigan
from cardigan.apps import average as choosing
from cardigan.apps.average import Averaged, average
from cardigan.errors import RecipeError, RunError, TrainingError
from cardigan.training.average import AverageConfig, PowerAverage, PowerAverages
from cardigan.training.checkpoint import checkpoints, read_checkpoint
from cardigan.training.power_average import (
    UNIFORM,
    Profile,
    decay,
    exponent_of,
    inner_products,
    reconstruct_profile,
    relative_width,
)
from cardigan.training.progress import Silence
from cardigan.training.resume import refuse_changes
from cardigan.training.session import Interrupted, Session
from cardigan.training.snapshots import mixture, put_together, read_snapshots, snapshot_files, write_snapshot
from cardigan.training.trainer import Trainer
from cli_runs import GAN, refused, succeeds
from small import assert_same, play, small_recipe, small_trainer
from test_training_resume import whole_and_killed

KEEPING = AverageConfig(snapshots=8)
VAE = ["--set", 'game.encoder={name="mlp", widths=[16]}', "--set", 'game.decoder={name="mlp", widths=[16]}']
LOOKS = {"ticks": 2, "previews": 0, "evaluations": 0}


def density(profile: Profile, tau: Any) -> Any:
    """What the profile's documentation says, written out."""
    gamma = exponent_of(profile.width)
    return (gamma + 1) / profile.images * (tau / profile.images) ** gamma * (tau <= profile.images)


# ---- the mathematics -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "exponent"), [(0.05, 16.97), (0.10, 6.94)])
def test_the_papers_two_averages(width: float, exponent: float) -> None:
    assert exponent_of(width) == pytest.approx(exponent, abs=0.005)
    assert relative_width(exponent) == pytest.approx(width, abs=5e-5)


@pytest.mark.parametrize("width", [1e-3, 0.01, 0.05, 0.1, 0.2, 0.28, UNIFORM])
def test_width_and_exponent_are_inverse(width: float) -> None:
    assert relative_width(exponent_of(width)) == pytest.approx(width, rel=1e-12)
    assert exponent_of(width) >= -1e-12, "the root that forgets the beginning, of the two that have this width"


@pytest.mark.parametrize("width", [0.03, 0.1, 0.25])
def test_width_is_the_standard_deviation_of_the_profile(width: float) -> None:
    profile = Profile(width, 7.0)
    total, mean, square = (quad(lambda tau, k=k: tau**k * density(profile, tau), 0, 7)[0] for k in range(3))
    assert total == pytest.approx(1.0)
    assert math.sqrt(square - mean**2) / 7 == pytest.approx(width)


@pytest.mark.parametrize("width", [0.0, -0.1, UNIFORM * 1.0001, 1.0, math.nan])
def test_what_is_no_width_is_refused(width: float) -> None:
    with pytest.raises(RecipeError, match="more than 0 and at most 0.2886"):
        exponent_of(width)


def test_decay_is_the_papers_for_steps_of_one_and_the_same_for_steps_of_any_size() -> None:
    gamma = 6.94
    for t in (1, 2, 10, 1000):
        assert decay(gamma, t, 1) == pytest.approx((1 - 1 / t) ** (gamma + 1), rel=1e-12)
    assert decay(gamma, 1000, 400) == pytest.approx(decay(gamma, 700, 100) * decay(gamma, 1000, 300), rel=1e-12)
    assert decay(gamma, 0, 0) == 1.0


def follow(width: float, path: np.ndarray, fresh: int) -> float:
    """The average, kept online, of a weight that has these values after every `fresh` images."""
    module = nn.Linear(1, 1, bias=False)
    tracked = PowerAverage(width, KEEPING, {"net": module})
    for step, value in enumerate(path, 1):
        module.weight.data.fill_(value)
        tracked.update(step * fresh, fresh)
    return tracked.values["net.weight"].item()


@pytest.mark.parametrize("width", [0.05, 0.1, 0.25])
@pytest.mark.parametrize("power", [1, 2])
def test_the_online_average_is_the_integral_of_the_profile(width: float, power: int) -> None:
    """Of w(t) = t^k it is (gamma + 1) / (gamma + 1 + k) t^k, to an error that halves with the steps."""
    exact = (exponent_of(width) + 1) / (exponent_of(width) + 1 + power)
    errors = []
    for steps in (500, 1000):
        path = (np.arange(1, steps + 1) / steps) ** power
        errors.append(follow(width, path, fresh=64) / exact - 1)
    assert abs(errors[1]) < 2e-3
    assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.1)


def test_inner_products_are_the_integrals() -> None:
    first = [Profile(0.05, 1.0), Profile(0.1, 3.0), Profile(UNIFORM, 2.0)]
    second = [Profile(0.1, 1.0), Profile(0.02, 3.0)]
    found = inner_products(first, second)
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            end = min(one.images, other.images)
            exact = quad(lambda tau, a=one, b=other: density(a, tau) * density(b, tau), 0, end)[0]
            assert found[i, j] == pytest.approx(exact, rel=1e-7)


def profiles(count: int, total: float = 1.0) -> list[Profile]:
    return [Profile(width, total * (k + 1) / count) for k in range(count) for width in (0.05, 0.1)]


@pytest.mark.parametrize("width", [0.02, 0.075, 0.2])
def test_the_residual_is_that_of_the_profiles(width: float) -> None:
    stored, wanted = profiles(8), Profile(width, 1.0)
    found = reconstruct_profile(stored, wanted)
    tau = (np.arange(200_000) + 0.5) / 200_000
    target = density(wanted, tau)
    sum_ = sum(weight * density(profile, tau) for weight, profile in zip(found.weights, stored, strict=True))
    assert found.residual == pytest.approx(math.sqrt(((sum_ - target) ** 2).mean() / (target**2).mean()), rel=1e-3)
    assert sum(found.weights) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("total", [1.0, 1e8])
@pytest.mark.parametrize("count", [2, 16, 64])
def test_a_stored_profile_is_given_back(count: int, total: float) -> None:
    found = reconstruct_profile(profiles(count, total), Profile(0.1, total))
    assert found.residual < 1e-6
    assert found.weights == pytest.approx([0.0] * (2 * count - 1) + [1.0], abs=1e-6)


def test_more_snapshots_give_more() -> None:
    residuals = [reconstruct_profile(profiles(n), Profile(0.03, 1.0)).residual for n in (4, 8, 16, 32)]
    assert residuals == sorted(residuals, reverse=True)
    assert residuals[0] > 0.1 > 0.02 > residuals[-1]


# ---- snapshots -------------------------------------------------------------------------------------------------------


def walk(folder: Path, module: nn.Module, others: list[PowerAverage], path: Iterator[torch.Tensor]) -> None:
    """Take the module's weight along a path of 960 steps, with 8 snapshots in `folder` and other averages beside it."""
    kept = PowerAverages(KEEPING, {"net": module})
    for step, value in enumerate(path, 1):
        module.weight.data.copy_(value)
        for tracked in (kept, *others):
            tracked.update(step * 32, 32)
        if step % 120 == 0:
            write_snapshot(folder, step * 32, kept)


def random_walk(shape: tuple[int, ...], start: float) -> Iterator[torch.Tensor]:
    stream = torch.Generator().manual_seed(3)
    value = torch.full(shape, start)
    for _ in range(960):
        value = value + torch.randn(shape, generator=stream) / 960**0.5
        yield value


@pytest.mark.parametrize(("width", "error"), [(0.03, 0.03), (0.075, 0.003), (0.15, 0.004), (0.05, 1e-6), (0.1, 1e-6)])
def test_put_together_equals_kept(width: float, error: float, tmp_path: Path) -> None:
    """On a random walk from 5, relative to how far it went; a stored average comes back to rounding."""
    module = nn.Linear(200, 1, bias=False)
    direct = PowerAverage(width, KEEPING, {"net": module})
    walk(tmp_path, module, [direct], random_walk((1, 200), 5.0))
    snapshots = read_snapshots(tmp_path)
    assert [snapshot.images for snapshot in snapshots] == [3840 * k for k in range(1, 9)]
    found = put_together(snapshots, mixture(snapshots, Profile(width, 960 * 32)).weights)["net.weight"]
    expected = direct.values["net.weight"]
    assert (found - expected).norm() / (expected - 5.0).norm() < error


def test_what_does_not_move_stays_however_bad_the_fit(tmp_path: Path) -> None:
    module = nn.Linear(3, 1, bias=False)
    walk(tmp_path, module, [], (torch.full((1, 3), 5.0) for _ in range(960)))
    snapshots = read_snapshots(tmp_path)
    found = mixture(snapshots, Profile(0.01, 960 * 32))
    assert found.residual > 0.3
    torch.testing.assert_close(put_together(snapshots, found.weights)["net.weight"], torch.full((1, 3), 5.0).double())


def test_buffers_are_averaged_and_counters_are_the_newest(tmp_path: Path) -> None:
    module = nn.BatchNorm1d(2)
    kept = PowerAverages(KEEPING, {"net": module})
    for step, variance in enumerate((9.0, 9.0, 0.01), 1):
        module.running_var.fill_(variance)
        module.running_mean.fill_(step)
        module.num_batches_tracked.fill_(step)
        kept.update(step * 10, 10)
        write_snapshot(tmp_path, step * 10, kept)
    snapshots = read_snapshots(tmp_path)
    found = put_together(snapshots, mixture(snapshots, Profile(0.1, 30)).weights)
    assert found["net.num_batches_tracked"].item() == 3
    stored = load_file(snapshots[-1].path)
    assert found["net.running_mean"].tolist() == pytest.approx(stored["1.net.running_mean"].tolist())
    sharp = [-1.0, 0.0, 0.0, 0.0, 2.0, 0.0]
    assert put_together(snapshots, sharp)["net.running_var"].tolist() == [0.0, 0.0], "no negative variance"


# ---- in a training ---------------------------------------------------------------------------------------------------


def keeping_trainer(folder: Path, kind: str = "gan", **changes: Any) -> Trainer:
    return small_trainer(folder, kind, **{"average": {"snapshots": 4}, "log": LOOKS, **changes})


def powers(trainer: Trainer) -> dict[str, torch.Tensor]:
    state = trainer.powers.state_dict()
    return {f"{width} {key}": value.clone() for width, values in state.items() for key, value in values.items()}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_snapshots_are_spread_evenly_to_the_end(tmp_path: Path) -> None:
    trainer = keeping_trainer(tmp_path, images=16 * 10)
    Session(trainer, Silence()).run()
    assert [path.name for path in snapshot_files(tmp_path / "averages")] == [
        f"{16 * rounds:010d}.safetensors" for rounds in (3, 5, 8, 10)
    ]
    newest = read_snapshots(tmp_path / "averages")[-1]
    assert newest.widths == (0.05, 0.1)
    stored = load_file(newest.path)
    assert_same(
        {
            f"{width} {key}": stored[f"{i}.{key}"]
            for i, width in enumerate((0.05, 0.1))
            for key in trainer.average.values
        },
        powers(trainer),
    )
    assert any(not torch.equal(stored[f"0.{key}"], stored[f"1.{key}"]) for key in trainer.average.values)


def test_without_snapshots_nothing_is_kept(tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, log=LOOKS)
    Session(trainer, Silence()).run()
    assert not (tmp_path / "averages").exists()
    assert read_checkpoint(checkpoints(tmp_path / "checkpoints")[-1])["powers"] == {}


@pytest.mark.parametrize("kind", ["gan", "vae"])
def test_resumed_equals_uninterrupted(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Averages and snapshots are the same to the bit, and one from beyond the checkpoint is not left."""
    whole = keeping_trainer(tmp_path / "whole", kind)
    Session(whole, Silence()).run()

    begun = keeping_trainer(tmp_path / "begun", kind)
    session = Session(begun, Silence())
    play_round = begun.play_round

    def stop() -> None:
        play_round()
        session.stopping = begun.rounds == 6

    monkeypatch.setattr(begun, "play_round", stop)
    with pytest.raises(Interrupted):
        session.run()
    assert len(snapshot_files(tmp_path / "begun/averages")) == 2
    (tmp_path / f"begun/averages/{144:010d}.safetensors").write_bytes(b"of a time that will not be")

    resumed = keeping_trainer(tmp_path / "begun", kind)
    resumed.restore()
    assert resumed.rounds == 6
    assert_same(powers(resumed), powers(begun))
    Session(resumed, Silence()).run()
    assert_same(powers(resumed), powers(whole))
    assert contents(tmp_path / "begun/averages") == contents(tmp_path / "whole/averages")


@pytest.mark.slow
def test_kill_and_resume(tmp_path: Path, cache: Path) -> None:
    """kill -9 while it trains, then --resume: every snapshot is the uninterrupted one's to the last bit."""
    settings = ["--recipe", "vae", *VAE, "--images", "6400"]
    for key in ("log.previews=0", "log.checkpoint_seconds=0", "average.snapshots=8"):
        settings += ["--set", key]
    runs = whole_and_killed(tmp_path, cache, settings, 12)
    whole, killed = (contents(run / "averages") for run in runs)
    assert len(whole) == 8
    assert killed == whole


def test_a_rollback_forgets_the_snapshots_after_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights break in round 5 of 20 and it is noticed in round 10: what was written between has broken averages."""
    trainer = keeping_trainer(tmp_path, images=320, average={"snapshots": 20})
    play_round, struck, left = trainer.play_round, [], []

    def strike() -> None:
        play_round()
        if trainer.rounds == 5 and not struck:
            struck.append(True)
            next(trainer.game.generator.parameters()).data.fill_(math.nan)

    class Notes(Silence):
        def note(self, text: str) -> None:
            left.append(snapshot_files(tmp_path / "averages"))

    monkeypatch.setattr(trainer, "play_round", strike)
    Session(trainer, Notes()).run()
    assert trainer.rollbacks == 1
    assert left[0] == []
    files = snapshot_files(tmp_path / "averages")
    assert len(files) == 20
    assert all(value.isfinite().all() for path in files for value in load_file(path).values())


@pytest.mark.parametrize(
    ("before", "after"),
    [({"snapshots": 0}, {"snapshots": 8}), ({"snapshots": 8}, {"snapshots": 8, "widths": [0.05, 0.2]})],
)
def test_what_averages_rest_on_cannot_change_within_a_run(before: dict[str, Any], after: dict[str, Any]) -> None:
    with pytest.raises(RunError, match="average.widths cannot change.*start a new run"):
        refuse_changes(small_recipe(average=before), small_recipe(average=after))


def test_how_many_snapshots_may_change_within_a_run() -> None:
    for after in (0, 4, 32):
        refuse_changes(small_recipe(average={"snapshots": 8}), small_recipe(average={"snapshots": after}))


def test_averages_cannot_begin_in_the_middle(tmp_path: Path) -> None:
    play(small_trainer(tmp_path), 2).save()
    with pytest.raises(TrainingError, match="does not fit this run's recipe"):
        keeping_trainer(tmp_path).restore()


# ---- choosing --------------------------------------------------------------------------------------------------------

NETWORKS = [*GAN, "--set", "batch=32", "--images", "640", "--set", "average.snapshots=10", "--no-evaluate"]
PLAIN = ["--set", "features=random", "--set", "log.evaluations=2", "--set", "log.evaluation_samples=200"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny generator of digits; tests leave its model and its averages as they are."""
    run = tmp_path_factory.mktemp("trained") / "gan"
    succeeds("train", "digits", "--out", run, *NETWORKS, *PLAIN)
    return run


def test_the_command_chooses_by_the_training_images(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = choosing.read

    class Unseen:
        def images(self, *_: object) -> None:
            raise AssertionError("test images were looked at")

    monkeypatch.setattr(choosing, "read", lambda *how: replace(read(*how), test=Unseen()))
    before = contents(trained / "model")
    printed = succeeds("average", trained, "--json", tmp_path / "averages.json")
    assert contents(trained / "model") == before
    found = json.loads((tmp_path / "averages.json").read_text())
    scores = {entry["width"]: entry["score"] for entry in found["candidates"]}
    assert set(scores) >= {0.05, 0.075, 0.1, 0.15}
    assert found["best"]["score"] == min(scores.values())
    assert len(set(scores.values())) == len(scores)
    marked = [line.split() for line in printed.splitlines() if line.endswith("<- best")]
    assert [float(words[0]) for words in marked] == [found["best"]["width"]]
    assert all(entry["residual"] <= 0.1 for entry in found["candidates"])
    assert "left out, since 10 snapshots give them with a residual above 10%: 0.02" in printed
    folder = trained / "model-average"
    assert f"cardigan sample {folder}" in printed
    succeeds("sample", folder, "--out", tmp_path / "samples.png", "-n", "4")
    assert cardigan.load(folder).config.images == 640
    assert load_file(folder / "model.safetensors").keys() == load_file(trained / "model/model.safetensors").keys()


def test_the_score_is_the_one_the_training_chose_by(trained: Path, tmp_path: Path) -> None:
    """The model in the run has the score again by which it was put there."""
    chosen = average(trained, widths=[0.1], out=tmp_path / "model")
    best = read_checkpoint(checkpoints(trained / "checkpoints")[-1])["best"]
    assert best["kind"] == f"{chosen.metric} of 200"
    assert chosen.before == pytest.approx(best["score"], rel=1e-6)


def test_a_width_is_taken_without_data_or_scores(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "read", None)
    chosen = average(trained, 0.1, out=tmp_path / "model")
    assert (chosen.metric, chosen.before, chosen.best.width) == ("", None, 0.1)
    stored = load_file(snapshot_files(trained / "averages")[-1])
    written = load_file(tmp_path / "model/model.safetensors")
    for key in (key for key in written if key.startswith("generator.")):
        torch.testing.assert_close(written[key], stored[f"1.{key}"], rtol=1e-6, atol=1e-7)
    former = load_file(trained / "model/model.safetensors")
    opponent = [key for key in written if not key.startswith("generator.")]
    assert opponent
    assert_same({key: written[key] for key in opponent}, {key: former[key] for key in opponent})


def test_an_earlier_time(trained: Path, tmp_path: Path) -> None:
    chosen = average(trained, 0.05, images=400, out=tmp_path / "model")
    assert chosen.images == 384, "the newest snapshot within 400 images"
    assert chosen.model.config.images == 384
    stored = load_file(trained / f"averages/{384:010d}.safetensors")
    written = load_file(tmp_path / "model/model.safetensors")
    for key in (key for key in written if key.startswith("generator.")):
        torch.testing.assert_close(written[key], stored[f"0.{key}"], rtol=1e-6, atol=1e-7)


def scripted(*values: float) -> Any:
    """A score that has these values in turn: of the model as it is, then of each average."""
    scores = iter(values)
    return lambda *_: ("FD(script)", lambda: next(scores))


def test_deploying_keeps_every_former_model(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("averages", "run.toml"):
        (run / name).symlink_to(trained / name)
    shutil.copytree(trained / "model", run / "model")
    first = contents(run / "model")

    monkeypatch.setattr(choosing, "training_score", scripted(1.0, 2.0, math.nan, 3.0))
    worse = average(run, widths="0.05,0.1,0.15", deploy=True)
    assert (worse.best.width, worse.folder) == (0.05, run / "model-average")
    assert "no average scores better than the model before, which keeps its place" in str(worse)
    assert contents(run / "model") == first
    assert json.loads(worse.to_json())["candidates"][1]["score"] is None

    monkeypatch.setattr(choosing, "training_score", scripted(9.0, 2.0, 1.0))
    better = average(run, widths=[0.05, 0.1], deploy=True)
    assert (better.best.width, better.folder, better.former) == (0.1, run / "model", run / "model-before")
    assert contents(run / "model-before") == first
    second = contents(run / "model")
    assert second["model.safetensors"] != first["model.safetensors"]
    assert cardigan.load(run).config.averaged

    again = average(run, 0.05, deploy=True)
    assert again.former == run / "model-before-2"
    assert contents(run / "model-before-2") == second
    assert contents(run / "model-before") == first

    monkeypatch.setattr(choosing, "training_score", scripted(1.0, math.inf, math.nan))
    with pytest.raises(RunError, match="no average has a finite FD"):
        average(run, widths=[0.05, 0.1])


def test_a_model_with_an_encoder_is_chosen_by_its_loss(tmp_path: Path, cache: Path) -> None:
    run = tmp_path / "vae"
    settings = ["--set", "batch=32", "--images", "640", "--set", "average.snapshots=10", "--no-evaluate"]
    succeeds("train", "digits", "--recipe", "vae", "--out", run, *VAE, *settings)
    chosen = average(run)
    assert isinstance(chosen, Averaged)
    assert chosen.metric == "loss on training images"
    scores = {each.width: each.score for each in chosen.candidates}
    assert scores[0.05] < scores[0.2], "so early in a training the newest weights are the best"
    assert scores == {each.width: each.score for each in average(run).candidates}, "the same each time"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--width", "0"], "a width is more than 0 and at most 0.2886"),
        (["--widths", "0.05,0.4"], "a width is more than 0 and at most 0.2886"),
        (["--widths", "wide"], "are no numbers: write for example --widths 0.02,0.05,0.1"),
        (["--widths", ","], "no width is named"),
        (["--width", "0.1", "--widths", "0.1"], "not both"),
        (["--images", "10"], "before the first snapshot, which is at 64"),
        (["--out", "taken"], "not empty"),
        (["--out", "new", "--deploy"], "not both"),
    ],
)
def test_bad_input(words: list[str], said: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken/something").mkdir(parents=True)
    assert said in refused("average", trained, *words)
    assert not Path("new").exists()


@pytest.mark.parametrize("kept", [0, 1])
def test_too_few_snapshots(kept: int, trained: Path, tmp_path: Path) -> None:
    shutil.copy(trained / "run.toml", tmp_path)
    (tmp_path / "averages").mkdir()
    for path in snapshot_files(trained / "averages")[:kept]:
        shutil.copy(path, tmp_path / "averages")
    line = refused("average", tmp_path)
    assert line.endswith(
        f"has {('no snapshots', 'only one snapshot')[kept]} of its averages: train with --set average.snapshots=16"
    )


def test_not_a_run(tmp_path: Path) -> None:
    assert "is not a run folder" in refused("average", tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      ", b"rubbish"])
def test_a_damaged_snapshot(content: bytes, trained: Path, tmp_path: Path) -> None:
    shutil.copy(trained / "run.toml", tmp_path)
    shutil.copytree(trained / "averages", tmp_path / "averages")
    snapshot_files(tmp_path / "averages")[3].write_bytes(content)
    assert "is damaged or no snapshot of averages: delete it" in refused("average", tmp_path)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("average.widths=[0.1, 0.1]", "give two that differ"),
        ("average.widths=[0.1, 0.4]", "less than or equal to 0.288"),
        ("average.snapshots=-1", "greater than or equal to 0"),
    ],
)
def test_bad_settings(setting: str, said: str, tmp_path: Path) -> None:
    assert said in refused("train", "digits", "--out", tmp_path / "new", "--set", setting)
    assert not (tmp_path / "new").exists()
