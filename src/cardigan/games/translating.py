"""What the games of image to image have in common: two sides, and a way from one to the other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cardigan.data.palette import coded, shown
from cardigan.data.spec import DataSpec, Side
from cardigan.errors import RecipeError
from cardigan.games.base import Game, side_by_side
from cardigan.networks.sizes import Takes
from cardigan.objectives import at_least_float32

PREVIEWED = 16


class Translating(Game):
    """A game whose outcome turns images of one side into images of the other.

    Attributes:
        two: the sides; the first is 0, the second 1.
    """

    validated = 16

    reached: tuple[int, ...] = (1,)
    """The sides that it can translate to."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.two: tuple[Side, Side] = two_sides(spec)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.spec.height, self.spec.width

    @property
    def takes(self) -> Takes:
        """Sizes of image that it translates."""
        raise TypeError(f"{type(self).__name__} says of no size that it takes it")

    def sides(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What networks see of each side, of examples that hold both."""
        a, b = images.split([side.channels for side in self.two], 1)
        return coded(self.two[0], a), coded(self.two[1], b)

    def translate(self, images: Tensor, to: int, seeds: Sequence[int] | None = None) -> Tensor:
        """Images (n, inputs of the other side, height, width), as networks see them, on the side `to`.

        Args:
            seeds: of the noise of each image, where the network has any; None switches it off.
        """
        raise TypeError(f"{type(self).__name__} defines no translation")

    @property
    def may_invert(self) -> bool:
        """Whether photographs become photographs and what becomes of them is judged by the way back alone."""
        return 0 in self.reached and not any(side.palette for side in self.two)

    @property
    def columns(self) -> tuple[str, ...]:
        """What the columns of a preview show."""
        a, b = (side.name for side in self.two)
        back = (f"{b} to {a}",) if 0 in self.reached else ()
        return (a, f"{a} to {b}", b, *back)

    def preview(self, images: Tensor, latents: Tensor) -> Tensor:
        """Test images and what becomes of them, in RGB: the first side, its translation and the second side.

        Where there is a way back, the translation of the second side comes after it.
        """
        both = self.sides(images[:PREVIEWED])
        seeds = range(len(both[0]))
        columns = [both[0], self.translate(both[0], 1, seeds), both[1]]
        sides = [0, 1, 1]
        if 0 in self.reached:
            columns.append(self.translate(both[1], 0, seeds))
            sides.append(0)
        pictures = [shown(self.two[side], column.float()) for side, column in zip(sides, columns, strict=True)]
        return side_by_side(*with_alpha(pictures))


def distance(first: Tensor, second: Tensor) -> Tensor:
    """Mean absolute difference."""
    return (at_least_float32(first) - second).abs().mean()


def two_sides(spec: DataSpec) -> tuple[Side, Side]:
    """The two sides of the data.

    Raises:
        RecipeError: where it has none.
    """
    if len(spec.sides) != 2:
        raise RecipeError("this recipe translates between two kinds of image, and the data has one: see data.pairing")
    return spec.sides[0], spec.sides[1]


def with_alpha(pictures: Sequence[Tensor]) -> Sequence[Tensor]:
    """RGB pictures as RGBA where any of them has alpha."""
    if len({picture.shape[1] for picture in pictures}) == 1:
        return pictures
    return [p if p.shape[1] == 4 else torch.cat([p, torch.ones_like(p[:, :1])], 1) for p in pictures]
