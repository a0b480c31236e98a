"""DCGAN (Radford, Metz & Chintala 2015): strided convolutions, batch normalisation, nothing else."""

from itertools import pairwise
from typing import Literal

from pydantic import PositiveInt
from torch import nn

from cardigan.config import Config
from cardigan.networks.heads import Discriminator, Encoder, Generator, class_vectors
from cardigan.networks.layers import (
    Centre,
    FromMaps,
    LabelledLatent,
    Normalisation,
    Shape,
    Stages,
    ToMaps,
    batch_norm,
    layer_norm,
    normal,
    stages,
)
from cardigan.networks.spectral import Network, spectral_norm
from cardigan.networks.strided import Double, Halve


class DCGANGeneratorConfig(Config):
    """The generator of the 4 x 4-kernel DCGAN: 3,576,704 parameters at 3 x 64 x 64 and 100 latents.

    Its first layer is written as a linear one, which is what a transposed convolution on a 1 x 1 map computes.

    Attributes:
        width: channels of the finest feature map, at half the image's size; doubled at each coarser one.
        max_width: where the doubling ends.
        normalisation: "none" also gives the convolutions biases, as nothing else shifts their outputs then.
    """

    name: Literal["dcgan"] = "dcgan"
    width: PositiveInt = 64
    max_width: PositiveInt = 512
    normalisation: Literal["batch", "none"] = "batch"

    def build(self, latent: int, shape: Shape, classes: int = 0, squash: bool = True) -> Generator:
        """Latent (batch, latent) to (batch, *shape): in [-1, 1] if `squash`, else any real numbers.

        Raises:
            RecipeError: the shape has fewer than 8 x 8 pixels.
        """
        plan = stages(shape)
        channels = plan.channels(self.width, self.max_width)[: plan.count][::-1]
        start = LabelledLatent(latent, classes)
        layers = self._start(start.width, channels[0], plan)
        for inputs, outputs in pairwise(channels):
            layers += self._normalised(Double(inputs, outputs, bias=self._bias), outputs)
        # An unsquashed output is a likelihood's parameter, whose mean over the data is seldom zero.
        layers.append(Double(channels[-1], shape[0], bias=not squash))
        layers += [Centre(shape[1:]), nn.Tanh() if squash else nn.Identity()]
        network = Generator(start, nn.Sequential(*layers))
        normal(network)
        return network

    @property
    def _bias(self) -> bool:
        return self.normalisation == "none"

    def _start(self, latent: int, channels: int, plan: Stages) -> list[nn.Module]:
        height, width = plan.base
        linear = nn.Linear(latent, channels * height * width, bias=self._bias)
        return [linear, *self._normalised(ToMaps(channels, height, width), channels)]

    def _normalised(self, layer: nn.Module, channels: int) -> list[nn.Module]:
        norm = [batch_norm(channels)] if self.normalisation == "batch" else []
        return [layer, *norm, nn.ReLU(inplace=True)]


class DCGANDiscriminatorConfig(Config):
    """The discriminator of the 4 x 4-kernel DCGAN: 2,765,568 parameters at 3 x 64 x 64.

    Attributes:
        width: channels of the finest feature map, at half the image's size; doubled at each coarser one.
        max_width: where the doubling ends.
        normalisation: "batch" (DCGAN, WGAN), "layer" (WGAN-GP), "spectral" (SNGAN) or "none"; the last two have biases.
    """

    name: Literal["dcgan"] = "dcgan"
    width: PositiveInt = 64
    max_width: PositiveInt = 512
    normalisation: Normalisation = "batch"

    def build(self, shape: Shape, classes: int = 0) -> Discriminator:
        """Images (batch, *shape) to scores (batch,).

        Raises:
            RecipeError: the shape has fewer than 8 x 8 pixels.
        """
        body, features = self._body(shape)
        linear = nn.Linear(features, 1, bias=self._bias)
        return self._ready(Discriminator(body, linear, class_vectors(classes, features, std=0.02)))

    def build_encoder(self, shape: Shape, outputs: int) -> Encoder:
        """Images (batch, *shape) to (batch, outputs)."""
        body, features = self._body(shape)
        return self._ready(Encoder(body, nn.Linear(features, outputs)))

    def _body(self, shape: Shape) -> tuple[nn.Sequential, int]:
        plan = stages(shape)
        channels = plan.channels(self.width, self.max_width)[: plan.count]
        layers = [Centre(plan.size), Halve(shape[0], channels[0], bias=self._bias), nn.LeakyReLU(0.2, inplace=True)]
        for inputs, outputs in pairwise(channels):
            layers += [Halve(inputs, outputs, bias=self._bias), *self._norm(outputs), nn.LeakyReLU(0.2, inplace=True)]
        return nn.Sequential(*layers, FromMaps()), channels[-1] * plan.base[0] * plan.base[1]

    @property
    def _bias(self) -> bool:
        return self.normalisation in ("none", "spectral")

    def _norm(self, channels: int) -> list[nn.Module]:
        norms = {"batch": batch_norm, "layer": layer_norm}
        return [norms[self.normalisation](channels)] if self.normalisation in norms else []

    def _ready(self, network: Network) -> Network:
        normal(network)
        return spectral_norm(network) if self.normalisation == "spectral" else network
