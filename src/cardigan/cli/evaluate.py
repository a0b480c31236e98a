"""cardigan evaluate"""

from typing import Annotated

import typer

from cardigan.cli.common import DeviceOption, JsonOption, ReadingOption, SeedOption, check_writable

SHORT = "Measure how close generated images are to real ones."


def run(
    judged: Annotated[
        str, typer.Argument(metavar="RUN|IMAGES", help="A run folder, or images made by anything.", show_default=False)
    ],
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="The real images; a run's own data by default.", show_default=False),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Comma-separated; by default all that suit the data. loglik (log p(x) by annealing) only by name.",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            "-n",
            min=10,
            metavar="N",
            help="How many samples to judge; of loglik, translations and pictures of sentences, test images.",
        ),
    ] = None,
    features: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="auto, classifier, random, inception:FILE or dinov2:FOLDER (your own weights).",
        ),
    ] = "auto",
    seed: SeedOption = 0,
    steps: Annotated[
        int | None,
        typer.Option(
            min=2, metavar="N", help="Temperatures of loglik's annealing, 1000 by default: time grows with them."
        ),
    ] = None,
    chains: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Annealed chains of loglik for each image; 16 by default.")
    ] = None,
    json: JsonOption = None,
    set_: ReadingOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Measure how close generated images are to real ones, beside how close real ones are to each other."""
    check_writable(json)
    from cardigan.apps.evaluate import evaluate
    from cardigan.apps.files import write_text

    evaluation = evaluate(
        judged,
        data,
        metrics=metrics,
        samples=samples,
        features=features,
        seed=seed,
        steps=steps,
        chains=chains,
        settings=set_ or (),
        device=device,
    )
    typer.echo(str(evaluation))
    if json:
        write_text(json, evaluation.to_json() + "\n")
