"""Sentences to vectors, and vectors to pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from cardigan.errors import DataError
from cardigan.games import Painting

AT_ONCE = 64


class Painter:
    """What a model that paints makes of sentences.

    Args:
        game: trained, on `device`.
        finished: what makes images out of the game's.
    """

    def __init__(self, game: Painting, device: torch.device, finished: Callable[[Tensor], Tensor]) -> None:
        self.game, self.device, self.finished = game, device, finished

    def read(self, texts: Sequence[str]) -> Tensor:
        """Vectors (len(texts), dims) of sentences, on the CPU.

        Raises:
            DataError: there is no sentence, or one is empty.
        """
        check_sentences(texts)
        return self.game.text.embed(texts).cpu()

    @torch.no_grad()
    def painted(self, latents: Tensor, vectors: Tensor) -> Tensor:
        """Images (n, channels, height, width) of sentences with vectors (n, dims), for latents (n, size)."""
        return torch.cat([self.finished(self.game.paint(*part)) for part in self.pairs(latents, vectors)])

    def with_each(self, vectors: Tensor, latents: Tensor) -> Tensor:
        """Every sentence with vectors (m, dims) with every latent (n, size): (m, n, channels, height, width)."""
        pictures = self.painted(*each_with_each(latents, vectors))
        return pictures.unflatten(0, (len(vectors), len(latents)))

    @torch.no_grad()
    def in_stages(self, vectors: Tensor, latents: Tensor) -> tuple[Tensor, ...]:
        """The same as each stage leaves them, at its own size."""
        every = self.pairs(*each_with_each(latents, vectors))
        parts = [[self.finished(images) for images in self.game.painted_in_stages(*part)] for part in every]
        shape = (len(vectors), len(latents))
        return tuple(torch.cat(stage).unflatten(0, shape) for stage in zip(*parts, strict=True))

    def pairs(self, latents: Tensor, vectors: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Both in parts that fit memory, on the game's device."""
        for z, texts in zip(latents.split(AT_ONCE), vectors.split(AT_ONCE), strict=True):
            yield z.to(self.device), texts.to(self.device)


def check_sentences(texts: Sequence[str]) -> None:
    """
    Raises:
        DataError: there is none, or one is empty.
    """
    if isinstance(texts, str):
        raise ValueError("texts: expected a list of sentences, not one string")
    if not texts:
        raise DataError("there is no sentence to paint: give at least one")
    for number, text in enumerate(texts, 1):
        if not text.strip():
            which = "the sentence" if len(texts) == 1 else f"sentence {number} of {len(texts)}"
            raise DataError(f"{which} is empty: say what is to be seen")


def each_with_each(latents: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Every latent (n, size) beside every vector (m, dims): (m n, size) and (m n, dims), sentence after sentence."""
    return latents.repeat(len(vectors), 1), vectors.repeat_interleave(len(latents), 0)
