"""Spectral normalisation (Miyato et al. 2018)."""

from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

Network = TypeVar("Network", bound=nn.Module)

WARM_UP = 15


class SpectralNorm(nn.Module):
    """W / sigma(W), sigma = u' W v by one power iteration a training forward (Miyato et al. 2018, Algorithm 1).

    W is the kernel reshaped to (outputs, inputs * height * width). Its largest singular value bounds the norm of the
    convolution itself only up to a factor sqrt(height * width) (Tsuzuku et al. 2018), so a 3 x 3 layer of sigma 1 may
    stretch by up to 3. In evaluation mode u and v stand still: the same input gives the same output.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor):
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.register_buffer("u", F.normalize(torch.randn_like(matrix[:, 0]), dim=0))
        self.register_buffer("v", F.normalize(torch.randn_like(matrix[0]), dim=0))
        for _ in range(WARM_UP):
            self.iterate(matrix)

    @torch.no_grad()
    def iterate(self, matrix: Float[Tensor, "outputs inputs"]) -> None:
        """v <- W'u / |W'u|, u <- Wv / |Wv|."""
        self.v.copy_(F.normalize(matrix.mT @ self.u, dim=0))
        self.u.copy_(F.normalize(matrix @ self.v, dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.is_meta:  # only its shape is wanted, and autocast knows no such device
            return weight
        with torch.autocast(weight.device.type, enabled=False):
            matrix = weight.flatten(1)
            if self.training:
                self.iterate(matrix)
            # Copies, because a second forward overwrites u and v before the first one's backward has read them.
            return weight / torch.dot(self.u.clone(), matrix @ self.v.clone())


def spectral_norm(network: Network) -> Network:
    """Give every linear, convolution and embedding layer a weight of spectral norm one; initialise them first."""
    for layer in list(network.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding):
            parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight))
    return network
