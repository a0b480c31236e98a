"""The modern default: residual networks without normalisation for both players (after Huang et al. 2024, R3GAN).

No layer looks at other samples or measures its own statistics, so gradient penalties are exact per sample. What
normalisation did for the scale at the start, the initialisation does (Zhang et al. 2019, Fixup): each residual block
ends in a zero convolution and so begins as the identity; all other layers are He's.

Two things differ from R3GAN, for small budgets. The convolutions begin at half the image's size, where three quarters of
the work is saved; only a thin layer of `fine` channels may look at full size. And both players have a dense hidden layer
at the base: a discriminator whose last features are local judges texture and lets shapes fall apart (after one CPU
minute on Fashion-MNIST the Fréchet distance was 34 without the dense layers and 8 with them; R3GAN's learned basis fared
like the former).
"""

from itertools import pairwise
from math import prod, sqrt
from typing import Literal

from jaxtyping import Float
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from cardigan.config import Config
from cardigan.networks.heads import Discriminator, Encoder, Generator, class_vectors
from cardigan.networks.layers import Centre, FromMaps, LabelledLatent, Shape, ToMaps, he, stages
from cardigan.networks.strided import Double, Halve, Same

SLOPE = 0.2
GAIN = sqrt(2 / (1 + SLOPE**2))


class Block(nn.Module):
    """x + 3 x 3 (leaky ReLU (x)), the convolution zero at the start."""

    def __init__(self, channels: int):
        super().__init__()
        self.mix = Same(channels, channels)
        for parameter in self.mix.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        return x + self.mix(F.leaky_relu(x, SLOPE))


def activation() -> nn.Module:
    return nn.LeakyReLU(SLOPE)


class _NormFreeConfig(Config):
    """What both players' settings share."""

    name: Literal["norm-free"] = "norm-free"
    width: PositiveInt = 32
    max_width: PositiveInt = 256
    blocks: NonNegativeInt = 1
    dense: PositiveInt = 256
    fine: NonNegativeInt = 0

    def _blocks(self, channels: int) -> list[nn.Module]:
        return [Block(channels) for _ in range(self.blocks)]


class NormFreeGeneratorConfig(_NormFreeConfig):
    """The generator: a dense hidden layer, the base, then at each size `blocks` blocks and a doubling.

    Attributes:
        width: channels at half the image's size; doubled at each coarser one.
        max_width: where the doubling ends.
        blocks: residual blocks at each size.
        dense: units of the hidden layer between latent and base.
        fine: channels at full size, before a last 3 x 3 convolution; 0 for none.
    """

    def build(self, latent: int, shape: Shape, classes: int = 0, squash: bool = True) -> Generator:
        """Latent (batch, latent) to (batch, *shape): in [-1, 1] if `squash`, else any real numbers.

        For standard normal latents the numbers before the squashing have a standard deviation of about one half.

        Raises:
            RecipeError: the shape has fewer than 8 x 8 pixels.
        """
        plan = stages(shape)
        channels = plan.channels(self.width, self.max_width)[: plan.count][::-1]
        start, base = LabelledLatent(latent, classes), (channels[0], *plan.base)
        layers = [he(nn.Linear(start.width, self.dense)), activation()]
        layers += [he(nn.Linear(self.dense, prod(base)), GAIN), ToMaps(*base), *self._blocks(channels[0])]
        for inputs, outputs in pairwise(channels):
            layers += [activation(), he(Double(inputs, outputs), GAIN), *self._blocks(outputs)]
        if self.fine:
            layers += [activation(), he(Double(channels[-1], self.fine), GAIN)]
            layers += [activation(), he(Same(self.fine, shape[0]), 0.5)]
        else:
            layers += [activation(), he(Double(channels[-1], shape[0]), 0.5)]
        layers.append(Centre(shape[1:]))
        return Generator(start, nn.Sequential(*layers, nn.Tanh() if squash else nn.Identity()))


class NormFreeDiscriminatorConfig(_NormFreeConfig):
    """The discriminator: a halving and `blocks` blocks for each size, then a dense hidden layer.

    Attributes:
        width: channels at half the image's size; doubled at each coarser one.
        max_width: where the doubling ends.
        blocks: residual blocks at each size.
        dense: units of the hidden layer between base and score.
        fine: channels of a first 3 x 3 convolution at full size; 0 for none.
    """

    def build(self, shape: Shape, classes: int = 0) -> Discriminator:
        """Images (batch, *shape) to scores (batch,).

        Raises:
            RecipeError: the shape has fewer than 8 x 8 pixels.
        """
        embed = class_vectors(classes, self.dense, self.dense**-0.5)
        return Discriminator(self._body(shape), he(nn.Linear(self.dense, 1), GAIN), embed)

    def build_encoder(self, shape: Shape, outputs: int) -> Encoder:
        """Images (batch, *shape) to (batch, outputs)."""
        return Encoder(self._body(shape), he(nn.Linear(self.dense, outputs)))

    def _body(self, shape: Shape) -> nn.Sequential:
        plan = stages(shape)
        channels = plan.channels(self.width, self.max_width)[: plan.count]
        layers: list[nn.Module] = [Centre(plan.size)]
        if self.fine:
            layers += [he(Same(shape[0], self.fine)), activation(), he(Halve(self.fine, channels[0]), GAIN)]
        else:
            layers.append(he(Halve(shape[0], channels[0])))
        layers += self._blocks(channels[0])
        for inputs, outputs in pairwise(channels):
            layers += [activation(), he(Halve(inputs, outputs), GAIN), *self._blocks(outputs)]
        base = channels[-1] * prod(plan.base)
        layers += [activation(), FromMaps(), he(nn.Linear(base, self.dense), GAIN), activation()]
        return nn.Sequential(*layers)
