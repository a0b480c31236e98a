"""The players' bodies: plain modules for any number of channels and any sensible size.

A generator's settings build a module from (latent, labels) to images, a discriminator's one from (images, labels) to
scores of realness; the same bodies serve as encoders.
"""

from typing import Annotated

from pydantic import Field

from cardigan.networks.dcgan import DCGANDiscriminatorConfig, DCGANGeneratorConfig
from cardigan.networks.heads import Direction, Discriminator, Encoder, Generator
from cardigan.networks.layers import Shape
from cardigan.networks.mlp import (
    DefaultInit,
    MLPDiscriminatorConfig,
    MLPGeneratorConfig,
    NormalInit,
    UniformInit,
)
from cardigan.networks.norm_free import NormFreeDiscriminatorConfig, NormFreeGeneratorConfig
from cardigan.networks.r3gan import R3GANDiscriminatorConfig, R3GANGeneratorConfig
from cardigan.networks.residual import ResidualDiscriminatorConfig, ResidualGenerator, ResidualGeneratorConfig
from cardigan.networks.spectral import spectral_norm

GeneratorConfig = Annotated[
    MLPGeneratorConfig
    | DCGANGeneratorConfig
    | ResidualGeneratorConfig
    | NormFreeGeneratorConfig
    | R3GANGeneratorConfig,
    Field(discriminator="name"),
]
DiscriminatorConfig = Annotated[
    MLPDiscriminatorConfig
    | DCGANDiscriminatorConfig
    | ResidualDiscriminatorConfig
    | NormFreeDiscriminatorConfig
    | R3GANDiscriminatorConfig,
    Field(discriminator="name"),
]

__all__ = [
    "DCGANDiscriminatorConfig",
    "DCGANGeneratorConfig",
    "DefaultInit",
    "Direction",
    "Discriminator",
    "DiscriminatorConfig",
    "Encoder",
    "Generator",
    "GeneratorConfig",
    "MLPDiscriminatorConfig",
    "MLPGeneratorConfig",
    "NormFreeDiscriminatorConfig",
    "NormFreeGeneratorConfig",
    "NormalInit",
    "R3GANDiscriminatorConfig",
    "R3GANGeneratorConfig",
    "ResidualDiscriminatorConfig",
    "ResidualGenerator",
    "ResidualGeneratorConfig",
    "Shape",
    "UniformInit",
    "spectral_norm",
]
