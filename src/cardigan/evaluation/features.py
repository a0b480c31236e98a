"""Where distances are measured: images to vectors. The name of the features is part of every number's name."""

import hashlib
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cardigan.evaluation.sources import ImageSource

CHUNK_NUMBERS = 1 << 20
LARGEST_CHUNK = 512


@runtime_checkable
class Features(Protocol):
    """Images in [-1, 1] to float64 vectors.

    Attributes:
        name: goes into the metric's name, FD(name).
        digest: of the weights; two numbers compare only when name and digest agree.
        dimensions: d.
        details: what else the protocol should say: accuracy, resize filter.
    """

    name: str
    digest: str
    dimensions: int
    details: dict[str, str | int | float]

    def __call__(self, images: Tensor, /) -> Tensor:
        """float32 (n, c, h, w) to float64 (n, d), on the CPU."""
        ...


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """First 16 hexadecimal digits of the SHA-256 of names, shapes, types and values."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


class NetworkFeatures:
    """Features by a frozen network in evaluation mode, a chunk of images at a time.

    Args:
        network: images (n, c, h, w) to (n, dimensions).
        device: where the network runs.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        dimensions: int,
        details: dict[str, str | int | float] | None = None,
        device: str | torch.device = "cpu",
        digest: str | None = None,
    ) -> None:
        self.name = name
        self.network = network.eval().requires_grad_(False).to(device)
        self.dimensions = dimensions
        self.details = details or {}
        self.digest = digest or weights_digest(network.state_dict())
        self.device = torch.device(device)

    @torch.no_grad()
    def __call__(self, images: Tensor, /) -> Tensor:
        """float32 (n, c, h, w) to float64 (n, d)."""
        return torch.cat([self.network(part.to(self.device)).double().cpu() for part in in_chunks(images)])


class IdentityFeatures:
    """The numbers of the example themselves: for points of a 2-D density."""

    name = "identity"
    digest = "none"

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self.details: dict[str, str | int | float] = {}

    def __call__(self, images: Tensor, /) -> Tensor:
        """float32 (n, c, h, w) to float64 (n, c·h·w)."""
        return images.flatten(1).double().cpu()


def in_chunks(images: Float[Tensor, "n c h w"]) -> tuple[Tensor, ...]:
    """Parts of at most 512 images and about a million numbers."""
    return images.split(chunk_size(images[0].numel() if len(images) else 1))


def chunk_size(numbers: int) -> int:
    """Images of so many numbers that are handled at a time."""
    return max(1, min(LARGEST_CHUNK, CHUNK_NUMBERS // numbers))


def extract(features: Features, source: ImageSource, count: int) -> Float[Tensor, "n d"]:
    """Features of the first ``count`` images of a source; only a chunk of images exists at a time.

    Raises:
        ValueError: when the source holds fewer.
    """
    if source.size is not None and source.size < count:
        raise ValueError(f"{source.name} holds {source.size} images, {count} were asked for")
    step = chunk_size(source.spec.dimensions)
    vectors = torch.empty(count, features.dimensions, dtype=torch.float64)
    for start in range(0, count, step):
        stop = min(start + step, count)
        vectors[start:stop] = features(source.images(start, stop - start))
    return vectors
