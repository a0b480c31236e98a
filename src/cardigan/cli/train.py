"""cardigan train"""

from pathlib import Path
from typing import Annotated

import typer

from cardigan.cli.common import DeviceOption


def run(
    data: Annotated[
        str | None,
        typer.Argument(
            help="A folder, zip, tar, idx, npz or parquet of images, or one of digits, stacked-digits, ring, grid, "
            "mnist, fashion-mnist, cifar10.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The run folder to make.", show_default=False)] = ...,  # type: ignore[assignment]
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", help="A recipe's name or TOML file; fitted to the data by default.")
    ] = None,
    images: Annotated[int | None, typer.Option(min=1, help="Train for so many images.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Train for about so many minutes.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Change a recipe key: --set game.latent.size=32", metavar="KEY=VALUE")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, if there is one.")] = False,
    evaluate: Annotated[bool, typer.Option(help="Measure the trained model on the test images.")] = True,
    device: DeviceOption = "auto",
) -> None:
    """Train a model on images and leave pictures, numbers and the model in a run folder."""
    from cardigan.apps.train import train
    from cardigan.training.session import Interrupted

    try:
        result = train(
            data,
            recipe=recipe,
            out=out,
            images=images,
            minutes=minutes,
            settings=set_ or (),
            resume=resume,
            device=device,
            evaluate=evaluate,
        )
    except Interrupted:
        typer.echo(f"\nstopped and saved; go on with: cardigan train {data or ''} --out {out} --resume")
        raise typer.Exit(130) from None
    if result.evaluation:
        typer.echo(f"\n{result.evaluation}")
    typer.echo(f"\ntraining: {result.verdict}\nreport:   {out / 'report.html'}\nsamples:  {out / 'samples.png'}")
