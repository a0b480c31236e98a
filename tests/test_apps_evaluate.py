"""What `cardigan evaluate` makes of runs, model folders and pictures."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import cardigan
from cardigan.apps.evaluate import divided, evaluate, evaluate_model, listed
from cardigan.apps.model import Model, ModelSource, load
from cardigan.apps.neighbours import nearest_panel
from cardigan.apps.report import write_report
from cardigan.apps.scores import SCORES, image_scores, reconstruction_results, spread
from cardigan.data import Dataset, Splits
from cardigan.errors import DataError, RecipeError, RunError
from cardigan.evaluation import Evaluation
from cardigan.games.vae import VAE
from small import play, small_splits, small_trainer

NAMES = list(SCORES)


def small_model(folder: Path, kind: str, **changes: object) -> tuple[Model, Splits]:
    splits = small_splits()
    trainer = play(small_trainer(folder, kind, splits=splits, **changes), 3)
    trainer.deploy()
    return load(folder, "cpu"), splits


def test_scores_of_a_vae(tmp_path: Path):
    model, splits = small_model(tmp_path, "vae")
    found = {result.metric: result for result in reconstruction_results(model, splits.test, 0, NAMES)}
    assert list(found) == ["elbo", "iwae", "bits per dimension", "mse", "psnr"]
    assert found["iwae"].value > found["elbo"].value, "more importance samples tighten the bound"
    assert found["bits per dimension"].value == pytest.approx(-found["elbo"].value / (64 * 0.6931471805599453))
    for result in found.values():
        assert result.low < result.value < result.high
        assert result.protocol["samples"] == len(splits.test)
        assert result.protocol["likelihood"] == "bernoulli"


def test_scores_of_an_autoencoder(tmp_path: Path):
    model, splits = small_model(tmp_path, "autoencoder")
    results = reconstruction_results(model, splits.test, 0, NAMES)
    assert [result.metric for result in results] == ["mse", "psnr"]
    images = splits.test.images(torch.arange(len(splits.test)))
    errors = (model.reconstruct(images) - images).square().flatten(1).mean(1)
    assert results[0].value == pytest.approx(errors.mean().item(), rel=1e-5)
    half = 1.959964 * errors.std().item() / len(errors) ** 0.5
    assert results[0].high - results[0].value == pytest.approx(half, rel=1e-4)


def test_a_score_is_one_number_an_image(tmp_path: Path):
    model, splits = small_model(tmp_path, "vae")
    scores = image_scores(model, splits.test.images(torch.arange(5)))
    assert {tuple(values.shape) for values in scores.values()} == {(5,)}


def test_scores_depend_on_the_seed_alone(tmp_path: Path):
    model, splits = small_model(tmp_path, "vae")
    first, again, other = (reconstruction_results(model, splits.test, seed, ["elbo"])[0].value for seed in (1, 1, 2))
    assert first == again != other


def test_the_bound_is_taken_on_a_thousand_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cardigan.apps.scores.BOUND_IMAGES", 20)
    monkeypatch.setattr("cardigan.apps.scores.CHUNK", 20)
    model, splits = small_model(tmp_path, "vae")
    iwae, mse = reconstruction_results(model, splits.test, 0, ["iwae", "mse"])
    assert (iwae.protocol["samples"], mse.protocol["samples"]) == (20, len(splits.test))
    assert spread(100).tolist() == list(range(0, 100, 5)), "a folder lies in the order of its classes"
    assert spread(7).tolist() == list(range(7))


def test_a_density_has_no_bits(tmp_path: Path):
    model, splits = small_model(tmp_path, "vae", game={"likelihood": "gaussian"})
    assert isinstance(model.game, VAE)
    names = [result.metric for result in reconstruction_results(model, splits.test, 0, NAMES)]
    assert "bits per dimension" not in names


def test_metrics_of_samples_carry_seed_and_protocol(tmp_path: Path, cache: Path):
    model, splits = small_model(tmp_path, "gan")
    found = evaluate_model(model, splits, metrics=["fd"], features="random", seed=5)
    result = found["FD(random)"]
    assert result.floor is not None
    assert result.protocol["seed"] == 5
    assert "seed 5" in result.protocol["generated"]["name"]
    assert result.protocol["generated"]["digest"] == model.digest
    assert {"features", "reference", "samples", "arithmetic", "version"} <= result.protocol.keys()
    other = evaluate_model(model, splits, metrics=["fd"], features="random", seed=6)
    assert other["FD(random)"].value != result.value


def test_pictures_in_class_folders_are_drawn_fairly(tmp_path: Path, cache: Path):
    bunch = load_digits()
    parts = np.random.default_rng(0).permutation(len(bunch.target)) % 2
    for image, label, index, part in zip(bunch.images, bunch.target, range(len(parts)), parts, strict=True):
        folder = tmp_path / ("made", "real")[part] / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 15).astype(np.uint8)).save(folder / f"{index}.png")
    found = evaluate(tmp_path / "made", tmp_path / "real", metrics=["fd"], samples=60, features="random", device="cpu")
    result = found["FD(random)"]
    assert result.floor is not None
    assert result.value < 1.5 * result.floor
    again = evaluate(
        tmp_path / "made", tmp_path / "real", metrics=["fd"], samples=60, features="random", seed=1, device="cpu"
    )
    assert again["FD(random)"].value != result.value, "the seed says which pictures"


def draw_folder(folder: Path, count: int, seed: int) -> None:
    folder.mkdir(parents=True)
    for index, image in enumerate(np.random.default_rng(seed).integers(0, 255, (count, 8, 8), dtype=np.uint8)):
        Image.fromarray(image).save(folder / f"{index}.png")


def test_two_folders_share_all_their_pictures(tmp_path: Path, cache: Path):
    draw_folder(tmp_path / "made", 100, 0)
    draw_folder(tmp_path / "real", 120, 1)
    found = evaluate(tmp_path / "made", tmp_path / "real", device="cpu")
    result = found.results[0]
    assert 50 < result.protocol["samples"] <= 60, "about half of the reals, the other half gives the floor"
    assert not any(name.metric.startswith(("C_T", "AuthPct")) for name in found.results)
    assert any("copying was not looked for" in note for note in found.notes)
    kept = evaluate(tmp_path / "made", tmp_path / "real", settings=["data.held_out=0.2"], metrics=["fd"], device="cpu")
    assert kept.results[0].protocol["samples"] < 40
    with pytest.raises(DataError, match="evaluate a run"):
        evaluate(tmp_path / "made", tmp_path / "real", metrics=["auth"], device="cpu")


def test_copies_are_looked_for_among_what_was_learnt_only(tmp_path: Path, cache: Path):
    model, splits = small_model(tmp_path, "gan")
    names = [result.metric for result in evaluate_model(model, splits, features="random").results]
    assert names[-2:] == ["C_T(random)", "AuthPct(random)"]
    other = evaluate_model(model, small_splits(count=120), features="random")
    assert not any(result.metric.startswith(("C_T", "AuthPct")) for result in other.results)
    assert any("copying was not looked for" in note for note in other.notes)


def test_classes_are_asked_for_as_often_as_in_training(tmp_path: Path, cache: Path):
    model, splits = small_model(tmp_path, "gan")
    assert model.config.frequencies == (0.5, 0.5)
    model.config = model.config.model_copy(update={"frequencies": (0.9, 0.1)})
    source = ModelSource(model, seed=3)
    labels = source.labels(0, 2000)
    assert labels is not None
    assert sum(labels) / 2000 == pytest.approx(0.1, abs=0.03)
    assert labels[70:200] == source.labels(70, 130), "an example's class is a function of its index"
    assert source.labels(5, 0) == []
    expected = model.sample(3, seed=3, start=70, labels=labels[70:73])
    assert torch.equal(source.images(70, 3), expected)
    assert "as often as in training" in source.name
    others = Splits(*(Other(split) for split in (splits.train, splits.test)))
    found = evaluate_model(model, others, metrics=["fd"], features="random")  # type: ignore[arg-type]
    assert "as often as in training" in found.results[0].protocol["generated"]["name"], "whatever the data's classes"
    plain, _ = small_model(tmp_path / "plain", "gan", game={"conditional": False})
    assert ModelSource(plain).labels(0, 5) is None


class Other:
    """The same images with classes of other names."""

    def __init__(self, split: Dataset) -> None:
        self.split_, self.spec = split, split.spec.model_copy(update={"classes": ("x", "y", "z")})

    def __len__(self) -> int:
        return len(self.split_)

    def __getattr__(self, name: str) -> object:
        return getattr(self.split_, name)


def test_another_split_than_the_run_was_trained_on_is_noted(tmp_path: Path, cache: Path):
    draw_folder(tmp_path / "data", 200, 5)
    small = {name: {"name": "mlp", "widths": [8]} for name in ("generator", "discriminator")}
    settings = {"game": small, "batch": 16, "log": {"evaluations": 0}}
    cardigan.train(tmp_path / "data", out=tmp_path / "run", images=32, settings=settings, evaluate=False)
    own = evaluate(tmp_path / "run", metrics=["fd"])
    other = evaluate(tmp_path / "run", metrics=["fd"], settings=["data.held_out=0.5"])
    assert not any("by heart" in note for note in own.notes)
    assert any("by heart" in note for note in other.notes)


def test_what_was_guessed_of_the_images_is_told(tmp_path: Path, cache: Path):
    array = np.random.default_rng(0).integers(0, 2, (60, 8, 8))
    np.save(tmp_path / "bits.npy", array)
    draw_folder(tmp_path / "real", 60, 1)
    found = evaluate(tmp_path / "bits.npy", tmp_path / "real", metrics=["fd"], device="cpu")
    assert any("bits.npy: whole numbers taken to lie in" in note for note in found.notes)


def test_shapes_that_no_setting_brings_together(tmp_path: Path):
    for name, channels in (("two", 2), ("five", 5)):
        np.save(
            tmp_path / f"{name}.npy",
            np.zeros((30, channels, 8, 8), np.uint8) + np.arange(30, dtype=np.uint8)[:, None, None, None],
        )
    with pytest.raises(DataError, match="compare with others"):
        evaluate(tmp_path / "two.npy", tmp_path / "five.npy", device="cpu")
    draw_folder(tmp_path / "grey", 30, 0)
    with pytest.raises(DataError, match="compare with others"):
        evaluate(tmp_path / "grey", "ring", device="cpu")


def test_the_digest_of_a_model_is_that_of_its_weights(tmp_path: Path):
    model, _ = small_model(tmp_path, "gan")
    assert model.digest == load(tmp_path, "cpu").digest
    next(model.game.generator.parameters()).data[0] += 1
    assert model.digest != load(tmp_path, "cpu").digest


def test_by_default_a_model_shows_all_it_can(tmp_path: Path):
    encodes, _ = small_model(tmp_path / "a", "autoencoder")
    samples, _ = small_model(tmp_path / "b", "gan")
    both, _ = small_model(tmp_path / "c", "vae")
    assert divided(None, encodes) == (NAMES, [])
    assert divided(None, samples) == ([], None)
    assert divided(None, both) == (NAMES, None)
    assert divided(["fd", "elbo"], both) == (["elbo"], ["fd"])


def test_what_a_model_cannot_do(tmp_path: Path, cache: Path):
    encodes, splits = small_model(tmp_path / "a", "autoencoder")
    with pytest.raises(RunError, match="cannot sample"):
        evaluate_model(encodes, splits, metrics=["fd"])
    samples, splits = small_model(tmp_path / "b", "gan")
    with pytest.raises(RunError, match="no encoder"):
        evaluate_model(samples, splits, metrics=["mse"])
    with pytest.raises(RecipeError, match="unknown metric 'fid'"):
        evaluate(tmp_path / "b", metrics=["fid"])


def test_the_nearest_training_image_of_a_copy_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model, splits = small_model(tmp_path, "gan")
    monkeypatch.setattr(model, "sample", lambda n: splits.train.images(torch.arange(n)))
    panel = nearest_panel(model, splits.train, shown=4)
    assert panel is not None
    half = (panel.height - 2) // 2
    above, below = panel.crop((0, 0, panel.width, half)), panel.crop((0, half + 2, panel.width, panel.height))
    assert above.tobytes() == below.tobytes()


def test_what_cannot_sample_has_no_panel(tmp_path: Path):
    model, splits = small_model(tmp_path, "autoencoder")
    assert nearest_panel(model, splits.train) is None


def test_report(tmp_path: Path, cache: Path):
    splits = small_splits()
    trainer = play(small_trainer(tmp_path, "gan", splits=splits), 2)
    trainer.deploy()
    model = load(tmp_path, "cpu")
    found = evaluate_model(model, splits, metrics=["fd"], features="random")
    panel = nearest_panel(model, splits.train)
    assert panel is not None
    entry = '{"rounds": 1, "images": 16, "scalars": {"a<b": 1.0, "generator": null}}\n'
    trainer.folder.progress_file.write_text(entry + '{"rounds": 2, "ima')
    write_report(trainer.folder, "healthy", Evaluation(found.results, ("1 < 2",)), panel, panel)
    page = trainer.folder.report_file.read_text(encoding="utf-8")
    for word in (
        "Training: healthy",
        "FD(random)",
        "real against real",
        "Nearest training images",
        "a&lt;b",
        "1 &lt; 2",
    ):
        assert word in page
    assert "http" not in page, "the page needs nothing else"
    assert page.count("<img") == 2


def test_a_score_asked_for_by_name_is_there_or_refused(tmp_path: Path):
    encodes, splits = small_model(tmp_path / "a", "autoencoder")
    with pytest.raises(RunError, match="small-autoencoder has no elbo: choose from mse, psnr"):
        evaluate_model(encodes, splits, metrics=["mse", "elbo"])
    gaussian, _ = small_model(tmp_path / "b", "vae", game={"likelihood": "gaussian"})
    with pytest.raises(
        RunError, match="with a gaussian likelihood has no bits-per-dimension: choose from elbo, iwae, mse"
    ):
        evaluate_model(gaussian, splits, metrics=["bits-per-dimension"])
    assert [result.metric for result in evaluate_model(gaussian, splits, metrics=["elbo"]).results] == ["elbo"]


def test_one_test_image_bounds_no_mean(tmp_path: Path):
    model, _ = small_model(tmp_path, "autoencoder")
    (result,) = evaluate_model(model, small_splits(count=3), metrics=["mse"]).results
    assert (result.low, result.high) == (-math.inf, math.inf)
    assert Evaluation.from_json(Evaluation((result,)).to_json()).results[0].low == -math.inf


def test_names_of_metrics_may_come_in_one_string(tmp_path: Path):
    assert listed("fd, elbo,") == listed(["fd", "elbo"]) == ["fd", "elbo"]
    assert listed("fd") == ["fd"]
    assert listed(None) is None
    for nothing in ("", " , ", []):
        with pytest.raises(RecipeError, match="no metric is named: choose from fd"):
            evaluate(tmp_path, metrics=nothing)
