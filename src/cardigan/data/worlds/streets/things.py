"""What stands on the ground: plants, lamps and people."""

from __future__ import annotations

import math

from cardigan.data.worlds.canvas import FINEST, FRONT, Canvas, Flat, Point
from cardigan.data.worlds.dice import Colour, blend, scaled
from cardigan.data.worlds.streets.labels import LAMP, PERSON, TREE
from cardigan.data.worlds.streets.plan import Hedge, Lamp, Person, Tree

BLACK: Colour = (0.07, 0.07, 0.08)


def hedge(canvas: Canvas, plant: Hedge) -> None:
    near, far = sorted((plant.side * plant.near, plant.side * plant.far))
    canvas.box((near, far), (0.0, plant.height), (plant.start, plant.stop), TREE, plant.leaf, 0.3)


def tree(canvas: Canvas, plant: Tree, shift: Flat) -> None:
    if canvas.misses(plant.x, plant.z, plant.radius * 1.3):
        return
    z, r = plant.z, plant.radius
    crown = plant.height - r * (1.0 if plant.kind in ("round", "broad") else 1.6)
    x, girth = plant.x, 0.035 * plant.height
    bark = canvas.surface(TREE, (0.34, 0.26, 0.20), FRONT, z, grain=0.1)
    shady = canvas.surface(TREE, (0.24, 0.18, 0.15), (0.5, 0.0, -0.8), z, grain=0.1)
    canvas.upright(x, z, (0.0, crown), (girth * 0.6, girth * 0.4), bark)
    canvas.upright(x + girth * 0.25, z, (0.0, crown), (girth * 0.35, girth * 0.15), shady)
    if plant.kind == "conifer":
        conifer(canvas, plant)
    else:
        foliage(canvas, plant, crown)
    canvas.shadow(x, z, r * 0.45, r * 0.45, 0.45)
    right, away = shift[0] * crown, shift[1] * crown
    canvas.shade_pole(x, z, girth, right, away)
    canvas.shade(disc(x + right, z + away, r * 0.95, r * 0.95 * (1 + abs(shift[1]) * 0.3)))


def disc(x: float, z: float, across: float, along: float) -> list[Point]:
    turns = [math.pi * k / 8 for k in range(16)]
    return [(x + across * math.cos(t) * (1 + 0.12 * math.sin(5 * t)), 0.0, z + along * math.sin(t)) for t in turns]


def foliage(canvas: Canvas, plant: Tree, crown: float) -> None:
    """A crown of blobs, each turned to the light as its place in it is."""
    r, z = plant.radius, plant.z
    tall = 1.9 if plant.kind == "tall" else 0.8 if plant.kind == "broad" else 1.0
    dark = canvas.surface(TREE, scaled(plant.leaf, 0.62), (0.0, -0.3, -0.6), z, grain=0.3)
    shades = [
        canvas.surface(TREE, scaled(plant.leaf, 0.78 + 0.08 * up), (right * 0.6, up * 0.45, -0.5), z, grain=0.3)
        for up in (-1, 1)
        for right in (-1, 1)
    ]
    canvas.ellipse(plant.x, crown, z, r * 0.72, r * 0.72 * tall, dark)
    for right, up, size in plant.outline:
        shade = shades[2 * (up > 0) + (right > 0)]
        canvas.ellipse(plant.x + right * r, crown + up * r * tall, z, size * r, size * r * (1 + tall) / 2, shade)
    if canvas.scale(z) * r < 4 * FINEST:
        return
    for right, up, size in plant.inner:
        leaf = blend(plant.leaf, (0.95, 0.95, 0.5), 0.08 + 0.1 * up)
        lit = canvas.surface(TREE, leaf, (right, 0.35 + up * 0.8, -0.55), z, grain=0.3)
        canvas.ellipse(plant.x + right * r, crown + (up + 0.08) * r * tall, z, size * r, size * r * (1 + tall) / 2, lit)


def conifer(canvas: Canvas, plant: Tree) -> None:
    """Skirts of needles, one above the other, each with a sunny and a shady half."""
    tiers, z, x = 5, plant.z, plant.x
    halves = [canvas.surface(TREE, scaled(plant.leaf, 1.1), (side * 0.8, 0.3, -0.5), z, grain=0.25) for side in (-1, 1)]
    for tier in range(tiers):
        bottom = plant.height * (0.14 + 0.165 * tier)
        top = bottom + plant.height * (0.32 - 0.014 * tier)
        reach = plant.radius * (1.15 - 0.2 * tier)
        skirt = ((0.0, top), (1.0, bottom), (0.55, bottom + 0.2), (0.25, bottom - 0.1), (0.0, bottom + 0.2))
        for side, needles in zip((-1, 1), halves, strict=True):
            canvas.polygon([(x + side * out * reach, y, z) for out, y in skirt], needles)


def lamp(canvas: Canvas, post: Lamp, shift: Flat) -> None:
    if canvas.misses(post.x, post.z, 2.0):
        return
    x, z, top = post.x, post.z, post.height
    iron = canvas.surface(LAMP, (0.26, 0.29, 0.30), FRONT, z)
    bulb = canvas.surface(LAMP, (0.94, 0.93, 0.86), FRONT, z, blend(post.light, (1, 1, 1), 0.35))
    thick = max(0.07, 0.35 * FINEST / canvas.scale(z))
    canvas.upright(x, z, (0.0, top), (thick, thick * 0.7), iron)
    canvas.upright(x, z, (0.0, 0.5), (thick * 2, thick * 2), iron)
    head = x
    if post.kind == "arm":
        head = x - post.side * 1.5
        canvas.polygon([(x, top - 0.5, z), (x, top - 0.2, z), (head, top + 0.22, z), (head, top + 0.02, z)], iron)
        canvas.upright(head, z, (top - 0.02, top + 0.3), (0.5, 0.4), iron)
        canvas.upright(head, z, (top - 0.12, top + 0.06), (0.4, 0.4), bulb)
    else:
        canvas.upright(x, z, (top, top + 0.6), (0.16, 0.28), bulb)
        canvas.upright(x, z, (top + 0.6, top + 0.9), (0.36, 0.02), iron)
        top += 0.3
    lamplight(canvas, post, head, top)
    canvas.shade_pole(x, z, 0.12, shift[0] * top, shift[1] * top)


def lamplight(canvas: Canvas, post: Lamp, x: float, top: float) -> None:
    z, light = post.z, post.light
    fade = math.exp(-z / 40)
    canvas.pool(x, z, 0.55 * top, 0.55 * top, scaled(light, 0.85))
    canvas.wash(x, top * 0.5, z, 0.5 * top, scaled(light, 0.5 * fade))
    canvas.halo(x, top, z, 0.42, scaled(light, 0.75))
    canvas.halo(x, top, z, 1.3, scaled(light, 0.13 * fade))
    canvas.halo(x, top * 0.55, z, top * 0.22, scaled(light, 0.10 * fade), stretch=1.5)


def person(canvas: Canvas, who: Person, shift: Flat) -> None:
    if canvas.misses(who.x, who.z, 0.7):
        return
    Figure(canvas, who).paint()
    x, z = who.x, who.z
    canvas.shadow(x, z, 0.26, 0.3, 0.55)
    canvas.shade_pole(x, z, 0.34, shift[0] * who.height, shift[1] * who.height)


class Figure:
    """A person in their own coordinates: heights and breadths in their own height."""

    def __init__(self, canvas: Canvas, who: Person) -> None:
        self.canvas, self.who = canvas, who

    def paint(self) -> None:
        who = self.who
        coat, dark = self.cloth(who.coat, -1), self.cloth(scaled(who.coat, 0.82), 1)
        legs, skin, hair = self.cloth(who.trousers, 0), self.cloth(who.skin, -1), self.cloth(who.hair, 0)
        self.legs(legs)
        self.shape([(-0.135, 0.50), (-0.155, 0.80), (-0.09, 0.84), (-0.07, 0.52)], dark)
        self.shape([(0.135, 0.50), (0.155, 0.80), (0.09, 0.84), (0.07, 0.52)], dark)
        hem, flare = (0.36, 0.15) if who.skirt else (0.47, 0.10)
        self.shape([(-flare, hem), (-0.12, 0.82), (-0.05, 0.86), (0.0, 0.86), (0.0, hem)], coat)
        self.shape([(flare, hem), (0.12, 0.82), (0.05, 0.86), (0.0, 0.86), (0.0, hem)], dark)
        if self.canvas.scale(who.z) * 0.1 > FINEST:
            self.hands(skin)
        self.round(0.0, 0.935, 0.062, 0.075, hair)
        self.round(0.0, 0.915, 0.052, 0.062, skin)
        if who.umbrella is not None:
            self.umbrella(who.umbrella)

    def hands(self, skin: int) -> None:
        who = self.who
        self.shape([(-0.15, 0.46), (-0.15, 0.51), (-0.11, 0.51), (-0.11, 0.46)], skin)
        self.shape([(0.15, 0.46), (0.15, 0.51), (0.11, 0.51), (0.11, 0.46)], skin)
        if who.bag:
            side = who.bag * 0.15
            self.shape(
                [(side - 0.05, 0.3), (side - 0.05, 0.46), (side + 0.05, 0.46), (side + 0.05, 0.3)], self.cloth(BLACK, 0)
            )

    def legs(self, cloth: int) -> None:
        step = self.who.stride * 0.35
        for side, foot in ((-1, -0.05 - step), (1, 0.05 + step)):
            hip = side * 0.045
            self.shape([(foot - 0.035, 0.0), (hip - 0.055, 0.5), (hip + 0.055, 0.5), (foot + 0.035, 0.0)], cloth)

    def umbrella(self, colour: Colour) -> None:
        halves = self.cloth(colour, -1), self.cloth(scaled(colour, 0.8), 1)
        for side, cloth in zip((-1, 1), halves, strict=True):
            self.shape([(0, 1.28), (side * 0.2, 1.22), (side * 0.34, 1.06), (0, 1.06)], cloth)
        self.shape([(-0.008, 0.5), (-0.008, 1.1), (0.008, 1.1), (0.008, 0.5)], self.cloth(BLACK, 0))

    def cloth(self, colour: Colour, side: int) -> int:
        return self.canvas.surface(PERSON, colour, (side * 0.6, 0.35, -0.7), self.who.z)

    def shape(self, outline: list[Flat], surface: int) -> None:
        who = self.who
        self.canvas.polygon([(who.x + x * who.height, y * who.height, who.z) for x, y in outline], surface)

    def round(self, x: float, y: float, across: float, up: float, surface: int) -> None:
        who, h = self.who, self.who.height
        self.canvas.ellipse(who.x + x * h, y * h, who.z, across * h, up * h, surface)
