"""Houses: walls, roofs and shadows."""

from __future__ import annotations

import math

from cardigan.data.worlds.canvas import FINEST, FRONT, NEAR, Canvas, Flat, Point
from cardigan.data.worlds.dice import blend, scaled
from cardigan.data.worlds.streets.labels import BUILDING, ROOF, WINDOW
from cardigan.data.worlds.streets.plan import Building, Tower
from cardigan.data.worlds.streets.walls import GLASS, LIGHTS, Wall, facade, glass


def building(canvas: Canvas, house: Building, shift: Flat) -> None:
    """A house; `shift` is how far a metre of it throws its shadow."""
    x, length = house.side * house.face, house.stop - house.start
    if house.start > NEAR and house.flank is not None:
        flank = Wall(canvas, x, house.start, FRONT, house.side)
        facade(flank, house, house.flank, house.depth, street=False)
    elif house.start > NEAR:
        flank = Wall(canvas, x, house.start, FRONT, house.side)
        flank.panel(0, house.depth, 0, house.height, flank.surface(BUILDING, scaled(house.wall, 0.96), grain=0.03))
    front = Wall(canvas, x, house.start, (-house.side, 0.0, 0.0), 0)
    if canvas.sees((x, 0, 0), front.normal):
        facade(front, house, house.front, length, street=True)
    ROOFS[house.roof](canvas, house)
    for share in house.chimneys:
        chimney(canvas, house, share)
    shadow(canvas, house, shift)


def shadow(canvas: Canvas, house: Building, shift: Flat) -> None:
    right, away = shift[0] * house.height, shift[1] * house.height
    near, far = house.side * house.face, house.side * (house.face + house.depth)
    start, stop = max(house.start, NEAR), max(house.stop, NEAR)
    for x in (near, far):
        canvas.shade([(x, 0, start), (x, 0, stop), (x + right, 0, stop + away), (x + right, 0, start + away)])
    for z in (start, stop):
        canvas.shade([(near, 0, z), (far, 0, z), (far + right, 0, z + away), (near + right, 0, z + away)])


def slope(canvas: Canvas, house: Building, corners: list[Point], normal: Point) -> None:
    """One plane of a roof, where we see it from above."""
    size = math.hypot(*normal)
    normal = normal[0] / size, normal[1] / size, normal[2] / size
    if canvas.sees(corners[0], normal):
        tiles = canvas.surface(ROOF, house.roof_colour, normal, max(house.start, 0.0), grain=0.09)
        canvas.polygon([(x, y, max(z, NEAR)) for x, y, z in corners], tiles)


def flat_roof(canvas: Canvas, house: Building) -> None:
    """Not seen from below, but for what stands on it."""
    if house.rise > 3.8 and house.start > 4:
        x0, x1 = sorted((house.side * (house.face + 2.5), house.side * (house.face + 6)))
        middle = (house.start + house.stop) / 2
        low, high = house.height, house.height + house.rise * 0.6
        canvas.box((x0, x1), (low, high), (middle - 1.5, middle + 1.5), BUILDING, scaled(house.wall, 0.85))


def eaves_roof(canvas: Canvas, house: Building) -> None:
    """A ridge along the street."""
    s, low, high = house.side, house.height, house.height + house.rise
    near, ridge, far = s * house.face, s * (house.face + house.depth / 2), s * (house.face + house.depth)
    start, stop = house.start, house.stop
    if start > NEAR:
        gable = canvas.surface(BUILDING, house.wall, FRONT, start, grain=0.03)
        canvas.polygon([(near, low, start), (far, low, start), (ridge, high, start)], gable)
    corners = [(near, low, start), (near, low, stop), (ridge, high, stop), (ridge, high, start)]
    slope(canvas, house, corners, (-s * house.rise, house.depth / 2, 0))


def gable_roof(canvas: Canvas, house: Building) -> None:
    """A ridge across the street, a gable over the front."""
    s, low, high = house.side, house.height, house.height + house.rise
    near, far = s * house.face, s * (house.face + house.depth)
    start, stop = house.start, house.stop
    middle = (start + stop) / 2
    gable = canvas.surface(BUILDING, house.wall, (-s, 0.0, 0.0), max(start, 0.0), grain=0.03)
    canvas.polygon([(near, y, max(z, NEAR)) for y, z in ((low, start), (low, stop), (high, middle))], gable)
    corners = [(near, low, start), (near, high, middle), (far, high, middle), (far, low, start)]
    if start > NEAR:
        slope(canvas, house, corners, (0, (stop - start) / 2, -house.rise))


def hip_roof(canvas: Canvas, house: Building) -> None:
    """Four planes that lean inwards."""
    s, low, high = house.side, house.height, house.height + house.rise
    near, ridge, far = s * house.face, s * (house.face + house.depth / 2), s * (house.face + house.depth)
    inset = min(house.depth, house.stop - house.start) * 0.4
    start, stop = house.start + inset, house.stop - inset
    if house.start > NEAR:
        corners = [(near, low, house.start), (ridge, high, start), (far, low, house.start)]
        slope(canvas, house, corners, (0, inset, -house.rise))
    corners = [(near, low, house.start), (near, low, house.stop), (ridge, high, stop), (ridge, high, start)]
    slope(canvas, house, corners, (-s * house.rise, house.depth / 2, 0))


def mansard_roof(canvas: Canvas, house: Building) -> None:
    """One more storey behind a steep roof, with its windows in it."""
    s, low, high = house.side, house.height, house.height + 2.8
    near, inner, far = s * house.face, s * (house.face + 1.1), s * (house.face + house.depth)
    start, stop = house.start, house.stop
    if start > NEAR:
        corners = [(near, low, start), (inner, high, start + 1.1), (far, high, start + 1.1), (far, low, start)]
        slate = canvas.surface(ROOF, house.roof_colour, (0, 0.35, -0.94), start, grain=0.09)
        canvas.polygon(corners, slate)
    corners = [(near, low, start), (near, low, stop), (inner, high, stop), (inner, high, start)]
    slate = canvas.surface(ROOF, house.roof_colour, (-0.94 * s, 0.35, 0.0), max(start, 0.0), grain=0.09)
    canvas.polygon([(x, y, max(z, NEAR)) for x, y, z in corners], slate)
    dormers(canvas, house)


def dormers(canvas: Canvas, house: Building) -> None:
    wall = Wall(canvas, house.side * (house.face + 0.35), house.start, (-house.side, 0.0, 0.0), 0)
    frame = wall.surface(WINDOW, blend(house.trim, (0.95, 0.95, 0.93), 0.5))
    panes, low = house.front, house.height
    for column in range(0, len(panes.tints[0]), 2):
        u = 0.3 + panes.pitch * (column + 0.5)
        if wall.metre(u) * 1.2 < FINEST:
            continue
        wall.panel(u - 0.72, u + 0.72, low + 0.35, low + 2.05, frame)
        pane = glass(wall, panes.tints[-1][column], panes.lights[-1][-1 - column])
        wall.panel(u - 0.5, u + 0.5, low + 0.5, low + 1.85, pane)


ROOFS = {"flat": flat_roof, "eaves": eaves_roof, "gable": gable_roof, "hip": hip_roof, "mansard": mansard_roof}


def chimney(canvas: Canvas, house: Building, share: float) -> None:
    if house.roof not in ("eaves", "gable"):
        return
    z = house.start + share * (house.stop - house.start)
    if z < 3:
        return
    middle = house.side * (house.face + house.depth * 0.4)
    top = house.height + house.rise + 0.8
    colour = blend(house.wall, (0.5, 0.3, 0.25), 0.5)
    canvas.box((middle - 0.5, middle + 0.5), (top - 2.2, top), (z - 0.4, z + 0.4), ROOF, colour)


def tower(canvas: Canvas, house: Tower) -> None:
    """A house of the skyline, with a few lit windows."""
    left, top = canvas.point(house.left, house.height, house.z)
    right, bottom = canvas.point(house.right, 0.0, house.z)
    if right < 0 or left > canvas.width * canvas.samples:
        return
    wall = canvas.surface(BUILDING, house.wall, FRONT, house.z)
    lit = [canvas.surface(WINDOW, GLASS[1], FRONT, house.z, scaled(LIGHTS[1], 0.35 + 0.25 * k)) for k in range(3)]
    canvas.fill([(left, top), (right, top), (right, bottom), (left, bottom)], wall)
    for across, up, light in house.windows:
        x, y = left + (right - left) * (0.1 + 0.8 * across), bottom + (top - bottom) * (0.1 + 0.85 * up)
        size = canvas.focal / house.z * 1.3
        canvas.fill([(x, y), (x + size, y), (x + size, y + size), (x, y + size)], lit[int(3 * light)])
