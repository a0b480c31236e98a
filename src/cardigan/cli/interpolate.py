"""cardigan interpolate"""

from typing import Annotated

import typer

from cardigan.cli.common import (
    DeviceOption,
    NumbersOption,
    OutOption,
    RunArgument,
    SeedOption,
    TruncationOption,
    check_writable,
    parse_numbers,
)

SHORT = "Walk through the latent space, as a film, or lay a grid in it."
WALKS = 16


def run(
    model: RunArgument,
    out: OutOption,
    frames: Annotated[int, typer.Option(min=1, metavar="N", help="Frames of the film.")] = 90,
    fps: Annotated[int, typer.Option(min=1, max=60, metavar="N", help="Frames a second; a GIF has 50 at most.")] = 20,
    n: Annotated[
        int | None,
        typer.Option(
            "-n", min=1, metavar="N", help=f"Walks shown side by side, {WALKS} by default.", show_default=False
        ),
    ] = None,
    numbers: NumbersOption = None,
    grid: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="N",
            help="No film but N x N pictures between four samples, 0-3 or --numbers.",
            show_default=False,
        ),
    ] = None,
    seed: SeedOption = 0,
    truncation: TruncationOption = None,
    label: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Class, for a class-conditional model.", show_default=False)
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Walk through the latent space and back, as a film: .gif, .webp, .png, or .mp4 with pip install 'cardigan[video]'.

    With --numbers the walk goes between samples that `cardigan sample --numbers` shows. An MP4 has even sides; odd ones
    get a white line more.
    """
    from cardigan.errors import RecipeError

    if n and (numbers is not None or grid):
        raise RecipeError("-n counts walks between random latents: leave it out with --numbers and with --grid")
    chosen = parse_numbers(numbers) if numbers is not None else []
    from cardigan.apps.files import check_place
    from cardigan.apps.film import check_film
    from cardigan.apps.interpolate import write_plane, write_walk
    from cardigan.apps.model import load

    if grid is None:
        check_writable(out)
        check_film(out)
    else:
        check_place(out)
    loaded = load(model, device)
    common = {"seed": seed, "numbers": chosen, "label": label, "truncation": truncation}
    if grid is None:
        write_walk(loaded, out, frames=frames, walks=n or WALKS, fps=fps, **common)
        typer.echo(f"{frames} frames in {out}")
    else:
        write_plane(loaded, out, grid, **common)
        typer.echo(f"{grid} x {grid} pictures in {out}")
