"""cardigan sample"""

from typing import Annotated

import typer

from cardigan.cli.common import DeviceOption, OutOption, RunArgument, SeedOption


def run(
    model: RunArgument,
    out: OutOption,
    n: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 64,
    seed: SeedOption = 0,
    label: Annotated[
        list[str] | None, typer.Option(help="Class of a class-conditional model; repeat for several in turn.")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Generate images: one grid if --out is a .png, else a folder of single files."""
    from cardigan.apps.files import write_examples
    from cardigan.apps.model import load

    loaded = load(model, device)
    labels = [label[i % len(label)] for i in range(n)] if label else None
    written = write_examples(loaded.sample(n, seed=seed, labels=labels), loaded.spec, out)
    typer.echo(f"{n} samples in {written}")
