"""Images and sentences in one space: encoders of both learn from the training pairs which belong together.

The encoder of sentences goes on to be what a text-to-image game is told its sentences by. That of images stays behind, to
judge whether an image shows what a sentence says.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from cardigan.data.archives import unwritable
from cardigan.data.dataset import Dataset, Splits
from cardigan.data.order import Order, derived_seed
from cardigan.data.packing import digest
from cardigan.data.sentences import Sentences
from cardigan.data.store import FileRecord, PackFile, intact, mapped
from cardigan.errors import DataError
from cardigan.evaluation.features import chunk_size, in_chunks, weights_digest
from cardigan.evaluation.keeping import Record, keep, kept, place, rate
from cardigan.evaluation.retrieval import RPrecision, r_precision
from cardigan.networks.text import CharEncoder, PretrainedEncoder, TextConfig, TextEncoder, symbols, unit_mean_square
from cardigan.objectives.matching import MATCHING

VERSION = 1
WEIGHT_DECAY = 1e-2
SHARPEST = 100.0  # the largest factor of cosines in the contrastive loss
JUDGED = 1_000  # test images that an encoder is scored on
SENTENCES_AT_ONCE = 4_096

Progress = Callable[[int, int], None]


class ImageEncoder(nn.Module):
    """Convolutions that halve the sides of images, seen at no more than `side` pixels, until they are at most 4."""

    def __init__(self, shape: tuple[int, int, int], side: int, dims: int) -> None:
        super().__init__()
        channels, height, width = shape
        scale = min(1.0, side / max(height, width))
        self.seen = max(1, round(height * scale)), max(1, round(width * scale))
        layers: list[nn.Module] = []
        inputs, outputs, longest = channels, 32, max(self.seen)
        while not layers or longest > 4:
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
            inputs, outputs, longest = outputs, min(2 * outputs, 256), -(-longest // 2)
        height, width = self.seen
        for _ in range(len(layers) // 3):
            height, width = -(-height // 2), -(-width // 2)
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs * height * width, dims), nn.BatchNorm1d(dims))

    def forward(self, images: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch dims"]:
        """Vectors with the mean square 1 of images in [-1, 1]."""
        return unit_mean_square(self.body(F.adaptive_avg_pool2d(images, self.seen)))


class JointEmbedding(nn.Module):
    """An encoder of sentences and one of images whose vectors point the same way where they belong together.

    Attributes:
        text: sentences to vectors (n, dims).
        image: images (n, c, h, w) in [-1, 1] to vectors (n, dims).
    """

    def __init__(self, config: TextConfig, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.config = config
        self.text: TextEncoder = config.build()
        self.image = ImageEncoder(shape, config.side, config.dims)
        self.sharpness = nn.Parameter(torch.tensor(10.0).log())

    @torch.no_grad()
    def look(self, images: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch dims"]:
        """Vectors of any number of images, on the CPU."""
        device = self.sharpness.device
        return torch.cat([self.image(part.to(device)).float().cpu() for part in in_chunks(images)])

    def loss(self, images: Tensor, texts: Tensor, alike: Tensor) -> Tensor:
        """What is to be minimised, of vectors (n, dims) that belong together row by row; `alike` as in `objectives`."""
        scores = images @ texts.T
        if self.config.loss == "contrastive":
            scores = scores / self.config.dims * self.sharpness.exp().clamp(max=SHARPEST)
        else:
            scores = scores / sqrt(self.config.dims)
        return MATCHING[self.config.loss](scores, alike)


@dataclass(frozen=True)
class LearntPair:
    """Two encoders and how well they know images that they have not learnt from.

    Attributes:
        joint: the encoders, in evaluation mode.
        precision: R-precision on the test split; None where it has nothing to tell apart.
    """

    joint: JointEmbedding
    precision: RPrecision | None


# ---- learning ----------------------------------------------------------------------------------------------------------


def learn_pairs(
    splits: Splits,
    cache_folder: Path | None = None,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> LearntPair:
    """Train both encoders on the images and sentences of the training split, once: kept by data, settings and version.

    A pretrained encoder of sentences stays as it is; that of images learns to agree with it.

    Args:
        progress: called with (steps done, all steps).

    Raises:
        DataError: nothing is said of the images, or a pretrained encoder cannot be read.
    """
    train, config = splits.train, splits.train.spec.text
    if config is None or train.sentences is None:
        raise DataError(f"nothing is said of {train.name}: add --set data.text=captions or data.text=classes")
    joint = fresh(config, train.spec.shape)
    folder = None
    if cache_folder is not None:
        what = (*train.spec.shape, config.model_dump_json(), files_digest(joint.text))
        folder = place(cache_folder, VERSION, train.digest, config.seed, what)
        record = kept(folder, "sentences", joint, VERSION, train.digest)
        if record is not None:
            joint.eval().requires_grad_(False).to(device)
            return LearntPair(joint, held_out(joint, splits.test))
        joint = fresh(config, train.spec.shape)
    fit(joint.to(device), train, progress)
    precision = held_out(joint, splits.test)
    if folder:
        accuracy = precision.value if precision else 0.0
        record = Record(
            VERSION, train.digest, splits.test.digest, config.seed, accuracy, weights_digest(joint.state_dict())
        )
        keep(folder, "sentences", joint, record)
    return LearntPair(joint, precision)


def fresh(config: TextConfig, shape: tuple[int, int, int]) -> JointEmbedding:
    """Encoders whose weights are a function of the settings alone, or of a folder that they name."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived_seed(config.seed, "sentences"))
        joint = JointEmbedding(config, shape)
    if isinstance(joint.text, PretrainedEncoder):
        joint.text.take_folder()
    return joint


def files_digest(encoder: TextEncoder) -> str:
    """What a pretrained encoder is; a fresh one is told by its settings."""
    return weights_digest(encoder.state_dict()) if isinstance(encoder, PretrainedEncoder) else ""


def fit(joint: JointEmbedding, train: Dataset, progress: Progress | None = None) -> None:
    """AdamW with a triangular-cosine rate; step k is a function of (seed, k)."""
    config, told = joint.config, train.sentences
    assert told is not None
    device = joint.sharpness.device
    optimiser = torch.optim.AdamW(joint.parameters(), lr=config.lr, weight_decay=WEIGHT_DECAY)
    order, batch = Order(len(train), derived_seed(config.seed, "pairs")), min(config.batch, len(train))
    read, norm = reading(joint.text, told), nn.BatchNorm1d(config.dims, affine=False).to(device)
    joint.train()
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False):
        for step in range(config.steps):
            for group in optimiser.param_groups:
                group["lr"] = config.lr * rate(step / config.steps)
            indices = order.indices(step * batch, batch)
            numbers = one_each(told, indices, derived_seed(config.seed, "sentence", step))
            images = joint.image(train.images(indices, device))
            texts = unit_mean_square(norm(read(numbers).to(device)))
            kinds = told.kinds[indices]
            alike = (kinds[:, None] == kinds) | (numbers[:, None] == numbers)
            joint.loss(images, texts, alike.to(device)).backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            if progress is not None:
                progress(step + 1, config.steps)
    joint.eval().requires_grad_(False)
    if isinstance(joint.text, CharEncoder):
        joint.text.absorb(norm)


def reading(encoder: TextEncoder, told: Sentences) -> Callable[[Tensor], Tensor]:
    """What gives the codes of sentences by their numbers: computed, or of an encoder that does not learn looked up."""
    if isinstance(encoder, CharEncoder):
        return lambda numbers: encoder.code(
            symbols([told.table[number] for number in numbers.tolist()], encoder.length).to(
                encoder.output.weight.device
            )
        )
    vectors = vectors_of(encoder, told.table)
    return lambda numbers: vectors[numbers]


def one_each(told: Sentences, indices: Tensor, seed: int) -> Tensor:
    """The number of one sentence of each example, at random: int64 (n,)."""
    draws = torch.rand(len(indices), told.most, generator=torch.Generator().manual_seed(seed))
    return told.chosen(indices, draws, 1)[0][:, 0]


# ---- judging -----------------------------------------------------------------------------------------------------------


def held_out(joint: JointEmbedding, test: Dataset) -> RPrecision | None:
    """R-precision of real images that the encoders have not learnt from, at most 1,000; None where nothing is mismatched."""
    indices = torch.arange(min(JUDGED, len(test))) * len(test) // min(JUDGED, len(test))
    return shown_precision(joint, test, indices)


def shown_precision(
    joint: JointEmbedding, dataset: Dataset, indices: Tensor, images: Tensor | None = None, seed: int = 0
) -> RPrecision | None:
    """How often an image is nearer to the sentence that it is to show than to 99 of other kinds (Xu et al. 2018).

    The sentences are the first ones of the examples.

    Args:
        indices: int64 (n,), the examples.
        images: float32 (n, c, h, w) in [-1, 1], painted from their first sentences; by default the real ones, whose value is
            what there is to be reached.

    Returns:
        None where no sentence is of another kind.

    Raises:
        DataError: nothing is said of the examples.
    """
    told = dataset.sentences
    if told is None:
        raise DataError(f"nothing is said of {dataset.name}: R-precision takes sentences")
    if images is None:
        step = chunk_size(dataset.spec.dimensions)
        seen = torch.cat([joint.look(dataset.images(part)) for part in indices.split(step)])
    else:
        seen = joint.look(images)
    return seen_precision(joint, told, indices, seen, seed)


def seen_precision(
    joint: JointEmbedding, told: Sentences, indices: Tensor, seen: Float[Tensor, "n dims"], seed: int = 0
) -> RPrecision | None:
    """`shown_precision` of images with these vectors."""
    numbers, truth = told.firsts(indices).unique(return_inverse=True)
    kinds = told.kinds[indices]
    sentence_kinds = torch.zeros_like(numbers).scatter_(0, truth, kinds)
    texts = vectors_of(joint.text, [told.table[n] for n in numbers.tolist()])
    return r_precision(seen, texts, truth, kinds, sentence_kinds, seed)


# ---- vectors once and for all ------------------------------------------------------------------------------------------


def with_vectors(
    splits: Splits,
    cache_folder: Path,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> tuple[Splits, LearntPair]:
    """The same splits, every sentence with its vector, by encoders that are trained for it if they are not kept."""
    learnt = learn_pairs(splits, cache_folder, device, progress)
    return embedded(splits, learnt.joint.text, cache_folder), learnt


def embedded(splits: Splits, encoder: TextEncoder, cache_folder: Path) -> Splits:
    """The same splits, every sentence with its vector by this encoder."""
    told = splits.train.sentences
    assert told is not None
    vectors = packed_vectors(told.table, encoder, cache_folder)
    train, test = splits.train.embedded(vectors), splits.test.embedded(vectors)
    if splits.test.sentences is not None and splits.test.sentences.table != told.table:
        test = splits.test.embedded(packed_vectors(splits.test.sentences.table, encoder, cache_folder))
    return replace(splits, train=train, test=test, text=encoder)


def packed_vectors(table: Sequence[str], encoder: TextEncoder, cache_folder: Path) -> Tensor:
    """The vectors of sentences, float16 (n, dims), mapped from the cache; computed if they are not there.

    Raises:
        DataError: the cache cannot be written to.
    """
    path = cache_folder / "sentences" / f"{digest(VERSION, table, weights_digest(encoder.state_dict()))}.bin"
    if not whole(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(error, cache_folder) from error
        draft = PackFile(path.with_name(f".{uuid.uuid4().hex}.part"))
        try:
            for start in range(0, len(table), SENTENCES_AT_ONCE):
                vectors = encoder.embed(table[start : start + SENTENCES_AT_ONCE])
                draft.append(vectors.cpu().numpy().astype(np.float16).tobytes())
        except BaseException:
            draft.path.unlink(missing_ok=True)
            raise
        finally:
            record = draft.close()
        draft.path.replace(path)
        path.with_suffix(".json").write_text(record.model_dump_json())
    return mapped(path, np.float16, (len(table), encoder.dims))


def whole(path: Path) -> bool:
    try:
        return intact(path, FileRecord.model_validate_json(path.with_suffix(".json").read_bytes()))
    except (OSError, ValidationError):
        return False


def vectors_of(encoder: TextEncoder, texts: Sequence[str]) -> Tensor:
    """Vectors of sentences, float32 on the CPU."""
    return encoder.embed(texts).cpu()
