"""PatchGAN (Isola et al. 2017, section 3.2.2 and 6.1.2): a discriminator that scores every patch of an image."""

from itertools import pairwise
from typing import Literal

from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor, nn

from cardigan.config import Config
from cardigan.errors import RecipeError
from cardigan.networks.heads import Body
from cardigan.networks.layers import Shape, normal
from cardigan.networks.norms import Statistics, TranslatorNorm, norm
from cardigan.networks.strided import Conv, Halve

SLOPE = 0.2
HALVINGS = {1: 0, 16: 1, 34: 2, 70: 3, 142: 4, 286: 5}
"""Receptive field in pixels: number of layers of stride 2."""


class PatchDiscriminator(Body):
    """Images (batch, channels, height, width) to a map of realness, one score a patch: higher is more real."""

    def __init__(self, body: nn.Sequential, last: nn.Conv2d):
        super().__init__(body)
        self.last = last

    def features(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features _ _"]:
        """What the last layer is given."""
        return self.body(images)

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch 1 _ _"]:
        return self.last(self.features(images))


class PatchConfig(Config):
    """A receptive field of 70 pixels is the paper's: 2,765,633 parameters at 3 channels, 2,768,705 at 6.

    256 x 256 pixels give 30 x 30 scores.

    Attributes:
        width: channels of the first layer; doubled at each further one.
        max_width: where the doubling ends.
        receptive_field: side of the patches in pixels. 1 is the paper's PixelGAN, 286 its ImageGAN.
        normalisation: of all layers but the first and the last; "instance" and "none" also give them biases.
        statistics: what "batch" normalises by in evaluation mode (see `norms.BatchNorm`).
    """

    name: Literal["patch"] = "patch"
    width: PositiveInt = 64
    max_width: PositiveInt = 512
    receptive_field: Literal[1, 16, 34, 70, 142, 286] = 70
    normalisation: TranslatorNorm = "batch"
    statistics: Statistics = "instance"

    def build(self, shape: Shape) -> PatchDiscriminator:
        """Images (batch, *shape) to scores (batch, 1, rows, columns).

        Raises:
            RecipeError: the images are too small for one score.
        """
        self.check(shape)
        halvings = HALVINGS[self.receptive_field]
        widths = [min(self.width << level, max(self.width, self.max_width)) for level in range(max(halvings, 1) + 1)]
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(pairwise([shape[0], *widths])):
            normalised = self.norm(after) if level else []
            convolution = self.convolution(before, after, level < halvings, bias=not (level and self.unbiased))
            layers += [convolution, *normalised, nn.LeakyReLU(SLOPE, inplace=True)]
        last = self.convolution(widths[-1], 1, halving=False, bias=True)
        return normal(PatchDiscriminator(nn.Sequential(*layers), last))

    @property
    def unbiased(self) -> bool:
        return self.normalisation == "batch"

    def norm(self, channels: int) -> list[nn.Module]:
        return norm(self.normalisation, channels, self.statistics)

    def convolution(self, inputs: int, outputs: int, halving: bool, bias: bool) -> nn.Conv2d:
        if halving:
            return Halve(inputs, outputs, bias=bias)
        kernel, padding = (1, 0) if self.receptive_field == 1 else (4, 1)
        return Conv(inputs, outputs, kernel, padding=padding, bias=bias)

    def check(self, shape: Shape) -> None:
        _, height, width = shape
        if min(height, width) < self.smallest(self.receptive_field):
            fitting = [field for field in HALVINGS if self.smallest(field) <= min(height, width)]
            raise RecipeError(
                f"patches of {self.receptive_field} pixels need images of at least "
                f"{self.smallest(self.receptive_field)} x {self.smallest(self.receptive_field)}, not {width} x {height}: "
                f"give the discriminator receptive_field={fitting[-1]}"
            )

    @staticmethod
    def smallest(receptive_field: int) -> int:
        """Shorter side of the smallest image with a score: two layers of stride 1 take a row and a column each."""
        return 1 if receptive_field == 1 else 3 << HALVINGS[receptive_field]
