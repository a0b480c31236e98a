"""UNIT's coupled translator and discriminator (Liu, Breuel & Kautz 2017), with layers that both domains share.

Two autoencoders whose deepest layers are the same parameters, not copies: what they say of an image they say in one code,
from which either decoder paints. "Shared" is the paper's weight sharing (section 2 and table 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor, nn

from cardigan.config import Config
from cardigan.networks.layers import normal
from cardigan.networks.norms import InstanceNorm
from cardigan.networks.sizes import Takes
from cardigan.networks.strided import Conv, Double, Halve, Same
from cardigan.networks.translator import SMALLEST, check_size
from cardigan.networks.winograd import Conv3, Lay

Domain = Literal[0, 1]
Channels = tuple[int, int]
"""Channels of the images of either domain."""

Images = Float[Tensor, "_ _ _ _"]
Code = Float[Tensor, "_ _ _ _"]

HALVINGS = 2
OWN = 2
"""Layers of the discriminator that every domain has of its own."""


class Residual(nn.Module):
    """x + (3 x 3, instance norm, ReLU, 3 x 3, instance norm)(x), padded by zeros."""

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.ZeroPad2d(1), Conv3(channels, channels), InstanceNorm(), nn.ReLU(inplace=True)),
            *(nn.ZeroPad2d(1), Conv3(channels, channels), InstanceNorm()),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def residuals(channels: int, count: int) -> list[nn.Module]:
    return [Residual(channels) for _ in range(count)]


def active(layer: nn.Module) -> list[nn.Module]:
    return [layer, nn.LeakyReLU(inplace=True)]


class Ways(NamedTuple):
    """What images a of domain 0 and b of domain 1 become.

    Attributes:
        codes: what the encoders say of both, a's first.
        b_to_a: b's images in domain 0.
        a_to_b: a's images in domain 1.
    """

    codes: Tensor
    a_to_a: Tensor
    b_to_a: Tensor
    a_to_b: Tensor
    b_to_b: Tensor


class Coupled(nn.Module):
    """Encoders to one code and decoders of it; domains are 0 and 1.

    Args:
        encoders: one a domain, images to maps.
        enter: maps to what is known of the code: one module that both domains share, or one a domain.
        leave: the code to maps: likewise.
        decoders: one a domain, maps to images in [-1, 1].
    """

    def __init__(
        self,
        encoders: Sequence[nn.Module],
        enter: Sequence[nn.Module],
        leave: Sequence[nn.Module],
        decoders: Sequence[nn.Module],
    ):
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.enter = nn.ModuleList(enter)
        self.leave = nn.ModuleList(leave)
        self.decoders = nn.ModuleList(decoders)

    @property
    def shared(self) -> bool:
        """Whether the code's layers are one set of parameters."""
        return len(self.enter) == 1

    def encode(self, images: Images, domain: Domain) -> Code:
        """The posterior's mean (batch, features, rows, columns)."""
        return self.enter[self.set_of(domain)](self.encoders[domain](images))

    def decode(self, code: Code, domain: Domain) -> Images:
        """Images in [-1, 1]."""
        return self.decoders[domain](self.leave[self.set_of(domain)](code))

    def drawn(self, posterior: Code) -> Code:
        """A draw from N(mean, 1) in training, the mean in evaluation."""
        return posterior + torch.randn_like(posterior) if self.training else posterior

    def forward(self, images: Images, source: Domain, target: Domain) -> Images:
        """Images of one domain in the other, or in their own."""
        return self.decode(self.drawn(self.encode(images, source)), target)

    def all_ways(self, a: Images, b: Images) -> Ways:
        """Both reconstructions and both translations, with every shared layer run once and one draw for each image."""
        codes = self.encode_both(a, b)
        to_a, to_b = self.decode_both(self.drawn(codes))
        return Ways(codes, *to_a.split([len(a), len(b)]), *to_b.split([len(a), len(b)]))

    def encode_both(self, a: Images, b: Images) -> Code:
        """What `encode` says of images of domain 0, then of those of domain 1."""
        if not self.shared:
            return torch.cat([self.encode(a, 0), self.encode(b, 1)])
        return self.enter[0](torch.cat([self.encoders[0](a), self.encoders[1](b)]))

    def decode_both(self, code: Code) -> tuple[Images, Images]:
        """Every code as an image of domain 0, and as one of domain 1."""
        if not self.shared:
            return self.decode(code, 0), self.decode(code, 1)
        maps = self.leave[0](code)
        return self.decoders[0](maps), self.decoders[1](maps)

    def takes(self, trained: tuple[int, int]) -> Takes:
        """Sizes of image, whatever the network has learnt from."""
        return Takes(1 << HALVINGS, least=SMALLEST, reach="local")

    def set_of(self, domain: Domain) -> int:
        return 0 if self.shared else domain


class CoupledConfig(Config):
    """The paper's translator: 18,017,286 parameters for two domains of three channels.

    Attributes:
        width: channels of the first layer; twice and four times as many at half and a quarter of the size.
        blocks: residual blocks of each encoder and each decoder that are its own.
        shared_encoder: residual blocks of the encoders, next to the code, that both domains share.
        shared_decoder: those of the decoders.
        share: False gives every domain shared blocks of its own (the paper's ablation).
    """

    name: Literal["coupled"] = "coupled"
    width: PositiveInt = 64
    blocks: NonNegativeInt = 3
    shared_encoder: NonNegativeInt = 1
    shared_decoder: NonNegativeInt = 1
    share: bool = True

    def build(self, channels: Channels, size: tuple[int, int]) -> Coupled:
        """For images of `channels[0]` and `channels[1]` channels and (height, width).

        Raises:
            RecipeError: a side is no multiple of four; the nearest size that is one is named.
        """
        check_size(size, "UNIT's translator")
        widths = [self.width << level for level in range(HALVINGS + 1)]
        sets = 1 if self.share else 2
        network = Coupled(
            encoders=[self.encoder(count, widths) for count in channels],
            enter=[nn.Sequential(*residuals(widths[-1], self.shared_encoder)) for _ in range(sets)],
            leave=[nn.Sequential(*residuals(widths[-1], self.shared_decoder)) for _ in range(sets)],
            decoders=[self.decoder(count, widths) for count in channels],
        )
        return normal(network)

    def encoder(self, channels: int, widths: list[int]) -> nn.Sequential:
        layers = [Lay(widths[-1]), *active(Same(channels, widths[0], 7))]
        for before, after in pairwise(widths):
            layers += active(Halve(before, after, 3))
        return nn.Sequential(*layers, *residuals(widths[-1], self.blocks))

    def decoder(self, channels: int, widths: list[int]) -> nn.Sequential:
        layers = residuals(widths[-1], self.blocks)
        for before, after in pairwise(widths[::-1]):
            layers += active(Double(before, after, 3))
        return nn.Sequential(*layers, Same(widths[0], channels, 1), nn.Tanh())


class CoupledDiscriminator(nn.Module):
    """Images of a domain, 0 or 1, to a map of realness (batch, 1, rows, columns): higher is more real."""

    couples_batch = False

    def __init__(self, config: CoupledDiscriminatorConfig, channels: Channels):
        super().__init__()
        widths = [min(config.width << level, max(config.width, config.max_width)) for level in range(config.depth)]
        own, shared = widths[:OWN], widths[OWN - 1 :]
        sets = 1 if config.share else 2
        self.shared = config.share
        self.own = nn.ModuleList(nn.Sequential(*config.first_layers(count, own)) for count in channels)
        self.deep = nn.ModuleList(nn.Sequential(*config.last_layers(shared)) for _ in range(sets))

    def forward(self, images: Images, domain: Domain) -> Float[Tensor, "batch 1 rows columns"]:
        return self.deep[0 if self.shared else domain](self.own[domain](images))


class CoupledDiscriminatorConfig(Config):
    """The paper's for faces: 25,240,065 parameters for two domains of three channels.

    Attributes:
        width: channels of the first layer; doubled at each further one.
        max_width: where the doubling ends.
        depth: layers of stride 2, of which the first two are the domain's own.
        share: False gives every domain all layers of its own.
    """

    name: Literal["coupled"] = "coupled"
    width: PositiveInt = 64
    max_width: PositiveInt = 2048
    depth: int = Field(default=6, ge=OWN)
    share: bool = True

    def build(self, channels: Channels) -> CoupledDiscriminator:
        """For images of `channels[0]` and `channels[1]` channels, of any size."""
        return normal(CoupledDiscriminator(self, channels))

    def first_layers(self, channels: int, widths: list[int]) -> list[nn.Module]:
        layers = active(Conv(channels, widths[0], 7, stride=2, padding=3))
        return [*layers, *strided_layers(widths)]

    def last_layers(self, widths: list[int]) -> list[nn.Module]:
        return [*strided_layers(widths), Same(widths[-1], 1, 1)]


def strided_layers(widths: list[int]) -> list[nn.Module]:
    return [layer for before, after in pairwise(widths) for layer in active(Halve(before, after, 3))]
