"""What the games that paint from sentences have in common: an encoder that reads, and pictures of what it has read."""

from __future__ import annotations

from torch import Tensor

from cardigan.games.base import Generative
from cardigan.networks.text import TextEncoder


class Painting(Generative):
    """A game whose outcome turns latents and the vectors of sentences into images.

    Attributes:
        text: what makes vectors of sentences, frozen.
    """

    text: TextEncoder
    stages: int = 1
    """How many pictures of growing size a painting is made in."""

    @property
    def begun(self) -> int:
        """The last of the stages that has begun to learn."""
        return self.stages

    def paint(self, latents: Tensor, texts: Tensor) -> Tensor:
        """Images (n, channels, height, width) of sentences with vectors (n, dims), for latents (n, latent.size)."""
        raise TypeError(f"{type(self).__name__} defines no painting")

    def painted_in_stages(self, latents: Tensor, texts: Tensor) -> tuple[Tensor, ...]:
        """The same images as each stage leaves them, at its own size; the last are those of `paint`."""
        return (self.paint(latents, texts),)

    def remembered(self, latents: Tensor) -> Tensor:
        """Vectors (n, dims) of the training sentences that latents choose where nothing is said."""
        raise TypeError(f"{type(self).__name__} remembers no sentences")
