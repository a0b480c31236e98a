"""Streets that are drawn by rule: what is where, and how it looks by day and by night."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardigan.data.worlds.canvas import Canvas
from cardigan.data.worlds.dice import Dice
from cardigan.data.worlds.streets.buildings import building, tower
from cardigan.data.worlds.streets.cars import car
from cardigan.data.worlds.streets.ground import ground, hills
from cardigan.data.worlds.streets.layout import plan_street
from cardigan.data.worlds.streets.light import day_and_night
from cardigan.data.worlds.streets.plan import Building, Car, Hedge, Lamp, Lot, Person, Plan, Standing, Tree
from cardigan.data.worlds.streets.things import hedge, lamp, person, tree


@dataclass(frozen=True)
class Scene:
    """One street in three pictures of the same geometry.

    Attributes:
        labels: the class at each pixel's centre, an index into `CLASSES`: uint8 (height, width).
        day: a photo by day: uint8 (height, width, 3).
        night: a photo by night: uint8 (height, width, 3).
    """

    labels: NDArray[np.uint8]
    day: NDArray[np.uint8]
    night: NDArray[np.uint8]


def scene(index: int, height: int, width: int, seed: int = 0) -> Scene:
    """The street of a number: a pure function of its arguments, and the same street at every size.

    The picture's height is the measure: a wider picture shows more of the street to the left and right.

    Raises:
        ValueError: the picture would have no pixels.
    """
    if height < 1 or width < 1:
        raise ValueError(f"height and width must be at least 1, not {height} and {width}")
    plan = plan_street(Dice(seed, "streets", index))
    canvas = Canvas(plan.camera, height, width, samples_for(height))
    draw(canvas, plan)
    seen = canvas.seen()
    middle = canvas.samples // 2
    labels = canvas.surfaces().labels[seen[middle :: canvas.samples, middle :: canvas.samples]]
    day, night = day_and_night(plan, canvas, seen)
    return Scene(labels, day, night)


def samples_for(height: int) -> int:
    """Samples a pixel and side: an odd number, more for small pictures, so that thin things are seen in them."""
    return max(3, (300 // height) | 1)


def draw(canvas: Canvas, plan: Plan) -> None:
    """From the far to the near."""
    sun = plan.day.sun
    shift = -sun[0] / sun[1], -sun[2] / sun[1]
    hills(canvas, plan.hills, plan.hill_colour)
    for house in plan.skyline:
        tower(canvas, house)
    ground(canvas, plan.street)
    for lot in plan.lots:
        thing(canvas, lot, shift)
    for standing in sorted(plan.standing, key=lambda thing: -thing.z):
        thing(canvas, standing, shift)


def thing(canvas: Canvas, what: Lot | Standing, shift: tuple[float, float]) -> None:
    match what:
        case Building():
            building(canvas, what, shift)
        case Hedge():
            hedge(canvas, what)
        case Tree():
            tree(canvas, what, shift)
        case Car():
            car(canvas, what, shift)
        case Person():
            person(canvas, what, shift)
        case Lamp():
            lamp(canvas, what, shift)
