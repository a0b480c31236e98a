"""Whatever is wrong with what the user gives: one line, exit code 2, and nothing half-written."""

import io
import shutil
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cli_runs import GAN, SHORT, cardigan, make_runs, refused, succeeds, write_pictures


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused_training(*words: str | Path) -> str:
    """The line by which a training is refused; it leaves no run folder."""
    line = refused("train", *words, "--out", "new")
    assert not Path("new").exists(), "a refused training leaves nothing"
    return line


def png_bomb(side: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def png(mode: str, side: int = 8) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, (side, side)).save(stream, "PNG")
    return stream.getvalue()


# ---- data ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "said"),
    [("nowhere", "does not exist"), ("fashion_mnsit", "did you mean fashion-mnist?"), ("stacked", "stacked-digits")],
)
def test_no_data(data: str, said: str):
    assert said in refused_training(data)


def test_no_data_named():
    assert "cardigan train DATA" in refused_training()


def test_empty_folder():
    Path("empty").mkdir()
    assert "holds no images" in refused_training("empty")
    assert "holds no images" in refused("data", "empty")


def test_one_image():
    assert "at least 2" in refused_training(write_pictures(Path("one"), 1))


BAD = {
    "truncated": (png("L")[:-24], "truncated"),
    "disguised": (b"<!DOCTYPE html>", "not an image"),
    "bomb": (png_bomb(60_000), "pixels"),
    "larger": (png("L", 9), "data.size=64"),
    "colour": (png("RGB"), "data.channels=3"),
    "deep": (png("I;16"), "16"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_in_a_folder(kind: str):
    content, said = BAD[kind]
    write_pictures(Path("pictures"))
    Path("pictures/odd.png").write_bytes(content)
    assert said in refused_training("pictures", *SHORT)


def test_archive_with_escaping_paths():
    with zipfile.ZipFile("x.zip", "w") as archive:
        archive.writestr("../../evil.png", png("L"))
        archive.writestr("fine.png", png("L"))
    assert "leads out of the archive" in refused_training("x.zip")


def test_nan():
    images = np.zeros((30, 8, 8))
    images[3, 2, 2] = np.nan
    np.save("x.npy", images)
    assert "x.npy[3] (holds NaN" in refused_training("x.npy")


# ---- recipe -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("game.latnet.size=3", "unknown recipe key game.latnet:"),
        ("btach=3", "unknown recipe key btach:"),
        ("batch=big", "recipe key batch:"),
        ("batch=0", "recipe key batch:"),
        ("batch", "is not key=value"),
        ("game.name=foo", "'autoencoder', 'context-encoder', 'vae', 'gan', 'wgan'"),
        ("game.generator.name=foo", "recipe key game.generator:"),
        ("game=3", "game is a table"),
        ("game.latent=4", "game.latent is a table"),
        ("optimiser.generator.lr=fast", "recipe key optimiser.generator.lr:"),
        ("optimiser.critic.name=adam", "the players of this game are"),
        ("data.size=0", "recipe key data.size:"),
        ("data.sze=3", "unknown recipe key data.sze:"),
        ("features=foo", "unknown features 'foo'"),
        ("precision=float64", "'float32'"),
        ("micro_batches=7", "micro_batches"),
    ],
)
def test_settings(setting: str, said: str):
    line = refused_training("digits", "--images", "64", "--set", setting)
    assert said in line
    assert "constrained" not in line


@pytest.mark.parametrize(("recipe", "said"), [("dcgna", "did you mean dcgan?"), ("no.toml", "No such file")])
def test_recipes(recipe: str, said: str):
    assert said in refused_training("digits", "--recipe", recipe)
    assert said in refused("recipes", recipe)


def test_a_recipe_that_is_no_toml():
    Path("x.toml").write_text("x = = 3")
    assert "not valid TOML" in refused_training("digits", "--recipe", "x.toml")


def test_images_and_minutes():
    assert "not both" in refused_training("digits", "--images", "64", "--minutes", "1")


def test_classes_are_needed_for_a_conditional_model():
    write_pictures(Path("pictures"))
    assert "one folder a class" in refused_training("pictures", "--set", "game.conditional=true", *GAN, *SHORT)


def test_convolutions_need_pixels():
    write_pictures(Path("tiny"), height=4, width=4)
    assert "at least 8 x 8 pixels" in refused_training("tiny", "--recipe", "dcgan", *SHORT)
    assert "mlp" in refused_training("ring", "--recipe", "dcgan", *SHORT)


def test_points_are_not_binary():
    assert "game.likelihood=gaussian" in refused_training("ring", "--recipe", "vae", *SHORT)


DEVICES = ["foo", "cuda:x", "meta", "cpu:3"] + ([] if torch.cuda.is_available() else ["cuda", "cuda:1"])


@pytest.mark.parametrize("device", DEVICES)
def test_devices(device: str, runs: Path):
    assert device in refused_training("digits", "--device", device, *SHORT)
    assert device in refused("sample", runs / "gan", "--out", "x.png", "--device", device)
    assert device in refused("evaluate", runs / "gan", "--device", device)


# ---- runs ---------------------------------------------------------------------------------------------------------


def test_a_run_that_exists_is_never_overwritten(runs: Path):
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*")}
    assert "--resume" in refused("train", "digits", "--out", runs / "gan")
    assert before == {path: path.stat().st_mtime_ns for path in runs.rglob("*")}


def test_out_is_taken():
    Path("file").write_text("mine")
    write_pictures(Path("pictures"))
    assert "is a file" in refused("train", "digits", "--out", "file")
    assert "not empty" in refused("train", "digits", "--out", "pictures")
    assert "cannot make the run folder" in refused("train", "digits", "--out", "file/run", *SHORT)
    assert Path("file").read_text() == "mine"


def test_resuming_another_run(runs: Path):
    write_pictures(Path("pictures"))
    assert "other images" in refused("train", "pictures", "--out", runs / "gan", "--resume")
    assert "resume without --recipe" in refused("train", "--out", runs / "gan", "--resume", "--recipe", "wgan")
    assert "cardigan train DATA" in refused_training("--resume")


def test_damaged_runs(runs: Path):
    run = Path(shutil.copytree(runs / "gan", "run"))
    for checkpoint in run.glob("checkpoints/*.pt"):
        checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    assert "delete it" in refused("train", "--resume", "--out", run, "--images", "256")
    weights = run / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    assert "damaged" in refused("sample", run, "--out", "x.png")
    for content in (b"{}", b"\xff\x00", b"[1, 2]"):
        (run / "model" / "config.json").write_bytes(content)
        assert "damaged or foreign" in refused("sample", run, "--out", "x.png")
    for text, said in ((b"[project]\nname = 'x'\n", "foreign"), (b"x = = 3", "damaged"), (b"\xff\xfe", "damaged")):
        (run / "run.toml").write_bytes(text)
        assert said in refused("train", "--resume", "--out", run)
        assert said in refused("evaluate", run)
    assert not Path("x.png").exists()


def test_no_model():
    write_pictures(Path("pictures"))
    assert "cardigan train --out" in refused("sample", "nowhere", "--out", "x.png")
    assert "no model in" in refused("sample", "pictures", "--out", "x.png")
    assert "does not exist" in refused("evaluate", "nowhere")
    assert "--data DATA" in refused("evaluate", "pictures")


def test_verbs_a_model_has_not(runs: Path):
    assert "cannot sample" in refused("sample", runs / "autoencoder", "--out", "x.png")
    assert "cannot sample" in refused("interpolate", runs / "autoencoder", "--out", "x.gif")
    assert "cannot sample" in refused("interpolate", runs / "autoencoder", "--grid", "4", "--out", "x.png")
    assert "cannot sample" in refused("invert", runs / "autoencoder", "digits", "--out", "x")
    assert "cannot sample" in refused("evaluate", runs / "autoencoder", "--metrics", "fd")
    assert "no encoder" in refused("reconstruct", runs / "gan", "digits", "--out", "x")
    assert "no encoder" in refused("evaluate", runs / "gan", "--metrics", "elbo")
    assert "no prior" in refused("evaluate", runs / "autoencoder", "--metrics", "loglik")
    assert not any(Path(name).exists() for name in ("x", "x.png", "x.gif"))


def test_labels(runs: Path):
    assert "game.conditional=true" in refused("sample", runs / "gan", "--out", "x.png", "--label", "3")
    assert "choose one of 0, 1, 2" in refused("sample", runs / "classes", "--out", "x.png", "--label", "cat")


def test_metrics_and_features(runs: Path):
    assert "choose from fd," in refused("evaluate", runs / "gan", "--metrics", "fid")
    assert "--metrics loglik" in refused("evaluate", runs / "gan", "--steps", "100")
    assert "unknown features" in refused("evaluate", runs / "gan", "--features", "vgg")
    assert "no weights file" in refused("evaluate", runs / "gan", "--features", "inception:nowhere")
    assert "only keys under data" in refused("evaluate", runs / "gan", "--set", "game.latent.size=3")


def test_shapes_that_differ(runs: Path):
    write_pictures(Path("pictures"), height=9, width=12)
    assert "--set data.size=8" in refused("evaluate", runs / "gan", "--data", "pictures")
    assert "the model takes 1x8x8" in refused("reconstruct", runs / "vae", "ring", "--out", "x")


# ---- places -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["x.foo", "file", "file/x.png", "pictures", "folder.png"])
def test_places_samples_cannot_go_to(out: str, runs: Path):
    Path("file").write_text("mine")
    Path("folder.png").mkdir()
    write_pictures(Path("pictures"))
    before = sorted(Path().rglob("*"))
    refused("sample", runs / "gan", "--out", out)
    assert before == sorted(Path().rglob("*"))


def test_other_places(runs: Path):
    Path("file").write_text("mine")
    assert "is a file" in refused("reconstruct", runs / "vae", "digits", "--out", "file")
    assert ".gif" in refused("interpolate", runs / "gan", "--out", "x.avi")
    assert "no folder" in refused("interpolate", runs / "gan", "--out", "nowhere/x.gif")
    assert "no folder" in refused("evaluate", runs / "gan", "--json", "nowhere/x.json")
    assert "is a folder" in refused("data", "digits", "--json", ".")


def fill_the_disk(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(name, full)


def test_full_disk_while_sampling(runs: Path, monkeypatch: pytest.MonkeyPatch):
    fill_the_disk(monkeypatch, "PIL.Image.Image.save")
    for out in ("x.png", "x", "x.gif"):
        command = "interpolate" if out == "x.gif" else "sample"
        assert "No space left" in refused(command, runs / "gan", "--out", out)
    assert [path.name for path in Path().iterdir() if path.name != "cache"] == []


def test_full_disk_at_the_start_of_a_training(monkeypatch: pytest.MonkeyPatch):
    fill_the_disk(monkeypatch, "os.fsync")
    assert "No space left" in refused_training("digits", "--recipe", "vae", *SHORT)


def test_full_disk_during_a_training_loses_nothing(monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as disk:
        fill_the_disk(disk, "cardigan.training.session.save_picture")
        assert "No space left" in refused("train", "digits", "--recipe", "vae", "--out", "run", *SHORT)
    assert "from 0" not in succeeds("train", "--resume", "--out", "run", "--no-evaluate")
    assert cardigan("sample", "run", "--out", "x.png").code == 0
