"""UNIT's networks for domain adaptation (Liu, Breuel & Kautz 2017, section 4.3), at 32 x 32 pixels.

A coupled autoencoder whose code is one vector an image, and a coupled discriminator that also names the class: what it
learns from labelled images of one domain it knows of translations of them, and so of the other domain.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from cardigan.config import Config
from cardigan.errors import RecipeError
from cardigan.networks.coupled import Channels, Code, Coupled, Domain, Images, active
from cardigan.networks.layers import normal
from cardigan.networks.sizes import Takes
from cardigan.networks.strided import Conv, Double, Same

SIDE = 32
CODE_STD = 0.002
DROPOUT = (0.1, 0.3, 0.5, 0.5)


def check_side(size: tuple[int, int]) -> None:
    if tuple(size) != (SIDE, SIDE):
        raise RecipeError(
            f"domain adaptation works on {SIDE} x {SIDE} pixels, not {size[1]} x {size[0]}: use --set data.size={SIDE}"
        )


def with_coordinates(images: Images) -> Images:
    """Two more channels: each pixel's column and row, from -1 to 1."""
    height, width = images.shape[2:]
    column = torch.linspace(-1, 1, width, device=images.device, dtype=images.dtype).expand(
        len(images), 1, height, width
    )
    row = torch.linspace(-1, 1, height, device=images.device, dtype=images.dtype)[:, None].expand_as(column)
    return torch.cat([images, column, row], 1)


class Coordinates(nn.Module):
    """`with_coordinates` as a layer."""

    def forward(self, images: Images) -> Images:
        return with_coordinates(images)


class Shift(nn.Module):
    """One number added to each map."""

    def __init__(self, channels: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, input: Tensor) -> Tensor:
        return input + self.bias


def normalised(layer: nn.Module, channels: int) -> list[nn.Module]:
    """A layer, batch normalisation that learns a bias but no gain, and a leaky ReLU."""
    return [layer, nn.BatchNorm2d(channels, affine=False), *active(Shift(channels))]


class Posterior(nn.Module):
    """Features to the posterior's mean, and then its standard deviation, along the channels."""

    def __init__(self, features: int):
        super().__init__()
        self.mean = Same(features, features, 1)
        self.deviation = Same(features, features, 1)

    def forward(self, features: Code) -> Code:
        return torch.cat([self.mean(features), F.softplus(self.deviation(features))], 1)


class CoVAE(Coupled):
    """`encode` gives the posterior's mean (batch, 8 width, 1, 1) and after it, along channels, its standard deviation.

    Batch normalisation is over all that a layer is given: `all_ways` gives the shared ones both domains' images at once.
    """

    def takes(self, trained: tuple[int, int]) -> Takes:
        """One size of image, as its code is of one pixel."""
        return Takes(SIDE, least=SIDE, reach="fixed")

    def drawn(self, posterior: Code) -> Code:
        """A draw from N(mean, deviation^2) in training, the mean in evaluation."""
        mean, deviation = posterior.chunk(2, 1)
        return mean + deviation * torch.randn_like(mean) if self.training else mean


class CoVAEConfig(Config):
    """The autoencoder.

    Attributes:
        width: channels of the first layer, 64 in the paper; the code is of eight times as many numbers.
        coordinates: tell the encoders where in the image each pixel is.
    """

    name: Literal["covae"] = "covae"
    width: PositiveInt = 64
    coordinates: bool = False

    def build(self, channels: Channels, size: tuple[int, int] = (SIDE, SIDE)) -> CoVAE:
        """For images of `channels[0]` and `channels[1]` channels.

        Raises:
            RecipeError: the size is not 32 x 32.
        """
        check_side(size)
        network = CoVAE(
            encoders=[self.encoder(count) for count in channels],
            enter=[self.enter()],
            leave=[self.leave()],
            decoders=[self.decoder(count) for count in channels],
        )
        normal(network)
        for module in network.modules():
            if isinstance(module, Posterior):
                normal(module, CODE_STD)
        return network

    def encoder(self, channels: int) -> nn.Sequential:
        """32 x 32 pixels to 16 x 16."""
        more: list[nn.Module] = [Coordinates()] if self.coordinates else []
        first = Conv(channels + 2 * len(more), self.width, 5, stride=2, padding=2, bias=False)
        return nn.Sequential(*more, *normalised(first, self.width))

    def enter(self) -> nn.Sequential:
        """16 x 16 pixels to one."""
        w = self.width
        return nn.Sequential(
            *normalised(Conv(w, 2 * w, 5, stride=2, padding=2, bias=False), 2 * w),
            *normalised(Conv(2 * w, 4 * w, SIDE // 4, bias=False), 4 * w),
            *normalised(Same(4 * w, 8 * w, 1, bias=False), 8 * w),
            Posterior(8 * w),
        )

    def leave(self) -> nn.Sequential:
        """One pixel to 16 x 16."""
        w = self.width
        return nn.Sequential(
            *normalised(nn.ConvTranspose2d(8 * w, 8 * w, 4, bias=False), 8 * w),
            *normalised(Double(8 * w, 4 * w, bias=False), 4 * w),
            *normalised(Double(4 * w, 2 * w, bias=False), 2 * w),
        )

    def decoder(self, channels: int) -> nn.Sequential:
        """16 x 16 pixels to 32 x 32."""
        w = self.width
        return nn.Sequential(*normalised(Double(2 * w, w, bias=False), w), Same(w, channels, 1), nn.Tanh())


class Judged(NamedTuple):
    """What the discriminator says of images.

    Attributes:
        scores: (batch,), higher is more real.
        classes: (batch, classes), logits.
        features: (batch, 8 width, 2, 2), what both are read from.
    """

    scores: Tensor
    classes: Tensor
    features: Tensor


class CoDis(nn.Module):
    """Images of a domain, 0 or 1, to scores of realness, logits of the classes, and the features of both.

    The paper's softmax over real and fake is the sigmoid of one score.
    """

    couples_batch = False

    def __init__(self, config: CoDisConfig, channels: Channels, classes: int):
        super().__init__()
        widths = [config.width << level for level in range(4)]
        self.own = nn.ModuleList(nn.Sequential(*config.first(count)) for count in channels)
        layers = []
        for (before, after), share in zip(pairwise(widths), DROPOUT[1:], strict=True):
            layers += config.block(before, after, share)
        self.shared = nn.Sequential(*layers)
        self.score = Conv(widths[-1], 1, SIDE // 16)
        self.classify = Conv(widths[-1], classes, SIDE // 16)

    def features(self, images: Images, domain: Domain) -> Float[Tensor, "batch features 2 2"]:
        return self.shared(self.own[domain](images))

    def forward(self, images: Images, domain: Domain) -> Judged:
        features = self.features(images, domain)
        return Judged(self.score(features).flatten(), self.classify(features).flatten(1), features)


class CoDisConfig(Config):
    """The discriminator.

    Attributes:
        width: channels of the first layer, the only one that a domain has of its own; doubled at each further one.
        coordinates: tell it where in the image each pixel is.
    """

    name: Literal["codis"] = "codis"
    width: PositiveInt = 64
    coordinates: bool = False

    def build(self, channels: Channels, classes: int, size: tuple[int, int] = (SIDE, SIDE)) -> CoDis:
        """For images of `channels[0]` and `channels[1]` channels.

        Raises:
            RecipeError: the size is not 32 x 32.
        """
        check_side(size)
        return normal(CoDis(self, channels, classes))

    def first(self, channels: int) -> list[nn.Module]:
        more: list[nn.Module] = [Coordinates()] if self.coordinates else []
        return [*more, *self.block(channels + 2 * len(more), self.width, DROPOUT[0])]

    def block(self, inputs: int, outputs: int, share: float) -> list[nn.Module]:
        return [Same(inputs, outputs, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Dropout(share)]
