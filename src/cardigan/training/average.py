"""The exponential average of weights that a trained model is deployed with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from cardigan.config import Config


class AverageConfig(Config):
    """How long the average remembers.

    `half_life` is in training images, 0 for no average. Early in training it is shortened to `ramp` times the images
    seen so far, so that the average does not remember the initialisation (Karras et al. 2020).
    """

    half_life: NonNegativeFloat = 0.0
    ramp: NonNegativeFloat = 0.05


class WeightAverage:
    """Averages every floating-point parameter and buffer of `modules`; other buffers follow the newest value."""

    def __init__(self, config: AverageConfig, modules: Mapping[str, nn.Module]) -> None:
        self.config = config
        self.live = {f"{name}.{key}": t for name, module in modules.items() for key, t in tensors(module)}
        self.values = {key: tensor.detach().clone() for key, tensor in self.live.items()}

    @torch.no_grad()
    def update(self, images: int, fresh: int) -> None:
        """Take in the newest weights: `images` have been seen, `fresh` of them since the last update."""
        weight = 1.0 - self.decay(images, fresh)
        for key, value in self.values.items():
            if value.is_floating_point():
                value.lerp_(self.live[key].detach(), weight)
            else:
                value.copy_(self.live[key])

    def decay(self, images: int, fresh: int) -> float:
        """The share of the old average that survives `fresh` more images."""
        half_life = min(self.config.half_life, self.config.ramp * images)
        return 0.5 ** (fresh / half_life) if half_life > 0 else 0.0

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the context the networks hold the averaged weights; no copy is made, the storages change places."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def swap(self) -> None:
        for key, tensor in self.live.items():
            tensor.data, self.values[key] = self.values[key], tensor.data

    def state_dict(self) -> dict[str, Tensor]:
        return self.values

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        for key, value in self.values.items():
            value.copy_(state[key])


def tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()
