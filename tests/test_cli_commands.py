"""Each command does what its help says."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli_runs import QUICK, cardigan, make_runs, succeeds, write_pictures


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(autouse=True)
def _own_cache(cache: Path) -> None:
    """Nothing is read from or left in the user's cache."""


def test_train_leaves_a_whole_run(tmp_path: Path):
    out = tmp_path / "run"
    printed = succeeds("train", "digits", "--out", out, "--recipe", "vae", *QUICK)
    assert "elbo" in printed
    assert "real against real" in printed
    assert "training: healthy" in printed
    expected = {"run.toml", "progress.jsonl", "samples", "checkpoints", "model", "report.html", "evaluation.json"}
    assert expected | {"samples.png"} == {path.name for path in out.iterdir()}
    assert {path.name for path in (out / "model").iterdir()} == {"config.json", "model.safetensors"}


def test_a_longer_training_is_resumed(tmp_path: Path):
    out = tmp_path / "run"
    succeeds("train", "digits", "--out", out, "--recipe", "vae", *QUICK, "--no-evaluate")
    printed = succeeds("train", "--resume", "--out", out, "--images", "192", "--no-evaluate")
    assert "from 128 of 192 images" in printed


def test_what_is_odd_about_the_data_is_said_at_the_start(tmp_path: Path):
    folder = write_pictures(tmp_path / "pictures")
    (folder / "copy.png").write_bytes((folder / "000.png").read_bytes())
    printed = succeeds("train", folder, "--out", tmp_path / "run", "--recipe", "vae", *QUICK, "--no-evaluate")
    assert printed.count("note: found 1 exact copy") == 1
    assert "more than once" in printed


def test_sample_writes_a_grid_an_array_or_files(runs: Path, tmp_path: Path):
    assert succeeds("sample", runs / "gan", "--out", tmp_path / "grid.png", "-n", "4").endswith("grid.png\n")
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.size == (66, 66)
    succeeds("sample", runs / "gan", "--out", tmp_path / "grid.jpg", "-n", "4")
    succeeds("sample", runs / "gan", "--out", tmp_path / "array.npy", "-n", "4")
    assert np.load(tmp_path / "array.npy").shape == (4, 1, 8, 8)
    succeeds("sample", runs / "gan", "--out", tmp_path / "new" / "files", "-n", "4")
    assert sorted(p.name for p in (tmp_path / "new" / "files").iterdir()) == [f"{i:06d}.png" for i in range(4)]
    assert {p.name for p in tmp_path.iterdir()} == {"grid.png", "grid.jpg", "array.npy", "new", *_cache(tmp_path)}


def _cache(folder: Path) -> set[str]:
    return {"cache"} if (folder / "cache").exists() else set()


def test_samples_are_of_the_class_asked_for(runs: Path, tmp_path: Path):
    arrays = {}
    for name, labels in {"threes": ["3"], "sevens": ["7"], "both": ["3", "7"]}.items():
        flags = [word for label in labels for word in ("--label", label)]
        succeeds("sample", runs / "classes", "--out", tmp_path / f"{name}.npy", "-n", "4", *flags)
        arrays[name] = np.load(tmp_path / f"{name}.npy")
    assert not np.allclose(arrays["threes"], arrays["sevens"])
    assert np.allclose(arrays["both"][::2], arrays["threes"][::2], atol=1e-6)
    assert np.allclose(arrays["both"][1::2], arrays["sevens"][1::2], atol=1e-6)


def test_a_model_folder_is_enough(runs: Path, tmp_path: Path):
    (runs / "gan" / "model").rename(tmp_path / "moved")
    try:
        succeeds("sample", tmp_path / "moved", "--out", tmp_path / "x.png", "-n", "4")
        assert "FD(random)" in succeeds("evaluate", tmp_path / "moved", "--metrics", "fd", "--features", "random")
    finally:
        (tmp_path / "moved").rename(runs / "gan" / "model")


def test_reconstruct(runs: Path, tmp_path: Path):
    folder = write_pictures(tmp_path / "pictures", count=12, height=16, width=16)
    printed = succeeds("reconstruct", runs / "vae", folder, "--out", tmp_path / "out")
    assert printed.startswith("12 reconstructions")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(names) == 13
    assert "before_after.png" in names
    assert {name[-7:-4] for name in names} >= {f"{i:03d}" for i in range(12)}


def test_interpolate(runs: Path, tmp_path: Path):
    assert succeeds("interpolate", runs / "vae", "--out", tmp_path / "x.gif", "--frames", "3").startswith("3 frames")
    with Image.open(tmp_path / "x.gif") as film:
        assert film.n_frames == 3


def test_evaluate_prints_and_writes_the_protocol(runs: Path, tmp_path: Path):
    words = ["evaluate", runs / "vae", "--metrics", "elbo, mse,fd", "--features", "random", "--seed", "3"]
    printed = succeeds(*words, "--json", tmp_path / "x.json")
    assert all(name in printed for name in ("elbo", "mse", "FD(random)", "real against real"))
    results = json.loads((tmp_path / "x.json").read_text())["results"]
    assert [result["metric"] for result in results] == ["elbo", "mse", "FD(random)"]
    assert all({"seed", "reference", "samples", "interval"} <= result["protocol"].keys() for result in results)
    assert all(result["protocol"]["seed"] == 3 for result in results)
    assert results[2]["protocol"]["features"]["digest"]


def test_evaluate_bounds_the_log_likelihood(runs: Path, tmp_path: Path):
    words = ["evaluate", runs / "vae", "--metrics", "loglik", "-n", "10", "--steps", "20", "--chains", "2"]
    assert "from below" in succeeds(*words, "--json", tmp_path / "x.json")
    (result,) = json.loads((tmp_path / "x.json").read_text())["results"]
    assert result["metric"] == "log-likelihood"
    assert [result["protocol"][key] for key in ("samples", "steps", "chains")] == [10, 20, 2]


def test_evaluate_compares_two_folders(tmp_path: Path):
    small, large = write_pictures(tmp_path / "small"), write_pictures(tmp_path / "large", height=16, width=16, seed=1)
    words = ["evaluate", small, "--data", large, "--metrics", "fd"]
    refusal = cardigan(*words)
    assert refusal.code == 2
    advice = refusal.err.rpartition(" with ")[2].split()
    printed = succeeds(*words, *advice, "--json", tmp_path / "x.json")
    assert "FD(random)" in printed
    protocol = json.loads((tmp_path / "x.json").read_text())["results"][0]["protocol"]
    assert protocol["resized"]["size"] == 8
    assert "Lanczos" in protocol["resized"]["filter"]


def test_recipes():
    listed = succeeds("recipes")
    assert len(listed.splitlines()) >= 10
    assert tomllib.loads(succeeds("recipes", "wgan"))["game"]["name"] == "wgan"


def test_a_recipe_shown_can_be_trained(tmp_path: Path):
    (tmp_path / "mine.toml").write_text(succeeds("recipes", "vae"))
    succeeds("train", "digits", "--out", tmp_path / "run", "--recipe", tmp_path / "mine.toml", *QUICK, "--no-evaluate")
    run = tomllib.loads((tmp_path / "run" / "run.toml").read_text(encoding="utf-8"))["recipe"]
    assert (run["recipe"], run["game"]["name"]) == ("vae", "vae")


def test_data(tmp_path: Path):
    folder = write_pictures(tmp_path / "pictures")
    (folder / "bad.png").write_bytes(b"no picture")
    printed = succeeds("data", folder, "--json", tmp_path / "x.json")
    assert "bad.png" in printed
    assert "not ready" in printed
    assert json.loads((tmp_path / "x.json").read_text())["unreadable"][0][0] == "bad.png"
