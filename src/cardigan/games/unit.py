"""Unpaired translation through one code (Liu, Breuel & Kautz 2017, UNIT): coupled VAE-GANs with shared layers.

Images of both sides are taken to have a common cause: two encoders whose last layers are the same say what it is, two
decoders whose first layers are the same paint it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from cardigan.config import Config
from cardigan.data.spec import Batch, DataSpec
from cardigan.games.base import Move, frozen
from cardigan.games.translating import Translating, distance
from cardigan.networks.coupled import CoupledConfig, CoupledDiscriminatorConfig, Domain, Ways
from cardigan.networks.sizes import Takes
from cardigan.objectives import OBJECTIVES, ObjectiveName, at_least_float32
from cardigan.schedule import Number, value_at


class UNITConfig(Config):
    """A coupled translator against a coupled discriminator; the weights are the paper's (section 3).

    Attributes:
        adversarial: weight of the translations' adversarial losses.
        reconstruction: weight of the mean absolute error of each image decoded on its own side.
        kl: weight of the mean square of the codes' means, which is twice the divergence of a code's posterior of
            unit variance from N(0, 1), a number.
        cycle: weight of the mean absolute error of each image translated there and back.
        cycle_kl: as `kl`, of the translations' codes.
    """

    name: Literal["unit"] = "unit"
    objective: ObjectiveName = "non-saturating"
    translator: CoupledConfig = CoupledConfig()
    discriminator: CoupledDiscriminatorConfig = CoupledDiscriminatorConfig()
    adversarial: NonNegativeFloat = 10.0
    reconstruction: Number = 100.0
    kl: Number = 0.1
    cycle: Number = 100.0
    cycle_kl: Number = 0.1

    def build(self, spec: DataSpec) -> UNIT:
        return UNIT(self, spec)


class UNIT(Translating):
    """min over E and G, max over D of both sides' VAE, GAN and cycle terms (Liu et al. 2017, Eq. 1)."""

    players = ("discriminator", "translator")
    deployed = ("translator",)
    reached = (0, 1)

    def __init__(self, config: UNITConfig, spec: DataSpec) -> None:
        super().__init__(spec)
        self.config = config
        self.objective = OBJECTIVES[config.objective]
        channels = self.two[0].inputs, self.two[1].inputs
        self.translator = config.translator.build(channels, self.size)
        self.discriminator = config.discriminator.build(channels)

    def round(self, batches: Iterator[Batch]) -> Iterator[Move]:
        a, b = self.sides(next(batches).images)
        ways = self.translator.all_ways(a, b)
        if self.config.adversarial:
            yield self.discriminator_move(a, b, ways)

        terms = self.terms(a, b, ways)
        config, at = self.config, self.progress
        weights = {name: value_at(getattr(config, name.replace(" ", "_")), at) for name in terms}
        loss = sum((weights[name] * term for name, term in terms.items()), a.new_zeros(()))
        if config.adversarial:
            terms["adversarial"] = self.adversarial_loss(a, b, ways)
            loss = loss + config.adversarial * terms["adversarial"]
        yield Move(self.translator, loss, terms)

    def terms(self, a: Tensor, b: Tensor, ways: Ways) -> dict[str, Tensor]:
        """All that needs no discriminator."""
        terms = {
            "reconstruction": distance(ways.a_to_a, a) + distance(ways.b_to_b, b),
            "kl": at_least_float32(ways.codes).square().mean(),
        }
        if self.config.cycle or self.config.cycle_kl:
            codes = self.translator.encode_both(ways.b_to_a, ways.a_to_b)
            of_b, of_a = self.translator.drawn(codes).split([len(b), len(a)])
            back_a, back_b = self.translator.decode(of_a, 0), self.translator.decode(of_b, 1)
            terms["cycle"] = distance(back_a, a) + distance(back_b, b)
            terms["cycle kl"] = at_least_float32(codes).square().mean()
        return terms

    def adversarial_loss(self, a: Tensor, b: Tensor, ways: Ways) -> Tensor:
        loss = a.new_zeros(())
        with frozen(self.discriminator):
            for domain, real, fake in ((0, a, ways.b_to_a), (1, b, ways.a_to_b)):
                real_scores = self.score(real, domain) if self.objective.paired else None
                loss = loss + self.objective.generator(real_scores, self.score(fake, domain))
        return loss

    def discriminator_move(self, a: Tensor, b: Tensor, ways: Ways) -> Move:
        loss, log = a.new_zeros(()), {}
        for domain, real, fake in ((0, a, ways.b_to_a), (1, b, ways.a_to_b)):
            real_scores, fake_scores = self.score(torch.cat([real, fake.detach()]), domain).chunk(2)
            loss = loss + self.objective.discriminator(real_scores, fake_scores)
            log |= {f"real score {'ab'[domain]}": real_scores.mean(), f"fake score {'ab'[domain]}": fake_scores.mean()}
        return Move(self.discriminator, loss, log)

    def score(self, images: Tensor, domain: Domain) -> Tensor:
        """How real each patch looks on a side: (patches of all images,)."""
        return self.discriminator(images, domain).flatten()

    @property
    def takes(self) -> Takes:
        return self.translator.takes(self.size)

    def translate(self, images: Tensor, to: int, seeds: Sequence[int] | None = None) -> Tensor:
        """By the mean of the code: the seeds draw nothing."""
        return self.translator(images, 1 - to, to)

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        a, b = self.sides(batch.images)
        ways = self.translator.all_ways(a, b)
        values = self.terms(a, b, ways)
        if self.config.adversarial:
            values["real score"] = (self.score(a, 0).mean() + self.score(b, 1).mean()) / 2
            values["fake score"] = (self.score(ways.b_to_a, 0).mean() + self.score(ways.a_to_b, 1).mean()) / 2
        return values
