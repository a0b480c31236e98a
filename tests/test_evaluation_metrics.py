"""Each metric of the verb is the number its name says: of these samples, against these reals, with this floor."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from torch import Tensor

from cardigan.data.spec import DataSpec
from cardigan.evaluation import Evaluation, FromDataset, evaluate
from cardigan.evaluation import classifier as classifier_module
from cardigan.evaluation.bench import split_reals
from cardigan.evaluation.diversity import ms_ssim_pairs
from cardigan.evaluation.kernel import kernel_distance
from cardigan.evaluation.memorisation import authentic
from cardigan.evaluation.sliced import sliced_patches


class Images:
    """Images in memory."""

    name, known_modes = "images", None

    def __init__(self, pixels: Tensor, split: str, labels: Tensor | None = None) -> None:
        self.pixels, self.split, self.targets = pixels, split, labels
        self.digest = f"{split} {pixels.sum()} {0 if labels is None else labels.sum()}"
        classes = () if labels is None else ("circle", "cross", "square")
        channels, height, width = pixels.shape[1:]
        self.spec = DataSpec(channels=channels, height=height, width=width, classes=classes)

    def __len__(self) -> int:
        return len(self.pixels)

    def images(self, indices: Tensor, /) -> Tensor:
        return self.pixels[indices]

    def labels(self, indices: Tensor, /) -> Tensor | None:
        return None if self.targets is None else self.targets[indices]


def noise(n: int, seed: int, shift: float = 0.0) -> Tensor:
    return shift + 0.3 * torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def sides() -> tuple[Images, Images, Images]:
    """Reals, other reals, and fakes that reach one half of them only, and too tightly."""
    real, other = noise(300, 0), noise(400, 1)
    real[::2, :, :4] += 1
    other[::2, :, :4] += 1
    fake = 0.8 * noise(300, 2)
    return Images(real, "test"), Images(other, "train"), Images(fake, "fakes")


@pytest.fixture(scope="module")
def found(sides: tuple[Images, Images, Images]) -> Evaluation:
    test, train, fake = sides
    return evaluate(FromDataset(fake, seed=0), test, train=train, seen=train, features="identity")


def test_neighbourhoods_are_those_of_prdc(sides: tuple[Images, Images, Images], found: Evaluation):
    test, train, fake = sides
    held = split_reals(test, train, 300, seed=0).held.images(0, 300)
    for k, names in ((3, ("precision", "recall")), (5, ("density", "coverage"))):
        real, other, made = (x.flatten(1).double().numpy() for x in (test.pixels, held, fake.pixels))
        expected, floor = compute_prdc(real, made, k), compute_prdc(real, other, k)
        for name in names:
            result = found[f"{name}(identity)"]
            assert result.value == pytest.approx(expected[name])
            assert result.floor == pytest.approx(floor[name])
            assert result.protocol["k"] == k
    assert found["precision(identity)"].value > 2 * found["recall(identity)"].value, "too tight, on one half"


def test_neighbourhood_intervals_cover_the_expectation(sides: tuple[Images, Images, Images]):
    hits: dict[str, int] = {}
    values: dict[str, list[float]] = {}
    intervals: dict[str, list[tuple[float, float]]] = {}
    metrics = ["precision", "recall", "density", "coverage"]
    for seed in range(30):
        test, fake = Images(noise(250, 3 * seed), "test"), Images(noise(250, 3 * seed + 1, 0.03), "fakes")
        train = Images(noise(250, 3 * seed + 2), "train")
        for result in evaluate(FromDataset(fake), test, train=train, metrics=metrics, features="identity").results:
            values.setdefault(result.metric, []).append(result.value)
            intervals.setdefault(result.metric, []).append((result.low, result.high))
    for name, observed in values.items():
        expectation = sum(observed) / len(observed)
        hits[name] = sum(low < expectation < high for low, high in intervals[name])
    assert min(hits.values()) >= 25, hits


def test_distances_and_their_floors(sides: tuple[Images, Images, Images], found: Evaluation):
    test, train, fake = sides
    reals = split_reals(test, train, 300, seed=0)
    reference, held = reals.reference.images(0, 300), reals.held.images(0, 300)
    made = FromDataset(fake, seed=0).images(0, 300)
    assert found["KD(identity)"].value == pytest.approx(kernel_distance(made.flatten(1), reference.flatten(1)))
    assert found["KD(identity)"].floor == pytest.approx(kernel_distance(held.flatten(1), reference.flatten(1)))
    for side, number in ((made, found["SWD"].value), (held, found["SWD"].floor)):
        assert number == pytest.approx(sum(sliced_patches(side, reference)))
    assert found["SWD"].value > 2 * found["SWD"].floor
    assert found["MS-SSIM"].value == pytest.approx(float(ms_ssim_pairs(made).mean()))
    assert found["MS-SSIM"].floor == pytest.approx(float(ms_ssim_pairs(reference).mean()))


def test_authenticity_is_read_beside_unseen_reals(sides: tuple[Images, Images, Images]):
    test, train, _ = sides
    copies = FromDataset(train)
    result = evaluate(copies, test, train=train, seen=train, metrics=["auth"], features="identity").results[0]
    share = float(authentic(test.pixels.flatten(1).double(), train.pixels.flatten(1).double()).mean())
    assert result.value == 0
    assert result.high > 0, "none of 300 is not none at all"
    assert result.floor == pytest.approx(100 * share)
    assert 20 < result.floor < 95


def shapes(n: int, seed: int, shares: tuple[float, ...] = (1 / 3, 1 / 3, 1 / 3)) -> tuple[Tensor, Tensor]:
    """Three kinds of marks on grey, each always the same but for a little noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor(shares).multinomial(n, True, generator=generator)
    marks = torch.sign(torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(99)))
    return 0.7 * marks[labels] + 0.05 * torch.randn(n, 1, 8, 8, generator=generator), labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier_module, "_epochs", lambda examples: 10)
        yield tmp_path_factory.mktemp("cache")


def test_likeness_is_within_a_class(folder: Path):
    (pixels, labels), (others, more), (made, _) = shapes(400, 0), shapes(200, 1), shapes(200, 2)
    train, test, fake = Images(pixels, "train", labels), Images(others, "test", more), Images(made, "fakes")
    result = evaluate(FromDataset(fake), test, train=train, metrics=["ms-ssim"], cache=folder).results[0]
    blind = evaluate(FromDataset(fake), Images(others, "test"), metrics=["ms-ssim"]).results[0]
    assert result.value > 0.95 > 0.6 > blind.value
    assert (result.protocol["pairs"], blind.protocol["pairs"]) == ("within a class", "any")
    asked = evaluate(FromDataset(fake), test, train=train, metrics=["ms-ssim"], features="random", cache=folder)
    assert asked.results[0].protocol["pairs"] == "within a class", "whatever the features are"


def test_unevenness_is_against_the_classes_own_frequencies(folder: Path):
    skew = (0.7, 0.2, 0.1)
    parts = [shapes(n, seed, skew) for n, seed in ((600, 3), (300, 4), (300, 5))]
    train, test, fake = (Images(p, s, y) for (p, y), s in zip(parts, ("train", "test", "fakes"), strict=True))
    names = ["modes", "reverse-kl"]
    honest = evaluate(FromDataset(fake), test, train=train, metrics=names, cache=folder)
    even = evaluate(FromDataset(Images(shapes(300, 6)[0], "even")), test, train=train, metrics=names, cache=folder)
    assert honest["reverse KL"].value < 0.03
    assert even["reverse KL"].value == pytest.approx(sum(math.log(1 / 3 / p) / 3 for p in skew), abs=0.06)
    assert honest["modes"].floor == pytest.approx(3, abs=1e-6)


def test_the_classifier_has_not_seen_the_test_labels(folder: Path):
    (pixels, labels), (others, more) = shapes(400, 7), shapes(200, 8)
    train, test = Images(pixels, "train", labels), Images(others, "test", (more + 1) % 3)
    result = evaluate(FromDataset(train), test, train=train, metrics=["fd"], cache=folder).results[0]
    assert result.protocol["features"]["test accuracy"] < 0.05, "the test split's labels are all wrong"


def test_the_extrapolation_keeps_its_blocks_when_some_are_left_out():
    found = []
    for seed in range(24):
        test, fake, train = (Images(noise(400, 3 * seed + i)[..., :4, :4], f"{i}") for i in range(3))
        found += evaluate(FromDataset(fake), test, train=train, metrics=["fd-infinity"], features="identity").results
    spread = 1.96 * float(np.std([result.value for result in found]))
    assert 0.7 < np.mean([(result.high - result.low) / 2 for result in found]) / spread < 2
