"""Cars, face by face."""

from __future__ import annotations

import math
from typing import NamedTuple

from cardigan.data.worlds.canvas import FINEST, Canvas, Flat, Point
from cardigan.data.worlds.dice import Colour, blend, scaled
from cardigan.data.worlds.streets.labels import CAR
from cardigan.data.worlds.streets.plan import Car


class Shape(NamedTuple):
    """The side of a car: places along it from its middle, to the front, and heights."""

    long: float  # half its length
    wide: float  # half its width
    deck: float  # where the cabin begins
    back: float  # where its roof begins
    fore: float  # where that ends
    screen: float  # foot of the windscreen
    belt: float  # height of the windows' lower edge
    roof: float
    nose: float


SHAPES = {
    "saloon": Shape(2.25, 0.90, -1.60, -0.95, 0.35, 1.10, 0.95, 1.43, 0.74),
    "hatchback": Shape(1.95, 0.86, -1.88, -1.45, 0.15, 0.95, 0.97, 1.50, 0.78),
    "estate": Shape(2.30, 0.92, -2.22, -1.95, 0.30, 1.10, 1.05, 1.65, 0.88),
    "van": Shape(2.45, 0.98, -2.42, -2.38, 1.05, 1.75, 1.20, 2.15, 1.02),
}
SILL = 0.28
WHEEL = 0.33
BLACK: Colour = (0.07, 0.07, 0.08)
GLAZING: Colour = (0.16, 0.20, 0.25)
DARK: Colour = (0.0, 0.0, 0.0)


def car(canvas: Canvas, vehicle: Car, shift: Flat) -> None:
    body = Bodywork(canvas, vehicle)
    if body.nearest < 2.5 or canvas.misses(vehicle.x, body.nearest, 2.6):
        return
    body.paint()
    body.lights()
    body.shadow(shift)


class Bodywork:
    """A car in its own coordinates: a metres forwards, b to its right, y up."""

    def __init__(self, canvas: Canvas, vehicle: Car) -> None:
        self.canvas, self.car = canvas, vehicle
        self.sine, self.cosine = math.sin(vehicle.heading), math.cos(vehicle.heading)
        shape = SHAPES[vehicle.kind]
        self.long, self.wide, self.deck, self.back, self.fore = shape[:5]
        self.screen, self.belt, self.roof, self.nose = shape[5:]
        self.near = canvas.scale(vehicle.z) * 0.12 > FINEST  # enough for its small parts
        self.nearest = vehicle.z - abs(self.cosine) * self.long - abs(self.sine) * self.wide

    def place(self, a: float, b: float, y: float) -> Point:
        car, sine, cosine = self.car, self.sine, self.cosine
        return car.x + a * sine + b * cosine, y, car.z + a * cosine - b * sine

    def turned(self, a: float, b: float, y: float) -> Point:
        size = math.sqrt(a * a + b * b + y * y)
        return (a * self.sine + b * self.cosine) / size, y / size, (a * self.cosine - b * self.sine) / size

    def face(self, corners: list[Point], normal: Point, colour: Colour, glow: Colour = DARK) -> bool:
        """Paint a face, its corners as (a, b, y), if it is turned to us; whether it is."""
        turned = self.turned(*normal)
        if not self.canvas.sees(self.place(*corners[0]), turned):
            return False
        surface = self.canvas.surface(CAR, colour, turned, self.car.z, glow)
        self.canvas.polygon([self.place(*corner) for corner in corners], surface)
        return True

    def across(self, rear: Flat, front: Flat, inset: tuple[float, float], normal: Point, colour: Colour) -> bool:
        """A face over the whole width, from one (a, y) to another, with its distances from the sides."""
        (a0, y0), (a1, y1), w0, w1 = rear, front, self.wide - inset[0], self.wide - inset[1]
        return self.face([(a0, -w0, y0), (a0, w0, y0), (a1, w1, y1), (a1, -w1, y1)], normal, colour)

    def paint(self) -> None:
        self.under()
        paint, long, belt, nose = self.car.paint, self.long, self.belt, self.nose
        self.across((-long, SILL), (-long, belt), (0, 0), (-1, 0, 0.1), paint)
        self.across((long, SILL), (long, nose), (0, 0), (1, 0, 0.1), paint)
        self.across((self.screen, belt), (long, nose), (0, 0), (0.15, 0, 1), scaled(paint, 1.05))
        self.across((-long, belt), (self.deck, belt), (0, 0), (0, 0, 1), paint)
        for side in (-1, 1):
            self.flank(side)
        self.cabin()
        self.ends()

    def under(self) -> None:
        """Tyres and the dark below."""
        for a in (-self.long + 0.1, self.long - 0.1):
            self.face(
                [(a, -self.wide, 0.12), (a, self.wide, 0.12), (a, self.wide, 0.4), (a, -self.wide, 0.4)],
                (math.copysign(1, a), 0, 0),
                scaled(BLACK, 0.7),
            )
            for side in (-1, 1):
                b0, b1 = side * (self.wide - 0.02), side * (self.wide - 0.24)
                self.face([(a, b0, 0), (a, b1, 0), (a, b1, 0.45), (a, b0, 0.45)], (math.copysign(1, a), 0, 0), BLACK)

    def flank(self, side: int) -> None:
        b, long = side * self.wide, self.long
        low = [
            (-long, b, SILL),
            (-long, b, self.belt),
            (self.screen, b, self.belt),
            (long, b, self.nose),
            (long, b, SILL),
        ]
        if not self.face(low, (0, side, 0.12), self.car.paint) or not self.near:
            return
        sill = [(-long, b, SILL - 0.06), (-long, b, SILL + 0.1), (long, b, SILL + 0.1), (long, b, SILL - 0.06)]
        self.face(sill, (0, side, 0), scaled(self.car.paint, 0.5))
        for a in (-long * 0.62, long * 0.64):
            self.wheel(a, b, side)

    def wheel(self, a: float, b: float, side: int) -> None:
        turns = [math.pi * k / 6 for k in range(12)]
        for radius, colour in ((WHEEL + 0.06, scaled(BLACK, 0.6)), (WHEEL, BLACK), (WHEEL * 0.58, (0.55, 0.56, 0.58))):
            rim = [(a + radius * math.cos(t), b, WHEEL + radius * math.sin(t)) for t in turns]
            self.face([(a, b, max(y, 0.0)) for a, b, y in rim], (0, side, 0), colour)

    def cabin(self) -> None:
        paint, belt, roof, lean = self.car.paint, self.belt, self.roof, 0.16
        for side in (-1, 1):
            b, t = side * self.wide, side * (self.wide - lean)
            pillars = [(self.deck, b, belt), (self.back, t, roof), (self.fore, t, roof), (self.screen, b, belt)]
            if self.face(pillars, (0, side, 0.3), paint):
                self.side_windows(b, t, side)
        if self.across((self.deck, belt), (self.back, roof), (0.0, lean), (-1, 0, 0.4), paint):
            self.pane((self.deck, belt + 0.04), (self.back, roof - 0.06), (-1, 0, 0.4))
        if self.across((self.screen, belt), (self.fore, roof), (0.0, lean), (1, 0, 0.6), paint):
            self.pane((self.screen, belt + 0.04), (self.fore, roof - 0.06), (1, 0, 0.6))
        self.across((self.back, roof), (self.fore, roof), (lean, lean), (0, 0, 1), scaled(paint, 1.05))

    def pane(self, low: Flat, high: Flat, normal: Point) -> None:
        self.across(low, high, (0.12, 0.26), normal, GLAZING)
        if not self.near:
            return
        w0, w1 = self.wide - 0.12, self.wide - 0.26
        gleam = [
            (low[0], -w0 * 0.7, low[1]),
            (low[0], -w0 * 0.1, low[1]),
            (high[0], w1 * 0.5, high[1]),
            (high[0], -w1 * 0.2, high[1]),
        ]
        self.face(gleam, normal, blend(GLAZING, (0.7, 0.8, 0.9), 0.35))

    def side_windows(self, b: float, t: float, side: int) -> None:
        low, high = self.belt + 0.03, self.roof - 0.09
        rear_low, rear_high = self.deck + 0.28, self.back + 0.1
        front_low, front_high = self.screen - 0.22, self.fore - 0.04
        if self.car.kind == "van":
            rear_low = rear_high = self.fore - 0.75
            panes = [(rear_low, rear_high, front_low, front_high)]
        else:
            middle = (self.back + self.fore) / 2 + 0.1
            panes = [
                (rear_low, rear_high, middle - 0.05, middle - 0.05),
                (middle + 0.05, middle + 0.05, front_low, front_high),
            ]
        inner = t + (b - t) * 0.15
        for a0, a1, a3, a2 in panes:
            self.face([(a0, b, low), (a1, inner, high), (a2, inner, high), (a3, b, low)], (0, side, 0.3), GLAZING)

    def ends(self) -> None:
        """Lamps, plates and bumpers, by day and night."""
        wide, lit = self.wide, self.car.lit
        front, rear = self.long + 0.01, -self.long - 0.01
        low, high = self.nose - 0.26, self.nose - 0.08
        if self.near:
            self.panel(front, (-wide * 0.55, wide * 0.55), (low - 0.02, high - 0.03), 1, BLACK)
            self.panel(front, (-wide, wide), (SILL, SILL + 0.14), 1, scaled(self.car.paint, 0.55))
            self.panel(rear, (-wide, wide), (SILL, SILL + 0.16), -1, scaled(self.car.paint, 0.55))
            self.panel(rear, (-0.28, 0.28), (0.52, 0.64), -1, (0.92, 0.9, 0.75))
            self.panel(front, (-0.28, 0.28), (0.40, 0.50), 1, (0.92, 0.92, 0.9))
        white, red = ((1.0, 0.97, 0.86), (1.0, 0.12, 0.08)) if lit else (DARK, DARK)
        for side in (-1, 1):
            near, far = sorted((side * wide * 0.95, side * wide * 0.58))
            self.panel(front, (near, far), (low, high), 1, (0.93, 0.95, 0.97), white)
            near, far = sorted((side * wide * 0.97, side * wide * 0.68))
            self.panel(rear, (near, far), (self.belt - 0.32, self.belt - 0.12), -1, (0.72, 0.06, 0.08), red)

    def panel(self, a: float, bs: Flat, ys: Flat, forward: int, colour: Colour, glow: Colour = DARK) -> None:
        (b0, b1), (y0, y1) = bs, ys
        self.face([(a, b0, y0), (a, b1, y0), (a, b1, y1), (a, b0, y1)], (forward, 0, 0), colour, glow)

    def lights(self) -> None:
        if not self.car.lit:
            return
        canvas, nose, tail = self.canvas, self.place(self.long, 0, 0.6), self.place(-self.long, 0, 0.8)
        ahead = self.place(self.long + 4.5, 0, 0)
        if ahead[2] > 3:
            along, across = (2.6, 1.3) if abs(self.cosine) > 0.5 else (1.0, 2.8)
            beam = min(1.0, (ahead[2] - 2) / 8)  # one that ends at our feet would flood the picture
            canvas.pool(ahead[0], ahead[2], across, along, scaled((0.75, 0.70, 0.55), beam))
        for a, end, y, colour, strength in (
            (self.long, nose, self.nose - 0.17, (1.0, 0.93, 0.75), 0.8),
            (-self.long, tail, self.belt - 0.22, (1.0, 0.10, 0.06), 0.55),
        ):
            if canvas.sees(end, self.turned(math.copysign(1, a), 0, 0)):
                for side in (-1, 1):
                    x, _, z = self.place(a, side * self.wide * 0.78, y)
                    canvas.halo(x, y, z, 0.26, scaled(colour, strength))
                    canvas.halo(x, y, z, 0.8, scaled(colour, strength * 0.22))
                    canvas.streak(x, z, scaled(colour, strength * 0.6))

    def shadow(self, shift: Flat) -> None:
        canvas, x, z = self.canvas, self.car.x, self.car.z
        along, across = (self.long, self.wide) if abs(self.cosine) > 0.5 else (self.wide, self.long)
        canvas.shadow(x, z, across * 0.75, along * 0.7, 0.85)
        for share in (0.0, 0.3, 0.6):
            right, away = x + shift[0] * share * self.roof, z + shift[1] * share * self.roof
            canvas.shade(
                [
                    (right - across, 0, away - along),
                    (right + across, 0, away - along),
                    (right + across, 0, away + along),
                    (right - across, 0, away + along),
                ]
            )
