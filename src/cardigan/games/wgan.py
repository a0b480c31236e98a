"""Wasserstein GAN (Arjovsky et al. 2017, Algorithm 1), and its gradient penalty (Gulrajani et al. 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from cardigan.config import Config
from cardigan.data.spec import Batch, DataSpec
from cardigan.errors import RecipeError
from cardigan.games.base import NO_PENALTY, Generative, LatentConfig, Move, frozen, spread
from cardigan.networks import DiscriminatorConfig, GeneratorConfig
from cardigan.objectives import clip_weights_, gradient_penalty


class WGANConfig(Config):
    """A generator and a critic, kept near 1-Lipschitz by clipping its weights to [-clip, clip] or by a penalty.

    Exactly one of `clip` and `gradient_penalty` is used: the penalty where it is positive.
    """

    name: Literal["wgan"] = "wgan"
    latent: LatentConfig = LatentConfig(size=100)
    generator: GeneratorConfig
    critic: DiscriminatorConfig
    critic_steps: PositiveInt = 5
    clip: float = Field(0.01, gt=0.0)
    gradient_penalty: float = Field(0.0, ge=0.0)

    def build(self, spec: DataSpec) -> WGAN:
        game = WGAN(self, spec)
        if game.critic.couples_batch and self.gradient_penalty:
            raise RecipeError(NO_PENALTY.format("game.critic.normalisation"))
        return game


class WGAN(Generative):
    """max over 1-Lipschitz f of E f(real) - E f(fake) is the Earth-Mover distance; the generator descends it."""

    players = ("critic", "generator")
    deployed = ("generator",)
    opponent = "critic"

    def __init__(self, config: WGANConfig, spec: DataSpec) -> None:
        super().__init__(spec)
        self.config, self.latent = config, config.latent
        self.generator = config.generator.build(config.latent.size, spec.shape, squash=spec.kind == "images")
        self.critic = config.critic.build(spec.shape)

    def round(self, batches: Iterator[Batch]) -> Iterator[Move]:
        for _ in range(self.config.critic_steps):
            real = next(batches).images
            with torch.no_grad():
                fake = self.generate(real)
            distance = self.distance(real, fake)
            penalty = self.penalty(real, fake)
            yield Move(self.critic, penalty - distance, {"wasserstein": distance, "penalty": penalty})
            if not self.config.gradient_penalty:
                clip_weights_(self.critic, self.config.clip)

        fake = self.generate(real)  # pyrefly: ignore[unbound-name]  (there is at least one critic step)
        with frozen(self.critic):
            loss = -self.critic(fake, None).float().mean()
        yield Move(self.generator, loss)

    def generate(self, real: Tensor) -> Tensor:
        return self.decode(self.draw_latents(len(real), like=real))

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.generator(latents, None)

    def realness(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.critic(images, None)

    def distance(self, real: Tensor, fake: Tensor) -> Tensor:
        """The critic's estimate of K times the Earth-Mover distance, positive when the critic is any good."""
        return self.critic(real, None).float().mean() - self.critic(fake, None).float().mean()

    def penalty(self, real: Tensor, fake: Tensor) -> Tensor:
        if not self.config.gradient_penalty:
            return real.new_zeros(())
        return self.config.gradient_penalty * gradient_penalty(self.critic, real, fake)

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """The estimate on held-out images: below the training curve by as much as the critic overfits."""
        real = self.critic(batch.images, None).float()
        fake = self.critic(self.generate(batch.images), None).float()
        return {
            "wasserstein": real.mean() - fake.mean(),
            "real score": real.mean(),
            "fake score": fake.mean(),
            "score spread": spread(real, fake),
        }
