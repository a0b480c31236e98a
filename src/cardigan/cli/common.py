"""Arguments that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

RunArgument = Annotated[Path, typer.Argument(help="A run folder, or the model folder inside one.", show_default=False)]
SeedOption = Annotated[int, typer.Option(help="Which of the endless sequences of samples to take.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="Where to write.", show_default=False)]
