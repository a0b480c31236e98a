"""cardigan sample"""

from typing import Annotated

import typer

from cardigan.cli.common import DeviceOption, OutOption, RunArgument, SeedOption

SHORT = "Generate images with a trained model."


def run(
    model: RunArgument,
    out: OutOption,
    n: Annotated[int, typer.Option("-n", min=1, metavar="N", help="How many.")] = 64,
    seed: SeedOption = 0,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS", help="Class of a class-conditional model; repeat for several in turn."),
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Generate images: one grid if --out ends in .png, one array if in .npy, else a folder of single files."""
    from cardigan.apps.files import check_place, write_examples
    from cardigan.apps.model import load

    check_place(out)
    loaded = load(model, device)
    labels = [label[i % len(label)] for i in range(n)] if label else None
    written = write_examples(loaded.sample(n, seed=seed, labels=labels), loaded.spec, out)
    typer.echo(f"{n} samples in {written}")
