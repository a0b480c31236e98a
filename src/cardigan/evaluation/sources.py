"""Where images to be judged come from: anything that yields the image of a given index."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from cardigan.data.spec import DataSpec

KEEP_BYTES = 1 << 29


@runtime_checkable
class Dataset(Protocol):
    """What is asked of real images; `cardigan.data` provides it, a test may bring its own."""

    @property
    def name(self) -> str: ...

    @property
    def split(self) -> str: ...

    @property
    def spec(self) -> DataSpec: ...

    @property
    def digest(self) -> str: ...

    @property
    def known_modes(self) -> Any: ...

    def __len__(self) -> int: ...

    def images(self, indices: Tensor, /) -> Tensor:
        """float32 (n, c, h, w) in [-1, 1] of the int64 indices (n,)."""
        ...

    def labels(self, indices: Tensor, /) -> Tensor | None:
        """int64 (n,), or None where there are no classes."""
        ...


@runtime_checkable
class ImageSource(Protocol):
    """Images addressed by index: the same index always gives the same image.

    Attributes:
        digest: identity of the images: of their content, or of the weights that make them.
        size: how many there are; None for a model, which never ends.
    """

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def spec(self) -> DataSpec: ...

    @property
    def size(self) -> int | None: ...

    def images(self, start: int, count: int, /) -> Tensor:
        """float32 (count, c, h, w) in [-1, 1], of indices start .. start + count - 1."""
        ...


def permutation(n: int, seed: int) -> Tensor:
    """An order of n things as a function of the seed."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


class FromDataset:
    """A dataset, or some of it, as a source.

    Args:
        indices: which examples, in which order; by default all of them in the order of `permutation`: the first images
            of a folder are those of its first class, and only a shuffled prefix is a fair draw.
        seed: of that order.
    """

    def __init__(self, dataset: Dataset, indices: Tensor | None = None, seed: int = 0) -> None:
        self.dataset = dataset
        self.name = f"{dataset.name} ({dataset.split})"
        self.digest = dataset.digest
        self.spec = dataset.spec
        self.indices = permutation(len(dataset), seed) if indices is None else indices

    @property
    def size(self) -> int | None:
        """Number of examples."""
        return len(self.indices)

    def images(self, start: int, count: int, /) -> Tensor:
        """Examples start .. start + count - 1."""
        return self.dataset.images(self.indices[start : start + count])


class Joined:
    """Examples of several datasets as one source, in an order that is a function of the seed.

    Args:
        parts: each dataset with the indices of the examples taken from it.
    """

    def __init__(self, parts: Sequence[tuple[Dataset, Tensor]], name: str, seed: int = 0) -> None:
        self.datasets = [dataset for dataset, _ in parts]
        self.name = name
        self.digest = " + ".join(dataset.digest for dataset in self.datasets)
        self.spec = self.datasets[0].spec
        sizes = torch.tensor([len(indices) for _, indices in parts])
        order = permutation(int(sizes.sum()), seed)
        self.owners = torch.arange(len(parts)).repeat_interleave(sizes)[order]
        self.indices = torch.cat([indices for _, indices in parts])[order]

    @property
    def size(self) -> int | None:
        """Number of examples."""
        return len(self.indices)

    def images(self, start: int, count: int, /) -> Tensor:
        """Examples start .. start + count - 1."""
        owners, indices = self.owners[start : start + count], self.indices[start : start + count]
        images = torch.empty(len(indices), *self.spec.shape)
        for owner in owners.unique().tolist():
            images[owners == owner] = self.datasets[owner].images(indices[owners == owner])
        return images


@dataclass
class Remembered:
    """A source whose first images are made once and kept, as far as they fit in half a gibibyte."""

    source: ImageSource

    def __post_init__(self) -> None:
        self.name, self.digest, self.spec = self.source.name, self.source.digest, self.source.spec
        self._kept: dict[tuple[int, int], Tensor] = {}
        self._bytes = 0

    @property
    def size(self) -> int | None:
        """That of the source."""
        return self.source.size

    def images(self, start: int, count: int, /) -> Tensor:
        """Those of the source; a request made before is answered from memory."""
        key = start, count
        if key in self._kept:
            return self._kept[key]
        images = self.source.images(start, count)
        if self._bytes + images.nbytes <= KEEP_BYTES:
            self._kept[key] = images
            self._bytes += images.nbytes
        return images
