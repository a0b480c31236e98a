"""cardigan lab"""

from pathlib import Path
from typing import Annotated

import typer

SHORT = "Measure the theory of GANs beside its exact answers."


def run(
    experiment: Annotated[
        str | None,
        typer.Argument(metavar="EXPERIMENT", help="One of those that are listed, or all.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the pictures.")] = Path("lab"),
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of everything that is drawn.")] = 0,
) -> None:
    """Play an experiment: a table of measured and exact numbers, a verdict and pictures. Without one, list them."""
    from cardigan.apps.lab import EXPERIMENTS

    if experiment is None:
        for name, shows in EXPERIMENTS.items():
            typer.echo(f"{name:<15} {shows}")
        typer.echo(f"{'all':<15} every one, in this order, on one page")
        return
    from cardigan.apps.lab.notebook import play, play_all

    if experiment == "all":
        entries = play_all(out, seed, typer.echo)
        typer.echo(f"\npage: {out / 'index.html'}")
    else:
        entries = [play(experiment, out, seed, typer.echo)]
        typer.echo("\n".join(entries[0].findings.lines()))
        for path in entries[0].pictures:
            typer.echo(f"picture: {path}")
    if not all(entry.findings.holds for entry in entries):
        raise typer.Exit(1)
