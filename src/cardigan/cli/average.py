"""cardigan average"""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from cardigan.cli.common import DeviceOption, JsonOption, check_writable

SHORT = "Choose the length of the weight average after training."


def run(
    run_: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run trained with --set average.snapshots=16 or so.", show_default=False),
    ],
    width: Annotated[
        float | None,
        typer.Option(metavar="W", help="Take the average of this relative width, without scores.", show_default=False),
    ] = None,
    widths: Annotated[
        str | None,
        typer.Option(metavar="W,W,...", help="Choose from these; by default from 0.02 to 0.25.", show_default=False),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(metavar="N", help="Average up to the newest snapshot within N training images."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="MODEL", help="A new model folder; by default RUN/model-average."),
    ] = None,
    deploy: Annotated[
        bool,
        typer.Option(
            "--deploy",
            help="Put it, if it is better, in the place of RUN/model; the former is kept as RUN/model-before.",
        ),
    ] = False,
    json: JsonOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Put weight averages of several lengths together from a run's snapshots, and keep the best as a model.

    A width is the standard deviation of what the average remembers, as a share of the training: 0.05 is the last tenth or
    so. The best is the one whose samples are closest to training images; test images are not looked at. A residual says
    how far an average that was put together is from the one of that width.
    """
    check_writable(json)
    from cardigan.apps.average import average
    from cardigan.apps.files import write_text

    done = average(run_, width, widths=widths, images=images, out=out, deploy=deploy, device=device)
    typer.echo(str(done))
    place = shlex.quote(str(run_ if done.former else done.folder))
    typer.echo(
        f"\nthe average of width {done.best.width:g} up to {done.images:,} images is in {done.folder}: "
        f"cardigan sample {place} --out samples.png"
    )
    if done.former:
        typer.echo(f"the former model is in {done.former}; the report is still of it")
    if json:
        write_text(json, done.to_json() + "\n")
