"""cardigan data"""

from typing import Annotated

import typer

from cardigan.cli.common import JsonOption, ReadingOption, check_writable

SHORT = "Say what images are there and what is wrong with them."


def run(
    source: Annotated[str, typer.Argument(metavar="DATA", help="The images to look at.", show_default=False)],
    set_: ReadingOption = None,
    json: JsonOption = None,
) -> None:
    """Say what images are there and what is wrong with them."""
    check_writable(json)
    from cardigan.apps.files import reading_options, reading_progress, write_text
    from cardigan.data import inspect_data

    with reading_progress() as progress:
        inspection = inspect_data(source, reading_options(set_ or ()), progress=progress)
    for line in inspection.lines():
        typer.echo(line)
    if json:
        write_text(json, inspection.to_json() + "\n")
