"""Examples to files and back: whole files or none."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from cardigan.apps.model import Model
from cardigan.data import DataOptions, Dataset, Splits, inspect_data, open_data, png16
from cardigan.data.decode import header
from cardigan.data.opening import lone_picture, open_picture
from cardigan.data.reading import mode_name
from cardigan.data.spec import DataSpec
from cardigan.errors import DataError, RecipeError, RunError
from cardigan.evaluation import psnr
from cardigan.training.pictures import captioned, draw, save_picture, to_picture
from cardigan.training.recipe import data_options, merge, parse_settings

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
CHUNK = 64
SHOWN = 32
PART = 256
ROWS, HEADER = 16, 14


def check_place(out: Path, folder: bool = False) -> None:
    """Refuse what cannot become one picture, one array, or a folder of files, before any work is done.

    Raises:
        RunError: an ending that is none of ours, a folder that holds something, or a place that is no folder.
    """
    if out.suffix and not folder:
        if out.suffix.lower() not in (*PICTURES, ".npy"):
            raise RunError(f"cannot write {out}: end it in .png for a grid, in .npy for an array, or name a folder")
        if out.is_dir():
            raise RunError(f"cannot write {out}: it is a folder; name a file in it")
    elif out.is_file():
        raise RunError(f"cannot write into {out}: it is a file; name a folder, or a .png or .npy file")
    elif out.is_dir() and any(out.iterdir()):
        raise RunError(f"{out} exists and is not empty: choose another --out")
    check_parents(out)


def check_parents(out: Path) -> None:
    """
    Raises:
        RunError: something above `out` is no folder.
    """
    blocking = next((parent for parent in out.parents if parent.exists()), None)
    if blocking is not None and not blocking.is_dir():
        raise RunError(f"cannot write {out}: {blocking} is not a folder; choose another --out")


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """A path to write a file or folder at, which gets the name `out` when all of it is there, and vanishes otherwise.

    Raises:
        RunError: where it cannot be written.
    """
    draft = out.with_name(f".{out.stem}.{os.getpid()}{out.suffix}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield draft
        if draft.is_dir() and out.is_dir():
            out.rmdir()
        os.replace(draft, out)
    except OSError as error:
        raise RunError(f"cannot write {out}: {error.strerror or error}: make room or choose another place") from error
    finally:
        shutil.rmtree(draft) if draft.is_dir() else draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        RunError: where it cannot be written.
    """
    with appearing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_examples(examples: Tensor, spec: DataSpec, out: Path, numbers: Sequence[int] | None = None) -> Path:
    """One grid where `out` is a .png, one array where it is a .npy, else a new folder of single files.

    With `numbers`, one for each example, the grid has them below the pictures, and the files are named by them.

    Single files are PNG with the data's bits and channels; points, and pictures of other than 1, 3 or 4 channels, are NPY.

    Raises:
        RunError: where `out` cannot be written.
    """
    check_place(out)
    with appearing(out) as draft:
        if out.suffix == ".npy":
            np.save(draft, examples.numpy())
        elif out.suffix:
            picture = draw(examples, spec) if numbers is None else captioned(examples, spec, list(map(str, numbers)))
            save_sheet(picture, draft)
        else:
            draft.mkdir()
            for index, example in zip(numbers or range(len(examples)), examples, strict=True):
                write_example(example, spec, draft / f"{index:06d}")
    return out


def save_sheet(picture: Image.Image, path: Path) -> None:
    """A picture in the format that the file's ending says, whether or not that has transparency."""
    save_picture(picture.convert("RGB") if path.suffix.lower().startswith(".jp") else picture, path)


def write_example(example: Tensor, spec: DataSpec, stem: Path, said: str = "") -> Path:
    """One example at `stem` plus .png, or .npy; a PNG of 8 bits keeps what is `said` of it as its description."""
    if spec.kind == "points" or spec.channels not in (1, 3, 4):
        path = stem.with_name(f"{stem.name}.npy")
        np.save(path, example.numpy())
        return path
    path = stem.with_name(f"{stem.name}.png")
    if spec.bits == 16:
        levels = example.add(1.0).mul(32767.5).round().clamp(0, 65535).numpy().astype(np.uint16)
        if spec.channels == 1:
            Image.fromarray(levels[0]).save(path)
        else:
            path.write_bytes(png16.write(levels.transpose(1, 2, 0)))
    else:
        to_picture(example).save(path, pnginfo=described(said))
    return path


def described(said: str) -> PngInfo | None:
    """What a PNG says of its picture, None for nothing."""
    if not said:
        return None
    info = PngInfo()
    info.add_itxt("Description", said)
    return info


class Panel:
    """The first images, a row each, with what was done to them from left to right."""

    def __init__(self, spec: DataSpec) -> None:
        self.spec = spec
        self.columns: dict[str, Tensor] = {}

    def add(self, columns: Mapping[str, Tensor]) -> None:
        """More images (n, channels, height, width) of each column; those beyond the panel's rows are left out."""
        for name, images in columns.items():
            before = self.columns.get(name, images[:0])
            self.columns[name] = torch.cat([before, images[: ROWS - len(before)]])

    def drawn(self) -> Image.Image:
        rows = torch.stack(list(self.columns.values()), 1)
        sheet = draw(rows.flatten(0, 1), self.spec, columns=len(self.columns), smallest=64).convert("RGBA")
        headed = Image.new("RGBA", (sheet.width, sheet.height + HEADER), "white")
        headed.paste(sheet, (0, HEADER))
        pen = ImageDraw.Draw(headed)
        for number, name in enumerate(self.columns):
            pen.text((number * (sheet.width + 2) // len(self.columns), 1), name, fill="black")
        return headed


# ---- reading ---------------------------------------------------------------------------------------------------------


def reading_options(settings: Sequence[str] | dict[str, Any], base: DataOptions | None = None) -> DataOptions:
    """`base` with `data.…` settings laid over it.

    Raises:
        RecipeError: for a setting of anything else.
    """
    table = dict(settings) if isinstance(settings, dict) else parse_settings(settings)
    if other := sorted(table.keys() - {"data"}):
        raise RecipeError(f"--set {other[0]} changes nothing here: only keys under data do, such as --set data.size=64")
    old = {} if base is None else base.model_dump(mode="json", exclude_none=True)
    return data_options(merge({"data": old}, table)["data"])


@contextmanager
def reading_progress() -> Iterator[Callable[[int, int], None] | None]:
    """A bar for downloads and decoding that appears on a terminal, and only once there is something to wait for."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading images", visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


@contextmanager
def steps_progress(what: str, total: int) -> Iterator[Callable[..., None]]:
    """A bar on a terminal for work of that many steps; call what is yielded after each, or with how many it were."""
    if not sys.stderr.isatty():
        yield lambda steps=1: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda steps=1: bar.advance(task, steps)


def read(source: str | Path, options: DataOptions) -> Splits:
    """`open_data`, with a bar on a terminal."""
    with reading_progress() as progress:
        return open_data(source, options, progress=progress)


def parts(splits: Splits, wanted: int) -> Iterator[tuple[int, Dataset, Tensor]]:
    """The first images in parts, test images before training images: number of the first, split and indices."""
    start = 0
    for split in (splits.test, splits.train):
        for indices in torch.arange(min(len(split), wanted - start)).split(PART):
            if len(indices):
                yield start, split, indices
            start += len(indices)


def conversions(source: str, spec: DataSpec) -> tuple[str, ...]:
    """What had to be done to the images so that the model takes them, in words."""
    target = f"{spec.width}x{spec.height}"
    sizes, mode = kinds(source)
    notes = []
    if others := [size for size in sizes if size != target]:
        notes.append(f"images of {', '.join(others[:3])} were cut and resized to {target}, which the model makes")
    wanted = {1: "grey", 3: "RGB", 4: "RGBA"}.get(spec.channels, "")
    if wanted and mode and not mode.endswith(wanted):
        notes.append(f"images of mode {mode} were converted to {wanted}, which the model makes")
    return tuple(notes)


def kinds(source: str) -> tuple[list[str], str]:
    """Sizes "width x height" and the commonest mode of the images as they are; nothing where that is not known."""
    if picture := lone_picture(source):
        (height, width), channels, bits = header(picture.read_bytes())
        return [f"{width}x{height}"], mode_name(channels, bits)
    try:
        found = inspect_data(source)
    except DataError:
        return [], ""
    return list(found.sizes), next(iter(found.modes), "")


def listed_on_stdin() -> list[str]:
    """The lines of standard input, whatever bytes the names of files are made of."""
    return [line.removesuffix("\r") for line in os.fsdecode(sys.stdin.buffer.read()).split("\n")]


# ---- reconstruction --------------------------------------------------------------------------------------------------


def reconstruct_files(model: Model, source: str, out: Path) -> tuple[int, float, tuple[str, ...]]:
    """Write the reconstruction of every image of a source, and a before/after grid of the first.

    Returns:
        How many, their mean PSNR in dB, and what there is to know of the source.

    Raises:
        DataError: where the images cannot be read or have another shape than the model's.
        RunError: where the model has no encoder or `out` cannot be written.
    """
    model.encoding()
    check_place(out, folder=True)
    splits = open_as(source, model.spec)
    values: list[Tensor] = []
    with appearing(out) as draft:
        draft.mkdir()
        for split in filter(len, (splits.train, splits.test)):
            for indices in torch.arange(len(split)).split(CHUNK):
                images = split.images(indices)
                rebuilt = model.reconstruct(images)
                if not values:
                    pairs = torch.stack([images[:SHOWN], rebuilt[:SHOWN]], 1).flatten(0, 1)
                    save_picture(draw(pairs, model.spec, columns=8), draft / "before_after.png")
                for stem, example in zip(stems(split, indices), rebuilt, strict=True):
                    write_example(example, model.spec, draft / stem)
                values.append(psnr(rebuilt, images))
    every = torch.cat(values)
    return len(every), every.mean().item(), splits.notes


def open_as(source: str, spec: DataSpec) -> Splits:
    """Images brought to the shape of a model's."""
    channels = spec.channels if spec.channels in (1, 3, 4) else None
    wanted = DataOptions(size=(spec.height, spec.width), channels=channels)
    picture = lone_picture(source)
    if picture and spec.kind == "images":
        splits = open_picture(picture, wanted)
    else:
        splits = None
        with suppress(DataError):  # what cannot be converted may have the right shape as it is, or says better why not
            splits = read(source, wanted if spec.kind == "images" else DataOptions())
        splits = splits or read(source, DataOptions())
    if splits.train.spec.shape != spec.shape:
        mine, theirs = ("x".join(map(str, each)) for each in (splits.train.spec.shape, spec.shape))
        raise DataError(f"{source} holds examples of shape {mine}, the model takes {theirs}: give it others")
    return splits


def stems(split: Dataset, indices: Tensor) -> list[str]:
    """A file name for each example: its number, and its own name where it has one."""
    names = split.names(indices) or [""] * len(indices)
    numbers = [f"{split.split}_{index:06d}" for index in indices.tolist()]
    return ["_".join(filter(None, (number, Path(name).stem))) for number, name in zip(numbers, names, strict=True)]
