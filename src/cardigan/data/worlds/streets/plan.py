"""What a street is made of, and by what light it is seen: plain facts, in metres."""

from __future__ import annotations

from dataclasses import dataclass

from cardigan.data.worlds.canvas import Camera, Point
from cardigan.data.worlds.dice import Colour
from cardigan.data.worlds.noise import Floats

Blob = tuple[float, float, float]
"""A part of a crown: right, up and radius, all in radii of the crown."""


@dataclass(frozen=True)
class Day:
    zenith: Colour
    horizon: Colour
    sun_colour: Colour
    ambient: Colour
    sun: Point  # the direction it is in
    cover: float  # of clouds, 0 to 1
    haze: float  # per metre


@dataclass(frozen=True)
class Night:
    """Where is from the middle of the picture, in its heights, and down the sky, as a share of it."""

    zenith: Colour
    horizon: Colour
    ambient: Colour
    moon: tuple[float, float, float]  # where, and radius
    crescent: float  # how far its shadow is pushed aside, in radii
    stars: Floats  # (n, 3): where, and how bright
    wet: float  # how much the ground mirrors


@dataclass(frozen=True)
class Street:
    half: float  # width of the road, from its middle
    pavement: float  # width
    end: float  # how far the houses go
    asphalt: Colour
    slabs: Colour
    kerb: Colour
    verge: Colour
    grassy: bool
    middle: str  # solid, dashed, double or none
    edges: bool
    crossings: tuple[float, ...]
    side_streets: tuple[tuple[float, float], ...]

    @property
    def edge(self) -> float:
        """Where the pavement ends."""
        return self.half + self.pavement


@dataclass(frozen=True)
class Panes:
    """The windows of one wall."""

    tints: list[list[int]]  # by storey and column
    lights: list[list[int]]  # 0 where it is dark
    pitch: float
    width: float
    height: float
    sill: float
    style: str


@dataclass(frozen=True)
class Building:
    side: int  # -1 left, 1 right
    start: float
    stop: float
    face: float  # distance of its front from the middle of the road
    depth: float
    height: float
    ground: float  # height of the ground floor
    storey: float
    wall: Colour
    trim: Colour
    accent: Colour
    roof: str  # flat, eaves, gable, hip or mansard
    rise: float
    roof_colour: Colour
    front: Panes
    flank: Panes | None
    shop: bool
    awning: bool
    shutters: bool
    balconies: bool
    door: int
    chimneys: tuple[float, ...]  # where along it, as a share
    hidden: float  # height up to which its neighbour towards us covers its flank


@dataclass(frozen=True)
class Tree:
    x: float
    z: float
    height: float
    radius: float
    kind: str
    leaf: Colour
    outline: tuple[Blob, ...]
    inner: tuple[Blob, ...]


@dataclass(frozen=True)
class Car:
    x: float
    z: float
    heading: float  # 0 away from us
    kind: str
    paint: Colour
    lit: bool


@dataclass(frozen=True)
class Person:
    x: float
    z: float
    height: float
    stride: float
    coat: Colour
    trousers: Colour
    skin: Colour
    hair: Colour
    skirt: bool
    bag: int  # on which side, 0 without
    umbrella: Colour | None


@dataclass(frozen=True)
class Lamp:
    x: float
    z: float
    height: float
    side: int
    kind: str  # arm or lantern
    light: Colour


@dataclass(frozen=True)
class Hedge:
    side: int
    start: float
    stop: float
    near: float
    far: float
    height: float
    leaf: Colour


@dataclass(frozen=True)
class Tower:
    """A house of the skyline."""

    left: float
    right: float
    height: float
    z: float
    wall: Colour
    windows: tuple[tuple[float, float, float], ...]  # across and up as shares of it, and brightness


Standing = Tree | Car | Person | Lamp
Lot = Building | Tree | Hedge


@dataclass(frozen=True)
class Plan:
    camera: Camera
    day: Day
    night: Night
    street: Street
    lots: tuple[Lot, ...]
    skyline: tuple[Tower, ...]
    hills: Floats  # (n, 2): x and height
    hill_colour: Colour
    standing: tuple[Standing, ...]
    texture: tuple[float, float, float, float]  # where the tiles of noise begin
