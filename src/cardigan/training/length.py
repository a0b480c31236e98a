"""How long a training is: always a number of images, so that one bounded by time is resumed and repeated exactly."""

from __future__ import annotations

import time
from collections.abc import Callable

from cardigan.training.progress import Listener
from cardigan.training.run import RunRecord
from cardigan.training.trainer import Trainer


def fix_length(trainer: Trainer, minutes: float, hear: Listener) -> RunRecord:
    """The record with as many images as `minutes` are worth, by the speed of a few rounds that are then forgotten."""
    done, batch = trainer.images, trainer.recipe.batch
    seconds = cost(trainer, least=min(5.0, 3.0 * minutes))
    images = done + max(1, round(0.9 / seconds * 60 * minutes / batch)) * batch  # a tenth for pictures and checkpoints
    hear.note(f"{minutes:g} minutes at {1 / seconds:,.0f} images/s: {images:,} images")
    return with_length(trainer.record, images)


def cost(trainer: Trainer, least: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds that an image takes, on average over the training, by rounds at each of the game's milestones.

    There are at least 3 of them, and `least` seconds in all; the trainer is of no other use afterwards.
    """
    milestones = trainer.game.milestones
    average = 0.0
    for begin, end in zip(milestones, (*milestones[1:], 1.0), strict=True):
        if len(milestones) > 1:
            trainer.images = round(begin * trainer.recipe.images) + 1
        trainer.play_round()
        began, before, rounds = clock(), trainer.images, 0
        while clock() - began < least / len(milestones) or rounds < 3:
            trainer.play_round()
            rounds += 1
        average += (end - begin) * (clock() - began) / (trainer.images - before)
    return average


def end_where_it_is(trainer: Trainer, begun: int, hear: Listener) -> RunRecord:
    """The trainer's record; if fewer images are asked for than are trained, one that says what was trained.

    Args:
        begun: the run's length in images until now.
    """
    done, asked = trainer.images, trainer.recipe.images
    if asked >= min(done, begun):
        return trainer.record
    further = f"; --resume --images {begun} goes on to its former length" if begun > done else ""
    hear.note(f"note: {done:,} images are trained already, more than {asked:,}: the run ends with them{further}")
    return with_length(trainer.record, min(done, begun))


def with_length(record: RunRecord, images: int) -> RunRecord:
    """The record of the same training, `images` long."""
    return record.model_copy(update={"recipe": record.recipe.model_copy(update={"images": images})})
