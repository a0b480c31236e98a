"""The systems, one page each."""

from typing import Annotated

from pydantic import Field

from cardigan.games.adaptation import Adaptation, AdaptationConfig
from cardigan.games.autoencoder import Autoencoder, AutoencoderConfig
from cardigan.games.base import Encoding, Game, Generative, Move, Phase
from cardigan.games.context_encoder import ContextEncoder, ContextEncoderConfig
from cardigan.games.cyclegan import CycleGAN, CycleGANConfig
from cardigan.games.gan import GAN, GANConfig
from cardigan.games.painting import Painting
from cardigan.games.pix2pix import Pix2Pix, Pix2PixConfig
from cardigan.games.progressive import Progressive, ProgressiveConfig
from cardigan.games.stackgan import StackGAN, StackGANConfig
from cardigan.games.translating import Translating
from cardigan.games.unit import UNIT, UNITConfig
from cardigan.games.vae import VAE, VAEConfig
from cardigan.games.wgan import WGAN, WGANConfig

GameConfig = Annotated[
    AutoencoderConfig
    | ContextEncoderConfig
    | VAEConfig
    | GANConfig
    | WGANConfig
    | ProgressiveConfig
    | Pix2PixConfig
    | CycleGANConfig
    | UNITConfig
    | AdaptationConfig
    | StackGANConfig,
    Field(discriminator="name"),
]

__all__ = [
    "GAN",
    "UNIT",
    "VAE",
    "WGAN",
    "Adaptation",
    "AdaptationConfig",
    "Autoencoder",
    "AutoencoderConfig",
    "ContextEncoder",
    "ContextEncoderConfig",
    "CycleGAN",
    "CycleGANConfig",
    "Encoding",
    "GANConfig",
    "Game",
    "GameConfig",
    "Generative",
    "Move",
    "Painting",
    "Phase",
    "Pix2Pix",
    "Pix2PixConfig",
    "Progressive",
    "ProgressiveConfig",
    "StackGAN",
    "StackGANConfig",
    "Translating",
    "UNITConfig",
    "VAEConfig",
    "WGANConfig",
]
