"""Outlines, and the layers of outlines that pictures are built of: no pixels yet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

Points = np.ndarray
"""(n, 2): x to the right and y down, the picture being the unit square."""

Corners = Sequence[tuple[float, float]]


class Affine(NamedTuple):
    """(x, y) to (a x + b y + e, c x + d y + f)."""

    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 1.0
    e: float = 0.0
    f: float = 0.0

    def __call__(self, points: Points) -> Points:
        return points @ np.array([[self.a, self.c], [self.b, self.d]]) + (self.e, self.f)

    def then(self, other: Affine) -> Affine:
        """This map first, the other after it."""
        a, b, c, d, e, f = other
        return Affine(
            a * self.a + b * self.c,
            a * self.b + b * self.d,
            c * self.a + d * self.c,
            c * self.b + d * self.d,
            a * self.e + b * self.f + e,
            c * self.e + d * self.f + f,
        )


IDENTITY = Affine()


def shift(x: float, y: float) -> Affine:
    return Affine(e=x, f=y)


def scale(x: float, y: float, about: tuple[float, float] = (0, 0)) -> Affine:
    return Affine(a=x, d=y, e=about[0] * (1 - x), f=about[1] * (1 - y))


def turn(degrees: float, about: tuple[float, float] = (0, 0)) -> Affine:
    """Clockwise as it is seen, y being down."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = about
    return Affine(cos, -sin, sin, cos, x - cos * x + sin * y, y - sin * x - cos * y)


@dataclass(frozen=True)
class Patch:
    """An area of one material, such as a part of a bird, in some tone (1 is the material's own)."""

    material: str
    outline: Points
    tone: float = 1.0


@dataclass(frozen=True)
class Line:
    """A stroke that darkens (tone below 1) or lightens what it lies on, such as the edge of a feather.

    Its width is that in the picture, whatever the layer's frame.
    """

    points: Points
    width: float
    tone: float


@dataclass(frozen=True)
class Layer:
    """One solid thing.

    Attributes:
        outlines: the thing is their union.
        material: what it is made of where no patch covers it.
        patches: areas of other materials, later ones over earlier ones; they may reach beyond the thing.
        lines: strokes upon it.
        roundness: how strongly light models it; 0 leaves it flat.
        softness: over what length neighbouring patches mingle.
        mottle: how uneven its surface is.
        tone: how bright it is as a whole.
        frame: from the coordinates of outlines, patches and lines to those of the picture.
    """

    outlines: tuple[Points, ...]
    material: str
    patches: tuple[Patch, ...] = ()
    lines: tuple[Line, ...] = ()
    roundness: float = 1.0
    softness: float = 0.0
    mottle: float = 0.0
    tone: float = 1.0
    frame: Affine = IDENTITY

    def moved(self, *maps: Affine) -> Layer:
        frame = self.frame
        for step in maps:
            frame = frame.then(step)
        return replace(self, frame=frame)

    def bounds(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) in the picture."""
        points = self.frame(np.concatenate(self.outlines))
        (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
        return left, top, right, bottom


_STEPS = 6
_T = np.linspace(0, 1, _STEPS, endpoint=False)[:, None]
_CATMULL_ROM = np.hstack(
    [
        -0.5 * _T + _T**2 - 0.5 * _T**3,
        1 - 2.5 * _T**2 + 1.5 * _T**3,
        0.5 * _T + 2 * _T**2 - 1.5 * _T**3,
        0.5 * (_T**3 - _T**2),
    ]
)


def smooth(points: Points | Corners) -> Points:
    """A closed curve through points: Catmull and Rom's spline."""
    through = np.asarray(points, dtype=np.float64)
    return _spline(np.concatenate([through[-1:], through, through[:2]]))


def stroke(points: Points | Corners) -> Points:
    """An open curve through points."""
    through = np.asarray(points, dtype=np.float64)
    ends = 2 * through[[0, -1]] - through[[1, -2]]
    return np.concatenate([_spline(np.concatenate([ends[:1], through, ends[1:]])), through[-1:]])


def _spline(through: Points) -> Points:
    n = len(through) - 3
    windows = np.stack([through[k : k + n] for k in range(4)], axis=1)
    return (_CATMULL_ROM @ windows).reshape(-1, 2)


def ribbon(middle: Points, widths: float | Points) -> Points:
    """The outline of a band along a curve, as wide as said at each of its points."""
    along = np.empty_like(middle)
    along[1:-1] = middle[2:] - middle[:-2]
    along[0], along[-1] = middle[1] - middle[0], middle[-1] - middle[-2]
    half = along[:, ::-1] * (-0.5, 0.5) / np.hypot(along[:, :1], along[:, 1:])
    half = half * np.broadcast_to(widths, len(middle))[:, None]
    return np.concatenate([middle + half, (middle - half)[::-1]])


_CIRCLE = np.stack(
    [np.cos(np.linspace(0, 2 * np.pi, 24, endpoint=False)), np.sin(np.linspace(0, 2 * np.pi, 24, endpoint=False))], 1
)


def ellipse(centre: tuple[float, float], radii: tuple[float, float]) -> Points:
    return _CIRCLE * radii + centre
