"""PNG images of 16 bits a channel in colour or with alpha, of which Pillow keeps only 8 bits.

The filters of PNG treat each byte of a pixel by itself. So such an image falls apart into two of 8 bits a channel, one of
the first half of every pixel's bytes and one of the second, under the same filters; Pillow decodes these exactly.

Reference: PNG (Third Edition), W3C 2025, sections 5 (chunks), 8 (interlacing) and 9 (filters).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ROWS_AT_ONCE = 64
MODES = {2: "RGB", 4: "LA", 6: "RGBA"}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def read(data: bytes, size: tuple[int, int]) -> tuple[NDArray[np.uint16], bytes | None]:
    """The pixels (height, width, channels) of a PNG of 16 bits a channel, and its EXIF data.

    Args:
        data: the file.
        size: (width, height), found small enough before; nothing larger is unpacked.

    Raises:
        EOFError: the file is cut short.
        ValueError: it is damaged, or of another size or kind.
    """
    chunks: dict[bytes, list[memoryview]] = {}
    for name, content in _chunks(data):
        chunks.setdefault(name, []).append(content)
    headers = chunks.get(b"IHDR", [])
    if len(headers) != 1 or len(headers[0]) != 13:
        raise ValueError("not one header")
    width, height, depth, colour, compression, filtering, interlaced = struct.unpack(">IIBBBBB", headers[0])
    if (width, height) != size or depth != 16 or colour not in MODES or (compression, filtering) != (0, 0):
        raise ValueError("contradictory header")
    if interlaced > 1:
        raise ValueError("unknown interlacing")
    mode = MODES[colour]
    passes = list(_passes(width, height)) if interlaced else [(width, height)]
    lines = _inflated(chunks.get(b"IDAT", []), sum(rows * (1 + 2 * len(mode) * columns) for columns, rows in passes))
    pixels = np.empty((height, width, 2 * len(mode)), np.uint8)
    for half in (slice(0, len(mode)), slice(len(mode), None)):
        stream = _half(lines, passes, 2 * len(mode), half)
        pixels[:, :, half] = np.asarray(Image.frombytes(mode, size, stream, "zip", mode, interlaced))
    del lines, stream  # as large as the image each
    exif = chunks.get(b"eXIf")
    return pixels.view(">u2").astype(np.uint16), bytes(exif[0]) if exif else None


def write(pixels: NDArray[np.uint16], exif: bytes = b"", profile: bytes = b"") -> bytes:
    """A PNG file of pixels (height, width, channels) in RGB, RGBA or grey with alpha, every line by the filter "up".

    Args:
        exif: EXIF data that it is to carry.
        profile: its ICC profile.
    """
    height, width, channels = pixels.shape
    colour = next(code for code, mode in MODES.items() if len(mode) == channels)
    lines = np.ascontiguousarray(pixels, ">u2").view(np.uint8).reshape(height, -1)
    above = np.concatenate([np.zeros_like(lines[:1]), lines[:-1]])
    filtered = np.concatenate([np.full((height, 1), 2, np.uint8), lines - above], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    parts = [(b"IHDR", header)]
    if profile:
        parts.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)))
    if exif:
        parts.append((b"eXIf", exif.removeprefix(b"Exif\0\0")))
    parts += [(b"IDAT", zlib.compress(filtered.tobytes(), 6)), (b"IEND", b"")]
    return SIGNATURE + b"".join(_chunk(name, content) for name, content in parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The name and content of each chunk, up to and with the last one."""
    view, start, name = memoryview(data), len(SIGNATURE), b""
    while name != b"IEND":
        length = int.from_bytes(view[start : start + 4], "big")
        end = start + 12 + length
        if end > len(data):
            raise EOFError
        if zlib.crc32(view[start + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise ValueError("the checksum of a chunk is wrong")
        name = bytes(view[start + 4 : start + 8])
        yield name, view[start + 8 : end - 4]
        start = end


def _passes(width: int, height: int) -> Iterator[tuple[int, int]]:
    """(columns, rows) of the parts that an interlaced image is stored as; empty ones are not stored."""
    for left, top, right, down in ADAM7:
        columns, rows = -(-(width - left) // right), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            yield columns, rows


def _inflated(parts: list[memoryview], size: int) -> bytes:
    """Exactly so many bytes of a compressed stream."""
    inflate = zlib.decompressobj()
    try:
        content = inflate.decompress(b"".join(parts), size)
        more = inflate.decompress(inflate.unconsumed_tail, 1)  # the checksum is compared where the stream ends
    except zlib.error as error:
        raise ValueError("broken compression") from error
    if len(content) < size or not (inflate.eof or more):
        raise EOFError
    return content


def _half(lines: bytes, passes: list[tuple[int, int]], pixel: int, half: slice) -> bytes:
    """Filtered lines with a part of each pixel's bytes, as a stream that is stored and not compressed."""
    pack, stream, start = zlib.compressobj(0), [], 0
    for columns, rows in passes:
        whole = np.frombuffer(lines, np.uint8, rows * (1 + columns * pixel), start).reshape(rows, -1)
        for top in range(0, rows, ROWS_AT_ONCE):
            part = whole[top : top + ROWS_AT_ONCE]
            kept = part[:, 1:].reshape(len(part), columns, pixel)[:, :, half].reshape(len(part), -1)
            stream.append(pack.compress(np.concatenate([part[:, :1], kept], axis=1).tobytes()))
        start += whole.size
    return b"".join([*stream, pack.flush()])
