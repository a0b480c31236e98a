"""Residual networks of WGAN-GP (Gulrajani et al. 2017), SNGAN (Miyato et al. 2018) and the projection discriminator."""

from itertools import pairwise
from math import prod, sqrt
from typing import Literal

from jaxtyping import Float, Int
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from cardigan.config import Config
from cardigan.networks.heads import Discriminator, Encoder, class_vectors
from cardigan.networks.layers import (
    Centre,
    ConditionalBatchNorm2d,
    ConvDown2d,
    Shape,
    Stages,
    ToMaps,
    UpConv2d,
    centre,
    glorot,
    layer_norm,
    stages,
)
from cardigan.networks.spectral import Network, spectral_norm
from cardigan.networks.strided import Same


class UpBlock(nn.Module):
    """norm, ReLU, double, 3 x 3, norm, ReLU, 3 x 3, plus the doubled 1 x 1 shortcut."""

    def __init__(self, inputs: int, outputs: int, classes: int):
        super().__init__()
        self.norm1 = ConditionalBatchNorm2d(inputs, classes)
        self.conv1 = UpConv2d(inputs, outputs)
        self.norm2 = ConditionalBatchNorm2d(outputs, classes)
        self.conv2 = Same(outputs, outputs)
        self.shortcut = Same(inputs, outputs, 1)
        _initialise(self)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        h = self.conv1(F.relu(self.norm1(x, labels)))
        h = self.conv2(F.relu(self.norm2(h, labels)))
        return h + F.interpolate(self.shortcut(x), scale_factor=2)


class DownBlock(nn.Module):
    """(norm, ReLU,) 3 x 3, norm, ReLU, 3 x 3, halve, plus the halved 1 x 1 shortcut.

    Pooling is last on both paths in the papers; the shortcut pools first here, which is the same map at a quarter of
    the work. A block that keeps size and channels has no layer on its shortcut.

    Args:
        down: average-pool by two.
        first: the input is an image, which is neither normalised nor rectified.
    """

    def __init__(self, inputs: int, outputs: int, normalisation: str, down: bool = True, first: bool = False):
        super().__init__()
        norm = layer_norm if normalisation == "layer" else lambda channels: nn.Identity()
        self.down = down
        self.enter = nn.Identity() if first else nn.Sequential(norm(inputs), nn.ReLU())
        self.conv1 = Same(inputs, outputs)
        self.norm2 = norm(outputs)
        self.conv2 = ConvDown2d(outputs, outputs) if down else Same(outputs, outputs)
        self.shortcut = Same(inputs, outputs, 1) if down or inputs != outputs else nn.Identity()
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(F.relu(self.norm2(self.conv1(self.enter(x)))))
        return h + self.shortcut(F.avg_pool2d(x, 2) if self.down else x)


def _initialise(block: UpBlock | DownBlock) -> None:
    glorot(block, gain=sqrt(2))
    glorot(block.shortcut)


class ResidualGenerator(nn.Module):
    """A linear layer to the base, a doubling block for each stage, then norm, ReLU and a 3 x 3 convolution."""

    def __init__(self, latent: int, shape: Shape, plan: Stages, channels: list[int], classes: int, squash: bool):
        super().__init__()
        self.size = shape[1:]
        self.squash = squash
        base = (channels[0], *plan.base)
        self.start = nn.Sequential(glorot(nn.Linear(latent, prod(base))), ToMaps(*base))
        self.blocks = nn.ModuleList(UpBlock(inputs, outputs, classes) for inputs, outputs in pairwise(channels))
        self.norm = nn.BatchNorm2d(channels[-1])
        self.output = glorot(Same(channels[-1], shape[0]))

    def forward(
        self, latent: Float[Tensor, "batch latent"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch channels height width"]:
        x = self.start(latent)
        for block in self.blocks:
            x = block(x, labels)
        x = centre(self.output(F.relu(self.norm(x))), self.size)
        return x.tanh() if self.squash else x


class ResidualGeneratorConfig(Config):
    """width 256, max_width 256 is SNGAN's CIFAR-10 generator (4,276,739 parameters at 128 latents).

    Attributes:
        width: channels at the image's size; doubled at each coarser one.
        max_width: where the doubling ends.
    """

    name: Literal["residual"] = "residual"
    width: PositiveInt = 64
    max_width: PositiveInt = 256

    def build(self, latent: int, shape: Shape, classes: int = 0, squash: bool = True) -> ResidualGenerator:
        """Latent (batch, latent) to (batch, *shape): in [-1, 1] if `squash`, else any real numbers.

        With classes, every block's batch normalisation has gains and biases of its own for each class.

        Raises:
            RecipeError: the shape has fewer than 8 x 8 pixels.
        """
        plan = stages(shape)
        channels = plan.channels(self.width, self.max_width)[::-1]
        return ResidualGenerator(latent, shape, plan, channels, classes, squash)


class _SumPool(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x).sum((2, 3))


class ResidualDiscriminatorConfig(Config):
    """width 128, max_width 128, base 8, blocks 2 is SNGAN's CIFAR-10 discriminator (1,053,825 parameters).

    Attributes:
        width: channels of the first block's output, at half the image's size; doubled at each coarser one.
        max_width: where the doubling ends.
        base: halve while the shorter side stays at least this long.
        blocks: blocks without pooling, at the coarsest size.
        normalisation: "spectral" (SNGAN), "layer" (WGAN-GP) or "none".
    """

    name: Literal["residual"] = "residual"
    width: PositiveInt = 64
    max_width: PositiveInt = 256
    base: PositiveInt = 4
    blocks: PositiveInt = 1
    normalisation: Literal["spectral", "layer", "none"] = "spectral"

    def build(self, shape: Shape, classes: int = 0) -> Discriminator:
        """Images (batch, *shape) to scores (batch,).

        Raises:
            RecipeError: the shape has fewer than 8 x 8 pixels.
        """
        body, features = self._body(shape)
        embed = class_vectors(classes, features, features**-0.5)
        return self._ready(Discriminator(body, glorot(nn.Linear(features, 1)), embed))

    def build_encoder(self, shape: Shape, outputs: int) -> Encoder:
        """Images (batch, *shape) to (batch, outputs)."""
        body, features = self._body(shape)
        return self._ready(Encoder(body, glorot(nn.Linear(features, outputs))))

    def _body(self, shape: Shape) -> tuple[nn.Sequential, int]:
        plan = stages(shape, self.base)
        channels = plan.channels(self.width, self.max_width)
        outputs = channels[: plan.count] + [channels[-1]] * self.blocks
        blocks = [
            DownBlock(before, after, self.normalisation, down=depth < plan.count, first=depth == 0)
            for depth, (before, after) in enumerate(pairwise([shape[0], *outputs]))
        ]
        return nn.Sequential(Centre(plan.size), *blocks, _SumPool()), outputs[-1]

    def _ready(self, network: Network) -> Network:
        return spectral_norm(network) if self.normalisation == "spectral" else network
