"""Slope penalties against critics whose slopes are known, and weight clipping."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cardigan.objectives import (
    OBJECTIVES,
    clip_weights_,
    gradient_penalty,
    scores_and_squared_slopes,
    zero_centred_penalty,
)
from objectives_quadrature import Pair


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images_like(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=dtype)


def linear(weight: Tensor) -> Callable[[Tensor, Tensor | None], Tensor]:
    return lambda images, labels: (images * weight).flatten(1).sum(1)


class Smooth(nn.Module):
    """A small critic with every derivative, conditional if labels are given."""

    def __init__(self, inputs: int, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, 5, dtype=dtype)
        self.last = nn.Linear(5, 1, dtype=dtype)
        with torch.no_grad():
            for i, parameter in enumerate(self.parameters()):
                parameter.copy_(images_like(*parameter.shape, seed=100 + i))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        hidden = nn.functional.silu(self.first(images.flatten(1)))
        return self.last(hidden if labels is None else hidden * (1 + labels[:, None])).squeeze(1)


def penalty_of_parameters(critic: Smooth, penalty: Callable[[Callable], Tensor]) -> Callable[..., Tensor]:
    """A penalty as a function of the critic's parameters, for gradcheck."""
    names = [name for name, _ in critic.named_parameters()]

    def function(*values: Tensor) -> Tensor:
        parameters = dict(zip(names, values, strict=True))
        return penalty(lambda *inputs: torch.func.functional_call(critic, parameters, inputs))

    return function


# Squared slopes, R1 and R2


def test_r1_of_a_quadratic_critic() -> None:
    a = torch.tensor([[1, 0.5], [0.5, 2]], dtype=torch.float64)
    b = torch.tensor([0.3, -0.2], dtype=torch.float64)
    mean = torch.tensor([1, -1], dtype=torch.float64)
    root = torch.linalg.cholesky(torch.tensor([[1, 0.2], [0.2, 0.5]], dtype=torch.float64))
    cubature = mean + math.sqrt(2) * torch.cat([root.T, -root.T])  # exact mean and covariance
    scores, squared = scores_and_squared_slopes(lambda x, _: 0.5 * ((x @ a) * x).sum(1) + x @ b, cubature)
    assert squared.mean().item() == pytest.approx(7.505, abs=1e-12)
    assert zero_centred_penalty(squared).item() == pytest.approx(7.505 / 2, abs=1e-12)
    torch.testing.assert_close(scores, 0.5 * torch.einsum("ni,ij,nj->n", cubature, a, cubature) + cubature @ b)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_slopes_are_summed_over_all_dimensions_of_each_image(layout: torch.memory_format) -> None:
    weight = images_like(3, 4, 5)
    images = images_like(6, 3, 4, 5, seed=1).to(memory_format=layout)
    scores, squared = scores_and_squared_slopes(linear(weight), images)
    assert scores.shape == squared.shape == (6,)
    torch.testing.assert_close(squared, weight.square().sum().expand(6))


def test_slopes_agree_with_finite_differences_and_labels_are_handed_on() -> None:
    critic, images, labels = Smooth(6), images_like(4, 1, 2, 3), torch.tensor([0, 1, 2, 3])
    _, squared = scores_and_squared_slopes(critic, images, labels)
    step = 1e-5
    basis = torch.eye(6, dtype=torch.float64).view(6, 1, 2, 3) * step
    slopes = [(critic(images + e, labels) - critic(images - e, labels)) / (2 * step) for e in basis]
    torch.testing.assert_close(squared, torch.stack(slopes).square().sum(0), rtol=1e-7, atol=1e-9)


def test_parameter_gradients_of_the_zero_centred_penalty() -> None:
    critic, images = Smooth(4), images_like(3, 1, 2, 2)

    def penalty(net: Callable) -> Tensor:
        scores, squared = scores_and_squared_slopes(net, images)
        return zero_centred_penalty(squared) + scores.mean()

    assert torch.autograd.gradcheck(penalty_of_parameters(critic, penalty), tuple(critic.parameters()))


def test_the_images_stay_out_of_it() -> None:
    critic = Smooth(4)
    images = images_like(3, 4).requires_grad_()
    _, squared = scores_and_squared_slopes(critic, images)
    squared.sum().backward()
    assert images.grad is None
    assert critic.first.weight.grad is not None
    with torch.no_grad():
        assert scores_and_squared_slopes(critic, images.detach())[1].shape == (3,)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_autocast_is_left_outside(dtype: torch.dtype) -> None:
    critic = Smooth(4, torch.float32)
    images = images_like(8, 4).to(dtype)
    plain = scores_and_squared_slopes(critic, images.float())
    with torch.autocast("cpu", torch.bfloat16):
        within = scores_and_squared_slopes(critic, images)
        penalty = gradient_penalty(critic, images, -images)
    for ours, reference in zip(within, plain, strict=True):
        assert ours.dtype == torch.float32
        assert torch.equal(ours, reference)
    assert penalty.dtype == torch.float32


def test_wasserstein_with_r1_and_r2_measures_the_sobolev_distance() -> None:
    """sup E_p s − E_q s − γ/2 (E_p + E_q)‖∇s‖² = S²/(4γ), at s' = (F_q − F_p)/(2γm) with m the mean density."""
    gamma, pair = 0.5, Pair(1, 1)
    x = torch.linspace(-8, 9, 40_001, dtype=torch.float64)
    normal = torch.distributions.Normal(0, torch.ones((), dtype=torch.float64))
    p, q = normal.log_prob(x).exp(), normal.log_prob(x - pair.mean).exp()
    slope = (normal.cdf(x) - normal.cdf(x - pair.mean)) / (gamma * (p + q))
    heights = -torch.cat([slope.new_zeros(1), torch.cumulative_trapezoid(slope, x)])
    offset = x[:, None].clone()
    scores, squared = scores_and_squared_slopes(lambda y, _: heights - slope * (y - offset)[:, 0], offset)

    def over(density: Tensor, values: Tensor) -> float:
        return torch.trapezoid(density * values, x).item()

    gain = over(p, scores) - over(q, scores)
    price = gamma / 2 * (over(p, squared) + over(q, squared))
    assert gain - price == pytest.approx(0.5048638364, abs=1e-6)
    assert 4 * gamma * (gain - price) == pytest.approx(1.0048520651**2, abs=2e-6)


# WGAN-GP


@pytest.mark.parametrize(("length", "one_sided", "expected"), [(1.7, False, 0.49), (1.7, True, 0.49), (0.4, True, 0)])
def test_gradient_penalty_of_a_linear_critic(length: float, one_sided: bool, expected: float) -> None:
    weight = images_like(2, 3, 3)
    critic = linear(length * weight / weight.norm())
    real, fake = images_like(5, 2, 3, 3, seed=1), images_like(5, 2, 3, 3, seed=2)
    assert gradient_penalty(critic, real, fake, one_sided=one_sided).item() == pytest.approx(expected, abs=1e-12)


def test_gradient_penalty_overestimates_the_distance_of_two_points() -> None:
    """With data at θ and fakes at 0 the best linear critic has slope 1 + θ/2λ and value θ + θ²/4λ, not θ."""
    theta, weighting = 1.0, 10.0
    weight = torch.tensor([1 + theta / (2 * weighting)], dtype=torch.float64, requires_grad=True)
    real = torch.full((4, 1), theta, dtype=torch.float64)
    critic = linear(weight)
    raw = OBJECTIVES["wasserstein"].discriminator(critic(real, None), critic(0 * real, None))
    loss = raw + weighting * gradient_penalty(critic, real, 0 * real)
    loss.backward()
    assert weight.grad.item() == pytest.approx(0, abs=1e-12)
    assert -raw.item() == pytest.approx(1.05)
    assert -loss.item() == pytest.approx(1.025)


def test_mixes_lie_on_the_segments_at_a_place_of_their_own() -> None:
    seen: list[Tensor] = []

    def critic(images: Tensor, labels: Tensor | None) -> Tensor:
        seen.append(images.detach())
        return images.flatten(1).sum(1)

    real, fake = images_like(50, 1, 2, 2, seed=1), images_like(50, 1, 2, 2, seed=2)
    gradient_penalty(critic, real, fake, generator=seeded())
    gradient_penalty(critic, real, fake, generator=seeded())
    place = (seen[0] - fake) / (real - fake)
    torch.testing.assert_close(place, place[:, :, :1, :1].expand_as(place))
    assert ((place >= -1e-9) & (place <= 1 + 1e-9)).all()
    assert place[:, 0, 0, 0].std().item() == pytest.approx(math.sqrt(1 / 12), abs=0.05)
    assert torch.equal(*seen)


@pytest.mark.parametrize("one_sided", [False, True])
def test_gradient_penalty_is_finite_where_the_slope_is_nought(one_sided: bool) -> None:
    weight = torch.zeros(3, requires_grad=True)
    real = images_like(4, 3, dtype=torch.float32)
    penalty = gradient_penalty(linear(weight), real, -real, one_sided=one_sided)
    penalty.backward()
    assert penalty.item() == (0 if one_sided else 1)
    assert torch.equal(weight.grad, torch.zeros(3))


@pytest.mark.parametrize("one_sided", [False, True])
def test_parameter_gradients_of_the_gradient_penalty(one_sided: bool) -> None:
    critic, labels = Smooth(4), torch.tensor([0, 2, 1])
    real, fake = images_like(3, 1, 2, 2, seed=1), images_like(3, 1, 2, 2, seed=2)

    def penalty(net: Callable) -> Tensor:
        return gradient_penalty(net, real, fake, labels, one_sided=one_sided, generator=seeded())

    assert torch.autograd.gradcheck(penalty_of_parameters(critic, penalty), tuple(critic.parameters()))


# Clipping


def test_clipping_reaches_every_parameter_in_place() -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 1))
    before = {name: (parameter, parameter.detach().clone()) for name, parameter in module.named_parameters()}
    assert clip_weights_(module, 0.01) is None
    for name, parameter in module.named_parameters():
        identity, old = before[name]
        assert parameter is identity
        assert parameter.requires_grad
        assert torch.equal(parameter.detach(), old.clamp(-0.01, 0.01))
    assert torch.equal(module[1].running_var, torch.ones(4))
    assert torch.equal(module[1].weight.detach(), torch.full((4,), 0.01))


@pytest.mark.parametrize("bound", [0.0, -0.01])
def test_clipping_needs_a_bound(bound: float) -> None:
    with pytest.raises(ValueError, match="bound must be positive"):
        clip_weights_(nn.Linear(1, 1), bound)
