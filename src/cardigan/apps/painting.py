"""Sentences to pictures, as files."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cardigan.apps.files import appearing, check_parents, check_place, save_sheet, steps_progress, write_example
from cardigan.apps.film import check_film, write_film
from cardigan.apps.model import CHUNK, Model
from cardigan.apps.painter import check_sentences
from cardigan.errors import DataError, RecipeError, RunError
from cardigan.networks.stackgan import doubled
from cardigan.training.pictures import draw

FILMS = (".gif", ".mp4", ".webp")
INDEX = "index.csv"
TOGETHER = 1 << 28
"""Numbers of all pictures in one file: as float32 they take 1 GiB of memory."""
Painter = Callable[[Sequence[str]], tuple[Tensor, ...]]
"""Sentences to pictures (sentences, n, channels, height, width), stage after stage."""
LONG, MANY = 60, 3
"""Characters of a sentence, and sentences, that a note shows."""


@dataclass(frozen=True)
class Painted:
    """What `paint_files` or `paint_way` did.

    Attributes:
        pictures: how many were painted.
        notes: what there is to know of the sentences and of the model.
    """

    pictures: int
    notes: tuple[str, ...]


def paint_files(
    model: Model,
    texts: Sequence[str],
    out: Path,
    n: int = 8,
    *,
    seed: int = 0,
    truncation: float | None = None,
    stages: bool = False,
) -> Painted:
    """Paint `n` pictures of each sentence.

    One picture with a row for each sentence where `out` ends as a picture does, an array (len(texts), n, channels, height,
    width) where in .npy, else a new folder of single files, with an index.csv of the columns file, caption and number.

    Args:
        stages: show above each picture, or write beside it, what Stage I has drawn.

    Raises:
        RunError: the model does not paint, has no stages to show, or `out` is there or cannot be written.
        DataError: there is no sentence, or one is empty.
    """
    refuse_place(out)
    if model.painting().stages < 2 and stages:
        raise RunError("this model paints in one stage: leave --stages out")
    if stages and out.suffix.lower() == ".npy":
        raise RecipeError("--stages shows pictures of two sizes: end --out in .png, or name a folder")
    check_sentences(texts)

    def paint(some: Sequence[str]) -> tuple[Tensor, ...]:
        if stages:
            return model.paint_in_stages(some, n, seed=seed, truncation=truncation)
        return (model.paint(some, n, seed=seed, truncation=truncation),)

    if out.suffix:
        refuse_many(model, len(texts) * n, out)
        pictures = paint(texts)
        write_together(model, pictures[-1], rows(pictures), n, out)
    else:
        write_folder(model, texts, out, paint, max(1, CHUNK // n))
    return Painted(len(texts) * n, (*reading_notes(model, texts), *stage_notes(model)))


def paint_way(
    model: Model,
    texts: Sequence[str],
    out: Path,
    steps: int = 9,
    n: int = 8,
    *,
    seed: int = 0,
    truncation: float | None = None,
    fps: int = 20,
) -> Painted:
    """Paint the way from one sentence to another: a film there and back, or a sheet with a row for each noise.

    A film where `out` ends in .gif, .mp4 or .webp, an array (steps, n, channels, height, width) where in .npy.

    Raises:
        RunError: the model does not paint, or `out` is there or cannot be written.
        RecipeError: there are not two sentences.
        DataError: one of them is empty.
    """
    if len(texts) != 2:
        raise RecipeError(f"--between goes from one sentence to another: give two, not {len(texts)}")
    refuse_place(out, film=True)
    model.painting()
    refuse_many(model, steps * n, out)
    pictures = model.paint_between(texts[0], texts[1], steps, n, seed=seed, truncation=truncation)
    ending = out.suffix.lower()
    if ending in FILMS:
        frames = [draw(images, model.spec, smallest=64) for images in pictures]
        write_film([*frames, *frames[-2:0:-1]], out, fps)
    else:
        write_together(model, pictures, pictures.transpose(0, 1).flatten(0, 1), steps, out)
    return Painted(steps * n, (*reading_notes(model, texts), *stage_notes(model)))


# ---- places ----------------------------------------------------------------------------------------------------------


def refuse_place(out: Path, film: bool = False) -> None:
    """Refuse what is there already, and what can become nothing that is painted.

    Raises:
        RunError: it is one of these.
    """
    if out.suffix and out.exists():
        raise RunError(f"{out} exists: choose another --out")
    if film and not out.suffix:
        raise RunError(f"cannot write a way to {out}: end it in .gif, .webp or .mp4 for a film, or in .png for a sheet")
    if film and out.suffix.lower() in FILMS:
        check_film(out)
        check_parents(out)
    else:
        check_place(out)


def refuse_many(model: Model, pictures: int, out: Path) -> None:
    if pictures * model.spec.dimensions > TOGETHER:
        raise RunError(f"{pictures:,} pictures are too many for {out}: give fewer, or name a folder")


# ---- sheets and folders ----------------------------------------------------------------------------------------------


def rows(pictures: Sequence[Tensor]) -> Tensor:
    """Pictures (sentences, n, channels, height, width) of each stage, row after row at the size of the last.

    Returns:
        (sentences * stages * n, channels, height, width): of each sentence first what the first stage has drawn.
    """
    height = pictures[-1].shape[-2]
    large = [doubled(each.flatten(0, 1), (height // each.shape[-2]).bit_length() - 1) for each in pictures]
    return torch.stack([each.unflatten(0, pictures[-1].shape[:2]) for each in large], 1).flatten(0, 2)


def write_together(model: Model, pictures: Tensor, laid: Tensor, columns: int, out: Path) -> None:
    """All pictures as an array where `out` ends in .npy, else in one, as they are laid in rows of so many."""
    with appearing(out) as draft:
        if out.suffix.lower() == ".npy":
            np.save(draft, pictures.numpy())
        else:
            save_sheet(draw(laid, model.spec, columns=columns), draft)


def write_folder(model: Model, texts: Sequence[str], out: Path, paint: Painter, at_once: int) -> None:
    """Single files, as many sentences at once as fit memory, and which file shows what."""
    with appearing(out) as draft, steps_progress("painting", len(texts)) as advance:
        draft.mkdir()
        with open(draft / INDEX, "w", encoding="utf-8", newline="") as file:
            index = csv.writer(file)
            index.writerow(("file", "caption", "number"))
            for first in range(0, len(texts), at_once):
                some = [tidy(text) for text in texts[first : first + at_once]]
                *before, last = paint(some)
                for place, (text, pictures) in enumerate(zip(some, last, strict=True)):
                    for number, picture in enumerate(pictures):
                        stem = draft / f"{first + place:06d}_{number:06d}"
                        index.writerow((write_example(picture, model.spec, stem, text).name, text, number))
                        for stage, small in enumerate(before, 1):
                            beside = stem.with_name(f"{stem.name}_stage{stage}")
                            write_example(small[place, number], model.spec, beside, text)
                    advance()


# ---- sentences -------------------------------------------------------------------------------------------------------


def tidy(text: str) -> str:
    """A sentence as it can be written anywhere: blanks are single, and what is no character becomes one."""
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").split())


def shown(text: str) -> str:
    """A sentence for people: on one line, and not too long for it."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in tidy(text))
    return text if len(text) <= LONG else f"{text[: LONG - 1]}…"


def read_sentences(place: str) -> list[str]:
    """The lines of a text file, or where it is "-" of standard input; those without a word are passed over.

    Raises:
        DataError: it cannot be read, is no text, or holds no sentence.
    """
    where = "standard input" if place == "-" else place
    try:
        data = sys.stdin.buffer.read() if place == "-" else Path(place).read_bytes()
        lines = data.decode("utf-8-sig").split("\n")
    except OSError as error:
        raise DataError(f"{where} cannot be read: {error.strerror}: name a text file with a sentence a line") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is no UTF-8 text: save it as a text file with a sentence a line") from error
    if not (texts := [line for line in lines if line.strip()]):
        raise DataError(f"{where} holds no sentence: write one a line")
    return texts


# ---- notes -----------------------------------------------------------------------------------------------------------


def reading_notes(model: Model, texts: Sequence[str]) -> Iterator[str]:
    """What the model's encoder does not know, and where it stops reading."""
    encoder = model.painting().text
    unread = [(text, strange) for text in texts if (strange := encoder.unread(text))]
    if unread:
        every = "".join(dict.fromkeys("".join(strange for _, strange in unread)))
        words = shown(unread[0][1] if len(unread) == 1 else every)
        yield f"the model's encoder does not know {words}, in {listed([text for text, _ in unread])}"
    if cut := [text for text in texts if encoder.cuts(text)]:
        yield f"the model's encoder reads {encoder.span}, and not the rest of {listed(cut)}"


def listed(texts: Sequence[str]) -> str:
    """A few sentences, and how many more there are."""
    rest = f" and {len(texts) - MANY} more" if len(texts) > MANY else ""
    return ", ".join(f"“{shown(text)}”" for text in texts[:MANY]) + rest


def stage_notes(model: Model) -> Iterator[str]:
    game = model.painting()
    if game.begun < game.stages:
        yield "Stage II has not begun to learn: these are Stage I's pictures, enlarged"
