"""cardigan translate"""

from typing import Annotated

import typer

from cardigan.cli.common import DeviceOption, OutOption, RunArgument

SHORT = "Turn images of one kind into images of another."


def run(
    model: RunArgument,
    images: Annotated[
        str,
        typer.Argument(
            metavar="IMAGES", help="A picture, a folder, an archive, or - for a list of paths.", show_default=False
        ),
    ],
    out: OutOption,
    to: Annotated[
        str | None,
        typer.Option(metavar="SIDE", help="The side to translate to, the second by default.", show_default=False),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="PIXELS", help="Larger images are taken in tiles of this size; 0: never.", show_default=False
        ),
    ] = None,
    overlap: Annotated[
        int | None,
        typer.Option(min=0, metavar="PIXELS", help="Of neighbouring tiles, a quarter by default.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the noise that some networks have.")] = 0,
    noise: Annotated[bool, typer.Option(help="Leave that noise on, as in training, or switch it off.")] = True,
    keep_format: Annotated[bool, typer.Option("--keep-format", help="Write JPEG for JPEG, not PNG for all.")] = False,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out what cannot be read, and say so.")
    ] = False,
    device: DeviceOption = "auto",
) -> None:
    """Turn images of one kind into images of another, each at its own size and under its own name.

    The model is one of pix2pix, cyclegan or unit. Images larger than a tile are translated in tiles that fade into each
    other; by default a tile has 512 pixels a side, or where the network sees the whole of an image, as many as it was
    trained with. Beside them a page shows all before and after: index.html.
    """
    from cardigan.apps.files import listed_on_stdin
    from cardigan.apps.model import load
    from cardigan.apps.translating.files import TranslateOptions, translate_files

    options = TranslateOptions(
        to=to,
        tile=tile,
        overlap=overlap,
        seed=seed,
        noise=noise,
        keep_format=keep_format,
        skip_unreadable=skip_unreadable,
    )
    loaded = load(model, device)
    lines = listed_on_stdin() if images == "-" else ()
    done = translate_files(loaded, images, out, options, lines)
    for note in done.notes:
        typer.echo(f"note: {note}")
    count = f"{done.images:,} {'image' if done.images == 1 else 'images'}"
    typer.echo(f"{count} from {done.sides[0]} to {done.sides[1]} in {out}; before and after in {out / 'index.html'}")
