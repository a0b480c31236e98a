"""The variational autoencoder (Kingma & Welling 2013): one player that maximises a bound on log p(x).

The prior is N(0, I); N(mu(x), sigma(x)^2) is the encoder's approximate posterior. Everything is summed over dimensions
and averaged over examples, so that the bound is in nats.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor

from cardigan.config import Config
from cardigan.data.spec import Batch, DataSpec
from cardigan.errors import RecipeError
from cardigan.games.base import Encoding, Generative, LatentConfig, Move, side_by_side
from cardigan.networks import DiscriminatorConfig, GeneratorConfig
from cardigan.networks.pair import Autoencoding
from cardigan.objectives import (
    bernoulli_log_likelihood,
    binarise,
    bits_per_dimension,
    discretised_logistic_log_likelihood,
    gaussian_log_likelihood,
    importance_weighted_bound,
    kl_to_standard_normal,
)
from cardigan.schedule import Number, value_at

LogLikelihood = Literal["bernoulli", "gaussian", "discretised-logistic"]


class VAEConfig(Config):
    """Encoder, decoder and the likelihood p(x|z).

    `bernoulli` models binary pixels, drawn anew from the grey values at each step; `discretised-logistic` models the
    pixels' own 2^bits levels, so its bound is comparable in bits per dimension; `gaussian` is a density. `beta`
    weighs the KL term (1 is the bound). `importance_samples` > 1 trains the tighter bound of Burda et al. 2015.
    """

    name: Literal["vae"] = "vae"
    latent: PositiveInt = 20
    encoder: DiscriminatorConfig
    decoder: GeneratorConfig
    likelihood: LogLikelihood = "bernoulli"
    beta: Number = 1.0
    importance_samples: PositiveInt = 1

    def build(self, spec: DataSpec) -> VAE:
        if self.importance_samples > 1 and self.beta != 1.0:
            raise RecipeError(
                "game.beta weighs the ELBO's KL, which importance_samples > 1 does not train: set one only"
            )
        return VAE(self, spec)


class VAE(Generative, Encoding):
    """Maximise E_q[log p(x|z)] - beta KL(q(z|x) || p(z))."""

    players = ("autoencoder",)
    deployed = ("autoencoder",)

    def __init__(self, config: VAEConfig, spec: DataSpec) -> None:
        super().__init__(spec)
        if spec.kind == "points" and config.likelihood != "gaussian":
            raise RecipeError(f"points have no {config.likelihood} likelihood: add --set game.likelihood=gaussian")
        self.config = config
        self.latent = LatentConfig(size=config.latent)
        channels, height, width = spec.shape
        parameters = 1 if config.likelihood == "bernoulli" else 2
        self.autoencoder = Autoencoding(
            encoder=config.encoder.build_encoder(spec.shape, 2 * config.latent),
            decoder=config.decoder.build(config.latent, (parameters * channels, height, width), squash=False),
        )

    def round(self, batches: Iterator[Batch]) -> Iterator[Move]:
        images = self.observe(next(batches).images)
        if self.config.importance_samples > 1:
            bound = self.importance_weighted_bound(images, self.config.importance_samples).mean()
            yield Move(self.autoencoder, -bound, {"bound": bound})
        else:
            fit, kl = self.elbo_terms(images)
            beta = value_at(self.config.beta, self.progress)
            yield Move(self.autoencoder, (beta * kl - fit).mean(), {"elbo": (fit - kl).mean(), "kl": kl.mean()})

    def observe(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What the likelihood is a likelihood of: binary draws from the grey values, or the images themselves."""
        return 2 * binarise(images, generator) - 1 if self.config.likelihood == "bernoulli" else images

    def elbo_terms(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction term and KL of the bound for one posterior draw, each (n,) in nats."""
        mean, log_variance = self.posterior(images)
        latents = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        return self.log_likelihood(images, latents), kl_to_standard_normal(mean, log_variance)

    def importance_weighted_bound(self, images: Tensor, samples: int) -> Tensor:
        """log (1/k) sum p(x, z_i) / q(z_i|x), shape (n,), for k draws z_i from the posterior."""
        mean, log_variance = self.posterior(images)
        weights = []
        for _ in range(samples):
            noise = torch.randn_like(mean)
            latents = mean + (0.5 * log_variance).exp() * noise
            log_prior_ratio = 0.5 * (noise.square() + log_variance - latents.square()).sum(1)
            weights.append(self.log_likelihood(images, latents) + log_prior_ratio)
        return importance_weighted_bound(torch.stack(weights))

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z|x), each (n, latent)."""
        mean, log_variance = self.autoencoder.encoder(images).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-20.0, 10.0)

    def log_likelihood(self, images: Tensor, latents: Tensor) -> Tensor:
        """log p(x|z), shape (n,)."""
        return self.log_likelihood_of(self.autoencoder.decoder(latents, None).float(), images)

    def log_likelihood_of(self, output: Tensor, images: Tensor) -> Tensor:
        """log p(x) under the decoder's output, shape (n,): logits, or means and log scales along the channels."""
        if self.config.likelihood == "bernoulli":
            return bernoulli_log_likelihood(output, (images + 1) / 2)
        mean, log_scale = self.location_and_scale(output)
        if self.config.likelihood == "gaussian":
            return gaussian_log_likelihood(mean, log_scale, images)
        return discretised_logistic_log_likelihood(mean, log_scale, images, 2**self.spec.bits)

    def location_and_scale(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log scale of the pixels, the scale not below a level's width."""
        mean, log_scale = output.chunk(2, dim=1)
        return mean, log_scale.clamp(min=-math.log(2**self.spec.bits))

    def simulate(self, latents: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """x ~ p(x|z), (n, channels, height, width); draws from the `generator` are the same on every device."""
        output = self.autoencoder.decoder(latents, None).float().cpu()
        if self.config.likelihood == "bernoulli":
            return (2 * torch.bernoulli(output.sigmoid(), generator=generator) - 1).to(latents.device)
        mean, log_scale = self.location_and_scale(output)
        if self.config.likelihood == "gaussian":
            noise = torch.randn(mean.shape, generator=generator)
            return (mean + log_scale.exp() * noise).to(latents.device)
        noise = torch.rand(mean.shape, generator=generator).logit()
        steps = 2**self.spec.bits - 1
        level = ((mean + log_scale.exp() * noise + 1) * steps / 2).round().clamp(0, steps)
        return (level * 2 / steps - 1).to(latents.device)

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """The mean of p(x|z)."""
        output = self.autoencoder.decoder(latents, None)
        if self.config.likelihood == "bernoulli":
            return output.sigmoid() * 2 - 1
        mean = output.chunk(2, dim=1)[0]
        return mean.clamp(-1.0, 1.0) if self.spec.kind == "images" else mean

    def encode(self, images: Tensor) -> Tensor:
        return self.posterior(images)[0]

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """The bound on held-out examples in nats, and in bits per dimension where p(x|z) has the data's own levels."""
        images = self.observe(batch.images)
        fit, kl = self.elbo_terms(images)
        elbo = (fit - kl).mean()
        scores = {"elbo": elbo, "kl": kl.mean()}
        if self.config.likelihood != "gaussian":
            scores["bits per dimension"] = bits_per_dimension(elbo, self.spec.dimensions)
        return scores

    def validated_loss(self, validated: Mapping[str, float]) -> float:
        kl = validated["kl"]
        return value_at(self.config.beta, self.progress) * kl - (validated["elbo"] + kl)

    def constant_loss(self, known: Tensor, images: Tensor) -> Tensor:
        """-log p(x) of independent dimensions: what a decoder that ignores its latents reaches, the KL being zero.

        Grey values stand for their binary draws, whose mean they are. One image more than is known counts as of average
        variance, or half black and half white: a pixel that was always black is not surely so.
        """
        n, mean = len(known), known.mean(0, keepdim=True)
        if self.config.likelihood == "bernoulli":
            output = (((mean + 1) / 2 * n + 0.5) / (n + 1)).logit()
        else:
            variance = known.var(0, keepdim=True, correction=0)
            log_scale = (variance * n + variance.mean()).div(n + 1).sqrt().log()
            if self.config.likelihood == "discretised-logistic":
                log_scale = log_scale + math.log(math.sqrt(3) / math.pi)  # a logistic of this scale has that variance
            output = torch.cat([mean, log_scale], dim=1)
        return -self.log_likelihood_of(output.expand(len(images), -1, -1, -1), images).mean()

    def preview(self, images: Tensor, latents: Tensor) -> Tensor:
        return side_by_side(images, self.reconstruct(images), self.decode(latents))
