"""Augmentations against cases computed by hand; chance that can be repeated; leaks that are seen."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from cardigan.augmentation import (
    KINDS,
    POLICIES,
    AugmentConfig,
    Draw,
    Kind,
    adjusted,
    damaging,
    draw,
    leak,
    refuse_damaging,
)
from cardigan.augmentation.draw import Lots, rotation
from cardigan.augmentation.geometry import Blit, Warp
from cardigan.augmentation.pixels import Blank, Colour, beyond_border, colour_map, square_hole
from cardigan.data.spec import DataSpec
from cardigan.errors import RecipeError
from cardigan.objectives import scores_and_squared_slopes
from cardigan.schedule import Schedule
from cardigan.training.recipe import validated

ONE = torch.zeros(1, dtype=torch.int64)
SHAPES = ((1, 16, 16), (3, 16, 16), (4, 16, 16), (5, 16, 16), (3, 12, 20))


def spec(channels: int = 3, height: int = 16, width: int = 16, kind: str = "images") -> DataSpec:
    return DataSpec(channels=channels, height=height, width=width, kind=kind)  # type: ignore[arg-type]


def suited(shape: tuple[int, int, int]) -> tuple[Kind, ...]:
    bad = damaging(KINDS, spec(*shape))
    return tuple(kind for kind in KINDS if kind not in bad)


def images(n: int, *shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    stream = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(n, *shape, generator=stream, dtype=dtype) - 1


def drawn(
    kinds: tuple[Kind, ...], n: int, shape: tuple[int, int, int], probability: float = 1.0, seed: int = 0
) -> Draw:
    torch.manual_seed(seed)
    return draw(kinds, n, shape, probability)


def step(made: Draw, kind: type) -> object:
    (found,) = (step for step in made.steps if isinstance(step, kind))
    return found


# ---- exact cases ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_probability_nought_changes_no_bit(shape: tuple[int, int, int]) -> None:
    x = images(6, *shape)
    assert torch.equal(drawn(suited(shape), 6, shape, 0.0)(x), x)


def test_a_flip_is_torch_flip() -> None:
    x = images(400, 3, 4, 6)
    y = drawn(("flip",), 400, (3, 4, 6))(x)
    flipped = torch.tensor([torch.equal(a, b.flip(2)) for a, b in zip(y, x, strict=True)])
    assert torch.equal(y[~flipped], x[~flipped])
    assert 0.4 < flipped.float().mean() < 0.6


def test_quarter_turns_are_torch_rot90() -> None:
    x = images(400, 3, 6, 6)
    y = drawn(("rotate90",), 400, (3, 6, 6))(x)
    turned = torch.tensor(
        [[torch.equal(a, torch.rot90(b, k, (1, 2))) for k in range(4)] for a, b in zip(y, x, strict=True)]
    )
    assert torch.equal(turned.sum(1), torch.ones(400, dtype=torch.int64))
    torch.testing.assert_close(turned.float().mean(0), torch.full((4,), 0.25), atol=0.08, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(5, 5), (4, 7)])
def test_a_blit_mirrors_then_turns_then_moves(height: int, width: int) -> None:
    x = images(1, 2, height, width)
    for flip in range(2):
        for turn in range(4 if height == width else 1):
            for move in ((0, 0), (1, -2), (-1, 3)):
                numbers = (torch.tensor([flip]), torch.tensor([turn]), torch.tensor([move]))
                y = Blank(ONE, beyond_border(numbers[2], height, width))(Blit.along((height, width), ONE, *numbers)(x))
                expected = torch.rot90(x.flip(3) if flip else x, turn, (2, 3))
                assert torch.equal(y, moved(expected, *move))


def moved(x: Tensor, down: int, right: int) -> Tensor:
    """By hand: rolled, and what came round the border put to 0."""
    y = x.roll((down, right), (2, 3))
    y[:, :, slice(0, down) if down >= 0 else slice(down, None)] = 0
    y[:, :, :, slice(0, right) if right >= 0 else slice(right, None)] = 0
    return y


def test_translation_moves_up_to_an_eighth_and_fills_with_grey() -> None:
    x = images(300, 1, 16, 24)
    y = drawn(("translate",), 300, (1, 16, 24))(x)
    moves = {}
    for i in range(300):
        fitting = [m for m in MOVES if torch.equal(y[i : i + 1], moved(x[i : i + 1], *m))]
        assert len(fitting) == 1
        moves[fitting[0]] = moves.get(fitting[0], 0) + 1
    assert set(moves) == set(MOVES)


MOVES = [(down, right) for down in range(-2, 3) for right in range(-3, 4)]


def test_cutout_greys_a_quarter_about_its_place() -> None:
    x = images(200, 3, 16, 20) + 3
    made = drawn(("cutout",), 200, (3, 16, 20))
    y = made(x)
    gone = (y == 0).all(1)
    assert torch.equal(y, torch.where(gone[:, None], 0, x))
    rows, columns = gone.any(2).sum(1), gone.any(1).sum(1)
    assert torch.equal(gone.sum((1, 2)), rows * columns)  # a rectangle
    assert rows.max() == 8
    assert columns.max() == 10
    assert rows.min() >= 4
    assert columns.min() >= 5
    assert square_hole(torch.tensor([[0.5, 0.5]]), 16, 20).nonzero()[[0, -1], 2:].tolist() == [[4, 5], [11, 14]]
    assert square_hole(torch.tensor([[0.0, 1.0]]), 16, 20).nonzero()[[0, -1], 2:].tolist() == [[0, 15], [3, 19]]


def test_noise_has_a_half_normal_size_of_its_own_for_each_image() -> None:
    noise = drawn(("noise",), 2000, (1, 16, 16))(torch.zeros(2000, 1, 16, 16))
    sizes = noise.flatten(1).std(1)
    assert noise.mean().abs() < 1e-3
    assert sizes.mean().item() == pytest.approx(0.1 * math.sqrt(2 / math.pi), rel=0.06)
    assert sizes.square().mean().sqrt().item() == pytest.approx(0.1, rel=0.06)


# ---- colours ----------------------------------------------------------------------------------------------------------


def coloured(x: Tensor, **changes: float) -> Tensor:
    values = {"brightness": 0.0, "contrast": 1.0, "luma": 1.0, "hue": 0.0, "saturation": 1.0} | changes
    numbers = {name: torch.full((len(x),), value, dtype=torch.float32) for name, value in values.items()}
    return Colour(torch.arange(len(x)), *colour_map(x.shape[1], **numbers))(x)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_brightness_adds_and_contrast_scales_about_grey(channels: int) -> None:
    x = images(2, channels, 4, 4)
    torch.testing.assert_close(coloured(x, brightness=0.3), x + 0.3)
    torch.testing.assert_close(coloured(x, contrast=1.7), 1.7 * x)
    torch.testing.assert_close(coloured(x, contrast=0.5, brightness=0.2), 0.5 * (x + 0.2))
    torch.testing.assert_close(coloured(x, luma=-1.0), x - 2 * x.mean(1, keepdim=True))


def test_saturation_and_hue_keep_luma() -> None:
    x = images(2, 3, 4, 4)
    luma = x.mean(1, keepdim=True)
    torch.testing.assert_close(coloured(x, saturation=2.5), luma + 2.5 * (x - luma))
    turned = coloured(x, hue=0.7)
    torch.testing.assert_close(turned.mean(1, keepdim=True), luma)
    torch.testing.assert_close(turned.square().sum(1), x.square().sum(1))
    torch.testing.assert_close(coloured(turned, hue=-0.7), x)
    torch.testing.assert_close(coloured(x, hue=2 * math.pi / 3), x.roll(1, 1))  # red becomes green


def test_luma_flip_keeps_the_colours_own_part() -> None:
    x = images(2, 3, 4, 4)
    y = coloured(x, luma=-1.0)
    torch.testing.assert_close(y.mean(1), -x.mean(1))
    torch.testing.assert_close(y - y.mean(1, keepdim=True), x - x.mean(1, keepdim=True))
    torch.testing.assert_close(coloured(images(2, 1, 4, 4), luma=-1.0), -images(2, 1, 4, 4))


def test_colours_at_once_are_those_one_after_the_other() -> None:
    x = images(3, 3, 4, 4)
    changes = {"brightness": 0.2, "contrast": 1.4, "luma": -1.0, "hue": 1.1, "saturation": 0.6}
    after = x
    for name, value in changes.items():
        after = coloured(after, **{name: value})
    torch.testing.assert_close(coloured(x, **changes), after)


def test_the_spread_of_the_colours() -> None:
    """Read off the map of grey and of one colour."""
    n, shape = 4000, (3, 2, 2)
    grey, red = torch.full((n, 3, 2, 2), 0.5), torch.zeros(n, 3, 2, 2)
    red[:, 0], red[:, 1:] = 2 / 3, -1 / 3  # without luma
    brighter = drawn(("brightness",), n, shape)(grey)[:, 0, 0, 0] - 0.5
    factor = (drawn(("contrast",), n, shape)(grey)[:, 0, 0, 0] / 0.5).log2()
    saturated = (drawn(("saturation",), n, shape)(red)[:, 0, 0, 0] / (2 / 3)).log2()
    for values, spread in ((brighter, 0.2), (factor, 0.5), (saturated, 1.0)):
        assert abs(values.mean()) < 4 * spread / math.sqrt(n)
        assert values.std().item() == pytest.approx(spread, rel=0.05)
    turned = drawn(("hue",), n, shape)(red)[:, :, 0, 0]
    angle = torch.atan2((turned[:, 1] - turned[:, 2]) / math.sqrt(3), turned[:, 0])
    assert torch.histc(angle, 8, -math.pi, math.pi).sub(n / 8).abs().max() < 4.5 * math.sqrt(n / 8)


def test_alpha_is_left_alone_by_colours() -> None:
    x = images(64, 4, 8, 8)
    kinds: tuple[Kind, ...] = ("brightness", "contrast", "luma-flip", "hue", "saturation")
    y = drawn(kinds, 64, (4, 8, 8))(x)
    assert torch.equal(y[:, 3], x[:, 3])
    torch.testing.assert_close(y[:, :3], drawn(kinds, 64, (3, 8, 8))(x[:, :3]))
    assert (y[:, :3] != x[:, :3]).all(1).flatten(1).any(1).all()


# ---- resampling -------------------------------------------------------------------------------------------------------


def wave(height: int, width: int, down: int, right: int) -> Callable[[Tensor, Tensor], Tensor]:
    """A picture that is its own mirror image at every border, at any place in pixels from the centre."""

    def value(y: Tensor, x: Tensor) -> Tensor:
        return torch.cos(math.pi * down * (y / height + 0.5)) * torch.cos(math.pi * right * (x / width + 0.5))

    return value


def places(height: int, width: int) -> Tensor:
    """(2, height, width), pixels from the centre."""
    sides = (torch.arange(side, dtype=torch.float64) + 0.5 - side / 2 for side in (height, width))
    return torch.stack(torch.meshgrid(*sides, indexing="ij"))


def read(matrix: Tensor, shift: Tensor, height: int, width: int) -> Tensor:
    return torch.einsum("ij,jhw->ihw", matrix, places(height, width)) + shift[:, None, None]


AFFINE = {
    "nothing": (torch.eye(2), (0.0, 0.0)),
    "turn": (rotation(torch.tensor([0.5]))[0], (0.0, 0.0)),
    "shrink": (1.3 * torch.eye(2), (0.0, 0.0)),
    "grow": (0.7 * torch.eye(2), (0.0, 0.0)),
    "stretch": (torch.diag(torch.tensor([1.2, 1 / 1.2])), (0.0, 0.0)),
    "move": (torch.eye(2), (3.3, -20.6)),
    "all": (rotation(torch.tensor([2.1]))[0] @ torch.diag(torch.tensor([0.9, 1.4])), (-7.2, 41.0)),
}


@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 40)])
@pytest.mark.parametrize("name", AFFINE)
def test_resampling_against_a_picture_known_everywhere(name: str, height: int, width: int) -> None:
    """Beyond the border as well, where the picture is its own mirror image."""
    matrix, shift = AFFINE[name][0].double(), torch.tensor(AFFINE[name][1]).double()
    picture = wave(height, width, 5, 7)
    x = picture(*places(height, width))[None, None]
    y = Warp.along((height, width), ONE, matrix[None], shift[None])(x)
    torch.testing.assert_close(y[0, 0], picture(*read(matrix, shift, height, width)), atol=0.02, rtol=0)


def test_resampling_by_whole_pixels_and_quarter_turns_is_what_it_says() -> None:
    """Smooth pictures, so that only the direction can be wrong."""
    x = smooth(1, 3, 16, 16)
    quarter = torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]], dtype=torch.float64)
    none = torch.zeros(1, 2, dtype=torch.float64)
    turned = Warp.along((16, 16), ONE, quarter, none)(x)
    torch.testing.assert_close(turned, torch.rot90(x, 1, (2, 3)), atol=0.01, rtol=0)
    left = Warp.along((16, 16), ONE, torch.eye(2, dtype=torch.float64)[None], none + torch.tensor([0.0, 2.0]))(x)
    torch.testing.assert_close(left[..., :14], x[..., 2:], atol=0.01, rtol=0)
    torch.testing.assert_close(left[..., 14:], x[..., [15, 14]], atol=0.01, rtol=0)  # mirrored beyond the border


def smooth(n: int, *shape: int) -> Tensor:
    weights = torch.zeros(n, *shape, dtype=torch.float64)
    weights[..., :5, :5] = images(n, shape[0], 5, 5, dtype=torch.float64)
    return synthesised(weights)


def synthesised(weights: Tensor) -> Tensor:
    height, width = weights.shape[-2:]
    down, right = (
        torch.cos(math.pi / side * (torch.arange(side).double()[:, None] + 0.5) * torch.arange(side))
        for side in (height, width)
    )
    return down @ weights @ right.mT / 4


def test_one_resampling_is_two_one_after_the_other() -> None:
    """Where neither sees a border."""
    x = smooth(1, 2, 64, 64)
    first, second = rotation(torch.tensor([0.3]))[0].double(), torch.diag(torch.tensor([1.1, 0.85])).double()
    shift = torch.tensor([[1.3, -0.4]], dtype=torch.float64)
    none = torch.zeros_like(shift)
    after = Warp.along((64, 64), ONE, second[None], shift)(Warp.along((64, 64), ONE, first[None], none)(x))
    once = Warp.along((64, 64), ONE, (first @ second)[None], shift @ first.mT)(x)
    inner = (..., slice(20, 44), slice(20, 44))
    torch.testing.assert_close(once[inner], after[inner], atol=2e-3, rtol=0)
    assert (once - x)[inner].abs().max() > 0.1


def test_what_a_smaller_picture_cannot_hold_is_left_out() -> None:
    """Read at every second pixel, a wave of 2.3 pixels would show as one of 7.7; a slow one stays."""
    double = 2 * torch.eye(2, dtype=torch.float64)[None]
    warp = Warp.along((32, 32), ONE, double, torch.zeros(1, 2, dtype=torch.float64))
    fast, slow = (wave(32, 32, 0, k)(*places(32, 32))[None, None] for k in (28, 6))
    assert warp(fast).abs().max() < 1e-6
    torch.testing.assert_close(warp(slow)[0, 0], wave(32, 32, 0, 6)(*(2 * places(32, 32))), atol=0.02, rtol=0)


def test_flat_pictures_stay_flat() -> None:
    """No border shows, and no brightness is lost, however far a picture is moved."""
    x = torch.full((64, 3, 16, 16), 0.7)
    y = drawn(("scale", "rotate", "stretch", "shift"), 64, (3, 16, 16))(x)
    torch.testing.assert_close(y, x, atol=1e-5, rtol=0)


def slopes(y: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Of images of `wave(64, 64, 1, 0)`, or of (0, 1) along the other axis: the place read in the middle, and its slope."""
    middle = y[:, 0, 30:34, 32] if axis == 0 else y[:, 0, 32, 30:34]
    read = torch.arccos(middle.clamp(-1, 1)) / math.pi - 0.5  # in sides from the centre
    return read.mean(1), (read[:, 2] - read[:, 1]) * 64


@pytest.mark.parametrize(
    ("kind", "spread"), [("scale", 0.2 * math.log(2)), ("stretch", 0.2 * math.log(2)), ("shift", 1 / 8)]
)
def test_the_spread_of_the_geometry(kind: Kind, spread: float) -> None:
    made = drawn((kind,), 500, (1, 64, 64))
    waves = (wave(64, 64, 1 - axis, axis)(*places(64, 64)).expand(500, 1, 64, 64) for axis in range(2))
    (place, slope), (aside, other) = (slopes(made(x), axis) for axis, x in enumerate(waves))
    values = place if kind == "shift" else slope.abs().clamp(min=1e-6).log()
    assert values.median().abs() < 0.02
    assert values.quantile(0.84).item() == pytest.approx(spread, rel=0.2)
    if kind == "shift":
        assert torch.corrcoef(torch.stack([place, aside]))[0, 1].abs() < 0.15
    else:
        assert (other - (slope if kind == "scale" else 1 / slope)).abs().median() < 0.01


def test_angles_are_uniform_and_either_turn_may_be_the_one() -> None:
    """With 1 - √(1 - p) each, so that a stretch is along any direction and an image is turned with p."""
    torch.manual_seed(0)
    x = (places(16, 16).float()[1] / 16).expand(3000, 1, 16, 16)  # rises to the right
    y = drawn(("rotate",), 3000, (1, 16, 16), 0.5)(x)
    rise = torch.stack([y[:, 0, 8, 7] - y[:, 0, 7, 7], y[:, 0, 7, 8] - y[:, 0, 7, 7]])
    angle = torch.atan2(*rise)
    turned = angle[(y != x).flatten(1).any(1)]
    assert len(turned) / 3000 == pytest.approx(0.5, abs=0.04)
    assert torch.histc(turned, 8, -math.pi, math.pi).sub(len(turned) / 8).abs().max() < 4.5 * math.sqrt(len(turned) / 8)


# ---- chance -----------------------------------------------------------------------------------------------------------

SHARE = {"flip": 1 / 2, "rotate90": 3 / 4, "luma-flip": 1 / 2, "translate": 1 - 1 / 25}
"""Of the images that a kind is applied to, those that it changes at 16 x 16; all of them for the other kinds."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("probability", [0.3, 1.0])
def test_each_kind_is_applied_as_often_as_asked(kind: Kind, probability: float) -> None:
    n = 1500
    x = images(n, 3, 16, 16)
    y = drawn((kind,), n, (3, 16, 16), probability)(x)
    changed = (y != x).flatten(1).any(1).float().mean().item()
    expected = probability * SHARE.get(kind, 1.0)
    assert changed == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / n) + 1e-9)


def test_kinds_are_applied_independently() -> None:
    lots = Lots(("noise", "cutout"), 20_000, 0.4)
    torch.manual_seed(0)
    first, second = (lots.value(kind, torch.ones(20_000)) for kind in ("noise", "cutout"))
    assert (first * second).mean().item() == pytest.approx(0.16, abs=0.012)


def test_a_seed_gives_a_draw_and_another_another() -> None:
    x = images(16, 3, 16, 16)
    first, same, other = (drawn(KINDS, 16, (3, 16, 16), 0.5, seed)(x) for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_a_kind_does_the_same_whatever_else_is_in_the_list() -> None:
    alone = step(drawn(("flip",), 32, (3, 16, 16), 0.5), Blit)
    among = step(drawn(tuple(k for k in KINDS if k not in ("rotate90", "translate")), 32, (3, 16, 16), 0.5), Blit)
    assert torch.equal(alone.chosen, among.chosen)  # type: ignore[attr-defined]


def test_a_higher_probability_adds_to_the_changes_of_a_lower() -> None:
    x = images(64, 3, 16, 16)
    for kind in ("hue", "cutout", "rotate"):
        changed = [(drawn((kind,), 64, (3, 16, 16), p)(x) != x).flatten(1).any(1) for p in (0.2, 0.5)]
        assert (changed[0] <= changed[1]).all()
        assert changed[0].sum() < changed[1].sum()


# ---- a draw is a function of the images ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_real_and_generated_images_meet_the_same_change(shape: tuple[int, int, int]) -> None:
    """It is affine, so the difference of two batches is changed by the linear part alone."""
    made = drawn(suited(shape), 8, shape, 0.8)
    real, fake = (images(8, *shape, seed=seed, dtype=torch.float64) for seed in (1, 2))
    torch.testing.assert_close(made(real) - made(fake), made(real - fake) - made(torch.zeros_like(real)))
    assert torch.equal(made.repeat(2)(torch.cat([real, fake])), torch.cat([made(real), made(fake)]))
    assert made(real).shape == real.shape


@pytest.mark.parametrize("shape", SHAPES)
def test_an_image_depends_on_no_other_so_labels_stay(shape: tuple[int, int, int]) -> None:
    made = drawn(suited(shape), 8, shape, 0.8)
    x = images(8, *shape)
    other = x.clone()
    other[3] = images(1, *shape, seed=5)[0]
    y, z = made(x), made(other)
    same = torch.arange(8) != 3
    torch.testing.assert_close(y[same], z[same], atol=0, rtol=0)
    assert not torch.equal(y[3], z[3])


def test_a_draw_for_another_number_of_images_is_refused() -> None:
    with pytest.raises(ValueError, match="drawn for 4 images, not 8"):
        drawn(KINDS, 4, (3, 16, 16))(images(8, 3, 16, 16))


def test_precision_and_layout_do_not_matter() -> None:
    x = images(16, 3, 16, 16)
    y = drawn(KINDS, 16, (3, 16, 16), 0.8)(x)
    with torch.autocast("cpu", torch.bfloat16):
        made = drawn(KINDS, 16, (3, 16, 16), 0.8)
        assert torch.equal(made(x), y)
        half = made(x.bfloat16())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, made(x.bfloat16().float()), atol=0, rtol=0)
    torch.testing.assert_close(made(x.contiguous(memory_format=torch.channels_last)), y)
    torch.testing.assert_close(made(x.double()).float(), y, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", [*KINDS, "all"])
def test_gradients(kind: Kind) -> None:
    made = drawn(KINDS if kind == "all" else (kind,), 2, (3, 8, 8), seed=3)
    assert made.steps
    x = images(2, 3, 8, 8, dtype=torch.float64).requires_grad_()

    def curved(x: Tensor) -> Tensor:
        return made(x).pow(3).sum((1, 2, 3))

    assert torch.autograd.gradcheck(made, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(curved, x, fast_mode=True)


def test_a_penalty_goes_through() -> None:
    """The squared slope of a linear critic of augmented images is that of the transposed augmentation."""
    made = drawn(KINDS, 2, (3, 8, 8), seed=3)
    weight = images(1, 3, 8, 8, seed=4, dtype=torch.float64).requires_grad_()
    x = images(2, 3, 8, 8, dtype=torch.float64)
    _, slopes = scores_and_squared_slopes(lambda x, _: (made(x) * weight).sum((1, 2, 3)), x)
    jacobian = torch.autograd.functional.jacobian(made, x)
    rows = torch.stack([jacobian[i, :, :, :, i].flatten(0, 2).flatten(1) for i in range(2)])
    expected = torch.einsum("nop,o->np", rows, weight.flatten()).square().sum(1)
    torch.testing.assert_close(slopes, expected)
    (gradient,) = torch.autograd.grad(slopes.sum(), weight)
    (wanted,) = torch.autograd.grad(expected.sum(), weight)
    torch.testing.assert_close(gradient, wanted)


# ---- settings ---------------------------------------------------------------------------------------------------------


def test_kinds_are_a_list_or_names_with_commas() -> None:
    for written in ("flip, cutout", ["flip", "cutout"]):
        assert validated(AugmentConfig, {"kinds": written}).kinds == ("flip", "cutout")
    assert validated(AugmentConfig, {"kinds": "diffaugment", "probability": 1}).probability == 1
    assert AugmentConfig().kinds == ("ada",)
    assert validated(AugmentConfig, AugmentConfig(kinds=("hue",)).model_dump()) == AugmentConfig(kinds=("hue",))


@pytest.mark.parametrize(
    "wrong",
    [
        {"kinds": "flop"},
        {"kinds": []},
        {"kinds": ""},
        {"kinds": 3},
        {"probability": 1.5},
        {"probability": {"start": 0.0, "end": 2.0}},
        {"probability": "sometimes"},
        {"limit": 1.2},
        {"ramp": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        validated(AugmentConfig, wrong)


def test_the_probability_over_a_training() -> None:
    assert AugmentConfig().probability_at(0.5, adapted=0.3) == 0.3
    assert AugmentConfig(probability=0.7).probability_at(0.5, adapted=0.3) == 0.7
    rising = AugmentConfig(probability=Schedule(start=0, end=0.8, shape="linear"))
    assert rising.probability_at(0.25, adapted=0.0) == pytest.approx(0.2)
    assert [c.highest for c in (AugmentConfig(), rising)] == [0.8, 0.8]


@pytest.mark.parametrize(
    ("kinds", "data", "refused"),
    [
        (KINDS, spec(3), set()),
        (KINDS, spec(4), set()),
        (KINDS, spec(1), {"hue", "saturation"}),
        (KINDS, spec(7), {"hue", "saturation"}),
        (KINDS, spec(3, 16, 24), {"rotate90"}),
        (KINDS, spec(3, 8, 8), set()),
        (KINDS, spec(3, 7, 7), {"scale", "rotate", "stretch", "shift", "translate", "cutout"}),
        (("flip", "noise"), spec(2, 1, 1, "points"), {"flip", "noise"}),
    ],
)
def test_what_data_does_not_bear(kinds: tuple[Kind, ...], data: DataSpec, refused: set[str]) -> None:
    assert set(damaging(kinds, data)) == refused
    assert all(damaging(kinds, data).values())


def test_a_policy_is_fitted_to_the_images() -> None:
    assert set(refuse_damaging(AugmentConfig(), spec(3))) == set(POLICIES["ada"])
    grey = refuse_damaging(AugmentConfig(kinds=("diffaugment", "flip")), spec(1, 28, 20))
    assert set(grey) == {"flip", "translate", "brightness", "contrast", "cutout"}


@pytest.mark.parametrize(
    ("settings", "data", "words"),
    [
        (
            {"kinds": "hue,flip,saturation"},
            spec(1),
            r"hue, saturation: there are no colours in 1 channel\): --set game.augment.kinds=flip$",
        ),
        (
            {"kinds": "ada,rotate90"},
            spec(3, 8, 16),
            r"rotate90: a quarter turn does not fit into 8 x 16\): --set .*flip",
        ),
        ({"kinds": "ada"}, spec(2, 1, 1, "points"), "images are augmented, not points.*: train without augmentation"),
        ({"kinds": "cutout"}, spec(1, 4, 4), "cutout: 4 x 4 is too small: 8 x 8 is the least"),
        (
            {"kinds": "flip,noise", "probability": 1},
            spec(3),
            "would learn flip as if.*--set game.augment.probability=0.8",
        ),
        ({"kinds": "hue", "limit": 1}, spec(3), "game.augment.limit: .* --set game.augment.limit=0.8"),
    ],
)
def test_refusals_say_what_to_do(settings: dict[str, object], data: DataSpec, words: str) -> None:
    with pytest.raises(RecipeError, match=words) as refusal:
        refuse_damaging(validated(AugmentConfig, settings), data)
    assert "\n" not in str(refusal.value)


def test_kinds_that_can_be_told_from_the_data_may_always_be_applied() -> None:
    assert refuse_damaging(validated(AugmentConfig, {"kinds": "diffaugment", "probability": 1}), spec(3))


# ---- the adaptive probability -------------------------------------------------------------------------------------------


def test_overfitting_raises_the_probability_and_its_absence_lowers_it() -> None:
    config = AugmentConfig(target=0.6, ramp=0.25, limit=0.8)
    assert adjusted(0.4, 0.9, 0.01, config) == pytest.approx(0.44)
    assert adjusted(0.4, 0.1, 0.01, config) == pytest.approx(0.36)
    assert adjusted(0.4, 0.6, 0.01, config) == 0.4
    assert adjusted(0.4, math.nan, 0.01, config) == 0.4
    assert adjusted(0.79, 5.0, 0.01, config) == 0.8
    assert adjusted(0.01, -3.0, 0.01, config) == 0.0


def test_the_probability_takes_the_ramp_from_nought_to_one() -> None:
    config = AugmentConfig(ramp=0.5, limit=1.0)
    probability, looks = 0.0, 0
    while probability < 1.0:
        probability, looks = adjusted(probability, 1.0, 1 / 64, config), looks + 1
    assert looks == 32


# ---- leaks ------------------------------------------------------------------------------------------------------------


def pictures(n: int, seed: int) -> Tensor:
    """Bright above, dark below, with a disc left of the middle: no two alike, and each kind makes them unlike."""
    stream = torch.Generator().manual_seed(seed)
    y, x = places(16, 16).float()
    place = 2 * torch.randn(n, 2, 1, 1, generator=stream)
    disc = torch.sigmoid(4 - ((y - place[:, :1]) ** 2 + (x + 4 - place[:, 1:]) ** 2).sqrt())
    colours = torch.tensor([0.9, 0.3, -0.2]).view(3, 1, 1) + 0.1 * torch.randn(n, 3, 1, 1, generator=stream)
    return (-y / 16 + disc * colours).clamp(-1, 1)


def coarse(x: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(x, 4).flatten(1)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("kinds", [("flip",), ("hue",), ("cutout",), POLICIES["ada"]])
def test_a_leak_is_the_share_of_samples_that_look_augmented(kinds: tuple[Kind, ...], share: float) -> None:
    n, shape = 400, (3, 16, 16)
    count = round(share * n)
    samples = pictures(n, 1)
    if count:
        samples[:count] = drawn(kinds, count, shape, 0.7, seed=2)(samples[:count])
    found = leak(samples, pictures(n, 3), drawn(kinds, n, shape, 0.7, seed=4), coarse)
    assert found.share == pytest.approx(share, abs=4 * found.error)
    assert found.error < 0.15
    assert found.certain == (share > 0)


@pytest.mark.parametrize("worse", [lambda x: x - 0.05, lambda x: x - 0.5, lambda x: x + 0.3 * torch.randn_like(x)])
@pytest.mark.parametrize("kinds", [("flip",), POLICIES["ada"]])
def test_samples_that_are_bad_in_another_way_do_not_leak(
    kinds: tuple[Kind, ...], worse: Callable[[Tensor], Tensor]
) -> None:
    torch.manual_seed(0)
    samples = worse(pictures(400, 1))
    found = leak(samples, pictures(400, 3), drawn(kinds, 400, (3, 16, 16), 0.7), coarse)
    assert abs(found.share) < 3 * found.error
    assert not found.certain


def test_the_reading_of_unaugmented_images_has_the_error_that_it_names() -> None:
    made = []
    for seed in range(60):
        samples, real = (pictures(100, 2 * seed + half) for half in (100, 101))
        made.append(leak(samples, real, drawn(("hue",), 100, (3, 16, 16), seed=seed), coarse))
    deviations = torch.tensor([found.share / found.error for found in made])
    assert abs(deviations.mean()) < 0.5
    assert 0.6 < deviations.std() < 1.4


def test_features_that_do_not_see_an_augmentation_say_nothing() -> None:
    real, samples = pictures(100, 3), pictures(100, 1)
    found = leak(samples, real, drawn(("flip",), 100, (3, 16, 16), 0.7), lambda x: x.mean(3).flatten(1))
    assert math.isnan(found.share)
    assert not found.certain
    assert math.isnan(leak(samples, real, drawn(("flip",), 100, (3, 16, 16), 0.0), coarse).share)
    others = [leak(samples, real, lambda x, seed=seed: pictures(len(x), seed), coarse) for seed in range(10, 20)]
    assert sum(math.isnan(found.share) for found in others) >= 9  # no augmentation: each time a chance of 1 in 700
