"""DINOv2 features (Oquab et al. 2023; as a metric Stein et al. 2023), through the optional package transformers."""

from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardigan.errors import DataError, RunError
from cardigan.evaluation.features import NetworkFeatures

SIDE = 224
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


class DinoV2(nn.Module):
    """Images in [-1, 1] to the normalised class token of a vision transformer."""

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, images: Tensor) -> Tensor:
        """Features (n, d); d = 1024 for ViT-L/14."""
        return self.transformer(pixel_values=prepare(images)).last_hidden_state[:, 0]


def prepare(images: Tensor) -> Tensor:
    """Three channels, 224x224 by antialiased bicubic, standardised as ImageNet is."""
    if images.shape[1] not in (1, 3):
        raise DataError(f"DINOv2 features take 1 or 3 channels, not {images.shape[1]}: use --features random")
    mean, deviation = (images.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, DEVIATION))
    resized = F.interpolate(images, (SIDE, SIDE), mode="bicubic", antialias=True).clamp(-1, 1)
    return ((resized.expand(-1, 3, -1, -1) + 1) / 2 - mean) / deviation


def dinov2_features(where: str, device: str | torch.device = "cpu") -> NetworkFeatures:
    """Features from a local folder or a hub id such as ``facebook/dinov2-large``; safetensors weights only.

    Raises:
        RunError: when transformers is not installed, or the weights are not to be had.
    """
    try:
        transformers = import_module("transformers")
    except ImportError as error:
        raise RunError("DINOv2 features need the package transformers: pip install transformers") from error
    try:
        model = transformers.AutoModel.from_pretrained(where, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise RunError(f"no DINOv2 weights at '{where}': give a local folder or a hub id you can reach") from error
    if getattr(model.config, "model_type", None) != "dinov2":
        raise RunError(f"'{where}' is not a DINOv2 model: give facebook/dinov2-large or a folder of its weights")
    details: dict[str, str | int | float] = {"weights": where, "resize": "224x224 bicubic, antialiased"}
    return NetworkFeatures("dinov2", DinoV2(model), int(model.config.hidden_size), details, device)
