"""Does an image show what a sentence says? A classifier of attributes reads in it what the sentence tells, and only that.

It learns from real training images of which all attributes are known, as those of the built-in birds are. So numbers compare
only where its digest is the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from cardigan.data.accounts import Facts
from cardigan.data.dataset import Dataset
from cardigan.data.order import Order, derived_seed
from cardigan.errors import DataError
from cardigan.evaluation.features import chunk_size, in_chunks, weights_digest
from cardigan.evaluation.intervals import grouping, jackknife_interval, within
from cardigan.evaluation.keeping import Record, keep, kept, place, rate
from cardigan.evaluation.sources import permutation

VERSION = 1
SIDE = 64  # larger images are seen at no more pixels a side
FINEST = 16  # places a side of the finer maps
WIDTHS = (32, 64, 128)
SUMMARY = 128
DROPOUT = 0.3
BATCH = 32
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 1e-2
SHIFT = 2  # pixels that images are moved by at random
PASSES = 20
LEAST_STEPS, MOST_STEPS = 200, 2_500
ABSENT = "none"
GROUPS = 10

Values = Mapping[str, tuple[str, ...]]
"""The values that each attribute takes."""


# ---- what is known ----------------------------------------------------------------------------------------------------


def values_of(facts: Sequence[Facts]) -> Values:
    """All attributes of some images and their values in order; one that some images lack may also be absent."""
    keys = dict.fromkeys(key for each in facts for key in each)
    return {key: tuple(sorted({each.get(key, ABSENT) for each in facts})) for key in keys}


def coded(values: Values, facts: Sequence[Facts], lacking: str | None) -> Int[Tensor, "n attributes"]:
    """Each attribute as the number of its value; of one that is not mentioned that of `lacking`, or -1.

    A value that is not among those known has a number that no image is ever read as.
    """
    numbers = {key: {value: i for i, value in enumerate(known)} for key, known in values.items()}

    def code(each: Facts, key: str) -> int:
        value = each.get(key, lacking)
        return -1 if value is None else numbers[key].get(value, len(values[key]))

    return torch.tensor([[code(each, key) for key in values] for each in facts]).view(len(facts), len(values))


def all_true(dataset: Dataset) -> list[Facts]:
    """All facts about each example.

    Raises:
        DataError: they are not known.
    """
    if dataset.accounts is None:
        raise DataError(f"attributes of {dataset.name} are not known, only those of built-in worlds: leave them out")
    return [dataset.accounts.true(i) for i in range(len(dataset))]


def first_told(dataset: Dataset, indices: Tensor) -> list[Facts]:
    """What the first sentence of each example tells.

    Raises:
        DataError: it is not known.
    """
    if dataset.accounts is None:
        raise DataError(f"what the sentences of {dataset.name} tell is not known: leave attributes out")
    return [dataset.accounts.told(i)[0] for i in indices.tolist()]


# ---- the network ------------------------------------------------------------------------------------------------------


class AttributeNetwork(nn.Module):
    """Looks for each attribute at a place of its own: colours and shapes of small parts are read where the parts are.

    Maps of two scales and a summary of the whole image are computed once. Each attribute has a distribution over the places
    of the finer maps, which depends on what is there and on the summary, and its value is told from the mean of the maps
    under that distribution, and the summary.
    """

    def __init__(self, shape: tuple[int, int, int], values: Values) -> None:
        super().__init__()
        channels, height, width = shape
        scale = min(1.0, SIDE / max(height, width))
        self.seen = max(1, round(height * scale)), max(1, round(width * scale))
        fine, coarse, deep = WIDTHS
        layers, size = halved(channels, fine, self.seen, FINEST)
        self.fine, attributes = nn.Sequential(*layers), len(values)
        layers, self.places = halved(fine, coarse, size, FINEST // 2)
        self.coarse = nn.Sequential(*layers)
        layers, size = halved(coarse, deep, self.places, 4)
        self.summary = nn.Sequential(*layers, nn.Flatten(), nn.Linear(deep * size[0] * size[1], SUMMARY), nn.ReLU())
        self.expected = nn.Linear(SUMMARY, attributes * self.places[0] * self.places[1])
        self.fine_sight, self.coarse_sight = nn.Conv2d(fine, attributes, 1), nn.Conv2d(coarse, attributes, 1)
        self.dropout = nn.Dropout(DROPOUT)
        self.heads = nn.ModuleList(nn.Linear(fine + coarse + SUMMARY, len(known)) for known in values.values())

    def forward(self, images: Float[Tensor, "n c h w"]) -> tuple[Tensor, ...]:
        """Logits (n, values) of each attribute."""
        fine = self.fine(F.adaptive_avg_pool2d(images, self.seen))
        coarse = self.coarse(fine)
        summary = self.summary(coarse)
        expected = self.expected(summary).unflatten(1, (len(self.heads), *self.places))
        sight = F.interpolate(self.coarse_sight(coarse) + expected, fine.shape[2:]) + self.fine_sight(fine)
        place = sight.flatten(2).softmax(2)
        found = torch.cat([mean_at(place, fine), mean_at(place, F.interpolate(coarse, fine.shape[2:]))], 2)
        return tuple(head(self.dropout(torch.cat([found[:, i], summary], 1))) for i, head in enumerate(self.heads))


def mean_at(place: Float[Tensor, "n attributes hw"], maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n attributes c"]:
    """Mean of maps under each of some distributions over their places."""
    return place @ maps.flatten(2).transpose(1, 2)


def halved(inputs: int, outputs: int, size: tuple[int, int], most: int) -> tuple[list[nn.Module], tuple[int, int]]:
    """Convolutions that halve the sides, once at least and until they are at most so long; and the size that is left."""
    layers: list[nn.Module] = []
    while not layers or max(size) > most:
        layers += [nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        inputs, size = outputs, (-(-size[0] // 2), -(-size[1] // 2))
    return layers, size


class AttributeClassifier:
    """A trained network that says which value each attribute has in an image.

    Attributes:
        values: of each attribute, in the order of what is read.
        accuracy: share of the attributes of real test images that it has right.
        digest: of its weights.
    """

    def __init__(self, network: AttributeNetwork, values: Values, accuracy: float) -> None:
        self.network = network.eval().requires_grad_(False)
        self.values, self.accuracy = values, accuracy
        self.digest = weights_digest(network.state_dict())

    @property
    def protocol(self) -> dict[str, str | float]:
        """What a number that it is behind has to say of it."""
        return {"digest": self.digest, "accuracy on real test images": self.accuracy}

    @torch.no_grad()
    def logits(self, images: Float[Tensor, "n c h w"]) -> tuple[Tensor, ...]:
        """Of each attribute (n, values), on the CPU."""
        parts = [self.network(part.to(self.network.expected.weight.device)) for part in in_chunks(images)]
        return tuple(torch.cat(logits).float().cpu() for logits in zip(*parts, strict=True))

    def probabilities(self, images: Float[Tensor, "n c h w"]) -> list[Tensor]:
        """Of each attribute (n, values), float64."""
        return [logits.double().softmax(1) for logits in self.logits(images)]

    def __call__(self, images: Float[Tensor, "n c h w"]) -> Int[Tensor, "n attributes"]:
        """The number of the likeliest value of each attribute."""
        return torch.stack([logits.argmax(1) for logits in self.logits(images)], 1)


# ---- its training -----------------------------------------------------------------------------------------------------


def train_attributes(
    train: Dataset,
    test: Dataset,
    seed: int = 0,
    cache: Path | None = None,
    device: str | torch.device = "cpu",
) -> AttributeClassifier:
    """Train a classifier of attributes on real images, once: kept in the cache by data, seed and version.

    Args:
        test: real images that it is scored on; it learns nothing from them.
        device: where it is trained and will run.

    Raises:
        DataError: the attributes are not known.
    """
    facts = all_true(train)
    values = values_of(facts)
    folder = None
    if cache is not None:
        folder = place(cache, VERSION, train.digest, seed, (*train.spec.shape, json.dumps(values)))
        network = build(train.spec.shape, values, seed)
        if record := kept(folder, "attributes", network, VERSION, train.digest):
            found = AttributeClassifier(network.to(device), values, record.accuracy)
            return found if record.test == test.digest else AttributeClassifier(network, values, scored(found, test))
    network = build(train.spec.shape, values, seed).to(device)
    fit(network, train, coded(values, facts, ABSENT), seed)
    classifier = AttributeClassifier(network, values, 0.0)
    classifier.accuracy = scored(classifier, test)
    if folder:
        keep(
            folder,
            "attributes",
            network,
            Record(VERSION, train.digest, test.digest, seed, classifier.accuracy, classifier.digest),
        )
    return classifier


def build(shape: tuple[int, int, int], values: Values, seed: int) -> AttributeNetwork:
    """The network with He-normal weights that are a function of the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = AttributeNetwork(shape, values)
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return network


def fit(network: AttributeNetwork, train: Dataset, true: Tensor, seed: int) -> None:
    """AdamW on the sum of the cross-entropies, images moved by up to two pixels; step k is a function of (seed, k)."""
    order, batch = Order(len(train), derived_seed(seed, "attributes")), min(BATCH, len(train))
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps, device = number_of_steps(len(train)), network.expected.weight.device
    network.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for step in range(steps):
            torch.manual_seed(derived_seed(seed, "attributes", step))
            indices = order.indices(step * batch, batch)
            for group in optimiser.param_groups:
                group["lr"] = LEARNING_RATE * rate(step / steps)
            logits = network(moved(train.images(indices)).to(device))
            targets = true[indices].to(device)
            losses = [F.cross_entropy(each, targets[:, i]) for i, each in enumerate(logits)]
            torch.stack(losses).sum().backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
    network.eval()


def number_of_steps(examples: int) -> int:
    """As many as show each image 20 times, within bounds."""
    return min(max(LEAST_STEPS, PASSES * examples // BATCH), MOST_STEPS)


def moved(images: Tensor) -> Tensor:
    """All images of a batch moved by the same few pixels at random, their borders repeated."""
    height, width = images.shape[2:]
    down, right = torch.randint(2 * SHIFT + 1, (2,)).tolist()
    padded = F.pad(images, (SHIFT,) * 4, mode="replicate")
    return padded[:, :, down : down + height, right : right + width]


def scored(classifier: AttributeClassifier, test: Dataset) -> float:
    """Share of all attributes of real images that are read as they are."""
    true = coded(classifier.values, all_true(test), ABSENT)
    return float((read(classifier, test, torch.arange(len(test))) == true).double().mean())


def read(classifier: AttributeClassifier, dataset: Dataset, indices: Tensor) -> Tensor:
    """What is read in examples, int64 (n, attributes)."""
    parts = indices.split(chunk_size(dataset.spec.dimensions))
    return torch.cat([classifier(dataset.images(part)) for part in parts])


# ---- what sentences tell, and what is seen of it ------------------------------------------------------------------------


@dataclass(frozen=True)
class Readings:
    """What is seen of all that sentences tell.

    Attributes:
        names: of the attributes.
        told, right: of each image and attribute, whether its sentence tells it, and whether the image shows it as told.
    """

    names: tuple[str, ...]
    told: Bool[Tensor, "n attributes"]
    right: Bool[Tensor, "n attributes"]

    @property
    def share(self) -> float:
        """Of all that is told the share that is seen."""
        return shown(self.right, self.told)

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, by leaving out a tenth of the images at a time."""
        groups = grouping(len(self.told), min(GROUPS, len(self.told)))
        parts = [groups != group for group in range(int(groups.max()) + 1)]
        without = [shown(self.right[rest], self.told[rest]) for rest in parts if self.told[rest].any()]
        return within(jackknife_interval(self.share, without), 1.0) if len(without) > 1 else (0.0, 1.0)

    def by_attribute(self) -> dict[str, float | None]:
        """The share of each attribute; None of one that is never told."""
        counts = zip(self.names, self.right.sum(0).tolist(), self.told.sum(0).tolist(), strict=True)
        return {name: right / told if told else None for name, right, told in counts}


def shown(right: Tensor, told: Tensor) -> float:
    return int(right.sum()) / int(told.sum())


def readings(values: Values, seen: Int[Tensor, "n attributes"], told: Sequence[Facts]) -> Readings:
    """What is seen in images of what their sentences tell.

    Raises:
        DataError: the sentences tell nothing.
    """
    wanted = coded(values, told, None)
    if not (wanted >= 0).any():
        raise DataError("the sentences tell nothing of what the classifier knows: leave attributes out")
    return Readings(tuple(values), wanted >= 0, wanted == seen)


def strangers(kinds: Int[Tensor, "n"], seed: int = 0) -> Int[Tensor, "n"] | None:
    """For each image another one of another kind, drawn by the seed; None where all are of one kind."""
    order = permutation(len(kinds), seed)
    for turn in range(1, len(kinds)):
        turned = order.roll(turn)
        if (kinds[order] != kinds[turned]).all():
            return torch.empty_like(order).scatter_(0, order, turned)
    draws = torch.rand(len(kinds), len(kinds), generator=torch.Generator().manual_seed(seed))
    other = kinds[:, None] != kinds
    return draws.masked_fill(~other, -1.0).argmax(1) if other.any(1).all() else None
