"""Walls with their windows, doors and shops."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cardigan.data.worlds.canvas import FINEST, NEAR, Canvas, Flat, Point
from cardigan.data.worlds.dice import Colour, blend, scaled
from cardigan.data.worlds.streets.labels import BUILDING, DOOR, WINDOW
from cardigan.data.worlds.streets.plan import Building, Panes

GLASS: tuple[Colour, ...] = ((0.15, 0.19, 0.25), (0.24, 0.31, 0.39), (0.36, 0.47, 0.57), (0.58, 0.69, 0.78))
"""By tint: what a window mirrors by day."""
LIGHTS: tuple[Colour, ...] = (
    (0.0, 0.0, 0.0),
    (0.98, 0.74, 0.38),
    (1.0, 0.84, 0.55),
    (0.72, 0.50, 0.26),
    (0.62, 0.74, 0.90),
)
"""By light: what shines from it at night."""
NEON: tuple[Colour, ...] = ((1.0, 0.35, 0.45), (0.35, 0.8, 1.0), (1.0, 0.75, 0.3), (0.55, 1.0, 0.6))


class Strip(NamedTuple):
    """What is between two upright lines of a wall: where each is seen, and the length of a metre there, in samples."""

    canvas: Canvas
    left: float
    left_metre: float
    right: float
    right_metre: float

    @property
    def missed(self) -> bool:
        """Whether all of it is beside the picture."""
        width = self.canvas.width * self.canvas.samples
        return max(self.left, self.right) < 0 or min(self.left, self.right) > width

    def panel(self, bottom: float, top: float, surface: int) -> None:
        """Paint it between two heights."""
        canvas, left, left_metre, right, right_metre = self
        zero, eye = canvas.top, canvas.camera.eye
        low, high = eye - bottom, eye - top
        canvas.fill(
            (
                (left, zero + left_metre * low),
                (left, zero + left_metre * high),
                (right, zero + right_metre * high),
                (right, zero + right_metre * low),
            ),
            surface,
        )


class Wall:
    """An upright wall in its own coordinates: u metres along it, from its corner at the street, and v metres up."""

    def __init__(self, canvas: Canvas, x: float, z: float, normal: Point, outward: int) -> None:
        self.canvas, self.x, self.z, self.normal = canvas, x, z, normal
        self.outward = outward  # 0 for a wall along the street, else the side on which it leads away from it

    def edge(self, u: float) -> tuple[float, float]:
        """Of a vertical line: where it is seen across the picture, and the length of a metre, in samples."""
        canvas = self.canvas
        metre = canvas.focal / (self.z if self.outward else max(self.z + u, NEAR))
        x = self.x + u * self.outward
        return canvas.left + metre * (x - canvas.camera.x), metre

    def metre(self, u: float) -> float:
        """A metre of the wall, in heights of the picture."""
        return self.canvas.scale(self.z if self.outward else max(self.z + u, NEAR))

    def strip(self, u0: float, u1: float) -> Strip:
        return Strip(self.canvas, *self.edge(u0), *self.edge(u1))

    def panel(self, u0: float, u1: float, v0: float, v1: float, surface: int) -> None:
        self.strip(u0, u1).panel(v0, v1, surface)

    def highest(self, u: float) -> float:
        """How high the picture reaches there."""
        return self.canvas.camera.eye + (self.canvas.top + 0.5) / self.edge(u)[1]

    def shape(self, outline: list[Flat], surface: int) -> None:
        top, eye = self.canvas.top, self.canvas.camera.eye
        edges = [(*self.edge(u), v) for u, v in outline]
        self.canvas.fill([(x, top + metre * (eye - v)) for x, metre, v in edges], surface)

    def surface(self, label: int, colour: Colour, glow: Colour = (0, 0, 0), grain: float = 0.0) -> int:
        return self.canvas.surface(label, colour, self.normal, max(self.z, 0.0), glow, grain)


def facade(wall: Wall, house: Building, panes: Panes, length: float, street: bool) -> None:
    wall.panel(0, length, 0, house.height, wall.surface(BUILDING, house.wall, grain=0.03))
    trim = wall.surface(BUILDING, house.trim, grain=0.03)
    shop = house.shop and street
    first = 1 if shop else 0
    if not street and house.hidden > house.ground:
        first = 1 + int((house.hidden - house.ground) / house.storey)
    if first < 2:
        courses(wall, house, length, trim)
    windows(wall, house, panes, first, house.door if street else -1)
    if shop:
        shopfront(wall, house, panes, length)
    wall.panel(0, length, house.height - 0.35, house.height, trim)


def courses(wall: Wall, house: Building, length: float, trim: int) -> None:
    """A plinth, and a line below each storey."""
    wall.panel(0, length, 0, 0.5, wall.surface(BUILDING, scaled(house.wall, 0.72), grain=0.06))
    if wall.metre(length / 2) * 0.15 < FINEST / 2:
        return
    floors = len(house.front.tints)
    wall.panel(0, length, house.ground - 0.2, house.ground, trim)
    if house.front.style in ("arched", "tall", "wide"):
        for floor in range(1, floors - 1):
            level = house.ground + house.storey * floor
            wall.panel(0, length, level - 0.1, level, trim)


def glass(wall: Wall, tint: int, light: int) -> int:
    """The surface of a window pane; panes alike at about the same distance share it."""
    depth = max(wall.z, 0.0) // 12
    key = ("glass", tint, light, depth)
    shared = wall.canvas.shared
    if key not in shared:
        glow = scaled(LIGHTS[light], 1.0 - 0.12 * tint)
        shared[key] = wall.canvas.surface(WINDOW, GLASS[tint], (0.0, 0.5, 0.0), depth * 12, glow)
    return shared[key]


def windows(wall: Wall, house: Building, panes: Panes, first: int, door: int) -> None:
    """All windows from storey `first` on; on the ground floor a door takes the place of one."""
    frame = wall.surface(WINDOW, blend(house.trim, (0.95, 0.95, 0.93), 0.5))
    for column in range(len(panes.tints[0])):
        u = 0.3 + panes.pitch * (column + 0.5)
        metre = wall.metre(u)
        if metre * panes.height < 1.5 * FINEST or wall.strip(u - panes.width, u + panes.width).missed:
            continue
        highest, paint = wall.highest(u), window(wall, panes, u, frame)
        for floor in range(first, len(panes.tints)):
            level = house.ground + house.storey * (floor - 1) if floor else 0.15
            if level > highest:
                break
            if floor == 0 and column == door:
                doorway(wall, house, u, metre)
            else:
                paint(level + panes.sill, glass(wall, panes.tints[floor][column], panes.lights[floor][column]))
        if metre * 0.4 > FINEST:
            ornaments(wall, house, panes, column)


def window(wall: Wall, panes: Panes, u: float, frame: int) -> Callable[[float, int], None]:
    """What paints a window around a vertical line, given how high it begins and the surface of its pane."""
    half, height = panes.width / 2, panes.height
    size = wall.metre(u) * height
    plain = panes.style in ("glass", "ribbon")
    framed, barred = size > 0.03 and not plain, size > 0.06 and not plain
    pane, around, bar = wall.strip(u - half, u + half), wall.strip(u - half - 0.12, u + half + 0.12), None
    if barred:
        bar = wall.strip(u - 0.04, u + 0.04)

    def paint(bottom: float, surface: int) -> None:
        top = bottom + height
        if panes.style == "arched":
            if framed:
                wall.shape(arch(u, half + 0.14, bottom - 0.12, top + 0.14), frame)
            wall.shape(arch(u, half, bottom, top), surface)
        else:
            if framed:
                around.panel(bottom - 0.14, top + 0.12, frame)
            pane.panel(bottom, top, surface)
        if bar is not None:
            middle = bottom + height * 0.62
            bar.panel(bottom, top, frame)
            pane.panel(middle - 0.04, middle + 0.04, frame)

    return paint


def ornaments(wall: Wall, house: Building, panes: Panes, column: int) -> None:
    """Shutters and balconies of one column, above the ground floor."""
    if not (house.shutters or house.balconies):
        return
    u, half = 0.3 + panes.pitch * (column + 0.5), panes.width / 2
    shutter = wall.surface(BUILDING, house.accent)
    rail = wall.surface(BUILDING, scaled(house.trim, 0.45))
    shutters = wall.strip(u - half - 0.5, u - half - 0.08), wall.strip(u + half + 0.08, u + half + 0.5)
    balcony = wall.strip(u - half - 0.35, u + half + 0.35)
    for floor in range(1, len(panes.tints)):
        level = house.ground + house.storey * (floor - 1)
        if house.shutters:
            for strip in shutters:
                strip.panel(level + panes.sill, level + panes.sill + panes.height, shutter)
        if house.balconies and (column + floor) % 2 == 0:
            balcony.panel(level, level + 0.95, rail)


def arch(u: float, half: float, bottom: float, top: float) -> list[Flat]:
    spring = top - 0.7 * half
    crown = [(u + half * c, spring + 0.7 * half * s) for c, s in ((-0.8, 0.6), (-0.4, 0.92), (0.4, 0.92), (0.8, 0.6))]
    return [(u - half, bottom), (u - half, spring), *crown, (u + half, spring), (u + half, bottom)]


def doorway(wall: Wall, house: Building, u: float, metre: float) -> None:
    if metre * 0.1 > FINEST / 2:
        wall.panel(u - 0.72, u + 0.72, 0, 2.65, wall.surface(BUILDING, house.trim))
    wall.panel(u - 0.55, u + 0.55, 0, 2.45, wall.surface(DOOR, house.accent))
    if metre * 0.5 > FINEST:
        glow = LIGHTS[house.front.lights[0][house.door]]
        wall.panel(u - 0.42, u + 0.42, 1.95, 2.3, wall.surface(WINDOW, GLASS[1], glow))


def shopfront(wall: Wall, house: Building, panes: Panes, length: float) -> None:
    """Large windows, a door, a sign and perhaps an awning."""
    lights = panes.lights[0]
    wall.panel(0, length, 0.5, house.ground - 0.2, wall.surface(BUILDING, blend(house.accent, house.wall, 0.35)))
    frame = wall.surface(WINDOW, scaled(house.accent, 0.6))
    door = wall.surface(DOOR, scaled(house.accent, 0.75))
    for column, light in enumerate(lights):
        u = 0.3 + panes.pitch * (column + 0.5)
        half = panes.pitch / 2 - 0.16
        if column == house.door:
            wall.panel(u - 0.6, u + 0.6, 0, 2.5, door)
            wall.panel(u - 0.4, u + 0.4, 0.9, 2.3, wall.surface(WINDOW, GLASS[1], LIGHTS[light]))
            continue
        bright = max(light, 1) if house.awning else light
        wall.panel(u - half, u + half, 0.45, 2.7, frame)
        wall.panel(
            u - half + 0.1, u + half - 0.1, 0.6, 2.6, wall.surface(WINDOW, GLASS[1 + column % 2], LIGHTS[bright])
        )
        if bright and not wall.outward and wall.z + u > 2:
            spill = scaled(LIGHTS[bright], 0.5)
            wall.canvas.pool(wall.x + wall.normal[0] * 0.9, wall.z + u, 0.9, 1.1, spill)
    sign(wall, house, length)
    if house.awning:
        awning(wall, house, length)


def sign(wall: Wall, house: Building, length: float) -> None:
    neon = NEON[house.door % len(NEON)] if sum(house.front.lights[0]) % 2 else (0.0, 0.0, 0.0)
    wall.panel(0.3, length - 0.3, 2.85, 3.15, wall.surface(BUILDING, scaled(house.accent, 1.1)))
    lettering = wall.surface(BUILDING, (0.93, 0.9, 0.8), scaled(neon, 0.8))
    wall.panel(length * 0.3, length * 0.7, 2.93, 3.08, lettering)


def awning(wall: Wall, house: Building, length: float) -> None:
    canvas, z0 = wall.canvas, wall.z + 0.3
    stripes = max(2, int(length / 0.8))
    step = (length - 0.6) / stripes
    normal = (wall.normal[0] * 0.45, 0.89, 0.0)
    out = wall.x + wall.normal[0] * 1.0
    for number in range(stripes):
        start, stop = z0 + number * step, z0 + (number + 1) * step
        if start < NEAR or canvas.scale(start) * step < FINEST / 2:
            continue
        colour = house.accent if number % 2 else (0.92, 0.9, 0.84)
        cloth = canvas.surface(BUILDING, colour, normal, start)
        canvas.polygon([(wall.x, 2.85, start), (wall.x, 2.85, stop), (out, 2.4, stop), (out, 2.4, start)], cloth)
        valance = canvas.surface(BUILDING, scaled(colour, 0.9), wall.normal, start)
        canvas.polygon([(out, 2.4, start), (out, 2.4, stop), (out, 2.2, stop), (out, 2.2, start)], valance)
