"""cardigan reconstruct"""

from typing import Annotated

import typer

from cardigan.cli.common import DeviceOption, OutOption, RunArgument


def run(
    model: RunArgument,
    images: Annotated[str, typer.Argument(help="Images: a folder, archive, array file or built-in.", show_default=False)],
    out: OutOption,
    device: DeviceOption = "auto",
) -> None:
    """Pass images through a model's code and back, and say how close they come."""
    from cardigan.apps.files import reconstruct_files
    from cardigan.apps.model import load

    count, psnr = reconstruct_files(load(model, device), images, out)
    typer.echo(f"{count} reconstructions in {out}; mean PSNR {psnr:.2f} dB")
