"""Batches by number: the k-th is always the same."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from cardigan.data.dataset import Dataset
from cardigan.data.jitter import jittered
from cardigan.data.order import derived_seed
from cardigan.data.spec import Batch


class Batches:
    """The endless sequence of a data set's batches; batch k is a pure function of (seed, k).

    Args:
        dataset: where the examples come from.
        batch: examples in one batch.
        seed: decides the order and the flips.
        flip: mirror every image left to right with probability 1/2, decided anew each time it is shown.
        jitter: enlarge every image by this factor and cut a window of its size out of it, anew each time.
        device: where the batches are wanted; images travel there as integers.
        layout: how images are to lie in memory. Channels last takes a first convolution of three channels to an eighth
            of its time on a CPU.
        sentences: each image comes with the mean of the vectors of so many of its sentences, drawn anew each time.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch: int,
        seed: int,
        flip: bool = False,
        jitter: float = 1.0,
        device: torch.device | str = "cpu",
        layout: torch.memory_format = torch.contiguous_format,
        sentences: int = 4,
    ) -> None:
        if batch < 1:
            raise ValueError(f"batch must be at least 1, not {batch}")
        if flip and dataset.spec.kind != "images":
            raise ValueError(f"flip must be False for {dataset.name}, whose examples are points")
        self.dataset = dataset
        self.batch = batch
        self.seed = seed
        self.flip = flip
        self.jitter = jitter
        self.device = torch.device(device)
        self.layout = layout
        self.sentences = sentences
        self.order = dataset.order(seed)
        self._generator = torch.Generator()

    def at(self, k: int, part: int = 0, parts: int = 1) -> Batch:
        """Batch k, or one of the equal parts that it is cut into."""
        if parts < 1 or self.batch % parts or not 0 <= part < parts:
            raise ValueError(f"parts must divide the batch of {self.batch} and hold part, not {parts} and {part}")
        size = self.batch // parts
        share = slice(part * size, (part + 1) * size)
        indices = self.order.indices(k * self.batch + part * size, size)
        images = self.dataset.images(indices, self.device)
        if self.jitter > 1:
            images = jittered(images, self.jitter, self._drawn("jitter", k, 2)[share], self.dataset.spec)
        if self.flip:
            images = self._flipped(images, k, share)
        images = images.contiguous(memory_format=self.layout)
        labels, told = self.dataset.labels(indices, self.device), self.dataset.sentences
        if told is None or told.vectors is None:
            return Batch(images, labels)
        texts = told.drawn(indices, self._drawn("sentences", k, told.most)[share], self.sentences)
        return Batch(images, labels, texts.to(self.device), told.kinds[indices].to(self.device))

    def stream(self, start: int = 0, parts: int = 1, part: int = 0) -> Stream:
        """Batches start, start + 1, ...; with `parts`, only the given part of each, for ranks and micro-batches."""
        return Stream(self, start, parts, part)

    def _flipped(self, images: Tensor, k: int, share: slice) -> Tensor:
        # Drawn for the whole batch, so that its parts agree with it; copied in place, in a half to a quarter of the time
        # of where().
        rows = (self._drawn("flip", k)[share] < 0.5).nonzero().flatten().to(self.device)
        return images.index_copy_(0, rows, images.index_select(0, rows).flip(-1))

    def _drawn(self, purpose: str, k: int, *shape: int) -> Tensor:
        """Uniform numbers for batch k, (batch, *shape)."""
        generator = self._generator.manual_seed(derived_seed(self.seed, purpose, k))
        return torch.rand(self.batch, *shape, generator=generator)


class Stream(Iterator[Batch]):
    """An iterator over batches that knows where it is.

    Attributes:
        drawn: the number of the next batch, which is how many have been drawn since the training began; a stream that
            starts there goes on exactly.
    """

    def __init__(self, batches: Batches, start: int, parts: int, part: int) -> None:
        self.batches = batches
        self.drawn = start
        self.parts = parts
        self.part = part

    def __next__(self) -> Batch:
        batch = self.batches.at(self.drawn, self.part, self.parts)
        self.drawn += 1
        return batch
