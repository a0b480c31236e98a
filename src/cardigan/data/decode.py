"""From an image file to pixels, and from pixels to one shape.

Pixels are uint8 or uint16 arrays of shape (height, width, channels): grey, grey with alpha (read as RGBA), RGB, RGBA,
or any number of channels where they come from an array file. Colour at 16 bits a channel is read from PNG and from array
files: of other image files Pillow would keep only 8 bits, so they are refused.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from cardigan.data import png16
from cardigan.data.options import DataOptions

SUFFIXES = frozenset(
    {
        *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp"),
        *(".avif", ".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pnm", ".tga"),
    }
)
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM", "TGA")
JPEG_MAGIC = b"\xff\xd8\xff"
MAGICS = (b"\x89PNG", JPEG_MAGIC, b"GIF8", b"II*\0", b"MM\0*", b"RIFF")
MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 89_478_485)
MODES = {1: "grey", 3: "RGB", 4: "RGBA"}

Pixels = NDArray[np.unsignedinteger]
Box = tuple[float, float, float, float]


class Unreadable(Exception):
    """One image cannot be used; the message says why, in a few words."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image's pixels (height, width, channels) and its size (height, width) in the file.

    The two sizes differ where a large JPEG was decoded at a fraction, on the way to a small target.
    """

    pixels: Pixels
    size: tuple[int, int]


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keep Pillow's warnings from the screen: what they warn of is refused or reported here. Enter it in one thread."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def decode(
    data: bytes, target: tuple[int, int] | None = None, admit: Callable[[int], None] = lambda pixels: None
) -> Decoded:
    """Pixels of an encoded image, upright by its EXIF orientation.

    Args:
        data: the file's bytes; the format is told by them, whatever the file's name says.
        target: (height, width) wanted in the end: a JPEG four or more times larger is decoded at a fraction.
        admit: called with the number of pixels that are about to be decoded; it may wait until there is room for them.

    Raises:
        Unreadable: not an image, truncated, animated, too large, no integers, or colour of 16 bits that is no PNG.
    """
    image = _opened(data)
    if target is not None and image.format in ("JPEG", "MPO"):
        side = 2 * max(target)  # the upright target may lie on its side in the file; twice: Lanczos wants detail
        size = image.size
        image.draft(None, (side, side))
    else:
        size = image.size
    deep = _is_deep(image)
    admit(image.width * image.height * (2 if deep else 1))
    try:
        if deep:
            pixels = _deep_pixels(image, data)
            return Decoded(pixels, pixels.shape[:2])
        image.load()
        lying = image.width > image.height
        ImageOps.exif_transpose(image, in_place=True)
        pixels = _pixels(image)
    except Unreadable:
        raise
    except Exception as error:  # decoders of hostile bytes raise almost anything
        raise Unreadable(_reason(error)) from error
    turned = (image.width > image.height) != lying
    return Decoded(pixels, size if turned else (size[1], size[0]))


def header(data: bytes) -> tuple[tuple[int, int], int, int]:
    """(height, width), channels and bits of an encoded image without decoding its pixels."""
    image = _opened(data)
    turned = _orientation(image) >= 5 and image.format != "TIFF"  # whose size is given upright
    mode = _target_mode(image)
    channels = {"L": 1, "I;16": 1, "RGB": 3, "RGBA": 4}[mode]
    return (image.size if turned else image.size[::-1]), channels, 16 if mode == "I;16" or _is_deep(image) else 8


def _orientation(image: Image.Image) -> int:
    return Image.Image.getexif(image).get(0x0112, 1)  # the method of a PNG would decode it


def _opened(data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise Unreadable(_unidentified(data)) from error
    except Exception as error:
        raise Unreadable(_reason(error)) from error
    deep = _is_deep(image)
    most = MOST_PIXELS // 2 if deep else MOST_PIXELS  # the same memory
    if image.width * image.height > most:
        raise Unreadable(f"{image.width}x{image.height} pixels, more than {most}")
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":  # MPO: a photograph with its preview
        raise Unreadable(f"animated or of several pages: {getattr(image, 'n_frames', 2)} frames")
    if deep and image.format != "PNG":
        raise Unreadable(f"{image.format} in colour of 16 bits a channel; save it as PNG, npy or npz, or at 8 bits")
    return image


def _is_deep(image: Image.Image) -> bool:
    """Whether it has 16 bits a channel of which Pillow would keep 8, as the way in which it would read them tells."""
    if image.mode.startswith("I"):
        return False
    for tile in getattr(image, "tile", ()):
        mode, *numbers = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if re.search(";16[BLN]", str(mode)) or (image.format == "PPM" and max(numbers, default=0) > 255):
            return True
    return False


def _unidentified(data: bytes) -> str:
    if not data:
        return "empty file"
    return "damaged header" if data.startswith(MAGICS) else f"not an image: it begins with {data[:8]!r}"


def _target_mode(image: Image.Image) -> str:
    """The mode that holds all of an image: L, I;16, RGB or RGBA."""
    mode = image.mode
    if mode.startswith("I"):
        return "I;16"
    if mode == "F":
        raise Unreadable("floating-point pixels; save it with 8 or 16 bits, or use npy")
    if mode in ("1", "L"):
        return "RGBA" if "transparency" in image.info else "L"
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or (mode in ("P", "RGB") and "transparency" in image.info):
        return "RGBA"
    return "RGB"


def _pixels(image: Image.Image) -> Pixels:
    mode = _target_mode(image)
    if mode == "I;16":
        grey = np.asarray(image)
        if grey.min() < 0 or grey.max() > 65535:
            raise Unreadable("integer pixels outside 0..65535")
        return grey.astype(np.uint16)[:, :, None]
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _deep_pixels(image: Image.Image, data: bytes) -> Pixels:
    """RGB or RGBA of a PNG of 16 bits a channel, by the rules for 8 bits: upright, and with the alpha there is."""
    pixels, exif = png16.read(data, image.size)
    if exif is not None:
        image.info["exif"] = b"Exif\0\0" + exif
    if pixels.shape[2] == 2:
        pixels = pixels[:, :, [0, 0, 0, 1]]
    if pixels.shape[2] == 3 and (clear := image.info.get("transparency")) is not None:
        alpha = np.where((pixels == np.array(clear, np.uint16)).all(axis=2, keepdims=True), 0, 65535)
        pixels = np.concatenate([pixels, alpha.astype(np.uint16)], axis=2)
    orientation = _orientation(image)
    if orientation in (2, 3, 7, 8):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 6, 7):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels.swapaxes(0, 1) if orientation >= 5 else pixels)


def _reason(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MOST_PIXELS} pixels"
    text = str(error)
    broken = isinstance(error, EOFError | struct.error | zlib.error | IndexError)
    if "truncated" in text or "Truncated" in text or broken:
        return "truncated"
    first = text.splitlines()[0] if text else type(error).__name__
    return f"damaged: {first}"


def prepare(pixels: Pixels, options: DataOptions) -> Pixels:
    """Pixels at the size and with the channels that the options ask for; an image that fits already is not touched.

    Raises:
        Unreadable: the channels cannot be converted.
    """
    if options.target is not None and pixels.shape[:2] != options.target:
        pixels = _resized(pixels, options.target, options)
    if options.channels is not None and pixels.shape[2] != options.channels:
        pixels = _recoloured(pixels, options.channels, options.background)
    return pixels


def _resized(pixels: Pixels, target: tuple[int, int], options: DataOptions) -> Pixels:
    """Lanczos, antialiased; alpha weighs the colours so that what lies under transparency does not bleed."""
    (height, width), (rows, columns) = pixels.shape[:2], target
    if options.fit == "pad":
        scale = min(rows / height, columns / width)
        inner = max(1, round(height * scale)), max(1, round(width * scale))
        return _padded(_lanczos(pixels, inner, (0, 0, width, height)), target, options.background)
    return _lanczos(pixels, target, fitted(pixels.shape[:2], target, options))


def fitted(size: tuple[int, int], target: tuple[int, int], options: DataOptions) -> Box:
    """What of an image of a (height, width) fills the target: left, top, right and bottom."""
    (height, width), (rows, columns) = size, target
    if options.fit != "crop":
        return 0.0, 0.0, float(width), float(height)
    scale = max(rows / height, columns / width)
    left, top = (width - columns / scale) / 2, (height - rows / scale) / 2
    return max(left, 0.0), max(top, 0.0), min(width - left, width), min(height - top, height)


def _lanczos(pixels: Pixels, target: tuple[int, int], box: Box) -> Pixels:
    size = target[1], target[0]
    if pixels.dtype == np.uint8 and pixels.shape[2] in MODES:
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        array = np.asarray(image.resize(size, Image.Resampling.LANCZOS, box))
        return array[:, :, None] if array.ndim == 2 else array
    resized = np.empty((*size[::-1], pixels.shape[2]), np.float32)
    for channel in range(pixels.shape[2]):
        plane = Image.fromarray(pixels[:, :, channel].astype(np.float32))
        resized[:, :, channel] = np.asarray(plane.resize(size, Image.Resampling.LANCZOS, box))
    return resized.round().clip(0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)


def _padded(pixels: Pixels, target: tuple[int, int], background: tuple[int, int, int]) -> Pixels:
    (height, width, channels), (rows, columns) = pixels.shape, target
    canvas = np.zeros((*target, channels), pixels.dtype)  # stays transparent where there is alpha
    if channels in (1, 3):
        canvas[:] = _shade(background, pixels.dtype) if channels == 3 else _grey(_shade(background, pixels.dtype))
    top, left = (rows - height) // 2, (columns - width) // 2
    canvas[top : top + height, left : left + width] = pixels
    return canvas


def _recoloured(pixels: Pixels, channels: int, background: tuple[int, int, int]) -> Pixels:
    have, top = pixels.shape[2], np.iinfo(pixels.dtype).max
    if have not in MODES:
        raise Unreadable(f"{have} channels, which cannot be turned into {channels}")
    if channels == 4:
        colour = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
        return np.concatenate([colour, np.full_like(pixels[:, :, :1], top)], axis=2)
    if have == 4:
        alpha = pixels[:, :, 3:].astype(np.uint64)
        shade = _shade(background, pixels.dtype).astype(np.uint64)
        mixed = (pixels[:, :, :3] * alpha + shade * (top - alpha) + top // 2) // top
        pixels = mixed.astype(pixels.dtype)
    if channels == 1:
        return _grey(pixels) if pixels.shape[2] == 3 else pixels
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def _shade(background: tuple[int, int, int], dtype: np.dtype) -> NDArray:
    return np.array(background, dtype) * dtype.type(257 if dtype == np.uint16 else 1)


def _grey(colour: NDArray) -> NDArray:
    """ITU-R 601 luma in Pillow's fixed point, so that 8-bit images come out as ``convert("L")`` makes them."""
    weighed = colour[..., :3].astype(np.uint64) @ np.array([19595, 38470, 7471], np.uint64)
    return ((weighed + 0x8000) >> np.uint64(16)).astype(colour.dtype)[..., None]
