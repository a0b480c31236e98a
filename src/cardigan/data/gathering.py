"""Pictures to be worked on one by one: all that a file, a folder, an archive or a list holds, each under its name.

What is learnt from is opened elsewhere, by splits and classes; here nothing is sorted, left out or resized.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from cardigan.data.archives import file_reader
from cardigan.data.decode import SUFFIXES
from cardigan.data.formats import members_of, open_source
from cardigan.data.opening import NAMES, existing
from cardigan.data.sources import Example, escapes, hidden, printable, refusing
from cardigan.errors import DataError

LIST = "-"
"""The source that is a list of paths."""


@contextmanager
def gathered(source: str, lines: Iterable[str] = ()) -> Iterator[list[Example]]:
    """All pictures of a source, which can be read until the context ends; they have no class and no split.

    A folder's and an archive's have their path below it as a name, the one of a file the file's, those of an array file
    its name and a number. A name never leads out of the folder that it is put in.

    Args:
        source: a path, or "-" for a list of them.
        lines: that list, a path a line; empty lines are passed over.

    Raises:
        DataError: there is none, or the source is nothing that holds pictures.
    """
    with ExitStack() as stack:
        if source == LIST:
            examples = [listed(Path(line)) for line in lines if line.strip()]
        elif source in NAMES and not os.path.exists(source):
            raise DataError(
                f"{source} goes by a name: give a picture, a folder or an archive of pictures, or - for a list"
            )
        else:
            examples = found(existing(source), stack)
        if not examples:
            raise DataError(f"{'the list' if source == LIST else source} names no pictures")
        yield [within(example) for example in examples]


def found(path: Path, stack: ExitStack) -> list[Example]:
    """The pictures of a path, in its own order."""
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        return [Example(printable(path.name), file_reader(path))]
    pictures = [
        Example(member.name, refusing(member.bad) if member.bad else member.load)
        for member in members_of(path, stack) or ()
        if member.bad or (PurePosixPath(member.path).suffix.lower() in SUFFIXES and not hidden(member.path))
    ]
    return pictures or list(stack.enter_context(open_source(path)).examples())


def listed(path: Path) -> Example:
    """A file of a list: its name is its path from here, or its last part where it lies elsewhere."""
    whole, here = Path(os.path.abspath(path)), Path.cwd()
    name = whole.relative_to(here).as_posix() if whole.is_relative_to(here) else whole.name
    return Example(printable(name), file_reader(path))


def within(example: Example) -> Example:
    """The example by itself, under a name that stays where it is put."""
    name = str(PurePosixPath(example.name))
    load = refusing("its path leads out of the folder") if escapes(name) else example.load
    return replace(example, name=name, load=load, split=None, label=None)
