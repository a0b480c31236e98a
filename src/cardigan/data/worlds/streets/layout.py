"""What is where in a street: everything that is decided by chance."""

from __future__ import annotations

import math

import numpy as np

from cardigan.data.worlds.canvas import Camera
from cardigan.data.worlds.dice import Colour, Dice, scaled
from cardigan.data.worlds.noise import Floats
from cardigan.data.worlds.streets.districts import ACCENTS, DISTRICTS, HAIR, PAINTS, SKIN, TROUSERS, WEATHERS, District
from cardigan.data.worlds.streets.plan import (
    Building,
    Car,
    Day,
    Hedge,
    Lamp,
    Lot,
    Night,
    Panes,
    Person,
    Plan,
    Street,
    Tower,
    Tree,
)

AROUND = [(math.cos(turn), math.sin(turn)) for turn in (2 * math.pi * k / 11 for k in range(11))]
WINDOWS: dict[str, tuple[float, float, float, float]] = {
    # distance, width, height, height above the floor
    "plain": (2.8, 1.25, 1.6, 0.85),
    "tall": (2.3, 1.0, 1.9, 0.6),
    "wide": (3.6, 2.3, 1.6, 0.8),
    "arched": (2.7, 1.2, 2.0, 0.6),
    "ribbon": (2.4, 2.3, 1.5, 0.9),
    "glass": (1.9, 1.78, 2.65, 0.25),
}


def plan_street(dice: Dice) -> Plan:
    """A street like no other."""
    district = dice.pick(DISTRICTS)
    street = _street(dice, district)
    camera = _camera(dice, street)
    day = _day(dice)
    leaves = dice.pick(district.leaves)
    lots = [lot for side in (-1, 1) for lot in _row(dice, district, street, leaves, side)]
    standing = [
        *_avenue(dice, district, street, leaves),
        *_lamps(dice, street),
        *_traffic(dice, street, camera.nearest),
        *_people(dice, street, day, camera.nearest),
    ]
    return Plan(
        camera=camera,
        day=day,
        night=_night(dice),
        street=street,
        lots=tuple(lots),
        skyline=_skyline(dice, district),
        hills=_hills(dice),
        hill_colour=dice.near((0.36, 0.5, 0.36), 0.1),
        standing=tuple(standing),
        texture=(dice.between(0, 1), dice.between(0, 1), dice.between(0, 1), dice.between(0, 1)),
    )


def _camera(dice: Dice, street: Street) -> Camera:
    x = dice.between(-0.75, 0.75) * street.half
    return Camera(
        x=x,
        eye=dice.between(2.0, 4.6),
        focal=dice.between(0.85, 1.2),
        horizon=dice.between(0.46, 0.62),
        centre=-0.018 * x + dice.between(-0.13, 0.13),
    )


def _day(dice: Dice) -> Day:
    kind = dice.pick(WEATHERS)
    azimuth = dice.sign() * dice.between(0.35, 1.25) + (math.pi if dice.chance(0.65) else 0)
    elevation = dice.between(*kind.elevation)
    flat = math.cos(elevation)
    return Day(
        zenith=dice.near(kind.zenith, 0.05),
        horizon=dice.near(kind.horizon, 0.03),
        sun_colour=kind.sun_colour,
        ambient=kind.ambient,
        sun=(flat * math.sin(azimuth), math.sin(elevation), flat * math.cos(azimuth)),
        cover=dice.between(*kind.cover),
        haze=dice.between(*kind.haze),
    )


def _night(dice: Dice) -> Night:
    zenith, horizon, ambient = dice.pick(
        (
            ((0.025, 0.035, 0.10), (0.13, 0.13, 0.24), (0.055, 0.075, 0.16)),
            ((0.02, 0.05, 0.12), (0.10, 0.19, 0.30), (0.045, 0.085, 0.16)),
            ((0.05, 0.03, 0.12), (0.26, 0.15, 0.24), (0.07, 0.065, 0.15)),
        )
    )
    stars = dice.generator.random((270, 3)).astype(np.float32)
    stars[:, 0] = 3 * stars[:, 0] - 1.5
    stars[:, 2] = 0.15 + 0.85 * stars[:, 2] ** 3
    return Night(
        zenith=zenith,
        horizon=horizon,
        ambient=ambient,
        moon=(dice.between(-0.38, 0.38), dice.between(0.08, 0.45), dice.between(0.018, 0.032)),
        crescent=dice.pick((0.7, 1.1, 3.0)),
        stars=stars,
        wet=dice.pick((0.25, 0.5, 1.0)),
    )


def _street(dice: Dice, district: District) -> Street:
    half = dice.between(*district.half)
    first = dice.between(9, 17)
    sides = ((start := dice.between(18, 42)), start + dice.between(6, 9)) if dice.chance(0.55) else None
    crossings = [sides[0] - 4] if sides and dice.chance(0.6) else [first] if dice.chance(0.35) else []
    shade = dice.between(0.30, 0.44)
    return Street(
        half=half,
        pavement=dice.between(*district.pavement),
        end=dice.between(60, 105),
        asphalt=dice.near((shade, shade, shade * 1.03), 0.05),
        slabs=dice.near(dice.pick(((0.66, 0.64, 0.61), (0.6, 0.6, 0.62), (0.72, 0.66, 0.58))), 0.06),
        kerb=dice.near((0.74, 0.73, 0.71), 0.05),
        verge=dice.near((0.42, 0.56, 0.27), 0.1),
        grassy=district.grassy,
        middle=dice.pick(("dashed", "dashed", "solid", "double", "none")),
        edges=dice.chance(0.5),
        crossings=tuple(crossings),
        side_streets=(sides,) if sides else (),
    )


def _row(dice: Dice, district: District, street: Street, leaves: Colour, side: int) -> list[Lot]:
    """One side of the street, from the far end to us."""
    lots: list[Lot] = []
    z, hidden = dice.between(-8, 2), 0.0
    while z < street.end:
        stop = z + dice.between(*district.length)
        crossing = next((s for s in street.side_streets if z < s[1] and stop > s[0] - 3), None)
        if crossing is not None:
            if crossing[0] - 3 - z > 6:
                lots.append(_building(dice, district, street, side, z, crossing[0] - 3, hidden))
            z, hidden = crossing[1] + 3, 0.0
        elif dice.chance(district.open) and z > 5:
            lots += _park(dice, street, leaves, side, z, stop)
            z, hidden = stop, 0.0
        else:
            house = _building(dice, district, street, side, z, stop, hidden)
            lots.append(house)
            gap = dice.between(*district.gap) if dice.chance(district.gaps) else 0.0
            if gap > 2.5 and stop > 3:
                lots.append(_tree(dice, leaves, side * (street.edge + dice.between(3, 8)), stop + gap / 2, 1.0))
            z, hidden = stop + gap, 0.0 if gap or street.grassy else house.height
    return lots[::-1]


def _building(
    dice: Dice, district: District, street: Street, side: int, start: float, stop: float, hidden: float
) -> Building:
    style = dice.pick(district.styles)
    floors = dice.whole(*style.floors)
    ground, storey = dice.between(3.2, 4.2), dice.between(2.8, 3.3)
    shop = dice.chance(style.shops)
    wall = dice.near(dice.pick(style.walls), 0.07)
    front = _panes(dice, style.window, floors, stop - start)
    depth = dice.between(9, 16)
    return Building(
        side=side,
        start=start,
        stop=stop,
        face=street.edge + (dice.between(3, 5) if district.grassy else 0.0),
        depth=depth,
        height=ground + storey * (floors - 1) + dice.between(0.3, 0.9),
        ground=ground,
        storey=storey,
        wall=wall,
        trim=dice.near(dice.pick(((0.9, 0.88, 0.83), (0.82, 0.8, 0.76), scaled(wall, 0.75), scaled(wall, 1.15))), 0.04),
        accent=dice.near(dice.pick(ACCENTS), 0.08),
        roof=dice.pick(style.roofs),
        rise=dice.between(2.6, 5.0),
        roof_colour=dice.near(dice.pick(style.roof_colours), 0.08),
        front=front,
        flank=_panes(dice, style.window, floors, depth) if dice.chance(style.flanks) else None,
        shop=shop,
        awning=shop and dice.chance(0.6),
        shutters=dice.chance(style.shutters),
        balconies=dice.chance(style.balconies),
        door=dice.whole(0, len(front.tints[0]) - 1),
        chimneys=tuple(dice.between(0.15, 0.85) for _ in range(dice.whole(0, 2))),
        hidden=hidden,
    )


def _panes(dice: Dice, style: str, floors: int, length: float) -> Panes:
    pitch, width, height, sill = WINDOWS[style]
    columns = max(1, int((length - 0.6) / pitch))
    tints, drawn = dice.generator.random((2, floors, columns))
    share = 0.02 if dice.chance(0.12) else dice.between(0.2, 0.6)
    lights = np.where(drawn < share, drawn * (4 / share) + 1, 0)
    return Panes(
        tints=(1 + tints * 1.5 if style in ("glass", "ribbon") else tints * 4).astype(np.int8).tolist(),
        lights=lights.astype(np.int8).tolist(),
        pitch=(length - 0.6) / columns,
        width=width,
        height=height,
        sill=sill,
        style=style,
    )


def _park(dice: Dice, street: Street, leaves: Colour, side: int, start: float, stop: float) -> list[Lot]:
    lots: list[Lot] = []
    z = start + 1.0
    while z < stop - 1:
        lots.append(_tree(dice, leaves, side * (street.edge + dice.between(1.5, 9)), z, 1.15))
        z += dice.between(2, 4.5)
    hedge = Hedge(
        side=side,
        start=start + 0.4,
        stop=stop - 0.4,
        near=street.edge + 0.1,
        far=street.edge + 0.9,
        height=dice.between(0.7, 1.3),
        leaf=dice.near((0.24, 0.40, 0.17), 0.08),
    )
    return [hedge, *lots] if dice.chance(0.6) else lots


def _tree(dice: Dice, leaves: Colour, x: float, z: float, size: float) -> Tree:
    kind = dice.pick(("round", "round", "broad", "tall", "conifer"))
    height = size * dice.between(5.5, 8.5) * (1.25 if kind in ("tall", "conifer") else 1.0)
    radius = height * {"round": 0.3, "broad": 0.38, "tall": 0.16, "conifer": 0.22}[kind]
    outline = []
    for c, s in AROUND:
        reach = dice.between(0.60, 0.78)
        outline.append((reach * c, reach * s, dice.between(0.30, 0.44)))
    inner = []
    for _ in range(13 if z < 40 else 5):
        turn, out = dice.between(0, 2 * math.pi), 0.72 * math.sqrt(dice.share())
        inner.append((out * math.cos(turn), out * math.sin(turn), dice.between(0.17, 0.32)))
    inner.sort(key=lambda blob: blob[1])
    leaf = dice.near((0.2, 0.36, 0.22) if kind == "conifer" else leaves, 0.1)
    return Tree(x, z, height, radius, kind, leaf, tuple(outline), tuple(inner))


def _avenue(dice: Dice, district: District, street: Street, leaves: Colour) -> list[Tree]:
    """Trees along the kerbs."""
    if not dice.chance(district.avenue):
        return []
    trees = []
    pitch, size = dice.between(9, 15), dice.between(0.7, 0.95)
    sides = (-1, 1) if dice.chance(0.6) else (dice.sign(),)
    for side in sides:
        z = dice.between(11, 20)
        while z < street.end:
            if not any(start - 1 < z < stop + 1 for start, stop in street.side_streets):
                trees.append(_tree(dice, leaves, side * (street.half + 0.9), z, size))
            z += pitch * dice.between(0.85, 1.15)
    return trees


def _lamps(dice: Dice, street: Street) -> list[Lamp]:
    kind = dice.pick(("arm", "arm", "lantern"))
    height = dice.between(5.5, 7.5) if kind == "arm" else dice.between(3.6, 4.5)
    light = dice.pick(((1.0, 0.72, 0.38), (1.0, 0.82, 0.55), (0.85, 0.92, 1.0)))
    pitch = dice.between(15, 22)
    lamps = []
    for side in (-1, 1):
        z = dice.between(7, 15) + (pitch / 2 if side > 0 else 0)
        while z < street.end:
            if not any(start - 0.5 < z < stop + 0.5 for start, stop in street.side_streets):
                lamps.append(Lamp(side * (street.half + 0.45), z, height, side, kind, light))
            z += pitch
    return lamps


def _traffic(dice: Dice, street: Street, nearest: float) -> list[Car]:
    cars = []
    busy = dice.between(10, 40)
    for side in (-1, 1):
        parking = street.half > 5 and dice.chance(0.65)
        lane = side * 0.48 * (street.half - 2.1 if parking else street.half)
        z = nearest + dice.between(1.5, 24)
        while z < street.end:
            if not any(abs(z - crossing) < 5 for crossing in street.crossings):
                cars.append(_car(dice, lane, z, 0.0 if side > 0 else math.pi, True))
            z += 7 + busy * dice.between(0.2, 1.8)
        if parking:
            cars += _parked(dice, street, side)
    for start, stop in street.side_streets:
        if dice.chance(0.45):
            middle, x = (start + stop) / 2, dice.between(-0.8, 0.8) * street.edge
            cars = [car for car in cars if abs(car.z - middle) > 5]
            cars.append(_car(dice, x, middle, dice.sign() * math.pi / 2, True))
    return cars


def _parked(dice: Dice, street: Street, side: int) -> list[Car]:
    cars, z = [], dice.between(8, 16)
    while z < min(street.end, 70):
        blocked = any(start - 6 < z < stop + 6 for start, stop in street.side_streets)
        if not blocked and not any(abs(z - crossing) < 6 for crossing in street.crossings) and dice.chance(0.6):
            cars.append(_car(dice, side * (street.half - 1.05), z, 0.0 if side > 0 else math.pi, False))
        z += dice.between(5.4, 6.5)
    return cars


def _car(dice: Dice, x: float, z: float, heading: float, lit: bool) -> Car:
    kind = dice.pick(("saloon", "hatchback", "hatchback", "estate", "van"))
    return Car(x, z, heading, kind, dice.near(dice.pick(PAINTS), 0.06), lit)


def _people(dice: Dice, street: Street, day: Day, nearest: float) -> list[Person]:
    people = []
    rainy = day.cover > 0.8 and dice.chance(0.4)
    for _ in range(dice.whole(4, 11)):
        side = dice.sign()
        x = side * (street.edge - dice.between(0.4, 0.85) * street.pavement)
        z = max(6, nearest * 1.05) + 34 * dice.share() ** 1.6
        people.append(_person(dice, x, z, rainy))
        if dice.chance(0.3):
            people.append(_person(dice, x + 0.62 * side, z + 0.15, False))
    for crossing in street.crossings:
        if dice.chance(0.6):
            people.append(_person(dice, dice.between(-0.8, 0.8) * street.half, crossing + dice.between(0, 1.5), rainy))
    return people


def _person(dice: Dice, x: float, z: float, rainy: bool) -> Person:
    return Person(
        x=x,
        z=z,
        height=dice.between(1.58, 1.88) * (0.68 if dice.chance(0.1) else 1.0),
        stride=dice.between(-0.28, 0.28),
        coat=dice.near(dice.pick((*PAINTS, *ACCENTS)), 0.1),
        trousers=dice.near(dice.pick(TROUSERS)),
        skin=dice.near(dice.pick(SKIN)),
        hair=dice.near(dice.pick(HAIR)),
        skirt=dice.chance(0.25),
        bag=dice.pick((0, 0, -1, 1)),
        umbrella=dice.near(dice.pick(ACCENTS), 0.1) if rainy and dice.chance(0.6) else None,
    )


def _skyline(dice: Dice, district: District) -> tuple[Tower, ...]:
    towers = []
    x = -420.0
    while x < 420:
        width = dice.between(14, 40)
        if dice.chance(district.skyline):
            tall = dice.between(*district.towers) * (1.6 if dice.chance(0.15) else 1.0)
            windows = tuple((dice.share(), dice.share(), dice.share()) for _ in range(dice.whole(3, 10)))
            z = dice.between(260, 330)
            towers.append(Tower(x, x + width, tall, z, dice.near(dice.pick(district.styles[0].walls), 0.1), windows))
        x += width * dice.between(0.7, 1.2)
    return tuple(sorted(towers, key=lambda tower: -tower.z))


def _hills(dice: Dice) -> Floats:
    """A ridge far behind the town."""
    x = np.linspace(-900, 900, 61)
    waves = sum(
        dice.between(4, 12) / k * np.sin(x * 0.006 * k * dice.between(0.8, 1.2) + dice.between(0, 6.3))
        for k in (1, 2, 4)
    )
    return np.stack([x, np.maximum(4, dice.between(8, 30) + waves)], 1).astype(np.float32)
