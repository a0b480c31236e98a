"""The truncation trick (Brock et al. 2019, section 3.1): latents nearer to zero than the prior's.

A low threshold trades variety for fidelity: samples look more like what the generator does best, and more alike.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cardigan.errors import RecipeError
from cardigan.games.base import LatentConfig


def truncated(latents: Tensor, threshold: float, latent: LatentConfig) -> Tensor:
    """Latents of the prior as draws from the prior within [-threshold, threshold]; each keeps its place in the order.

    Normal ones are redrawn until they lie within, which is the same as to put the draw's own probability u = Φ(z) into
    the inverse distribution function of the truncated normal: z' = Φ⁻¹(Φ(-T) + u (Φ(T) - Φ(-T))). So no further draw is
    needed, sample k is a likeness of sample k without truncation, and with a growing T becomes it. Uniform ones are
    scaled.

    Raises:
        RecipeError: the threshold is not positive, or beyond 1 where latents are uniform in [-1, 1].
    """
    if not 0 < threshold < math.inf:
        raise RecipeError(f"truncation is the largest size of a latent number: give a positive one, not {threshold}")
    if latent.distribution == "uniform":
        if threshold > 1:
            raise RecipeError("latents of this model are uniform in [-1, 1]: give a truncation of at most 1")
        return latents * threshold
    limit = torch.tensor(threshold, dtype=torch.float64)
    lower = -latents.double().abs()  # by symmetry all is computed in the lower half, where Φ is precise
    inside = torch.special.ndtr(lower) * torch.special.erf(limit / math.sqrt(2))
    redrawn = torch.special.ndtri(torch.special.ndtr(-limit) + inside).clamp(-threshold, 0.0)
    return torch.where(latents > 0, -redrawn, redrawn).to(latents.dtype)


def chosen_as(latents: Tensor, others: Tensor, choices: int) -> Tensor:
    """The others, but with the last numbers of `latents`, those that choose."""
    return torch.cat([others[:, :-choices], latents[:, -choices:]], 1) if choices else others
