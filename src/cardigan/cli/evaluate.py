"""cardigan evaluate"""

from pathlib import Path
from typing import Annotated

import typer

from cardigan.cli.common import DeviceOption, SeedOption


def run(
    judged: Annotated[
        str, typer.Argument(metavar="RUN|IMAGES", help="A run folder, or images made by anything.", show_default=False)
    ],
    data: Annotated[
        str | None, typer.Option(help="The real images; a run's own data by default.", show_default=False)
    ] = None,
    metrics: Annotated[str | None, typer.Option(help="Comma-separated names; a sensible set by default.")] = None,
    samples: Annotated[int | None, typer.Option("-n", min=2, help="How many samples to judge.")] = None,
    features: Annotated[
        str, typer.Option(help="auto, classifier, random, or inception:FILE or dinov2:FOLDER with weights of your own.")
    ] = "auto",
    seed: SeedOption = 0,
    json: Annotated[Path | None, typer.Option(help="Write results and protocol to this file.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="How to read images: --set data.size=64", metavar="KEY=VALUE")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Measure how close generated images are to real ones, beside how close real ones are to each other."""
    from cardigan.apps.evaluate import evaluate

    evaluation = evaluate(
        judged,
        data,
        metrics=metrics.split(",") if metrics else None,
        samples=samples,
        features=features,
        seed=seed,
        settings=set_ or (),
        device=device,
    )
    if json:
        json.write_text(evaluation.to_json())
    typer.echo(str(evaluation))
