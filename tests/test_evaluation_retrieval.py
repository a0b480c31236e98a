"""R-precision, against what it has to be where it is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cardigan.evaluation import r_precision


def judged(images: Tensor, sentences: Tensor, kinds: Tensor | None = None, **more: int):
    n = len(images)
    kinds = torch.arange(n) if kinds is None else kinds
    return r_precision(images, sentences, torch.arange(n), kinds, kinds, **more)


def vectors(n: int, dims: int = 16, seed: int = 0) -> Tensor:
    return torch.randn(n, dims, generator=torch.Generator().manual_seed(seed))


def test_images_that_are_their_sentences_are_all_right() -> None:
    sentences = vectors(300)
    found = judged(3 * sentences, sentences)
    assert (found.value, found.error, found.images, found.chance) == (1.0, 0.0, 300, pytest.approx(0.01))


def test_images_that_have_nothing_to_do_with_them_are_right_by_chance() -> None:
    found = judged(vectors(3000), vectors(3000, seed=1))
    assert abs(found.value - 0.01) < 4 * found.error
    assert found.error == pytest.approx((0.01 * 0.99 / 3000) ** 0.5, rel=0.4)


def test_equal_vectors_share_the_place() -> None:
    found = judged(torch.ones(150, 4), torch.ones(150, 4))
    assert found.value == pytest.approx(0.01)


def test_sentences_of_the_same_kind_are_no_mismatch() -> None:
    """Of two kinds, each image is judged with its own sentence and those of the other kind only."""
    kinds = torch.arange(40) % 2
    axis = torch.stack([1.0 - kinds, kinds.float()], 1) + 0.01 * vectors(40, 2).abs()
    found = judged(axis, axis.flip(0).flip(0), kinds)
    assert found.value == 1.0
    assert found.chance == pytest.approx(1 / 21)
    assert judged(axis, axis, torch.zeros(40, dtype=torch.int64)) is None


def test_fewer_others_are_easier_and_the_draw_is_addressed() -> None:
    images, sentences = vectors(600), vectors(600) + 1.5 * vectors(600, seed=1)
    few, many = (judged(images, sentences, others=n) for n in (9, 99))
    assert few.value > many.value + 0.1
    assert many == judged(images, sentences, others=99)
    assert many != judged(images, sentences, others=99, seed=1)
    alone = judged(images[:256], sentences[:256], others=9)
    assert alone.images == 256


def test_an_image_is_held_to_the_sentence_that_it_shows() -> None:
    sentences = vectors(120)
    truth = torch.arange(120).flip(0).repeat(2)
    kinds = torch.arange(120)
    found = r_precision(sentences[truth], sentences, truth, kinds[truth], kinds)
    assert (found.value, found.images) == (1.0, 240)
    assert r_precision(sentences[truth], sentences, truth.roll(1), kinds[truth.roll(1)], kinds).value < 0.1
