"""What a session does between rounds: measuring, looking with averaged weights, saving before it stops."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from cardigan.errors import TrainingError
from cardigan.games import Move
from cardigan.training.checkpoint import read_checkpoint
from cardigan.training.progress import Silence, Tick
from cardigan.training.session import Session
from cardigan.training.trainer import Trainer
from small import assert_same, play, small_trainer, weights

LOOKS = {"ticks": 10, "previews": 10, "evaluations": 0}


def norm(parameters: list[nn.Parameter]) -> float:
    return torch.cat([p.grad.flatten() for p in parameters if p.grad is not None]).norm().item()


@pytest.mark.parametrize("parts", [1, 2])
def test_gradient_norms_are_of_what_each_player_is_given(parts: int, tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, "gan", micro_batches=parts)
    trainer.measuring = True
    given: dict[str, float] = {}
    for seat in trainer.seats.values():
        look = partial(lambda seat, *_: given.update({seat.name: norm(seat.parameters)}), seat)
        seat.optimiser.register_step_pre_hook(look)
    play(trainer, 1)
    read = trainer.meter.read()
    assert {name: read[f"gradient {name}"] for name in given} == pytest.approx(given, rel=1e-5)
    assert given["generator"] != pytest.approx(given["discriminator"], rel=0.01)


@pytest.mark.parametrize("kind", ["gan", "wgan"])
def test_every_tick_has_the_norms(kind: str, tmp_path: Path) -> None:
    """They are measured in the round that a tick will follow, however many images a round shows."""
    trainer = small_trainer(tmp_path, kind, images=320, log={**LOOKS, "previews": 0})
    Session(trainer, Silence()).run()
    scalars = [entry["scalars"] for entry in trainer.folder.read_progress()]
    assert len(scalars) == 10
    assert all(values["gradient generator"] > 0 for values in scalars)


def test_a_generator_without_gradient_stops_the_training_and_is_saved_first(tmp_path: Path) -> None:
    """What was reached can be looked at, and resumed with other settings, without playing it again."""
    trainer = small_trainer(tmp_path, images=640, log=LOOKS, health={"patience": 2})
    trainer.game.generator_move = lambda real, latents, fake: Move(trainer.game.generator, 0.0 * fake.sum())
    with pytest.raises(TrainingError, match="dead generator: the generator gets no gradient"):
        Session(trainer, Silence()).run()
    assert trainer.images == 640 * 2 // 10
    path = trainer.folder.newest_checkpoint()
    assert path is not None
    state = read_checkpoint(path)
    assert (state["rounds"], state["health"]["streaks"]) == (trainer.rounds, {"dead generator": 2})
    assert (tmp_path / "model/model.safetensors").is_file()


def test_evaluations_are_of_the_averaged_weights(tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, "gan", log={**LOOKS, "evaluations": 2})
    seen = []

    def look() -> float:
        seen.append({f"generator.{key}": value.clone() for key, value in trainer.game.generator.state_dict().items()})
        assert not trainer.game.training
        return 1.0

    Session(trainer, Silence(), score=("FD", look)).run()
    assert trainer.game.training
    assert len(seen) == 2
    assert_same(seen[-1], trainer.average.values)
    assert any(not torch.equal(value, trainer.average.live[key]) for key, value in seen[-1].items())


def mark(trainer: Trainer, live: float, averaged: float) -> None:
    """All weights of the generator are one number, those of its average another."""
    with torch.no_grad():
        for parameter in trainer.game.generator.parameters():
            parameter.fill_(live)
        for value in trainer.average.values.values():
            value.fill_(averaged)


def marks(trainer: Trainer) -> set[float]:
    return {value for p in trainer.game.generator.parameters() for value in p.detach().flatten().tolist()}


def test_previews_are_of_the_averaged_weights(tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, "gan")
    seen, decode = [], trainer.game.decode
    trainer.game.decode = lambda *latents: (seen.append(marks(trainer)), decode(*latents))[1]
    mark(trainer, live=2.0, averaged=0.5)
    trainer.preview(4)
    assert seen == [{0.5}]
    assert marks(trainer) == {2.0}


def test_validation_is_of_the_live_weights(tmp_path: Path) -> None:
    """It is the discriminator that is asked, and it has met those."""
    trainer = small_trainer(tmp_path, "gan")
    seen, decode = [], trainer.game.decode
    trainer.game.decode = lambda *latents: (seen.append(marks(trainer)), decode(*latents))[1]
    mark(trainer, live=2.0, averaged=0.5)
    trainer.validate(trainer.splits.test)
    assert seen == [{2.0}]


def test_rollbacks_outlive_the_process(tmp_path: Path) -> None:
    """Else a resumed training would play the same draws into the same explosion, at the full rate and without end."""
    trainer = play(small_trainer(tmp_path, "gan", health={"rollbacks": 2}), 1)
    trainer.save()
    trainer.roll_back()
    trainer.roll_back()
    play(trainer, 1)
    trainer.save()
    resumed = small_trainer(tmp_path, "gan", health={"rollbacks": 2})
    resumed.restore()
    assert resumed.rollbacks == 2
    with pytest.raises(TrainingError, match="after 2 rollbacks"):
        resumed.roll_back()
    assert_same(weights(play(resumed, 2)), weights(play(trainer, 2)))
    discriminator = next(seat for seat in resumed.seats.values() if seat.name == "discriminator")
    assert discriminator.optimiser.param_groups[0]["lr"] == pytest.approx(1e-3 / 4)


def test_the_game_knows_how_far_it_is(tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, "wgan", images=160)
    seen, play_on = [], trainer.game.round

    def look(batches: Iterator) -> Iterator[Move]:
        seen.append((trainer.game.rounds, trainer.game.progress))
        return play_on(batches)

    trainer.game.round = look
    play(trainer, 6)  # of two batches of 16 each
    assert seen == [(0, 0.0), (1, 0.2), (2, 0.4), (3, 0.6), (4, 0.8), (5, 1.0)]


def test_the_average_forgets_by_images_shown_whatever_a_round_shows(tmp_path: Path) -> None:
    """A half-life of 32 images is one round of two critic steps of 16: the average goes half way."""
    trainer = small_trainer(tmp_path, "wgan", average={"half_life": 32, "ramp": 1e9}, game={"critic_steps": 2})
    play(trainer, 1)
    before = {key: value.clone() for key, value in trainer.average.values.items()}
    play(trainer, 1)
    moved = 0
    for key, value in trainer.average.values.items():
        if value.is_floating_point():
            live = trainer.average.live[key].detach()
            torch.testing.assert_close(value, (before[key] + live) / 2, msg=key)
            moved += not torch.equal(before[key], live)
    assert moved > 0


def test_the_game_heeds_the_readings_of_every_tick(tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path, "gan", images=640, log={**LOOKS, "ticks": 4})
    heard = []
    trainer.game.heed = lambda readings, share: heard.append((readings["overfit"], share))
    Session(trainer, Silence()).run()
    assert [share for _, share in heard] == [0.25] * 4


@pytest.mark.parametrize(
    ("kind", "game"), [("gan", {"augment": {"kinds": ["flip"]}, "conditional": False}), ("progressive", {})]
)
def test_what_a_move_logs_lies_where_its_loss_does(kind: str, game: dict, tmp_path: Path) -> None:
    """The meter reads all scalars in one transfer, which takes them from one device."""
    trainer = small_trainer(tmp_path, kind, game=game)
    trainer.game.shown = lambda real, fake: (real, fake)  # augmentation is drawn on the CPU whatever the device
    with torch.device("meta"):  # where whatever names no device of its own is made
        for move in trainer.game.round(trainer.batches.stream(0)):
            assert {value.device for value in move.log.values()} <= {move.loss.device}


def test_a_second_look_at_the_same_round_keeps_the_rate(tmp_path: Path) -> None:
    heard: list[Tick] = []

    class Ear(Silence):
        def tick(self, tick: Tick) -> None:
            heard.append(tick)

    session = Session(small_trainer(tmp_path), Ear())
    session.trainer.play_round()
    session.show()
    session.show()
    assert heard[-1].images_per_second == heard[-2].images_per_second > 0
    assert heard[-1].seconds_left < 1e6
