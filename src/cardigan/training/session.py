"""A training from its first round, or its last checkpoint, to its end: rounds, and looking up between them."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from cardigan.errors import TrainingError
from cardigan.games import Encoding, Game, Generative, Translating
from cardigan.training.health import diversity, gain, luminance_correlation, overfit
from cardigan.training.journal import Journal
from cardigan.training.pictures import draw, save_picture
from cardigan.training.progress import Listener, Tick
from cardigan.training.trainer import Trainer

PREVIEWED = 64
KNOWN = 1_000  # training images that a mean image is taken of
SHOWN_EVERY = 5.0  # seconds
SEEN = ("diversity", "luminance correlation")  # readings of the pictures

Score = Callable[[], float]
"""How far the trainer's networks, as they stand, are from the training images; lower is better."""


class Interrupted(KeyboardInterrupt):
    """The user asked the training to stop; everything is saved."""


@dataclass
class Session:
    """Plays a trainer's rounds until its images are used up.

    Attributes:
        score: what "the best model so far" means, with its name; None keeps the last model.
    """

    trainer: Trainer
    listener: Listener
    score: tuple[str, Score] | None = None
    started: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        trainer, log = self.trainer, self.trainer.recipe.log
        self.total = trainer.recipe.images
        self.next_tick = Interval(self.total, log.ticks)
        self.next_preview = Interval(self.total, log.previews)
        self.next_evaluation = Interval(self.total, log.evaluations)
        self.next_snapshot = Interval(self.total, trainer.recipe.average.snapshots)
        self.stride = self.total  # how much a round shows is not known yet: the first one is measured in any case
        self.stopping = False
        self.last_score: tuple[str, float] | None = None
        self.scalars: dict[str, float] = {}
        self.clock = (time.perf_counter(), trainer.images)
        self.rate = 0.0

    def run(self) -> None:
        """Train to the end and deploy the model.

        Raises:
            Interrupted: after Ctrl-C or SIGTERM, with the state saved.
            TrainingError: when the training cannot go on.
        """
        trainer = self.trainer
        if trainer.rounds == 0 and not trainer.finished:
            trainer.save()
        trainer.forget_what_followed()
        self.journal = Journal(trainer.folder, trainer.recipe.log.tensorboard, trainer.images)
        saved = time.perf_counter()
        try:
            with self.interruptible():
                while not trainer.finished:
                    self.play()
                    if self.stopping:
                        trainer.save()
                        raise Interrupted
                    if time.perf_counter() - self.clock[0] > SHOWN_EVERY:
                        self.show()
                    if time.perf_counter() - saved > trainer.recipe.log.checkpoint_seconds:
                        trainer.save()
                        saved = time.perf_counter()
            self.examine_unseen()
            trainer.save()
        finally:
            self.listener.close()
            self.journal.close()
        self.deploy_last()

    def deploy_last(self) -> None:
        """Deploy the weights as they stand, unless a better model has been kept."""
        if self.score is None or not self.trainer.best:
            self.trainer.deploy()

    def play(self) -> None:
        """One round, and whatever falls due after it."""
        trainer = self.trainer
        trainer.measuring = self.next_tick.due_within(trainer.images, self.stride)
        before = trainer.images
        trainer.play_round()
        self.stride = trainer.images - before
        if marks := self.next_tick.passed(before, trainer.images):
            self.tick(marks / self.next_tick.count)
        if self.next_snapshot.passed(before, trainer.images):  # before anything that saves and may end the training
            trainer.snapshot()
        if self.next_preview.passed(before, trainer.images):
            self.preview()
        if self.next_evaluation.passed(before, trainer.images):
            self.evaluate()

    def tick(self, share: float) -> None:
        """Read the scalars and let the game heed them; `share` of the training has passed since the last tick."""
        trainer = self.trainer
        scalars = trainer.meter.read()
        if not trainer.is_finite():
            self.roll_back()
            return
        self.scalars = scalars | self.validation()
        trainer.game.heed(self.scalars, share)
        seconds = round(time.perf_counter() - self.started, 2)
        self.journal.write(trainer.rounds, trainer.images, self.scalars, seconds=seconds)
        self.show()

    def show(self) -> None:
        """Tell the listener how far the training is; what it hears costs the device no wait."""
        now, images = time.perf_counter(), self.trainer.images
        if images > self.clock[1]:  # a second look at the same round, after an evaluation, says nothing of the rate
            self.rate = (images - self.clock[1]) / max(now - self.clock[0], 1e-9)
        self.clock = (now, images)
        self.listener.tick(Tick(images, self.total, self.rate, self.scalars, self.last_score))

    def roll_back(self) -> None:
        """To the last checkpoint, with a log and averages that forget what came after it."""
        trainer, images = self.trainer, self.trainer.images
        trainer.roll_back()
        self.journal.close()
        trainer.forget_what_followed()
        self.journal = Journal(trainer.folder, trainer.recipe.log.tensorboard, trainer.images)
        self.clock = (time.perf_counter(), trainer.images)
        self.listener.note(
            f"a loss exploded within {images:,} images: back to the checkpoint at {trainer.images:,} with half "
            f"the learning rate (rollback {trainer.rollbacks})"
        )

    def validation(self) -> dict[str, float]:
        """Held-out scalars, what they are worth, and how far the discriminator knows its training images by heart."""
        trainer = self.trainer
        held_out = trainer.validate(trainer.splits.test)
        scalars = {f"held-out {name}": value for name, value in held_out.items()}
        if "fake score" in held_out:
            train, unit = trainer.validate(trainer.splits.train), held_out.get("score spread", 1.0)
            scalars["overfit"] = overfit(train["real score"], held_out["real score"], held_out["fake score"], unit)
        if isinstance(trainer.game, Encoding):
            scalars["gain"] = gain(trainer.game.validated_loss(held_out), self.constant_loss)
        return scalars

    @cached_property
    def constant_loss(self) -> float:
        """What a model that ignores its input would score on the held-out images that the game is validated on."""
        game, splits = self.trainer.game, self.trainer.splits
        assert isinstance(game, Encoding)
        known = self.trainer.batch_of(splits.train, min(KNOWN, len(splits.train))).images
        images = self.trainer.batch_of(splits.test, min(game.validated, len(splits.test))).images
        return game.constant_loss(known, images).item()

    def preview(self) -> None:
        """A picture of the state of play, and the health that it shows."""
        trainer = self.trainer
        examples = self.examples()
        picture = draw(examples, trainer.record.spec, columns=None if samples_only(trainer.game) else 12)
        save_picture(picture, trainer.folder.samples / f"{trainer.images:010d}.png")
        self.journal.picture("samples", picture, trainer.images)
        readings = self.readings(examples)
        if seen := {name: readings[name] for name in SEEN if name in readings}:
            self.journal.write(trainer.rounds, trainer.images, seen)
        self.look_after(readings)

    def examine_unseen(self) -> None:
        """Examine the last readings of a training that was to draw no pictures, in which they would have been."""
        if self.scalars and not self.trainer.recipe.log.previews:
            self.look_after(self.readings(self.examples()))

    def examples(self) -> Tensor:
        return self.trainer.preview(PREVIEWED if self.trainer.record.spec.kind == "images" else 2_000)

    def readings(self, examples: Tensor) -> dict[str, float]:
        """What health is told from, by the last scalars and these samples."""
        trainer = self.trainer
        readings = {**self.scalars, "progress": trainer.progress}
        if samples_only(trainer.game):
            real = trainer.batch_of(trainer.splits.train, min(PREVIEWED, len(trainer.splits.train))).images
            readings["diversity"] = diversity(examples[:PREVIEWED], real)
        if isinstance(trainer.game, Translating) and trainer.game.may_invert:
            rows = examples.unflatten(0, (-1, len(trainer.game.columns)))
            ways = [luminance_correlation(rows[:, place], rows[:, place + 1]) for place in (0, 2)]
            readings["luminance correlation"] = min(ways)
        return readings

    def look_after(self, readings: dict[str, float]) -> None:
        health = self.trainer.health
        troubles = health.examine(readings)
        for trouble in troubles:
            self.listener.note(health.told(trouble))
        if fatal := health.fatal(troubles):
            self.trainer.save()
            self.deploy_last()
            raise TrainingError(f"stopped after {self.trainer.images:,} images: {health.told(fatal[0])}")

    def evaluate(self) -> None:
        """Score the averaged model, and deploy it if it is the best so far."""
        trainer = self.trainer
        if self.score is None:
            return
        name, measure = self.score
        with trainer.average.applied():
            trainer.game.eval()
            value = measure()
            trainer.game.train()
        self.last_score = (name, value)
        self.journal.write(trainer.rounds, trainer.images, {name: value})
        kind = f"{name} of {trainer.recipe.log.evaluation_samples}"  # scores compare at equal counts only
        if not math.isfinite(value):
            return
        if trainer.best.get("kind") != kind or value < trainer.best["score"]:
            trainer.best = {"kind": kind, "score": value, "images": trainer.images}
            trainer.deploy()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM let the round end first, a second one does not; outside the main thread they are not ours."""

        def stop(number: int, frame: object) -> None:
            if self.stopping:
                raise KeyboardInterrupt
            self.stopping = True

        try:
            old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:
            old = {}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)


def samples_only(game: Game) -> bool:
    """Whether a game's pictures are samples, beside which there is nothing to see."""
    return isinstance(game, Generative) and not isinstance(game, Encoding)


@dataclass(frozen=True)
class Interval:
    """`count` marks spread evenly over `total` images, the last at the end."""

    total: int
    count: int

    def index(self, images: int) -> int:
        return min(images, self.total) * self.count // self.total

    def passed(self, before: int, after: int) -> int:
        """How many marks lie between; none where a training has gone back."""
        return max(0, self.index(after) - self.index(before))

    def due_within(self, images: int, stride: int) -> bool:
        """Whether the next round, if it shows as many images as the last one, passes a mark."""
        return self.index(images + stride) > self.index(images)
