"""One optimiser a player."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor, nn, optim

from cardigan.config import Config
from cardigan.schedule import Number, value_at

Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class AdamConfig(Config):
    """Adam (Kingma & Ba 2014), with AdamW's decoupled weight decay where it is positive."""

    name: Literal["adam"] = "adam"
    lr: Number = 2e-4
    beta1: Share = 0.0
    beta2: Share = 0.99
    eps: NonNegativeFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0

    def build(self, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
        # The fused step is 3 to 4 times the loop's speed on a CPU as well; foreach is none.
        return optim.AdamW(
            parameters,
            lr=value_at(self.lr, 0.0),
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=True,
        )


class RMSPropConfig(Config):
    """RMSProp (Tieleman & Hinton 2012)."""

    name: Literal["rmsprop"] = "rmsprop"
    lr: Number = 5e-5
    alpha: Share = 0.99
    eps: NonNegativeFloat = 1e-8

    def build(self, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
        return optim.RMSprop(parameters, lr=value_at(self.lr, 0.0), alpha=self.alpha, eps=self.eps, foreach=False)


class SGDConfig(Config):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"] = "sgd"
    lr: Number = 0.1
    momentum: Share = 0.5

    def build(self, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
        return optim.SGD(parameters, lr=value_at(self.lr, 0.0), momentum=self.momentum, fused=True)


class AdagradConfig(Config):
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


def set_learning_rate(optimiser: optim.Optimizer, lr: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = lr
