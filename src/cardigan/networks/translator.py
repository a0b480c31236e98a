"""The residual translator of CycleGAN (Zhu et al. 2017, section 7.2; Johnson et al. 2016)."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor, nn

from cardigan.config import Config
from cardigan.errors import RecipeError
from cardigan.networks.layers import UpConv2d, normal
from cardigan.networks.norms import Statistics, TranslatorNorm, norm
from cardigan.networks.sizes import Takes
from cardigan.networks.strided import Conv, Double, Halve
from cardigan.networks.unet import Size
from cardigan.networks.winograd import Conv3, Lay

SMALLEST = 8
HALVINGS = 2


def check_size(size: Size, what: str) -> None:
    """Both sides must be multiples of four.

    Raises:
        RecipeError: they are not; the nearest size is named.
    """
    near = tuple(max(SMALLEST, round(side / 4) * 4) for side in size)
    if near != tuple(size):
        raise RecipeError(
            f"{what} halves its images twice, and {size[1]} x {size[0]} pixels are no multiples of 4 from {SMALLEST} on: "
            f"use --set data.size=[{near[0]},{near[1]}]"
        )


class Residual(nn.Module):
    """x + (3 x 3, norm, ReLU, 3 x 3, norm)(x), padded by reflection; nothing follows the sum."""

    def __init__(self, channels: int, config: ResNetConfig):
        super().__init__()
        pad, bias = nn.ReflectionPad2d(1), config.biased
        first, second = [pad, Conv3(channels, channels, bias)], [pad, Conv3(channels, channels, bias)]
        self.layers = nn.Sequential(*first, *config.active(channels), *second, *config.norm(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class ResNet(nn.Module):
    """Images (batch, inputs, height, width) to images (batch, outputs, height, width) in [-1, 1].

    Sides that are no multiples of four are carried on to the next one, and cut at the end.
    """

    def __init__(self, config: ResNetConfig, inputs: int, outputs: int):
        super().__init__()
        widths = [config.width << level for level in range(HALVINGS + 1)]
        pad = nn.ReflectionPad2d(3)
        layers = [Lay(widths[-1]), pad, Conv(inputs, config.width, 7, bias=config.biased), *config.active(config.width)]
        for before, after in pairwise(widths):
            layers += [Halve(before, after, 3, bias=config.biased), *config.active(after)]
        layers += [Residual(widths[-1], config) for _ in range(config.blocks)]
        for before, after in pairwise(widths[::-1]):
            layers += [config.double(before, after), *config.active(after)]
        self.layers = nn.Sequential(*layers, pad, Conv(config.width, outputs, 7))

    def forward(
        self, images: Float[Tensor, "batch inputs height width"]
    ) -> Float[Tensor, "batch outputs height width"]:
        height, width = images.shape[2:]
        return self.layers(images)[:, :, :height, :width].tanh()

    def takes(self, trained: Size) -> Takes:
        """Sizes of image, whatever the network has learnt from."""
        return Takes(1 << HALVINGS, least=SMALLEST, reach="local")


class ResNetConfig(Config):
    """Nine blocks are the paper's at 256 x 256 (11,378,179 parameters), six at 128 x 128 (7,837,699).

    Attributes:
        width: channels of the outermost layers; twice and four times as many at half and a quarter of the size.
        blocks: residual blocks at a quarter of the size.
        normalisation: "instance" and "none" also give the convolutions biases.
        statistics: what "batch" normalises by in evaluation mode (see `norms.BatchNorm`).
        upsampling: "resize" is nearest-neighbour doubling and a 3 x 3 convolution, which leaves no checkerboards.
    """

    name: Literal["resnet"] = "resnet"
    width: PositiveInt = 64
    blocks: PositiveInt = 9
    normalisation: TranslatorNorm = "instance"
    statistics: Statistics = "instance"
    upsampling: Literal["transposed", "resize"] = "transposed"

    def build(self, inputs: int, outputs: int, size: Size) -> ResNet:
        """Images (batch, inputs, *size) to (batch, outputs, *size) in [-1, 1]; size is (height, width).

        Raises:
            RecipeError: a side is no multiple of four; the nearest size that is one is named.
        """
        check_size(size, "the residual translator")
        return normal(ResNet(self, inputs, outputs))

    @property
    def biased(self) -> bool:
        return self.normalisation != "batch"

    def norm(self, channels: int) -> list[nn.Module]:
        return norm(self.normalisation, channels, self.statistics)

    def active(self, channels: int) -> list[nn.Module]:
        return [*self.norm(channels), nn.ReLU(inplace=True)]

    def double(self, inputs: int, outputs: int) -> nn.Module:
        if self.upsampling == "transposed":
            return Double(inputs, outputs, 3, bias=self.biased)
        return UpConv2d(inputs, outputs, bias=self.biased)
