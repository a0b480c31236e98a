"""Semantic inpainting with a trained generator (Yeh et al. 2017).

The image that fits is looked for among those the generator can make: z* minimises a context loss on the known pixels
near the hole and a prior loss that keeps the image believable; the weights of all networks are fixed. Then the hole is
filled from G(z*), whose gradients are blended into the surroundings.

Three things differ from the paper. The prior loss is softplus of minus the discriminator's score, counted in standard
deviations of the scores of the model's own samples, so that its weight means the same under every objective: log(1 - D)
is right for one only. The search, which is `apps.search`, begins at the best of many samples, not at any. And it ends
when it has converged, for each start by itself, so that an image's result does not depend on the images beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import AfterValidator, Field, NonNegativeFloat
from torch import Tensor
from torch.nn import functional

from cardigan.apps.inpainting.blending import blend, harmonic
from cardigan.apps.search import SearchOptions, find
from cardigan.games import Encoding, Generative


def odd(window: int) -> int:
    if window % 2 == 0:
        raise ValueError("give an odd number, so that the window has a middle")
    return window


class CompletionOptions(SearchOptions):
    """How a hole is filled: beside what every search has,

    Attributes:
        window: side of the square, an odd number, whose share of missing pixels is the weight of the known one amid it.
        weighted: whether pixels far from the hole weigh less; else all known ones weigh the same.
        blended: whether the filling's gradients are blended into the image, or its pixels pasted.
    """

    prior: NonNegativeFloat = 0.02
    window: Annotated[int, Field(ge=3), AfterValidator(odd)] = 7
    weighted: bool = True
    blended: bool = True


@dataclass(frozen=True)
class Completion:
    """What became of n images.

    Attributes:
        images: completed, float32 (n, channels, height, width) in [-1, 1]; known pixels are as they were, to the bit.
        generated: the generator's image that fits best, of the same shape.
        pasted: its pixels in the holes, without blending.
        latents: where it was found, (n, latent size).
        losses: what was minimised, (n,).
        steps: how many the search took, int64 (n,), of the start that won.
    """

    images: Tensor
    generated: Tensor
    pasted: Tensor
    latents: Tensor
    losses: Tensor
    steps: Tensor


def context_weights(holes: Tensor, window: int = 7, weighted: bool = True) -> Tensor:
    """W_i = share of missing pixels in the window around a known pixel i, 0 in the hole (Yeh et al. 2017, Eq. 3).

    Divided by their sum for each image, so that a weighted sum is a mean: float32 (n, 1, height, width).
    """
    missing = holes.float()
    near = functional.avg_pool2d(missing, window, 1, window // 2, count_include_pad=False) if weighted else 1.0
    weights = (1 - missing) * near
    return weights / weights.sum((1, 2, 3), keepdim=True)


def complete(
    game: Generative,
    images: Tensor,
    holes: Tensor,
    options: CompletionOptions,
    device: torch.device,
    label: Tensor | None = None,
    advance: Callable[[int], None] = lambda images: None,
) -> Completion:
    """Fill the holes (n, 1, height, width) of images (n, channels, height, width) in [-1, 1], in parts that fit memory.

    `advance` is called with the number of images of each part that is done.
    """
    weights = context_weights(holes, options.window, options.weighted)
    seen = images.masked_fill(holes, 0.0)  # whatever is under the hole ends here
    whole = harmonic(seen, holes) if isinstance(game, Encoding) else None
    found = find(game, seen, weights, options, device, label=label, whole=whole, advance=advance)
    pasted = torch.where(holes, found.images, images)
    filled = blend(images, found.images, holes) if options.blended else pasted
    return Completion(filled, found.images, pasted, found.latents, found.losses, found.steps)
