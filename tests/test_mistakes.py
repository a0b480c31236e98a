"""What must not pass in silence: damage, two trainings in one folder, and settings that cannot mean anything."""

import gzip
import math
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import cardigan
from cardigan.augmentation import Leak
from cardigan.data import open_data
from cardigan.errors import CardiganError, DataError, RecipeError, RunError, TrainingError
from cardigan.training.checkpoint import read_checkpoint, save_checkpoint
from cardigan.training.progress import Silence
from cardigan.training.recipe import build_recipe, merge, recipe_table
from cardigan.training.run import RunFolder
from cardigan.training.session import Session
from small import small_splits, small_trainer


def test_a_preview_shows_as_many_samples_however_few_the_test_images(tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, "gan", splits=small_splits(count=3))
    assert len(trainer.splits.test) == 1
    assert len(trainer.preview(64)) == 64


def test_a_score_that_is_no_number_is_never_the_best(tmp_path: Path) -> None:
    scores = iter([math.nan, 2.0, 0.5, math.inf, 3.0])
    trainer = small_trainer(tmp_path, "gan", log={"evaluations": 5})
    Session(trainer, Silence(), score=("FD", lambda: next(scores))).run()
    assert trainer.best["score"] == 0.5


def test_a_flipped_bit_in_a_checkpoint_is_found(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, {"rounds": 1, "weights": torch.arange(1_000.0)})
    assert torch.equal(read_checkpoint(path)["weights"], torch.arange(1_000.0))
    data = bytearray(path.read_bytes())
    data[data.index(struct.pack("<f", 500.0))] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunError, match="damaged"):
        read_checkpoint(path)


def test_a_folder_has_one_training_at_a_time(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.claimed():
        with pytest.raises(RunError, match="another process"), RunFolder(tmp_path / "run").claimed():
            pass
        assert folder.path.is_dir()
    assert not folder.path.exists(), "an empty folder is not left behind"
    with folder.claimed():
        pass


def test_data_are_found_again_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images(tmp_path / "images", 20)
    monkeypatch.chdir(tmp_path)
    small = {"game": {"generator": {"width": 4}, "discriminator": {"width": 4}}}
    options = {"out": tmp_path / "run", "evaluate": False, "progress": Silence()}
    cardigan.train("images", images=64, settings=small, **options)
    cardigan.train("images", images=96, resume=True, **options)
    assert RunFolder(tmp_path / "run").read_record().data == str(tmp_path / "images")


@pytest.mark.parametrize(
    ("recipe", "change"), [("dcgan", {"r1": 1.0}), ("wgan-gp", {"critic": {"normalisation": "batch"}})]
)
def test_penalties_and_batch_normalisation_do_not_go_together(recipe: str, change: dict) -> None:
    game = build_recipe(merge(recipe_table(recipe), {"game": change})).game
    with pytest.raises(RecipeError, match="normalisation=layer"):
        game.build(small_splits(side=16).train.spec)


def test_a_damaged_tar_header_does_not_hide_what_follows(tmp_path: Path) -> None:
    images(tmp_path / "images", 20)
    path = tmp_path / "images.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for image in sorted((tmp_path / "images").iterdir()):
            archive.add(image, image.name)
    with tarfile.open(path) as archive:
        header = archive.getmembers()[10].offset
    data = bytearray(path.read_bytes())
    data[header + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(CardiganError, match="1 of 11 images cannot be read.*cut short or damaged"):
        open_data(path, cache=tmp_path / "cache")


def test_a_wrong_checksum_of_compressed_data_is_found(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 8, 8), dtype=np.uint8)
    packed = bytearray(gzip.compress(struct.pack(">IIII", 0x803, *pixels.shape) + pixels.tobytes()))
    packed[-8] ^= 1  # of the checksum
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(packed)
    with pytest.raises(CardiganError, match="checksum"):
        open_data(path, cache=tmp_path / "cache")


def test_a_misspelt_player_is_told_in_words() -> None:
    with pytest.raises(RecipeError, match=r"optimiser\.genrator is new and has no name: mend its spelling"):
        build_recipe(merge(recipe_table("dcgan"), {"optimiser": {"genrator": {"lr": 1e-3}}}))


def test_points_are_not_mirrored(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="flip"):
        cardigan.train("ring", out=tmp_path / "run", images=640, settings=["data.flip=true"], progress=Silence())
    assert not (tmp_path / "run").exists()


def images(folder: Path, count: int) -> None:
    folder.mkdir()
    values = np.random.default_rng(0).integers(0, 256, (count, 16, 16), dtype=np.uint8)
    for i, pixels in enumerate(values):
        Image.fromarray(pixels).save(folder / f"{i:03d}.bmp")


def test_tensorboard_is_asked_for_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardigan.training.journal.find_spec", lambda name: None)
    settings = ["log.tensorboard=true"]
    with pytest.raises(RecipeError, match="pip install"):
        cardigan.train("digits", out=tmp_path / "run", images=640, settings=settings, progress=Silence())
    assert not (tmp_path / "run").exists()


def test_two_images_are_trained_on_and_not_measured(tmp_path: Path) -> None:
    images(tmp_path / "images", 2)
    small = {"game": {"generator": {"width": 4}, "discriminator": {"width": 4}}}
    run = cardigan.train(tmp_path / "images", out=tmp_path / "run", images=64, settings=small, progress=Silence())
    assert run.evaluation is not None
    assert run.evaluation.results == ()
    assert "not measured: " in str(run.evaluation)
    assert (tmp_path / "run" / "report.html").is_file()


def test_few_images_are_measured_as_far_as_they_go(tmp_path: Path) -> None:
    """A VAE's reconstructions of one test image are measured, though no samples can be compared with it."""
    images(tmp_path / "images", 12)
    mlp = {"name": "mlp", "widths": [8]}
    small = {"game": {"encoder": mlp, "decoder": mlp}}
    options = {"out": tmp_path / "run", "images": 128, "settings": small, "progress": Silence()}
    run = cardigan.train(tmp_path / "images", recipe="vae", **options)
    assert run.evaluation is not None
    again = cardigan.evaluate(tmp_path / "run")
    for found in (run.evaluation, again):
        assert {"elbo", "mse", "psnr"} <= {result.metric for result in found.results}
        assert any("samples were not compared: " in note for note in found.notes)
    with pytest.raises(DataError):
        cardigan.evaluate(tmp_path / "run", metrics=["mse", "fd"])


def test_a_training_that_was_stopped_is_not_reported_as_healthy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(session: Session) -> None:
        session.trainer.deploy()
        raise TrainingError("a loss exploded")

    monkeypatch.setattr(Session, "run", explode)
    with pytest.raises(TrainingError):
        cardigan.train("digits", out=tmp_path / "run", images=128, progress=Silence())
    assert "Training: a loss exploded" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("share", "told"), [(0.5, True), (0.15, False)])
def test_a_leaked_augmentation_is_told(
    share: float, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cardigan.apps.train.leak", lambda *measured: Leak(share, 0.05))
    settings = {
        "game": {"augment": {"kinds": ["flip"], "probability": 0.5}},
        "log": {"previews": 0, "evaluations": 0},
    }
    run = cardigan.train("digits", out=tmp_path / "run", images=320, settings=settings, evaluate=False, device="cpu")
    assert ("leaked augmentation: samples look 50% ± 5%" in run.verdict) == told
