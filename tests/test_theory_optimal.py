"""No discriminator does better than the optimal one."""

import pytest
import torch

from cardigan.errors import TheoryError
from cardigan.objectives import OBJECTIVES
from cardigan.theory.optimal import OPTIMAL_SCORES, optimal_score
from objectives_quadrature import Pair

PAIR = Pair(1.0, 1.25)
PAIRED = {"relativistic"}  # its loss is of pairs: tested by the divergence it measures
UNBOUNDED = {"f-total-variation"}  # its optimum is only approached


@pytest.mark.parametrize("name", sorted(OPTIMAL_SCORES.keys() - PAIRED - UNBOUNDED))
def test_no_change_of_the_optimal_score_lowers_the_loss(name: str) -> None:
    loss = OBJECTIVES[name].discriminator
    best = optimal_score(name, PAIR.log_ratio)
    least = PAIR.expect(loss, best)
    for change in (torch.ones_like(best), PAIR.x, PAIR.x.sin(), -PAIR.x.square() / 4):
        for size in (-0.1, -0.01, 0.01, 0.1):
            moved = (best + size * change).clamp(-30, 30)
            assert PAIR.expect(loss, moved) >= least - 1e-12, (name, size)


def test_total_variations_optimum_is_approached_from_below() -> None:
    loss = OBJECTIVES["f-total-variation"].discriminator
    sign = optimal_score("f-total-variation", PAIR.log_ratio).sign()
    losses = [PAIR.expect(loss, scale * sign) for scale in (0.5, 1.0, 2.0, 5.0, 20.0)]
    assert losses == sorted(losses, reverse=True)
    assert -losses[-1] == pytest.approx(0.3528822755, abs=1e-6)


@pytest.mark.parametrize("name", sorted(OPTIMAL_SCORES))
def test_where_the_densities_are_equal_the_score_is_a_number(name: str) -> None:
    score = optimal_score(name, torch.tensor([-1.0, 0.0, 1.0]))
    assert not score.isnan().any()
    assert score[1] == {"f-kl": 1.0, "least-squares": 0.5}.get(name, 0.0)


def test_the_relativistic_optimum_is_known_up_to_a_constant() -> None:
    torch.testing.assert_close(optimal_score("relativistic", PAIR.log_ratio), PAIR.log_ratio)


@pytest.mark.parametrize("name", sorted(OBJECTIVES.keys() - OPTIMAL_SCORES.keys()))
def test_what_is_no_function_of_the_ratio_is_refused(name: str) -> None:
    assert name in ("wasserstein", "relativistic-average")
    with pytest.raises(TheoryError, match="no function of the density ratio"):
        optimal_score(name, PAIR.log_ratio)
