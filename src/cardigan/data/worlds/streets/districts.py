"""Kinds of towns and of weather, and what colours things have."""

from __future__ import annotations

from dataclasses import dataclass

from cardigan.data.worlds.dice import Colour

Range = tuple[float, float]


@dataclass(frozen=True)
class Style:
    """A kind of house; numbers that are not ranges are probabilities."""

    walls: tuple[Colour, ...]
    roof_colours: tuple[Colour, ...]
    floors: tuple[int, int]
    roofs: tuple[str, ...]
    window: str
    shops: float = 0.0
    shutters: float = 0.0
    balconies: float = 0.0
    flanks: float = 0.5


@dataclass(frozen=True)
class District:
    """A kind of town; numbers that are not ranges are probabilities."""

    styles: tuple[Style, ...]
    length: Range
    half: Range
    pavement: Range
    gaps: float
    gap: Range
    open: float
    avenue: float
    skyline: float
    towers: Range
    leaves: tuple[Colour, ...]
    grassy: bool = False


@dataclass(frozen=True)
class Weather:
    zenith: Colour
    horizon: Colour
    sun_colour: Colour
    ambient: Colour
    elevation: Range
    cover: Range
    haze: Range


TILES: tuple[Colour, ...] = ((0.62, 0.30, 0.22), (0.54, 0.27, 0.21), (0.45, 0.24, 0.20))
SLATE: tuple[Colour, ...] = ((0.30, 0.33, 0.38), (0.36, 0.36, 0.39), (0.28, 0.30, 0.32))
GREEN: tuple[Colour, ...] = ((0.32, 0.49, 0.20), (0.27, 0.45, 0.22), (0.40, 0.53, 0.22))
TURNING: tuple[Colour, ...] = ((0.80, 0.50, 0.16), (0.72, 0.32, 0.14), (0.84, 0.66, 0.22))
BLOSSOM: tuple[Colour, ...] = ((0.90, 0.66, 0.74),)

PASTEL = Style(
    walls=(
        (0.93, 0.80, 0.55),
        (0.90, 0.66, 0.50),
        (0.82, 0.52, 0.42),
        (0.70, 0.78, 0.78),
        (0.94, 0.88, 0.76),
        (0.74, 0.80, 0.66),
        (0.88, 0.70, 0.68),
        (0.60, 0.70, 0.80),
    ),
    roof_colours=TILES,
    floors=(3, 5),
    roofs=("eaves", "eaves", "gable", "flat"),
    window="tall",
    shops=0.55,
    shutters=0.5,
    balconies=0.25,
)
BRICK = Style(
    walls=((0.62, 0.32, 0.25), (0.56, 0.34, 0.28), (0.68, 0.42, 0.32), (0.50, 0.28, 0.24), (0.72, 0.56, 0.42)),
    roof_colours=SLATE,
    floors=(2, 4),
    roofs=("eaves", "eaves", "gable", "flat"),
    window="plain",
    shops=0.35,
)
STONE = Style(
    walls=((0.84, 0.79, 0.69), (0.78, 0.74, 0.66), (0.88, 0.84, 0.76), (0.70, 0.67, 0.62), (0.80, 0.70, 0.58)),
    roof_colours=SLATE,
    floors=(4, 7),
    roofs=("mansard", "mansard", "flat"),
    window="arched",
    shops=0.75,
    balconies=0.45,
)
CONCRETE = Style(
    walls=((0.74, 0.74, 0.73), (0.64, 0.65, 0.67), (0.82, 0.80, 0.77), (0.58, 0.53, 0.49), (0.86, 0.74, 0.60)),
    roof_colours=SLATE,
    floors=(5, 11),
    roofs=("flat",),
    window="wide",
    shops=0.6,
    balconies=0.35,
)
OFFICE = Style(
    walls=((0.86, 0.87, 0.88), (0.30, 0.33, 0.37), (0.52, 0.56, 0.60), (0.72, 0.66, 0.58)),
    roof_colours=SLATE,
    floors=(5, 12),
    roofs=("flat",),
    window="ribbon",
    shops=0.5,
    flanks=1.0,
)
GLASS = Style(
    walls=((0.38, 0.48, 0.56), (0.30, 0.38, 0.44), (0.55, 0.64, 0.68)),
    roof_colours=SLATE,
    floors=(7, 14),
    roofs=("flat",),
    window="glass",
    shops=0.3,
    flanks=1.0,
)
COTTAGE = Style(
    walls=((0.93, 0.90, 0.83), (0.66, 0.38, 0.30), (0.86, 0.80, 0.66), (0.70, 0.78, 0.82), (0.88, 0.74, 0.58)),
    roof_colours=(*TILES, *SLATE),
    floors=(1, 2),
    roofs=("eaves", "gable", "gable", "hip"),
    window="plain",
    shutters=0.4,
    flanks=0.8,
)

OLD_TOWN = District(
    styles=(PASTEL,),
    length=(7, 12),
    half=(3.0, 4.4),
    pavement=(2.2, 3.2),
    gaps=0.05,
    gap=(1, 3),
    open=0.04,
    avenue=0.35,
    skyline=0.3,
    towers=(12, 26),
    leaves=(*GREEN, *TURNING, *BLOSSOM),
)
TERRACES = District(
    styles=(BRICK,),
    length=(6, 9),
    half=(4.4, 5.8),
    pavement=(2.2, 3.0),
    gaps=0.1,
    gap=(2, 4),
    open=0.06,
    avenue=0.55,
    skyline=0.35,
    towers=(12, 30),
    leaves=(*GREEN, *TURNING),
)
BOULEVARD = District(
    styles=(STONE, STONE, PASTEL),
    length=(12, 19),
    half=(5.4, 7.2),
    pavement=(3.2, 5.0),
    gaps=0.0,
    gap=(1, 2),
    open=0.06,
    avenue=0.8,
    skyline=0.4,
    towers=(18, 40),
    leaves=(*GREEN, *GREEN, *TURNING),
)
CENTRE = District(
    styles=(CONCRETE, OFFICE, GLASS, CONCRETE, BRICK),
    length=(13, 24),
    half=(5.2, 7.4),
    pavement=(3.0, 4.6),
    gaps=0.3,
    gap=(3, 7),
    open=0.08,
    avenue=0.5,
    skyline=0.8,
    towers=(35, 95),
    leaves=(*GREEN, *GREEN, *TURNING),
)
SUBURB = District(
    styles=(COTTAGE,),
    length=(9, 13),
    half=(3.2, 4.4),
    pavement=(1.8, 2.6),
    gaps=1.0,
    gap=(3, 7),
    open=0.1,
    avenue=0.5,
    skyline=0.06,
    towers=(10, 16),
    leaves=(*GREEN, *GREEN, *TURNING, *BLOSSOM),
    grassy=True,
)
MIXED = District(
    styles=(STONE, BRICK, PASTEL, OFFICE, CONCRETE),
    length=(8, 18),
    half=(4.6, 6.4),
    pavement=(2.6, 4.0),
    gaps=0.15,
    gap=(2, 5),
    open=0.08,
    avenue=0.6,
    skyline=0.6,
    towers=(20, 60),
    leaves=(*GREEN, *TURNING),
)
DISTRICTS: tuple[District, ...] = (OLD_TOWN, TERRACES, BOULEVARD, CENTRE, SUBURB, MIXED)

CLEAR = Weather(
    zenith=(0.22, 0.45, 0.82),
    horizon=(0.70, 0.85, 0.97),
    sun_colour=(0.78, 0.70, 0.56),
    ambient=(0.58, 0.63, 0.72),
    elevation=(0.6, 1.0),
    cover=(0.12, 0.4),
    haze=(0.0015, 0.003),
)
BROKEN = Weather(
    zenith=(0.30, 0.50, 0.80),
    horizon=(0.78, 0.87, 0.95),
    sun_colour=(0.68, 0.63, 0.54),
    ambient=(0.61, 0.65, 0.71),
    elevation=(0.6, 1.0),
    cover=(0.45, 0.7),
    haze=(0.002, 0.004),
)
OVERCAST = Weather(
    zenith=(0.60, 0.65, 0.71),
    horizon=(0.82, 0.84, 0.86),
    sun_colour=(0.12, 0.12, 0.12),
    ambient=(0.84, 0.86, 0.90),
    elevation=(0.8, 1.2),
    cover=(0.85, 1.0),
    haze=(0.003, 0.006),
)
GOLDEN = Weather(
    zenith=(0.34, 0.46, 0.70),
    horizon=(0.99, 0.78, 0.55),
    sun_colour=(1.0, 0.66, 0.34),
    ambient=(0.58, 0.57, 0.67),
    elevation=(0.28, 0.5),
    cover=(0.2, 0.55),
    haze=(0.003, 0.006),
)
WEATHERS: tuple[Weather, ...] = (CLEAR, CLEAR, BROKEN, BROKEN, OVERCAST, GOLDEN)

ACCENTS: tuple[Colour, ...] = (
    (0.70, 0.16, 0.15),
    (0.12, 0.36, 0.30),
    (0.14, 0.26, 0.50),
    (0.86, 0.58, 0.14),
    (0.45, 0.20, 0.36),
    (0.20, 0.20, 0.22),
    (0.16, 0.52, 0.58),
)
PAINTS: tuple[Colour, ...] = (
    (0.80, 0.12, 0.12),
    (0.14, 0.30, 0.62),
    (0.90, 0.90, 0.90),
    (0.13, 0.14, 0.16),
    (0.62, 0.64, 0.67),
    (0.95, 0.75, 0.16),
    (0.20, 0.44, 0.36),
    (0.36, 0.62, 0.78),
    (0.90, 0.45, 0.14),
    (0.55, 0.12, 0.22),
    (0.86, 0.82, 0.72),
)
TROUSERS: tuple[Colour, ...] = ((0.16, 0.18, 0.26), (0.22, 0.28, 0.42), (0.32, 0.28, 0.24), (0.12, 0.12, 0.13))
SKIN: tuple[Colour, ...] = ((0.91, 0.74, 0.63), (0.78, 0.57, 0.44), (0.55, 0.37, 0.27), (0.36, 0.24, 0.18))
HAIR: tuple[Colour, ...] = ((0.14, 0.10, 0.08), (0.34, 0.22, 0.13), (0.72, 0.56, 0.32), (0.58, 0.56, 0.54))
