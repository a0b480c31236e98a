"""The players' bodies: plain modules for any number of channels and any sensible size.

A generator's settings build a module from (latent, labels) to images, a discriminator's one from (images, labels) to
scores of realness; the same bodies serve as encoders.
"""

from typing import Annotated

from pydantic import Field

from cardigan.networks.dcgan import DCGANDiscriminatorConfig, DCGANGenerator, DCGANGeneratorConfig
from cardigan.networks.heads import Discriminator, Encoder
from cardigan.networks.layers import Shape
from cardigan.networks.mlp import (
    DefaultInit,
    MLPDiscriminatorConfig,
    MLPGenerator,
    MLPGeneratorConfig,
    NormalInit,
    UniformInit,
)
from cardigan.networks.norm_free import NormFreeDiscriminatorConfig, NormFreeGenerator, NormFreeGeneratorConfig
from cardigan.networks.residual import ResidualDiscriminatorConfig, ResidualGenerator, ResidualGeneratorConfig
from cardigan.networks.spectral import spectral_norm

GeneratorConfig = Annotated[
    MLPGeneratorConfig | DCGANGeneratorConfig | ResidualGeneratorConfig | NormFreeGeneratorConfig,
    Field(discriminator="name"),
]
DiscriminatorConfig = Annotated[
    MLPDiscriminatorConfig | DCGANDiscriminatorConfig | ResidualDiscriminatorConfig | NormFreeDiscriminatorConfig,
    Field(discriminator="name"),
]

__all__ = [
    "DCGANDiscriminatorConfig",
    "DCGANGenerator",
    "DCGANGeneratorConfig",
    "DefaultInit",
    "Discriminator",
    "DiscriminatorConfig",
    "Encoder",
    "GeneratorConfig",
    "MLPDiscriminatorConfig",
    "MLPGenerator",
    "MLPGeneratorConfig",
    "NormFreeDiscriminatorConfig",
    "NormFreeGenerator",
    "NormFreeGeneratorConfig",
    "NormalInit",
    "ResidualDiscriminatorConfig",
    "ResidualGenerator",
    "ResidualGeneratorConfig",
    "Shape",
    "UniformInit",
    "spectral_norm",
]
