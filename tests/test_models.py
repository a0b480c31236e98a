"""What a training leaves can be used, moved and trusted."""

import json
from pathlib import Path

import pytest
import torch

import cardigan
from cardigan.apps.model import ModelSource
from cardigan.errors import RecipeError, RunError
from small import GAMES, play, small_splits, small_trainer


def trained(folder: Path, kind: str = "gan", **changes: object) -> cardigan.Model:
    trainer = play(small_trainer(folder, kind, **changes), 2)
    trainer.deploy()
    return cardigan.load(folder, "cpu")


@pytest.mark.parametrize("kind", GAMES)
def test_a_loaded_model_does_what_the_trained_one_does(kind: str, tmp_path: Path) -> None:
    trainer = play(small_trainer(tmp_path, kind), 3)
    trainer.deploy()
    model = cardigan.load(tmp_path, "cpu")
    with trainer.average.applied():
        live = cardigan.Model(trainer.model_config(), trainer.game.eval(), "cpu")
        images = small_splits().test.images(torch.arange(5))
        if model.can_sample:
            # The live weights may lie channels last, in which a convolution rounds otherwise.
            torch.testing.assert_close(
                model.sample(5), live.sample(5), rtol=0, atol=1e-5 if kind == "progressive" else 0
            )
        if model.can_encode:
            assert torch.equal(model.encode(images), live.encode(images))
            assert torch.equal(model.reconstruct(images), live.reconstruct(images))
    assert model.config.images == trainer.images


def test_deployed_weights_are_the_average(tmp_path: Path) -> None:
    trainer = play(small_trainer(tmp_path, "gan"), 4)
    trainer.deploy()
    loaded = cardigan.load(tmp_path, "cpu").game.generator.state_dict()
    for key, value in trainer.average.values.items():
        torch.testing.assert_close(loaded[key.removeprefix("generator.")], value, rtol=0, atol=0)


def test_a_model_needs_no_more_than_its_folder(tmp_path: Path) -> None:
    expected = trained(tmp_path / "run").sample(3)
    (tmp_path / "run/model").rename(tmp_path / "elsewhere")
    assert torch.equal(cardigan.load(tmp_path / "elsewhere", "cpu").sample(3), expected)


def test_the_opponent_is_kept_as_it_is(tmp_path: Path) -> None:
    trainer = play(small_trainer(tmp_path, "gan"), 4)
    trainer.deploy()
    game = cardigan.load(tmp_path, "cpu").game
    for key, value in trainer.game.discriminator.state_dict().items():
        torch.testing.assert_close(game.discriminator.state_dict()[key], value, rtol=0, atol=0)


def test_a_sample_depends_on_seed_and_index_alone(tmp_path: Path) -> None:
    model = trained(tmp_path)
    many = model.sample(150, seed=3)
    torch.testing.assert_close(model.sample(20, seed=3, start=100), many[100:120], rtol=1e-4, atol=1e-5)
    source = ModelSource(model, seed=3)
    expected = model.sample(10, seed=3, start=60, labels=source.labels(60, 10))
    torch.testing.assert_close(source.images(60, 10), expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(model.sample(150, seed=4), many)
    assert model.sample(0).shape == (0, 1, 8, 8)


def test_class_labels_by_name_or_number(tmp_path: Path) -> None:
    model = trained(tmp_path)
    by_name, by_number = model.sample(4, labels=["dim", "bright"] * 2), model.sample(4, labels=[0, 1, 0, 1])
    assert torch.equal(by_name, by_number)
    assert torch.equal(by_name, model.sample(4))  # by default the classes in turn
    assert not torch.equal(by_name, model.sample(4, labels=[1, 0, 1, 0]))
    with pytest.raises(RecipeError, match="no class 'blue': choose one of dim, bright"):
        model.sample(1, labels=["blue"])
    with pytest.raises(RecipeError, match="not class-conditional"):
        trained(tmp_path / "plain", game={"conditional": False}).sample(1, labels=[0])


def test_verbs_a_model_cannot_do_are_refused(tmp_path: Path) -> None:
    gan, autoencoder = trained(tmp_path / "gan"), trained(tmp_path / "ae", "autoencoder")
    with pytest.raises(RunError, match="cannot sample"):
        autoencoder.sample(1)
    with pytest.raises(RunError, match="has no encoder"):
        gan.encode(torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match=r"expected shape \(n, 1, 8, 8\), not \(1, 3, 8, 8\)"):
        autoencoder.reconstruct(torch.zeros(1, 3, 8, 8))


def test_damaged_and_foreign_models_are_refused(tmp_path: Path) -> None:
    trained(tmp_path)
    config, weights = tmp_path / "model/config.json", tmp_path / "model/model.safetensors"
    whole, text = weights.read_bytes(), config.read_text()

    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match="missing or damaged"):
        cardigan.load(tmp_path)
    weights.unlink()
    with pytest.raises(RunError, match="missing or damaged"):
        cardigan.load(tmp_path)
    weights.write_bytes(whole)

    changed = json.loads(text)
    changed["game"]["generator"]["width"] = 8
    config.write_text(json.dumps(changed))
    with pytest.raises(RunError, match="does not fit"):
        cardigan.load(tmp_path)
    config.write_text('{"model_type": "bert"}')
    with pytest.raises(RunError, match="damaged or foreign"):
        cardigan.load(tmp_path)
    config.write_text("{")
    with pytest.raises(RunError, match="damaged or foreign"):
        cardigan.load(tmp_path)


def test_loading_nothing_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not exist: give the folder"):
        cardigan.load(tmp_path / "nowhere")
    with pytest.raises(RunError, match="no model in"):
        cardigan.load(tmp_path)
    small_trainer(tmp_path / "unfinished")
    with pytest.raises(RunError, match="no finished model yet.*--resume"):
        cardigan.load(tmp_path / "unfinished")
