"""Image-to-image translation of pairs (Isola et al. 2017, pix2pix): a conditional GAN beside an L1 distance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from cardigan.config import Config
from cardigan.data.spec import Batch, DataSpec
from cardigan.errors import RecipeError
from cardigan.games.base import NO_PENALTY, Move, frozen
from cardigan.games.translating import Translating, distance
from cardigan.networks import PatchConfig, TranslatorConfig, UNetConfig
from cardigan.networks.noise import noise
from cardigan.networks.sizes import Takes
from cardigan.objectives import OBJECTIVES, ObjectiveName, scores_and_squared_slopes, zero_centred_penalty
from cardigan.schedule import Number, value_at


class Pix2PixConfig(Config):
    """A translator against a discriminator of patches.

    Attributes:
        conditional: the discriminator sees what was translated beside the translation (cGAN), or the translation alone.
        adversarial: weight of the generator's adversarial loss; with 0 there is no discriminator's move either.
        l1: weight of the mean absolute difference from the true image.
        r1, r2: weights of half the squared slope of a pair's mean score, by the true and by the translated image.
        noise: keep the generator's dropout, its only noise, on when it translates.
    """

    name: Literal["pix2pix"] = "pix2pix"
    objective: ObjectiveName = "non-saturating"
    generator: TranslatorConfig = UNetConfig()
    discriminator: PatchConfig = PatchConfig()
    conditional: bool = True
    adversarial: NonNegativeFloat = 1.0
    l1: Number = 100.0
    r1: Number = 0.0
    r2: Number = 0.0
    noise: bool = True

    def build(self, spec: DataSpec) -> Pix2Pix:
        if not spec.paired:
            raise RecipeError("pix2pix learns from pairs: give data whose images have partners, or choose cyclegan")
        if (self.r1 or self.r2) and self.discriminator.normalisation == "batch":
            raise RecipeError(NO_PENALTY.format("game.discriminator.normalisation").replace("layer", "none"))
        return Pix2Pix(self, spec)


class Pix2Pix(Translating):
    """arg min over G, max over D of L_cGAN(G, D) + l1 E |b - G(a)| (Isola et al. 2017, Eq. 4)."""

    players = ("discriminator", "generator")
    deployed = ("generator",)

    def __init__(self, config: Pix2PixConfig, spec: DataSpec) -> None:
        super().__init__(spec)
        self.config = config
        self.objective = OBJECTIVES[config.objective]
        a, b = self.two
        self.generator = config.generator.build(a.inputs, b.inputs, self.size)
        self.discriminator = config.discriminator.build((b.inputs + a.inputs * config.conditional, *self.size))

    def round(self, batches: Iterator[Batch]) -> Iterator[Move]:
        a, b = self.sides(next(batches).images)
        fake = self.generator(a)
        if self.config.adversarial:
            yield self.discriminator_move(a, b, fake.detach())

        l1 = distance(fake, b)
        loss = value_at(self.config.l1, self.progress) * l1
        if self.config.adversarial:
            with frozen(self.discriminator):
                real_scores = self.score(a, b) if self.objective.paired else None
                loss = loss + self.config.adversarial * self.objective.generator(real_scores, self.score(a, fake))
        yield Move(self.generator, loss, {"l1": l1})

    def discriminator_move(self, a: Tensor, b: Tensor, fake: Tensor) -> Move:
        real_scores, fake_scores = self.scores(a, b, fake)
        loss = self.objective.discriminator(real_scores, fake_scores)
        log = {"real score": real_scores.mean(), "fake score": fake_scores.mean()}
        for name, number, images in (("r1", self.config.r1, b), ("r2", self.config.r2, fake)):
            if weight := value_at(number, self.progress):
                _, slopes = scores_and_squared_slopes(lambda x, _: self.patches(a, x).flatten(1).mean(1), images)
                log[name] = zero_centred_penalty(slopes)
                loss = loss + weight * log[name]
        return Move(self.discriminator, loss, log)

    def scores(self, a: Tensor, b: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Of true and of translated images: one pass where no image's score depends on another's."""
        if self.discriminator.couples_batch:
            return self.score(a, b), self.score(a, fake)
        real_scores, fake_scores = self.score(torch.cat([a, a]), torch.cat([b, fake])).chunk(2)
        return real_scores, fake_scores

    def score(self, a: Tensor, b: Tensor) -> Tensor:
        """How real each patch of b looks, as a translation of a: (patches of all images,)."""
        return self.patches(a, b).flatten()

    def patches(self, a: Tensor, b: Tensor) -> Tensor:
        return self.discriminator(torch.cat([a, b], 1) if self.config.conditional else b)

    @property
    def takes(self) -> Takes:
        return self.generator.takes(self.size)

    def translate(self, images: Tensor, to: int, seeds: Sequence[int] | None = None) -> Tensor:
        with noise(self.generator, seeds if self.config.noise else None):
            return self.generator(images)

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        a, b = self.sides(batch.images)
        fake = self.translate(a, 1, range(len(a)))
        values = {"l1": distance(fake, b)}
        if self.config.adversarial:
            values |= {"real score": self.score(a, b).mean(), "fake score": self.score(a, fake).mean()}
        return values
