"""A page of pictures before and after: an HTML file beside those it shows."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
from PIL import Image

from cardigan.apps.translating.picture_files import eight_bits
from cardigan.data import DataOptions
from cardigan.data.decode import Pixels, prepare

BEFORE = ".before"
"""The folder of small pictures of what there was; as it is hidden, nothing takes them for images."""
LONGEST = 384
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:80rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.6rem;margin-bottom:.2rem}.note{color:#666;font-size:.85rem;margin:.2rem 0}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(20rem,1fr));gap:1.2rem;margin-top:1.5rem}
figure{margin:0}figure div{display:grid;grid-template-columns:1fr 1fr;gap:2px}
img{width:100%;height:auto;background:#eee}.small{image-rendering:pixelated}
figcaption{color:#666;font-size:.85rem;overflow-wrap:anywhere}
"""
PIXELATED = 128


class Shown(NamedTuple):
    """A picture of the page.

    Attributes:
        name: of what there was.
        before, after: paths below the page's folder.
        size: (height, width).
    """

    name: str
    before: str
    after: str
    size: tuple[int, int]


def write_small(pixels: Pixels, is_map: bool, path: Path) -> str:
    """A small picture to be shown before another; of a label map, without mixing its colours. Returns its file's name."""
    shallow = eight_bits(pixels)
    if shallow.shape[2] not in (1, 3):
        shallow = prepare(shallow, DataOptions(channels=3)) if shallow.shape[2] == 4 else shallow[:, :, :1]
    picture = Image.fromarray(np.ascontiguousarray(shallow[:, :, 0] if shallow.shape[2] == 1 else shallow))
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.NEAREST if is_map else Image.Resampling.LANCZOS)
    name = f"{path.name}{'.png' if is_map else '.jpg'}"
    picture.save(path.with_name(name), quality=90)
    return name


def page(title: str, notes: Sequence[str], pictures: Sequence[Shown]) -> str:
    """The page as text; pictures are loaded when they come into view."""
    told = "".join(f'<p class="note">{html.escape(note)}</p>' for note in notes)
    name = html.escape(title)
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title><style>{STYLE}</style>'
    figures = "\n".join(map(figure, pictures))
    return f"{head}\n<h1>{name}</h1>{told}\n<main>\n{figures}\n</main></html>\n"


def figure(shown: Shown) -> str:
    height, width = shown.size
    small = ' class="small"' if max(shown.size) < PIXELATED else ""
    sides = "".join(
        f'<a href="{link(shown.after)}"><img{small} loading="lazy" width="{width}" height="{height}" '
        f'src="{link(path)}" alt="{when}"></a>'
        for when, path in (("before", shown.before), ("after", shown.after))
    )
    return f"<figure><div>{sides}</div><figcaption>{html.escape(shown.name)}</figcaption></figure>"


def link(path: str) -> str:
    return html.escape(quote(path))
