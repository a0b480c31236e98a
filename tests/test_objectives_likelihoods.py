"""Likelihoods and evidence bounds against torch.distributions, normalisation and an exact Gaussian model."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from cardigan.objectives import (
    bernoulli_log_likelihood,
    binarise,
    bits_per_dimension,
    corrupt,
    discretised_logistic_log_likelihood,
    gaussian_log_likelihood,
    importance_weighted_bound,
    kl_to_standard_normal,
    reconstruction_error,
)

SHAPE = (4, 2, 3, 5)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def levels_of(levels: int) -> Tensor:
    return torch.linspace(-1, 1, levels, dtype=torch.float64)


def test_bernoulli_agrees_with_torch() -> None:
    logits, targets = 3 * noise(*SHAPE), binarise(noise(*SHAPE, seed=1), seeded())
    expected = Bernoulli(logits=logits).log_prob(targets).sum((1, 2, 3))
    torch.testing.assert_close(bernoulli_log_likelihood(logits, targets), expected)


def test_bernoulli_survives_enormous_logits() -> None:
    logits, targets = torch.tensor([[1e4, -1e4], [1e4, -1e4]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert bernoulli_log_likelihood(logits, targets).tolist() == [0, -2e4]


@pytest.mark.parametrize("scale_shape", [SHAPE, (1, 2, 1, 1), (), (1,)])
def test_gaussian_agrees_with_torch(scale_shape: tuple[int, ...]) -> None:
    mean, log_scale, images = noise(*SHAPE), noise(*scale_shape, seed=1), noise(*SHAPE, seed=2)
    expected = Normal(mean, log_scale.exp()).log_prob(images).sum((1, 2, 3))
    torch.testing.assert_close(gaussian_log_likelihood(mean, log_scale, images), expected)


@settings(max_examples=60, deadline=None)
@given(mean=st.floats(-3, 3), log_scale=st.floats(-9, 6), levels=st.sampled_from([2, 3, 17, 256, 65_536]))
def test_discretised_logistic_sums_to_one(mean: float, log_scale: float, levels: int) -> None:
    pixels = levels_of(levels)[:, None]
    log_probabilities = discretised_logistic_log_likelihood(
        torch.full_like(pixels, mean), torch.tensor(log_scale, dtype=torch.float64), pixels, levels
    )
    assert torch.logsumexp(log_probabilities, 0).item() == pytest.approx(0, abs=1e-9)


def test_discretised_logistic_is_the_difference_of_distribution_functions() -> None:
    images = levels_of(256)[torch.randint(256, SHAPE, generator=seeded())]
    mean, log_scale = 0.3 * noise(*SHAPE, seed=1), -1 + 0.3 * noise(1, 2, 1, 1, seed=2)
    scale, half_bin = log_scale.exp(), 1 / 255
    upper, lower = (torch.sigmoid((images + side - mean) / scale) for side in (half_bin, -half_bin))
    upper = torch.where(images == 1, 1.0, upper)
    lower = torch.where(images == -1, 0.0, lower)
    expected = torch.log(upper - lower).sum((1, 2, 3))
    torch.testing.assert_close(discretised_logistic_log_likelihood(mean, log_scale, images), expected)


def test_discretised_logistic_is_exact_on_the_edges() -> None:
    mean, log_scale = torch.zeros(2, 1), torch.tensor(math.log(0.5))
    edges = torch.tensor([[-1.0], [1.0]])
    expected = torch.nn.functional.logsigmoid(torch.tensor((1 / 255 - 1) / 0.5)).expand(2)
    torch.testing.assert_close(discretised_logistic_log_likelihood(mean, log_scale, edges), expected)


@pytest.mark.parametrize("log_scale", [-30.0, -7.0, 0.0, 7.0, 30.0])
def test_discretised_logistic_is_finite_in_float32(log_scale: float) -> None:
    images = levels_of(256).float()[:, None]
    mean = torch.full_like(images, 0.9).requires_grad_()
    scale = torch.full_like(images, log_scale).requires_grad_()
    values = discretised_logistic_log_likelihood(mean, scale, images)
    assert values.isfinite().all()
    assert (values <= 0).all()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(values.sum(), (mean, scale)))


def test_discretised_logistic_needs_two_levels() -> None:
    with pytest.raises(ValueError, match="levels must be at least 2"):
        discretised_logistic_log_likelihood(torch.zeros(1, 1), torch.zeros(1), torch.zeros(1, 1), levels=1)


def test_kl_is_nought_at_the_prior_and_agrees_with_torch() -> None:
    zero = torch.zeros(3, 7)
    assert torch.equal(kl_to_standard_normal(zero, zero), torch.zeros(3))
    mean, log_variance = noise(3, 7), noise(3, 7, seed=1)
    posterior, prior = Normal(mean, (log_variance / 2).exp()), Normal(0 * mean, 1.0)
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), kl_divergence(posterior, prior).sum(1))


def test_gradchecks() -> None:
    mean, scale = noise(2, 3).requires_grad_(), (noise(2, 3, seed=1) - 1).requires_grad_()
    images = levels_of(8)[torch.tensor([[0, 3, 7], [1, 5, 6]])]
    binary = (images > 0).double()
    assert torch.autograd.gradcheck(lambda m: bernoulli_log_likelihood(m, binary), (mean,))
    assert torch.autograd.gradcheck(lambda m, s: gaussian_log_likelihood(m, s, images), (mean, scale))
    assert torch.autograd.gradcheck(
        lambda m, s: discretised_logistic_log_likelihood(m, s, images, levels=8), (mean, scale)
    )
    assert torch.autograd.gradcheck(kl_to_standard_normal, (mean, scale))
    assert torch.autograd.gradcheck(importance_weighted_bound, (mean,))
    assert torch.autograd.gradcheck(lambda m: reconstruction_error(m, images), (mean,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_precision_follows_the_input_and_is_float32_at_least(dtype: torch.dtype) -> None:
    x = noise(2, 3).clamp(-1, 1).to(dtype)
    results = [
        bernoulli_log_likelihood(x, binarise(x)),
        gaussian_log_likelihood(x, x, x),
        discretised_logistic_log_likelihood(x, x, x),
        kl_to_standard_normal(x, x),
        importance_weighted_bound(x.T),
        reconstruction_error(x, -x),
    ]
    assert all(result.dtype == torch.promote_types(dtype, torch.float32) for result in results)
    assert all(result.shape == (2,) for result in results)


# The evidence, on z ~ N(0, 1), x|z ~ N(z, 1), whose log p(x) and posterior N(x/2, 1/2) are known


def log_weights(x: Tensor, k: int, shift: float, scale: float, seed: int) -> Tensor:
    """log p(x, z) − log q(z|x) for k draws from q = N(x/2 + shift, scale²/2)."""
    encoder = Normal(x / 2 + shift, scale * math.sqrt(0.5))
    z = encoder.mean + encoder.stddev * noise(k, len(x), seed=seed)
    return Normal(0.0, 1.0).log_prob(z) + Normal(z, 1.0).log_prob(x) - encoder.log_prob(z)


def log_evidence(x: Tensor) -> Tensor:
    return Normal(0.0, math.sqrt(2)).log_prob(x)


@pytest.mark.parametrize("k", [1, 2, 64])
def test_with_the_true_posterior_every_bound_is_the_evidence(k: int) -> None:
    x = noise(9)
    bound = importance_weighted_bound(log_weights(x, k, shift=0, scale=1, seed=1))
    torch.testing.assert_close(bound, log_evidence(x))


def test_bounds_grow_with_the_number_of_draws_towards_the_evidence() -> None:
    x = torch.full((20_000,), 0.7, dtype=torch.float64)
    bounds = {k: importance_weighted_bound(log_weights(x, k, shift=0.5, scale=1.2, seed=k)) for k in (1, 2, 8, 64)}
    means = [bound.mean().item() for bound in bounds.values()]
    assert means == sorted(means)
    assert means[-1] < log_evidence(x[:1]).item() + 0.01
    assert means[-1] == pytest.approx(log_evidence(x[:1]).item(), abs=0.02)
    gap = kl_divergence(Normal(0.5, 1.2 * math.sqrt(0.5)), Normal(0.0, math.sqrt(0.5))).item()
    error = bounds[1].std().item() / math.sqrt(len(x))
    assert log_evidence(x[:1]).item() - means[0] == pytest.approx(gap, abs=4 * error)


def test_bits_of_uniform_bytes_are_eight() -> None:
    nats = -12 * math.log(256)
    assert bits_per_dimension(nats, 12) == pytest.approx(8)
    torch.testing.assert_close(bits_per_dimension(torch.full((3,), nats), 12), torch.full((3,), 8.0))


# Corruption


def test_binarise_draws_with_the_pixels_probability() -> None:
    images = torch.tensor([-1.0, -0.5, 0.0, 0.6, 1.0]).expand(20_000, 5)
    draws = binarise(images, seeded())
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    means = draws.mean(0)
    assert means[0] == 0
    assert means[-1] == 1
    torch.testing.assert_close(means, (images[0] + 1) / 2, rtol=0, atol=0.015)
    assert torch.equal(draws, binarise(images, seeded()))


def test_reconstruction_error_is_a_mean_over_dimensions() -> None:
    target = torch.zeros(2, 1, 2, 2)
    prediction = target + torch.tensor([0.5, -2.0]).view(2, 1, 1, 1)
    assert reconstruction_error(prediction, target).tolist() == [0.25, 4.0]


def test_gaussian_corruption_has_the_given_level() -> None:
    images = noise(2000, 1, 4, 4).float()
    added = corrupt(images, "gaussian", 0.3, seeded(1)) - images
    assert added.std().item() == pytest.approx(0.3, rel=0.02)
    assert added.mean().item() == pytest.approx(0, abs=0.01)


def test_masking_blackens_whole_pixels() -> None:
    images = noise(500, 3, 8, 8).float()
    corrupted = corrupt(images, "mask", 0.25, seeded(1))
    lost = (corrupted == -1).all(1, keepdim=True)
    assert torch.equal(corrupted, torch.where(lost, -1.0, images))
    assert lost.float().mean().item() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("kind", ["gaussian", "mask"])
def test_corruption_is_reproducible_and_optional(kind: str) -> None:
    images = noise(3, 1, 4, 4)
    assert torch.equal(corrupt(images, kind, 0.5, seeded(2)), corrupt(images, kind, 0.5, seeded(2)))
    assert torch.equal(corrupt(images, kind, 0.0), images)
