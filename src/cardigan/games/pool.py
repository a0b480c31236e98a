"""Generated images of the past, which a discriminator is shown among those of now (Shrivastava et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """The last images, up to a number of them, as buffers of a checkpoint.

    Args:
        size: how many; 0 keeps none.
        shape: of an image.
    """

    images: Tensor
    count: Tensor

    def __init__(self, size: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def exchanged(self, images: Tensor) -> Tensor:
        """The images given, half of them, at random, exchanged for older ones; while the pool fills, all as they are.

        What is drawn comes from torch's global stream of the CPU.
        """
        if not self.size:
            return images.detach()
        shown = images.detach().clone()
        filled = int(self.count)
        swaps, places = torch.rand(len(images)), torch.rand(len(images))
        for i, image in enumerate(images.detach()):
            if filled < self.size:
                self.images[filled] = image
                filled += 1
            elif swaps[i] < 0.5:
                place = int(places[i] * self.size)
                shown[i] = self.images[place]
                self.images[place] = image
        self.count.fill_(filled)
        return shown
