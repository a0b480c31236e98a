"""Pictures of held-out sentences are held to what is said, and to nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cardigan.apps.evaluate import evaluate, evaluate_model
from cardigan.apps.exhibition import Paintings
from cardigan.apps.model import Model, load
from cardigan.apps.painting_scores import PAINTING_SCORES, painting_results
from cardigan.data import Splits
from cardigan.data.accounts import Accounts
from cardigan.data.worlds.opening import WORLDS
from cardigan.errors import DataError, RunError
from cardigan.evaluation import attributes, with_vectors
from cli_runs import refused, succeeds
from small import COLOURS, SMALL_READER, play, small_splits, small_told, small_trainer, told_blobs
from test_data_captions import pictures, rows, table, write_folder

OWN = ["attributes", "r-precision", "inception-score", "diversity"]
ONE_STAGE = {"stages": 1}


@pytest.fixture(scope="module", autouse=True)
def one_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of this file's own, in which those who judge are trained once."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("CARDIGAN_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def told(one_cache: Path) -> Splits:
    return with_vectors(small_told(240), one_cache)[0]


def model_of(folder: Path, splits: Splits, **game: object) -> Model:
    trainer = play(small_trainer(folder, "stackgan", splits=splits, game=game), 1)
    trainer.deploy()
    return load(folder, "cpu")


@pytest.fixture(scope="module")
def model(told: Splits, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return model_of(tmp_path_factory.mktemp("run"), told, **ONE_STAGE)


Painter = Callable[[str, Tensor], Tensor]


def painting(model: Model, splits: Splits, paint: Painter) -> Model:
    """The model with another way to paint: a function of the sentence and of the latent."""
    table = splits.train.sentences.table
    known = model.game.text.embed(table).cpu()

    def by_sentence(latents: Tensor, texts: Tensor) -> Tensor:
        numbers = torch.cdist(texts, known).argmin(1).tolist()
        return torch.stack([paint(table[number], z) for number, z in zip(numbers, latents, strict=True)])

    model.game.paint = by_sentence
    return model


def halves(sentence: str, latent: Tensor, noise: float = 0.2) -> Tensor:
    """Just what the sentence says, on noise of the latent."""
    words = [word.strip(",") for word in sentence.split()]
    colours = [word for word in words if word in COLOURS]
    left, right = colours if words[0] in COLOURS else reversed(colours)
    image = torch.full((3, 8, 8), -0.8)
    image[COLOURS[left], :, :4] = image[COLOURS[right], :, 4:] = 0.7
    stream = torch.Generator().manual_seed(int(latent[0] * 1e6) % 2**31)
    return image + noise * torch.rand(3, 8, 8, generator=stream)


def swapped(sentence: str, latent: Tensor) -> Tensor:
    return halves(sentence, latent).flip(2)


@pytest.fixture(autouse=True)
def own_paint(model: Model) -> Iterator[None]:
    yield
    vars(model.game).pop("paint", None)


# ---- what the numbers say ---------------------------------------------------------------------------------------------


def test_who_paints_what_is_said_scores_as_reality_does(model: Model, told: Splits) -> None:
    found = painting_results(painting(model, told, halves), told, scores=OWN)
    accuracy, precision, score = found["attribute accuracy"], found["R-precision"], found["IS(attributes)"]
    assert accuracy.value > 0.95
    assert accuracy.floor > 0.95
    assert accuracy.low <= accuracy.value <= accuracy.high <= 1
    assert accuracy.protocol["chance"] < 0.4
    assert accuracy.protocol["facts"] == 2 * len(told.test)
    assert precision.value > 0.6
    assert precision.protocol["chance"] == pytest.approx(1 / 9, abs=0.001)
    assert score.floor == pytest.approx(3, abs=0.5)
    assert score.value == pytest.approx(score.floor, abs=0.5)
    assert any("left 1.00 (1.00," in note for note in found.notes)
    assert {result.protocol["samples"] for result in found.results} == {len(told.test)}


def test_who_mixes_it_up_does_not(model: Model, told: Splits) -> None:
    """Each picture alone is as good as a real one; it is not what was asked for."""
    found = painting_results(painting(model, told, swapped), told, scores=OWN)
    right = found["attribute accuracy"]
    assert right.value < 0.6
    assert right.protocol["by attribute"]["real"]["left"] > 0.95
    assert found["R-precision"].value < found["R-precision"].floor - 0.2
    assert found["IS(attributes)"].value == pytest.approx(found["IS(attributes)"].floor, abs=0.5)


def test_who_paints_one_picture_whatever_is_said_is_at_chance(model: Model, told: Splits) -> None:
    found = painting_results(
        painting(model, told, lambda _, z: halves("red on the left, blue on the right", z)), told, scores=OWN
    )
    right, precision = found["attribute accuracy"], found["R-precision"]
    assert right.value == pytest.approx(right.protocol["chance"], abs=0.15)
    assert precision.value == pytest.approx(precision.protocol["chance"], abs=0.15)
    assert found["IS(attributes)"].value == pytest.approx(1, abs=0.1)


def test_two_pictures_of_a_sentence_are_as_different_as_their_noise(model: Model, told: Splits) -> None:
    def likeness(noise: float) -> float:
        painter = painting(model, told, lambda words, z: halves(words, z, noise))
        return painting_results(painter, told, scores=["diversity"])["MS-SSIM of a sentence"].value

    assert likeness(0.0) == pytest.approx(1)
    assert 1 > likeness(0.1) > likeness(0.6)


def test_only_what_a_sentence_tells_is_asked(model: Model, told: Splits) -> None:
    """The painter swaps; of the right half nothing is told, and where both halves are one colour it is right."""

    def left_only(part: object) -> object:
        known = part.accounts
        return part.accounted(Accounts(known.true, lambda i: [{"left": known.true(i)["left"]}] * 2))

    partly = replace(told, train=left_only(told.train), test=left_only(told.test))

    def half_right(sentence: str, latent: Tensor) -> Tensor:
        image = halves(sentence, latent)
        image[..., 4:] = image[..., 4:].roll(1, 0)
        return image

    found = painting_results(painting(model, told, half_right), partly, scores=["attributes"])["attribute accuracy"]
    assert found.value > 0.95
    assert found.protocol["facts"] == len(told.test)
    assert found.protocol["by attribute"]["painted"]["right"] is None
    both = painting_results(painting(model, told, half_right), told, scores=["attributes"])["attribute accuracy"]
    assert both.value == pytest.approx(0.5, abs=0.1)


def test_pictures_are_a_function_of_seed_and_image(model: Model, told: Splits) -> None:
    indices = torch.arange(70)
    source = Paintings(model, told.test, indices, 3)
    every = source.images(0, 70)
    assert every.shape == (70, *told.test.spec.shape)
    torch.testing.assert_close(source.images(60, 10), every[60:])
    torch.testing.assert_close(Paintings(model, told.test, indices.flip(0), 3).images(0, 70).flip(0), every)
    assert not torch.allclose(Paintings(model, told.test, indices, 4).images(0, 70), every)
    assert not torch.allclose(Paintings(model, told.test, indices, 3, take=1).images(0, 70), every)


# ---- what is measured of which data -------------------------------------------------------------------------------------


def test_everything_that_suits_is_measured_by_default(model: Model, told: Splits) -> None:
    found = evaluate_model(model, told)
    names = {result.metric for result in found.results}
    assert {"attribute accuracy", "R-precision", "IS(attributes)", "MS-SSIM of a sentence", "FD(random)"} <= names
    assert {"C_T(random)", "AuthPct(random)"} <= names  # the training images are known
    assert all(result.floor is not None for result in found.results)
    few = evaluate_model(model, told, metrics=["diversity", "fd"], samples=12)
    assert [result.metric for result in few.results] == ["MS-SSIM of a sentence", "FD(random)"]
    assert {result.protocol["samples"] for result in few.results} == {12}


def test_names_of_classes_are_sentences_too(tmp_path: Path) -> None:
    splits = told_blobs()
    found = painting_results(model_of(tmp_path, splits), splits, scores=["inception-score", "diversity", "fd"])
    assert {"IS(classifier)", "MS-SSIM of a sentence", "FD(classifier)"} <= {r.metric for r in found.results}
    assert found["MS-SSIM of a sentence"].protocol["floor"] == "a pair of real images of one kind"
    assert 1 < found["IS(classifier)"].floor <= 2
    with pytest.raises(DataError, match="attributes takes sentences"):
        painting_results(model_of(tmp_path / "b", splits), splits, scores=["attributes"])


def test_what_other_models_have_not_is_refused(model: Model, told: Splits, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has no mse"):
        evaluate_model(model, told, metrics=["mse"])
    plain = small_trainer(tmp_path, "gan")
    play(plain, 1).deploy()
    for name in PAINTING_SCORES:
        with pytest.raises(RunError, match="does not paint"):
            evaluate_model(load(tmp_path, "cpu"), small_splits(), metrics=[name])


def test_without_sentences_pictures_are_samples(model: Model, told: Splits) -> None:
    silent = small_told(240, SMALL_READER)
    for part in (silent.train, silent.test):
        part.sentences = None
    found = evaluate_model(model, silent, metrics=["fd"])
    assert [result.metric for result in found.results] == ["FD(random)"]
    assert "data.text=captions" in found.notes[0]
    with pytest.raises(DataError, match=r"data\.text=captions"):
        evaluate_model(model, silent, metrics=["r-precision"])


# ---- from the command line ----------------------------------------------------------------------------------------------

GAME = "game={name='stackgan', enlarge=2, noise=4, generator={width=4, max_width=8, code=4}, discriminator={width=4, text=4}}"
READER = "data.encoder={name='char-cnn-rnn', dims=8, widths=[8, 8, 8], steps=2, side=8}"
TINY = ["--recipe", "stackgan-small", "--set", GAME, "--set", READER, "--set", "batch=16", "--set", "data.size=16"]
SHORT = ["--set", "log.evaluations=0", "--images", "64"]


def test_a_training_on_captioned_pictures_ends_with_its_scores(tmp_path: Path) -> None:
    files = pictures(20, "train/") | pictures(20, "test/", seed=1)
    path = write_folder(tmp_path / "x", files | {"captions.csv": table(rows(files))})
    out = succeeds("train", path, "--out", tmp_path / "run", *TINY, *SHORT)
    assert (tmp_path / "run" / "evaluation.json").is_file()
    out = succeeds("evaluate", tmp_path / "run", "--metrics", "r-precision,diversity,fd")
    assert "R-precision" in out
    assert "any pair of real images" in out
    line = refused("evaluate", tmp_path / "run", "--metrics", "attributes")
    assert "leave it out here" in line
    assert "known what they tell" in line
    copied = succeeds(
        "evaluate", tmp_path / "run" / "model", "--data", path, "--metrics", "fd", "--set", "data.size=16"
    )
    assert "data.text=captions" in copied
    asked = ["--metrics", "r-precision", "--set", "data.size=16", "--set", "data.text=captions"]
    assert "R-precision" in succeeds("evaluate", tmp_path / "run" / "model", "--data", path, *asked)


def test_birds_are_held_to_what_is_told_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {name: replace(world, counts=(40, 20)) for name, world in WORLDS.items()}
    monkeypatch.setattr("cardigan.data.worlds.opening.WORLDS", small)
    monkeypatch.setattr(attributes, "LEAST_STEPS", 4)
    succeeds("train", "birds", "--out", tmp_path / "run", *TINY, *SHORT, "--no-evaluate")
    found = evaluate(tmp_path / "run", metrics="attributes,inception-score", device="cpu")
    accuracy = found["attribute accuracy"]
    assert 0 <= accuracy.protocol["chance"] <= 1
    assert accuracy.protocol["facts"] > 40
    told = accuracy.protocol["by attribute"]["painted"]
    assert told["belly"] is not None
    assert told["facing"] is None  # mirrored at random in training, so no sentence tells it
    assert "main" not in told
    assert found["IS(attributes)"].value >= 1
