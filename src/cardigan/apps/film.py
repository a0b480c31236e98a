"""Pictures as a film: GIF, WebP and PNG by Pillow, MP4 by PyAV."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cardigan.apps.files import appearing
from cardigan.errors import RunError

FILMS = (".gif", ".webp", ".png", ".mp4")
QUALITY = {"crf": "18"}
"""x264's constant quality at which a loss is hardly seen."""
WHOLE = {"kmin": 0, "kmax": 1}
"""Every frame of a WebP by itself: of films that hold but their changes, those around a solid thing lose transparency."""
SHORTEST_GIF = 20
"""Milliseconds: what is shorter, browsers play at a tenth of the speed."""


def check_film(out: Path) -> None:
    """
    Raises:
        RunError: the file's ending is none of a film, or it needs a library that is not there.
    """
    ending = out.suffix.lower()
    if ending not in FILMS:
        raise RunError(f"cannot write a film to {out}: choose a name that ends in {', '.join(FILMS)}")
    if ending == ".mp4" and importlib.util.find_spec("av") is None:
        raise RunError("an MP4 is written by PyAV: pip install 'cardigan[video]', or end --out in .gif or .webp")


def write_film(pictures: Sequence[Image.Image], out: Path, fps: int = 20) -> None:
    """An endless film of pictures of one size, by the file's ending.

    WebP and PNG keep transparency; in GIF and MP4, which have none or half of it, pictures lie on white.

    Raises:
        RunError: the file cannot be written.
    """
    check_film(out)
    ending, duration = out.suffix.lower(), round(1000 / fps)
    if ending in (".gif", ".mp4"):
        pictures = [on_white(picture) for picture in pictures]
    if ending == ".gif":
        duration = max(SHORTEST_GIF, round(100 / fps) * 10)
    with appearing(out) as draft:
        if ending == ".mp4":
            draft.write_bytes(mp4(pictures, fps))
        else:
            whole: dict[str, Any] = WHOLE if ending == ".webp" and pictures[0].mode == "RGBA" else {}
            pictures[0].save(draft, save_all=True, append_images=pictures[1:], duration=duration, loop=0, **whole)


def on_white(picture: Image.Image) -> Image.Image:
    """A picture without transparency as it is, another as it looks on paper."""
    if picture.mode != "RGBA":
        return picture
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def mp4(pictures: Sequence[Image.Image], fps: int) -> bytes:
    """H.264 with colours at half the resolution (yuv420p), which every player reads.

    That takes even sides: odd ones get one white line more, on the right and below.
    """
    import av

    width, height = pictures[0].size
    stream = BytesIO()
    with av.open(stream, "w", format="mp4") as film:
        track = film.add_stream("libx264", rate=Fraction(fps), options=QUALITY)
        track.width, track.height, track.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        for picture in pictures:
            sheet = Image.new("RGB", (track.width, track.height), "white")
            sheet.paste(picture, (0, 0))
            film.mux(track.encode(av.VideoFrame.from_ndarray(np.asarray(sheet), "rgb24")))
        film.mux(track.encode())
    return stream.getvalue()
