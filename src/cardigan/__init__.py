"""Adversarial generative models, and the autoencoders they are measured against."""

__version__ = "0.1.0"
