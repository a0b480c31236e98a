"""Pieces that all networks share: how sizes are planned, resampling convolutions, norms, heads and initialisers."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Literal, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from cardigan.errors import RecipeError
from cardigan.networks.strided import strided, with_bias

Network = TypeVar("Network", bound=nn.Module)
Shape = tuple[int, int, int]
Normalisation = Literal["none", "batch", "layer", "spectral"]

SMALLEST_IMAGE = 8


@dataclass(frozen=True)
class Stages:
    """A base size and how often it is doubled.

    Attributes:
        base: (height, width) of the coarsest feature map.
        count: number of doublings (generator) or halvings (discriminator).
    """

    base: tuple[int, int]
    count: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the finest feature map: at least the image's, which is its centre."""
        return self.base[0] << self.count, self.base[1] << self.count

    def channels(self, width: int, max_width: int) -> list[int]:
        """Channels from the finest feature map to the coarsest: doubled at each halving, up to `max_width`."""
        return [min(width << level, max(width, max_width)) for level in range(self.count + 1)]


def stages(shape: Shape, smallest: int = 4) -> Stages:
    """Halve an image's sides (rounding up) while the shorter one is at least twice `smallest`.

    28 x 28 gives a base of 7 x 7 and two stages, 64 x 64 a base of 4 x 4 and four, 100 x 60 a base of 7 x 4 and four.

    Raises:
        RecipeError: the image is too small for convolutions.
    """
    _, height, width = shape
    if min(height, width) < SMALLEST_IMAGE:
        raise RecipeError(
            f"convolutional networks need at least {SMALLEST_IMAGE} x {SMALLEST_IMAGE} pixels, "
            f'not {height} x {width}: choose the networks with name = "mlp"'
        )
    count = 0
    while min(height, width) >= 2 * smallest:
        height, width, count = ceil(height / 2), ceil(width / 2), count + 1
    return Stages((height, width), count)


def centre(
    images: Float[Tensor, "batch channels height width"], size: tuple[int, int]
) -> Float[Tensor, "batch channels new_height new_width"]:
    """Cut or zero-pad images about their centre to (height, width); what fits already is returned as it is."""
    rows, columns = size[0] - images.shape[2], size[1] - images.shape[3]
    if rows == columns == 0:
        return images
    left, top = int(columns / 2), int(rows / 2)  # rounded towards zero, so that cutting undoes padding
    return F.pad(images, (left, columns - left, top, rows - top))


class Centre(nn.Module):
    """`centre` as a layer."""

    def __init__(self, size: tuple[int, int]):
        super().__init__()
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        return centre(images, self.size)


class UpConv2d(nn.Conv2d):
    """Nearest-neighbour doubling followed by a 3 x 3 convolution, as one strided transposed convolution.

    Each output pixel sees only 2 x 2 different input pixels, so the nine taps fold into four: the same numbers for
    4/9 of the multiplications.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True):
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight.transpose(0, 1)
        # A transposed convolution runs its kernel backwards.
        kernel = (weight.flatten(2) @ (4 * _spread(weight).flip(0))).unflatten(2, (4, 4))
        return with_bias(strided(input, kernel, True), self.bias)


class ConvDown2d(nn.Conv2d):
    """A 3 x 3 convolution followed by 2 x 2 average pooling, as one strided convolution (4/9 of the work)."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True):
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight
        kernel = (weight.flatten(2) @ _spread(weight)).unflatten(2, (4, 4))
        return with_bias(strided(input, kernel, False), self.bias)


def _spread(kernel: Tensor) -> Tensor:
    """The (9, 16) matrix that averages a 3 x 3 kernel over its four placements in 4 x 4."""
    eye = torch.eye(3, device=kernel.device, dtype=kernel.dtype)
    line = (F.pad(eye, (0, 1)) + F.pad(eye, (1, 0))) / 2
    return torch.kron(line, line)


class Reshape(nn.Module):
    """(batch, numbers) to (batch, *shape)."""

    def __init__(self, *shape: int):
        super().__init__()
        self.shape = shape

    def forward(self, input: Tensor) -> Tensor:
        return input.view(-1, *self.shape)


class ToMaps(nn.Module):
    """(batch, height * width * channels) to feature maps, which lie in memory channels last: nothing is copied."""

    def __init__(self, channels: int, height: int, width: int):
        super().__init__()
        self.pixels = (height, width, channels)

    def forward(self, input: Float[Tensor, "batch numbers"]) -> Float[Tensor, "batch channels height width"]:
        return input.unflatten(1, self.pixels).permute(0, 3, 1, 2)


class FromMaps(nn.Module):
    """The way back from feature maps to (batch, height * width * channels)."""

    def forward(self, input: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch numbers"]:
        return input.permute(0, 2, 3, 1).flatten(1)


class Maxout(nn.Module):
    """max_j (x W_j + b_j) over `pieces` affine maps (Goodfellow et al. 2013, eq. 2)."""

    def __init__(self, inputs: int, outputs: int, pieces: int):
        super().__init__()
        self.pieces = pieces
        self.linear = nn.Linear(inputs, outputs * pieces)

    def forward(self, input: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch outputs"]:
        return self.linear(input).unflatten(1, (-1, self.pieces)).amax(2)


class ConditionalBatchNorm2d(nn.Module):
    """Batch normalisation whose gain and bias belong to the class (Dumoulin et al. 2017); plain without classes."""

    def __init__(self, channels: int, classes: int = 0):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=not classes)
        self.gain = nn.Embedding(classes, channels) if classes else None
        self.bias = nn.Embedding(classes, channels) if classes else None
        if self.gain is not None and self.bias is not None:
            nn.init.ones_(self.gain.weight)
            nn.init.zeros_(self.bias.weight)

    def forward(
        self, input: Float[Tensor, "batch channels height width"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch channels height width"]:
        normal = self.norm(input)
        if self.gain is None or self.bias is None:
            return normal
        labels = required(labels)
        return torch.addcmul(self.bias(labels)[:, :, None, None], self.gain(labels)[:, :, None, None], normal)


class LabelledLatent(nn.Module):
    """Appends a learned code of the label to the latent vector; passes it on without classes.

    Attributes:
        width: numbers in the output.
    """

    def __init__(self, latent: int, classes: int):
        super().__init__()
        code = min(classes, 64)
        self.width = latent + code
        self.embed = nn.Embedding(classes, code) if classes else None

    def forward(
        self, latent: Float[Tensor, "batch latent"], labels: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch width"]:
        return latent if self.embed is None else torch.cat([latent, self.embed(required(labels))], 1)


def required(labels: Tensor | None) -> Tensor:
    """The labels, or a ValueError where a conditional network was given none."""
    if labels is None:
        raise ValueError("labels: a class-conditional network needs one label per sample, not None")
    return labels


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with gains from N(1, .02), as in DCGAN."""
    norm = nn.BatchNorm2d(channels)
    nn.init.normal_(norm.weight, 1.0, 0.02)
    return norm


def layer_norm(channels: int) -> nn.GroupNorm:
    """Layer normalisation over channels and pixels, one gain per channel (WGAN-GP's critic)."""
    return nn.GroupNorm(1, channels)


def normal(module: Network, std: float = 0.02) -> Network:
    """Draw the weights of every linear and convolution layer from N(0, std^2) and zero their biases."""
    return initialise(module, lambda weight: nn.init.normal_(weight, 0.0, std))


def glorot(module: Network, gain: float = 1.0) -> Network:
    """Uniform weights with variance gain^2 * 2 / (inputs + outputs) (Glorot & Bengio 2010), biases zero."""
    return initialise(module, lambda weight: nn.init.xavier_uniform_(weight, gain))


def he(module: Network, gain: float = 1.0) -> Network:
    """Normal weights with standard deviation gain / sqrt(inputs) (He et al. 2015), biases zero.

    The inputs of one output of a transposed convolution are its kernel's taps over the square of its stride.
    """
    for layer in module.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            taps = layer.weight[:, 0].numel() / (layer.stride[0] * layer.stride[1])
        elif isinstance(layer, nn.Linear | nn.Conv2d):
            taps = layer.weight[0].numel()
        else:
            continue
        nn.init.normal_(layer.weight, 0.0, gain / sqrt(taps))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return module


def initialise(module: Network, draw: Callable[[Tensor], Tensor]) -> Network:
    """Draw the weights of every linear, convolution and maxout layer in place and zero their biases."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            draw(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module
