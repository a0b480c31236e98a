"""What images and sentences are paid for knowing each other, against what the definitions say."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cardigan.objectives import MATCHING, contrastive, structured

NONE = torch.zeros(5, 5, dtype=torch.bool)


def scores(n: int = 5, seed: int = 0) -> Tensor:
    return torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_contrastive_is_the_mean_surprise_of_the_true_partner() -> None:
    s = scores()
    rows = -(s.softmax(1).diagonal().log().mean() + s.softmax(0).diagonal().log().mean()) / 2
    torch.testing.assert_close(contrastive(s, NONE), rows)
    torch.testing.assert_close(contrastive(torch.zeros(5, 5), NONE), torch.tensor(math.log(5)))


def test_structured_is_the_mean_shortfall_of_the_margin() -> None:
    s = scores()
    expected = 0.0
    for i in range(5):
        for j in range(5):
            if i != j:
                expected += max(0, 1 + s[i, j] - s[i, i]) + max(0, 1 + s[j, i] - s[i, i])
    torch.testing.assert_close(structured(s, NONE), torch.as_tensor(expected) / 40)
    assert structured(torch.eye(5) * 1.0, NONE) == 0
    assert structured(torch.eye(5) * 0.75, NONE) == 0.25


@pytest.mark.parametrize("name", MATCHING)
def test_pairs_that_belong_together_are_left_out(name: str) -> None:
    """Neither their value nor their gradient matters; leaving one out is as if it were not there."""
    alike = NONE.clone()
    alike[0, 1] = alike[1, 0] = True
    one, other = scores().requires_grad_(), scores().requires_grad_()
    changed = other + 7.0 * alike
    loss = MATCHING[name](one, alike)
    torch.testing.assert_close(loss, MATCHING[name](changed, alike))
    loss.backward()
    assert (one.grad[alike] == 0).all()
    assert (one.grad.diagonal() < 0).all()
    assert MATCHING[name](one, alike | torch.eye(5, dtype=torch.bool)) == MATCHING[name](one, alike)


@pytest.mark.parametrize("name", MATCHING)
def test_gradients(name: str) -> None:
    alike = NONE.clone()
    alike[2, 4] = alike[4, 2] = True
    assert torch.autograd.gradcheck(lambda s: MATCHING[name](s, alike), scores().requires_grad_())


@pytest.mark.parametrize("name", MATCHING)
def test_where_nothing_is_wrong_there_is_nothing_to_learn(name: str) -> None:
    s = scores().requires_grad_()
    loss = MATCHING[name](s, ~NONE)
    assert loss == 0
    loss.backward()
    assert (s.grad == 0).all()
