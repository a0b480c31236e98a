"""cardigan invert"""

from typing import Annotated

import typer

from cardigan.cli.common import DeviceOption, ImagesArgument, OutOption, RunArgument, SeedOption

SHORT = "Find the latents whose pictures are nearest to given images."


def run(
    model: RunArgument,
    images: ImagesArgument,
    out: OutOption,
    n: Annotated[
        int | None,
        typer.Option("-n", min=1, metavar="N", help="How many images, test images first; all by default."),
    ] = None,
    restarts: Annotated[int, typer.Option(min=1, metavar="N", help="Starts of each search; the best is kept.")] = 4,
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="The most steps of a search.")] = 1000,
    prior: Annotated[
        float, typer.Option(min=0.0, metavar="WEIGHT", help="Weight of a loss for what looks unusual to the model.")
    ] = 0.0,
    label: Annotated[
        str | None,
        typer.Option(metavar="CLASS", help="Class of the images, for a class-conditional model.", show_default=False),
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """Find the latents whose pictures are nearest to given images, and say how near that is.

    The folder gets the nearest picture to each image, comparison.png, latents.npy, and inversion.json with all errors.
    """
    from cardigan.apps.inversion import InversionOptions, invert_files
    from cardigan.apps.model import load

    options = InversionOptions(restarts=restarts, steps=steps, prior=prior, seed=seed)
    done = invert_files(load(model, device), images, out, options=options, images=n, label=label)
    for note in done.notes:
        typer.echo(f"note: {note}")
    typer.echo("\n".join(done.lines()))
    typer.echo(f"nearest pictures, latents and inversion.json in {out}; side by side in {out / 'comparison.png'}")
