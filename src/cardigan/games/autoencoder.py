"""The autoencoder, plain and denoising: the lecture's starting point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import Field, PositiveInt
from torch import Tensor

from cardigan.config import Config
from cardigan.data.spec import Batch, DataSpec
from cardigan.errors import RecipeError
from cardigan.games.base import Encoding, Move, side_by_side
from cardigan.networks import DiscriminatorConfig, GeneratorConfig
from cardigan.networks.pair import Autoencoding
from cardigan.objectives import corrupt, reconstruction_error


class AutoencoderConfig(Config):
    """An encoder and a decoder around `code` numbers; `corruption` > 0 makes it a denoising autoencoder."""

    name: Literal["autoencoder"] = "autoencoder"
    code: PositiveInt = 32
    encoder: DiscriminatorConfig
    decoder: GeneratorConfig
    noise: Literal["gaussian", "mask"] = "gaussian"
    corruption: float = Field(0.0, ge=0.0)

    def build(self, spec: DataSpec) -> Autoencoder:
        if self.noise == "mask" and self.corruption > 1:
            raise RecipeError(f"game.corruption is the share of pixels masked, at most 1, not {self.corruption:g}")
        return Autoencoder(self, spec)


class Autoencoder(Encoding):
    """Minimise E |x - decode(encode(x))|^2; denoising (Vincent et al. 2008): the code sees a corrupted x."""

    players = ("autoencoder",)
    deployed = ("autoencoder",)

    def __init__(self, config: AutoencoderConfig, spec: DataSpec) -> None:
        super().__init__(spec)
        self.config = config
        self.autoencoder = Autoencoding(
            encoder=config.encoder.build_encoder(spec.shape, config.code),
            decoder=config.decoder.build(config.code, spec.shape, squash=spec.kind == "images"),
        )

    def round(self, batches: Iterator[Batch]) -> Iterator[Move]:
        images = next(batches).images
        seen = corrupt(images, self.config.noise, self.config.corruption)
        yield Move(self.autoencoder, reconstruction_error(self.reconstruct(seen), images).mean())

    def encode(self, images: Tensor) -> Tensor:
        return self.autoencoder.encoder(images)

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.autoencoder.decoder(self.encode(images))

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        return {"mse": reconstruction_error(self.reconstruct(batch.images), batch.images).mean()}

    def validated_loss(self, validated: Mapping[str, float]) -> float:
        return validated["mse"]

    def constant_loss(self, known: Tensor, images: Tensor) -> Tensor:
        """The error of the mean image."""
        return reconstruction_error(known.mean(0, keepdim=True).expand_as(images), images).mean()

    def preview(self, images: Tensor, latents: Tensor) -> Tensor:
        seen = corrupt(images, self.config.noise, self.config.corruption)
        shown = (images, seen, self.reconstruct(seen)) if self.config.corruption else (images, self.reconstruct(images))
        return side_by_side(*shown)
