"""What is read in images of what sentences tell, and how surely and differently images are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cardigan.data import Splits
from cardigan.data.accounts import Accounts
from cardigan.errors import DataError
from cardigan.evaluation import attributes, inception_score, train_attributes
from cardigan.evaluation.attributes import (
    ABSENT,
    AttributeClassifier,
    coded,
    first_told,
    read,
    readings,
    strangers,
    values_of,
)
from cardigan.evaluation.inception_score import mean_score
from small import SMALL_READER, assert_same, small_splits, small_told

BIRDS = [{"belly": "red", "crest": "crested"}, {"belly": "blue"}, {"belly": "red"}]


@pytest.fixture(scope="module")
def learnt() -> tuple[Splits, AttributeClassifier]:
    splits = small_told(240)
    return splits, train_attributes(splits.train, splits.test)


# ---- reading ----------------------------------------------------------------------------------------------------------


def test_values_and_their_numbers() -> None:
    values = values_of(BIRDS)
    assert values == {"belly": ("blue", "red"), "crest": ("crested", ABSENT)}
    assert coded(values, BIRDS, ABSENT).tolist() == [[1, 0], [0, 1], [1, 1]]
    assert coded(values, [{"belly": "green"}, {"crest": "crested"}, {}], None).tolist() == [[2, -1], [-1, 0], [-1, -1]]


def test_only_what_is_told_counts() -> None:
    values = values_of(BIRDS)
    seen = torch.tensor([[1, 0], [1, 1], [0, 1]])
    told = [{"belly": "red", "crest": "crested"}, {"belly": "blue"}, {"crest": "crested"}]
    found = readings(values, seen, told)
    assert found.share == 2 / 4
    assert found.by_attribute() == {"belly": 1 / 2, "crest": 1 / 2}
    low, high = found.interval
    assert 0 <= low <= found.share <= high <= 1
    assert readings(values, seen, [{"belly": "red"}, {}, {}]).by_attribute() == {"belly": 1.0, "crest": None}
    with pytest.raises(DataError, match="tell nothing"):
        readings(values, seen, [{}, {}, {}])


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_strangers_are_of_another_kind(numbers: list[int], seed: int) -> None:
    kinds = torch.tensor(numbers)
    others = strangers(kinds, seed)
    if len(set(numbers)) == 1:
        assert others is None
        return
    assert others is not None
    assert (kinds[others] != kinds).all()


# ---- learning ---------------------------------------------------------------------------------------------------------


def test_attributes_of_unseen_images_are_read(learnt: tuple[Splits, AttributeClassifier]) -> None:
    splits, classifier = learnt
    assert classifier.values == dict.fromkeys(("left", "right"), ("blue", "green", "red"))
    assert classifier.accuracy > 0.95
    indices = torch.arange(len(splits.test))
    told, seen = first_told(splits.test, indices), read(classifier, splits.test, indices)
    assert readings(classifier.values, seen, told).share == classifier.accuracy
    others = strangers(splits.test.sentences.kinds)
    of_others = readings(classifier.values, seen, [told[i] for i in others.tolist()])
    assert of_others.share < 0.4  # of two colours of three, not both the same


def test_an_image_is_held_to_what_its_own_sentence_tells(learnt: tuple[Splits, AttributeClassifier]) -> None:
    """Painted right on the left and wrong on the right, where nothing is told: nothing is wrong."""
    splits, classifier = learnt
    indices = torch.arange(len(splits.test))
    painted = splits.test.images(indices)
    painted[..., 4:] = painted.roll(1, 1)[..., 4:]  # another colour
    told = first_told(splits.test, indices)
    left = [{"left": facts["left"]} for facts in told]
    assert readings(classifier.values, classifier(painted), left).share > 0.95
    both = readings(classifier.values, classifier(painted), told)
    assert both.by_attribute()["right"] < 0.1
    assert abs(both.share - 0.5) < 0.1


def test_probabilities_are_of_each_attribute(learnt: tuple[Splits, AttributeClassifier]) -> None:
    splits, classifier = learnt
    images = splits.test.images(torch.arange(9))
    every = classifier.probabilities(images)
    assert [each.shape for each in every] == [(9, 3), (9, 3)]
    assert all(torch.allclose(each.sum(1), torch.ones(9).double()) for each in every)
    assert torch.equal(torch.stack([each.argmax(1) for each in every], 1), classifier(images))


def test_it_is_learnt_once_and_a_function_of_data_and_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributes, "LEAST_STEPS", 3)
    monkeypatch.setattr(attributes, "PASSES", 0)
    splits = small_told(60, SMALL_READER)
    first = train_attributes(splits.train, splits.test, 0, tmp_path)
    torch.rand(3)
    assert_same(first.network.state_dict(), train_attributes(splits.train, splits.test).network.state_dict())
    assert train_attributes(splits.train, splits.test, 1).digest != first.digest
    with monkeypatch.context() as patch:
        patch.setattr(attributes, "fit", lambda *_: pytest.fail("learnt again"))
        again = train_attributes(splits.train, splits.test, 0, tmp_path)
        assert (again.digest, again.accuracy) == (first.digest, first.accuracy)
    for damaged in tmp_path.rglob("*.safetensors"):
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"\xff")
    assert train_attributes(splits.train, splits.test, 0, tmp_path).digest == first.digest


def test_what_is_not_known_cannot_be_read() -> None:
    splits = small_splits()
    with pytest.raises(DataError, match="leave them out"):
        train_attributes(splits.train, splits.test)
    with pytest.raises(DataError, match="leave attributes out"):
        first_told(splits.test, torch.arange(3))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 20, 50), (4, 33, 33), (3, 200, 100)])
def test_images_of_any_shape_are_looked_at(shape: tuple[int, int, int]) -> None:
    network = attributes.build(shape, values_of(BIRDS), 0).eval()
    assert [logits.shape for logits in network(torch.randn(2, *shape))] == [(2, 2), (2, 2)]


# ---- the inception score ----------------------------------------------------------------------------------------------


def test_inception_score_of_known_verdicts() -> None:
    sure = torch.eye(5).repeat(4, 1)
    assert inception_score(sure) == pytest.approx(5)
    assert inception_score(torch.full((20, 5), 0.2)) == pytest.approx(1)
    assert inception_score(sure[:1].repeat(20, 1)) == pytest.approx(1)
    # KL((.9, .1) || (.5, .5)) = .9 log 1.8 + .1 log .2
    half = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).double()
    assert inception_score(half) == pytest.approx(1.8**0.9 * 0.2**0.1)


def test_the_mean_over_several_classifiers() -> None:
    sure, unsure = torch.eye(4).repeat(10, 1), torch.full((40, 4), 0.25)
    value, (low, high) = mean_score([sure, unsure])
    assert value == pytest.approx(2.5)
    assert 1 <= low <= value <= high
    assert mean_score([unsure])[1][0] == 1.0


def test_other_facts_of_the_same_images_are_another_classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributes, "LEAST_STEPS", 1)
    monkeypatch.setattr(attributes, "PASSES", 0)
    splits = small_told(60)
    known = splits.train.accounts
    train_attributes(splits.train, splits.test, 0, tmp_path)
    left = Accounts(lambda i: {"left": known.true(i)["left"]}, known.told)
    other = replace(splits, train=splits.train.accounted(left), test=splits.test.accounted(left))
    assert list(train_attributes(other.train, other.test, 0, tmp_path).values) == ["left"]
