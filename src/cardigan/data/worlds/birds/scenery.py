"""What is behind a bird and below it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cardigan.data.worlds.birds.attributes import Background, Bird
from cardigan.data.worlds.birds.shapes import Layer, Line, Points, ellipse, ribbon, scale, shift, smooth, turn

RGB = tuple[int, int, int]
COARSE = 72  # pixels of a side of the distance, which is out of focus


@dataclass(frozen=True)
class Scene:
    """The colours of a background.

    Attributes:
        air: from top to bottom.
        discs: lights out of focus, or clouds.
        ground, litter: the ground, and what lies or grows on it.
        bark, leaf: of a branch.
    """

    air: tuple[RGB, ...]
    discs: tuple[RGB, ...]
    ground: tuple[RGB, RGB]
    litter: tuple[RGB, ...]
    bark: RGB
    leaf: RGB | None


SCENES: dict[Background, Scene] = {
    "sky": Scene(
        air=((104, 160, 218), (150, 193, 232), (206, 226, 240)),
        discs=((255, 255, 255), (246, 250, 253)),
        ground=((214, 196, 152), (196, 174, 128)),
        litter=((180, 158, 116), (226, 212, 176), (164, 146, 116)),
        bark=(126, 104, 84),
        leaf=(104, 140, 72),
    ),
    "leaves": Scene(
        air=((88, 122, 74), (112, 146, 88), (82, 112, 66)),
        discs=((178, 204, 120), (146, 180, 100), (70, 98, 58), (206, 222, 158), (228, 234, 190)),
        ground=((112, 142, 76), (88, 116, 58)),
        litter=((124, 160, 80), (92, 126, 58), (150, 180, 98)),
        bark=(112, 90, 70),
        leaf=(96, 146, 62),
    ),
    "autumn": Scene(
        air=((178, 138, 96), (214, 172, 116), (172, 128, 88)),
        discs=((236, 182, 96), (216, 132, 70), (246, 214, 142), (150, 98, 66), (186, 84, 56)),
        ground=((146, 104, 68), (122, 84, 54)),
        litter=((196, 120, 56), (168, 84, 48), (214, 164, 84)),
        bark=(94, 74, 60),
        leaf=(206, 112, 48),
    ),
    "dusk": Scene(
        air=((82, 76, 128), (164, 108, 138), (236, 160, 122), (250, 204, 146)),
        discs=((252, 214, 164), (196, 126, 146)),
        ground=((98, 78, 88), (72, 58, 74)),
        litter=((84, 68, 80), (120, 94, 98), (64, 52, 68)),
        bark=(74, 58, 62),
        leaf=(70, 66, 64),
    ),
    "snow": Scene(
        air=((178, 194, 212), (204, 216, 228), (224, 230, 238)),
        discs=((244, 247, 250), (186, 198, 212)),
        ground=((238, 242, 247), (220, 228, 238)),
        litter=((206, 216, 230), (250, 252, 254), (196, 208, 224)),
        bark=(104, 88, 80),
        leaf=None,
    ),
}
SNOW: RGB = (246, 249, 252)


def distance(bird: Bird, soles: tuple[float, float], random: np.random.Generator) -> Image.Image:
    """Everything out of focus: a small RGB picture to be enlarged."""
    scene = SCENES[bird.background]
    picture = _air(scene.air, random)
    blur = _IN_THE_AIR[bird.background](ImageDraw.Draw(picture, "RGBA"), scene, random)
    picture = picture.filter(ImageFilter.GaussianBlur(blur))
    return _grounded(picture, scene, soles, random) if bird.pose == "standing" else picture


def _air(colours: tuple[RGB, ...], random: np.random.Generator) -> Image.Image:
    """A gradient from top to bottom, somewhat lighter or darker, warmer or colder from bird to bird."""
    tint = random.uniform(0.92, 1.06) * random.uniform(0.97, 1.03, 3)
    stops = np.linspace(0, COARSE - 1, len(colours))
    column = np.stack(
        [np.interp(np.arange(COARSE), stops, [colour[c] * tint[c] for colour in colours]) for c in range(3)], 1
    )
    column = np.clip(column, 0, 255).astype(np.uint8)
    return Image.fromarray(column[:, None]).resize((COARSE, COARSE))


def _bokeh(pen: ImageDraw.ImageDraw, scene: Scene, random: np.random.Generator) -> float:
    """Light between leaves."""
    for x, wide in zip(random.uniform(0, 1, 2).tolist(), random.uniform(2, 5, 2).round().tolist(), strict=True):
        pen.line([x * COARSE, 0, (x + 0.15) * COARSE, COARSE], fill=(*scene.bark, 60), width=int(wide))
    count = 30
    places = random.uniform(0, 1, (count, 2))
    _discs(pen, places, random.uniform(0.03, 0.11, count), 1.0, _chosen(scene.discs, count, random), (50, 150), random)
    return 1.1


def _clouds(pen: ImageDraw.ImageDraw, scene: Scene, random: np.random.Generator) -> float:
    heaps, puffs = 4, 6
    middle = random.uniform((0, 0), (1, 0.8), (heaps, 1, 2))
    places = (middle + random.uniform((-0.16, -0.03), (0.16, 0.03), (heaps, puffs, 2))).reshape(-1, 2)
    count = heaps * puffs
    _discs(pen, places, random.uniform(0.05, 0.13, count), 0.5, _chosen(scene.discs, count, random), (50, 110), random)
    return 2.6


def _low_sun(pen: ImageDraw.ImageDraw, scene: Scene, random: np.random.Generator) -> float:
    sun = np.tile(random.uniform((0.1, 0.55), (0.9, 0.75)), (5, 1))
    _discs(pen, sun, np.array([0.32, 0.22, 0.14, 0.09, 0.07]), 1.0, [scene.discs[0]] * 5, (60, 90), random)
    bands = random.uniform(0, 1, (6, 2))
    _discs(pen, bands, random.uniform(0.15, 0.35, 6), 0.08, [scene.discs[1]] * 6, (50, 90), random)
    return 1.9


def _snowfall(pen: ImageDraw.ImageDraw, scene: Scene, random: np.random.Generator) -> float:
    """Flakes before bare trees."""
    for x, lean, wide in random.uniform((0, -5, 1), (1, 5, 4), (6, 3)).tolist():
        pen.line([x * COARSE, 0, x * COARSE + lean, COARSE], fill=(142, 152, 170, 90), width=round(wide))
    count = 40
    flakes = [scene.discs[0]] * count
    _discs(pen, random.uniform(0, 1, (count, 2)), random.uniform(0.008, 0.02, count), 1.0, flakes, (120, 230), random)
    return 0.7


_IN_THE_AIR: dict[Background, Callable[[ImageDraw.ImageDraw, Scene, np.random.Generator], float]] = {
    "sky": _clouds,
    "leaves": _bokeh,
    "autumn": _bokeh,
    "dusk": _low_sun,
    "snow": _snowfall,
}
"""Each draws in place, and says how far it is to be put out of focus."""


def _chosen(colours: tuple[RGB, ...], count: int, random: np.random.Generator) -> list[RGB]:
    return [colours[k] for k in random.integers(0, len(colours), count).tolist()]


def _discs(
    pen: ImageDraw.ImageDraw,
    places: np.ndarray,
    radii: np.ndarray,
    height: float,
    colours: list[RGB],
    alphas: tuple[int, int],
    random: np.random.Generator,
) -> None:
    reach = np.stack([radii, radii * height], axis=1)
    boxes = (np.concatenate([places - reach, places + reach], axis=1) * COARSE).tolist()
    for box, colour, alpha in zip(boxes, colours, random.integers(*alphas, len(boxes)).tolist(), strict=True):
        pen.ellipse(box, fill=(*colour, alpha))


def _grounded(
    picture: Image.Image, scene: Scene, soles: tuple[float, float], random: np.random.Generator
) -> Image.Image:
    """With ground up to a horizon behind the bird, and the bird's shadow on it."""
    x, y = soles
    horizon = y - random.uniform(0.1, 0.2)
    places = (np.arange(COARSE, dtype=np.float32) + 0.5) / COARSE
    rows = places[:, None, None]
    nearness = np.clip((rows - horizon) / (1 - horizon), 0, 1)
    far, near = np.array(scene.ground, dtype=np.float32)
    cover = np.clip((rows - horizon) / 0.05 + 0.5, 0, 1)
    shadow = np.exp(-(((places - x + 0.04) / 0.2) ** 2)) * np.exp(-(((places - y) / 0.035) ** 2))[:, None]
    ground = (far + (near - far) * nearness) * (1 - 0.38 * shadow[..., None])
    pixels = np.asarray(picture) * (1 - cover) + ground * cover
    return Image.fromarray(pixels.astype(np.uint8))


def perch(bird: Bird, soles: tuple[float, float], random: np.random.Generator) -> tuple[Layer, ...]:
    """What stands between the distance and the bird: a branch with its leaves, or what lies on the ground."""
    match bird.pose:
        case "perched":
            return _branch(SCENES[bird.background].leaf is None, soles, random)
        case "standing":
            return _litter(bird.background, soles[1], random)
        case _:
            return ()


BRANCH = 0.064
_KNOTS = np.linspace(-0.1, 1.1, 15)


def _branch(snowy: bool, soles: tuple[float, float], random: np.random.Generator) -> tuple[Layer, ...]:
    x, y = soles
    slope, bend, taper = random.uniform(-1, 1, 3).tolist()
    away = _KNOTS - x
    middle = np.stack([_KNOTS, y + BRANCH * 0.36 + 0.07 * slope * away + 0.05 * bend * away**2], axis=1)
    thick = BRANCH * (1 + 0.25 * taper * away + random.uniform(-0.06, 0.06, 15))
    offsets, starts = random.uniform(-0.022, 0.022, 14).tolist(), random.integers(0, 12, 14).tolist()
    bark = tuple(
        Line(shift(0, offset)(middle[start : start + 3]), 0.005, 0.74 if k % 3 else 1.16)
        for k, (start, offset) in enumerate(zip(starts, offsets, strict=True))
    )
    wood = Layer((ribbon(middle, thick),), "bark", lines=bark, roundness=1.0, mottle=0.05)
    if snowy:
        cap = np.concatenate([shift(0, -0.034)(middle), shift(0, -0.014)(middle[::-1])])
        cap[:15, 1] -= random.uniform(0, 0.01, 15)
        return wood, Layer((smooth(cap),), "snow", roundness=0.5)
    return *_twigs(middle, x, random), wood


_LEAF = smooth([(0, 0), (0.35, 0.26), (1, 0), (0.35, -0.26)])
_VEIN = np.array([(0.0, 0.0), (0.9, 0.0)])


def _twigs(middle: Points, x: float, random: np.random.Generator) -> tuple[Layer, ...]:
    """A few leaves, away from the bird's feet."""
    places = [k for k in range(1, 14) if abs(middle[k, 0] - x) > 0.22]
    chosen = random.permutation(places)[:7].tolist()
    frames = [
        scale(length, length).then(turn(angle if up else -angle)).then(shift(*middle[k].tolist()))
        for k, length, angle, up in zip(
            chosen,
            random.uniform(0.09, 0.17, 7).tolist(),
            random.uniform(25, 155, 7).tolist(),
            random.random(7) < 0.5,
            strict=False,
        )
    ]
    veins = tuple(Line(frame(_VEIN), 0.005, 0.8) for frame in frames)
    return (Layer(tuple(frame(_LEAF) for frame in frames), "leaf", lines=veins, roundness=0.5, mottle=0.06),)


def _litter(background: Background, ground: float, random: np.random.Generator) -> tuple[Layer, ...]:
    """Blades of grass, or pebbles, fallen leaves and lumps of snow: three kinds, each of its own colour."""
    count = 36
    places = random.uniform((0, ground - 0.07), (1, 1), (count, 2))
    if background in ("leaves", "dusk"):
        tips = random.uniform((-0.04, -0.11), (0.04, -0.05), (count, 2))
        blades = _BLADE_LEFT[None] + tips[:, None] * _BLADE_TIP[None]
        outlines = list(blades + places[:, None])
    else:
        outlines = [
            ellipse((x, y), (r, 0.45 * r))
            for (x, y), r in zip(places.tolist(), random.uniform(0.01, 0.028, count), strict=True)
        ]
    return tuple(Layer(tuple(outlines[k::3]), f"litter {k}", roundness=0.0) for k in range(3))


_BLADE_LEFT = np.array([(-0.006, 0), (-0.005, 0), (0, 0), (0.005, 0), (0.006, 0)])
_BLADE_TIP = np.array([(0, 0), (0.3, 0.6), (1, 1), (0.3, 0.6), (0, 0)])


def materials(background: Background) -> dict[str, RGB]:
    """The colours of what `perch` is made of."""
    scene = SCENES[background]
    litter = {f"litter {k}": colour for k, colour in enumerate(scene.litter)}
    return {"bark": scene.bark, "leaf": scene.leaf or scene.bark, "snow": SNOW, **litter}
