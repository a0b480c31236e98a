"""What stands between the images and a discriminator that has too few of them: random changes it must see through.

Differentiable, so that the generator learns through them (Zhao et al. 2020), and applied to each image with a
probability that may follow how far the discriminator has overfitted (Karras et al. 2020).
"""

from cardigan.augmentation.config import (
    KINDS,
    POLICIES,
    AugmentConfig,
    Kind,
    Policy,
    adjusted,
    damaging,
    refuse_damaging,
)
from cardigan.augmentation.draw import Draw, draw
from cardigan.augmentation.leak import Leak, leak

__all__ = [
    "KINDS",
    "POLICIES",
    "AugmentConfig",
    "Draw",
    "Kind",
    "Leak",
    "Policy",
    "adjusted",
    "damaging",
    "draw",
    "leak",
    "refuse_damaging",
]
