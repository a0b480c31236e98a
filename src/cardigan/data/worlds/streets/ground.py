"""The ground with its road, pavements and markings, and the hills behind."""

from __future__ import annotations

import math

from cardigan.data.worlds.canvas import FAR, FINEST, FRONT, NEAR, UP, Canvas
from cardigan.data.worlds.dice import Colour, scaled
from cardigan.data.worlds.noise import Floats
from cardigan.data.worlds.streets.labels import GRASS, MARKING, PAVEMENT, ROAD, TREE
from cardigan.data.worlds.streets.plan import Street


def strip(canvas: Canvas, x0: float, x1: float, z0: float, z1: float, surface: int, y: float = 0.0) -> None:
    """A rectangle that lies flat."""
    z0, z1 = max(z0, NEAR), max(z1, NEAR)
    if z1 > z0:
        canvas.polygon([(x0, y, z0), (x0, y, z1), (x1, y, z1), (x1, y, z0)], surface)


def hills(canvas: Canvas, ridge: Floats, colour: Colour) -> None:
    woods = canvas.surface(TREE, colour, FRONT, 380.0)
    outline = [canvas.point(x, y, 900.0) for x, y in ridge.tolist()]
    foot = canvas.point(0.0, 0.0, 900.0)[1] + 2
    canvas.fill([(outline[0][0], foot), *outline, (outline[-1][0], foot)], woods)


def ground(canvas: Canvas, street: Street) -> None:
    slabs = canvas.surface(PAVEMENT, street.slabs, UP, grain=0.05)
    verge = canvas.surface(GRASS, street.verge, UP, grain=0.16)
    asphalt = canvas.surface(ROAD, street.asphalt, UP, grain=0.07)
    strip(canvas, -FAR, FAR, NEAR, FAR * 4, verge)
    if not street.grassy:
        strip(canvas, -street.edge - 1.5, street.edge + 1.5, NEAR, FAR, slabs)
    for side in (-1, 1):
        pavement(canvas, street, side, slabs)
    for start, stop in street.side_streets:
        strip(canvas, -FAR, FAR, start - 2, stop + 2, slabs)
        strip(canvas, -FAR, FAR, start, stop, asphalt)
    strip(canvas, -street.half, street.half, NEAR, FAR, asphalt)
    patches(canvas, street)
    markings(canvas, street)


def pavement(canvas: Canvas, street: Street, side: int, slabs: int) -> None:
    """A pavement with its joints and kerb."""
    strip(canvas, side * street.half, side * street.edge, NEAR, FAR, slabs)
    joint = canvas.surface(PAVEMENT, scaled(street.slabs, 0.86), UP, grain=0.05)
    z = 2.0
    while canvas.scale(z) * 0.09 * canvas.camera.eye / z > FINEST / 3:
        strip(canvas, side * street.half, side * street.edge, z, z + 0.09, joint)
        z += 1.5
    middle = side * (street.half + street.pavement * 0.5)
    strip(canvas, middle - 0.04, middle + 0.04, NEAR, z, joint)
    kerb = canvas.surface(PAVEMENT, street.kerb, UP, grain=0.03)
    gutter = canvas.surface(PAVEMENT, scaled(street.kerb, 0.68), UP)
    strip(canvas, side * street.half, side * (street.half + 0.28), NEAR, FAR, kerb)
    strip(canvas, side * (street.half - 0.1), side * street.half, NEAR, FAR, gutter)


def patches(canvas: Canvas, street: Street) -> None:
    """Mended places of the road, and a manhole: where they are follows from its width."""
    darker = canvas.surface(ROAD, scaled(street.asphalt, 0.86), UP, grain=0.08)
    share = street.half * 7.3 % 1
    strip(canvas, street.half * (share - 0.9), street.half * (share - 0.5), 6 + 9 * share, 9 + 13 * share, darker)
    strip(canvas, street.half * 0.2, street.half * (0.4 + 0.4 * share), 21 + 9 * share, 26 + 9 * share, darker)
    x, z = street.half * (share - 0.3), 8 + 5 * share
    iron = canvas.surface(ROAD, scaled(street.asphalt, 0.6), UP)
    turns = [math.pi * k / 6 for k in range(12)]
    canvas.polygon([(x + 0.38 * math.cos(t), 0.0, z + 0.38 * math.sin(t)) for t in turns], iron)


def markings(canvas: Canvas, street: Street) -> None:
    white = canvas.surface(MARKING, (0.92, 0.92, 0.90), UP, grain=0.06)
    breaks = [*street.side_streets, *((z - 1.5, z + 4.5) for z in street.crossings)]
    if street.middle == "dashed":
        z = 2.0
        while z < 110:
            dash(canvas, 0.0, z, z + 2.6, breaks, white)
            z += 6.0
    elif street.middle != "none":
        for x in (-0.17, 0.17) if street.middle == "double" else (0.0,):
            line(canvas, x, breaks, white)
    if street.edges:
        for x in (0.45 - street.half, street.half - 0.45):
            line(canvas, x, breaks, white)
    for z in street.crossings:
        crossing(canvas, street, z, white)


def line(canvas: Canvas, x: float, breaks: list[tuple[float, float]], white: int) -> None:
    z = NEAR
    for start, stop in sorted(breaks):
        strip(canvas, x - 0.08, x + 0.08, z, start, white)
        z = max(z, stop)
    strip(canvas, x - 0.08, x + 0.08, z, 200.0, white)


def dash(canvas: Canvas, x: float, z0: float, z1: float, breaks: list[tuple[float, float]], white: int) -> None:
    if not any(z1 > start and z0 < stop for start, stop in breaks):
        strip(canvas, x - 0.09, x + 0.09, z0, z1, white)


def crossing(canvas: Canvas, street: Street, z: float, white: int) -> None:
    bars = max(4, round(street.half * 2 / 1.05))
    pitch = street.half * 2 / bars
    for bar in range(bars):
        x = -street.half + (bar + 0.25) * pitch
        strip(canvas, x, x + pitch * 0.5, z, z + 3.0, white)
