"""A camera, and what it sees: polygons in painter's order on a map of surfaces. Light comes later.

Metres: x to the right, y up, z away from the camera, which stands at z = 0 and looks along z. The road is y = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cardigan.data.worlds.dice import Colour
from cardigan.data.worlds.noise import Floats

Point = tuple[float, float, float]
Flat = tuple[float, float]

NEAR = 0.5
"""Nothing nearer than this is drawn, in metres."""
FAR = 600.0
FINEST = 0.004
"""Details below this share of the picture's height are left out, at every size alike."""
HALO = 0.075
"""No halo is wider than this share of the picture's height."""
UP: Point = (0.0, 1.0, 0.0)
FRONT: Point = (0.0, 0.0, -1.0)


@dataclass(frozen=True)
class Camera:
    """A camera whose picture is 1 high, in a street that runs along z.

    Args:
        x: where it stands across the road, in metres.
        eye: its height above the road, in metres.
        focal: focal length, in heights of the picture.
        horizon: where the horizon is, from the top.
        centre: where the vanishing point is, from the middle of the picture to the right.
    """

    x: float
    eye: float
    focal: float
    horizon: float
    centre: float

    @property
    def nearest(self) -> float:
        """How far the ground is at the lower edge of the picture."""
        return self.focal * self.eye / (1 - self.horizon)


class Glow(NamedTuple):
    """A soft light or shadow of the picture: a Gaussian blob."""

    x: float
    y: float
    across: float
    down: float
    colour: Colour


class Surfaces(NamedTuple):
    """What there is to know of each of n surfaces."""

    labels: NDArray[np.uint8]
    albedo: Floats  # (n, 3)
    normals: Floats  # (n, 3)
    depths: Floats  # (n, 1)
    emission: Floats  # (n, 3), at night
    grain: Floats  # (n, 1)


class Canvas:
    """Keeps for each sample of the picture the last surface painted over it; surface 0 is the sky.

    Beside that it takes down shadows and lights, which are no surfaces.

    Args:
        samples: an odd number of samples a pixel and side, so that one of them is the pixel's centre.
    """

    def __init__(self, camera: Camera, height: int, width: int, samples: int) -> None:
        self.camera, self.height, self.width, self.samples = camera, height, width, samples
        self.focal = camera.focal * height * samples  # in samples, as is where the vanishing point is:
        self.left = (width / 2 + camera.centre * height) * samples - 0.5
        self.top = camera.horizon * height * samples - 0.5
        self._right, self._bottom = width * samples, height * samples
        self._image = Image.new("I", (self._right, self._bottom))
        self._paint = ImageDraw.Draw(self._image)
        self._shade_image = Image.new("L", self._image.size)
        self._shade_paint = ImageDraw.Draw(self._shade_image)
        self._rows: list[tuple[float, ...]] = []
        self.shared: dict[tuple[str | float, ...], int] = {}  # surfaces that many things have
        self.shadows: list[Glow] = []
        self.pools: list[Glow] = []
        self.washes: list[Glow] = []
        self.halos: list[Glow] = []
        self.surface(0, (0, 0, 0), (0, 0, 0))

    def surface(
        self,
        label: int,
        albedo: Colour,
        normal: Point,
        depth: float = 0.0,
        glow: Colour = (0.0, 0.0, 0.0),
        grain: float = 0.0,
    ) -> int:
        """A new surface's number, to paint with."""
        self._rows.append((label, *albedo, *normal, depth, *glow, grain))
        return len(self._rows) - 1

    def scale(self, z: float) -> float:
        """A metre at this distance, in heights of the picture."""
        return self.camera.focal / z

    def point(self, x: float, y: float, z: float) -> Flat:
        """Where a point of the world is seen, in samples."""
        metre = self.focal / z
        return self.left + metre * (x - self.camera.x), self.top + metre * (self.camera.eye - y)

    def fill(self, points: Sequence[Flat], surface: int) -> None:
        """Paint a polygon that is given in samples."""
        self._paint.polygon(points, fill=surface)

    def polygon(self, points: Sequence[Point], surface: int) -> None:
        """Paint a polygon of the world, all of it at z >= NEAR."""
        focal, left, top, right, eye = self.focal, self.left, self.top, self.camera.x, self.camera.eye
        flat: list[float] = []
        for x, y, z in points:
            metre = focal / z
            flat += left + metre * (x - right), top + metre * (eye - y)
        self._paint.polygon(flat, fill=surface)

    def box(
        self,
        xs: tuple[float, float],
        ys: tuple[float, float],
        zs: tuple[float, float],
        label: int,
        colour: Colour,
        grain: float = 0.04,
    ) -> None:
        """The two or three sides that we see of a box that stands straight; its x, y and z from and to."""
        (x0, x1), (y0, y1), (z0, z1) = xs, ys, (max(zs[0], NEAR), max(zs[1], NEAR))
        if z1 <= z0:
            return
        if self.camera.eye > y1:
            lid = self.surface(label, colour, UP, z0, grain=grain)
            self.polygon([(x0, y1, z0), (x1, y1, z0), (x1, y1, z1), (x0, y1, z1)], lid)
        for x, out in ((x0, -1.0), (x1, 1.0)):
            if self.sees((x, 0, 0), (out, 0, 0)):
                flank = self.surface(label, colour, (out, 0.0, 0.0), z0, grain=grain)
                self.polygon([(x, y0, z0), (x, y1, z0), (x, y1, z1), (x, y0, z1)], flank)
        front = self.surface(label, colour, FRONT, z0, grain=grain)
        self.polygon([(x0, y0, z0), (x0, y1, z0), (x1, y1, z0), (x1, y0, z0)], front)

    def upright(self, x: float, z: float, ys: Flat, halves: Flat, surface: int) -> None:
        """Paint a trapezoid that faces the camera, from one height to another, with half its width at each."""
        (low, high), (below, above) = ys, halves
        self.polygon([(x - below, low, z), (x - above, high, z), (x + above, high, z), (x + below, low, z)], surface)

    def misses(self, x: float, z: float, reach: float) -> bool:
        """Whether what stands there, and reaches so far to the left and right, is beside the picture."""
        metre = self.focal / z
        middle = self.left + metre * (x - self.camera.x)
        return middle + metre * reach < 0 or middle - metre * reach > self._right

    def ellipse(self, x: float, y: float, z: float, across: float, up: float, surface: int) -> None:
        """Paint an ellipse that faces the camera; radii in metres."""
        metre = self.focal / z
        h, v = self.left + metre * (x - self.camera.x), self.top + metre * (self.camera.eye - y)
        a, b = metre * across, metre * up
        self._paint.ellipse((h - a, v - b, h + a, v + b), fill=surface)

    def sees(self, point: Point, normal: Point) -> bool:
        """Whether a plane shows the camera its face rather than its back."""
        x, y, z = point
        return normal[0] * (self.camera.x - x) + normal[1] * (self.camera.eye - y) - normal[2] * z > 0

    def shade(self, points: Sequence[Point]) -> None:
        """A shadow of the sun on the ground."""
        self._shade_paint.polygon([self.point(x, y, max(z, NEAR)) for x, y, z in points], fill=255)

    def shade_pole(self, x: float, z: float, thick: float, right: float, away: float) -> None:
        """A shadow of the sun of something upright, which ends so far to the right and away from us."""
        tip, end, half = x + right, z + away, thick / 2
        self.shade([(x - half, 0, z), (x + half, 0, z), (tip + half, 0, end), (tip - half, 0, end)])

    def shadow(self, x: float, z: float, across: float, along: float, strength: float) -> None:
        """A soft shadow below what stands there; its deviations in metres."""
        self.shadows.append(self._lying(x, z, across, along, (strength, strength, strength)))

    def pool(self, x: float, z: float, across: float, along: float, light: Colour) -> None:
        """Light that falls on the ground; its deviations in metres."""
        self.pools.append(self._lying(x, z, across, along, light))

    def streak(self, x: float, z: float, light: Colour) -> None:
        """A light that the ground mirrors towards us."""
        glow, metre = self._lying(x, z - 0.4, 0.22, 1.0, light), self.scale(z) * self.height
        self.pools.append(glow._replace(y=glow.y + metre * 0.5, down=metre * 0.5))

    def wash(self, x: float, y: float, z: float, radius: float, light: Colour) -> None:
        """Light that falls on all that stands around."""
        self.washes.append(self._hanging(x, y, z, radius, light))

    def halo(self, x: float, y: float, z: float, radius: float, light: Colour, stretch: float = 1.0) -> None:
        """Light in the air, which may be stretched upwards."""
        glow = self._hanging(x, y, z, min(radius, HALO / self.scale(z)), light)
        self.halos.append(glow._replace(down=glow.down * stretch))

    def _lying(self, x: float, z: float, across: float, along: float, colour: Colour) -> Glow:
        z = max(z, 2.0)
        h, v = self.point(x, 0.0, z)
        metre = self.scale(z) * self.height
        down = metre * along * self.camera.eye / z
        return Glow(h / self.samples, v / self.samples, metre * across, down, colour)

    def _hanging(self, x: float, y: float, z: float, radius: float, colour: Colour) -> Glow:
        h, v = self.point(x, y, z)
        deviation = self.scale(z) * self.height * radius
        return Glow(h / self.samples, v / self.samples, deviation, deviation, colour)

    def surfaces(self) -> Surfaces:
        table = np.array(self._rows, np.float32)
        return Surfaces(
            table[:, 0].astype(np.uint8), table[:, 1:4], table[:, 4:7], table[:, 7:8], table[:, 8:11], table[:, 11:12]
        )

    def seen(self) -> NDArray[np.intp]:
        """The surface of each sample: (height * samples, width * samples)."""
        return np.asarray(self._image).astype(np.intp)

    def sunless(self) -> Floats:
        """How much of each pixel lies in a shadow of the sun, were it ground: float32 (height, width)."""
        return np.asarray(self._shade_image.reduce(self.samples)).astype(np.float32) / 255

    def average(self, seen: NDArray[np.intp], colours: Floats) -> NDArray[np.uint8]:
        """The mean over each pixel's samples of four numbers in [0, 1] a surface: uint8 (height, width, 4)."""
        packed = np.round(np.clip(colours, 0, 1) * 255).astype(np.uint8).view(np.uint32)[:, 0]
        spread = Image.frombuffer(
            "RGBX", (self._right, self._bottom), np.take(packed, seen, mode="clip"), "raw", "RGBX", 0, 1
        )
        return np.asarray(spread.reduce(self.samples))
