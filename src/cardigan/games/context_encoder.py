"""A network that fills holes of one kind (after Pathak et al. 2016, Context Encoders), without its adversarial term.

What Yeh et al. 2017 compare with: it sees the image with a hole, squeezes it through a code, and paints what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor

from cardigan.config import Config
from cardigan.data.masks import MaskKind, draw_holes
from cardigan.data.spec import Batch, DataSpec
from cardigan.errors import RecipeError
from cardigan.games.base import Encoding, Move, side_by_side
from cardigan.networks import DiscriminatorConfig, GeneratorConfig
from cardigan.networks.pair import Autoencoding


class ContextEncoderConfig(Config):
    """An encoder of images with holes, a code of `code` numbers, and a decoder."""

    name: Literal["context-encoder"] = "context-encoder"
    mask: MaskKind = "center"
    code: PositiveInt = 256
    encoder: DiscriminatorConfig
    decoder: GeneratorConfig

    def build(self, spec: DataSpec) -> ContextEncoder:
        if spec.kind != "images":
            raise RecipeError("a context encoder fills holes in images, and these examples are points: give it images")
        return ContextEncoder(self, spec)


class ContextEncoder(Encoding):
    """Minimise the squared error in the hole (Pathak et al. 2016, Eq. 1)."""

    players = ("autoencoder",)
    deployed = ("autoencoder",)

    def __init__(self, config: ContextEncoderConfig, spec: DataSpec) -> None:
        super().__init__(spec)
        self.config = config
        channels, height, width = spec.shape
        self.autoencoder = Autoencoding(
            encoder=config.encoder.build_encoder((channels + 1, height, width), config.code),
            decoder=config.decoder.build(config.code, spec.shape, squash=True),
        )

    def round(self, batches: Iterator[Batch]) -> Iterator[Move]:
        images = next(batches).images
        holes = self.holes(images)
        yield Move(self.autoencoder, hole_error(self.paint(images, holes), images, holes))

    def holes(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One for each image, bool (n, 1, height, width)."""
        height, width = images.shape[2:]
        return draw_holes(self.config.mask, len(images), height, width, generator).to(images.device)

    def paint(self, images: Tensor, holes: Tensor) -> Tensor:
        """A whole image for each (n, channels, height, width), of which only the hole is meant."""
        return self.autoencoder.decoder(self.code(images, holes))

    def code(self, images: Tensor, holes: Tensor) -> Tensor:
        return self.autoencoder.encoder(torch.cat([images.masked_fill(holes, 0.0), holes.to(images.dtype)], 1))

    def complete(self, images: Tensor, holes: Tensor) -> Tensor:
        """The images with their holes filled."""
        return torch.where(holes, self.paint(images, holes), images)

    def encode(self, images: Tensor) -> Tensor:
        """Codes (n, code) of the images, with the holes that `reconstruct` fills."""
        return self.code(images, self.usual_holes(images))

    def reconstruct(self, images: Tensor) -> Tensor:
        """Holes of the game's kind cut into the images, always the same ones, and filled."""
        return self.complete(images, self.usual_holes(images))

    def usual_holes(self, images: Tensor) -> Tensor:
        return self.holes(images, torch.Generator().manual_seed(0))

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        holes = self.holes(batch.images)
        return {"hole mse": hole_error(self.paint(batch.images, holes), batch.images, holes)}

    def validated_loss(self, validated: Mapping[str, float]) -> float:
        return validated["hole mse"]

    def constant_loss(self, known: Tensor, images: Tensor) -> Tensor:
        """The error of the mean image's pixels."""
        return hole_error(known.mean(0, keepdim=True).expand_as(images), images, self.usual_holes(images))

    def preview(self, images: Tensor, latents: Tensor) -> Tensor:
        holes = self.usual_holes(images)
        return side_by_side(images, images.masked_fill(holes, 0.0), self.complete(images, holes))


def hole_error(painted: Tensor, images: Tensor, holes: Tensor) -> Tensor:
    """Mean squared error over the missing numbers of all images."""
    missing = holes.expand_as(images)
    return (painted.float() - images).square().mul(missing).sum() / missing.sum()
