"""Walks and planes through the latent space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from cardigan.apps.files import write_examples
from cardigan.apps.film import check_film, write_film
from cardigan.apps.model import Model
from cardigan.apps.ways import closed_walk, plane
from cardigan.errors import RecipeError
from cardigan.games import Painting
from cardigan.training.pictures import draw

STOPS = 4
"""Latents that a walk between random ones passes."""
CORNERS = 4
ALONE = 128
"""Least side in pixels of a walk that is shown alone."""


def one_class(model: Model, numbers: Sequence[int], label: str | None) -> int | str | None:
    """The class in which samples of these numbers are joined, None where the model knows none.

    Raises:
        RecipeError: they are of several, between which there is nothing.
    """
    if label is not None or not model.generative().conditional:
        return label
    names = model.spec.classes
    shown = sorted({number % len(names) for number in numbers})
    if len(shown) > 1:
        several = ", ".join(names[index] for index in shown[:3])
        raise RecipeError(f"samples of classes {several} have no picture between them: choose one class with --label")
    return shown[0]


def said_of(model: Model, latents: Tensor) -> Tensor | None:
    """Vectors (..., dims) of the sentences that latents (..., size) choose, None where the model is told none.

    Between latents that choose different sentences there would be a jump. Between the vectors there is a way, the same as
    between normal latents, since they have one length.
    """
    if not isinstance(model.game, Painting):
        return None
    return model.game.remembered(latents.flatten(0, -2).to(model.device)).cpu().unflatten(0, latents.shape[:-1])


def decoded(model: Model, latents: Tensor, texts: Tensor | None, labels: Sequence[int | str] | None) -> Tensor:
    """Images of latents (n, size), each of its class or of its sentence where the model is told either."""
    return model.decode(latents, labels) if texts is None or labels else model.painter().painted(latents, texts)


def write_walk(
    model: Model,
    out: Path,
    *,
    frames: int = 90,
    walks: int = 16,
    seed: int = 0,
    numbers: Sequence[int] = (),
    label: str | None = None,
    truncation: float | None = None,
    fps: int = 20,
) -> None:
    """A closed walk as an animated GIF, WebP, PNG or as an MP4, by the file's ending.

    Args:
        walks: how many are shown side by side, each over random latents.
        numbers: samples of the sequence that `seed` names, between which one walk goes in their order, in place of those.
        label: the class, for a class-conditional model; by default that of the samples, or the classes in turn.

    Raises:
        RunError: where the model cannot sample or the file cannot be written.
        RecipeError: where the samples are too few, or of several classes.
    """
    check_film(out)
    latent = model.generative().latent
    if numbers:
        if len(numbers) < 2:
            raise RecipeError("a walk goes between samples: give the numbers of two at least")
        if frames < len(numbers):
            raise RecipeError(f"{frames} frames are too few to show {len(numbers)} samples: give one for each at least")
        chosen, walks = one_class(model, numbers, label), 1
        points = model.latents_of(numbers, seed=seed, truncation=truncation)[:, None]
    else:
        chosen = label
        points = model.latents(STOPS * walks, seed=seed, truncation=truncation).unflatten(0, (STOPS, walks))
    labels = None if chosen is None else [chosen] * walks
    smallest = ALONE if walks == 1 else 32
    path, told = closed_walk(points, frames, latent), said_of(model, points)
    texts = [None] * frames if told is None else closed_walk(told, frames, latent)
    pictures = (decoded(model, z, text, labels) for z, text in zip(path, texts, strict=True))
    write_film([draw(images, model.spec, smallest=smallest) for images in pictures], out, fps)


def write_plane(
    model: Model,
    out: Path,
    side: int,
    *,
    seed: int = 0,
    numbers: Sequence[int] = (),
    label: str | None = None,
    truncation: float | None = None,
) -> None:
    """`side` times `side` pictures between four samples, at the corners; as `write_examples` writes them.

    Args:
        numbers: of the samples at the top left, top right, bottom left and bottom right; by default the first four.

    Raises:
        RunError: where the model cannot sample or the file cannot be written.
        RecipeError: where the samples are not four, or of several classes.
    """
    numbers = numbers or range(CORNERS)
    if len(numbers) != CORNERS:
        raise RecipeError(f"a grid has {CORNERS} corners: give the numbers of as many samples, not {len(numbers)}")
    chosen = one_class(model, numbers, label)
    latent, corners = model.generative().latent, model.latents_of(numbers, seed=seed, truncation=truncation)
    latents, told = plane(corners, side, latent), said_of(model, corners)
    labels = None if chosen is None else [chosen] * len(latents)
    texts = None if told is None else plane(told, side, latent)
    write_examples(decoded(model, latents, texts, labels), model.spec, out)
