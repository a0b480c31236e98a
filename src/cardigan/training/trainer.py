"""Plays a game: the one loop that every system is trained by.

A round is a generator of moves. The trainer runs it to a move, takes that player's gradients and no other's, steps its
optimiser, and lets the round go on; with micro-batches it runs several copies of the round in step, so that the
gradients of their parts add up to those of the whole batch. All randomness of a round is addressed by (seed, round),
so that a resumed training is the same training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn, optim

from cardigan.data import Batches, Dataset, Splits
from cardigan.data.spec import Batch
from cardigan.errors import RecipeError, TrainingError
from cardigan.games import Encoding, Game, Generative, Move, Phase
from cardigan.training.average import PowerAverages, WeightAverage
from cardigan.training.checkpoint import read_checkpoint, save_checkpoint
from cardigan.training.device import choose_arithmetic, choose_device, keep_memory
from cardigan.training.health import Health
from cardigan.training.meter import Meter
from cardigan.training.model import ModelConfig, save_model
from cardigan.training.optimisers import OptimiserConfig, load_moments
from cardigan.training.randomness import address, generator, seed_everything
from cardigan.training.run import RunFolder, RunRecord
from cardigan.training.snapshots import forget_snapshots_after, write_snapshot

STATE = {"rounds", "images", "stage", "rollbacks", "best", "health", "data", "game", "average", "optimisers"}
"""What a checkpoint holds."""


@dataclass
class Seat:
    """A player at the table."""

    name: str
    parameters: list[nn.Parameter]
    optimiser: optim.Optimizer
    config: OptimiserConfig


class Trainer:
    """The state of a training, and its rounds.

    Attributes:
        rounds: rounds played.
        images: training images shown, which is the measure of progress.
        stage: of the game's phase that the optimisers belong to.
        rollbacks: how often a non-finite value has sent the training back; each halves the learning rates.
    """

    def __init__(self, record: RunRecord, splits: Splits, folder: RunFolder, device: str = "auto") -> None:
        self.record, self.recipe, self.splits, self.folder = record, record.recipe, splits, folder
        seed_everything(self.recipe.seed, "initialisation")
        self.game: Game = self.recipe.game.build(record.spec)
        self.game.equip(splits)
        self.arithmetic = choose_arithmetic(choose_device(device), self.recipe.precision, self.recipe.batch, self.game)
        self.arithmetic.place(self.game)
        if self.arithmetic.device.type == "cpu":
            keep_memory()
        if strange := sorted(self.recipe.optimiser.keys() - set(self.game.players)):
            players = ", ".join(self.game.players)
            raise RecipeError(f"unknown recipe key optimiser.{strange[0]}: the players of this game are {players}")
        self.seats = {id(getattr(self.game, name)): self.seat(name) for name in self.game.players}
        deployed = {name: getattr(self.game, name) for name in self.game.deployed}
        self.average = WeightAverage(self.recipe.average, deployed)
        self.powers = PowerAverages(self.recipe.average, deployed)
        self.refuse_batches()
        self.sequences: dict[tuple[int, int], Batches] = {}
        self.meter = Meter()
        self.finite = torch.ones((), dtype=torch.bool, device=self.arithmetic.device)
        self.measuring = False
        self.rounds = self.images = self.stage = self.rollbacks = 0
        self.best: dict[str, Any] = {}
        self.health = self.examiner({})

    def seat(self, name: str) -> Seat:
        if name not in self.recipe.optimiser:
            raise TrainingError(f"the recipe names no optimiser for the {name}: add --set optimiser.{name}.name=adam")
        parameters = list(getattr(self.game, name).parameters())
        config = self.recipe.optimiser[name]
        return Seat(name, parameters, config.build(parameters), config)

    def examiner(self, state: dict[str, Any]) -> Health:
        """The training's health, as a checkpoint knew it."""
        game = self.recipe.game
        own = self.recipe.recipe, getattr(game, "objective", ""), game.name
        return Health(self.recipe.health, **state, own=own)

    # ---- progress -------------------------------------------------------------------------------------------------

    @property
    def progress(self) -> float:
        return min(self.images / self.recipe.images, 1.0)

    @property
    def finished(self) -> bool:
        return self.images >= self.recipe.images

    # ---- a round --------------------------------------------------------------------------------------------------

    def play_round(self) -> None:
        """All moves of one round, then the weight averages."""
        seed_everything(self.recipe.seed, "round", self.rounds, self.rollbacks)
        self.game.progress, self.game.rounds = self.progress, self.rounds
        phase = self.game.phase(self.progress)
        self.set_optimisers(phase)
        batches, parts = self.batches, self.recipe.micro_batches
        start = self.images // batches.batch
        streams = [batches.stream(start, parts=parts, part=i) for i in range(parts)]
        rounds = [self.game.round(stream) for stream in streams]
        with self.arithmetic.products():
            while seat := self.take_move(rounds):
                seat.optimiser.step()
                seat.optimiser.zero_grad(set_to_none=True)
        fresh = (streams[0].drawn - start) * batches.batch
        self.rounds, self.images = self.rounds + 1, self.images + fresh
        self.average.update(self.images, fresh)
        self.powers.update(self.images, fresh)

    def set_optimisers(self, phase: Phase) -> None:
        """The next round's settings; moments from nought where a new stage begins."""
        factor = phase.rate * 0.5**self.rollbacks
        for seat in self.seats.values():
            if phase.stage != self.stage:
                seat.optimiser = seat.config.build(seat.parameters)
            seat.config.follow(seat.optimiser, self.progress, factor)
        self.stage = phase.stage

    @property
    def batches(self) -> Batches:
        """Those that the game wants where it stands, at its resolution."""
        phase = self.game.phase(self.progress)
        key = phase.halvings, phase.batch or self.recipe.batch
        if key not in self.sequences:
            self.sequences[key] = Batches(
                self.splits.train.halved(phase.halvings),
                key[1],
                address(self.recipe.seed, "batches"),
                flip=self.recipe.data.flip,
                jitter=self.recipe.data.jitter,
                device=self.arithmetic.device,
                layout=self.arithmetic.layout,
                sentences=self.recipe.data.sentences,
            )
        return self.sequences[key]

    def refuse_batches(self) -> None:
        """Raise a RecipeError where a phase's batch cannot be cut as the recipe and the game want it."""
        parts, multiple = self.recipe.micro_batches, self.game.batch_multiple
        for progress in (*self.game.milestones, 1.0):
            batch = self.game.phase(progress).batch or self.recipe.batch
            if batch % (parts * multiple):
                unit = parts * multiple
                raise RecipeError(
                    f"a batch of {batch} cannot be cut into micro_batches={parts} of whole groups of {multiple}: "
                    f"use {-(-batch // unit) * unit}"
                )

    def take_move(self, rounds: list[Iterator[Move]]) -> Seat | None:
        """Run every part of the round to its next move and add up the mover's gradients; None at the round's end."""
        seat = None
        for part in rounds:
            with self.arithmetic.autocast():
                move = next(part, None)
            if move is not None:
                seat = self.seats[id(move.player)]
                (move.loss / len(rounds)).backward(inputs=seat.parameters)
                self.record_move(seat.name, move)
        if seat and self.measuring:
            gradients = [p.grad for p in seat.parameters if p.grad is not None]
            self.meter.add(f"gradient {seat.name}", nn.utils.get_total_norm(gradients))
        return seat

    def record_move(self, player: str, move: Move) -> None:
        self.finite = self.finite & (move.loss.detach().abs() < self.game.largest_loss)  # False for NaN as well
        self.meter.add(player, move.loss)
        self.meter.add_all(move.log)

    # ---- looking up -----------------------------------------------------------------------------------------------

    def is_finite(self) -> bool:
        """True while every loss so far and every weight now is sound. Waits for the device."""
        weights = [p.detach().sum() for seat in self.seats.values() for p in seat.parameters]
        return bool(self.finite & torch.isfinite(torch.stack(weights)).all())

    @torch.no_grad()
    def validate(self, dataset: Dataset) -> dict[str, float]:
        """The game's validation on the first examples of a split, with the live weights."""
        seed_everything(self.recipe.seed, "validation", self.rounds)
        batch = self.batch_of(dataset, min(self.game.validated, len(dataset)))
        self.game.eval()
        with self.arithmetic.autocast():
            values = self.game.validate(batch)
        self.game.train()
        return {name: value.float().item() for name, value in values.items()}

    def batch_of(self, dataset: Dataset, n: int) -> Batch:
        indices = torch.arange(n) * len(dataset) // n  # spread over the split, which may lie in order of class
        return dataset.batch(indices, self.arithmetic.device)

    @torch.no_grad()
    def preview(self, n: int) -> Tensor:
        """The game's own picture of the state of play, with the averaged weights and the same latents each time."""
        seed_everything(self.recipe.seed, "preview")
        batch = self.batch_of(self.splits.test, min(n, len(self.splits.test)))
        images = batch.images
        latents = torch.zeros(n, 0, device=images.device)
        if isinstance(self.game, Generative):
            shown = len(images) if isinstance(self.game, Encoding) else n  # beside test images, or without them
            latents = self.game.draw_latents(shown, generator(self.recipe.seed, "preview"), like=images)
        with self.average.applied(), self.arithmetic.autocast():
            self.game.eval()
            picture = self.game.picture(batch, latents).float()
            self.game.train()
        return picture

    # ---- keeping --------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write a checkpoint, unless a loss has exploded or a weight is not finite."""
        if not self.is_finite():
            return
        state = {
            "rounds": self.rounds,
            "images": self.images,
            "stage": self.stage,
            "rollbacks": self.rollbacks,
            "best": self.best,
            "health": self.health.state(),
            "data": self.record.digest,
            "game": self.game.state_dict(),
            "average": self.average.state_dict(),
            "powers": self.powers.state_dict(),
            "optimisers": {seat.name: seat.optimiser.state_dict() for seat in self.seats.values()},
        }
        save_checkpoint(self.folder.checkpoints, state)

    def restore(self) -> None:
        """Go back to the newest checkpoint; a training without one starts again.

        Raises:
            RunError: where the checkpoint is damaged.
            TrainingError: where it belongs to other networks or other data.
        """
        path = self.folder.newest_checkpoint()
        if path is None:
            return
        state = read_checkpoint(path)
        if not state.keys() >= STATE:
            raise TrainingError(f"{path} is no checkpoint of a training: delete it, then resume from the one before it")
        if state["data"] != self.record.digest:
            raise TrainingError(f"{path} was trained on other data: give the same DATA, or start a new run")
        try:
            self.game.load_state_dict(state["game"])
            self.average.load_state_dict(state["average"])
            self.powers.load_state_dict(state.get("powers", {}))
            for seat in self.seats.values():
                seat.optimiser = seat.config.build(seat.parameters)
                load_moments(seat.optimiser, state["optimisers"][seat.name]["state"])
        except (RuntimeError, KeyError, ValueError) as error:
            raise TrainingError(
                f"{path} does not fit this run's recipe: resume with the recipe it began with"
            ) from error
        self.rounds, self.images, self.best = state["rounds"], state["images"], state["best"]
        self.stage = state["stage"]
        self.rollbacks = max(self.rollbacks, state["rollbacks"])
        self.health = self.examiner(state["health"])
        self.finite.fill_(True)

    def roll_back(self) -> None:
        """After an exploded or non-finite value: the last checkpoint, other draws, half the learning rates.

        Raises:
            TrainingError: when the recipe's number of rollbacks is used up.
        """
        if self.rollbacks >= self.recipe.health.rollbacks:
            raise TrainingError(
                f"a loss exploded or a weight was not finite again after {self.rollbacks} rollbacks: "
                "lower the learning rates, or use --set precision=float32"
            )
        self.rollbacks += 1
        self.meter = Meter()
        best = self.best
        self.restore()
        self.best = best  # it is what the model folder holds

    def model_config(self) -> ModelConfig:
        """What the model folder says of the networks as they stand."""
        return ModelConfig(
            recipe=self.recipe.recipe,
            data=self.record.data,
            digest=self.record.digest,
            frequencies=self.frequencies,
            spec=self.record.spec,
            game=self.recipe.game,
            images=self.images,
            averaged=self.recipe.average.half_life > 0,
        )

    @cached_property
    def frequencies(self) -> tuple[float, ...]:
        """How often each class occurs among the training images; empty without classes."""
        train = self.splits.train
        labels = train.labels(torch.arange(len(train)))
        if labels is None:
            return ()
        return tuple((torch.bincount(labels, minlength=len(train.spec.classes)).double() / len(labels)).tolist())

    def snapshot(self) -> None:
        """Write the power-function averages as they stand."""
        write_snapshot(self.folder.averages, self.images, self.powers)

    def forget_what_followed(self) -> None:
        """Drop what was logged and kept after this round, from which training goes on."""
        self.folder.forget_progress_after(self.rounds)
        forget_snapshots_after(self.folder.averages, self.images)

    def deploy(self) -> None:
        """Write the model folder, with the averaged weights."""
        with self.average.applied():
            save_model(self.folder.model, self.model_config(), self.game)
