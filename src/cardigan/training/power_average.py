"""Power-function averages of weights, and any other of them put together after training.

Karras et al. 2024, "Analyzing and Improving the Training Dynamics of Diffusion Models" (EDM2), sections 3.1 and 3.2 and
appendix C. An average with exponent gamma weighs the weights theta(tau) of time tau by tau^gamma, so it forgets the
initialisation, and its length grows with the training. Times are counts of training images. The `width` is the paper's
sigma_rel: the standard deviation of the profile over its time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cardigan.errors import RecipeError

UNIFORM = 12**-0.5
"""The width of exponent 0, which weighs the whole training alike: the widest."""


def relative_width(exponent: float) -> float:
    """sigma_rel = (gamma + 1)^(1/2) (gamma + 2)^-1 (gamma + 3)^(-1/2) (section 3.1)."""
    return math.sqrt((exponent + 1) / (exponent + 3)) / (exponent + 2)


def exponent_of(width: float) -> float:
    """The gamma >= 0 of a width; the paper's Algorithm 2 asks a polynomial solver for it.

    With x = gamma + 2 the width is that of x^3 + x^2 - s x + s = 0, s = 1 / width^2, and x is the largest of three real
    roots, which have a closed form (Viète's).

    Raises:
        RecipeError: where no profile has that width.
    """
    check_width(width)
    s = width**-2
    p, q = s + 1 / 3, 4 * s / 3 + 2 / 27  # y^3 - p y + q = 0 with y = x + 1/3
    angle = math.acos(-1.5 * q / p * math.sqrt(3 / p))
    return 2 * math.sqrt(p / 3) * math.cos(angle / 3) - 7 / 3


def check_width(width: float) -> None:
    """Raise RecipeError for what is the width of no profile."""
    if not 0 < width <= UNIFORM:
        raise RecipeError(
            f"a width is more than 0 and at most 0.2886, which weighs all the training alike, not {width:g}"
        )


def decay(exponent: float, images: int, fresh: int) -> float:
    """beta, the share of the old average that is left where `fresh` of `images` have been seen since it was taken.

    (1 - fresh / images)^(gamma + 1): the paper's (1 - 1/t)^(gamma + 1) for steps of any size (Eq. 127).
    """
    return (1 - fresh / images) ** (exponent + 1) if fresh else 1.0


@dataclass(frozen=True)
class Profile:
    """How an average weighs the weights of time tau: (gamma + 1) / t (tau / t)^gamma for 0 <= tau <= t.

    Attributes:
        width: sigma_rel, over 0 and at most `UNIFORM`.
        images: t, more than 0.
    """

    width: float
    images: float


@dataclass(frozen=True)
class Mixture:
    """A weighted sum of stored averages that comes close to another one.

    Attributes:
        weights: one for each stored average; they add up to 1.
        residual: norm of the difference of the profiles, relative to that of the profile that was wanted.
    """

    weights: tuple[float, ...]
    residual: float


def reconstruct_profile(stored: Sequence[Profile], wanted: Profile) -> Mixture:
    """The sum of stored profiles next to `wanted` in the mean square (section 3.2, Algorithm 3), with weights that add up to 1.

    The paper leaves their sum free. Weights move little beside what they are, so that a sum that is off by a hundredth is
    most of the error: on random walks that begin five standard deviations from zero, with 16 snapshots of 0.05 and 0.10,
    the condition takes it to a third for a width of 0.03, to a fifth for 0.075 and to a sixteenth for 0.15.
    """
    scale = np.diag(inner_products(stored, stored)) ** -0.5  # to profiles of norm 1
    gram = inner_products(stored, stored) * np.outer(scale, scale)
    target = inner_products(stored, [wanted])[:, 0] * scale
    conditions = np.block([[gram, scale[:, None]], [scale[None], np.zeros((1, 1))]])
    solution = np.linalg.lstsq(conditions, np.append(target, 1.0))[0][:-1]
    norm = inner_products([wanted], [wanted])[0, 0]
    squared = solution @ gram @ solution - 2 * solution @ target + norm
    return Mixture(tuple((solution * scale).tolist()), math.sqrt(max(squared, 0.0) / norm))


def inner_products(first: Sequence[Profile], second: Sequence[Profile]) -> np.ndarray:
    """The integrals of the products of every two profiles, float64 (n, m), in closed form (Algorithm 3).

    (a + 1) (b + 1) / (a + b + 1) (s / t)^b / t for exponents a and b at times s <= t.
    """
    t, s = (np.array([profile.images for profile in side], dtype=np.float64) for side in (first, second))
    a, b = (np.array([exponent_of(profile.width) for profile in side]) for side in (first, second))
    t, a = t[:, None], a[:, None]
    late, exponent_of_late = np.maximum(t, s), np.where(t >= s, a, b)
    return (a + 1) * (b + 1) / (a + b + 1) * (np.minimum(t, s) / late) ** exponent_of_late / late
