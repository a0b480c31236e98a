"""The Dirac-GAN against its published eigenvalues, invariants and limit cycles."""

import itertools
import math

import numpy as np
import pytest

from cardigan.theory.dirac import STEPS, DiracGAN, radius

STEP = 1e-6


@pytest.mark.parametrize("payoff", ["minimax", "non-saturating", "wasserstein"])
@pytest.mark.parametrize("r1", [0.0, 0.3, 1.0, 2.0])
def test_jacobian_and_eigenvalues(payoff: str, r1: float) -> None:
    game = DiracGAN(payoff, r1)
    columns = [
        [(a - b) / (2 * STEP) for a, b in zip(game.velocity(up), game.velocity(down), strict=True)]
        for up, down in (((STEP, 0.0), (-STEP, 0.0)), ((0.0, STEP), (0.0, -STEP)))
    ]
    numeric = np.array(columns).T
    np.testing.assert_allclose(numeric, game.jacobian(), atol=1e-9)
    key = lambda value: (round(value.real, 6), value.imag)  # noqa: E731
    exact = sorted(game.eigenvalues(), key=key)
    np.testing.assert_allclose(sorted(np.linalg.eigvals(numeric).astype(complex), key=key), exact, atol=1e-4)


def test_published_eigenvalues() -> None:
    assert DiracGAN("minimax").eigenvalues() == (0.5j, -0.5j)
    assert DiracGAN("wasserstein").eigenvalues() == (1j, -1j)
    assert DiracGAN("minimax", 0.3).eigenvalues()[0] == pytest.approx(-0.15 + 0.4769696007j, abs=1e-9)
    assert DiracGAN("minimax", 1.0).eigenvalues() == (-0.5, -0.5)
    assert [value.real for value in DiracGAN("minimax", 2.0).eigenvalues()] == pytest.approx([-0.1339746, -1.8660254])


def test_simultaneous_wasserstein_play_grows_by_a_known_factor() -> None:
    states = DiracGAN("wasserstein").trajectory((1.0, 0.0), 0.1, 50)
    for before, after in itertools.pairwise(states):
        assert radius(after) / radius(before) == pytest.approx(math.sqrt(1.01), rel=1e-14)


def test_alternating_wasserstein_play_stays_bounded() -> None:
    radii = [radius(state) for state in DiracGAN("wasserstein").trajectory((1.0, 0.0), 0.1, 5_000, "alternating")]
    assert min(radii) > 0.9
    assert max(radii) < 1.1


@pytest.mark.parametrize("payoff", ["minimax", "wasserstein"])
def test_slow_play_of_a_zero_sum_game_conserves_the_radius(payoff: str) -> None:
    states = DiracGAN(payoff).trajectory((1.0, 0.5), 1e-4, 20_000)
    assert radius(states[-1]) == pytest.approx(radius(states[0]), rel=2e-4)


@pytest.mark.parametrize("rate", [0.1, 0.05, 0.02])
def test_non_saturating_play_settles_on_a_circle(rate: float) -> None:
    """Its radius is √(2η): what it gains by a step's length balances what the payoff's curvature takes."""
    states = DiracGAN("non-saturating").trajectory((1.0, 0.0), rate, int(400 / rate**1.5))
    late = [radius(state) for state in states[-2_000:]]
    assert sum(late) / len(late) == pytest.approx(math.sqrt(2 * rate), rel=0.01)


@pytest.mark.parametrize(("r1", "factor"), [(0.1, 0.99624), (0.3, 0.98615), (2.0, 0.98660)])
def test_r1_contracts_at_the_rate_of_its_eigenvalues(r1: float, factor: float) -> None:
    game, rate = DiracGAN("minimax", r1), 0.1
    assert max(abs(1 + rate * value) for value in game.eigenvalues()) == pytest.approx(factor, abs=1e-5)
    states = game.trajectory((0.1, 0.0), rate, 3_300)
    assert (radius(states[-1]) / radius(states[300])) ** (1 / 3_000) == pytest.approx(factor, abs=2e-4)


@pytest.mark.parametrize("play", ["extragradient", "consensus"])
def test_what_converges_without_a_penalty(play: str) -> None:
    states = DiracGAN("wasserstein").trajectory((1.0, 0.5), 0.1, 2_000, play)
    assert radius(states[-1]) < 1e-3
    assert set(STEPS) == {"simultaneous", "alternating", "extragradient", "consensus"}


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_consensus_contracts_by_its_weight(weight: float) -> None:
    """Its Jacobian is J − w JᵀJ, of eigenvalues −w ± i for Wasserstein's J: a step of η scales by |1 + η(−w + i)|."""
    states = DiracGAN("wasserstein").trajectory((1.0, 0.5), 0.1, 20, "consensus", consensus=weight)
    factor = math.hypot(1 - 0.1 * weight, 0.1)
    for before, after in itertools.pairwise(states):
        assert radius(after) / radius(before) == pytest.approx(factor, rel=1e-6)
