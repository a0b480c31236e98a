"""cardigan data"""

from pathlib import Path
from typing import Annotated

import typer


def run(
    source: Annotated[str, typer.Argument(metavar="DATA", help="The images to look at.", show_default=False)],
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="How to read them: --set data.size=64", metavar="KEY=VALUE")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the findings to this file.")] = None,
) -> None:
    """Say what images are there and what is wrong with them."""
    from cardigan.data import inspect_data
    from cardigan.training.recipe import data_options, parse_settings

    inspection = inspect_data(source, data_options(parse_settings(set_ or ()).get("data", {})))
    for line in inspection.lines():
        typer.echo(line)
    if json:
        json.write_text(inspection.to_json())
