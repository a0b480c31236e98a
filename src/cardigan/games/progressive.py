"""Progressive growing of GANs (Karras et al. 2018, sections 2 to 4): both players grow from 4 x 4 pixels by doublings.

The training is cut into phases. In the first the smallest networks play; then each doubling is faded in over one phase
and plays on over the next; what is left of the training belongs to the full size. The images of a phase, real and
generated, have its resolution, and real ones are faded as generated ones are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Annotated, Literal, TypeVar

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from cardigan.config import Config
from cardigan.data.spec import Batch, DataSpec
from cardigan.errors import RecipeError
from cardigan.games.base import Generative, LatentConfig, Move, Phase, frozen, spread
from cardigan.networks.progressive import (
    Images,
    ProgressiveCriticConfig,
    ProgressiveGeneratorConfig,
    doubled,
    doublings,
    fade_in,
    halved,
    in_steps,
)
from cardigan.objectives import OBJECTIVES, gradient_penalty, scores_and_squared_slopes, zero_centred_penalty
from cardigan.schedule import Number, value_at

Kind = TypeVar("Kind")


class ProgressiveConfig(Config):
    """A generator and a critic that grow.

    Attributes:
        objective: "wasserstein" with gradient penalty and drift, as in the paper, or "relativistic" with R1 and R2.
        gradient_penalty: weight of E (|slope| - 1)^2 between real and generated images.
        drift: weight of E score^2 on real images, which keeps a Wasserstein critic's scores near zero.
        r1, r2: weights of half the squared slope at real and at generated images, each `penalty_interval` rounds.
        phase: share of the training that each phase takes; .08 in the paper's 10 million images at 128 x 128.
        grow: begin small; else the full-size networks play from the first round.
        batches: examples of a batch from the smallest resolution on, the last number for all larger ones; the
            recipe's `batch` where it is empty.
        rates: factors of the learning rates, in the same order.
    """

    name: Literal["progressive"] = "progressive"
    objective: Literal["wasserstein", "relativistic"] = "wasserstein"
    latent: LatentConfig = LatentConfig(size=128)
    generator: ProgressiveGeneratorConfig = ProgressiveGeneratorConfig()
    critic: ProgressiveCriticConfig = ProgressiveCriticConfig()
    conditional: bool = False
    gradient_penalty: NonNegativeFloat = 10.0
    drift: NonNegativeFloat = 1e-3
    r1: Number = 0.0
    r2: Number = 0.0
    penalty_interval: PositiveInt = 1
    phase: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.08
    grow: bool = True
    batches: tuple[PositiveInt, ...] = ()
    rates: tuple[PositiveFloat, ...] = ()

    def build(self, spec: DataSpec) -> Progressive:
        if spec.kind != "images":
            raise RecipeError("a growing network makes images, not points: use another recipe")
        if self.conditional and not spec.classes:
            raise RecipeError("game.conditional needs data with classes; put the images into one folder a class")
        levels = doublings(spec.shape).count
        if self.grow and self.phase * 2 * levels >= 1:
            raise RecipeError(
                f"game.phase={self.phase:g} never reaches {spec.width} x {spec.height} pixels, which takes {2 * levels} "
                f"phases of growing: use at most --set game.phase={0.9 / (2 * levels):.2g}"
            )
        return Progressive(self, spec)


class Progressive(Generative):
    """WGAN-GP, or a relativistic game, between growing networks."""

    players = ("critic", "generator")
    deployed = ("generator",)
    opponent = "critic"

    def __init__(self, config: ProgressiveConfig, spec: DataSpec) -> None:
        super().__init__(spec)
        self.config, self.latent, self.conditional = config, config.latent, config.conditional
        self.objective = OBJECTIVES[config.objective]
        self.levels, self.batch_multiple = doublings(spec.shape).count, config.critic.group or 1
        classes = len(spec.classes) if config.conditional else 0
        self.generator = config.generator.build(config.latent.size, spec.shape, classes)
        self.critic = config.critic.build(spec.shape, classes)
        if config.grow:
            self.grow(0.0)
            self.milestones = (0.0, *(config.phase * (2 * level + 1) for level in range(self.levels)))

    # ---- growing --------------------------------------------------------------------------------------------------

    def scheduled(self, progress: float) -> float:
        """The level at a share of the training: flat for a phase, then up by one over the next, and so on."""
        if not self.config.grow:
            return float(self.levels)
        pairs, within = divmod(progress / self.config.phase - 1.0, 2.0)
        if pairs < 0:
            return 0.0
        return min(pairs + min(within, 1.0), float(self.levels))

    def level_at(self, progress: float) -> float:
        """The scheduled level; what has grown does not shrink where a training is made longer."""
        return max(in_steps(self.scheduled(progress)), self.generator.level)

    def phase(self, progress: float) -> Phase:
        top = ceil(self.level_at(progress))
        return Phase(
            stage=top,
            halvings=self.levels - top,
            batch=at_stage(self.config.batches, top) if self.config.batches else None,
            rate=at_stage(self.config.rates, top) if self.config.rates else 1.0,
        )

    def grow(self, level: float) -> None:
        self.generator.grow(level)
        self.critic.grow(level)

    def faded(self, images: Images) -> Images:
        """Real images of the stage's resolution, blurred as far as its newest layers are not yet faded in."""
        share = self.generator.fade
        return images if share == 1.0 else fade_in(doubled(halved(images)), images, share)

    # ---- a round --------------------------------------------------------------------------------------------------

    def round(self, batches: Iterator[Batch]) -> Iterator[Move]:
        self.grow(self.level_at(self.progress))
        real = next(batches)
        real = Batch(self.faded(real.images), real.labels)
        with torch.no_grad():
            fake = self.generate(real)
        yield self.critic_move(real, fake)

        fake = self.generate(real)
        with frozen(self.critic):
            real_scores = self.score(real.images, real) if self.objective.paired else None
            loss = self.objective.generator(real_scores, self.score(fake, real))
        yield Move(self.generator, loss)

    def critic_move(self, real: Batch, fake: Tensor) -> Move:
        labels = real.labels if self.conditional else None
        loss, log = real.images.new_zeros(()), {}
        due = self.config.penalty_interval if self.rounds % self.config.penalty_interval == 0 else 0
        scores = []
        for name, number, images in (("r1", self.config.r1, real.images), ("r2", self.config.r2, fake)):
            if weight := due * value_at(number, self.progress):
                side, slopes = scores_and_squared_slopes(self.critic, images, labels)
                log[name] = zero_centred_penalty(slopes)
                loss = loss + weight * log[name]
            else:
                side = self.score(images, real)
            scores.append(side)
        real_scores, fake_scores = scores
        loss = loss + self.objective.discriminator(real_scores, fake_scores)
        log |= {
            "real score": real_scores.mean(),
            "fake score": fake_scores.mean(),
            "level": fake.new_tensor(self.generator.level),
        }
        if self.config.objective == "wasserstein":
            log["penalty"] = self.config.gradient_penalty * gradient_penalty(self.critic, real.images, fake, labels)
            loss = loss + log["penalty"] + self.config.drift * real_scores.float().square().mean()
        return Move(self.critic, loss, log)

    def generate(self, real: Batch) -> Tensor:
        return self.stage_images(self.draw_latents(len(real), like=real.images), real.labels)

    def stage_images(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of the stage's resolution."""
        return self.generator(latents, labels if self.conditional else None)

    def score(self, images: Tensor, real: Batch) -> Tensor:
        """The critic's scores of images of the stage's resolution."""
        return self.critic(images, real.labels if self.conditional else None)

    # ---- at full size ---------------------------------------------------------------------------------------------

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        images = self.stage_images(latents, labels)
        for _ in range(self.levels - self.generator.top):
            images = doubled(images)
        return images

    def realness(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.critic(self.shrunk(images), labels if self.conditional else None)

    def shrunk(self, images: Tensor) -> Tensor:
        """Images of full size at the stage's resolution."""
        for _ in range(self.levels - self.generator.top):
            images = halved(images)
        return images

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Mean scores of held-out images and of as many generated ones, as the critic sees them now."""
        real = self.score(self.faded(self.shrunk(batch.images)), batch).float()
        fake = self.score(self.generate(batch), batch).float()
        scores = {"real score": real.mean(), "fake score": fake.mean()}
        if self.config.objective == "wasserstein":
            scores |= {"wasserstein": real.mean() - fake.mean(), "score spread": spread(real, fake)}
        return scores


def at_stage(numbers: Sequence[Kind], stage: int) -> Kind:
    """The number for a stage, the last one for all later ones."""
    return numbers[min(stage, len(numbers) - 1)]
