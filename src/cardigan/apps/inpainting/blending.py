"""Poisson blending (Pérez et al. 2003): the gradients of one image between the pixels of another."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import scipy.sparse as sparse
import torch
from scipy.sparse.linalg import splu
from torch import Tensor


@lru_cache(maxsize=4)
def laplacian(height: int, width: int) -> sparse.csr_matrix:
    """(L x)_i = sum over the neighbours j of i, two to four, of x_i - x_j, for pixels in rows."""

    def path(n: int) -> sparse.csr_matrix:
        """The Laplacian of n pixels in a line."""
        degrees = np.full(n, 2.0)
        degrees[[0, -1]] -= 1
        return sparse.csr_matrix(sparse.diags([-np.ones(n - 1), degrees, -np.ones(n - 1)], [-1, 0, 1]))

    return sparse.csr_matrix(
        sparse.kron(path(height), sparse.eye(width)) + sparse.kron(sparse.eye(height), path(width))
    )


def blend(images: Tensor, guides: Tensor, holes: Tensor) -> Tensor:
    """Fill each hole so that its gradients, and those across its edge, come closest to the guide's.

    min over x of |grad x - grad guide|^2 with x = images outside the hole (Yeh et al. 2017, Eq. 8). The matrix is the
    mask's alone: it is factorised once for each different mask and solved for all images and channels that have it.

    Args:
        images, guides: (n, channels, height, width) in [-1, 1].
        holes: bool (n, 1, height, width), each with a pixel in it and one outside.

    Returns:
        float32 in [-1, 1] like `images`, which are unchanged to the bit outside the holes.
    """
    blended = images.clone()
    different, which = holes.flatten(1).unique(dim=0, return_inverse=True)
    for number, hole in enumerate(different):
        chosen = torch.nonzero(which == number).flatten()
        blended[chosen] = blend_alike(images[chosen], guides[chosen], hole.view(holes.shape[2:]))
    return blended


def blend_alike(images: Tensor, guides: Tensor, hole: Tensor) -> Tensor:
    """`blend` of images that share the mask (height, width)."""
    flat = hole.flatten().numpy()
    rows, solve = factorised(*hole.shape, flat.tobytes())
    pixels, wanted = (x.double().flatten(0, 1).flatten(1).numpy().T for x in (images, guides))
    solved = solve(rows @ wanted - rows @ np.where(flat[:, None], 0.0, pixels))
    filled = images.flatten(2).clone()
    filled[:, :, hole.flatten()] = (
        torch.from_numpy(solved.T.copy()).float().view(*images.shape[:2], -1).clamp(-1.0, 1.0)
    )
    return filled.view_as(images)


@lru_cache(maxsize=8)
def factorised(height: int, width: int, hole: bytes) -> tuple[sparse.csr_matrix, Callable[[np.ndarray], np.ndarray]]:
    """The Laplacian's rows of the missing pixels, and the solver of their equations with the known ones moved over."""
    missing = np.frombuffer(hole, bool)
    rows = sparse.csr_matrix(laplacian(height, width)[missing])
    return rows, splu(rows.tocsc()[:, missing]).solve


def harmonic(images: Tensor, holes: Tensor) -> Tensor:
    """The smoothest filling, that of a guide without gradients; what was in the holes does not matter."""
    return blend(images, torch.zeros_like(images), holes)
