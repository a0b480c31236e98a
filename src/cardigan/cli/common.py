"""What several commands share: arguments, and how a user's mistake ends."""

import errno
import functools
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from cardigan.errors import CardiganError, RecipeError, RunError

RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run folder, or the model folder inside one.", show_default=False)
]
ImagesArgument = Annotated[
    str,
    typer.Argument(metavar="IMAGES", help="A folder, archive, array file or built-in of images.", show_default=False),
]
SeedOption = Annotated[int, typer.Option(min=0, metavar="N", help="Which of the endless sequences of samples to take.")]
DeviceOption = Annotated[str, typer.Option(metavar="DEVICE", help="auto, cpu, cuda, cuda:1 or mps.")]
OutOption = Annotated[Path, typer.Option("--out", "-o", metavar="PATH", help="Where to write.", show_default=False)]
JsonOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Write all of it, as JSON, to this file.")]
ReadingOption = Annotated[
    list[str] | None, typer.Option("--set", help="How to read the images: --set data.size=64", metavar="KEY=VALUE")
]

NumbersOption = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBERS", help="These samples of the sequence that --seed names: 0-15,40.", show_default=False
    ),
]
TruncationOption = Annotated[
    float | None,
    typer.Option(metavar="T", help="Largest size of a latent number: less variety, more fidelity.", show_default=False),
]
MOST_NUMBERS = 10_000

SURROUNDINGS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}
"""What a file system may say no for, whoever asks: these are the user's to mend, other OSErrors are ours."""


def mended(command: Callable[..., None]) -> Callable[..., None]:
    """The command; a user's mistake ends it with one line and exit code 2, a mistake of ours with its traceback."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except CardiganError as error:
            raise refusal(str(error)) from None
        except BrokenPipeError:  # the reader of our output, `head` for example, has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit from None
        except OSError as error:
            if error.errno not in SURROUNDINGS:
                raise
            where = f"{error.filename}: " if error.filename else ""
            raise refusal(f"{where}{error.strerror}: make room or choose another place, and try again") from None
        except KeyboardInterrupt:
            typer.echo("\nstopped", err=True)
            raise typer.Exit(130) from None

    return run


def refusal(message: str) -> typer.Exit:
    """Say what is wrong in one line; raise what is returned."""
    typer.echo(f"cardigan: {' '.join(message.split())}", err=True)
    return typer.Exit(2)


def parse_numbers(text: str) -> list[int]:
    """The sample numbers that "3,17" or "0-15,40" names, in that order.

    Raises:
        RecipeError: it is nothing of that kind, or names too many.
    """
    numbers: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*([0-9]{1,12})\s*(?:-\s*([0-9]{1,12})\s*)?", part)
        if not found:
            raise RecipeError(f"--numbers {text!r} cannot be read: give sample numbers, such as 3,17 or 0-15,40")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise RecipeError(f"--numbers {part.strip()} runs backwards: give the lower number first")
        if len(numbers) + last - first >= MOST_NUMBERS:
            raise RecipeError(f"--numbers names more than {MOST_NUMBERS:,} samples: give fewer, or -n for the first")
        numbers += range(first, last + 1)
    return numbers


def check_writable(path: Path | None) -> None:
    """Refuse a file that cannot be written before the work is done that is to go into it.

    Raises:
        RunError: where it is a folder, or lies in none that can be written to.
    """
    if path is None:
        return
    if path.is_dir():
        raise RunError(f"cannot write {path}: it is a folder; name a file in it")
    if not path.parent.is_dir():
        raise RunError(f"cannot write {path}: there is no folder {path.parent}; make it first")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise RunError(f"cannot write {path}: permission denied; choose another place")
