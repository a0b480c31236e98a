"""cardigan sample"""

from typing import Annotated

import typer

from cardigan.cli.common import (
    DeviceOption,
    NumbersOption,
    OutOption,
    RunArgument,
    SeedOption,
    TruncationOption,
    parse_numbers,
)

SHORT = "Generate images with a trained model."
COUNT = 64


def run(
    model: RunArgument,
    out: OutOption,
    n: Annotated[
        int | None, typer.Option("-n", min=1, metavar="N", help=f"How many, {COUNT} by default.", show_default=False)
    ] = None,
    numbers: NumbersOption = None,
    seed: SeedOption = 0,
    truncation: TruncationOption = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS", help="Class of a class-conditional model; repeat for several in turn."),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Generate images: one grid if --out ends in .png, one array if in .npy, else a folder of single files.

    With --numbers each picture of the grid has its number below, under which it is found again.
    """
    from cardigan.apps.files import check_place, write_examples
    from cardigan.apps.model import load
    from cardigan.errors import RecipeError

    if n and numbers is not None:
        raise RecipeError("-n takes the first samples and --numbers those it names: give one of the two")
    chosen = None if numbers is None else parse_numbers(numbers)
    check_place(out)
    loaded = load(model, device)
    every = chosen or range(n or COUNT)
    labels = [label[number % len(label)] for number in every] if label else None
    examples = loaded.pick(every, seed=seed, labels=labels, truncation=truncation)
    typer.echo(f"{len(every)} samples in {write_examples(examples, loaded.spec, out, chosen)}")
