"""cardigan reconstruct"""

import typer

from cardigan.cli.common import DeviceOption, ImagesArgument, OutOption, RunArgument

SHORT = "Pass images through a model's code and back."


def run(
    model: RunArgument,
    images: ImagesArgument,
    out: OutOption,
    device: DeviceOption = "auto",
) -> None:
    """Pass images through a model's code and back, and say how close they come."""
    from cardigan.apps.files import check_place, reconstruct_files
    from cardigan.apps.model import load

    check_place(out, folder=True)
    count, psnr, notes = reconstruct_files(load(model, device), images, out)
    for note in notes:
        typer.echo(f"note: {note}")
    typer.echo(f"{count} reconstructions in {out}; mean PSNR {psnr:.2f} dB")
