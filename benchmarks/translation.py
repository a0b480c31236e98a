"""Translations after as many images, measured on test images: what each term, network and patch of the papers is worth.

Four tables: "losses", "networks" and "patches" are label maps to street photographs (CamVid, 128 x 128); "streets" is day to
night of the drawn world (32 x 32), learnt without pairs and measured against the true night.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cardigan.apps.translating.scores import translation_results
from common import Job, Results, Row, by_label, calibrated, experiment, model_of, options, play, spread, table

SCORES = ("psnr", "ssim", "colours", "segmentation", "fd")
NARROW_UNET = "game.generator={name='unet', width=16, max_width=128}"
NARROW_PATCH = "game.discriminator={name='patch', width=16, max_width=128}"
CAMVID = (
    "data.pairing=paired",
    "data.sides=['labels', 'images']",
    "data.label_maps=['labels']",
    "data.size=128",
    NARROW_UNET,
    NARROW_PATCH,
)
DAY_TO_NIGHT = ("data.sides=['day', 'night']", "data.size=32")
RESIDUAL = (
    "game.generator={name='resnet', width=16, blocks=4}",
    "game.discriminator={name='patch', width=16, max_width=128, receptive_field=16, normalisation='instance'}",
)
CYCLE = ("data.pairing=unpaired", *DAY_TO_NIGHT, *RESIDUAL)
COUPLED = (
    "data.pairing=unpaired",
    *DAY_TO_NIGHT,
    "game.translator={width=16}",
    "game.discriminator={width=16, max_width=128, depth=3}",
)
L1, GAN = "game.adversarial=0", ("game.l1=0", "game.conditional=false")


@dataclass(frozen=True)
class Comparison:
    """Rows of a table.

    Attributes:
        systems: recipe and settings of each row.
        shown: the metrics, and how many digits of each.
        images: that each training is shown.
    """

    data: str
    images: int
    systems: dict[str, tuple[str, tuple[str, ...]]]
    shown: dict[str, int]


PHOTOGRAPHS = {
    "pixel accuracy to images": 3,
    "class accuracy to images": 3,
    "IoU to images": 3,
    "psnr to images": 2,
    "colour L to images": 3,
    "colour a to images": 3,
    "colour b to images": 3,
    "FD(random) to images": 3,
}


def of_camvid(rows: dict[str, tuple[str, ...]]) -> Comparison:
    systems = {label: ("pix2pix", (*CAMVID, *settings)) for label, settings in rows.items()}
    return Comparison("camvid_320x240", 1_500, systems, PHOTOGRAPHS)


TABLES = {
    "losses": of_camvid(
        {
            "L1": (L1,),
            "GAN": GAN,
            "cGAN": ("game.l1=0",),
            "L1 + cGAN": (),
        }
    ),
    "networks": of_camvid(
        {
            "encoder-decoder, L1": ("game.generator.skips=false", L1),
            "encoder-decoder, L1 + cGAN": ("game.generator.skips=false",),
            "U-Net, L1": (L1,),
            "U-Net, L1 + cGAN": (),
        }
    ),
    "patches": of_camvid(
        {f"{side} x {side}": (f"game.discriminator.receptive_field={side}",) for side in (1, 16, 70, 142)}
    ),
    "streets": Comparison(
        "streets",
        2_000,
        {
            "pix2pix (pairs)": ("pix2pix", ("data.pairing=paired", *DAY_TO_NIGHT, NARROW_UNET, NARROW_PATCH)),
            "CycleGAN": ("cyclegan", CYCLE),
            "cycle alone": ("cyclegan", (*CYCLE, L1)),
            "GAN alone": ("cyclegan", (*CYCLE, "game.cycle=0", "game.identity=0")),
            "GAN + forward cycle": ("cyclegan", (*CYCLE, "game.cycles=forward")),
            "UNIT": ("unit", COUPLED),
            "UNIT, nothing shared": (
                "unit",
                (*COUPLED, "game.translator.share=false", "game.discriminator.share=false"),
            ),
        },
        {"psnr to night": 2, "ssim to night": 3, "colour L to night": 3, "FD(random) to night": 3},
    ),
}


def measure(job: Job, results: Path) -> Row:
    splits = job.splits()
    trainer = calibrated(job, splits)
    seconds = play(trainer, 1, lambda _: None)
    with model_of(trainer) as model:
        found = translation_results(model, splits, 0, SCORES if splits.train.spec.sides[0].palette else None)
    scores = {result.metric: result.value for result in found.results}
    floors = {result.metric: result.floor for result in found.results if result.floor is not None}
    return {"images": trainer.images, "cpu_seconds": round(seconds, 1), "scores": scores, "floors": floors}


def summary(rows: list[Row], comparison: Comparison) -> str:
    lines = []
    for label, group in by_label(rows).items():
        cells = [
            spread([row["scores"].get(metric) for row in group], digits) for metric, digits in comparison.shown.items()
        ]
        lines.append([label, *cells, spread([row["cpu_seconds"] for row in group], 0)])
    floors = rows[0]["floors"]
    reals = [f"{floors[metric]:.{d}f}" if metric in floors else "" for metric, d in comparison.shown.items()]
    lines.append(["floor", *reals, ""])
    seeds = max(map(len, by_label(rows).values()))
    about = (
        f"Test images; mean ± s.d. over {seeds} seed(s). The floor is what the report calls so: a segmenter on the real "
        "photographs, other real images for distances and colours, and the input itself, unchanged, for PSNR and SSIM.\n\n"
    )
    return about + table(["", *comparison.shown, "CPU s"], lines)


def main() -> None:
    parser = options(__doc__, images=0, seeds=[0, 1, 2], recipes=[], data="")
    parser.add_argument("--table", choices=list(TABLES), default="losses")
    args = parser.parse_args()
    comparison = TABLES[args.table]
    data, images = args.data or comparison.data, args.images or comparison.images
    jobs = [
        Job(
            label,
            data,
            comparison.systems[label][0],
            seed,
            None,
            (*comparison.systems[label][1], *args.settings),
            images,
        )
        for seed in args.seeds
        for label in args.recipes or comparison.systems
    ]
    rows = experiment(__file__, args, jobs, measure)
    if rows:
        title = f"Translations after {images:,} images, {args.table}: {data}"
        Results(args.results, "translation").publish(title, summary(rows, comparison), args.table)


if __name__ == "__main__":
    main()
