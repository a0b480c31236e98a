"""Encoders of images and sentences: they learn what belongs together, once, and a training is told by them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from cardigan.data import DataSpec, Splits
from cardigan.data.spec import Batch
from cardigan.errors import DataError
from cardigan.evaluation import learn_pairs, sentences, shown_precision, with_vectors
from cardigan.evaluation.sentences import embedded, fresh, packed_vectors
from cardigan.games import Game, Move
from cardigan.games.vae import VAEConfig
from cardigan.training.trainer import Trainer
from cli_runs import succeeds
from small import SMALL_READER, assert_same, play, small_splits, small_told, small_trainer, weights
from test_data_captions import pictures, rows, table, write_folder

QUICK = SMALL_READER.model_copy(update={"steps": 2})


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Splits, sentences.LearntPair]:
    splits = small_told(240)
    return splits, learn_pairs(splits, tmp_path_factory.mktemp("cache"))


def test_held_out_images_find_their_sentences(learnt: tuple[Splits, sentences.LearntPair]) -> None:
    """Nine descriptions of two colours: one is right by chance 1/9 of the time, half of them by knowing one colour."""
    splits, pair = learnt
    assert pair.precision.chance == pytest.approx(1 / 9, abs=0.001)
    assert pair.precision.value > 0.6
    assert not any(parameter.requires_grad for parameter in pair.joint.parameters())
    assert not pair.joint.training


def test_precision_of_painted_images_is_that_of_what_they_show(learnt: tuple[Splits, sentences.LearntPair]) -> None:
    splits, pair = learnt
    indices = torch.arange(60)
    real = shown_precision(pair.joint, splits.test, indices)
    painted = splits.test.images(indices)
    assert shown_precision(pair.joint, splits.test, indices, painted) == real
    noise = torch.rand(60, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert shown_precision(pair.joint, splits.test, indices, noise).value < 0.4


def test_the_structured_loss_learns_too() -> None:
    splits = small_told(240, SMALL_READER.model_copy(update={"loss": "structured"}))
    assert learn_pairs(splits).precision.value > 0.4


def test_what_is_learnt_is_a_function_of_data_and_settings(tmp_path: Path) -> None:
    splits = small_told(60, QUICK)
    one = learn_pairs(splits).joint.state_dict()
    torch.rand(3)
    assert_same(one, learn_pairs(splits).joint.state_dict())
    other = small_told(60, QUICK.model_copy(update={"seed": 1}))
    assert not torch.equal(one["text.output.weight"], learn_pairs(other).joint.state_dict()["text.output.weight"])


def test_it_is_learnt_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    splits, steps = small_told(60, QUICK), []
    first = learn_pairs(splits, tmp_path, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 2), (2, 2)]
    monkeypatch.setattr(sentences, "fit", lambda *_: pytest.fail("learnt again"))
    again = learn_pairs(splits, tmp_path)
    assert_same(first.joint.state_dict(), again.joint.state_dict())
    assert again.precision == first.precision
    for damaged in tmp_path.rglob("*.safetensors"):
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"\xff")
    monkeypatch.undo()
    assert_same(first.joint.state_dict(), learn_pairs(splits, tmp_path).joint.state_dict())


def test_packed_vectors_are_the_encoders_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "SENTENCES_AT_ONCE", 7)
    encoder = fresh(QUICK, (3, 8, 8)).text
    texts = [f"{n} birds on a branch" for n in range(30)]
    packed = packed_vectors(texts, encoder, tmp_path)
    assert packed.dtype == torch.float16
    assert torch.equal(packed, encoder.embed(texts).half())
    (file,) = tmp_path.rglob("*.bin")
    before = file.stat().st_mtime_ns
    assert torch.equal(packed_vectors(texts, encoder, tmp_path), packed)
    assert file.stat().st_mtime_ns == before
    file.write_bytes(file.read_bytes()[:-2])
    assert torch.equal(packed_vectors(texts, encoder, tmp_path), encoder.embed(texts).half())
    other = fresh(QUICK.model_copy(update={"seed": 9}), (3, 8, 8)).text
    assert not torch.equal(packed_vectors(texts, other, tmp_path), packed)
    packed_vectors(texts[:5], encoder, tmp_path)
    assert len(list(tmp_path.rglob("*.bin"))) == 3


def test_splits_get_a_vector_for_each_sentence(tmp_path: Path) -> None:
    splits, learnt = with_vectors(small_told(60, QUICK), tmp_path)
    for side in (splits.train, splits.test):
        (caption,) = side.captions(torch.tensor([5]))
        batch = side.batch(torch.tensor([5]))
        torch.testing.assert_close(batch.texts, learnt.joint.text.embed(caption[:1]).half().float())
    assert splits.text is learnt.joint.text


def test_without_sentences_there_is_nothing_to_learn() -> None:
    with pytest.raises(DataError, match="data.text=captions"):
        learn_pairs(small_splits())


# ---- in a training -----------------------------------------------------------------------------------------------------


class Painter(Game):
    """One number a sentence: as little of a text-to-image game as there can be."""

    players = ("autoencoder",)
    deployed = ("autoencoder", "text")

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.text = spec.text.build().requires_grad_(False)
        self.autoencoder = nn.Linear(spec.text.dims, 1)

    def round(self, batches: Iterator[Batch]) -> Iterator[Move]:
        batch = next(batches)
        target = batch.images.mean((1, 2, 3)) + batch.kinds
        yield Move(self.autoencoder, (self.autoencoder(batch.texts)[:, 0] - target).square().mean())

    def validate(self, batch: Batch) -> dict[str, torch.Tensor]:
        return {"loss": self.autoencoder(batch.texts).square().mean() + 0 * batch.kinds.sum()}

    def picture(self, batch: Batch, latents: torch.Tensor) -> torch.Tensor:
        return batch.images + 0 * self.autoencoder(batch.texts)[:, :, None, None]


def trainer_of(folder: Path, splits: Splits, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    monkeypatch.setattr(VAEConfig, "build", lambda self, spec: Painter(spec))
    return small_trainer(folder, "vae", splits=splits, micro_batches=2)


def test_a_resumed_training_that_is_told_sentences_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    splits, learnt = with_vectors(small_told(60, QUICK), tmp_path)
    whole = play(trainer_of(tmp_path / "whole", splits, monkeypatch), 7)
    assert_same(whole.game.text.state_dict(), learnt.joint.text.state_dict())
    begun = play(trainer_of(tmp_path / "begun", splits, monkeypatch), 4)
    begun.validate(splits.test)
    begun.preview(9)
    begun.save()
    resumed = trainer_of(tmp_path / "begun", with_vectors(small_told(60, QUICK), tmp_path)[0], monkeypatch)
    resumed.restore()
    assert_same(weights(play(resumed, 3)), weights(whole))


def test_a_resumed_training_reads_as_it_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the cache is lost and another encoder came out of the same data."""
    monkeypatch.setenv("CARDIGAN_CACHE", str(tmp_path / "cache"))
    told = small_told(60, QUICK)
    splits, _ = with_vectors(told, tmp_path)
    whole = play(trainer_of(tmp_path / "whole", splits, monkeypatch), 5)
    begun = play(trainer_of(tmp_path / "begun", splits, monkeypatch), 2)
    begun.save()
    stranger = fresh(QUICK.model_copy(update={"seed": 5}), (3, 8, 8)).text
    resumed = trainer_of(tmp_path / "begun", embedded(told, stranger, tmp_path), monkeypatch)
    resumed.restore()
    assert_same(weights(play(resumed, 3)), weights(whole))


def test_a_game_that_is_told_nothing_trains_on_told_images(tmp_path: Path, cache: Path) -> None:
    """From the command line: the encoder is trained, and says how well it knows test images."""
    files = pictures(40)
    path = write_folder(tmp_path / "x", files | {"captions.csv": table(rows(files))})
    reader = "data.encoder={name='char-cnn-rnn', dims=8, widths=[8, 8, 8], steps=2, side=8}"
    settings = ["--set", "data.text=captions", "--set", reader, "--set", "batch=16", "--images", "32", "--no-evaluate"]
    succeeds("train", path, "--out", tmp_path / "run", "--recipe", "autoencoder", *settings)
    again = ["--resume", "--images", "64", "--no-evaluate"]
    succeeds("train", path, "--out", tmp_path / "run", *again)
    assert list(cache.glob("sentences/*.bin"))
