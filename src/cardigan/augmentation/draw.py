"""All that chance has to say of the augmentation of one batch."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from cardigan.augmentation.config import Kind
from cardigan.augmentation.geometry import Blit, Warp
from cardigan.augmentation.pixels import Blank, Colour, Noise, beyond_border, colour_map, square_hole
from cardigan.augmentation.step import Step

Images = Float[Tensor, "n channels height width"]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Draw:
    """A fixed differentiable function of n images: the same one however often it is called.

    Image i of the result depends on image i alone, so labels stay where they are. It is computed in float32, or in
    float64 for images in float64, whatever autocast says.
    """

    n: int
    steps: tuple[Step, ...]

    def __call__(self, images: Images) -> Images:
        """The images as the discriminator shall see them; values may leave [-1, 1]."""
        if len(images) != self.n:
            raise ValueError(f"drawn for {self.n} images, not {len(images)}: see Draw.repeat")
        images = images.to(torch.promote_types(images.dtype, torch.float32))
        with torch.autocast(images.device.type, enabled=False):
            for step in self.steps:
                images = step(images)
        return images

    def repeat(self, times: int) -> Draw:
        """For several batches in one, as `torch.cat` joins them: image i is treated alike in each."""
        return Draw(self.n * times, tuple(step.repeat(times, self.n) for step in self.steps))


@dataclass(frozen=True)
class Lots:
    """Decides for each image and kind, independently, whether a drawn value counts.

    Every kind is drawn, wanted or not: what one kind does to an image does not depend on which others are in the list,
    and a higher probability adds changes to those that a lower one makes.
    """

    kinds: Collection[Kind]
    n: int
    probability: float

    def value(self, kind: Kind, values: Tensor, otherwise: int = 0, probability: float | None = None) -> Tensor:
        """The values (n, ...) of the images that the kind is applied to, and for the rest what changes nothing."""
        often = self.probability if probability is None else probability
        drawn = torch.rand(self.n) < (often if kind in self.kinds else 0.0)
        return torch.where(drawn.view(-1, *[1] * (values.ndim - 1)), values, otherwise)


def draw(
    kinds: Collection[Kind],
    n: int,
    shape: Shape,
    probability: float = 1.0,
    device: torch.device | str = "cpu",
) -> Draw:
    """Draw the augmentation of n images of a shape (channels, height, width), from torch's global streams.

    Apart from noise, all is drawn on the CPU, so that it is the same for every device. The geometry comes first, then
    colours and noise; what is filled with grey is grey in the end. Strengths are those of Karras et al. 2020, appendix B,
    with σ for a standard deviation:

    - scale, stretch (one side by s, the other by 1/s): s = 2^(0.2 N(0, 1)); rotate: before and after the stretch, each
      with 1 - √(1 - p) and a uniform angle; shift: N(0, σ = 1/8) of each side;
    - flip, rotate90: one of the two or four at random, of which one changes nothing;
    - translate: up to 1/8 of each side in whole pixels, with grey for what moves in (Zhao et al. 2020);
    - brightness: N(0, σ = 0.2) is added; contrast: times 2^(0.5 N(0, 1)); luma-flip: one of the two; hue: a uniform angle;
      saturation: times 2^N(0, 1);
    - noise: N(0, σ) with σ = |N(0, 0.1)|; cutout: half of each side about a uniform place.

    Args:
        kinds: those to apply, that suit the shape (see `refuse_damaging`).
        probability: of each kind for each image.
    """
    lots = Lots(frozenset(kinds), n, probability)
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        moves = lots.value("translate", whole_moves(n, shape))
        steps = (
            draw_warp(lots, shape, device),
            draw_blit(lots, shape, moves, device),
            draw_colour(lots, shape[0], device),
            draw_noise(lots, shape, device),
            draw_blank(lots, shape, moves, device),
        )
    return Draw(n, tuple(step for step in steps if len(step.chosen)))


def those(changed: Tensor) -> Tensor:
    """The indices of the images for which any of the flags (n, ...) is set."""
    return changed.flatten(1).any(1).nonzero().squeeze(1)


def whole_moves(n: int, shape: Shape) -> Tensor:
    """Whole pixels down and right, up to an eighth of the sides: int64 (n, 2)."""
    return torch.stack(
        [torch.randint(-reach, reach + 1, (n,)) for reach in (int(side / 8 + 0.5) for side in shape[1:])], 1
    )


def draw_warp(lots: Lots, shape: Shape, device: torch.device | str) -> Warp:
    n, (_, height, width) = lots.n, shape
    scale = lots.value("scale", torch.exp2(0.2 * torch.randn(n)), 1)
    stretch = lots.value("stretch", torch.exp2(0.2 * torch.randn(n)), 1)
    either = 1 - math.sqrt(1 - lots.probability)
    before, after = (lots.value("rotate", 2 * math.pi * torch.rand(n), probability=either) for _ in range(2))
    shift = lots.value("shift", torch.randn(n, 2) / 8 * torch.tensor([height, width]))
    sides = torch.diag_embed(torch.stack([scale / stretch, scale * stretch], 1))
    matrix = rotation(after) @ sides @ rotation(before)
    chosen = those(torch.cat([matrix != torch.eye(2), shift[:, None] != 0], 1))
    placed = (part.to(device) for part in (chosen, matrix[chosen], shift[chosen]))
    return Warp.along((height, width), *placed)


def rotation(angle: Tensor) -> Tensor:
    """Matrices (n, 2, 2)."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)


def draw_blit(lots: Lots, shape: Shape, moves: Tensor, device: torch.device | str) -> Blit:
    flips = lots.value("flip", torch.randint(2, (lots.n,)))
    turns = lots.value("rotate90", torch.randint(4, (lots.n,)))
    chosen = those(torch.cat([flips[:, None], turns[:, None], moves], 1) != 0)
    placed = (part.to(device) for part in (chosen, flips[chosen], turns[chosen], moves[chosen]))
    return Blit.along(shape[1:], *placed)


def draw_colour(lots: Lots, channels: int, device: torch.device | str) -> Colour:
    n = lots.n
    matrix, offset = colour_map(
        channels,
        brightness=lots.value("brightness", 0.2 * torch.randn(n)),
        contrast=lots.value("contrast", torch.exp2(0.5 * torch.randn(n)), 1),
        luma=lots.value("luma-flip", 1.0 - 2.0 * torch.randint(2, (n,)), 1),
        hue=lots.value("hue", 2 * math.pi * torch.rand(n)),
        saturation=lots.value("saturation", torch.exp2(torch.randn(n)), 1),
    )
    chosen = those(torch.cat([matrix != torch.eye(channels), offset != 0], 2))
    return Colour(*(part.to(device) for part in (chosen, matrix[chosen], offset[chosen])))


def draw_noise(lots: Lots, shape: Shape, device: torch.device | str) -> Noise:
    size = lots.value("noise", 0.1 * torch.randn(lots.n).abs())
    chosen = those(size[:, None] > 0)
    size = size[chosen].to(device).view(-1, 1, 1, 1)
    return Noise(chosen.to(device), size * torch.randn(len(chosen), *shape, device=device))


def draw_blank(lots: Lots, shape: Shape, moves: Tensor, device: torch.device | str) -> Blank:
    centre = torch.rand(lots.n, 2)
    cut = lots.value("cutout", torch.ones(lots.n)) > 0
    chosen = those(torch.cat([moves != 0, cut[:, None]], 1))
    index, moves, centre, cut = (part.to(device) for part in (chosen, moves[chosen], centre[chosen], cut[chosen]))
    hole = square_hole(centre, *shape[1:]) & cut[:, None, None, None]
    return Blank(index, beyond_border(moves, *shape[1:]) | hole)
