"""What the rest of Cardigan sees of data: a train and a test set that hand out any examples asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn

from cardigan.data.accounts import Accounts
from cardigan.data.order import Order
from cardigan.data.pyramid import box_filtered, level
from cardigan.data.sentences import Sentences
from cardigan.data.sources import SPLITS, Split
from cardigan.data.spec import Batch, DataSpec
from cardigan.data.store import Pack
from cardigan.text import TextConfig


@dataclass(frozen=True)
class PointModes:
    """A mixture of equal Gaussians: centres (modes, 2) float32 and their common standard deviation."""

    centres: Tensor
    deviation: float


@dataclass(frozen=True)
class StackedModes:
    """Every combination of one class a channel is a mode, told by a classifier of the single-channel images."""

    base: Splits


class Dataset:
    """One split of a data set; examples are addressed by index.

    Args:
        name: of the data set.
        split: "train" or "test".
        spec: the shape and meaning of an example.
        pixels: uint8 or uint16 images, or float32 points, of shape (stored, channels, height, width).
        digest: hash of the content, the labels and the split, the same on every machine.
        rows: int64, which stored examples these are; None for all.
        labels: int64, one for each of the rows.
        known_modes: the modes of the distribution where they are known.
        names: a function that gives the names of all stored examples.
        level: a function that gives all stored pixels, halved so many times; by default they are made in memory.

    Attributes:
        sentences: what is said of the examples, or None.
        accounts: what is true of them and what the sentences tell of that, or None where it is not known.
    """

    sentences: Sentences | None = None
    accounts: Accounts | None = None

    def __init__(
        self,
        name: str,
        split: Split,
        spec: DataSpec,
        pixels: Tensor,
        digest: str,
        *,
        rows: Tensor | None = None,
        labels: Tensor | None = None,
        known_modes: PointModes | StackedModes | None = None,
        names: Callable[[], list[str]] | None = None,
        level: Callable[[int], Tensor] | None = None,
    ) -> None:
        self.name = name
        self.split = split
        self.spec = spec
        self.digest = digest
        self.known_modes = known_modes
        self._pixels = pixels
        self._rows = rows
        self._labels = labels
        self._names = names
        self._level = level or partial(box_filtered, pixels)

    def __len__(self) -> int:
        return len(self._pixels) if self._rows is None else len(self._rows)

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {self.split!r}, {len(self)} of {'x'.join(map(str, self.spec.shape))})"

    def images(self, indices: Tensor, device: torch.device | str = "cpu") -> Tensor:
        """Examples as float32 (len(indices), channels, height, width): images in [-1, 1], points as they are."""
        rows = indices if self._rows is None else self._rows[indices]
        return as_floats(self._pixels.index_select(0, rows).to(device, non_blocking=True))

    def labels(self, indices: Tensor, device: torch.device | str = "cpu") -> Tensor | None:
        """Classes as int64 (len(indices),), or None where the data has none."""
        return None if self._labels is None else self._labels[indices].to(device, non_blocking=True)

    def order(self, seed: int) -> Order:
        """An endless order of the examples."""
        return Order(len(self), seed)

    def halved(self, times: int) -> Dataset:
        """The same examples at 1 / 2^times of the size, which must divide evenly: each pixel the mean of a square."""
        if not times:
            return self
        spec = self.spec.model_copy(update={"height": self.spec.height >> times, "width": self.spec.width >> times})
        pixels = self._level(times)
        smaller = Dataset(self.name, self.split, spec, pixels, self.digest, rows=self._rows, labels=self._labels)
        smaller.sentences, smaller.accounts = self.sentences, self.accounts
        return smaller

    def described(self, sentences: Sentences, text: TextConfig) -> Dataset:
        """The same examples, of which these sentences are told; they belong to what the data is."""
        other = copy(self)
        other.sentences = sentences
        other.spec = self.spec.model_copy(update={"text": text})
        other.digest = hashlib.sha256(f"{self.digest} {sentences.digest}".encode()).hexdigest()
        return other

    def accounted(self, accounts: Accounts) -> Dataset:
        """The same examples, about which these facts are known."""
        other = copy(self)
        other.accounts = accounts
        return other

    def embedded(self, vectors: Tensor) -> Dataset:
        """The same examples, whose sentences have these vectors: (len(sentences.table), dims) of any type."""
        assert self.sentences is not None
        other = copy(self)
        other.sentences = replace(self.sentences, vectors=vectors)
        return other

    def captions(self, indices: Tensor) -> list[tuple[str, ...]] | None:
        """What is said of each example, or None where nothing is."""
        return None if self.sentences is None else self.sentences.of(indices)

    def batch(self, indices: Tensor, device: torch.device | str = "cpu") -> Batch:
        """Examples with all that is known of them; of their sentences the first."""
        images, labels = self.images(indices, device), self.labels(indices, device)
        if self.sentences is None:
            return Batch(images, labels)
        texts, kinds = self.sentences.first(indices), self.sentences.kinds[indices]
        return Batch(images, labels, None if texts is None else texts.to(device), kinds.to(device))

    def names(self, indices: Tensor) -> list[str] | None:
        """Where the examples come from, or None where that is not known."""
        if self._names is None:
            return None
        every = self._names()
        rows = indices if self._rows is None else self._rows[indices]
        return [every[row] for row in rows.tolist()]


def as_floats(stored: Tensor) -> Tensor:
    """float32 in [-1, 1] of uint8 or uint16 pixels, both ends exactly; float32 is passed through.

    >>> as_floats(torch.tensor([0, 255], dtype=torch.uint8))
    tensor([-1.,  1.])
    """
    if stored.dtype == torch.float32:
        return stored
    half = torch.iinfo(stored.dtype).max / 2
    return stored.float().sub_(half).mul_(1 / half)


@dataclass(frozen=True)
class Splits:
    """What is learned from and what is kept for testing.

    Attributes:
        train: the examples to learn from.
        test: the examples that no model may be fitted on.
        notes: what there is to know about the source: what was left out, copied or ignored, a line each.
        text: the encoder that the sentences have their vectors from; None until they have.
    """

    train: Dataset
    test: Dataset
    notes: tuple[str, ...] = field(default=())
    text: nn.Module | None = None


def from_pack(pack: Pack, name: str, classes: tuple[str, ...] = ()) -> Splits:
    """The two splits of a pack; `classes` gives better names where the source has as many."""
    index = pack.index
    channels, height, width = index.shape
    spec = DataSpec(
        channels=channels,
        height=height,
        width=width,
        bits=index.bits,
        classes=classes if len(classes) == len(index.classes) else index.classes,
    )
    train, test = (of_pack(pack, name, split, spec, pack.rows(split)) for split in SPLITS)
    return Splits(train, test, index.notes)


def of_pack(pack: Pack, name: str, split: Split, spec: DataSpec, rows: Tensor, first: int = 0) -> Dataset:
    """Rows of a pack as one split: `spec.channels` of the stored channels, from the `first` on."""
    names = lambda: pack.names  # noqa: E731
    return Dataset(
        name,
        split,
        spec,
        pack.pixels[:, first : first + spec.channels],
        pack.index.digests[split],
        rows=rows,
        labels=None if pack.labels is None else pack.labels[rows],
        names=names,
        level=partial(level, pack),
    )
