"""cardigan paint"""

from typing import Annotated

import typer

from cardigan.cli.common import DeviceOption, OutOption, RunArgument, SeedOption, TruncationOption

SHORT = "Paint what sentences say."


def run(
    model: RunArgument,
    out: OutOption,
    sentences: Annotated[
        list[str] | None, typer.Argument(metavar="SENTENCE", help="What is to be seen.", show_default=False)
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A text file of more, one a line, or - for standard input."),
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, metavar="N", help="Pictures of each sentence.")] = 8,
    seed: SeedOption = 0,
    truncation: TruncationOption = None,
    stages: Annotated[bool, typer.Option("--stages", help="Show what Stage I has drawn, above.")] = False,
    between: Annotated[
        int | None,
        typer.Option(min=2, metavar="N", help="Go from one sentence to another in N pictures.", show_default=False),
    ] = None,
    fps: Annotated[int, typer.Option(min=1, max=60, metavar="N", help="Of a film: pictures a second.")] = 20,
    device: DeviceOption = "auto",
) -> None:
    """Paint what sentences say, with a model of stackgan: a row for each sentence, a column for each noise.

    One grid if --out ends in .png, one array if in .npy, else a folder of single files and index.csv. The noise is the
    same for every sentence: change one word, and all else stays. With --between a .gif, .webp or .mp4 is a film there
    and back.
    """
    from cardigan.errors import DataError, RecipeError

    if between and stages:
        raise RecipeError("--between shows the way, and --stages how a picture is made: give one of the two")
    if not sentences and file is None:
        raise DataError("there is no sentence to paint: say what is to be seen, or give --file")
    from cardigan.apps.model import load
    from cardigan.apps.painting import paint_files, paint_way, read_sentences, refuse_place, shown
    from cardigan.data.reading import counted

    refuse_place(out, film=bool(between))
    texts = [*(sentences or ()), *([] if file is None else read_sentences(file))]
    loaded = load(model, device)
    if between:
        done = paint_way(loaded, texts, out, between, n, seed=seed, truncation=truncation, fps=fps)
    else:
        done = paint_files(loaded, texts, out, n, seed=seed, truncation=truncation, stages=stages)
    for note in done.notes:
        typer.echo(f"note: {note}")
    if out.suffix and not between:
        for number, text in enumerate(texts, 1):
            typer.echo(f"row {number}: {shown(text)}")
    typer.echo(f"{counted(done.pictures, 'picture')} in {out}")
