"""The U-Net of pix2pix (Isola et al. 2017, section 6.1.1), and its encoder-decoder without skips."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from cardigan.config import Config
from cardigan.errors import RecipeError
from cardigan.networks.layers import UpConv2d, normal
from cardigan.networks.noise import Dropout
from cardigan.networks.norms import Statistics, TranslatorNorm, norm
from cardigan.networks.sizes import Takes
from cardigan.networks.strided import Double, Halve

Size = tuple[int, int]

SLOPE = 0.2
LEAST_DEPTH = 2
COARSEST = 15
"""Pixels of the bottleneck's shorter side beyond which a network is not taken to see the whole image."""
NOISY = 3
"""The decoder's blocks with dropout."""
SEEN = 3
"""As many times its own width of the image does a pixel of the bottleneck see."""


def halvings(size: Size) -> int:
    """How often both sides can be halved, at the most until the shorter is 1.

    Raises:
        RecipeError: too seldom to see the whole image; the nearest size that can be is named.
    """
    height, width = size
    depth = 0
    while not (height % 2 or width % 2):
        height, width, depth = height // 2, width // 2, depth + 1
    if depth < LEAST_DEPTH or min(height, width) > COARSEST:
        raise unfit(size, "often enough", nearest(size, fitting_depth(size)))
    return depth


def fitting_depth(size: Size) -> int:
    """The fewest halvings after which a side is short enough."""
    depth = LEAST_DEPTH
    while round(min(size) / 2**depth) > COARSEST:
        depth += 1
    return depth


def nearest(size: Size, depth: int) -> Size:
    """The size nearest to a size that can be halved `depth` times."""
    height, width = (max(1, round(side / 2**depth)) << depth for side in size)
    return height, width


def unfit(size: Size, how: str, near: Size) -> RecipeError:
    return RecipeError(
        f"a U-Net halves its images, and {size[1]} x {size[0]} pixels cannot be halved {how}: "
        f"use --set data.size=[{near[0]},{near[1]}]"
    )


class UNet(nn.Module):
    """Images (batch, inputs, height, width) to images (batch, outputs, height, width) in [-1, 1].

    A level of the encoder is a convolution, its norm and a leaky ReLU; one of the decoder doubles what lies below,
    beside the encoder's maps of that size. As ReLU(LeakyReLU(x)) = ReLU(x), the skips may carry rectified maps.
    """

    def __init__(self, config: UNetConfig, inputs: int, outputs: int, depth: int):
        super().__init__()
        self.depth = depth
        self.skips = config.skips
        widths = [min(config.width << level, max(config.width, config.max_width)) for level in range(depth)]
        self.down = nn.ModuleList(
            nn.Sequential(
                Halve(before, after, bias=config.biased),
                *(config.norm(after) if 0 < level < depth - 1 else []),
                nn.LeakyReLU(SLOPE, inplace=True) if level < depth - 1 else nn.Identity(),
            )
            for level, (before, after) in enumerate(pairwise([inputs, *widths]))
        )
        self.up = nn.ModuleList(
            nn.Sequential(
                config.double(below * self.sources(level, depth), above, bias=config.biased),
                *config.norm(above),
                *config.noise(depth - 2 - level, above == widths[-1]),
            )
            for level, (above, below) in enumerate(pairwise(widths))
        )
        self.to_images = config.double(widths[0] * self.sources(-1, depth), outputs, bias=True)

    def sources(self, level: int, depth: int) -> int:
        """How many maps of one width the decoder's block is given: two where a skip ends."""
        return 2 if self.skips and level < depth - 2 else 1

    def forward(
        self, images: Float[Tensor, "batch inputs height width"]
    ) -> Float[Tensor, "batch outputs height width"]:
        self.check(images)
        encoded = [images]
        for block in self.down:
            encoded.append(block(encoded[-1]))
        maps = F.relu(encoded.pop())
        for block in reversed(self.up):
            maps = self.joined(block(maps), encoded.pop())
        return self.to_images(maps).tanh()

    def joined(self, maps: Tensor, skipped: Tensor) -> Tensor:
        if not self.skips:
            return F.relu(maps)
        return torch.cat([maps, skipped], 1).relu_()

    def takes(self, trained: Size) -> Takes:
        """Sizes of image, for a network that has learnt from images of this (height, width)."""
        multiple = 1 << self.depth
        return Takes(multiple, least=multiple, reach="whole" if max(trained) <= SEEN * multiple else "local")

    def check(self, images: Tensor) -> None:
        height, width = images.shape[2:]
        if height % (1 << self.depth) or width % (1 << self.depth):
            raise unfit((height, width), f"{self.depth} times", nearest((height, width), self.depth))


class UNetConfig(Config):
    """width 64, max_width 512 is the paper's: 54,413,955 parameters at 256 x 256 (depth 8), 41,828,995 at 128 x 128.

    The paper sends the first layer and the bottleneck through no normalisation: at one pixel it would leave nothing.

    Attributes:
        width: channels at half the image's size; doubled at each halving.
        max_width: where the doubling ends.
        depth: number of halvings; by default as many as the image's sides allow, until the shorter is 1.
        skips: join each level of the encoder to the decoder's; without, it is the paper's encoder-decoder.
        dropout: probability in the first three blocks of the decoder that are as wide as the bottleneck, and in the
            first in any case; the network's only noise.
        normalisation: "instance" and "none" also give the convolutions biases.
        statistics: what "batch" normalises by in evaluation mode (see `norms.BatchNorm`).
        upsampling: "resize" is nearest-neighbour doubling and a 3 x 3 convolution, which leaves no checkerboards.
    """

    name: Literal["unet"] = "unet"
    width: PositiveInt = 64
    max_width: PositiveInt = 512
    depth: int | None = Field(default=None, ge=LEAST_DEPTH)
    skips: bool = True
    dropout: float = Field(default=0.5, ge=0, lt=1)
    normalisation: TranslatorNorm = "batch"
    statistics: Statistics = "instance"
    upsampling: Literal["transposed", "resize"] = "transposed"

    def build(self, inputs: int, outputs: int, size: Size) -> UNet:
        """Images (batch, inputs, *size) to (batch, outputs, *size) in [-1, 1]; size is (height, width).

        Raises:
            RecipeError: the sides cannot be halved so often; the nearest size that can be is named.
        """
        network = UNet(self, inputs, outputs, self.fitted(size))
        return normal(network)

    def fitted(self, size: Size) -> int:
        if self.depth is None:
            return halvings(size)
        if size[0] % (1 << self.depth) or size[1] % (1 << self.depth):
            raise unfit(size, f"{self.depth} times", nearest(size, self.depth))
        return self.depth

    @property
    def biased(self) -> bool:
        return self.normalisation != "batch"

    def norm(self, channels: int) -> list[nn.Module]:
        return norm(self.normalisation, channels, self.statistics)

    def noise(self, index: int, widest: bool) -> list[nn.Module]:
        noisy = self.dropout and (index == 0 or (index < NOISY and widest))
        return [Dropout(self.dropout)] if noisy else []

    def double(self, inputs: int, outputs: int, bias: bool) -> nn.Module:
        layer = Double if self.upsampling == "transposed" else UpConv2d
        return layer(inputs, outputs, bias=bias)
