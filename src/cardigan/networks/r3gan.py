"""The networks of R3GAN (Huang et al. 2024, section 4): bias-only inverted bottlenecks with grouped convolutions.

A block is x + 1 x 1 (act (3 x 3 grouped (act (1 x 1 (x))))), twice as wide inside as outside, without normalisation; the
activation adds a bias first, and convolutions have none. Its last layer is zero at the start and the others are He's
times L^(-1/4) for L blocks (Zhang et al. 2019, Fixup, for branches of three layers). Sizes change by a fixed low-pass
filter, channels by a 1 x 1 convolution. The generator begins with a learned basis of maps that the latent weighs, and
the discriminator ends in one that weighs its last maps.

The filter is [1, 3, 3, 1], which is symmetric about a pixel's edge, where the paper's [1, 2, 1] shifts by half a pixel.
"""

from collections.abc import Iterator
from itertools import pairwise
from math import sqrt
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from cardigan.config import Config
from cardigan.errors import RecipeError
from cardigan.networks.heads import Discriminator, Encoder, Generator, class_vectors
from cardigan.networks.layers import Centre, LabelledLatent, Shape, Stages, he, stages

SLOPE = 0.2
GAIN = sqrt(2 / (1 + SLOPE**2))
EXPANSION = 2

Maps = Float[Tensor, "batch _ _ _"]


class BiasedActivation(nn.Module):
    """Leaky ReLU of the maps plus a bias a channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Maps) -> Maps:
        return F.leaky_relu(x + self.bias.to(x.dtype)[:, None, None], SLOPE)


def convolution(inputs: int, outputs: int, kernel: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)


class Block(nn.Module):
    """The inverted bottleneck on `channels` maps, with `group` channels in a group of its 3 x 3 convolution.

    Args:
        depth: L, the number of blocks in the network.
    """

    def __init__(self, channels: int, group: int, depth: int):
        super().__init__()
        inner, gain = EXPANSION * channels, GAIN * depth**-0.25
        self.expand = he(convolution(channels, inner), gain)
        self.bias1 = BiasedActivation(inner)
        self.mix = he(convolution(inner, inner, 3, groups=inner // group), gain)
        self.bias2 = BiasedActivation(inner)
        self.reduce = convolution(inner, channels)
        nn.init.zeros_(self.reduce.weight)

    def forward(self, x: Maps) -> Maps:
        return x + self.reduce(self.bias2(self.mix(self.bias1(self.expand(x)))))


class Resample(nn.Module):
    """Twice or half the size through the filter [1, 3, 3, 1] in both directions, after or before a 1 x 1 convolution."""

    def __init__(self, inputs: int, outputs: int, up: bool):
        super().__init__()
        self.up = up
        self.project = he(convolution(inputs, outputs)) if inputs != outputs else nn.Identity()

    def forward(self, x: Maps) -> Maps:
        if not self.up:
            return self.project(F.conv2d(x, low_pass(x), stride=2, padding=1, groups=x.shape[1]))
        x = self.project(x)
        return F.conv_transpose2d(x, 4 * low_pass(x), stride=2, padding=1, groups=x.shape[1])


def low_pass(x: Maps) -> Tensor:
    """The filter (channels, 1, 4, 4), whose sum is one."""
    line = torch.arange(4, device=x.device, dtype=x.dtype).sub(1.5).abs().sub(2.0).neg() / 4  # [1, 3, 3, 1] / 8
    return torch.outer(line, line).expand(x.shape[1], 1, 4, 4).contiguous()


class Basis(nn.Module):
    """Learned maps (channels, height, width), each weighed by a linear function of the latent."""

    def __init__(self, latent: int, channels: int, height: int, width: int):
        super().__init__()
        self.maps = nn.Parameter(torch.randn(channels, height, width))
        self.weigh = he(nn.Linear(latent, channels, bias=False))

    def forward(self, latent: Float[Tensor, "batch latent"]) -> Maps:
        return self.maps * self.weigh(latent)[:, :, None, None]


class _R3GANConfig(Config):
    """What both players' settings share."""

    name: Literal["r3gan"] = "r3gan"
    width: PositiveInt = 16
    max_width: PositiveInt = 128
    blocks: PositiveInt = 1
    group: PositiveInt = 16

    def channels(self, plan: Stages) -> list[int]:
        """Channels from the image's size to the coarsest.

        Raises:
            RecipeError: they cannot be put into groups.
        """
        widths = plan.channels(self.width, self.max_width)
        if uneven := [width for width in widths if EXPANSION * width % self.group]:
            raise RecipeError(
                f"{EXPANSION} x {uneven[0]} channels cannot be put into groups of {self.group}: "
                f"choose widths that are multiples of {max(1, self.group // EXPANSION)}"
            )
        return widths

    def stage(self, channels: int, count: int) -> Iterator[nn.Module]:
        depth = self.blocks * (count + 1)
        return (Block(channels, self.group, depth) for _ in range(self.blocks))


class R3GANGeneratorConfig(_R3GANConfig):
    """The generator: a basis, then at each size `blocks` blocks and a doubling; the output is linear, as in the paper.

    Attributes:
        width: channels at the image's size; doubled at each coarser one.
        max_width: where the doubling ends.
        blocks: blocks at each size.
        group: channels in a group of a block's convolution. The paper's networks have groups of 16, two blocks, and at
            64 x 64 pixels width 384 and max_width 768.
    """

    def build(self, latent: int, shape: Shape, classes: int = 0, squash: bool = True) -> Generator:
        """Latent (batch, latent) to (batch, *shape), any real numbers of standard deviation about one half.

        Raises:
            RecipeError: the shape has fewer than 8 x 8 pixels, or the widths cannot be grouped.
        """
        plan = stages(shape)
        channels = self.channels(plan)[::-1]
        start = LabelledLatent(latent, classes)
        layers = [Basis(start.width, channels[0], *plan.base), *self.stage(channels[0], plan.count)]
        for inputs, outputs in pairwise(channels):
            layers += [Resample(inputs, outputs, up=True), *self.stage(outputs, plan.count)]
        layers += [he(convolution(channels[-1], shape[0]), 0.5), Centre(shape[1:])]
        return Generator(start, nn.Sequential(*layers))


class R3GANDiscriminatorConfig(_R3GANConfig):
    """The discriminator: at each size `blocks` blocks and a halving, then a basis that weighs the last maps.

    Attributes:
        width: channels at the image's size; doubled at each coarser one.
        max_width: where the doubling ends.
        blocks: blocks at each size.
        group: channels in a group of a block's convolution.
    """

    def build(self, shape: Shape, classes: int = 0) -> Discriminator:
        """Images (batch, *shape) to scores (batch,).

        Raises:
            RecipeError: the shape has fewer than 8 x 8 pixels, or the widths cannot be grouped.
        """
        body, features = self._body(shape)
        embed = class_vectors(classes, features, features**-0.5)
        return Discriminator(body, he(nn.Linear(features, 1, bias=False)), embed)

    def build_encoder(self, shape: Shape, outputs: int) -> Encoder:
        """Images (batch, *shape) to (batch, outputs)."""
        body, features = self._body(shape)
        return Encoder(body, he(nn.Linear(features, outputs)))

    def _body(self, shape: Shape) -> tuple[nn.Sequential, int]:
        plan = stages(shape)
        channels = self.channels(plan)
        layers = [Centre(plan.size), he(convolution(shape[0], channels[0])), *self.stage(channels[0], plan.count)]
        for inputs, outputs in pairwise(channels):
            layers += [Resample(inputs, outputs, up=False), *self.stage(outputs, plan.count)]
        weigh = nn.Conv2d(channels[-1], channels[-1], plan.base, groups=channels[-1], bias=False)
        return nn.Sequential(*layers, he(weigh), nn.Flatten()), channels[-1]
