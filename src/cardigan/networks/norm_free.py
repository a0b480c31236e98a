"""The modern default: residual networks without normalisation for both players (Huang et al. 2024, R3GAN).

No layer looks at other samples or measures its own statistics, so gradient penalties are exact per sample. What
normalisation did for the scale at the start, the initialisation does (Zhang et al. 2019, Fixup): each block ends in a
zero convolution and so begins as the identity, and its other m - 1 convolutions are He's, scaled by L^(-1/(2m-2))
where L counts the network's blocks and m = 3 the convolutions of one.

At the base, where R3GAN weighs one learned picture per channel, both players are dense: with the pictures, blocks that
begin as identities leave positions unmixed for so long that small images collapse (32 of 1000 modes on stacked digits
after 40 s of one core, against all of them).
"""

from itertools import pairwise
from math import prod, sqrt
from typing import Literal

from jaxtyping import Float, Int
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from cardigan.config import Config
from cardigan.errors import RecipeError
from cardigan.networks.heads import Discriminator, Encoder, class_vectors
from cardigan.networks.layers import Centre, LabelledLatent, Reshape, Shape, he, stages

SLOPE = 0.2
ACTIVATION_GAIN = sqrt(2 / (1 + SLOPE**2))


class Block(nn.Module):
    """x + 1 x 1 (3 x 3 (1 x 1 (x))) with leaky ReLUs between; `hidden` channels inside, in `groups`."""

    def __init__(self, channels: int, hidden: int, groups: int, depth: int):
        super().__init__()
        self.enter = nn.Conv2d(channels, hidden, 1)
        self.mix = nn.Conv2d(hidden, hidden, 3, padding=1, groups=groups)
        self.leave = nn.Conv2d(hidden, channels, 1)
        he(self, ACTIVATION_GAIN * depth**-0.25)
        nn.init.zeros_(self.leave.weight)

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(self.enter(x), SLOPE)
        return x + self.leave(F.leaky_relu(self.mix(h), SLOPE))


class Up(nn.Module):
    """Change the channels, then double the size."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.change = he(nn.Conv2d(inputs, outputs, 1)) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.change(x), scale_factor=2, mode="bilinear", align_corners=False)


class Down(nn.Module):
    """Halve the size by averaging, then change the channels."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.change = he(nn.Conv2d(inputs, outputs, 1)) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.change(F.avg_pool2d(x, 2))


class NormFreeGenerator(nn.Module):
    """Latent vector (and class code), a dense map to the base, then blocks and doublings; linear to the image."""

    def __init__(self, latent: LabelledLatent, layers: nn.Sequential):
        super().__init__()
        self.latent = latent
        self.layers = layers

    def forward(
        self, latent: Float[Tensor, "batch latent"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch channels height width"]:
        return self.layers(self.latent(latent, labels))


class _NormFreeConfig(Config):
    """What both players' settings share."""

    name: Literal["norm-free"] = "norm-free"
    width: PositiveInt = 64
    max_width: PositiveInt = 256
    blocks: PositiveInt = 1
    expansion: PositiveFloat = 1.0
    group_width: NonNegativeInt = 0

    def _blocks(self, channels: int, levels: int) -> list[nn.Module]:
        hidden = max(1, round(channels * self.expansion))
        groups = hidden // self.group_width if self.group_width else 1
        if groups == 0 or (self.group_width and hidden % self.group_width):
            raise RecipeError(
                f"a norm-free block with {hidden} inner channels (width x expansion) has no groups of "
                f"{self.group_width}: change width, or set group_width to a divisor or to 0"
            )
        return [Block(channels, hidden, groups, depth=levels * self.blocks) for _ in range(self.blocks)]


class NormFreeGeneratorConfig(_NormFreeConfig):
    """The generator: a dense map to the base, then for each size `blocks` blocks and a doubling.

    Attributes:
        width: channels at the image's size; doubled at each coarser one.
        max_width: where the doubling ends.
        blocks: residual blocks at each size.
        expansion: a block's inner channels over its outer ones.
        group_width: channels that the 3 x 3 convolution of a block mixes; 0 for all of them.
    """

    def build(self, latent: int, shape: Shape, classes: int = 0, squash: bool = True) -> NormFreeGenerator:
        """Latent (batch, latent) to (batch, *shape): in [-1, 1] if `squash`, else any real numbers.

        For standard normal latents the numbers before the squashing have a standard deviation of .5 to .8.

        Raises:
            RecipeError: the shape has fewer than 8 x 8 pixels, or the groups do not divide the channels.
        """
        plan = stages(shape)
        channels = plan.channels(self.width, self.max_width)[::-1]
        start, base = LabelledLatent(latent, classes), (channels[0], *plan.base)
        layers = [he(nn.Linear(start.width, prod(base))), Reshape(*base), *self._blocks(channels[0], len(channels))]
        for inputs, outputs in pairwise(channels):
            layers += [Up(inputs, outputs), *self._blocks(outputs, len(channels))]
        layers += [he(nn.Conv2d(channels[-1], shape[0], 1)), Centre(shape[1:])]
        return NormFreeGenerator(start, nn.Sequential(*layers, nn.Tanh() if squash else nn.Identity()))


class NormFreeDiscriminatorConfig(_NormFreeConfig):
    """The discriminator: for each size `blocks` blocks and a halving, then two dense layers.

    Attributes:
        width: channels at the image's size; doubled at each coarser one.
        max_width: where the doubling ends.
        blocks: residual blocks at each size.
        expansion: a block's inner channels over its outer ones.
        group_width: channels that the 3 x 3 convolution of a block mixes; 0 for all of them.
    """

    def build(self, shape: Shape, classes: int = 0) -> Discriminator:
        """Images (batch, *shape) to scores (batch,).

        Raises:
            RecipeError: the shape has fewer than 8 x 8 pixels, or the groups do not divide the channels.
        """
        body, features = self._body(shape)
        return Discriminator(body, he(nn.Linear(features, 1)), class_vectors(classes, features, features**-0.5))

    def build_encoder(self, shape: Shape, outputs: int) -> Encoder:
        """Images (batch, *shape) to (batch, outputs)."""
        body, features = self._body(shape)
        return Encoder(body, he(nn.Linear(features, outputs)))

    def _body(self, shape: Shape) -> tuple[nn.Sequential, int]:
        plan = stages(shape)
        channels = plan.channels(self.width, self.max_width)
        stem = he(nn.Conv2d(shape[0], channels[0], 3, padding=1))
        layers = [Centre(plan.size), stem, *self._blocks(channels[0], len(channels))]
        for inputs, outputs in pairwise(channels):
            layers += [Down(inputs, outputs), *self._blocks(outputs, len(channels))]
        dense = he(nn.Linear(channels[-1] * prod(plan.base), channels[-1]), ACTIVATION_GAIN)
        return nn.Sequential(*layers, nn.Flatten(), dense, nn.LeakyReLU(SLOPE)), channels[-1]
