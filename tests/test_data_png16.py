"""PNG of 16 bits a channel: every colour type, filter and order of lines gives the pixels that were written."""

import io
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cardigan.data import decode as decoding
from cardigan.data import inspect_data, open_data
from cardigan.data.decode import Unreadable, decode, header
from cardigan.errors import DataError
from test_data_formats import RGB, contents, encode, expected, write_folder

rng = np.random.default_rng(4)
COLOUR = {1: 0, 2: 4, 3: 2, 4: 6}  # the type of each number of channels
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def paeth(left: int, up: int, corner: int) -> int:
    return min((left, up, corner), key=lambda x: abs(left + up - corner - x))


def filtered(lines: list[bytes], pixel: int, kinds: Iterator[int]) -> bytes:
    """The lines under the filters of these kinds, byte by byte as section 9 of the standard writes them."""
    made, above = bytearray(), bytes(len(lines[0]))
    for line in lines:
        kind = next(kinds)
        made.append(kind)
        for i, x in enumerate(line):
            left, up = (line[i - pixel], above[i]) if i >= pixel else (0, above[i])
            corner = above[i - pixel] if i >= pixel else 0
            made.append((x - (0, left, up, (left + up) // 2, paeth(left, up, corner))[kind]) % 256)
        above = line
    return bytes(made)


def png(
    pixels: np.ndarray, kinds: tuple[int, ...] = (0,), interlaced: bool = False, extra: bytes = b"", late: bytes = b""
) -> bytes:
    """A PNG of uint8 or uint16 pixels (height, width, channels) whose lines use these filters in turn."""
    height, width, channels = pixels.shape
    lines = b""
    for left, top, right, down in PASSES if interlaced else [(0, 0, 1, 1)]:
        part = pixels[top::down, left::right]
        if part.size:
            rows = [row.astype(f">u{pixels.itemsize}").tobytes() for row in part]
            turns = (kinds[i % len(kinds)] for i in range(len(rows)))
            lines += filtered(rows, channels * pixels.itemsize, turns)
    head = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, COLOUR[channels], 0, 0, interlaced)
    packed = zlib.compress(lines)
    third = len(packed) // 3
    body = b"".join(chunk(b"IDAT", part) for part in (packed[:third], b"", packed[third:]))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + body + late + chunk(b"IEND", b"")


def deep(height: int, width: int, channels: int) -> np.ndarray:
    """Noise on a slope, so that every filter's prediction is sometimes close and sometimes wraps around."""
    slope = np.add.outer(np.arange(height) * 997, np.arange(width) * 1999)[:, :, None] * np.arange(1, channels + 1)
    return ((slope + rng.integers(0, 300, (height, width, channels))) % 65536).astype(np.uint16)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("kinds", [(0,), (1,), (2,), (3,), (4,), (4, 3, 2, 1, 0), (3, 1, 4)])
@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3), (5, 7), (16, 17)])
def test_every_filter_and_order(size: tuple[int, int], interlaced: bool, kinds: tuple[int, ...], channels: int) -> None:
    pixels = deep(*size, channels)
    data = png(pixels, kinds, interlaced)
    found = decode(data)
    assert found.pixels.dtype == np.uint16
    assert (found.pixels == pixels).all()
    assert found.size == size
    assert header(data) == (size, channels, 16)


@pytest.mark.parametrize("interlaced", [False, True])
def test_grey_with_alpha_is_rgba(interlaced: bool) -> None:
    pixels = deep(11, 6, 2)
    data = png(pixels, (4, 3, 1, 2), interlaced)
    assert (decode(data).pixels == pixels[:, :, [0, 0, 0, 1]]).all()
    assert header(data) == ((11, 6), 4, 16)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("interlaced", [False, True])
def test_pillow_reads_what_the_tests_write(channels: int, interlaced: bool) -> None:
    for pixels in (deep(9, 10, channels).astype(np.uint8), deep(9, 10, 1)):
        found = np.asarray(Image.open(io.BytesIO(png(pixels, (4, 3, 2, 1), interlaced))))
        assert (found.reshape(pixels.shape) == pixels).all()


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_deep_pixels_agree_with_eight_bits(channels: int) -> None:
    pixels = deep(9, 10, channels).astype(np.uint8)
    extra = chunk(b"tRNS", struct.pack(">3H", *pixels[3, 4])) if channels == 3 else b""
    wide = chunk(b"tRNS", struct.pack(">3H", *(pixels[3, 4].astype(int) * 257))) if channels == 3 else b""
    shallow = decode(png(pixels, (4, 1), extra=extra)).pixels
    assert (decode(png(pixels.astype(np.uint16) * 257, (3, 2), extra=wide)).pixels == shallow.astype(int) * 257).all()
    assert shallow.shape[2] == 4


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(orientation: int, late: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    mark = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    pixels = deep(5, 7, 3)
    upright = decode(png(pixels.astype(np.uint8), **{"late" if late else "extra": mark})).pixels
    found = decode(png(pixels, **{"late" if late else "extra": mark}))
    assert (found.pixels.astype(np.uint8) == upright).all()
    assert found.size == upright.shape[:2]


GOOD = png(deep(12, 12, 3), (4, 3, 2, 1))


def test_cut_anywhere() -> None:
    for end in range(len(GOOD)):
        with pytest.raises(Unreadable, match="truncated|empty file|damaged|not an image"):
            decode(GOOD[:end])
    for end in range(GOOD.index(b"IDAT") + 8, len(GOOD)):
        with pytest.raises(Unreadable, match="truncated"):
            decode(GOOD[:end])


def test_a_changed_bit_anywhere_in_the_pixels() -> None:
    for place in range(GOOD.index(b"IDAT") + 4, len(GOOD) - 12, 7):
        data = bytearray(GOOD)
        data[place] ^= 0x10
        with pytest.raises(Unreadable, match="damaged|truncated"):
            decode(bytes(data))


def test_wrong_content_under_right_checksums() -> None:
    start = GOOD.index(b"IDAT") - 4
    lines = filtered([row.astype(">u2").tobytes() for row in deep(12, 12, 3)], 6, iter([0] * 12))
    for content, reason in (
        (zlib.compress(lines[:-1]), "truncated"),
        (zlib.compress(lines)[:-2], "truncated"),
        (zlib.compress(lines)[:-1] + b"x", "broken compression"),
        (b"no stream", "broken compression"),
        (zlib.compress(b"\7" + lines[1:]), "damaged"),
    ):
        with pytest.raises(Unreadable, match=reason):
            decode(GOOD[:start] + chunk(b"IDAT", content) + chunk(b"IEND", b""))
    head = GOOD[8:33]
    with pytest.raises(Unreadable, match="not one header"):
        decode(GOOD[:33] + head + GOOD[33:])
    for place, value in ((11, 2), (10, 1), (12, 2)):  # filter, compression, interlacing
        other = bytearray(GOOD[16:29])
        other[place] = value
        with pytest.raises(Unreadable, match="damaged"):
            decode(GOOD[:8] + chunk(b"IHDR", bytes(other)) + GOOD[33:])


def test_nothing_larger_than_announced_is_unpacked() -> None:
    bomb = zlib.compress(bytes(200_000_000), 9)
    start = GOOD.index(b"IDAT") - 4
    data = GOOD[:start] + chunk(b"IDAT", bomb) + chunk(b"IEND", b"")
    tracemalloc.start()
    decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_the_limit_of_pixels_is_half_as_high(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST_PIXELS", 200)
    with pytest.raises(Unreadable, match="12x12 pixels, more than 100"):
        decode(GOOD)
    assert decode(png(deep(12, 12, 3).astype(np.uint8))).pixels.shape == (12, 12, 3)


def test_deep_images_weigh_twice() -> None:
    weights: list[int] = []
    decode(GOOD, None, weights.append)
    assert weights == [2 * 144]


@pytest.mark.parametrize("channels", [3, 4])
def test_folders_of_deep_images(channels: int, tmp_path: Path, cache: Path) -> None:
    images = np.stack([deep(5, 7, channels) for _ in range(12)])
    folder = write_folder(tmp_path / "x", {f"{i:02}.png": png(x, (i % 5,)) for i, x in enumerate(images)})
    splits = open_data(folder)
    assert splits.train.spec.bits == 16
    assert contents(splits) == expected(images, None)
    assert inspect_data(folder).modes == {f"16-bit {'RGB' if channels == 3 else 'RGBA'}": 12}
    (folder / "x.png").write_bytes(encode(RGB[0]))
    with pytest.raises(DataError, match="mixes 8 and 16 bits"):
        open_data(folder)


def test_deep_colour_in_other_formats_is_refused_with_advice(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "x.tif", deep(5, 7, 3), photometric="rgb")
    for data, kind in (
        ((tmp_path / "x.tif").read_bytes(), "TIFF"),
        (b"P6 2 2 65535\n" + bytes(24), "PPM"),
    ):
        with pytest.raises(Unreadable, match=f"{kind} in colour of 16 bits a channel; save it as PNG"):
            decode(data)
