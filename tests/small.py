"""Small games on small data, for tests of what is common to all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from cardigan.data import Dataset, DataSpec, Splits
from cardigan.data.accounts import Accounts
from cardigan.data.sentences import sentences_of
from cardigan.data.sides import Pairs, Unpaired
from cardigan.data.spec import Side
from cardigan.networks.stackgan import StackedGenerator
from cardigan.text import CharEncoderConfig, TextConfig
from cardigan.training.recipe import Recipe, build_recipe, merge
from cardigan.training.run import RunFolder, RunRecord
from cardigan.training.trainer import Trainer

ADAM = {"name": "adam", "lr": 1e-3, "beta1": 0.5}
GENERATOR = {"name": "mlp", "widths": [24]}
DISCRIMINATOR = {"name": "mlp", "widths": [24]}
CONV = {"name": "dcgan", "width": 4}

GAMES: dict[str, dict[str, Any]] = {
    "autoencoder": {
        "game": {"name": "autoencoder", "code": 4, "encoder": DISCRIMINATOR, "decoder": GENERATOR, "corruption": 0.2},
        "optimiser": {"autoencoder": ADAM},
    },
    "context-encoder": {
        "game": {
            "name": "context-encoder",
            "mask": "pattern",
            "code": 4,
            "encoder": DISCRIMINATOR,
            "decoder": GENERATOR,
        },
        "optimiser": {"autoencoder": ADAM},
    },
    "vae": {
        "game": {"name": "vae", "latent": 4, "encoder": DISCRIMINATOR, "decoder": GENERATOR},
        "optimiser": {"autoencoder": {"name": "adagrad"}},
    },
    "gan": {
        "game": {
            "name": "gan",
            "objective": "relativistic",
            "conditional": True,
            "r1": {"start": 1.0, "end": 0.1},
            "r2": 1.0,
            "penalty_interval": 2,
            "latent": {"size": 8},
            "generator": CONV,
            "discriminator": {**CONV, "normalisation": "spectral"},
        },
        "optimiser": {"generator": {**ADAM, "lr": {"start": 1e-3, "end": 0}}, "discriminator": ADAM},
    },
    "progressive": {
        "game": {
            "name": "progressive",
            "latent": {"size": 8},
            "generator": {"width": 4, "max_width": 8},
            "critic": {"width": 4, "max_width": 8, "group": 4},
            "phase": 0.3,
            "batches": [32, 16],
            "rates": [1.0, 0.5],
        },
        "optimiser": {"generator": ADAM, "critic": ADAM},
    },
    "wgan": {
        "game": {"name": "wgan", "critic_steps": 2, "latent": {"size": 8}, "generator": CONV, "critic": CONV},
        "optimiser": {"generator": {"name": "rmsprop"}, "critic": {"name": "rmsprop"}},
    },
}

PATCH = {"width": 4, "receptive_field": 16}

TRANSLATORS: dict[str, dict[str, Any]] = {
    "pix2pix": {
        "game": {"name": "pix2pix", "generator": {"name": "unet", "width": 4, "depth": 2}, "discriminator": PATCH},
        "optimiser": {"generator": ADAM, "discriminator": ADAM},
    },
    "cyclegan": {
        "game": {
            "name": "cyclegan",
            "generator": {"name": "resnet", "width": 4, "blocks": 1},
            "discriminator": {**PATCH, "normalisation": "instance"},
            "identity": {"start": 0.5, "end": 0.1},
            "pool": 20,
        },
        "optimiser": {"generators": ADAM, "discriminators": ADAM},
    },
    "unit": {
        "game": {
            "name": "unit",
            "translator": {"width": 4, "blocks": 1},
            "discriminator": {"width": 4, "depth": 3},
        },
        "optimiser": {"translator": ADAM, "discriminator": ADAM},
    },
}
"""Games for data of two sides."""

PAINTERS: dict[str, dict[str, Any]] = {
    "stackgan": {
        "game": {
            "name": "stackgan",
            "enlarge": 2,
            "noise": 4,
            "generator": {"width": 4, "max_width": 8, "code": 4},
            "discriminator": {"width": 4, "text": 4},
        },
        "optimiser": {"generator": ADAM, "discriminator": ADAM},
    },
}
"""Games for images with sentences."""


def small_recipe(kind: str = "gan", /, **changes: Any) -> Recipe:
    about = (GAMES | TRANSLATORS | PAINTERS)[kind]
    table = {"recipe": f"small-{kind}", "batch": 16, "images": 160, "average": {"half_life": 64}, **about}
    return build_recipe(merge(table, changes))


def small_splits(channels: int = 1, side: int = 8, count: int = 96) -> Splits:
    """Soft blobs on black, in two classes by brightness."""
    spec = DataSpec(channels=channels, height=side, width=side, classes=("dim", "bright"))
    stream = torch.Generator().manual_seed(7)
    centres = torch.rand(count, 2, generator=stream) * side
    axis = torch.arange(side).float()
    rows, columns = (axis[None, :, None] - centres[:, :1, None]), (axis[None, None, :] - centres[:, 1:, None])
    labels = torch.arange(count) % 2
    peak = torch.where(labels == 1, 255.0, 128.0)[:, None, None]
    pixels = (
        (peak * torch.exp(-(rows.square() + columns.square()) / 4)).to(torch.uint8)[:, None].repeat(1, channels, 1, 1)
    )
    half = count * 2 // 3

    def split(name: str, part: slice) -> Dataset:
        return Dataset("blobs", name, spec, pixels[part].contiguous(), f"blobs-{name}-{count}", labels=labels[part])

    return Splits(split("train", slice(0, half)), split("test", slice(half, count)))


def small_sides(
    paired: bool = True, channels: tuple[int, int] = (2, 2), side: int = 8, labelled: bool = False
) -> Splits:
    """Soft blobs, and their negatives upside down."""
    blobs = small_splits(max(channels), side)
    sides = tuple(Side(name=name, channels=count) for name, count in zip(("a", "b"), channels, strict=True))
    spec = blobs.train.spec.model_copy(
        update={
            "channels": sum(channels),
            "classes": blobs.train.spec.classes if labelled else (),
            "sides": sides,
            "paired": paired,
        }
    )

    def split(name: str, whole: Dataset) -> Dataset:
        pixels = ((whole.images(torch.arange(len(whole))) + 1) * 127.5).round().to(torch.uint8)
        labels = whole.labels(torch.arange(len(whole))) if labelled else None
        views = pixels[:, : channels[0]], (255 - pixels.flip(2))[:, : channels[1]]
        a, b = (
            Dataset(
                "blobs",
                name,
                spec.model_copy(update={"channels": count, "sides": ()}),
                view,
                f"blobs-{name}-{i}",
                labels=labels,
            )
            for i, (count, view) in enumerate(zip(channels, views, strict=True))
        )
        return Pairs(a, b, spec) if paired else Unpaired(a, b, spec)

    return Splits(split("train", blobs.train), split("test", blobs.test))


def told_blobs(channels: int = 1, side: int = 16, count: int = 96) -> Splits:
    """Soft blobs, of each of which two sentences are told, those of its class; the vectors are random numbers."""
    blobs, encoder = small_splits(channels, side, count), CharEncoderConfig(dims=6, widths=(4, 4, 4))
    vectors = torch.randn(4, encoder.dims, generator=torch.Generator().manual_seed(8))
    with torch.random.fork_rng():
        torch.manual_seed(8)
        network = encoder.build()

    def split(whole: Dataset) -> Dataset:
        labels = whole.labels(torch.arange(len(whole)))
        told = [(f"a {name} blob", f"{name} light") for name in whole.spec.classes]
        return whole.described(sentences_of(told, things=labels, kinds=labels), encoder).embedded(vectors)

    return Splits(split(blobs.train), split(blobs.test), text=network)


def small_data(kind: str) -> Splits:
    """What a game of `GAMES`, `TRANSLATORS` or `PAINTERS` learns from."""
    if kind in PAINTERS:
        return told_blobs()
    return small_sides(kind == "pix2pix") if kind in TRANSLATORS else small_splits()


def small_trainer(
    folder: Path, kind: str = "gan", /, splits: Splits | None = None, device: str = "cpu", **changes: Any
) -> Trainer:
    splits = splits or small_data(kind)
    recipe = small_recipe(kind, **{"precision": "float32", **changes})
    run = RunFolder(folder)
    record = RunRecord(data="blobs", digest=splits.train.digest, spec=splits.train.spec, recipe=recipe)
    run.create(record)
    return Trainer(record, splits, run, device)


def settle(generator: StackedGenerator) -> StackedGenerator:
    """Give a young generator the statistics that a long training would, without which it draws next to nothing."""
    for module in generator.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.momentum = 1.0
    latents, texts = torch.randn(32, generator.latent), torch.randn(32, generator.sentences.shape[1])
    generator.train()
    with torch.no_grad():
        generator.drawn(latents, texts)
        if generator.doublings:
            generator.refined(latents, texts)
    return generator.eval()


def play(trainer: Trainer, rounds: int) -> Trainer:
    for _ in range(rounds):
        trainer.play_round()
    return trainer


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Everything that training changes: live weights, buffers and the average."""
    live = {f"live {key}": value for key, value in trainer.game.state_dict().items()}
    average = {f"average {key}": value for key, value in trainer.average.state_dict().items()}
    return {key: value.clone() for key, value in (live | average).items()}


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    different = [key for key in first if not torch.equal(first[key], second[key])]
    assert not different


SMALL_READER = CharEncoderConfig(dims=16, widths=(16, 16, 16), steps=120, batch=32, side=8)
COLOURS = {"red": 0, "green": 1, "blue": 2}
PLACES = {"left": (slice(0, 8), slice(0, 4)), "right": (slice(0, 8), slice(4, 8))}


def small_told(count: int = 96, text: TextConfig = SMALL_READER) -> Splits:
    """Halves of one of three colours beside halves of another, on noise, and two sentences of each, which tell both."""
    spec = DataSpec(channels=3, height=8, width=8)
    stream = torch.Generator().manual_seed(3)
    pixels = torch.randint(0, 60, (count, 3, 8, 8), generator=stream, dtype=torch.uint8)
    names = torch.randint(0, 3, (count, 2), generator=stream)
    told, true = [], []
    for image, (left, right) in zip(pixels, names.tolist(), strict=True):
        for place, colour in zip(PLACES.values(), (left, right), strict=True):
            image[colour][place] = 220
        a, b = (list(COLOURS)[colour] for colour in (left, right))
        true.append({"left": a, "right": b})
        told.append([f"{a} on the left, {b} on the right", f"the right is {b} and the left is {a}"])
    every, half = sentences_of(told), count * 2 // 3

    def split(name: str, part: slice) -> Dataset:
        plain = Dataset("halves", name, spec, pixels[part].contiguous(), f"halves-{name}-{count}")
        facts = true[part]
        accounts = Accounts(true=lambda i: facts[i], told=lambda i: [facts[i]] * 2)
        return plain.described(every.part(torch.arange(count)[part]), text).accounted(accounts)

    return Splits(split("train", slice(0, half)), split("test", slice(half, count)))
