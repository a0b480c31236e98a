"""The systems, one page each."""

from typing import Annotated

from pydantic import Field

from cardigan.games.autoencoder import Autoencoder, AutoencoderConfig
from cardigan.games.base import Encoding, Game, Generative, Move, Phase
from cardigan.games.context_encoder import ContextEncoder, ContextEncoderConfig
from cardigan.games.gan import GAN, GANConfig
from cardigan.games.progressive import Progressive, ProgressiveConfig
from cardigan.games.vae import VAE, VAEConfig
from cardigan.games.wgan import WGAN, WGANConfig

GameConfig = Annotated[
    AutoencoderConfig | ContextEncoderConfig | VAEConfig | GANConfig | WGANConfig | ProgressiveConfig,
    Field(discriminator="name"),
]

__all__ = [
    "GAN",
    "VAE",
    "WGAN",
    "Autoencoder",
    "AutoencoderConfig",
    "ContextEncoder",
    "ContextEncoderConfig",
    "Encoding",
    "GANConfig",
    "Game",
    "GameConfig",
    "Generative",
    "Move",
    "Phase",
    "Progressive",
    "ProgressiveConfig",
    "VAEConfig",
    "WGANConfig",
]
