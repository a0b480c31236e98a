"""Periodic noise for textures and clouds."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.floating]

TILE = 512  # a power of two


@lru_cache(maxsize=8)
def noise(falloff: float, lowest: float, highest: float, seed: int) -> Floats:
    """Periodic Gaussian noise of mean 0 and variance 1: float32 (TILE, TILE).

    Args:
        falloff: the amplitude at f periods a tile is f^-falloff.
        lowest, highest: the band of f.
        seed: which noise.
    """
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(TILE) * TILE, np.fft.rfftfreq(TILE) * TILE, indexing="ij"))
    band = (frequency >= lowest) & (frequency <= highest)
    amplitude = np.where(band, np.maximum(frequency, 1) ** -falloff, 0)
    white = np.random.Generator(np.random.PCG64(seed)).normal(size=(TILE, TILE))
    tile = np.fft.irfft2(np.fft.rfft2(white) * amplitude, (TILE, TILE))
    return (tile / tile.std()).astype(np.float32)


@lru_cache(maxsize=16)
def grain(side: int) -> Floats:
    """Fine noise for surfaces, one tile as high as a picture of `side` pixels: float32 (side, side)."""
    tile = 0.75 * noise(0.5, 12, 256, 1) + 0.6 * noise(1.0, 4, 40, 2)
    return np.asarray(Image.fromarray(tile).resize((side, side), Image.Resampling.BOX)).astype(np.float32)


def rolled(tile: Floats, height: int, width: int, down: float, right: float) -> Floats:
    """A window of a periodic tile, its upper middle at a share of the tile: float32 (height, width)."""
    side = len(tile)
    rows = (np.arange(height) + int(down * side)) % side
    columns = (np.arange(width) - width // 2 + int(right * side)) % side
    return tile[rows[:, None], columns]


def sampled(tile: Floats, down: Floats, right: Floats) -> Floats:
    """A periodic tile at points given in texels, between its texels by bilinear interpolation."""
    top, left = np.floor(down), np.floor(right)
    below, beside = down - top, right - left
    i, j = top.astype(np.int32) & (TILE - 1), left.astype(np.int32) & (TILE - 1)
    i1, j1 = ((i + 1) & (TILE - 1)) * TILE, (j + 1) & (TILE - 1)
    i *= TILE
    flat = tile.ravel()
    upper, lower = flat.take(i + j), flat.take(i1 + j)
    upper += (flat.take(i + j1) - upper) * beside
    lower += (flat.take(i1 + j1) - lower) * beside
    return upper + (lower - upper) * below
