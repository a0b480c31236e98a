"""Unpaired translation that must lead back to where it came from (Zhu et al. 2017, CycleGAN)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from pydantic import NonNegativeFloat, NonNegativeInt
from torch import Tensor, nn

from cardigan.config import Config
from cardigan.data.spec import Batch, DataSpec
from cardigan.errors import RecipeError
from cardigan.games.base import Move, frozen
from cardigan.games.pool import ImagePool
from cardigan.games.translating import Translating, distance
from cardigan.networks import PatchConfig, ResNetConfig, TranslatorConfig
from cardigan.networks.noise import noise
from cardigan.networks.sizes import Takes
from cardigan.networks.translator import ResNet
from cardigan.networks.unet import UNet
from cardigan.objectives import OBJECTIVES, ObjectiveName
from cardigan.schedule import Number, value_at


class CycleGANConfig(Config):
    """Two translators, one each way, and a discriminator of patches on each side.

    Attributes:
        adversarial: weight of the translators' adversarial losses.
        cycle: weight of the mean absolute difference between an image and its translation there and back.
        cycles: which ways round: "forward" from the first side and back, "backward" from the second, or both.
        identity: share of the cycle's weight for the difference that translation makes to an image which is already
            where it leads to; it keeps colours.
        pool: generated images of the past that the discriminators are shown half the time.
    """

    name: Literal["cyclegan"] = "cyclegan"
    objective: ObjectiveName = "least-squares"
    generator: TranslatorConfig = ResNetConfig()
    discriminator: PatchConfig = PatchConfig(normalisation="instance")
    adversarial: NonNegativeFloat = 1.0
    cycle: Number = 10.0
    cycles: Literal["both", "forward", "backward"] = "both"
    identity: Number = 0.5
    pool: NonNegativeInt = 50

    def build(self, spec: DataSpec) -> CycleGAN:
        game = CycleGAN(self, spec)
        if self.identity and game.two[0].inputs != game.two[1].inputs:
            raise RecipeError(
                f"game.identity compares images of both sides, which have {game.two[0].inputs} and "
                f"{game.two[1].inputs} channels: add --set game.identity=0, or --set data.channels=3"
            )
        return game


class CycleGAN(Translating):
    """L_GAN(G, D_b) + L_GAN(F, D_a) + cycle (|F(G(a)) - a| + |G(F(b)) - b|) (Zhu et al. 2017, Eq. 3)."""

    players = ("generators", "discriminators")
    deployed = ("generators",)
    reached = (0, 1)

    def __init__(self, config: CycleGANConfig, spec: DataSpec) -> None:
        super().__init__(spec)
        self.config = config
        self.objective = OBJECTIVES[config.objective]
        a, b = self.two
        self.generators = nn.ModuleDict(
            {
                "b": config.generator.build(a.inputs, b.inputs, self.size),
                "a": config.generator.build(b.inputs, a.inputs, self.size),
            }
        )
        self.discriminators = nn.ModuleDict(
            {
                name: config.discriminator.build((side.inputs, *self.size))
                for name, side in zip("ab", self.two, strict=True)
            }
        )
        self.pools = nn.ModuleList(ImagePool(config.pool, (side.inputs, *self.size)) for side in self.two)

    def round(self, batches: Iterator[Batch]) -> Iterator[Move]:
        a, b = self.sides(next(batches).images)
        fake_b, same_b = self.translated("b", a, b)
        fake_a, same_a = self.translated("a", b, a)
        loss, log = self.adversarial_loss((a, b), (fake_a, fake_b))
        weight = value_at(self.config.cycle, self.progress)
        for name, difference in self.cycles((a, b), (fake_a, fake_b)).items():
            log[name] = difference
            loss = loss + weight * difference
        if same_a is not None and same_b is not None:
            log["identity"] = distance(same_a, a) + distance(same_b, b)
            loss = loss + weight * value_at(self.config.identity, self.progress) * log["identity"]
        yield Move(self.generators, loss, log)

        if self.config.adversarial:
            yield self.discriminators_move((a, b), (fake_a, fake_b))

    def translated(self, side: str, images: Tensor, others: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images translated to a side, and those that are there already translated to where they are.

        Both in one pass, where no image's translation depends on another's.
        """
        generator = self.generators[side]
        if not value_at(self.config.identity, self.progress):
            return generator(images), None
        if self.config.generator.normalisation == "batch":
            return generator(images), generator(others)
        translated, same = generator(torch.cat([images, others])).chunk(2)
        return translated, same

    def adversarial_loss(
        self, real: tuple[Tensor, Tensor], fake: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        loss = real[0].new_zeros(())
        if not self.config.adversarial:
            return loss, {}
        with frozen(self.discriminators):
            for name, images, made in zip("ab", real, fake, strict=True):
                real_scores = self.score(name, images) if self.objective.paired else None
                loss = loss + self.objective.generator(real_scores, self.score(name, made))
        return self.config.adversarial * loss, {"adversarial": loss}

    def cycles(self, real: tuple[Tensor, Tensor], fake: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """What each way there and back changes."""
        ways = {"forward": ("a", fake[1], real[0]), "backward": ("b", fake[0], real[1])}
        chosen = [way for way in ways if self.config.cycles in ("both", way)] if self.config.cycle else []
        return {
            f"{way} cycle": distance(self.generators[side](made), original)
            for way in chosen
            for side, made, original in [ways[way]]
        }

    def discriminators_move(self, real: tuple[Tensor, Tensor], fake: tuple[Tensor, Tensor]) -> Move:
        loss, log = real[0].new_zeros(()), {}
        for name, pool, images, made in zip("ab", self.pools, real, fake, strict=True):
            assert isinstance(pool, ImagePool)
            real_scores, fake_scores = self.scores(name, images, pool.exchanged(made))
            loss = loss + self.objective.discriminator(real_scores, fake_scores)
            log |= {f"real score {name}": real_scores.mean(), f"fake score {name}": fake_scores.mean()}
        return Move(self.discriminators, loss, log)

    def scores(self, side: str, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Of real and of translated images: one pass where no image's score depends on another's."""
        if self.discriminators[side].couples_batch:
            return self.score(side, real), self.score(side, fake)
        real_scores, fake_scores = self.score(side, torch.cat([real, fake])).chunk(2)
        return real_scores, fake_scores

    def score(self, side: str, images: Tensor) -> Tensor:
        """How real each patch looks: (patches of all images,)."""
        return self.discriminators[side](images).flatten()

    @property
    def takes(self) -> Takes:
        generator = self.generators["b"]
        assert isinstance(generator, UNet | ResNet)
        return generator.takes(self.size)

    def translate(self, images: Tensor, to: int, seeds: Sequence[int] | None = None) -> Tensor:
        generator = self.generators["ab"[to]]
        with noise(generator, seeds):
            return generator(images)

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        a, b = self.sides(batch.images)
        fake_b, fake_a = self.translate(a, 1), self.translate(b, 0)
        values = {"cycle": distance(self.translate(fake_b, 0), a) + distance(self.translate(fake_a, 1), b)}
        if self.config.adversarial:
            real = (self.score("a", a).mean() + self.score("b", b).mean()) / 2
            fake = (self.score("a", fake_a).mean() + self.score("b", fake_b).mean()) / 2
            values |= {"real score": real, "fake score": fake}
        return values
