"""The growing networks of Progressive GAN (Karras et al. 2018, section 2 and appendix A).

Both players begin at a base of about 4 x 4 pixels and grow by doublings. `level` says how far: 2 is the second doubling
alone, 1.4 the second's layers faded in by four tenths beside what the first made. A network at level n works on images
of that resolution from end to end: nothing larger is computed.

Weights are normal and scaled where they are used (equalised learning rate, section 4.1), the generator normalises each
pixel's feature vector (4.2), and the critic is told how much its batch varies (section 3).
"""

from __future__ import annotations

from itertools import pairwise
from math import ceil, prod, sqrt
from typing import Literal, TypeVar

import torch
from jaxtyping import Float, Int
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from cardigan.config import Config
from cardigan.errors import RecipeError
from cardigan.networks.layers import LabelledLatent, Shape, Stages, UpConv2d, he, required
from cardigan.networks.strided import Same

Layer = TypeVar("Layer", bound=nn.Linear | nn.Conv2d)

SLOPE = 0.2
GAIN = sqrt(2)
SMALLEST, LARGEST = 4, 7
REMEMBERED = 0.01
"""Weight of the newest deviation in the usual one."""
ONE = 1 << 16
"""Level 1 in the buffer that a model's level is stored in, which counts whole numbers."""

Images = Float[Tensor, "batch channels _ _"]
Maps = Float[Tensor, "batch _ _ _"]


def doublings(shape: Shape) -> Stages:
    """The base of 4 to 7 pixels from which whole doublings lead to an image's size.

    Raises:
        RecipeError: there is none; the nearest size that has one is named.
    """
    _, height, width = shape
    count = 0
    while not (height % 2 or width % 2) and min(height, width) > LARGEST:
        height, width, count = height // 2, width // 2, count + 1
    if not count or not SMALLEST <= min(height, width) <= LARGEST:
        raise RecipeError(
            f"{shape[2]} x {shape[1]} pixels cannot be grown by doubling from {SMALLEST} to {LARGEST}: "
            f"use --set data.size=[{nearest(shape)[0]},{nearest(shape)[1]}], or another recipe"
        )
    return Stages((height, width), count)


def nearest(shape: Shape) -> tuple[int, int]:
    """The (height, width) nearest to an image's that doubling reaches."""
    _, height, width = shape
    count = 1
    while min(height, width) / 2**count > LARGEST + 0.5:
        count += 1
    rows, columns = (max(SMALLEST, round(side / 2**count)) << count for side in (height, width))
    return rows, columns


class Scale(nn.Module):
    """w = gain / sqrt(fan in) times the stored weight (section 4.1)."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.factor


def equalised(layer: Layer, gain: float = GAIN, runtime: bool = True) -> Layer:
    """Weights from N(0, 1), scaled by gain / sqrt(fan in) in every forward, biases zero; without `runtime` once."""
    he(layer, gain if not runtime else sqrt(layer.weight[0].numel()))
    if runtime:
        parametrize.register_parametrization(layer, "weight", Scale(gain / sqrt(layer.weight[0].numel())))
    return layer


def pixel_norm(x: Tensor) -> Tensor:
    """x over the root of its mean square over channels (section 4.2)."""
    return x * (x.float().square().mean(1, keepdim=True) + 1e-8).rsqrt().to(x.dtype)


class PixelNorm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return pixel_norm(x)


class MinibatchDeviation(nn.Module):
    """Appends a map of the standard deviation over a group of samples, averaged over channels and pixels (section 3).

    Groups are of consecutive samples, so that halves of a batch that are multiples of a group do not mix. In evaluation
    mode the map is what it has been on average of late: a score then does not depend on the rest of the batch.
    """

    usual: Tensor

    def __init__(self, group: int):
        super().__init__()
        self.group = group
        self.register_buffer("usual", torch.ones(()))

    def forward(self, x: Maps) -> Maps:
        if not self.training:
            return with_map(x, self.usual.expand(len(x)))
        return torch.cat([self.appended(part) for part in whole_groups(x, self.group)])

    def appended(self, x: Maps) -> Maps:
        groups = x.float().unflatten(0, (-1, min(self.group, len(x))))
        deviations = (groups.var(1, correction=0) + 1e-8).sqrt().mean((1, 2, 3))
        self.usual.lerp_(deviations.detach().mean(), REMEMBERED)
        return with_map(x, deviations.repeat_interleave(groups.shape[1]))


def with_map(x: Maps, values: Float[Tensor, " batch"]) -> Maps:
    """One more map, of the same value at each pixel."""
    return torch.cat([x, values.to(x.dtype)[:, None, None, None].expand(-1, 1, *x.shape[2:])], 1)


def whole_groups(x: Tensor, group: int) -> list[Tensor]:
    """The samples that fill groups, then those that are left over."""
    whole = len(x) // group * group
    return [part for part in (x[:whole], x[whole:]) if len(part)]


def in_steps(level: float) -> float:
    """A level in whole steps of 2^-16, as it can be stored."""
    return round(level * ONE) / ONE


class Growing(nn.Module):
    """Something that has a level, which is stored with its weights.

    Attributes:
        level: 0 for the base, `levels` for the full size; a fraction is a fade.
    """

    growth: Tensor

    def __init__(self, levels: int):
        super().__init__()
        self.levels = levels
        self.register_buffer("growth", torch.tensor(levels * ONE))
        self.level = float(levels)
        self.register_load_state_dict_post_hook(lambda module, keys: module.find_level())

    def grow(self, level: float) -> None:
        """To a level that is a whole number of steps."""
        self.growth.fill_(round(level * ONE))
        self.level = level

    def find_level(self) -> None:
        if not self.growth.is_meta:
            self.level = self.growth.item() / ONE

    @property
    def top(self) -> int:
        """The level whose resolution is worked at."""
        return ceil(self.level)

    @property
    def fade(self) -> float:
        """The share of the newest layers: 1 where nothing is being faded in."""
        return 1.0 - (self.top - self.level)


def fade_in(old: Tensor, new: Tensor, share: float) -> Tensor:
    return torch.lerp(old, new, share)


def doubled(images: Images) -> Images:
    return F.interpolate(images, scale_factor=2)


def halved(images: Images) -> Images:
    return F.avg_pool2d(images, 2)


class ProgressiveGenerator(Growing):
    """Latent (batch, latent) to images at the level's resolution."""

    def __init__(self, config: ProgressiveGeneratorConfig, latent: int, shape: Shape, classes: int):
        plan = doublings(shape)
        super().__init__(plan.count)
        channels = plan.channels(config.width, config.max_width)[::-1]
        norm: list[nn.Module] = [PixelNorm()] if config.pixel_norm else []
        equal = config.equalised

        def active(layer: nn.Linear | nn.Conv2d, gain: float = GAIN) -> list[nn.Module]:
            return [equalised(layer, gain, equal), nn.LeakyReLU(SLOPE), *norm]

        self.latent = LabelledLatent(latent, classes)
        base = (channels[0], *plan.base)
        enter = equalised(Spread(self.latent.width, base), GAIN / sqrt(prod(plan.base)), equal)
        first = [enter, nn.LeakyReLU(SLOPE), *norm, *active(Same(channels[0], channels[0]))]
        grown = [
            [*active(UpConv2d(inputs, outputs)), *active(Same(outputs, outputs))]
            for inputs, outputs in pairwise(channels)
        ]
        self.blocks = nn.ModuleList(nn.Sequential(*layers) for layers in (first, *grown))
        self.to_images = nn.ModuleList(equalised(Same(c, shape[0], 1), 1.0, equal) for c in channels)

    def forward(self, latent: Float[Tensor, "batch latent"], labels: Int[Tensor, " batch"] | None = None) -> Images:
        maps = self.blocks[0](pixel_norm(self.latent(latent, labels)))
        before = maps
        for block in self.blocks[1 : self.top + 1]:
            before, maps = maps, block(maps)
        images = self.to_images[self.top](maps)
        if self.fade == 1.0:
            return images
        return fade_in(doubled(self.to_images[self.top - 1](before)), images, self.fade)


class Spread(nn.Linear):
    """Linear to maps (batch, *shape) with one bias a channel."""

    def __init__(self, inputs: int, shape: Shape):
        super().__init__(inputs, prod(shape), bias=False)
        self.shape = shape
        self.channel_bias = nn.Parameter(torch.zeros(shape[0]))

    def forward(self, input: Tensor) -> Maps:
        maps = super().forward(input).unflatten(1, self.shape)
        return maps + self.channel_bias.to(maps.dtype)[:, None, None]


class ProgressiveCritic(Growing):
    """Images at the level's resolution to scores (batch,), with classes by projection."""

    def __init__(self, config: ProgressiveCriticConfig, shape: Shape, classes: int):
        plan = doublings(shape)
        super().__init__(plan.count)
        channels, equal = plan.channels(config.width, config.max_width)[::-1], config.equalised

        def active(layer: nn.Linear | nn.Conv2d) -> list[nn.Module]:
            return [equalised(layer, GAIN, equal), nn.LeakyReLU(SLOPE)]

        self.group = config.group
        deviation: list[nn.Module] = [MinibatchDeviation(config.group)] if config.group else []
        width = channels[0] * prod(plan.base)
        last = [*deviation, *active(Same(channels[0] + len(deviation), channels[0]))]
        last += [nn.Flatten(), *active(nn.Linear(width, channels[0]))]
        shrunk = [
            [*active(Same(inputs, inputs)), *active(Same(inputs, outputs)), nn.AvgPool2d(2)]
            for outputs, inputs in pairwise(channels)
        ]
        self.blocks = nn.ModuleList(nn.Sequential(*layers) for layers in (last, *shrunk))
        self.from_images = nn.ModuleList(nn.Sequential(*active(Same(shape[0], c, 1))) for c in channels)
        self.linear = equalised(nn.Linear(channels[0], 1), 1.0, equal)
        self.embed = equalised_embedding(classes, channels[0])

    def forward(self, images: Images, labels: Int[Tensor, " batch"] | None = None) -> Float[Tensor, " batch"]:
        features = self.features(images)
        scores = self.linear(features).squeeze(1)
        if self.embed is None:
            return scores
        return scores + (self.embed(required(labels)) * features).sum(1)

    def features(self, images: Images) -> Float[Tensor, "batch features"]:
        """What the last layer is given."""
        maps = self.from_images[self.top](images)
        if self.fade < 1.0:
            maps = self.blocks[self.top](maps)
            maps = fade_in(self.from_images[self.top - 1](halved(images)), maps, self.fade)
        first = self.top if self.fade == 1.0 else self.top - 1
        for level in range(first, -1, -1):
            maps = self.blocks[level](maps)
        return maps


def equalised_embedding(classes: int, features: int) -> nn.Embedding | None:
    """Class vectors from N(0, 1), scaled by 1 / sqrt(features) where they are used."""
    if not classes:
        return None
    embed = nn.Embedding(classes, features)
    parametrize.register_parametrization(embed, "weight", Scale(features**-0.5))
    return embed


class _ProgressiveConfig(Config):
    """What both players' settings share."""

    name: Literal["progressive"] = "progressive"
    width: PositiveInt = 8
    max_width: PositiveInt = 128
    equalised: bool = True


class ProgressiveGeneratorConfig(_ProgressiveConfig):
    """The generator.

    Attributes:
        width: channels at the image's size; doubled at each coarser one. The paper has 16 at 1024 x 1024, 256 at 64.
        max_width: where the doubling ends, 512 in the paper.
        equalised: scale weights where they are used, not once at the start.
        pixel_norm: normalise each pixel's feature vector.
    """

    pixel_norm: bool = True

    def build(self, latent: int, shape: Shape, classes: int = 0, squash: bool = True) -> ProgressiveGenerator:
        """Latent (batch, latent) to (batch, *shape), any real numbers: the output is linear.

        Raises:
            RecipeError: whole doublings from 4 to 7 pixels do not lead to the shape.
        """
        return ProgressiveGenerator(self, latent, shape, classes)


class ProgressiveCriticConfig(_ProgressiveConfig):
    """The critic.

    Attributes:
        width: channels at the image's size; doubled at each coarser one.
        max_width: where the doubling ends.
        equalised: scale weights where they are used, not once at the start.
        group: samples over which a standard deviation is taken; 0 for none.
    """

    group: NonNegativeInt = 4

    def build(self, shape: Shape, classes: int = 0) -> ProgressiveCritic:
        """Images (batch, *shape) to scores (batch,).

        Raises:
            RecipeError: whole doublings from 4 to 7 pixels do not lead to the shape.
        """
        return ProgressiveCritic(self, shape, classes)
