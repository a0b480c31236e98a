"""cardigan inpaint"""

from typing import Annotated

import typer

from cardigan.cli.common import (
    DeviceOption,
    ImagesArgument,
    JsonOption,
    OutOption,
    RunArgument,
    SeedOption,
    check_writable,
)

SHORT = "Fill holes in images by what a trained model can generate."


def run(
    model: RunArgument,
    images: ImagesArgument,
    out: OutOption,
    mask: Annotated[
        str,
        typer.Option(metavar="MASK", help="center, random, pattern, half, or a grey picture, white where a hole is."),
    ] = "center",
    n: Annotated[
        int | None,
        typer.Option("-n", min=1, metavar="N", help="How many images, test images first; all by default."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Compare with tv, biharmonic, nearest, network: comma-separated, or all."),
    ] = None,
    network_minutes: Annotated[
        float, typer.Option(min=0.01, metavar="M", help="How long the compared network is trained, once for a mask.")
    ] = 3.0,
    restarts: Annotated[int, typer.Option(min=1, metavar="N", help="Starts of each search; the best is kept.")] = 4,
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="The most steps of a search.")] = 1000,
    prior: Annotated[
        float | None, typer.Option(min=0.0, metavar="WEIGHT", help="Weight of the prior loss.", show_default=False)
    ] = None,
    weighting: Annotated[bool, typer.Option(help="Known pixels near the hole weigh more.")] = True,
    blending: Annotated[bool, typer.Option(help="Blend gradients into the image, or paste pixels.")] = True,
    label: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Class of the images, for a class-conditional model.")
    ] = None,
    seed: SeedOption = 0,
    json: JsonOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Fill holes in images by what a trained model can generate, and say how close that comes to what was there.

    The model needs no training for it: the latent is searched whose image fits around the hole (Yeh et al. 2017).
    """
    check_writable(json)
    from cardigan.apps.files import write_text
    from cardigan.apps.inpainting.completion import CompletionOptions
    from cardigan.apps.inpainting.files import inpaint_files
    from cardigan.apps.inpainting.rivals import RIVALS, context_encoder
    from cardigan.apps.model import load

    loaded = load(model, device)
    names = RIVALS if against == "all" else [name.strip() for name in (against or "").split(",") if name.strip()]
    options = CompletionOptions(
        restarts=restarts,
        steps=steps,
        seed=seed,
        weighted=weighting,
        blended=blending,
        **({} if prior is None else {"prior": prior}),
    )
    done = inpaint_files(
        loaded,
        images,
        mask,
        out,
        options=options,
        images=n,
        label=label,
        against=names,
        trained=lambda kind: context_encoder(model, loaded, kind, network_minutes),
    )
    for note in done.notes:
        typer.echo(f"note: {note}")
    typer.echo("\n".join(done.lines()))
    typer.echo(f"completed images in {out}; side by side in {out / 'comparison.png'}")
    if json:
        write_text(json, done.to_json() + "\n")
