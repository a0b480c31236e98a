"""From pictures on one side to pictures on the other, as files, each at its own size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from pydantic import NonNegativeInt

from cardigan.apps.files import appearing, check_place, reading_progress, steps_progress
from cardigan.apps.model import Model
from cardigan.apps.translating.before_after import BEFORE, Shown, page, write_small
from cardigan.apps.translating.picture_files import FORMATS, About, about, write_classes, write_picture
from cardigan.apps.translating.way import Size, Way
from cardigan.config import Config
from cardigan.data import DataOptions
from cardigan.data.decode import MODES, SUFFIXES, Pixels, Unreadable, decode, prepare, quiet_pillow
from cardigan.data.gathering import LIST, gathered
from cardigan.data.order import derived_seed
from cardigan.data.palette import known_palette
from cardigan.data.reading import Reading, counted, mode_name, problems_in_words
from cardigan.data.sources import Example, Source, shortened
from cardigan.data.spec import Side
from cardigan.errors import DataError


class TranslateOptions(Config):
    """How pictures are translated.

    Attributes:
        to: the side to translate to; by default the second.
        tile: pixels of a side beyond which a picture is translated in tiles; 0 for none, None for what suits the network.
        overlap: pixels that neighbouring tiles have in common at least; by default a quarter of a tile.
        seed: of the noise of networks that have any; each picture's own is drawn from it and the picture's name.
        noise: False switches that off.
        keep_format: write the format that was read, where it can be, instead of PNG.
        skip_unreadable: leave out what cannot be read, and say so.
    """

    to: str | None = None
    tile: NonNegativeInt | None = None
    overlap: NonNegativeInt | None = None
    seed: NonNegativeInt = 0
    noise: bool = True
    keep_format: bool = False
    skip_unreadable: bool = False


@dataclass(frozen=True)
class Translated:
    """What `translate_files` did.

    Attributes:
        images: how many.
        sides: the names of the two, from and to.
        notes: what there is to know of the pictures.
    """

    images: int
    sides: tuple[str, str]
    notes: tuple[str, ...]


class Task(NamedTuple):
    """A picture to be translated, at the size it was found to have."""

    example: Example
    size: Size
    written: str


class Taken(NamedTuple):
    """A picture that was read: pixels as the model stores them, and what else its file says."""

    pixels: Pixels
    said: About


def translate_files(
    model: Model, source: str, out: Path, options: TranslateOptions | None = None, lines: Iterable[str] = ()
) -> Translated:
    """Translate pictures, each at its own size, and write them into a new folder beside a page of before and after.

    Names are kept: the path below the folder or archive, and the stem.

    Args:
        source: a picture, a folder, an archive, or "-" for the paths in `lines`.

    Raises:
        RunError: the model does not translate, or `out` cannot be written.
        RecipeError: it does not translate to that side, or not in such tiles.
        DataError: pictures cannot be read, hold a colour that is not in the palette, or would be written over each other.
    """
    options = options or TranslateOptions()
    way = Way(model, options.to, options.tile, options.overlap, options.noise)
    check_place(out, folder=True)
    with gathered(source, lines) as examples, quiet_pillow():
        names = written_names([example.name for example in examples], kept_formats(way.target, options))
        met = looked_at(examples, names, way.source)
        met.refuse("the list" if source == LIST else source, options.skip_unreadable)
        notes = (*met.notes(way), *way.notes([task.size for task in met.tasks]), *format_notes(met.tasks, options))
        with appearing(out) as draft:
            draft.mkdir()
            shown = work(way, met.tasks, options.seed, draft)
            maker = f"{model.config.recipe} after {model.config.images:,} images"
            text = page(f"{way.source.name} to {way.target.name}", (f"translated by {maker}", *notes), shown)
            (draft / "index.html").write_text(text, encoding="utf-8")
    return Translated(len(shown), (way.source.name, way.target.name), notes)


# ---- what is there ---------------------------------------------------------------------------------------------------


def kept_formats(target: Side, options: TranslateOptions) -> frozenset[str]:
    """Endings of files that are written in the format that was read; a JPEG would blur the classes of a label map."""
    return frozenset(FORMATS if options.keep_format and not target.palette else ())


def format_notes(tasks: Sequence[Task], options: TranslateOptions) -> Iterator[str]:
    """Which formats were to be kept, and are not."""
    endings = {PurePosixPath(task.example.name).suffix for task in tasks if task.written != task.example.name}
    if options.keep_format and endings:
        yield f"written as PNG: what was {shortened(sorted(ending or 'of no format' for ending in endings))}"


def written_names(names: Sequence[str], kept: Iterable[str]) -> dict[str, str]:
    """What the translation of each picture is called: the same, but for the ending where that is not kept.

    Raises:
        DataError: two would be called alike.
    """
    found: dict[str, str] = {}
    for name in names:
        written = written_name(name, kept)
        if written in found:
            raise DataError(
                f"{found[written]} and {name} would both be written to {written}: rename one, or take it out"
            )
        if written.startswith(f"{BEFORE}/"):
            raise DataError(f"{name} lies where the page of before and after keeps its pictures: take it out")
        found[written] = name
    return {name: written for written, name in found.items()}


def written_name(name: str, kept: Iterable[str]) -> str:
    suffix = PurePosixPath(name).suffix
    stem = name.removesuffix(suffix) if suffix.lower() in SUFFIXES else name
    return f"{stem}{suffix if suffix.lower() in kept else '.png'}"


@dataclass
class Met:
    """What was met when all pictures were looked at."""

    tasks: list[Task] = field(default_factory=list)
    modes: Counter[tuple[int, int]] = field(default_factory=Counter)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def refuse(self, source: str, skip: bool) -> None:
        """Raise a DataError where pictures cannot be read and are not to be skipped, or none are left."""
        bad, all_of_them = len(self.problems), len(self.problems) + len(self.tasks)
        words = problems_in_words(self.problems)
        if bad == all_of_them:
            raise DataError(f"cannot read {words if bad == 1 else f'any of {bad} images: {words}'}")
        if bad and not skip:
            many = f"{source}: {bad} of {all_of_them} images cannot be read: {words}"
            raise DataError(f"{many}; mend or remove them, or add --skip-unreadable")

    def notes(self, way: Way) -> Iterator[str]:
        """What was done to the pictures so that the model takes them, in words."""
        if self.problems:
            yield f"left out {counted(len(self.problems), 'image')} that cannot be read: {problems_in_words(self.problems)}"
        if way.source.palette:
            return
        wanted = way.source.channels
        if others := [mode_name(*mode) for mode in self.modes if mode[0] != wanted]:
            white = " and laid on white" if wanted < 4 and any(channels == 4 for channels, _ in self.modes) else ""
            yield f"images of mode {shortened(others)} were converted to {MODES[wanted]}{white}, which the model takes"
        if way.bits == 8 and any(bits == 16 for _, bits in self.modes):
            yield "images of 16 bits a channel have 8 now, as the model has learnt"


def looked_at(examples: Sequence[Example], names: dict[str, str], side: Side) -> Met:
    """Read every picture once, so that what is wrong is known before work begins."""
    met, count = Met(), len(examples)
    every = Reading(Source("", "", count, lambda: iter(examples)), DataOptions())
    with reading_progress() as progress:
        for number, one in enumerate(every, 1):
            name = one.example.name
            try:
                if one.pixels is None:
                    raise Unreadable(one.problem or "")
                stored(one.pixels, side)
                met.tasks.append(Task(one.example, (one.pixels.shape[0], one.pixels.shape[1]), names[name]))
                met.modes[one.pixels.shape[2], 8 * one.pixels.itemsize] += 1
            except Unreadable as problem:
                met.problems.append((name, str(problem)))
            if progress:
                progress(number, count)
    return met


def read(task: Task, side: Side) -> Taken:
    """A picture as the model stores it.

    Raises:
        DataError: it cannot be read any more.
    """
    try:
        data = task.example.load()
        pixels = decode(data).pixels if isinstance(data, bytes) else data
        kept = stored(pixels, side)
        if kept.shape[:2] != task.size:
            raise Unreadable("has changed on the way")
        return Taken(kept, about(data) if isinstance(data, bytes) else About())
    except Unreadable as problem:
        raise DataError(f"cannot read {task.example.name}: {problem}") from problem


def read_all(tasks: Sequence[Task], side: Side) -> list[Taken]:
    return [read(task, side) for task in tasks]


def stored(pixels: Pixels, side: Side) -> Pixels:
    """Pixels (height, width, channels) of a side: of a label map the number of the class, else the side's channels.

    Raises:
        Unreadable: a colour is not in the palette, or the channels cannot be converted.
    """
    if palette := known_palette(side):
        return palette.classes(pixels)[:, :, None]
    wanted = side.channels
    ready = prepare(pixels, DataOptions(channels=wanted if wanted in (1, 3, 4) else None))
    if ready.shape[2] != wanted:
        raise Unreadable(f"{ready.shape[2]} channels, and {side.name} has {wanted}")
    return ready


# ---- translation -----------------------------------------------------------------------------------------------------


def work(way: Way, tasks: Sequence[Task], seed: int, folder: Path) -> list[Shown]:
    """Translate and write all of them; while a batch is computed, the next is read and the one before it is written."""
    (folder / BEFORE).mkdir()
    numbers = {task.written: number for number, task in enumerate(tasks)}
    shown: dict[int, Shown] = {}

    def write_all(batch: list[Task], pictures: list[Taken], made: list[Pixels]) -> None:
        for task, before, after in zip(batch, pictures, made, strict=True):
            number = numbers[task.written]
            shown[number] = write(way, task, before, after, folder, number)

    total = sum(way.tiles_of(task.size) for task in tasks)
    with steps_progress("translating", total) as advance, ThreadPoolExecutor(2) as pool:
        writing: Future[None] | None = None
        for batch, pictures in ahead(pool, batches(way, tasks), way.source):
            seeds = [derived_seed(seed, "translate", task.example.name) for task in batch]
            made = way.translated([picture.pixels for picture in pictures], seeds, advance)
            if writing:
                writing.result()
            writing = pool.submit(write_all, batch, pictures, made)
        if writing:
            writing.result()
    return [shown[number] for number in range(len(tasks))]


def batches(way: Way, tasks: Sequence[Task]) -> list[list[Task]]:
    """Pictures of equal size together, as many as fit memory."""
    alike: dict[Size, list[Task]] = {}
    for task in tasks:
        alike.setdefault(task.size, []).append(task)
    found = []
    for size, together in alike.items():
        count = way.at_once(size[0] * size[1])
        found += [together[first : first + count] for first in range(0, len(together), count)]
    return found


def write(way: Way, task: Task, before: Taken, after: Pixels, folder: Path, number: int) -> Shown:
    """Write a translation, and a small picture of what there was."""
    path = folder / task.written
    path.parent.mkdir(parents=True, exist_ok=True)
    if way.target.palette:
        write_classes(after[:, :, 0], [colour for _, colour in way.target.palette], path, before.said)
    else:
        write_picture(after, path, before.said)
    seen, is_map = before.pixels, bool(way.source.palette)
    if is_map:
        seen = np.array([colour for _, colour in way.source.palette], np.uint8)[seen[:, :, 0]]
    small = write_small(seen, is_map, folder / BEFORE / f"{number:06d}")
    return Shown(task.example.name, f"{BEFORE}/{small}", task.written, task.size)


def ahead(pool: ThreadPoolExecutor, jobs: Iterable[list[Task]], side: Side) -> Iterator[tuple[list[Task], list[Taken]]]:
    """Each batch with its pictures, while those of the one after it are being read."""
    before: tuple[list[Task], Future[list[Taken]]] | None = None
    for job in jobs:
        started = pool.submit(read_all, job, side)
        if before:
            yield before[0], before[1].result()
        before = job, started
    if before:
        yield before[0], before[1].result()
