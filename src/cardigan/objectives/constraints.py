"""Constraints that a player's parameters must meet after each step."""

import torch
from torch import nn


@torch.no_grad()
def clip_weights_(module: nn.Module, bound: float) -> None:
    """Clip every parameter of the module to [−bound, bound], in place (Arjovsky et al. 2017, Algorithm 1, line 7).

    Biases and the gains of normalisation layers are clipped too, as in the authors' code.

    Args:
        module: the critic.
        bound: c > 0; 0.01 in the paper.
    """
    if bound <= 0:
        raise ValueError(f"bound must be positive, not {bound}")
    for parameter in module.parameters():
        parameter.clamp_(-bound, bound)
