"""Dropout as the noise of a translator (Isola et al. 2017, section 3.2.1): on in training, and at will when it is used."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Dropout(nn.Module):
    """Zeroes each number with probability p and divides the rest by 1 - p.

    In training the masks come from torch's global stream. In evaluation there are none, except within `noise`, where
    every sample has a seed of its own: its mask is the same alone and in any batch, on any device.
    """

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = p
        self.seeds: list[int] | None = None

    def forward(self, input: Tensor) -> Tensor:
        if self.training:
            return F.dropout(input, self.p)
        if self.seeds is None:
            return input
        if len(self.seeds) != len(input):
            raise ValueError(f"noise: {len(self.seeds)} seeds were given for a batch of {len(input)}")
        masks = torch.stack([self.mask(seed, input.shape[1:]) for seed in self.seeds])
        return input * masks.to(input)

    def mask(self, seed: int, shape: Sequence[int]) -> Tensor:
        kept = torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) >= self.p
        return kept / (1 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


@contextmanager
def noise(network: nn.Module, seeds: Sequence[int] | None) -> Iterator[None]:
    """Within it, a network in evaluation mode draws the masks of sample i of a batch from seeds[i]; None switches them off.

    A batch of another length than the seeds' raises a ValueError. Training mode is not affected.
    """
    layers = [module for module in network.modules() if isinstance(module, Dropout)]
    before = [layer.seeds for layer in layers]
    streams = None if seeds is None else [layer_seeds(seed, len(layers)) for seed in seeds]
    try:
        for index, layer in enumerate(layers):
            layer.seeds = None if streams is None else [stream[index] for stream in streams]
        yield
    finally:
        for layer, old in zip(layers, before, strict=True):
            layer.seeds = old


def layer_seeds(seed: int, layers: int) -> list[int]:
    """One seed for each layer."""
    stream = torch.Generator().manual_seed(seed)
    return [int(torch.randint(1 << 62, (), generator=stream)) for _ in range(layers)]
