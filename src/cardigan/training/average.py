"""Averages of weights: the exponential one that a trained model is deployed with, and two kept for any other afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, field_validator
from torch import Tensor, nn

from cardigan.config import Config
from cardigan.training.power_average import UNIFORM, decay, exponent_of

Width = Annotated[float, Field(gt=0.0, le=UNIFORM)]


class AverageConfig(Config):
    """How long the averages remember.

    `half_life` is in training images, 0 for no average. Early in training it is shortened to `ramp` times the images
    seen so far, so that the average does not remember the initialisation (Karras et al. 2020).

    With `snapshots` above 0 two power-function averages of these relative `widths` are kept as well, and written so many
    times, evenly over the training: `cardigan average` puts one of any length together from them (Karras et al. 2024).
    """

    half_life: NonNegativeFloat = 0.0
    ramp: NonNegativeFloat = 0.05
    snapshots: NonNegativeInt = 0
    widths: tuple[Width, Width] = (0.05, 0.10)

    @field_validator("widths")
    @classmethod
    def differ(cls, widths: tuple[float, float]) -> tuple[float, float]:
        if widths[0] == widths[1]:
            raise ValueError("give two that differ")
        return widths


class WeightAverage:
    """Averages every floating-point parameter and buffer of `modules`; other buffers follow the newest value."""

    def __init__(self, config: AverageConfig, modules: Mapping[str, nn.Module]) -> None:
        self.config = config
        averaged = modules.items() if self.remembers else ()
        self.live = {f"{name}.{key}": t for name, module in averaged for key, t in tensors(module)}
        self.values = {key: tensor.detach().clone() for key, tensor in self.live.items()}

    @property
    def remembers(self) -> bool:
        """Whether there is an average; else the newest weights are all there is, and no copy of them is kept."""
        return self.config.half_life > 0

    @torch.no_grad()
    def update(self, images: int, fresh: int) -> None:
        """Take in the newest weights: `images` have been seen, `fresh` of them since the last update."""
        if not self.values:
            return
        averaged = {key: value for key, value in self.values.items() if value.is_floating_point()}
        live = [self.live[key] for key in averaged]
        torch._foreach_lerp_(list(averaged.values()), live, 1.0 - self.decay(images, fresh))
        for key in self.values.keys() - averaged.keys():
            self.values[key].copy_(self.live[key])

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


class PowerAverage(WeightAverage):
    """A power-function average of relative width `width`, which grows with the training (Karras et al. 2024, section 3.1)."""

    def __init__(self, width: float, config: AverageConfig, modules: Mapping[str, nn.Module]) -> None:
        super().__init__(config, modules)
        self.width, self.exponent = width, exponent_of(width)

    @property
    def remembers(self) -> bool:
        return True

    def decay(self, images: int, fresh: int) -> float:
        return decay(self.exponent, images, fresh)


class PowerAverages:
    """The two power-function averages of a training, or none where its recipe keeps no snapshots of them."""

    def __init__(self, config: AverageConfig, modules: Mapping[str, nn.Module]) -> None:
        widths = config.widths if config.snapshots else ()
        self.averages = [PowerAverage(width, config, modules) for width in widths]

    @property
    def widths(self) -> list[float]:
        return [average.width for average in self.averages]

    def update(self, images: int, fresh: int) -> None:
        """Take in the newest weights: `images` have been seen, `fresh` of them since the last update."""
        for average in self.averages:
            average.update(images, fresh)

    def state_dict(self) -> dict[float, dict[str, Tensor]]:
        return {average.width: average.state_dict() for average in self.averages}

    def load_state_dict(self, state: Mapping[float, Mapping[str, Tensor]]) -> None:
        """Raises KeyError where a width is missing: what went before is not to be averaged any more."""
        for average in self.averages:
            average.load_state_dict(state[average.width])


def tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()
