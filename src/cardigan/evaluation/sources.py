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
        size: how many there are; None for a model, which never ends.
    """

    @property
    def name(self) -> str: ...

    @property
    def spec(self) -> DataSpec: ...

    @property
    def size(self) -> int | None: ...

    def images(self, start: int, count: int, /) -> Tensor:
        """float32 (count, c, h, w) in [-1, 1], of indices start .. start + count - 1."""
        ...


class FromDataset:
    """A dataset, or some of it, as a source.

    Args:
        indices: which examples, in which order; all of them by default.
    """

    def __init__(self, dataset: Dataset, indices: Tensor | None = None) -> None:
        self.dataset = dataset
        self.name = f"{dataset.name} ({dataset.split})"
        self.spec = dataset.spec
        self.indices = torch.arange(len(dataset)) if indices is None else indices

    @property
    def size(self) -> int | None:
        """Number of examples."""
        return len(self.indices)

    def images(self, start: int, count: int, /) -> Tensor:
        """Examples start .. start + count - 1."""
        return self.dataset.images(self.indices[start : start + count])


class Joined:
    """Several sources one after the other, shuffled with a seed: a pool of reals."""

    def __init__(self, parts: Sequence[tuple[Dataset, Tensor]], name: str) -> None:
        self.parts = parts
        self.name = name
        self.spec = parts[0][0].spec

    @property
    def size(self) -> int | None:
        """Number of examples."""
        return sum(len(indices) for _, indices in self.parts)

    def images(self, start: int, count: int, /) -> Tensor:
        """Examples start .. start + count - 1 of the concatenation."""
        found = []
        for dataset, indices in self.parts:
            chosen = indices[max(0, start) : max(0, start + count)]
            if len(chosen):
                found.append(dataset.images(chosen))
            start -= len(indices)
        return torch.cat(found)


@dataclass
class Remembered:
    """A source whose first images are made once and kept, as far as they fit in half a gibibyte."""

    source: ImageSource

    def __post_init__(self) -> None:
        self.name, self.spec = self.source.name, self.source.spec
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
