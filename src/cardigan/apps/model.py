"""A trained model, ready to use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cardigan.apps.painter import Painter
from cardigan.apps.truncation import chosen_as, truncated
from cardigan.apps.ways import spherical
from cardigan.data.masks import check_holes
from cardigan.data.palette import coded
from cardigan.data.spec import DataSpec
from cardigan.errors import DataError, RecipeError, RunError
from cardigan.evaluation.features import weights_digest
from cardigan.games import Encoding, Game, Generative, Painting, Translating
from cardigan.training.device import choose_device
from cardigan.training.model import ModelConfig, read_model
from cardigan.training.randomness import generator

if TYPE_CHECKING:
    from cardigan.apps.inpainting.completion import Completion, CompletionOptions
    from cardigan.apps.inversion import InversionOptions
    from cardigan.apps.search import Found

CHUNK = 64


class Model:
    """What a training has left, with the verbs it can do.

    >>> model = cardigan.load("runs/digits")            # doctest: +SKIP
    >>> model.sample(16, seed=1).shape                  # doctest: +SKIP
    torch.Size([16, 1, 8, 8])

    Attributes:
        config: where the model came from and what its networks are.
        spec: shape and kind of its examples.
    """

    def __init__(self, config: ModelConfig, game: Game, device: str = "auto") -> None:
        self.config, self.spec = config, config.spec
        self.device = choose_device(device)
        self.game = game
        for name in game.stored:
            getattr(game, name).to(self.device)

    @property
    def can_sample(self) -> bool:
        return isinstance(self.game, Generative)

    @property
    def can_encode(self) -> bool:
        return isinstance(self.game, Encoding)

    @property
    def can_translate(self) -> bool:
        return isinstance(self.game, Translating)

    @property
    def can_paint(self) -> bool:
        return isinstance(self.game, Painting)

    @property
    def digest(self) -> str:
        """Of the weights that decoding or encoding takes."""
        return weights_digest(
            {f"{n}.{k}": t for n in self.game.deployed for k, t in getattr(self.game, n).state_dict().items()}
        )

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        labels: Sequence[int | str] | None = None,
        start: int = 0,
        truncation: float | None = None,
    ) -> Tensor:
        """Generated examples start .. start + n - 1 of the endless sequence that `seed` names.

        Args:
            labels: one class (index or name) per example, for a class-conditional model; by default the classes in turn.
            truncation: the largest size of a latent number, which trades variety for fidelity (Brock et al. 2019).

        Returns:
            float32 of shape (n, channels, height, width), images in [-1, 1], on the CPU.

        Raises:
            RunError: where the model cannot sample.
            RecipeError: where a label is not one of its classes, or the truncation not positive.
        """
        return self.pick(range(start, start + n), seed=seed, labels=labels, truncation=truncation)

    @torch.no_grad()
    def pick(
        self,
        numbers: Sequence[int],
        *,
        seed: int = 0,
        labels: Sequence[int | str] | None = None,
        truncation: float | None = None,
    ) -> Tensor:
        """The samples of these numbers; the first of the sequence that `seed` names has the number 0. See `sample`."""
        game, classes = self.generative(), self.classes(labels, numbers)
        chunks, first = [], 0
        for latents in self.blocks(numbers, seed, truncation):
            of_class = None if classes is None else classes[first : first + len(latents)].to(self.device)
            chunks.append(self.finished(game.decode(latents.to(self.device), of_class)))
            first += len(latents)
        return torch.cat(chunks) if chunks else torch.empty(0, *self.spec.shape)

    def latents_of(self, numbers: Sequence[int], *, seed: int = 0, truncation: float | None = None) -> Tensor:
        """The latents (n, size) of the samples of these numbers."""
        empty = torch.empty(0, self.generative().latent.size)
        return torch.cat([empty, *self.blocks(numbers, seed, truncation)])

    def blocks(self, numbers: Sequence[int], seed: int, truncation: float | None) -> Iterator[Tensor]:
        """Latents of samples, those of neighbours together.

        They are drawn for whole blocks, so that an example does not depend on how many are asked for.
        """
        for block, together in groupby(numbers, lambda number: number // CHUNK):
            drawn = self.generative().draw_latents(CHUNK, generator(seed, "sample", block))
            yield self.within(drawn[[number % CHUNK for number in together]], truncation)

    def within(self, latents: Tensor, truncation: float | None) -> Tensor:
        if truncation is None:
            return latents
        game = self.generative()
        return chosen_as(latents, truncated(latents, truncation, game.latent), game.choices)

    @torch.no_grad()
    def decode(self, latents: Tensor, labels: Sequence[int | str] | None = None) -> Tensor:
        """Examples (n, channels, height, width) for latents (n, size)."""
        game, classes = self.generative(), self.classes(labels, range(len(latents)))
        parts = latents.split(CHUNK)
        of_class = [None] * len(parts) if classes is None else [part.to(self.device) for part in classes.split(CHUNK)]
        pairs = zip(parts, of_class, strict=True)
        return torch.cat([self.finished(game.decode(part.to(self.device), labels)) for part, labels in pairs])

    def finished(self, examples: Tensor) -> Tensor:
        """float32 on the CPU; images cut to [-1, 1], which generators with a linear output may leave."""
        examples = examples.float().cpu()
        return examples.clamp(-1.0, 1.0) if self.spec.kind == "images" else examples

    def latents(self, n: int, *, seed: int = 0, truncation: float | None = None) -> Tensor:
        """Latents (n, size) from the prior."""
        return self.within(self.generative().draw_latents(n, generator(seed, "latents")), truncation)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Codes (n, size) of images (n, channels, height, width) in [-1, 1]; a VAE's are its posterior means."""
        return torch.cat([self.encoding().encode(part.to(self.device)).float().cpu() for part in self.parts(images)])

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> Tensor:
        """Images of the same shape, passed through the code."""
        game = self.encoding()
        return torch.cat([game.reconstruct(part.to(self.device)).float().cpu() for part in self.parts(images)])

    @torch.no_grad()
    def translate(
        self, images: Tensor, *, to: str | None = None, seeds: Sequence[int] | None = None, noise: bool = True
    ) -> Tensor:
        """Images of one side as images of the other.

        Args:
            images: (n, channels, height, width) in [-1, 1] of the side to come from; of a label map the one channel
                holds the number of the class k as k / 127.5 - 1.
            to: the side to translate to; by default the second.
            seeds: one an image, of the noise that some networks have (pix2pix's dropout); by default 0, 1, 2 ...
            noise: False switches that off.

        Returns:
            float32 (n, side.inputs, height, width) on the CPU, in [-1, 1]; of a label map what the network makes, in
            which `cardigan.data.palette.classes_of` finds the classes.

        Raises:
            RunError: the model does not translate.
            RecipeError: it does not translate to that side.
        """
        game, side = self.translating(), self.side_index(to)
        source = game.two[1 - side]
        if images.dim() != 4 or images.shape[1] != source.channels:
            raise ValueError(f"images: expected shape (n, {source.channels}, height, width), not {tuple(images.shape)}")
        every = range(len(images)) if seeds is None else seeds
        if len(every) != len(images):
            raise ValueError(f"seeds: expected {len(images)}, one an image, not {len(every)}")
        made = []
        for start, part in zip(range(0, len(images), CHUNK), images.split(CHUNK), strict=True):
            # With channels last, the statistics of a flat image would be mostly rounding, which its norms enlarge.
            seen = coded(source, part.to(self.device)).contiguous()
            made.append(game.translate(seen, side, every[start : start + len(part)] if noise else None))
        return torch.cat(made).float().cpu() if made else torch.empty(0, game.two[side].inputs, *images.shape[2:])

    def side_index(self, to: str | None) -> int:
        """0 for the first side, 1 for the second.

        Raises:
            RecipeError: there is no way to it.
        """
        game = self.translating()
        names = [game.two[i].name for i in game.reached]
        if to is None:
            return game.reached[-1]
        if to not in names:
            raise RecipeError(f"this model does not translate to {to!r}: choose {' or '.join(names)}")
        return game.reached[names.index(to)]

    def translating(self) -> Translating:
        if not isinstance(self.game, Translating):
            raise RunError(
                f"a model of the recipe {self.config.recipe} does not translate: train with pix2pix, cyclegan or unit"
            )
        return self.game

    def paint(self, texts: Sequence[str], n: int = 1, *, seed: int = 0, truncation: float | None = None) -> Tensor:
        """Pictures of what sentences say.

        Picture k of every sentence has the noise of sample k of the sequence that `seed` names: change one word, and all
        else is as it was. It depends neither on `n` nor on the other sentences.

        Args:
            n: pictures of each sentence.
            truncation: the largest size of a latent number; the smaller, the more alike are a sentence's pictures.

        Returns:
            float32 (len(texts), n, channels, height, width) in [-1, 1], on the CPU.

        Raises:
            RunError: the model does not paint.
            DataError: there is no sentence, or one is empty.
            RecipeError: the truncation is not positive.
        """
        painter = self.painter()
        return painter.with_each(painter.read(texts), self.noises(n, seed, truncation))

    @torch.no_grad()
    def paint_in_stages(
        self, texts: Sequence[str], n: int = 1, *, seed: int = 0, truncation: float | None = None
    ) -> tuple[Tensor, ...]:
        """The pictures of `paint` as each stage leaves them, at its own size: (len(texts), n, channels, height, width).

        Those that `paint` gives are the last.
        """
        painter = self.painter()
        return painter.in_stages(painter.read(texts), self.noises(n, seed, truncation))

    def paint_between(
        self, start: str, end: str, steps: int = 9, n: int = 1, *, seed: int = 0, truncation: float | None = None
    ) -> Tensor:
        """Pictures on the way from one sentence to another, with the noise of `paint`.

        The vectors of sentences have one length, so the way is the great circle between them.

        Args:
            steps: at least 2; the first is `start`, the last `end`.

        Returns:
            float32 (steps, n, channels, height, width) in [-1, 1], on the CPU.

        Raises:
            CardiganError: as `paint`.
        """
        if steps < 2:
            raise ValueError(f"steps: expected at least 2, for the two sentences themselves, not {steps}")
        painter = self.painter()
        first, last = painter.read([start, end])
        way = spherical(first, last, torch.linspace(0, 1, steps)[:, None])
        return painter.with_each(way, self.noises(n, seed, truncation))

    def noises(self, n: int, seed: int, truncation: float | None) -> Tensor:
        """The latents (n, size) of the first samples."""
        if n < 1:
            raise ValueError(f"n: expected at least 1 picture of each sentence, not {n}")
        return self.latents_of(range(n), seed=seed, truncation=truncation)

    def painter(self) -> Painter:
        """What paints sentences by their vectors.

        Raises:
            RunError: the model does not paint.
        """
        return Painter(self.painting(), self.device, self.finished)

    def painting(self) -> Painting:
        if not isinstance(self.game, Painting):
            raise RunError(
                f"a model of the recipe {self.config.recipe} does not paint from sentences: train with stackgan"
            )
        return self.game

    def inpaint(
        self,
        images: Tensor,
        masks: Tensor,
        options: CompletionOptions | None = None,
        *,
        label: int | str | None = None,
        advance: Callable[[int], None] = lambda images: None,
    ) -> Completion:
        """Fill holes that the model was never trained for, by what it can generate (Yeh et al. 2017).

        Args:
            images: (n, channels, height, width) in [-1, 1]; what is under the holes has no influence.
            masks: bool, True where a pixel is missing: (height, width) for all, or (n, height, width).
            options: how the latents are looked for.
            label: the class of all images, for a class-conditional model.
            advance: called with the number of images of each part that is done.

        Raises:
            RunError: where the model cannot sample.
            DataError: where a mask is all hole or has none.
        """
        from cardigan.apps.inpainting.completion import CompletionOptions, complete

        game = self.generative()
        self.parts(images)  # refuses other shapes
        size = self.spec.shape[1:]
        if masks.shape not in (size, (len(images), *size)):
            fitting = f"images of {size[1]} x {size[0]}: give ({size[0]}, {size[1]}) or one for each image"
            raise DataError(f"masks of shape {tuple(masks.shape)} do not fit {fitting}")
        holes = masks.bool().expand(len(images), *size).unsqueeze(1)
        check_holes(holes)
        return complete(
            game, images, holes, options or CompletionOptions(), self.device, self.known_class(label), advance
        )

    def invert(
        self,
        images: Tensor,
        options: InversionOptions | None = None,
        *,
        label: int | str | None = None,
        advance: Callable[[int], None] = lambda images: None,
    ) -> Found:
        """The latents whose images are nearest to those given, and those images.

        What is least is the mean absolute error; the weights of the networks stay as they are.

        Args:
            images: (n, channels, height, width) in [-1, 1].
            options: how the latents are looked for.
            label: the class of all images, for a class-conditional model.
            advance: called with the number of images of each part that is done.

        Raises:
            RunError: where the model cannot sample.
            RecipeError: where a class-conditional model is not told one of its classes.
        """
        from cardigan.apps.inversion import InversionOptions, invert

        game = self.generative()
        self.parts(images)  # refuses other shapes
        return invert(game, images, options or InversionOptions(), self.device, self.known_class(label), advance)

    def known_class(self, label: int | str | None) -> Tensor | None:
        """The class of given images, int64 (1,), or None where the model knows none.

        Raises:
            RecipeError: where it has to be named, or is none of the model's.
        """
        if label is None and self.generative().conditional:
            raise RecipeError(
                f"this model is class-conditional: name the images' class, {', '.join(self.spec.classes)}"
            )
        chosen = None if label is None else self.classes([label], [0])
        return None if chosen is None else chosen.to(self.device)

    def parts(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images of the model's shape in parts that fit memory."""
        if images.dim() != 4 or tuple(images.shape[1:]) != self.spec.shape:
            raise ValueError(
                f"images: expected shape (n, {', '.join(map(str, self.spec.shape))}), not {tuple(images.shape)}"
            )
        return images.split(CHUNK)

    def generative(self) -> Generative:
        if not isinstance(self.game, Generative):
            raise RunError(
                f"a model of the recipe {self.config.recipe} cannot sample: it can only encode and reconstruct"
            )
        return self.game

    def encoding(self) -> Encoding:
        if not isinstance(self.game, Encoding):
            raise RunError(f"a model of the recipe {self.config.recipe} has no encoder: train an autoencoder or a vae")
        return self.game

    def classes(self, labels: Sequence[int | str] | None, numbers: Sequence[int]) -> Tensor | None:
        """The class of each example, int64 (n,), or None where the model knows none."""
        names = self.spec.classes
        if not self.generative().conditional:
            if labels is not None and self.can_paint:
                raise RecipeError(
                    "this model is told sentences, not classes: say what is to be seen to `cardigan paint`"
                )
            if labels is not None:
                raise RecipeError("this model is not class-conditional: train with --set game.conditional=true")
            return None
        if labels is None:
            return torch.tensor(numbers, dtype=torch.int64) % len(names)
        if len(labels) != len(numbers):
            raise ValueError(f"labels: expected {len(numbers)}, one per example, not {len(labels)}")
        return torch.tensor([self.class_index(label) for label in labels], dtype=torch.int64)

    def class_index(self, label: int | str) -> int:
        names = self.spec.classes
        if isinstance(label, str) and label in names:
            return names.index(label)
        if isinstance(label, Integral) and 0 <= int(label) < len(names):
            return int(label)
        raise RecipeError(f"there is no class {label!r}: choose one of {', '.join(names)}")


def load(run: str | Path, device: str = "auto") -> Model:
    """The model of a run folder, or of a model folder that was copied out of one.

    Raises:
        RunError: where there is no model, or it is damaged or foreign.
    """
    folder = Path(run)
    if not folder.exists():
        raise RunError(f"{folder} does not exist: give the folder that `cardigan train --out` made")
    if (folder / "model" / "config.json").is_file():
        folder = folder / "model"
    elif (folder / "run.toml").is_file():
        raise RunError(f"{folder} holds no finished model yet: go on with `cardigan train --resume --out {folder}`")
    config, game = read_model(folder)
    return Model(config, game, device)


class ModelSource:
    """A model's samples as a source of images to be judged.

    A class-conditional model is asked for each class as often as it occurs among its training images.
    """

    size = None

    def __init__(self, model: Model, seed: int = 0) -> None:
        self.model, self.seed = model, seed
        known = model.config.frequencies if model.generative().conditional else ()
        self.frequencies = torch.tensor(known, dtype=torch.float64)
        law = ", classes as often as in training" if len(known) else ""
        self.name = f"{model.config.recipe} after {model.config.images:,} images, seed {seed}{law}"

    @property
    def spec(self) -> DataSpec:
        return self.model.spec

    @property
    def digest(self) -> str:
        """Of the weights, as they are now."""
        return self.model.digest

    def images(self, start: int, count: int) -> Tensor:
        return self.model.sample(count, seed=self.seed, start=start, labels=self.labels(start, count))

    def labels(self, start: int, count: int) -> list[int] | None:
        """Classes of the examples start .. start + count - 1, drawn independently, in blocks as the latents are."""
        if not len(self.frequencies):
            return None
        first = start // CHUNK
        blocks = range(first, -(-(start + count) // CHUNK))
        drawn = [self.frequencies.multinomial(CHUNK, True, generator=generator(self.seed, "class", b)) for b in blocks]
        offset = start - first * CHUNK
        return torch.cat(drawn)[offset : offset + count].tolist() if drawn else []
