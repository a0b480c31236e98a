"""The shape of a bird: its layers from the farthest to the nearest, one function a part.

Parts are given for a bird of size 1 that faces right with its head up, in the unit square, y down. Parts of the head
are given from its middle, its radius being 1. `bird_layers` fits them together and places the bird.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from cardigan.data.worlds.birds.attributes import Beak, Bird, Size
from cardigan.data.worlds.birds.shapes import (
    Affine,
    Corners,
    Layer,
    Line,
    Patch,
    Points,
    ellipse,
    ribbon,
    scale,
    shift,
    smooth,
    stroke,
    turn,
)

SCALE: dict[Size, float] = {"small": 0.76, "medium": 0.88, "large": 1.0}
SOLES = 0.885  # y
HIPS = (0.46, 0.76)
MARGIN = 0.02
LARGEST = 1.04


@dataclass(frozen=True)
class Build:
    """Proportions that differ from bird to bird."""

    head: float
    neck: tuple[float, float]
    plump: float
    tilt: float
    nod: float
    tail: tuple[float, float]
    tail_turn: float
    wing: float
    wing_turn: float
    leg: float
    stance: float

    @staticmethod
    def drawn(random: np.random.Generator) -> Build:
        a = random.uniform(-1, 1, 13).tolist()
        return Build(
            head=0.153 + 0.01 * a[0],
            neck=(0.635 + 0.012 * a[1], 0.315 + 0.02 * a[2]),
            plump=0.02 * a[3],
            tilt=9 * a[4],
            nod=4 * a[5],
            tail=(1.05 + 0.25 * a[6], 1.0 + 0.15 * a[7]),
            tail_turn=10 * a[8],
            wing=1.0 + 0.04 * a[9],
            wing_turn=14 * a[10],
            leg=1.1 + 0.25 * a[11],
            stance=1 + 0.2 * a[12],
        )

    @property
    def on_head(self) -> Affine:
        return Affine(a=self.head, d=self.head, e=self.neck[0], f=self.neck[1])


def trunk(build: Build, crested: bool) -> Points:
    """The silhouette of head and body."""
    p = build.plump
    head = build.on_head(_HEAD_CRESTED if crested else _HEAD_SMOOTH)
    back = [(0.445, 0.395 - p / 3), (0.35, 0.455 - p / 2), (0.255, 0.555 - p / 2), (0.185, 0.66), (0.15, 0.725)]
    below = [
        (0.24, 0.752),
        (0.385, 0.772 + p),
        (0.525, 0.762 + p),
        (0.635, 0.69 + p),
        (0.71 + p, 0.59),
        (0.728 + p, 0.49),
    ]
    return smooth(np.concatenate([head, back, below]))


_FOREHEAD = [(0.9, 0.42), (1.0, 0.0), (0.86, -0.48)]
_HEAD_SMOOTH = np.array([*_FOREHEAD, (0.5, -0.87), (0.05, -1.0), (-0.45, -0.9), (-0.85, -0.55), (-1.03, -0.1)])
_HEAD_CRESTED = np.array([*_FOREHEAD, (0.15, -1.0), (-0.45, -1.36), (-1.2, -1.62), (-0.92, -0.95), (-1.0, -0.35)])


def body(build: Build, crested: bool, winged: bool) -> Layer:
    """Head and body, and the shadow of a folded wing on them."""
    on_head = build.on_head
    crest = tuple(Line(on_head(way), 0.006, 0.82) for way in _CREST) if crested else ()
    return Layer(
        outlines=(trunk(build, crested),),
        material="back",
        patches=(
            Patch("belly", _BELLY),
            Patch("face", on_head(_FACE)),
            Patch("throat", on_head(_THROAT)),
            Patch("nape", on_head(_NAPE)),
            Patch("crown", on_head(_CROWN)),
        ),
        lines=_SMALL_FEATHERS + crest + (_WING_SHADOW if winged else ()),
        softness=0.006,
        mottle=0.035,
    )


_BELLY = smooth(
    [
        *((0.9, 0.42), (0.74, 0.44), (0.63, 0.475), (0.52, 0.555), (0.4, 0.65), (0.29, 0.705), (0.17, 0.74)),
        *((0.12, 0.9), (0.5, 0.95), (0.85, 0.85)),
    ]
)
_FACE = ellipse((0.2, 0.1), (1.25, 1.25))
_THROAT = np.concatenate(
    [
        stroke([(1.15, 0.3), (0.62, 0.4), (0.12, 0.6), (-0.5, 0.85), (-0.45, 1.3), (0.3, 1.6), (0.95, 1.5)]),
        [(1.6, 1.2), (1.6, 0.3)],
    ]
)
_NAPE = smooth([(-0.42, -0.5), (-0.3, 0.0), (-0.36, 0.5), (-0.62, 1.0), (-1.2, 1.35), (-2, 1.1), (-1.8, -0.3)])
_CROWN = np.concatenate(
    [
        stroke([(1.3, -0.34), (0.72, -0.36), (0.3, -0.44), (-0.2, -0.42), (-0.6, -0.32), (-1.3, -0.25)]),
        [(-1.9, -0.8), (-1.7, -2.2), (1.3, -2.0)],
    ]
)
_CREST = (
    stroke([(0.0, -0.75), (-0.5, -1.1), (-1.0, -1.4)]),
    stroke([(-0.3, -0.6), (-0.7, -0.85), (-0.98, -1.15)]),
)


def _feather_tips(rows: list[tuple[float, float, int]]) -> tuple[Line, ...]:
    """Faint edges of small feathers: rows that begin at (x, y) and run upwards to the left."""
    lines = []
    for x, y, count in rows:
        for k in range(count):
            u, v = x - 0.035 * k + 0.02 * (k % 2), y - 0.03 * k + 0.045
            lines.append(Line(stroke([(u + 0.014, v - 0.012), (u, v), (u - 0.018, v - 0.004)]), 0.005, 0.9))
    return tuple(lines)


_SMALL_FEATHERS = _feather_tips(
    [(0.67, 0.6, 4), (0.6, 0.665, 4), (0.5, 0.715, 3), (0.39, 0.725, 2), (0.345, 0.52, 2), (0.265, 0.605, 2)]
)

RUMP = (0.2, 0.69)


@cache
def tail(forked: bool) -> Layer:
    spread = (-1.6, -0.55, 0.55, 1.6)
    lengths = [0.3 + (0.016 if forked else -0.012) * abs(k) for k in spread]
    feathers = [_feather(RUMP, 128 + 4.5 * k, length, 0.046) for k, length in zip(spread, lengths, strict=True)]
    edges = tuple(Line(feather[2:20], 0.006, 0.7) for feather in feathers)
    shafts = tuple(Line(feather[[0, 30]], 0.004, 0.88) for feather in feathers)
    return Layer(tuple(feathers), "tail", lines=(*shafts, *edges), roundness=0.6, mottle=0.04)


def _feather(root: Points | tuple[float, float], degrees: float, length: float, width: float) -> Points:
    """A blade from its root in a direction, 0 degrees being to the right and 90 down."""
    t = np.array([0, 0.2, 0.45, 0.7, 0.88, 1.0])
    half = width / 2 * np.array([0.45, 0.72, 0.95, 1.0, 0.8, 0.0])
    blade = np.concatenate([np.stack([t * length, half], 1), np.stack([t * length, -half], 1)[-2::-1]])
    return turn(degrees)(smooth(blade)) + np.asarray(root)


SHOULDER = (0.55, 0.5)
_WING_TOP = stroke([(0.6, 0.462), (0.52, 0.437), (0.42, 0.472), (0.32, 0.557), (0.21, 0.668), (0.1, 0.772)])
_WING_LOW = stroke([(0.615, 0.5), (0.605, 0.605), (0.51, 0.678), (0.38, 0.725), (0.24, 0.755), (0.1, 0.785)])


def _on_wing(t: float | Points, s: float | Points) -> Points:
    """Points on the folded wing: t from shoulder to tip, s from its upper to its lower edge."""
    t, s = np.broadcast_arrays(np.clip(t, 0, 1), np.clip(s, 0, 1))
    place = t * (len(_WING_TOP) - 1)
    steps = np.arange(len(_WING_TOP))
    top = np.stack([np.interp(place, steps, _WING_TOP[:, c]) for c in (0, 1)], -1)
    low = np.stack([np.interp(place, steps, _WING_LOW[:, c]) for c in (0, 1)], -1)
    return top + (low - top) * s[..., None]


def _wing_row(start: float, end: float, slant: float, count: int, tone: float) -> list[tuple[Patch, Line]]:
    """Feathers side by side on the folded wing, the lowest first: each with its dark edge."""
    row = []
    for k in reversed(range(count)):
        s, half = (k + 0.5) / count, 0.62 / count
        tip = end + slant * (s - 0.5)
        t = np.array([start, tip - 0.09, tip - 0.035, tip - 0.01, tip, tip - 0.01, tip - 0.035, tip - 0.09, start])
        width = np.array([-1, -1, -0.75, -0.4, 0, 0.4, 0.75, 1, 1]) * half
        blade = _on_wing(t, s + width)
        edge = _on_wing(
            np.concatenate([np.linspace(start + 0.05, t[7], 4), t[6:0:-1]]),
            s + np.concatenate([[half] * 4, width[6:0:-1]]),
        )
        row.append((Patch("wings", blade, tone - 0.03 * (k % 2)), Line(edge, 0.005, 0.7)))
    return row


_WING_SHADOW = tuple(
    Line(shift(0.004, 0.008)(_WING_LOW), width, tone) for width, tone in ((0.045, 0.94), (0.03, 0.88), (0.016, 0.82))
)


@cache
def folded_wing(bars: bool) -> Layer:
    """Long flight feathers below three rows of coverts."""
    rows = _wing_row(0.45, 1.02, 0.0, 6, 0.88) + _wing_row(0.3, 0.68, -0.1, 5, 0.94)
    rows += _wing_row(0.1, 0.43, -0.08, 5, 1.0) + _wing_row(0.0, 0.25, -0.06, 4, 1.03)
    bar = tuple(Patch("wingbars", ribbon(_on_wing(t - 0.07 * (_BAR - 0.5), _BAR), 0.03)) for t in (0.225, 0.4) if bars)
    return Layer(
        (np.concatenate([_WING_TOP, _WING_LOW[::-1]]),),
        "wings",
        patches=tuple(patch for patch, _ in rows) + bar,
        lines=tuple(line for _, line in rows),
        roundness=0.8,
        softness=0.003,
        mottle=0.03,
    )


_BAR = np.linspace(0.07, 0.96, 12)
_WRIST = np.array([0.5, 0.25])
_REAR = np.array([0.34, 0.52])


@cache
def raised_wing(bars: bool, far: bool) -> Layer:
    """A wing spread upwards: primaries fanned from the wrist, secondaries along the arm, coverts over their roots."""
    blades = []
    for u in np.linspace(1, 0, 12).tolist():  # 0 is the outermost feather
        root = _WRIST + (_REAR - _WRIST) * max(0.0, (u - 0.3) / 0.7)
        blades.append(_feather(root, -106 - 84 * u, 0.36 - 0.16 * u, 0.074))
    coverts = smooth(
        [
            (0.575, 0.52),
            (0.57, 0.39),
            (0.53, 0.23),
            (0.47, 0.12),
            (0.37, 0.23),
            (0.29, 0.44),
            (0.34, 0.57),
            (0.48, 0.57),
        ]
    )
    lesser = smooth(
        [(0.575, 0.52), (0.57, 0.39), (0.53, 0.23), (0.48, 0.2), (0.44, 0.28), (0.37, 0.45), (0.4, 0.56), (0.48, 0.57)]
    )
    edge = stroke([(0.47, 0.12), (0.39, 0.22), (0.29, 0.45)])
    inner = stroke([(0.48, 0.2), (0.44, 0.28), (0.37, 0.45), (0.4, 0.56)])
    bar = (Patch("wingbars", ribbon(edge, 0.03)),) if bars else ()
    return Layer(
        (*blades, coverts),
        "wings",
        patches=(
            *(Patch("wings", blade, 0.89 + 0.03 * (k % 2)) for k, blade in enumerate(blades)),
            Patch("wings", coverts, 0.97),
            Patch("wings", lesser, 1.04),
            *bar,
        ),
        lines=(
            *(Line(blade[1:22], 0.005, 0.7) for blade in blades),
            Line(edge - 0.012, 0.007, 0.7),
            Line(inner, 0.006, 0.8),
        ),
        softness=0.003,
        mottle=0.03,
        tone=0.8 if far else 1.0,
        roundness=0.5,
    )


@cache
def standing_legs() -> Layer:
    return _legs(*(_standing_leg(hip) for hip in (0.42, 0.515)))


def _standing_leg(hip: float) -> Leg:
    foot = hip + 0.035
    toes = [[(foot, SOLES - 0.018), (foot + reach, SOLES + 0.002)] for reach in (0.055, 0.03, -0.04)]
    return stroke([(hip - 0.02, 0.7), (hip, 0.79), (foot, SOLES - 0.01)]), toes


@cache
def tucked_legs() -> Layer:
    return _legs(*(_tucked_leg(foot) for foot in (0.285, 0.225)))


def _tucked_leg(x: float) -> Leg:
    toes = [[(x, 0.855), (x + dx, 0.855 + dy)] for dx, dy in ((-0.05, 0.0), (-0.05, 0.025), (-0.012, 0.035))]
    return stroke([(x + 0.145, 0.74), (x + 0.075, 0.805), (x, 0.855)]), toes


Leg = tuple[Points, Sequence[Corners]]
"""The middle of a shank, and the toes."""


def _legs(far: Leg, near: Leg) -> Layer:
    shadowed, lit = _leg_outlines(far), _leg_outlines(near)
    patches = (
        *(Patch("tarsus", outline, 0.86) for outline in shadowed),
        *(Patch("tarsus", outline) for outline in lit),
    )
    rings = (Line(ribbon(shank[k : k + 2], 0.026)[[0, 3]], 0.004, 0.8) for shank, _ in (far, near) for k in (5, 7, 9))
    return Layer((*shadowed, *lit), "tarsus", patches=patches, lines=tuple(rings), roundness=0.4)


def _leg_outlines(leg: Leg) -> list[Points]:
    shank, toes = leg
    return [ribbon(shank, 0.027), *(ribbon(stroke(toe), np.linspace(0.021, 0.011, 7)) for toe in toes)]


_BLADE: dict[Beak, tuple[float, float, float, float, float]] = {
    # length, height, how far the tip droops, with which power of the way along it, bluntness
    "conical": (0.82, 0.74, 0.08, 2.0, 0.95),
    "pointed": (0.86, 0.48, 0.04, 2.0, 0.85),
    "long": (1.85, 0.38, 0.0, 2.0, 0.62),
    "curved": (1.65, 0.42, 0.85, 2.2, 0.55),
    "hooked": (0.92, 0.66, 0.42, 3.5, 0.5),
}


@cache
def beak(shape: Beak) -> Layer:
    length, height, droop, power, bluntness = _BLADE[shape]
    t = np.linspace(0, 1, 14)
    middle = np.stack([0.86 + length * t, 0.02 + droop * t**power], axis=1)
    half = height / 2 * (1 - t) ** bluntness
    below = 0.8 * half * (1 - t**2) if shape == "hooked" else 0.85 * half
    outline = np.concatenate([middle - np.stack([0 * t, half], 1), (middle + np.stack([0 * t, below], 1))[::-1]])
    return Layer((outline,), "beak", lines=(Line(shift(0, 0.03)(middle[:11]), 0.006, 0.55),), roundness=0.9)


@cache
def eye(facing_right: bool) -> tuple[Layer, ...]:
    """Ring, pupil and the light in it, which comes from the upper left however the bird is turned."""
    x, y, aside = 0.4, -0.1, -0.07 if facing_right else 0.07
    discs = [("eye ring", (x, y), 0.24), ("eye", (x, y), 0.19), ("gleam", (x + aside, y - 0.07), 0.07)]
    return tuple(Layer((ellipse(centre, (r, r)),), name, roundness=0.0) for name, centre, r in discs)


def bird_layers(bird: Bird, random: np.random.Generator) -> tuple[Layer, ...]:
    """The bird where it is in the picture, the farthest layer first."""
    build = Build.drawn(random)
    rear = tail(forked=random.random() < 0.4).moved(shift(-RUMP[0], -RUMP[1]), scale(*build.tail))
    rear = rear.moved(turn(build.tail_turn), shift(*RUMP))
    fitted = _flying if bird.pose == "flying" else _upright
    return _placed(fitted(bird, build, rear), bird, random)


def _head(bird: Bird, build: Build) -> tuple[Layer, ...]:
    on_body = turn(build.nod).then(build.on_head)
    return tuple(layer.moved(on_body) for layer in (beak(bird.beak_shape), *eye(bird.facing == "right")))


def _upright(bird: Bird, build: Build, rear: Layer) -> tuple[Layer, ...]:
    """On its legs, the wing folded."""
    wing = folded_wing(bird.wingbars is not None).moved(scale(build.wing, build.wing, SHOULDER))
    upper = (rear, body(build, bird.crested, winged=True), *_head(bird, build), wing)
    tilted = turn(build.tilt, HIPS)
    legs = standing_legs().moved(scale(build.stance, build.leg, HIPS))
    return legs, *(layer.moved(tilted) for layer in upper)


def _flying(bird: Bird, build: Build, rear: Layer) -> tuple[Layer, ...]:
    """Nearly level, wings up, legs drawn up under the tail."""
    bars = bird.wingbars is not None
    lean = turn(build.wing_turn - 12, SHOULDER).then(shift(-0.085, 0.035))
    wing = scale(build.wing, build.wing, SHOULDER).then(lean)
    far = raised_wing(bars, far=True).moved(wing, turn(30, SHOULDER), shift(0.07, -0.04))
    near = raised_wing(bars, far=False).moved(wing)
    layers = (far, tucked_legs(), rear, body(build, bird.crested, winged=False), *_head(bird, build), near)
    level = turn(22 + build.tilt, (0.45, 0.55))
    return tuple(layer.moved(level) for layer in layers)


def _placed(layers: tuple[Layer, ...], bird: Bird, random: np.random.Generator) -> tuple[Layer, ...]:
    """Mirrored, scaled and moved to about the middle of the picture."""
    bounds = np.array([layer.bounds() for layer in layers])
    (left, top), (right, bottom) = bounds[:, :2].min(0).tolist(), bounds[:, 2:].max(0).tolist()
    size = SCALE[bird.size] * min(LARGEST, (1 - 2 * MARGIN) / max(right - left, bottom - top))
    x, y = random.uniform(-0.6, 0.6, 2).tolist()
    x *= (1 - size * (right - left)) / 2 - MARGIN
    y *= (1 - size * (bottom - top)) / 2 - MARGIN
    centred = shift(-(left + right) / 2, -(top + bottom) / 2)
    sized = scale(size if bird.facing == "right" else -size, size)
    placing = centred.then(sized).then(shift(0.5 + (x if bird.facing == "right" else -x), 0.5 + y))
    return tuple(layer.moved(placing) for layer in layers)


def soles(layers: tuple[Layer, ...]) -> tuple[float, float]:
    """(x between the feet, y of the lowest toe)."""
    legs = next(layer for layer in layers if layer.material == "tarsus")
    left, _, right, bottom = legs.bounds()
    return (left + right) / 2, bottom
