"""The loop plays any game, and plays it exactly."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cardigan.data import Batch
from cardigan.errors import RunError, TrainingError
from cardigan.games import Game, Move
from cardigan.schedule import Schedule, value_at
from cardigan.training.average import AverageConfig, WeightAverage
from cardigan.training.progress import Silence
from cardigan.training.session import Interval, Session
from small import GAMES, play, small_splits, small_trainer, weights

MLP = {"name": "mlp", "widths": [24]}


@pytest.mark.parametrize("parts", [2, 4])
@pytest.mark.parametrize("game", ["gan", "wgan", "autoencoder"])
def test_micro_batches_equal_the_whole_batch(game: str, parts: int, tmp_path: Path) -> None:
    """Gradients of the parts add up to the batch's, for networks and draws that know no batch."""
    changes = {
        "gan": {"game": {"reuse_fake": False, "generator": MLP, "discriminator": MLP}},
        "wgan": {"game": {"generator": MLP, "critic": MLP}},
        "autoencoder": {"game": {"corruption": 0.0}},
    }[game]
    optimisers = {name: {"name": "sgd", "lr": 0.1} for name in GAMES[game]["optimiser"]}
    changes = {**changes, "batch": 64, "optimiser": optimisers}
    whole = play(small_trainer(tmp_path / "whole", game, **changes), 3)
    cut = play(small_trainer(tmp_path / "cut", game, micro_batches=parts, **changes), 3)
    for (name, expected), actual in zip(weights(whole).items(), weights(cut).values(), strict=True):
        torch.testing.assert_close(actual, expected, rtol=2e-4, atol=2e-6, msg=name)


def test_only_the_mover_gets_gradients(tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, "wgan")
    seen = []
    for move in trainer.game.round(trainer.batches.stream(0)):
        seat = trainer.seats[id(move.player)]
        move.loss.backward(inputs=seat.parameters)
        others = [p for other in trainer.seats.values() if other is not seat for p in other.parameters]
        assert all(p.grad is None for p in others)
        assert any(p.grad is not None for p in seat.parameters)
        trainer.game.zero_grad(set_to_none=True)
        seen.append(seat.name)
    assert seen == ["critic", "critic", "generator"]


def test_wgan_clips_after_every_step(tmp_path: Path) -> None:
    trainer = play(small_trainer(tmp_path, "wgan", optimiser={"critic": {"name": "rmsprop", "lr": 0.5}}), 1)
    bounds = [p.detach().abs().max().item() for p in trainer.game.critic.parameters()]
    assert max(bounds) == pytest.approx(0.01)


def test_images_count_what_was_shown(tmp_path: Path) -> None:
    trainer = play(small_trainer(tmp_path, "wgan"), 3)
    assert trainer.images == 3 * 2 * 16


class Tug(Game):
    """Two numbers: one player moves x to 3, the other y to x, in turn."""

    players = ("first", "second")
    deployed = ("first",)

    def __init__(self, spec: object) -> None:
        super().__init__(spec)  # type: ignore[arg-type]
        self.first, self.second = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        self.seen: list[float] = []

    def round(self, batches: Iterator[Batch]) -> Iterator[Move]:
        next(batches)
        before = self.first.weight.item()
        yield Move(self.first, (self.first.weight - 3).square().sum())
        self.seen.append(self.first.weight.item() - before)
        yield Move(self.second, (self.second.weight - self.first.weight.detach()).square().sum())

    def preview(self, images: Tensor, latents: Tensor) -> Tensor:
        return images


def test_round_goes_on_after_the_step(tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, "gan")
    game = Tug(trainer.record.spec)
    trainer.game = game
    sgd = {"name": "sgd", "lr": 0.25, "momentum": 0.0}
    recipe = trainer.recipe.model_dump(mode="json", exclude_none=True)
    trainer.recipe = type(trainer.recipe).model_validate({**recipe, "optimiser": {"first": sgd, "second": sgd}})
    trainer.seats = {id(getattr(game, name)): trainer.seat(name) for name in game.players}
    trainer.average = WeightAverage(AverageConfig(half_life=0), {"first": game.first})
    with torch.no_grad():
        game.first.weight.fill_(1.0)
        game.second.weight.fill_(0.0)
    trainer.play_round()
    assert game.seen == [pytest.approx(1.0)]  # x: 1 -> 2, as the round saw at once
    assert game.second.weight.item() == pytest.approx(1.0)  # y: half way from 0 to 2


def test_optimiser_is_required_for_each_player(tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, "gan")
    trainer.recipe.optimiser.pop("generator")
    with pytest.raises(TrainingError, match=r"no optimiser for the generator.*optimiser\.generator"):
        trainer.seat("generator")


def test_average_of_a_constant_is_the_constant_and_forgets_by_halves() -> None:
    module = nn.Linear(2, 2)
    average = WeightAverage(AverageConfig(half_life=100, ramp=1e9), {"net": module})
    start = module.weight.detach().clone()
    with torch.no_grad():
        module.weight.add_(1.0)
    for step in range(10):
        average.update(images=(step + 1) * 10, fresh=10)
    torch.testing.assert_close(average.values["net.weight"], start + 0.5)


def test_average_ramps_up_and_can_be_switched_off() -> None:
    module = nn.Linear(1, 1)
    ramping = WeightAverage(AverageConfig(half_life=1000, ramp=0.05), {"net": module})
    assert ramping.decay(images=200, fresh=10) == pytest.approx(0.5)  # half-life is 5 % of 200 images
    assert ramping.decay(images=10**9, fresh=1000) == pytest.approx(0.5)


def test_without_an_average_no_copy_is_kept_and_the_newest_weights_are_shown() -> None:
    module = nn.Linear(1, 1)
    average = WeightAverage(AverageConfig(half_life=0), {"net": module})
    assert not average.state_dict()
    with torch.no_grad():
        module.weight.fill_(3.0)
    average.update(images=10, fresh=10)
    with average.applied():
        assert module.weight.item() == 3.0


def test_average_applied_changes_places_and_back() -> None:
    module = nn.BatchNorm1d(3)
    average = WeightAverage(AverageConfig(half_life=50), {"net": module})
    with torch.no_grad():
        module.weight.fill_(5.0)
        module.running_mean.fill_(7.0)
    with pytest.raises(KeyError), average.applied():
        assert module.weight.tolist() == [1.0] * 3
        assert module.running_mean.tolist() == [0.0] * 3
        raise KeyError
    assert module.weight.tolist() == [5.0] * 3
    assert module.running_mean.tolist() == [7.0] * 3


def test_schedules_hit_their_ends() -> None:
    assert value_at(0.3, 0.9) == 0.3
    cosine = Schedule(start=1.0, end=0.0)
    assert [cosine.at(x) for x in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.5, 0.0])
    linear = Schedule(start=2.0, end=4.0, shape="linear", begin=0.5, until=0.75)
    assert [linear.at(x) for x in (0.0, 0.5, 0.625, 0.75, 1.0)] == pytest.approx([2.0, 2.0, 3.0, 4.0, 4.0])


def test_learning_rate_follows_its_schedule(tmp_path: Path) -> None:
    trainer = play(small_trainer(tmp_path, "gan"), 6)  # the sixth round began at half the images
    generator = next(seat for seat in trainer.seats.values() if seat.name == "generator")
    assert generator.optimiser.param_groups[0]["lr"] == pytest.approx(0.5e-3)


def poison(trainer: object, value: float = float("nan")) -> None:
    with torch.no_grad():
        next(trainer.game.generator.parameters()).fill_(value)  # type: ignore[attr-defined]


def test_nan_rolls_back_with_half_the_learning_rate(tmp_path: Path) -> None:
    trainer = play(small_trainer(tmp_path, "gan", game={"penalty_interval": 1}), 2)
    trainer.save()
    saved = weights(trainer)
    poison(trainer)
    assert not trainer.is_finite()
    trainer.save()  # refuses to keep it
    assert trainer.folder.newest_checkpoint().stem == "000000002"
    trainer.roll_back()
    assert trainer.rounds == 2
    assert all(torch.equal(saved[key], value) for key, value in weights(trainer).items())
    trainer.play_round()
    discriminator = next(seat for seat in trainer.seats.values() if seat.name == "discriminator")
    assert discriminator.optimiser.param_groups[0]["lr"] == pytest.approx(0.5e-3)


def test_an_exploding_loss_rolls_back_before_it_is_saved(tmp_path: Path) -> None:
    trainer = play(small_trainer(tmp_path, "gan"), 2)
    trainer.save()
    trainer.game.largest_loss = 0.01
    play(trainer, 1)
    assert not trainer.is_finite()
    trainer.save()
    assert trainer.folder.newest_checkpoint().stem == "000000002"
    trainer.roll_back()
    assert trainer.is_finite()


def test_rollbacks_end_in_words(tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, "gan", health={"rollbacks": 2})
    trainer.save()
    trainer.roll_back()
    trainer.roll_back()
    with pytest.raises(TrainingError, match="not finite again after 2 rollbacks: lower the learning rates"):
        trainer.roll_back()


def test_session_notices_nan_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A NaN in one round's data costs that stretch, and the training ends with finite weights."""
    trainer = small_trainer(tmp_path, "gan", images=320, log={"ticks": 20, "previews": 2, "evaluations": 0})
    play_round, struck = trainer.play_round, []

    def strike() -> None:
        play_round()
        if trainer.rounds == 10 and not struck:
            struck.append(True)
            poison(trainer)

    monkeypatch.setattr(trainer, "play_round", strike)
    Session(trainer, Silence()).run()
    assert struck
    assert trainer.rollbacks == 1
    assert trainer.is_finite()
    logged = [entry["rounds"] for entry in trainer.folder.read_progress() if "seconds" in entry]
    assert logged == sorted(set(logged)), "the abandoned stretch is forgotten"
    assert (tmp_path / "model/model.safetensors").is_file()


def test_the_best_model_is_kept_through_a_collapse_and_a_resume(tmp_path: Path) -> None:
    """Scores 3, 1, 2, …: the model folder holds the second look's weights whatever comes after, resumed or not."""
    scores = iter([3.0, 1.0, 2.0, 5.0, 4.0])
    log = {"ticks": 10, "previews": 1, "evaluations": 5, "checkpoint_seconds": 0}
    trainer = small_trainer(tmp_path, "gan", images=160, log=log)
    session = Session(trainer, Silence(), score=("FD", lambda: next(scores)))
    kept = {}
    deploy = trainer.deploy

    def remember() -> None:
        deploy()
        kept["images"] = trainer.images

    trainer.deploy = remember
    session.run()
    assert kept["images"] == 64
    assert trainer.best["score"] == 1.0
    resumed = small_trainer(tmp_path, "gan", images=320, log=log)
    resumed.restore()
    assert resumed.best == trainer.best
    Session(resumed, Silence(), score=("FD", lambda: 9.0)).run()
    assert json.loads((tmp_path / "model/config.json").read_text())["images"] == 64


def test_scores_of_another_kind_are_not_compared(tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, "gan", log={"evaluations": 1, "previews": 0})
    trainer.best = {"kind": "FD(random) of 10", "score": 0.0, "images": 16}
    Session(trainer, Silence(), score=("FD(classifier)", lambda: 7.0)).run()
    assert trainer.best["score"] == 7.0


def test_intervals_mark_evenly() -> None:
    interval = Interval(total=1000, count=4)
    marks = [after for after in range(10, 1100, 10) if interval.passed(after - 10, after)]
    assert marks == [250, 500, 750, 1000]
    assert not any(Interval(1000, 0).passed(x, x + 10) for x in range(0, 1000, 10))


def test_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = small_trainer(tmp_path, "gan")

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(RunError, match="cannot write"):
        trainer.save()


def test_channels_do_not_matter(tmp_path: Path) -> None:
    trainer = play(small_trainer(tmp_path, "gan", splits=small_splits(channels=5, side=12)), 1)
    assert trainer.preview(4).shape == (4, 5, 12, 12)
    assert math.isfinite(trainer.validate(trainer.splits.test)["real score"])


def test_tensorboard_takes_the_same_scalars(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = {"tensorboard": True, "ticks": 5, "previews": 1, "evaluations": 0}
    trainer = small_trainer(tmp_path, "gan", log=log)
    Session(trainer, Silence()).run()
    board = events.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    logged = [e["scalars"]["discriminator"] for e in trainer.folder.read_progress() if "discriminator" in e["scalars"]]
    assert [event.value for event in board.Scalars("discriminator")] == pytest.approx(logged, rel=1e-6)
