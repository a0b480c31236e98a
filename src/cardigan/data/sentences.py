"""What is said of examples: sentences, and the vectors that stand for them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sentences:
    """Sentences of things, each different one kept once, and which of the things each example is.

    Attributes:
        table: the different sentences.
        offsets: int64 (things + 1,); of thing i are told the sentences at places[offsets[i]:offsets[i + 1]].
        places: int64, numbers of sentences.
        things: int64 (examples,), what each example is.
        kinds: int64 (examples,): what is true of one may be true of others of its kind.
        vectors: (len(table), dims), or None until they are known; it may lie on disk.
    """

    table: tuple[str, ...]
    offsets: Tensor
    places: Tensor
    things: Tensor
    kinds: Tensor
    vectors: Tensor | None = None

    def __len__(self) -> int:
        return len(self.things)

    @cached_property
    def counts(self) -> Tensor:
        """Sentences of each thing: int64 (things,)."""
        return self.offsets.diff()

    @cached_property
    def most(self) -> int:
        """Sentences of the thing of which the most are told."""
        return int(self.counts.max())

    @cached_property
    def digest(self) -> str:
        """Hash of the sentences and of whose they are."""
        digest = hashlib.sha256(json.dumps(self.table).encode("utf-8", "surrogatepass"))
        for part in (self.offsets, self.places, self.things, self.kinds):
            digest.update(part.numpy().astype("<i8").tobytes())
        return digest.hexdigest()

    def part(self, examples: Tensor) -> Sentences:
        """Those of some of the examples."""
        return replace(self, things=self.things[examples], kinds=self.kinds[examples])

    def numbers(self, index: int) -> Tensor:
        """Numbers of an example's sentences."""
        thing = int(self.things[index])
        return self.places[int(self.offsets[thing]) : int(self.offsets[thing + 1])]

    def of(self, indices: Tensor) -> list[tuple[str, ...]]:
        """The sentences of each example."""
        return [tuple(self.table[number] for number in self.numbers(i).tolist()) for i in indices.tolist()]

    def firsts(self, indices: Tensor) -> Tensor:
        """The number of each example's first sentence: int64 (n,)."""
        return self.places[self.offsets[self.things[indices]]]

    def first(self, indices: Tensor) -> Tensor | None:
        """The vector of each example's first sentence: float32 (n, dims), or None where they are not known."""
        return None if self.vectors is None else self.vectors[self.firsts(indices)].float()

    def chosen(self, indices: Tensor, draws: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """`n` different sentences of each example at random, or all where there are fewer.

        Args:
            draws: uniform numbers in [0, 1), (len(indices), most).

        Returns:
            Numbers of sentences int64 (len(indices), up to n), and where they count: bool of the same shape.
        """
        things = self.things[indices]
        counts = self.counts[things, None]
        beyond = torch.arange(draws.shape[1]) >= counts
        order = draws.masked_fill(beyond, 2.0).argsort(dim=1, stable=True)[:, :n]
        valid = torch.arange(order.shape[1]) < counts
        return self.places[self.offsets[things, None] + order.where(valid, 0)], valid

    def drawn(self, indices: Tensor, draws: Tensor, n: int) -> Tensor:
        """The mean of the vectors of `n` sentences of each example, as `chosen` takes them: float32 (len(indices), dims)."""
        assert self.vectors is not None
        numbers, valid = self.chosen(indices, draws, n)
        vectors = self.vectors[numbers.flatten()].float().unflatten(0, numbers.shape)
        return (vectors * valid[..., None]).sum(1) / valid.sum(1, keepdim=True)


def sentences_of(told: Sequence[Sequence[str]], things: Tensor | None = None, kinds: Tensor | None = None) -> Sentences:
    """What is told of each thing, at least one sentence each.

    Args:
        things: int64 (examples,), what each example is; by default there is one example of each thing.
        kinds: int64 (examples,); by default examples with the same first sentence are of one kind.
    """
    numbers: dict[str, int] = {}
    each = [[numbers.setdefault(text, len(numbers)) for text in dict.fromkeys(texts)] for texts in told]
    offsets = torch.tensor([0, *map(len, each)]).cumsum(0)
    places = torch.tensor([number for places in each for number in places])
    if things is None:
        things = torch.arange(len(each))
    first = places[offsets[:-1]]
    return Sentences(tuple(numbers), offsets, places, things, first[things] if kinds is None else kinds)
