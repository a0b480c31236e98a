"""cardigan interpolate"""

from typing import Annotated

import typer

from cardigan.cli.common import DeviceOption, OutOption, RunArgument, SeedOption


def run(
    model: RunArgument,
    out: OutOption,
    frames: Annotated[int, typer.Option(min=2, help="Frames of the film.")] = 90,
    n: Annotated[int, typer.Option("-n", min=1, help="Walks shown side by side.")] = 16,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
) -> None:
    """Walk through the latent space and back, as an animated GIF."""
    from cardigan.apps.interpolate import write_walk
    from cardigan.apps.model import load

    write_walk(load(model, device), out, frames=frames, walks=n, seed=seed)
    typer.echo(f"{frames} frames in {out}")
