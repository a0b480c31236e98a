"""The networks of StackGAN (Zhang et al. 2017, sections 3.2 to 3.5): text to a small image, and that to a large one.

Stage I draws a small image from noise and a sentence's vector; Stage II sees that image and the vector again and draws
a large one. `networks.matching` has their discriminators.
"""

from __future__ import annotations

from itertools import pairwise
from math import erf, prod, sqrt
from typing import Literal, NamedTuple, TypeVar

import torch
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from cardigan.config import Config
from cardigan.errors import RecipeError
from cardigan.networks.layers import (
    SMALLEST_IMAGE,
    Centre,
    Shape,
    UpConv2d,
    batch_norm,
    initialise,
    stages,
)
from cardigan.networks.strided import Halve, Same
from cardigan.objectives import at_least_float32, kl_to_standard_normal

Network = TypeVar("Network", bound=nn.Module)

SLOPE = 0.2
BOUND = 2.0
"""Standard deviations beyond which a truncated normal number does not go."""
REMEMBERED = 512
"""Sentences that a model keeps the vectors of, for samples that nobody has said a sentence of."""

Images = Float[Tensor, "batch channels _ _"]
Maps = Float[Tensor, "batch _ _ _"]
Texts = Float[Tensor, "batch dims"]
Augmentation = Literal["truncated", "normal", "none"]


class Painted(NamedTuple):
    """What a generator makes of sentences.

    Attributes:
        images: (batch, channels, height, width) in [-1, 1].
        divergence: (batch,) of the sentences' codes, see `ConditioningAugmentation`.
    """

    images: Tensor
    divergence: Tensor


# ---- conditioning augmentation ---------------------------------------------------------------------------------------


def truncated_normal(noise: Tensor) -> Tensor:
    """Standard normal numbers as draws from the normal distribution within [-2, 2], each in its place in the order."""
    return sqrt(2) * torch.erfinv(erf(BOUND / sqrt(2)) * torch.erf(noise / sqrt(2)))


class ConditioningAugmentation(nn.Module):
    """A sentence's vector as a draw from N(mu, sigma^2), a code that varies smoothly (Zhang et al. 2017, section 3.2).

    One linear layer and leaky ReLU give mu and log sigma. The divergence is KL(N(mu, sigma^2) || N(0, 1)) as the authors'
    code has it, a mean over the numbers of the code and not their sum: 1/128 of the paper's for 128 of them.

    Attributes:
        noise: standard normal numbers that a code takes; none where it is mu alone.
    """

    def __init__(self, texts: int, code: int, kind: Augmentation):
        super().__init__()
        self.kind, self.code = kind, code
        self.noise = 0 if kind == "none" else code
        self.linear = nn.Linear(texts, code + self.noise)

    def forward(
        self, texts: Texts, noise: Float[Tensor, "batch noise"]
    ) -> tuple[Float[Tensor, "batch code"], Float[Tensor, " batch"]]:
        """Codes, and the divergence of each; without noise the codes are mu and the divergences 0."""
        moments = at_least_float32(F.leaky_relu(self.linear(texts), SLOPE))
        if self.kind == "none":
            return moments, moments.new_zeros(len(moments))
        mean, log_deviation = moments.chunk(2, 1)
        draws = truncated_normal(noise) if self.kind == "truncated" else noise
        divergence = kl_to_standard_normal(mean, 2 * log_deviation) / self.code
        return mean + log_deviation.exp() * draws, divergence


def tiled(code: Float[Tensor, "batch code"], maps: Maps) -> Maps:
    """Feature maps with a code at every place, after their own channels."""
    every = code.to(maps.dtype)[:, :, None, None].expand(-1, -1, *maps.shape[2:])
    return torch.cat([maps, every], 1)


# ---- generators ------------------------------------------------------------------------------------------------------


class Residual(nn.Module):
    """ReLU(x + f(x))."""

    def __init__(self, layers: nn.Sequential, activation: nn.Module):
        super().__init__()
        self.layers, self.activation = layers, activation

    def forward(self, x: Maps) -> Maps:
        return self.activation(x + self.layers(x))


def normalised(layer: nn.Conv2d, activation: nn.Module | None = None) -> list[nn.Module]:
    """A convolution of a generator, batch normalisation, and what follows."""
    return [layer, batch_norm(layer.out_channels), *([] if activation is None else [activation])]


def bottleneck(channels: int) -> Residual:
    """1 x 1 to a quarter of the channels, 3 x 3, and 3 x 3 back."""
    quarter = max(1, channels // 4)
    layers = [
        *normalised(Same(channels, quarter, 1, bias=False), nn.ReLU(inplace=True)),
        *normalised(Same(quarter, quarter, bias=False), nn.ReLU(inplace=True)),
        *normalised(Same(quarter, channels, bias=False)),
    ]
    return Residual(nn.Sequential(*layers), nn.ReLU())


def plain(channels: int) -> Residual:
    """Two convolutions 3 x 3."""
    first = normalised(Same(channels, channels, bias=False), nn.ReLU(inplace=True))
    return Residual(nn.Sequential(*first, *normalised(Same(channels, channels, bias=False))), nn.ReLU())


def enlarged(inputs: int, outputs: int) -> list[nn.Module]:
    return normalised(UpConv2d(inputs, outputs, bias=False), nn.ReLU(inplace=True))


class StageOne(nn.Module):
    """Noise (batch, noise) and vectors of sentences (batch, texts) to images of `shape`."""

    def __init__(self, config: StackGeneratorConfig, noise: int, texts: int, shape: Shape):
        super().__init__()
        plan = stages(shape)
        channels = plan.channels(config.width, config.max_width)[: plan.count][::-1]
        start = (channels[0], *plan.base)
        self.augment = ConditioningAugmentation(texts, config.code, config.augmentation)
        # Each number of the first maps is normalised by itself, over the batch alone, and no ReLU follows.
        self.enter = nn.Sequential(
            nn.Linear(noise + config.code, prod(start)), feature_norm(prod(start)), nn.Unflatten(1, start)
        )
        layers: list[nn.Module] = [bottleneck(channels[0])]
        for level, (inputs, outputs) in enumerate(pairwise(channels)):
            if level:
                layers += enlarged(inputs, outputs)
            else:
                layers += [*normalised(UpConv2d(inputs, outputs, bias=False)), bottleneck(outputs)]
        layers += [UpConv2d(channels[-1], shape[0], bias=False), Centre(shape[1:]), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(
        self, noise: Float[Tensor, "batch noise"], draws: Float[Tensor, "batch draws"], texts: Texts
    ) -> Painted:
        code, divergence = self.augment(texts, draws)
        return Painted(self.layers(self.enter(torch.cat([noise, code], 1))), divergence)


def feature_norm(features: int) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(features)
    nn.init.normal_(norm.weight, 1.0, 0.02)
    return norm


class StageTwo(nn.Module):
    """Stage I's images of `small` and vectors of sentences to images whose sides are 2^doublings times as long."""

    def __init__(self, config: StackGeneratorConfig, texts: int, small: Shape, doublings: int):
        super().__init__()
        halvings = encoder_halvings(small)
        channels = [min(config.width << level, max(config.width, config.max_width)) for level in range(halvings + 1)]
        inner, code = channels[-1], config.code if config.text_twice else 0
        self.augment = ConditioningAugmentation(texts, code, config.augmentation) if code else None
        encoder: list[nn.Module] = [Same(small[0], channels[0], bias=False), nn.ReLU(inplace=True)]
        for inputs, outputs in pairwise(channels):
            encoder += normalised(Halve(inputs, outputs, bias=False), nn.ReLU(inplace=True))
        self.encoder = nn.Sequential(*encoder)
        blocks = config.blocks or 2 * doublings
        layers = normalised(Same(inner + code, inner, bias=False), nn.ReLU(inplace=True))
        layers += [plain(inner) for _ in range(blocks)]
        grown = [max(1, inner >> level) for level in range(halvings + doublings + 1)]
        for inputs, outputs in pairwise(grown):
            layers += enlarged(inputs, outputs)
        self.layers = nn.Sequential(*layers, Same(grown[-1], small[0], bias=False), nn.Tanh())

    def forward(self, images: Images, draws: Float[Tensor, "batch draws"], texts: Texts) -> Painted:
        maps = self.encoder(images)
        if self.augment is None:
            return Painted(self.layers(maps), texts.new_zeros(len(texts)))
        code, divergence = self.augment(texts, draws)
        return Painted(self.layers(tiled(code, maps)), divergence)


def encoder_halvings(shape: Shape) -> int:
    """How often Stage II halves what it sees: twice, as far as the sides are even and at least 4 pixels are left."""
    _, height, width = shape
    count = 0
    while count < 2 and not (height % 2 or width % 2) and min(height, width) >= 8:
        height, width, count = height // 2, width // 2, count + 1
    return count


class StackedGenerator(nn.Module):
    """Both stages, of which the first is done before the second begins.

    A latent is N(0, 1) numbers: Stage I's noise, then what its and Stage II's augmentation of the sentence draw, then one
    that chooses among the remembered sentences where none is said. An image is a function of latent and sentence alone,
    so that one word can be changed with everything else as it was.

    Attributes:
        stage: 1 or 2, which is learning; stored with the weights.
        latent: numbers in a latent.
        doublings: how often Stage II doubles the sides; 0 where there is no Stage II.
    """

    begun: Tensor
    sentences: Tensor

    def __init__(self, config: StackGeneratorConfig, noise: int, texts: int, shape: Shape, doublings: int):
        super().__init__()
        self.doublings, self.stage = doublings, 1
        small = smaller(shape, doublings)
        self.one = StageOne(config, noise, texts, small)
        self.two = StageTwo(config, texts, small, doublings) if doublings else None
        again = self.two.augment if self.two else None
        self.sizes = [noise, self.one.augment.noise, again.noise if again else 0, 1]
        self.latent = sum(self.sizes)
        self.register_buffer("begun", torch.tensor(1))
        self.register_buffer("sentences", torch.zeros(REMEMBERED, texts))
        self.register_load_state_dict_post_hook(lambda module, keys: module.find_stage())

    def enter(self, stage: int) -> None:
        """Let a stage learn; from then on the one before it stands still, its statistics included."""
        self.begun.fill_(stage)
        self.stage = stage

    def find_stage(self) -> None:
        if not self.begun.is_meta:
            self.stage = int(self.begun)

    def forward(self, latents: Float[Tensor, "batch latent"], texts: Texts) -> Painted:
        """Images of the stage that is learning."""
        return self.drawn(latents, texts) if self.stage == 1 else self.refined(latents, texts)

    def drawn(self, latents: Float[Tensor, "batch latent"], texts: Texts) -> Painted:
        """Stage I's images."""
        noise, draws, _, _ = latents.split(self.sizes, 1)
        return self.one(noise, draws, texts)

    def refined(self, latents: Float[Tensor, "batch latent"], texts: Texts) -> Painted:
        """Stage II's images of Stage I's, which is taken as it is.

        Stage I normalises by the averages of its training, as it will when it is used: an image then depends on no other
        image of the batch, and nothing of Stage I changes, its averages included.
        """
        assert self.two is not None
        self.one.eval()
        with torch.no_grad():
            small = self.drawn(latents, texts).images
        return self.two(small, latents.split(self.sizes, 1)[2], texts)

    def remembered(self, latents: Float[Tensor, "batch latent"]) -> Texts:
        """A sentence's vector for each latent, all equally likely."""
        place = torch.special.ndtr(latents[:, -1].float()) * REMEMBERED
        return self.sentences[place.long().clamp(0, REMEMBERED - 1)]


def smaller(shape: Shape, doublings: int) -> Shape:
    channels, height, width = shape
    return channels, height >> doublings, width >> doublings


def doubled(images: Images, times: int = 1) -> Images:
    """Every pixel as a square of pixels."""
    return F.interpolate(images, scale_factor=2**times) if times else images


class StackGeneratorConfig(Config):
    """Both generators. 14,264,192 and 26,290,080 parameters with the paper's 128 channels, 64 and 256 pixels, 3 channels,
    100 numbers of noise and sentences of 1,024.

    Attributes:
        width: channels of Stage I's finest feature map, at half its size, doubled at each coarser one; Stage II begins with
            as many and doubles them with each halving.
        max_width: where the doubling ends.
        code: numbers in the code of a sentence.
        augmentation: what a code is drawn with: "truncated" normal numbers within [-2, 2], as in the authors' code,
            "normal" ones, as in the paper, or "none", which leaves the mean.
        text_twice: Stage II is told the sentence again.
        blocks: residual blocks of Stage II; by default 4 where it doubles twice and 2 where it does once.
    """

    width: PositiveInt = 128
    max_width: PositiveInt = 1024
    code: PositiveInt = 128
    augmentation: Augmentation = "truncated"
    text_twice: bool = True
    blocks: PositiveInt | None = None

    def build(self, noise: int, texts: int, shape: Shape, doublings: int) -> StackedGenerator:
        """Latents (batch, latent) and vectors of sentences (batch, texts) to images of `shape`.

        Raises:
            RecipeError: the shape cannot be halved so often, or Stage I would have fewer than 8 x 8 pixels.
        """
        refuse_size(shape, doublings)
        return initialised(StackedGenerator(self, noise, texts, shape, doublings))


def refuse_size(shape: Shape, doublings: int) -> None:
    _, height, width = shape
    factor = 2**doublings
    if height % factor or width % factor or min(height, width) < SMALLEST_IMAGE * factor:
        rows, columns = (max(SMALLEST_IMAGE, round(side / factor)) * factor for side in (height, width))
        raise RecipeError(
            f"{width} x {height} pixels are not {factor} times an image of at least {SMALLEST_IMAGE} x {SMALLEST_IMAGE}, "
            f"which Stage I draws: use --set data.size=[{rows},{columns}]"
            + (", or --set game.enlarge=2" if factor > 2 else "")
        )


def initialised(network: Network) -> Network:
    """Convolutions from the normal distribution within two deviations of .02, linear layers from N(0, .02^2)."""

    def draw(weight: Tensor) -> Tensor:
        if weight.dim() == 2:
            return nn.init.normal_(weight, 0.0, 0.02)
        return nn.init.trunc_normal_(weight, 0.0, 0.02, -BOUND * 0.02, BOUND * 0.02)

    return initialise(network, draw)
