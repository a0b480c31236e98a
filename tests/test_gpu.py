"""The same trainings on a CUDA device: what they compute, what they leave, and that they go on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from cardigan.apps.model import Model, load
from cardigan.training.trainer import Trainer
from cli_runs import succeeds
from small import GAMES, TRANSLATORS, play, small_splits, small_trainer, weights

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

EVERY = [*GAMES, *TRANSLATORS]


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """float32 as the CPU means it, and the CPU's noise, which the device's own generator does not repeat."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    for name in ("randn", "rand", "randn_like", "rand_like", "bernoulli"):
        monkeypatch.setattr(torch, name, from_cpu(getattr(torch, name), like=name.endswith("like")))


def from_cpu(draw, like: bool):
    def drawn(*args, device=None, **options):
        if like:
            return draw(args[0].cpu(), **options).to(args[0].device)
        inputs = [arg.cpu() if isinstance(arg, Tensor) else arg for arg in args]
        return draw(*inputs, **options).to(device or getattr(args[0], "device", "cpu"))

    return drawn


def moves(trainer: Trainer) -> list[tuple[float, list[Tensor]]]:
    """Loss and gradients of every move of one round, without a step between them."""
    torch.manual_seed(3)
    trainer.game.progress, trainer.game.rounds = 0.0, 0
    found = []
    for move in trainer.game.round(trainer.batches.stream()):
        parameters = [p for p in move.player.parameters() if p.requires_grad]
        gradients = torch.autograd.grad(move.loss, parameters, retain_graph=True, allow_unused=True)
        found.append((move.loss.item(), [g.cpu() for g in gradients if g is not None]))
    return found


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("kind", EVERY)
def test_a_round_computes_what_it_computes_on_the_cpu(kind: str, tmp_path: Path) -> None:
    here = small_trainer(tmp_path / "cpu", kind)
    there = small_trainer(tmp_path / "cuda", kind, device="cuda")
    if kind in TRANSLATORS:  # dropout and code noise are the device's own
        for trainer in (here, there):
            trainer.game.eval()
    for (loss, gradients), (other, others) in zip(moves(here), moves(there), strict=True):
        assert other == pytest.approx(loss, rel=1e-4, abs=1e-5)
        for gradient, its in zip(gradients, others, strict=True):
            assert (its - gradient).norm() <= 2e-3 * gradient.norm() + 1e-6


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", EVERY)
def test_every_game_trains_there(kind: str, precision: str, tmp_path: Path) -> None:
    trainer = play(small_trainer(tmp_path, kind, device="cuda", precision=precision), 4)
    assert trainer.is_finite()
    assert all(value == value for value in trainer.validate(trainer.splits.test).values())
    assert trainer.preview(4).isfinite().all()
    assert {tensor.device.type for tensor in trainer.game.state_dict().values()} == {"cuda"}


@pytest.mark.parametrize("kind", EVERY)
def test_a_training_goes_on_where_it_was_saved(kind: str, tmp_path: Path) -> None:
    whole = play(small_trainer(tmp_path / "whole", kind, device="cuda"), 6)
    half = play(small_trainer(tmp_path / "half", kind, device="cuda"), 3)
    half.save()
    resumed = small_trainer(tmp_path / "half", kind, device="cuda")
    resumed.restore()
    play(resumed, 3)
    for (name, expected), actual in zip(weights(whole).items(), weights(resumed).values(), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-2, atol=1e-4, msg=name)  # CUDA adds in any order


def test_a_model_trained_there_samples_the_same_here(tmp_path: Path) -> None:
    trainer = play(small_trainer(tmp_path, "gan", device="cuda"), 4)
    trainer.deploy()
    there, here = (load(tmp_path, device).sample(8, seed=1) for device in ("cuda", "cpu"))
    torch.testing.assert_close(there, here, rtol=1e-2, atol=1e-2)  # convolutions in TF32 there


def test_the_commands_work_there(tmp_path: Path, cache: Path) -> None:
    run = str(tmp_path / "run")
    succeeds("train", "digits", "--out", run, "--images", "20000", "--device", "cuda")
    succeeds("sample", run, "-n", "16", "--out", tmp_path / "grid.png", "--device", "cuda")
    succeeds("evaluate", run, "--device", "cuda")
    assert (tmp_path / "grid.png").is_file()


def test_a_model_on_the_device_takes_its_data(tmp_path: Path) -> None:
    trainer = play(small_trainer(tmp_path, "vae", device="cuda"), 2)
    model = Model(trainer.model_config(), trainer.game.eval(), "cuda")
    images = small_splits().test.images(torch.arange(4))
    assert model.reconstruct(images).device.type == "cpu"
