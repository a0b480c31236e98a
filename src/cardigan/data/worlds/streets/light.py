"""Sky and light: one geometry by day and by night. Colours are planes: float32 (3, height, width)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cardigan.data.worlds.canvas import Canvas, Glow, Surfaces
from cardigan.data.worlds.dice import Colour
from cardigan.data.worlds.noise import TILE, Floats, grain, noise, rolled, sampled
from cardigan.data.worlds.streets.labels import GROUND, SKY
from cardigan.data.worlds.streets.plan import Day, Plan


@dataclass(frozen=True)
class Layers:
    """What light works with: means over each pixel of what its samples show."""

    day: Floats  # colour in the sun, (3, height, width)
    sky: Floats  # share of sky, (height, width)
    albedo: Floats  # squared, so that it is linear, and by moonlight: (3, height, width)
    ground: Floats  # share of ground
    emission: Floats  # linear, (3, height, width)
    bloom: Floats  # what that bleeds over its surroundings
    grain: Floats  # by how much colours vary
    sunless: Floats  # share in a shadow of the sun, were it ground
    cloud: Floats  # noise above the horizon, (rows, width)


def day_and_night(plan: Plan, canvas: Canvas, seen: NDArray[np.intp]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two photos of what was painted: uint8 (height, width, 3)."""
    layers = layered(plan, canvas, seen)
    return photo(by_day(plan, canvas, layers)), photo(by_night(plan, canvas, layers))


def layered(plan: Plan, canvas: Canvas, seen: NDArray[np.intp]) -> Layers:
    surfaces = canvas.surfaces()
    ground = np.isin(surfaces.labels, GROUND)[:, None].astype(np.float32)
    sky = (surfaces.labels == SKY)[:, None].astype(np.float32)
    moonlit = surfaces.albedo * (0.78 + 0.3 * faces(surfaces, (-0.5, 0.5, -0.7))) * np.exp(surfaces.depths / -250)
    day = planes(canvas.average(seen, np.hstack([day_colours(surfaces, plan.day) * (1 - sky), sky])))
    albedo = planes(canvas.average(seen, np.hstack([moonlit, ground])))
    shine = canvas.average(seen, np.hstack([surfaces.emission**2, surfaces.grain]))
    emission = planes(shine)
    tile = rolled(grain(canvas.height), canvas.height, canvas.width, plan.texture[2], plan.texture[3])
    return Layers(
        day=day[:3],
        sky=day[3],
        albedo=albedo[:3] ** 2,
        ground=albedo[3],
        emission=emission[:3],
        bloom=planes(blurred(shine))[:3],
        grain=np.maximum(1 + emission[3] * tile, 0.2),
        sunless=canvas.sunless(),
        cloud=clouds(plan, canvas),
    )


def by_day(plan: Plan, canvas: Canvas, layers: Layers) -> Floats:
    day, ground = plan.day, layers.ground
    sun, ambient = tint(day.sun_colour) * day.sun[1], tint(day.ambient)
    colour = layers.day * layers.grain
    colour *= 1 - (layers.sunless * ground) * (sun / (ambient + sun) * 0.85)
    colour *= 1 - np.minimum(gaussians(canvas.shadows, canvas)[0], 0.9) * ground * 0.75
    haze = (1 - np.exp(-distances(canvas) * day.haze)) * ground
    colour += (tint(day.horizon) * 0.97 - colour) * haze
    overhead = day_sky(plan, canvas, layers.cloud)
    rows = overhead.shape[1]
    colour[:, :rows] += layers.sky[:rows] * overhead
    return graded(colour)


def by_night(plan: Plan, canvas: Canvas, layers: Layers) -> Floats:
    night, ground = plan.night, layers.ground
    pools, washes = gaussians(canvas.pools, canvas), gaussians(canvas.washes, canvas)
    shadow = np.minimum(gaussians(canvas.shadows, canvas)[0], 0.9) * ground
    light = tint(night.ambient) * (1 - 0.25 * ground - 0.5 * shadow)
    pools *= ground
    washes *= (1 - ground) * 0.6
    light += pools
    light += washes
    colour = layers.albedo * layers.grain
    colour *= light
    colour += pools * (0.05 * night.wet)
    colour += layers.emission * 1.25
    colour += layers.bloom * 0.6
    colour += gaussians(canvas.halos, canvas)
    overhead = night_sky(plan, canvas, layers.cloud)
    rows = overhead.shape[1]
    colour[:, :rows] += layers.sky[:rows] * overhead
    return np.sqrt(1 - np.exp(-1.5 * colour))


def photo(colour: Floats) -> NDArray[np.uint8]:
    levels = np.clip(colour * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(1, 2, 0))


def planes(picture: NDArray[np.uint8]) -> Floats:
    return np.ascontiguousarray(picture.transpose(2, 0, 1)).astype(np.float32) * np.float32(1 / 255)


def tint(colour: Colour) -> Floats:
    return np.array(colour, np.float32)[:, None, None]


def gaussians(glows: list[Glow], canvas: Canvas) -> Floats:
    """The sum of soft blobs: float32 (3, height, width)."""
    height, width = canvas.height, canvas.width
    if not glows:
        return np.zeros((3, height, width), np.float32)
    table = np.array(
        [(x, y, max(across, 0.4), max(down, 0.4), *colour) for x, y, across, down, colour in glows], np.float32
    )
    x, y, across, down = table[:, :4].T[:, :, None]
    columns = np.exp(-0.5 * ((np.arange(width, dtype=np.float32) + 0.5 - x) / across) ** 2)
    rows = np.exp(-0.5 * ((np.arange(height, dtype=np.float32) + 0.5 - y) / down) ** 2)
    return rows.T @ (columns * table[:, 4:].T[:, :, None])


def blurred(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    small = Image.fromarray(picture).resize((max(1, 20 * width // height), 20), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def distances(canvas: Canvas) -> Floats:
    """How far the ground is in each row, in metres: float32 (height, 1)."""
    below = (np.arange(canvas.height, dtype=np.float32) + 0.5) / canvas.height - canvas.camera.horizon
    return canvas.camera.focal * canvas.camera.eye / np.maximum(below, 1e-3)[:, None]


def faces(surfaces: Surfaces, light: tuple[float, float, float]) -> Floats:
    """How much of a light from one direction falls on each surface: (n, 1)."""
    return np.maximum(surfaces.normals @ np.array(light, np.float32), 0)[:, None]


def day_colours(surfaces: Surfaces, day: Day) -> Floats:
    """The colour of each surface in the sun, behind its haze: (n, 3)."""
    ambient = np.array(day.ambient, np.float32) * (0.86 + 0.14 * surfaces.normals[:, 1:2])
    light = ambient + np.array(day.sun_colour, np.float32) * faces(surfaces, day.sun)
    colour = surfaces.albedo * light
    return colour + (np.array(day.horizon, np.float32) * 0.97 - colour) * (1 - np.exp(-surfaces.depths * day.haze))


def graded(colour: Floats) -> Floats:
    """A little more light and colour, and no hard end to the bright."""
    colour *= 1.08
    grey = colour.mean(0)
    colour += (colour - grey) * 0.15
    np.maximum(colour, 0, out=colour)
    return colour / (1 + np.maximum(colour - 0.8, 0) * 0.7)


def upwards(canvas: Canvas) -> Floats:
    """The rows above the horizon, from 1 at the top of the picture to 0: float32 (rows, 1)."""
    horizon = canvas.camera.horizon * canvas.height
    rows = min(canvas.height, int(horizon) + 1)
    return np.maximum(1 - (np.arange(rows, dtype=np.float32) + 0.5) / horizon, 0)[:, None]


def clouds(plan: Plan, canvas: Canvas) -> Floats:
    """Noise on a plane above us, in perspective: float32 (rows, width)."""
    camera, height, width = canvas.camera, canvas.height, canvas.width
    across = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / height - camera.centre
    away = 0.13 / (upwards(canvas) * camera.horizon + 0.13)
    down = (plan.texture[0] + away) * TILE
    right = (plan.texture[1] + across * away * 1.3) * TILE
    return sampled(noise(1.75, 2, 160, 3), np.broadcast_to(down, right.shape), right)


def ramp(low: Colour, high: Colour, share: Floats) -> Floats:
    return tint(low) + (tint(high) - tint(low)) * share


def smooth(values: Floats, low: float, high: float) -> Floats:
    share = np.clip((values - low) * (1 / (high - low)), 0, 1)
    return share * share * (3 - 2 * share)


def day_sky(plan: Plan, canvas: Canvas, cloud: Floats) -> Floats:
    day, up = plan.day, upwards(canvas)
    sky = np.repeat(ramp(day.horizon, day.zenith, up**0.75), canvas.width, 2)
    start = 1.5 - 2.6 * day.cover
    thick = smooth(cloud, start, start + 0.9) * np.minimum(0.94, up * 6)
    bright = tint(day.horizon) * 0.35 + 0.65 * np.minimum(1, tint(day.ambient) + tint(day.sun_colour) * 0.8)
    grey = 1.04 - 0.16 * smooth(cloud, start + 0.5, start + 2.4)
    sky += (bright * grey - sky) * thick
    if day.sun[2] > 0:
        sky += sunshine(plan, canvas)[:, : len(up)]
    return sky


def sunshine(plan: Plan, canvas: Canvas) -> Floats:
    """The glare of a sun that we look at."""
    day, camera, height = plan.day, canvas.camera, canvas.height
    x, y, z = day.sun
    h = canvas.width / 2 + (camera.centre + camera.focal * x / z) * height
    v = (camera.horizon - camera.focal * y / z) * height
    red, green, blue = (part * (1 - 0.6 * day.cover) for part in day.sun_colour)
    disc = Glow(h, v, 0.035 * height, 0.035 * height, (red, green, blue))
    return gaussians([disc, Glow(h, v, 0.3 * height, 0.25 * height, (red * 0.4, green * 0.4, blue * 0.4))], canvas)


def night_sky(plan: Plan, canvas: Canvas, cloud: Floats) -> Floats:
    night, up = plan.night, upwards(canvas)
    start = 1.2 - 1.6 * plan.day.cover
    veil = smooth(cloud, start, start + 1.5) * np.minimum(1, up * 4)
    sky = ramp(night.horizon, night.zenith, up**0.6) + tint(night.horizon) * 0.3 * veil
    sky *= sky
    stars(plan, canvas, sky, 1 - veil)
    moon(plan, canvas, sky)
    return sky


def stars(plan: Plan, canvas: Canvas, sky: Floats, clear: Floats) -> None:
    rows, width = clear.shape
    side = max(1, round(canvas.height / 300))
    across = plan.night.stars[:, 0] * canvas.height + width / 2
    inside = (across >= 0) & (across < width)
    _, down, brightness = plan.night.stars[inside].T
    top, left = (down * rows).astype(int), across[inside].astype(int)
    dimmed = min(1.0, max(0.4, canvas.height / 256))  # where a pixel is a large part of the sky
    light = brightness * clear[top, left] ** 2 * dimmed
    for i in range(side):
        for j in range(side):
            sky[:, np.minimum(top + i, rows - 1), np.minimum(left + j, width - 1)] += light


def moon(plan: Plan, canvas: Canvas, sky: Floats) -> None:
    night, (_, rows, width) = plan.night, sky.shape
    x, y = night.moon[0] * canvas.height + width / 2, night.moon[1] * rows
    radius = night.moon[2] * canvas.height
    reach = int(radius * 7) + 2
    top, left = max(0, int(y) - reach), max(0, int(x) - reach)
    part = sky[:, top : int(y) + reach, left : max(0, int(x) + reach)]
    v = np.arange(top, top + part.shape[1], dtype=np.float32)[:, None] + 0.5 - y
    h = np.arange(left, left + part.shape[2], dtype=np.float32) + 0.5 - x
    disc = np.clip(radius - np.hypot(h, v) + 0.5, 0, 1)
    dark = np.clip(radius - np.hypot(h - radius * night.crescent, v + radius * 0.3) + 0.5, 0, 1)
    part += disc * (1 - dark) * tint((0.95, 0.93, 0.84))
    part += np.exp((h * h + v * v) / (-10 * radius**2)) * tint((0.08, 0.09, 0.12))
