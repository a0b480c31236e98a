"""Pictures as files, with what the file that they were made from said of itself."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cardigan.data import DataOptions, png16
from cardigan.data.decode import Pixels, prepare
from cardigan.data.spec import Colour

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP"}
"""What is written, by the ending of the file's name."""
OPAQUE, SHALLOW = ("JPEG", "BMP"), ("JPEG", "WEBP", "BMP")
ORIENTATION = 0x0112
MOST_EXIF = 65_000  # a JPEG holds no more than 64 KiB
QUALITY = 95


class About(NamedTuple):
    """What a file says of its picture beside the pixels.

    Attributes:
        exif: without the orientation, by which the pixels have been turned upright.
        profile: the ICC profile of its colours.
    """

    exif: bytes = b""
    profile: bytes = b""

    def of(self, channels: int) -> About:
        """What holds of a picture with so many channels too: a profile of colours is none of greys."""
        space = b"GRAY" if channels == 1 else b"RGB "
        return self if self.profile[16:20] == space else self._replace(profile=b"")


def about(data: bytes) -> About:
    """What a PNG, JPEG or WebP file says of its picture; nothing where it is another, or cannot be understood."""
    with suppress(Exception), Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "MPO", "WEBP")) as picture:
        profile = picture.info.get("icc_profile") or b""
        exif = b""
        with suppress(Exception):  # a damaged one is no reason to lose the profile
            said = Image.Image.getexif(picture)  # the method of a PNG would decode it
            said.pop(ORIENTATION, None)
            exif = said.tobytes() if len(said) else b""
        return About(exif if len(exif) <= MOST_EXIF else b"", profile)
    return About()


def write_picture(pixels: Pixels, path: Path, said: About) -> None:
    """A picture (height, width, 1, 3 or 4 channels) of 8 or 16 bits, in the format that the name's ending tells.

    Where the format has no alpha it lies on white, where it has no 16 bits it is brought to 8.
    """
    kind = FORMATS[path.suffix.lower()]
    said = said.of(pixels.shape[2])
    if pixels.dtype == np.uint16 and kind in SHALLOW:
        pixels = eight_bits(pixels)
    if kind in OPAQUE and pixels.shape[2] == 4:
        pixels = prepare(pixels, DataOptions(channels=3))
    if pixels.dtype == np.uint16 and pixels.shape[2] > 1:
        path.write_bytes(png16.write(pixels.astype(np.uint16, copy=False), said.exif, said.profile))
        return
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    save(picture, path, kind, said)


def write_classes(classes: NDArray[np.uint8], colours: Sequence[Colour], path: Path, said: About) -> None:
    """A label map (height, width) as a PNG whose pixels are the classes' numbers, and whose palette has their colours."""
    picture = Image.fromarray(classes)
    picture.putpalette([level for colour in colours for level in colour])
    save(picture, path, "PNG", said._replace(profile=b""))


def save(picture: Image.Image, path: Path, kind: str, said: About) -> None:
    if kind == "BMP":
        picture.save(path, kind)
        return
    more = {"exif": said.exif} if said.exif else {}
    picture.save(path, kind, quality=QUALITY, icc_profile=said.profile or None, **more)


def eight_bits(pixels: Pixels) -> NDArray[np.uint8]:
    """Pixels of 16 bits, or of 8, by the nearest of 256 levels."""
    return pixels if pixels.dtype == np.uint8 else ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
