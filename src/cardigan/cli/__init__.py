"""The command line: one file a command, and torch only where a command needs it."""

from __future__ import annotations

import os

# A waiting OpenMP thread that spins takes the core from the one that works; on shared cores passive waiting is
# 1.7 to 3.4 times faster. It has to be chosen before torch is imported, and a user's own choice stands.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import typer

from cardigan import __version__
from cardigan.cli import (
    average,
    data,
    evaluate,
    inpaint,
    interpolate,
    invert,
    lab,
    paint,
    recipes,
    reconstruct,
    sample,
    train,
    translate,
)
from cardigan.cli.common import mended

app = typer.Typer(
    name="cardigan",
    help="Train, sample and evaluate generative adversarial networks, and the autoencoders they are measured against.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS = (
    train,
    average,
    sample,
    evaluate,
    reconstruct,
    translate,
    paint,
    inpaint,
    invert,
    interpolate,
    recipes,
    data,
    lab,
)
for command in COMMANDS:
    name = command.__name__.rpartition(".")[2]
    app.command(name, short_help=command.SHORT, no_args_is_help=name not in ("recipes", "lab"))(mended(command.run))


def show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cardigan {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=show_version, is_eager=True, help="Show the version."),
) -> None:
    """Train, sample and evaluate generative adversarial networks, and the autoencoders they are measured against."""


def main() -> None:
    """Run the command line."""
    app(prog_name="cardigan")
