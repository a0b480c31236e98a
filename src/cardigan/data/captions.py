"""Captions: the sentences that lie beside images in captions.csv, and class names as sentences."""

from __future__ import annotations

import csv
import io
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import torch

from cardigan.data.archives import unwritable
from cardigan.data.dataset import Dataset, Splits
from cardigan.data.decode import Unreadable
from cardigan.data.formats import members_of
from cardigan.data.options import DataOptions
from cardigan.data.reading import counted
from cardigan.data.sentences import Sentences, sentences_of
from cardigan.data.sources import CAPTIONS as FILE
from cardigan.data.sources import SPLITS, Member, hidden, shortened
from cardigan.data.store import Pack
from cardigan.errors import DataError

FORMAT = f"{FILE} takes the columns file and caption, a row for each sentence"
TEMPLATES = ("{name}", "{a_name}", "a picture of {a_name}", "a photo of {a_name}")


@dataclass(frozen=True)
class Told:
    """The sentences of each stored example of a pack.

    Attributes:
        captions: in the order of the pack.
        kinds: what each example is, where that is known otherwise than by its first sentence; else empty.
    """

    captions: list[list[str]]
    kinds: list[str]


# ---- captions.csv ------------------------------------------------------------------------------------------------------


def read_captions(path: Path) -> tuple[dict[str, list[str]], set[str]]:
    """The sentences of every file that the captions.csv of a folder or archive name, and the files that there are.

    Names in it are relative to the folder that it lies in. Any folder may have one.

    Raises:
        DataError: there is none, or it is none.
    """
    with ExitStack() as stack:
        members = [member for member in members_of(path, stack) or () if not member.bad and not hidden(member.path)]
        tables = [member for member in members if PurePosixPath(member.path).name.lower() == FILE]
        if not tables:
            raise DataError(f"{path} holds no {FILE}: {FORMAT}; class names are used with --set data.text=classes")
        told: dict[str, list[str]] = {}
        for table in tables:
            for file, caption in rows_of(path, table):
                told.setdefault(file, []).append(caption)
        return told, {tidy(member.path) for member in members}


def rows_of(path: Path, table: Member) -> Iterator[tuple[str, str]]:
    """File and caption of every row."""
    where = f"{path / table.path}" if path.is_dir() else f"{table.path} in {path}"
    folder = tidy(table.path).rpartition("/")[0]
    try:
        text = table.load().decode("utf-8-sig")
    except (Unreadable, UnicodeDecodeError) as error:
        raise DataError(f"{where} cannot be read: {error}; save it as UTF-8 text") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        if lacking := {"file", "caption"} - set(reader.fieldnames or ()):
            raise DataError(f"{where} has no column {min(lacking)}: {FORMAT}")
        for row in reader:
            if not (file := (row["file"] or "").strip()):
                raise DataError(f"{where}, line {reader.line_num}, names no file: {FORMAT}")
            if not (words := (row["caption"] or "").split()):
                raise DataError(
                    f"{where}, line {reader.line_num}: the caption of {file} is empty: write one, or remove the row"
                )
            yield tidy(f"{folder}/{file}"), " ".join(words)
    except csv.Error as error:
        raise DataError(f"{where}, line {reader.line_num}, cannot be read: {error}; {FORMAT}") from error


def tidy(path: str) -> str:
    """One name for a file, however its path is written."""
    return "/".join(part for part in path.replace("\\", "/").split("/") if part not in ("", "."))


def matched(path: Path, names: Sequence[str]) -> list[list[str]]:
    """The sentences that captions.csv tells of the images of these names.

    Raises:
        DataError: it tells nothing of some images, or something of files that are not there.
    """
    told, files = read_captions(path)
    if absent := [name for name in told if name not in files]:
        raise DataError(
            f"{path}: {FILE} tells of {counted(len(absent), 'file')} not there: {shortened(absent)}; "
            f"add {'it' if len(absent) == 1 else 'them'}, or remove the rows"
        )
    if silent := [name for name in names if tidy(name) not in told]:
        raise DataError(
            f"{path}: {FILE} has no caption for {counted(len(silent), 'image')}: {shortened(silent)}; "
            "add a row for each, or remove the images"
        )
    return [told[tidy(name)] for name in names]


# ---- kept beside a pack ------------------------------------------------------------------------------------------------


def kept(pack: Pack, name: str, make: Callable[[], Told]) -> Told:
    """What is told of a pack's examples, from a file beside it, which is made where there is none.

    Raises:
        DataError: the cache cannot be written to.
    """
    path = pack.folder / f"{name}.json"
    try:
        found = Told(**json.loads(path.read_text("utf-8")))
        if len(found.captions) == pack.index.count:
            return found
    except (OSError, ValueError, TypeError):
        pass
    made = make()
    draft = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        draft.write_text(json.dumps({"captions": made.captions, "kinds": made.kinds}), "utf-8")
        os.replace(draft, path)
    except OSError as error:
        raise unwritable(error, pack.folder.parent) from error
    finally:
        draft.unlink(missing_ok=True)
    return made


# ---- to data sets ------------------------------------------------------------------------------------------------------


def with_captions(splits: Splits, pack: Pack, told: Told, options: DataOptions) -> Splits:
    """Both splits of a pack, and what is told of them.

    Images of one class are of one kind, else those of one kind as told, else those with the same first sentence.

    Raises:
        DataError: the same is told of all training images.
    """
    numbers = {kind: i for i, kind in enumerate(dict.fromkeys(told.kinds))}
    kinds = pack.labels
    if kinds is None and told.kinds:
        kinds = torch.tensor([numbers[kind] for kind in told.kinds])
    every = sentences_of(told.captions, kinds=kinds)
    train, test = (every.part(pack.rows(split)) for split in SPLITS)
    refuse_one_sentence(splits.train, train)
    return described(splits, train, test, options)


def with_class_names(splits: Splits, options: DataOptions) -> Splits:
    """Both splits, each image with the name of its class as its sentences.

    Raises:
        DataError: there are no classes.
    """
    both = splits.train, splits.test
    labels = [side.labels(torch.arange(len(side))) for side in both]
    names = both[0].spec.classes
    if len(names) < 2 or labels[0] is None or labels[1] is None:
        raise DataError(f"{both[0].name} has no classes, whose names could be its sentences: leave data.text out")
    told = [phrases(name) for name in names]
    train, test = (sentences_of(told, things=each, kinds=each) for each in labels if each is not None)
    return described(splits, train, test, options)


def phrases(name: str) -> list[str]:
    """Ways to name a class: "daisy", "a daisy", "a picture of a daisy", "a photo of a daisy"."""
    name = " ".join(name.replace("_", " ").split()) or "nothing"
    article = "an" if name[0].lower() in "aeiou" else "a"
    return [template.format(name=name, a_name=f"{article} {name}") for template in TEMPLATES]


def refuse_one_sentence(train: Dataset, sentences: Sentences) -> None:
    used = sentences.used()
    if len(used) < 2:
        raise DataError(
            f"{train.name}: {FILE} tells {sentences.table[int(used)]!r} of every training image, from which nothing can be "
            "learnt: write different captions, or leave data.text out"
        )


def described(splits: Splits, train: Sentences, test: Sentences, options: DataOptions) -> Splits:
    text = options.encoder
    return replace(splits, train=splits.train.described(train, text), test=splits.test.described(test, text))


# ---- looking at them ---------------------------------------------------------------------------------------------------


def survey(path: Path, names: Iterable[str]) -> list[str]:
    """What captions.csv tells, and what is wrong with it, a line each; nothing where there is none.

    Args:
        names: of the images that can be read.
    """
    try:
        told, files = read_captions(path)
    except DataError as error:
        return [] if f"holds no {FILE}" in str(error) else [str(error)]
    names = list(names)
    return list(told_lines({name: told.get(tidy(name), ()) for name in names}, [n for n in told if n not in files]))


def told_lines(told: Mapping[str, Sequence[str]], absent: Sequence[str] = ()) -> Iterator[str]:
    """How many sentences there are, a few of them, and what lacks its other half."""
    counts = sorted(len(captions) for captions in told.values() if captions)
    if counts:
        each = f"{counts[0]}" if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"
        different = len({caption for captions in told.values() for caption in captions})
        yield f"{sum(counts):,} of {counted(len(counts), 'image')}, {each} each, {different:,} of them different"
        spread = [captions[0] for captions in told.values() if captions]
        for example in [spread[0], spread[len(spread) // 2], spread[-1]][: len(spread)]:
            yield f"“{example}”"
    if silent := [name for name, captions in told.items() if not captions]:
        yield f"none for {counted(len(silent), 'image')}: {shortened(silent)}"
    if absent:
        yield f"for {counted(len(absent), 'file')} not there: {shortened(absent)}"
