"""The players' bodies: plain modules for any number of channels and any sensible size.

A generator's settings build a module from (latent, labels) to images, a discriminator's one from (images, labels) to
scores of realness; the same bodies serve as encoders. A translator's build one from images to images, a patch
discriminator's one from images to a map of scores.
"""

from typing import Annotated

from pydantic import Field

from cardigan.networks.adaptation import CoDisConfig, CoVAEConfig
from cardigan.networks.coupled import CoupledConfig, CoupledDiscriminatorConfig
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
from cardigan.networks.noise import noise
from cardigan.networks.norm_free import NormFreeDiscriminatorConfig, NormFreeGeneratorConfig
from cardigan.networks.norms import Statistics, use_statistics
from cardigan.networks.patch import PatchConfig, PatchDiscriminator
from cardigan.networks.r3gan import R3GANDiscriminatorConfig, R3GANGeneratorConfig
from cardigan.networks.residual import ResidualDiscriminatorConfig, ResidualGenerator, ResidualGeneratorConfig
from cardigan.networks.spectral import spectral_norm
from cardigan.networks.translator import ResNetConfig
from cardigan.networks.unet import UNetConfig

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
TranslatorConfig = Annotated[UNetConfig | ResNetConfig, Field(discriminator="name")]

__all__ = [
    "CoDisConfig",
    "CoVAEConfig",
    "CoupledConfig",
    "CoupledDiscriminatorConfig",
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
    "PatchConfig",
    "PatchDiscriminator",
    "R3GANDiscriminatorConfig",
    "R3GANGeneratorConfig",
    "ResNetConfig",
    "ResidualDiscriminatorConfig",
    "ResidualGenerator",
    "ResidualGeneratorConfig",
    "Shape",
    "Statistics",
    "TranslatorConfig",
    "UNetConfig",
    "UniformInit",
    "noise",
    "spectral_norm",
    "use_statistics",
]
