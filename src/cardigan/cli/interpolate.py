"""cardigan interpolate"""

from typing import Annotated

import typer

from cardigan.cli.common import DeviceOption, OutOption, RunArgument, SeedOption, check_writable

SHORT = "Walk through the latent space, as an animated GIF."


def run(
    model: RunArgument,
    out: OutOption,
    frames: Annotated[int, typer.Option(min=2, metavar="N", help="Frames of the film.")] = 90,
    n: Annotated[int, typer.Option("-n", min=1, metavar="N", help="Walks shown side by side.")] = 16,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """Walk through the latent space and back, as an animated GIF."""
    check_writable(out)
    from cardigan.apps.interpolate import write_walk
    from cardigan.apps.model import load

    write_walk(load(model, device), out, frames=frames, walks=n, seed=seed)
    typer.echo(f"{frames} frames in {out}")
