"""cardigan train"""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from cardigan.cli.common import DeviceOption

SHORT = "Train a model on images."


def run(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="A folder, zip, tar, idx, npz or parquet of images, or one of digits, stacked-digits, ring, grid, birds, "
            "streets, mnist, stacked-mnist, fashion-mnist, cifar10.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="RUN", help="The run folder to make.", show_default=False)
    ] = ...,  # type: ignore[assignment]
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", "-r", metavar="NAME", help="A recipe's name or TOML file; by default it is fitted."),
    ] = None,
    images: Annotated[int | None, typer.Option(min=1, metavar="N", help="Train for so many images in all.")] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.01, metavar="M", help="Train for about so many minutes; with --resume, so many more."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a recipe key: --set game.latent.size=32", metavar="KEY=VALUE"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, if there is one.")] = False,
    evaluate: Annotated[bool, typer.Option(help="Measure the trained model on the test images.")] = True,
    device: DeviceOption = "auto",
) -> None:
    """Train a model on images and leave pictures, numbers and the model in a run folder."""
    from cardigan.apps.train import train

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
    except KeyboardInterrupt:
        typer.echo(f"\n{farewell(out, device, evaluate)}")
        raise typer.Exit(130) from None
    if result.evaluation:
        typer.echo(f"\n{result.evaluation}")
    typer.echo(f"\ntraining: {result.verdict}\nreport:   {out / 'report.html'}\nsamples:  {out / 'samples.png'}")


def farewell(out: Path, device: str, evaluate: bool) -> str:
    """What an interrupted training has left, and the command that goes on with it."""
    if not any(out.glob("checkpoints/*.pt")):
        return "stopped before the training began: nothing to go on with"
    words = ["cardigan", "train", "--resume", "--out", str(out)]
    words += [] if device == "auto" else ["--device", device]
    words += [] if evaluate else ["--no-evaluate"]
    return f"stopped and saved; go on with: {shlex.join(words)}"
