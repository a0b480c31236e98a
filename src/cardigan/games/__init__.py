"""The systems, one page each."""

from typing import Annotated

from pydantic import Field

from cardigan.games.autoencoder import Autoencoder, AutoencoderConfig
from cardigan.games.base import Encoding, Game, Generative, Move
from cardigan.games.gan import GAN, GANConfig
from cardigan.games.vae import VAE, VAEConfig
from cardigan.games.wgan import WGAN, WGANConfig

GameConfig = Annotated[AutoencoderConfig | VAEConfig | GANConfig | WGANConfig, Field(discriminator="name")]

__all__ = [
    "GAN",
    "VAE",
    "WGAN",
    "Autoencoder",
    "AutoencoderConfig",
    "Encoding",
    "GANConfig",
    "Game",
    "GameConfig",
    "Generative",
    "Move",
    "VAEConfig",
    "WGANConfig",
]
