"""Batches and their order are functions of a number, not of what was drawn before."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cardigan.data import Batches, Dataset, DataSpec, Order, PointModes, StackedModes, open_data


@given(st.integers(1, 40), st.integers(0, 2**40))
def test_every_epoch_is_a_permutation(count: int, seed: int) -> None:
    order = Order(count, seed)
    for epoch in (0, 1, 7):
        assert sorted(order.indices(epoch * count, count).tolist()) == list(range(count))


@given(st.integers(1, 20), st.integers(0, 100), st.integers(0, 70), st.integers(0, 9))
def test_order_is_addressed(count: int, start: int, n: int, seed: int) -> None:
    whole = Order(count, seed).indices(0, start + n)
    assert torch.equal(Order(count, seed).indices(start, n), whole[start:])


def test_order_differs_by_seed_and_epoch_and_is_stable() -> None:
    order = Order(1000, 0)
    first, second = order.indices(0, 1000), order.indices(1000, 1000)
    assert not torch.equal(first, second)
    assert not torch.equal(first, Order(1000, 1).indices(0, 1000))
    assert Order(10, 0).indices(0, 10).tolist() == ORDER_OF_TEN
    order.indices(0, 10).zero_()  # what is handed out is the caller's own
    assert torch.equal(order.indices(0, 1000), first)


ORDER_OF_TEN = [2, 1, 6, 3, 7, 0, 4, 9, 8, 5]


def test_order_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="count must be at least 1"):
        Order(0, 0)
    with pytest.raises(ValueError, match="must not be negative"):
        Order(3, 0).indices(-1, 2)


def toy(count: int = 23, shape: tuple[int, int, int] = (2, 3, 4)) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)
    spec = DataSpec(channels=shape[0], height=shape[1], width=shape[2], classes=("a", "b"))
    return Dataset("toy", "train", spec, pixels, "0", labels=torch.arange(count) % 2)


@pytest.mark.parametrize("flip", [False, True])
def test_batches_are_addressed(flip: bool) -> None:
    one = Batches(toy(), 10, seed=3, flip=flip)
    stream = one.stream()
    drawn = [next(stream) for _ in range(6)]
    assert stream.drawn == 6
    for k in (5, 0, 3):
        again = Batches(toy(), 10, seed=3, flip=flip).at(k)
        assert torch.equal(again.images, drawn[k].images)
        assert torch.equal(again.labels, drawn[k].labels)
    resumed = one.stream(start=4)
    assert torch.equal(next(resumed).images, drawn[4].images)
    assert resumed.drawn == 5
    assert not torch.equal(Batches(toy(), 10, seed=4, flip=flip).at(0).images, drawn[0].images)


@pytest.mark.parametrize("parts", [1, 2, 3, 6])
def test_parts_make_up_the_batch(parts: int) -> None:
    batches = Batches(toy(), 12, seed=0, flip=True)
    whole = batches.stream(5)
    pieces = [batches.stream(5, parts=parts, part=i) for i in range(parts)]
    for _ in range(3):
        batch, cut = next(whole), [next(piece) for piece in pieces]
        assert torch.equal(batch.images, torch.cat([c.images for c in cut]))
        assert torch.equal(batch.labels, torch.cat([c.labels for c in cut]))


def test_parts_must_divide_the_batch() -> None:
    with pytest.raises(ValueError, match="parts must divide the batch of 12"):
        next(Batches(toy(), 12, seed=0).stream(parts=5))


def test_flips_are_fair_mirrors_decided_anew_each_time() -> None:
    data = toy(count=1)
    batches = Batches(data, 400, seed=0, flip=True)
    image = data.images(torch.tensor([0]))[0]
    mirrored = (batches.at(0).images == image.flip(-1)).flatten(1).all(1)
    assert ((batches.at(0).images == image).flatten(1).all(1) ^ mirrored).all()
    assert 160 < mirrored.sum() < 240  # 200 expected, deviation 10
    assert not torch.equal(mirrored, (batches.at(1).images == image.flip(-1)).flatten(1).all(1))


def test_a_batch_larger_than_the_data_goes_round() -> None:
    data = toy(count=5)
    batch = Batches(data, 15, seed=0).at(0)
    expected = data.images(torch.arange(5)).flatten(1).sum(1).sort().values.repeat_interleave(3)
    assert torch.equal(batch.images.flatten(1).sum(1).sort().values, expected)


def test_no_global_randomness_is_used() -> None:
    state = torch.get_rng_state()
    Batches(open_data("ring").train, 4, seed=0).at(3)
    Batches(toy(), 4, seed=0, flip=True).at(3)
    assert torch.equal(torch.get_rng_state(), state)


def test_points_are_not_flipped() -> None:
    with pytest.raises(ValueError, match="flip must be False"):
        Batches(open_data("grid").train, 4, seed=0, flip=True)


def test_digits() -> None:
    from sklearn.datasets import load_digits

    splits = open_data("digits")
    assert (len(splits.train), len(splits.test)) == (1442, 355)
    images, labels = load_digits(return_X_y=True)
    x = torch.cat([side.images(torch.arange(len(side))) for side in (splits.train, splits.test)])
    assert x.amin() == -1
    assert x.amax() == 1
    found = torch.cat([side.labels(torch.arange(len(side))) for side in (splits.train, splits.test)])
    levels = ((x.flatten(1) + 1) * 8).round().long()
    assert sorted(zip(levels.tolist(), found.tolist(), strict=True)) == sorted(
        zip(images.astype(int).tolist(), labels.tolist(), strict=True)
    )
    counts = torch.bincount(splits.test.labels(torch.arange(355)))
    assert counts.tolist() == [n // 5 for n in torch.bincount(torch.tensor(labels)).tolist()]


def test_stacked_digits() -> None:
    splits = open_data("stacked-digits")
    assert (len(splits.train), len(splits.test)) == (60_000, 10_000)
    assert splits.train.spec.shape == (3, 8, 8)
    assert splits.train.spec.classes == ()
    modes = splits.train.known_modes
    assert isinstance(modes, StackedModes)
    digits = splits.train.digits(torch.arange(60_000))
    numbers = digits @ torch.tensor([100, 10, 1])
    counts = torch.bincount(numbers, minlength=1000).double()
    assert (counts > 0).all()
    shares = counts / counts.sum()
    assert (shares * (shares * 1000).log()).sum() < 0.02  # nats from uniform; sampling alone gives 0.008
    singles = modes.base.train.images(torch.arange(len(modes.base.train)))[:, 0]
    some = splits.train.images(torch.tensor([7, 59_999]))
    assert all((singles == channel).flatten(1).all(1).any() for image in some for channel in image)
    assert torch.equal(some[1:], splits.train.images(torch.tensor([59_999])))


@pytest.mark.parametrize(("name", "count", "deviation"), [("ring", 8, 0.01), ("grid", 25, 0.05 / 8**0.5)])
def test_points_of_the_plane(name: str, count: int, deviation: float) -> None:
    splits = open_data(name)
    assert (len(splits.train), len(splits.test)) == (100_000, 20_000)
    assert splits.train.spec.kind == "points"
    modes = splits.train.known_modes
    assert isinstance(modes, PointModes)
    assert modes.centres.shape == (count, 2)
    assert modes.deviation == pytest.approx(deviation)
    points = splits.train.images(torch.arange(100_000))
    assert points.shape == (100_000, 2, 1, 1)
    distance, nearest = torch.cdist(points.flatten(1), modes.centres).min(1)
    within = (distance < 3 * deviation).double().mean().item()
    assert within == pytest.approx(1 - torch.tensor(-4.5).exp().item(), abs=0.0015)  # 98.89 %
    shares = torch.bincount(nearest, minlength=count) / 100_000
    assert abs(shares * count - 1).max() < 0.1
    assert points.flatten(1).std(0, correction=0).tolist() == pytest.approx(
        [0.5**0.5 if count == 8 else 1.0] * 2, rel=0.01
    )


def test_importing_the_settings_does_not_import_torch() -> None:
    code = "import sys, cardigan.data.spec as s; s.DataSpec; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there() -> None:
    import cardigan.data

    for name in cardigan.data.__all__:
        assert getattr(cardigan.data, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cardigan.data.nothing  # noqa: B018


def test_stacked_mnist_are_three_images_of_mnist(real_data: Path) -> None:
    stacked, single = open_data("stacked-mnist").train, open_data("mnist").train
    chosen = torch.tensor([0, 59_999])
    images, digits = stacked.images(chosen), stacked.digits(chosen)
    assert images.shape == (2, 3, 28, 28)
    rows = stacked._triples[chosen].flatten()
    assert torch.equal(images.flatten(0, 1), single.images(rows).flatten(0, 1))
    assert torch.equal(digits.flatten(), single.labels(rows))
    assert (stacked.halved(2).images(chosen) - torch.nn.functional.avg_pool2d(images, 4)).abs().max() < 1.001 / 255
