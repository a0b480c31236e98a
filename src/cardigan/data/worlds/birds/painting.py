"""Layers become pixels: flat colours, modelled by light from the upper left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cardigan.data.order import derived_seed
from cardigan.data.worlds.birds.anatomy import bird_layers, soles
from cardigan.data.worlds.birds.attributes import COLOURS, PARTS, Bird, Colour
from cardigan.data.worlds.birds.scenery import RGB, distance, materials, perch
from cardigan.data.worlds.birds.shapes import Affine, Layer, Points

VALUES: Mapping[Colour, RGB] = {
    "red": (206, 38, 42),
    "orange": (240, 128, 30),
    "yellow": (248, 216, 56),
    "green": (66, 148, 66),
    "blue": (44, 106, 206),
    "purple": (126, 68, 170),
    "pink": (244, 156, 186),
    "brown": (126, 82, 50),
    "grey": (120, 124, 130),
    "black": (38, 38, 44),
    "white": (242, 242, 238),
}
"""What the names of colours look like in flat light."""

_VALUES = np.array(list(VALUES.values()), dtype=np.float64)
EYE_COLOURS: Mapping[str, RGB] = {"eye": (22, 16, 14), "gleam": (255, 255, 255)}
EYE = len(PARTS) + 1
LABELS: Mapping[str, int] = {part: k for k, part in enumerate(PARTS, start=1)} | {
    "wingbars": PARTS.index("wings") + 1,
    "eye ring": EYE,
    "eye": EYE,
    "gleam": EYE,
}
FINEST = 192  # pixels of a side that small pictures are reduced from


def draw(bird: Bird, size: int) -> np.ndarray:
    """The picture of a bird: uint8 (size, size, 3), the same scene at any size.

    Raises:
        ValueError: size is not within 16..512.
    """
    factor = _factor(size)
    side = size * factor
    before, layers, picture = _composed(bird)
    canvas = picture.resize((side, side), Image.Resampling.BICUBIC)
    colours = _colours(bird)
    for layer in (*before, *layers):
        paint(canvas, layer, colours)
    return np.array(canvas.reduce(factor))


def parts(bird: Bird, size: int) -> np.ndarray:
    """Which part each pixel's middle shows: uint8 (size, size).

    k + 1 is ``PARTS[k]``, then comes the eye; 0 is everything that is not the bird.

    Raises:
        ValueError: size is not within 16..512.
    """
    factor = _factor(size) // 2 * 2 + 1
    _, layers, _ = _composed(bird)
    canvas = Image.new("L", (size * factor, size * factor))
    for layer in layers:
        label(canvas, layer)
    return np.asarray(canvas)[factor // 2 :: factor, factor // 2 :: factor].copy()


def nearest_colour(rgb: np.ndarray) -> Colour:
    """The name of the colour that is nearest to red, green and blue in 0..255, lit as brightly or dimly as birds are."""
    lit = _VALUES[:, None] * np.linspace(0.64, 1.12, 9)[:, None]
    return COLOURS[int(np.linalg.norm(lit - rgb, axis=2).min(1).argmin())]


def _factor(size: int) -> int:
    if not 16 <= size <= 512:
        raise ValueError(f"size must be within 16..512, not {size}")
    return max(2, math.ceil(FINEST / size))


def _composed(bird: Bird) -> tuple[tuple[Layer, ...], tuple[Layer, ...], Image.Image]:
    """(layers before the bird, the bird's, the distance): each from a stream of its own."""
    streams = [
        np.random.Generator(np.random.PCG64(derived_seed(bird.look, name))) for name in ("shape", "far", "perch")
    ]
    layers = bird_layers(bird, streams[0])
    feet = soles(layers)
    return perch(bird, feet, streams[2]), layers, distance(bird, feet, streams[1])


def _colours(bird: Bird) -> dict[str, RGB]:
    """The colour of each material: a shade of what its name says, one for all parts of one name."""
    random = np.random.Generator(np.random.PCG64(derived_seed(bird.look, "shades")))
    shaded = _VALUES * random.uniform(0.9, 1.06, (len(COLOURS), 1)) + random.uniform(-5, 5, _VALUES.shape)
    levels = np.clip(shaded, 0, 255).astype(int).tolist()
    shades: dict[str, RGB] = {name: (r, g, b) for name, (r, g, b) in zip(COLOURS, levels, strict=True)}
    colours: dict[str, RGB] = {part: shades[bird.colour(part)] for part in PARTS}
    if bird.wingbars is not None:
        colours["wingbars"] = shades[bird.wingbars]
    return {**colours, **EYE_COLOURS, "eye ring": _ring(colours["face"]), **materials(bird.background)}


def _ring(face: RGB) -> RGB:
    """Darker than the face, or lighter than a dark one."""
    dark = sum(face) < 240
    r, g, b = (int(0.45 * c + 120) if dark else c // 2 for c in face)
    return r, g, b


def paint(canvas: Image.Image, layer: Layer, colours: Mapping[str, RGB]) -> None:
    """One layer onto an RGB canvas, in place."""
    window = _window(layer, canvas.width)
    if window is None:
        return
    mask = _mask(window)
    if layer.roundness == 0:
        canvas.paste(colours[layer.material], window.corner, mask)
        return
    flat = np.asarray(_flat(layer, window, colours))
    light = _light(layer, window)
    if layer.lines:
        light *= _strokes(layer, window)
    pixels = np.empty(flat.shape, dtype=np.float32)
    for c in range(3):
        np.multiply(flat[..., c] + PEDESTAL, light, out=pixels[..., c])
    pixels -= PEDESTAL
    np.clip(pixels, 0, 255, out=pixels)
    canvas.paste(Image.fromarray(pixels.astype(np.uint8)), window.corner, mask)


PEDESTAL = np.float32(18)
"""Added to a colour while it is lit, so that light models black, too."""


def label(canvas: Image.Image, layer: Layer) -> None:
    """The numbers of a layer's parts onto an L canvas, in place."""
    window = _window(layer, canvas.width)
    if window is None:
        return
    numbers = Image.new("L", window.size, LABELS[layer.material])
    pen = ImageDraw.Draw(numbers)
    for patch, corners in zip(layer.patches, window.patches, strict=True):
        pen.polygon(corners, fill=LABELS[patch.material])
    canvas.paste(numbers, window.corner, _mask(window))


@dataclass(frozen=True)
class Window:
    """The pixels that a layer may cover.

    Attributes:
        box: left, top, right, bottom in pixels of the canvas.
        outlines, patches, lines: the layer's, each x, y, x, y, ... in pixels of the box.
        bounds: of the layer in the picture.
        side: of the canvas, in pixels.
    """

    box: tuple[int, int, int, int]
    outlines: list[list[float]]
    patches: list[list[float]]
    lines: list[list[float]]
    bounds: tuple[float, float, float, float]
    side: int

    @property
    def corner(self) -> tuple[int, int]:
        return self.box[:2]

    @property
    def size(self) -> tuple[int, int]:
        return self.box[2] - self.box[0], self.box[3] - self.box[1]


def _window(layer: Layer, side: int) -> Window | None:
    """None where the layer is out of sight."""
    curves = [*layer.outlines, *(patch.outline for patch in layer.patches), *(line.points for line in layer.lines)]
    points = layer.frame(np.concatenate(curves))
    first, second = len(layer.outlines), len(layer.outlines) + len(layer.patches)
    outlined = points[: sum(map(len, layer.outlines))]
    (left, top), (right, bottom) = outlined.min(0).tolist(), outlined.max(0).tolist()
    box = (
        max(0, math.floor(left * side)),
        max(0, math.floor(top * side)),
        min(side, math.ceil(right * side) + 1),
        min(side, math.ceil(bottom * side) + 1),
    )
    if box[0] >= box[2] or box[1] >= box[3]:
        return None
    numbers = _cut(points * side - (box[0] + 0.5, box[1] + 0.5), curves)
    bounds = left, top, right, bottom
    return Window(box, numbers[:first], numbers[first:second], numbers[second:], bounds, side)


def _cut(points: Points, curves: Sequence[Points]) -> list[list[float]]:
    """Points of all curves one after the other, as x, y, x, y, ... of each."""
    numbers = points.ravel().tolist()
    ends = list(accumulate(2 * len(curve) for curve in curves))
    return [numbers[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _mask(window: Window) -> Image.Image:
    """255 within the outlines."""
    return _filled(window.size, window.outlines)


def _filled(size: tuple[int, int], outlines: list[list[float]]) -> Image.Image:
    mask = Image.new("L", size)
    pen = ImageDraw.Draw(mask)
    for outline in outlines:
        pen.polygon(outline, fill=255)
    return mask


def _strokes(layer: Layer, window: Window) -> np.ndarray:
    """By how much lines change the light: float32 (h, w)."""
    picture = Image.new("L", window.size, 128)
    pen = ImageDraw.Draw(picture)
    for line, corners in zip(layer.lines, window.lines, strict=True):
        pen.line(corners, fill=round(128 * line.tone), width=max(1, round(line.width * window.side)))
    return np.asarray(picture, dtype=np.float32) * np.float32(1 / 128)


def _flat(layer: Layer, window: Window, colours: Mapping[str, RGB]) -> Image.Image:
    """Colours without light, mingling where patches meet."""
    flat = Image.new("RGB", window.size, colours[layer.material])
    pen = ImageDraw.Draw(flat)
    for patch, corners in zip(layer.patches, window.patches, strict=True):
        r, g, b = colours[patch.material]
        lit = (min(255, int(r * patch.tone)), min(255, int(g * patch.tone)), min(255, int(b * patch.tone)))
        pen.polygon(corners, fill=lit)
    return flat.filter(ImageFilter.BoxBlur(layer.softness * window.side)) if layer.softness else flat


CELLS = 48
SPREAD = 0.078 * CELLS
STEEPNESS = 0.172 * CELLS
_APART = np.arange(CELLS)[:, None] - np.arange(CELLS)[None, :]
_BLUR = (np.exp(-0.5 * (_APART / SPREAD) ** 2) / (SPREAD * math.sqrt(2 * math.pi))).astype(np.float32)
_SLOPE = (-_APART / SPREAD**2 * _BLUR).astype(np.float32)
_LIGHT_X, _LIGHT_Y = -0.42 / 0.9, -0.7 / 0.9


def _streaks() -> np.ndarray:
    """Noise that runs from the head down to the tail of a bird that faces right: float32 (2, 2 * CELLS, 2 * CELLS)."""
    noise = np.random.Generator(np.random.PCG64(0)).standard_normal((2 * CELLS, 2 * CELLS))
    along = [np.roll(noise, (i, j - i), (0, 1)) for i in range(3) for j in range(2)]
    streaks = np.sum(along, axis=0) / math.sqrt(len(along))
    return np.stack([streaks, streaks[:, ::-1]]).astype(np.float32)


_STREAKS = _streaks()


def _mottle(frame: Affine) -> np.ndarray:
    """Another piece of the streaks for every layer: float32 (CELLS, CELLS)."""
    x, y = int(abs(frame.e) * 1000) % CELLS, int(abs(frame.f) * 1000) % CELLS
    mirrored = frame.a * frame.d < frame.b * frame.c
    return _STREAKS[int(mirrored), y : y + CELLS, x : x + CELLS]


def _light(layer: Layer, window: Window) -> np.ndarray:
    """Light on the layer, about 1 where it is flat: float32 (h, w).

    The blurred silhouette is taken for the height of a rounded thing, whose slope meets the light (Lambert).
    """
    left, top, right, bottom = window.bounds
    span = max(right - left, bottom - top) * 1.3
    x, y = (left + right - span) / 2, (top + bottom - span) / 2
    cell = CELLS / span
    to_cells = layer.frame.then(Affine(a=cell, d=cell, e=-x * cell - 0.5, f=-y * cell - 0.5))
    coarse = _filled((CELLS, CELLS), _cut(to_cells(np.concatenate(layer.outlines)), layer.outlines))
    silhouette = np.asarray(coarse, dtype=np.float32) * np.float32(1 / 255)
    across, down = silhouette @ _BLUR, _BLUR @ silhouette
    slope_y, slope_x = _SLOPE @ across, down @ _SLOPE.T
    steep = STEEPNESS * layer.roundness
    slope_x *= steep
    slope_y *= steep
    facing = (1 - _LIGHT_X * slope_x - _LIGHT_Y * slope_y) / np.sqrt(1 + slope_x**2 + slope_y**2)
    light = np.clip(0.55 + 0.47 * facing, 0.74, 1.25) * layer.tone
    if layer.mottle:
        light *= 1 + layer.mottle * _mottle(layer.frame)
    x0, y0, x1, y1 = (edge / window.side for edge in window.box)
    region = ((x0 - x) * cell, (y0 - y) * cell, (x1 - x) * cell, (y1 - y) * cell)
    enlarged = Image.fromarray(light).resize(window.size, Image.Resampling.BICUBIC, box=region)
    return np.array(enlarged)
