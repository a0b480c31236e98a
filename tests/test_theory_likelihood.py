"""Bounds of log p(x) on a model where it is known."""

import math

import pytest
import torch
from torch import Tensor

from cardigan.errors import TheoryError
from cardigan.theory.likelihood import Annealing, LinearGaussian, importance_bound, schedule

DIMENSIONS, LATENTS = 16, 4


@pytest.fixture(scope="module")
def model() -> LinearGaussian:
    weights = torch.randn(DIMENSIONS, LATENTS, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return LinearGaussian(weights, torch.linspace(-1, 1, DIMENSIONS, dtype=torch.float64), math.sqrt(0.1))


@pytest.fixture(scope="module")
def simulated(model: LinearGaussian) -> tuple[Tensor, Tensor]:
    return model.simulate(64, torch.Generator().manual_seed(1))


def test_with_the_exact_posterior_every_sample_tells_log_p(
    model: LinearGaussian, simulated: tuple[Tensor, Tensor]
) -> None:
    """log p(x) = log p(x|z) + log p(z) − log p(z|x), whatever z."""
    x, _ = simulated
    mean, covariance = model.posterior(x)
    root = torch.linalg.cholesky(covariance)
    for seed in range(3):
        noise = torch.randn(64, LATENTS, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        z = mean + noise @ root.T
        log_posterior = -0.5 * noise.square().sum(1) - root.diagonal().log().sum()
        bound = model.log_likelihood(x)(z[None])[0] - 0.5 * z.square().sum(1) - log_posterior
        torch.testing.assert_close(bound, model.log_prob(x), rtol=0, atol=1e-10)


def test_importance_weights_close_the_gap(model: LinearGaussian, simulated: tuple[Tensor, Tensor]) -> None:
    x, _ = simulated
    mean, covariance = model.posterior(x)
    precision = torch.linalg.inv(covariance).diagonal()
    deviation = precision.rsqrt().expand(64, LATENTS)  # the best q with independent latents
    gaps = []
    for samples in (1, 5, 50, 500):
        repeats = [
            importance_bound(model.log_likelihood(x), mean, deviation, samples, torch.Generator().manual_seed(seed))
            for seed in range(50)
        ]
        gaps.append((model.log_prob(x) - torch.stack(repeats).mean(0)).mean().item())
    kl = 0.5 * (precision.log().sum() + covariance.logdet()).item()  # of q from the posterior
    assert gaps[0] == pytest.approx(kl, abs=0.02)
    assert gaps[0] > gaps[1] > gaps[2] > gaps[3] - 1e-3
    assert gaps[3] == pytest.approx(0, abs=5e-3)


@pytest.fixture(scope="module")
def annealed(model: LinearGaussian, simulated: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, float]:
    """Errors of both bounds, and the share of moves accepted."""
    x, z = simulated
    annealing = Annealing(model.log_likelihood(x), LATENTS, steps=1_000)
    start = torch.randn(16, 64, LATENTS, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    lower = annealing.lower(start, torch.Generator().manual_seed(3))
    upper = annealing.upper(z, torch.Generator().manual_seed(4))
    exact = model.log_prob(x)
    return lower.log_prob - exact, upper.log_prob - exact, lower.acceptance


def test_annealing_is_within_a_tenth_of_a_nat(annealed: tuple[Tensor, Tensor, float]) -> None:
    lower, upper, acceptance = annealed
    assert abs(lower.mean().item()) < 0.1
    assert 0.5 < acceptance < 0.8
    gap = (upper - lower).mean().item()
    error = (upper - lower).std().item() / 8
    assert -3 * error < gap < 0.5


def test_both_bounds_hold_in_the_mean(annealed: tuple[Tensor, Tensor, float]) -> None:
    lower, upper, _ = annealed
    assert lower.mean() < 3 * lower.std() / 8
    assert upper.mean() > -3 * upper.std() / 8


def test_a_nonlinear_decoder_against_quadrature() -> None:
    """One latent, so that log p(x) is an integral over a line."""
    stream = torch.Generator().manual_seed(0)
    inner, outer = (torch.randn(*shape, dtype=torch.float64, generator=stream) for shape in ((1, 8), (8, 4)))

    def decode(z: Tensor) -> Tensor:
        return torch.tanh(2 * z @ inner) @ outer

    x = decode(torch.randn(16, 1, dtype=torch.float64, generator=stream))
    x = x + 0.3 * torch.randn(16, 4, dtype=torch.float64, generator=stream)

    def log_likelihood(z: Tensor) -> Tensor:
        error = (x - decode(z)) / 0.3
        return -0.5 * error.square().sum(-1) - 4 * math.log(0.3 * math.sqrt(2 * math.pi))

    line = torch.linspace(-8, 8, 20_001, dtype=torch.float64)
    log_prior = -0.5 * line.square() - 0.5 * math.log(2 * math.pi)
    values = log_likelihood(line[:, None, None].expand(-1, 16, 1)) + log_prior[:, None]
    exact = torch.logsumexp(values, 0) + math.log(16 / 20_000)

    start = torch.randn(16, 16, 1, dtype=torch.float64, generator=stream)
    bound = Annealing(log_likelihood, 1, steps=500).lower(start, torch.Generator().manual_seed(1))
    assert (bound.log_prob - exact).mean().item() == pytest.approx(0, abs=0.15)


def test_the_same_draws_give_the_same_bound(model: LinearGaussian, simulated: tuple[Tensor, Tensor]) -> None:
    annealing = Annealing(model.log_likelihood(simulated[0]), LATENTS, steps=20, chains=4)
    start = torch.randn(4, 64, LATENTS, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    first, second = (annealing.lower(start, torch.Generator().manual_seed(5)).log_prob for _ in range(2))
    assert torch.equal(first, second)


def test_the_schedule_begins_at_the_prior_and_ends_at_the_posterior() -> None:
    temperatures = schedule(100)
    assert len(temperatures) == 101
    assert temperatures[0] == 0
    assert temperatures[-1] == 1
    assert (temperatures.diff() > 0).all()


@pytest.mark.parametrize("wrong", [{"steps": 1}, {"chains": 0}])
def test_wrong_use_is_refused(model: LinearGaussian, wrong: dict[str, int]) -> None:
    with pytest.raises(TheoryError, match="at least 2 steps and 1 chain"):
        Annealing(lambda z: z.sum(-1), LATENTS, **wrong)
    with pytest.raises(TheoryError, match="positive"):
        LinearGaussian(model.weights, model.mean, 0.0)
