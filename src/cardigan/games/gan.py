"""The generative adversarial network as a game of two players, with any objective and zero-centred penalties.

Goodfellow et al. 2014, Algorithm 1; conditional by projection (Miyato & Koyama 2018); R1 and R2 as terms of the
discriminator's scalar (Mescheder et al. 2018; Huang et al. 2024).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor

from cardigan.augmentation import AugmentConfig, adjusted, draw, refuse_damaging
from cardigan.config import Config
from cardigan.data.spec import Batch, DataSpec
from cardigan.errors import RecipeError
from cardigan.games.base import NO_PENALTY, Generative, LatentConfig, Move, frozen, spread
from cardigan.networks import Direction, DiscriminatorConfig, GeneratorConfig
from cardigan.objectives import (
    OBJECTIVES,
    ObjectiveName,
    gradient_penalty,
    scores_and_squared_slopes,
    zero_centred_penalty,
)
from cardigan.schedule import Number, value_at


class GANConfig(Config):
    """A generator against a discriminator.

    `r1`, `r2` weigh half the squared slope of the discriminator at real and at generated images, `gradient_penalty`
    the WGAN-GP term between them; with `penalty_interval` k they are taken in every k-th round with k times the
    weight. `reuse_fake` lets the generator answer for the very images the discriminator has just seen, which saves
    a pass of the generator; otherwise it draws fresh latents, as Algorithm 1 does.

    `sliced` lets the discriminator's last direction learn by a loss of its own (Takida et al. 2024, SAN). `centring`
    weighs the squared sum of a pair's scores, which relativistic objectives leave undetermined, and `transport` the
    mean squared way from a latent to its image, which asks for latents as large as images (Lin et al. 2025). `augment`
    changes what the discriminator sees of small data, real and generated images of a pair alike.
    """

    name: Literal["gan"] = "gan"
    objective: ObjectiveName = "non-saturating"
    latent: LatentConfig = LatentConfig()
    generator: GeneratorConfig
    discriminator: DiscriminatorConfig
    discriminator_steps: PositiveInt = 1
    conditional: bool = False
    r1: Number = 0.0
    r2: Number = 0.0
    gradient_penalty: Number = 0.0
    penalty_interval: PositiveInt = 1
    reuse_fake: bool = True
    sliced: bool = False
    centring: Number = 0.0
    transport: Number = 0.0
    augment: AugmentConfig | None = None

    def build(self, spec: DataSpec) -> GAN:
        if self.conditional and not spec.classes:
            raise RecipeError("game.conditional needs data with classes; put the images into one folder a class")
        if self.transport and self.latent.size != spec.dimensions:
            raise RecipeError(
                f"game.transport wants latents as large as images: add --set game.latent.size={spec.dimensions}"
            )
        game = GAN(self, spec)
        if game.discriminator.couples_batch and any((self.r1, self.r2, self.gradient_penalty)):
            raise RecipeError(NO_PENALTY.format("game.discriminator.normalisation"))
        return game


class GAN(Generative):
    """min over G, max over D of V(D, G), or what the objective puts in its place."""

    players = ("discriminator", "generator")
    deployed = ("generator",)
    opponent = "discriminator"
    adapted: Tensor
    largest_loss = 1_000.0  # of logits: a sound game's losses are of the order of one

    def __init__(self, config: GANConfig, spec: DataSpec) -> None:
        super().__init__(spec)
        self.config, self.latent, self.conditional = config, config.latent, config.conditional
        self.objective = OBJECTIVES[config.objective]
        classes = len(spec.classes) if config.conditional else 0
        self.generator = config.generator.build(config.latent.size, spec.shape, classes, spec.kind == "images")
        self.discriminator = config.discriminator.build(spec.shape, classes)
        self.kinds = refuse_damaging(config.augment, spec) if config.augment else ()
        if config.augment and config.augment.adaptive:
            self.register_buffer("adapted", torch.zeros(()))
        self.direction: Direction | None = None
        if config.sliced:
            self.direction = Direction(self.discriminator.linear.in_features)
            self.discriminator.linear = self.direction

    def round(self, batches: Iterator[Batch]) -> Iterator[Move]:
        for _ in range(self.config.discriminator_steps - 1):
            real = next(batches)
            with torch.no_grad():
                fake = self.generate(real)
            yield self.discriminator_move(real, fake)

        real = next(batches)
        latents = self.draw_latents(len(real), like=real.images)
        with torch.set_grad_enabled(self.config.reuse_fake):
            fake = self.decode(latents, real.labels)
        yield self.discriminator_move(real, fake.detach())

        if not self.config.reuse_fake:
            latents = self.draw_latents(len(real), like=real.images)
            fake = self.decode(latents, real.labels)
        yield self.generator_move(real, latents, fake)

    def generate(self, real: Batch) -> Tensor:
        """As many images as there are real ones, of the same classes if conditional."""
        return self.decode(self.draw_latents(len(real), like=real.images), real.labels)

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.generator(latents, labels if self.conditional else None)

    def realness(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.discriminator(images, labels if self.conditional else None)

    def score(self, images: Tensor, real: Batch) -> Tensor:
        return self.realness(images, real.labels)

    def shown(self, real: Batch, fake: Tensor) -> tuple[Batch, Tensor]:
        """Both sides as the discriminator sees them: each image of a pair is changed in the same way."""
        if not self.kinds:
            return real, fake
        change = draw(self.kinds, len(real), self.spec.shape, self.often, fake.device)
        return Batch(change(real.images), real.labels), change(fake)

    @property
    def often(self) -> float:
        """The probability of each kind of augmentation."""
        augment = self.config.augment
        if augment is None:
            return 0.0
        return augment.probability_at(self.progress, self.adapted.item() if augment.adaptive else 0.0)

    def heed(self, readings: Mapping[str, float], share: float) -> None:
        """Augment more often while the discriminator knows its training images by heart (Karras et al. 2020)."""
        augment = self.config.augment
        if augment and augment.adaptive and "overfit" in readings:
            self.adapted.fill_(adjusted(self.adapted.item(), readings["overfit"], share, augment))

    def discriminator_move(self, real: Batch, fake: Tensor) -> Move:
        real, fake = self.shown(real, fake)
        weights = self.penalty_weights()
        if any(weights.values()):
            (real_scores, real_slopes), (fake_scores, fake_slopes) = self.scores_with_slopes(real, fake, weights)
        else:
            real_scores, fake_scores = self.scores(real, fake)
            real_slopes = fake_slopes = None
        loss = self.objective.discriminator(real_scores, fake_scores)
        log = {"real score": real_scores.mean(), "fake score": fake_scores.mean()}
        if self.kinds:
            log["augmented"] = fake.new_tensor(self.often)
        for name, slopes in (("r1", real_slopes), ("r2", fake_slopes)):
            if slopes is not None and weights[name]:
                log[name] = zero_centred_penalty(slopes)
                loss = loss + weights[name] * log[name]
        if weights["gradient_penalty"]:
            labels = real.labels if self.conditional else None
            log["gradient penalty"] = gradient_penalty(self.discriminator, real.images, fake, labels)
            loss = loss + weights["gradient_penalty"] * log["gradient penalty"]
        if centring := value_at(self.config.centring, self.progress):
            loss = loss + centring * (real_scores.float() + fake_scores.float()).square().mean()
        if self.direction is not None:
            loss = loss + self.direction_loss(self.direction, real, fake)
        return Move(self.discriminator, loss, log)

    def direction_loss(self, direction: Direction, real: Batch, fake: Tensor) -> Tensor:
        """Minus the distance of the mean features along the last layer's direction (Takida et al. 2024, Eq. 11)."""
        with torch.no_grad():
            known, made = self.discriminator.features(real.images), self.discriminator.features(fake)
        return direction.along(made).float().mean() - direction.along(known).float().mean()

    def penalty_weights(self) -> dict[str, float]:
        """Each penalty's weight in this round, zero in the rounds a lazy interval leaves out."""
        interval = self.config.penalty_interval
        due = interval if self.rounds % interval == 0 else 0
        numbers = {name: getattr(self.config, name) for name in ("r1", "r2", "gradient_penalty")}
        return {name: due * value_at(number, self.progress) for name, number in numbers.items()}

    def scores(self, real: Batch, fake: Tensor) -> tuple[Tensor, Tensor]:
        """One pass where no image's score depends on another's; two where the discriminator normalises over a batch."""
        if self.discriminator.couples_batch:
            return self.score(real.images, real), self.score(fake, real)
        labels = None if real.labels is None or not self.conditional else real.labels.repeat(2)
        both = self.discriminator(torch.cat([real.images, fake]), labels)
        return both[: len(real)], both[len(real) :]

    def scores_with_slopes(
        self, real: Batch, fake: Tensor, weights: dict[str, float]
    ) -> tuple[tuple[Tensor, Tensor | None], tuple[Tensor, Tensor | None]]:
        """Scores of real and generated images, each with its squared slopes if its penalty weighs anything."""
        labels = real.labels if self.conditional else None
        if weights["r1"] and weights["r2"] and not self.discriminator.couples_batch:
            twice = None if labels is None else labels.repeat(2)
            scores, slopes = scores_and_squared_slopes(self.discriminator, torch.cat([real.images, fake]), twice)
            n = len(real)
            return (scores[:n], slopes[:n]), (scores[n:], slopes[n:])
        sides = ((real.images, weights["r1"]), (fake, weights["r2"]))
        first, second = (
            scores_and_squared_slopes(self.discriminator, images, labels)
            if weight
            else (self.discriminator(images, labels), None)
            for images, weight in sides
        )
        return first, second

    def generator_move(self, real: Batch, latents: Tensor, fake: Tensor) -> Move:
        seen, made = self.shown(real, fake)
        with frozen(self.discriminator):
            real_scores = self.score(seen.images, seen) if self.objective.paired else None
            loss = self.objective.generator(real_scores, self.score(made, seen))
        if not (weight := value_at(self.config.transport, self.progress)):
            return Move(self.generator, loss)
        way = (fake.float().flatten(1) - latents).square().mean()
        return Move(self.generator, loss + weight * way, {"way": way})

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Mean scores of held-out images and of as many generated ones, for the discriminator's overfitting.

        Most objectives give a score its unit, as logits have; only a Wasserstein critic's scale is its own.
        """
        batch, made = self.shown(batch, self.generate(batch))
        real, fake = self.score(batch.images, batch), self.score(made, batch)
        scores = {"real score": real.mean(), "fake score": fake.mean()}
        return scores | ({"score spread": spread(real, fake)} if self.config.objective == "wasserstein" else {})
