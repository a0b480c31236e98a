"""One optimiser a player."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, Field, NonNegativeFloat
from torch import Tensor, nn, optim

from cardigan.config import Config
from cardigan.schedule import Number, Schedule, value_at

Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class _OptimiserConfig(Config):
    """What all optimisers' settings share."""

    lr: Number

    def follow(self, optimiser: optim.Optimizer, progress: float, factor: float = 1.0) -> None:
        """Set what is scheduled to its value at a share of the training; the learning rate times `factor`."""
        for group in optimiser.param_groups:
            group["lr"] = value_at(self.lr, progress) * factor


def below_one(number: float | Schedule) -> float | Schedule:
    if max((number.start, number.end) if isinstance(number, Schedule) else (number,)) >= 1.0:
        raise ValueError("a decay must be below 1")
    return number


class AdamConfig(_OptimiserConfig):
    """Adam (Kingma & Ba 2014), with AdamW's decoupled weight decay where it is positive."""

    name: Literal["adam"] = "adam"
    lr: Number = 2e-4
    beta1: Share = 0.0
    beta2: Annotated[Number, AfterValidator(below_one)] = 0.99
    eps: NonNegativeFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0

    def build(self, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
        # The fused step is 3 to 4 times the loop's speed on a CPU as well; foreach is none.
        return optim.AdamW(
            parameters,
            lr=value_at(self.lr, 0.0),
            betas=(self.beta1, value_at(self.beta2, 0.0)),
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=True,
        )

    def follow(self, optimiser: optim.Optimizer, progress: float, factor: float = 1.0) -> None:
        super().follow(optimiser, progress, factor)
        for group in optimiser.param_groups:
            group["betas"] = (self.beta1, value_at(self.beta2, progress))


class RMSPropConfig(_OptimiserConfig):
    """RMSProp (Tieleman & Hinton 2012)."""

    name: Literal["rmsprop"] = "rmsprop"
    lr: Number = 5e-5
    alpha: Share = 0.99
    eps: NonNegativeFloat = 1e-8

    def build(self, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
        return optim.RMSprop(parameters, lr=value_at(self.lr, 0.0), alpha=self.alpha, eps=self.eps, foreach=False)


class SGDConfig(_OptimiserConfig):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"] = "sgd"
    lr: Number = 0.1
    momentum: Share = 0.5

    def build(self, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
        return optim.SGD(parameters, lr=value_at(self.lr, 0.0), momentum=self.momentum, fused=True)


class AdagradConfig(_OptimiserConfig):
    """Adagrad (Duchi et al. 2011), the optimiser of the VAE paper."""

    name: Literal["adagrad"] = "adagrad"
    lr: Number = 0.01

    def build(self, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
        return optim.Adagrad(parameters, lr=value_at(self.lr, 0.0), foreach=False)


OptimiserConfig = Annotated[AdamConfig | RMSPropConfig | SGDConfig | AdagradConfig, Field(discriminator="name")]


def load_moments(optimiser: optim.Optimizer, moments: Mapping[int, Any]) -> None:
    """Give the optimiser the state it had; its settings stay.

    Each tensor is laid out in memory as its parameter is, since torch's fused Adam reads both in the order of memory:
    moments saved where images are not channels last would else belong to other weights.
    """
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
    for parameter, state in optimiser.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                state[name] = torch.empty_like(parameter).copy_(value)
