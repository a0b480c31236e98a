"""The f-divergences and their variational form, by quadrature."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cardigan.objectives import DIVERGENCES, OBJECTIVES
from objectives_quadrature import Pair, derivative, gauss_legendre, log_normal

PAIRS = {"shift 1": Pair(1, 1), "shift 2": Pair(2, 1), "scale 2": Pair(0, 2), "both": Pair(1, 1.25)}
NAMES = list(DIVERGENCES)

JSD = (0.1114214822, 0.3368308203, 0.0927333817, 0.0970342428)
ORACLES = {
    "kl": (0.5, 2, 0.3181471806, 0.3631435513),
    "reverse-kl": (0.5, 2, 0.8068528194, 0.5581064487),
    "pearson": (1.7182818285, 53.5981500331, 0.5118578920, 0.7159887356),
    "hellinger": (0.2350061948, 0.7869386806, 0.2111456180, 0.2081656016),
    "jensen-shannon": tuple(2 * jsd for jsd in JSD),
    "gan": tuple(2 * jsd - math.log(4) for jsd in JSD),
    "total-variation": (0.3829249225, 0.6826894921, 0.3226745688, 0.3528822755),
}
ROWS = [
    pytest.param(name, pair, value, id=f"{name}-{label}")
    for name, values in ORACLES.items()
    for (label, pair), value in zip(PAIRS.items(), values, strict=True)
]

# The realness v* at which g_f(v*) = T*, as a function of log u.
OPTIMAL_REALNESS: dict[str, Callable[[Tensor], Tensor]] = {
    "kl": lambda log_u: 1 + log_u,
    "reverse-kl": lambda log_u: log_u,
    "pearson": lambda log_u: 2 * torch.expm1(log_u),
    "hellinger": lambda log_u: log_u / 2,
    "jensen-shannon": lambda log_u: log_u,
    "gan": lambda log_u: log_u,
    "total-variation": lambda log_u: 50 * torch.sign(log_u),
}


@pytest.mark.parametrize(("name", "pair", "value"), ROWS)
def test_primal_is_the_divergence(name: str, pair: Pair, value: float) -> None:
    assert pair.over_q(DIVERGENCES[name].f(pair.log_ratio.exp())).item() == pytest.approx(value, rel=1e-9, abs=3e-10)


@pytest.mark.parametrize(("name", "pair", "value"), ROWS)
def test_dual_at_the_optimal_variational_function(name: str, pair: Pair, value: float) -> None:
    divergence = DIVERGENCES[name]
    t = divergence.optimal_variational(pair.log_ratio)
    conjugate = divergence.conjugate(t)
    if name in ("gan", "jensen-shannon"):  # f*(T*) written with log u: e^T rounds to its bound in the tails
        conjugate = divergence.conjugate_of_activation(pair.log_ratio)
    dual = pair.over_p(t) - pair.over_q(conjugate)
    assert dual.item() == pytest.approx(value, rel=1e-9, abs=3e-10)


@pytest.mark.parametrize(("name", "pair", "value"), ROWS)
def test_objective_at_the_optimal_critic(name: str, pair: Pair, value: float) -> None:
    realness = OPTIMAL_REALNESS[name](pair.log_ratio)
    assert -pair.expect(OBJECTIVES[f"f-{name}"].discriminator, realness) == pytest.approx(value, rel=1e-9, abs=3e-10)


@pytest.mark.parametrize("name", NAMES)
def test_the_optimum_is_the_derivative_of_f(name: str) -> None:
    log_u = torch.linspace(-3, 3, 24, dtype=torch.float64)
    u = log_u.exp().requires_grad_()
    (slope,) = torch.autograd.grad(DIVERGENCES[name].f(u).sum(), u)
    torch.testing.assert_close(slope, DIVERGENCES[name].optimal_variational(log_u))


@pytest.mark.parametrize("name", NAMES)
def test_the_conjugate_is_the_supremum(name: str) -> None:
    divergence = DIVERGENCES[name]
    v = torch.linspace(-2, 2, 9, dtype=torch.float64)
    t = divergence.activation(v)
    u = torch.linspace(math.log(1e-6), math.log(200), 400_001, dtype=torch.float64).exp()
    supremum = torch.stack([(u * each - divergence.f(u)).max() for each in t])
    # Grid points come within 2.4e-5 of the best log u; the boundary u = 0 is missed by at most 1e-5.
    torch.testing.assert_close(divergence.conjugate(t), supremum, rtol=1e-5, atol=3e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_stable_composition_is_the_composition(name: str) -> None:
    divergence = DIVERGENCES[name]
    v = torch.linspace(-6, 6, 49, dtype=torch.float64)
    composed = divergence.conjugate(divergence.activation(v))
    torch.testing.assert_close(divergence.conjugate_of_activation(v), composed, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_the_activation_grows_with_realness(name: str) -> None:
    v = torch.linspace(-4, 4, 50, dtype=torch.float64)
    assert (DIVERGENCES[name].activation(v).diff() > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_f_is_nought_at_equality(name: str) -> None:
    at_one = DIVERGENCES[name].f(torch.ones((), dtype=torch.float64)).item()
    assert at_one == pytest.approx(-2 * math.log(2) if name == "gan" else 0, abs=1e-15)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(c=st.lists(st.floats(-2, 2), min_size=4, max_size=4), row=st.integers(0, 3))
def test_no_critic_exceeds_the_divergence(name: str, c: list[float], row: int) -> None:
    pair = list(PAIRS.values())[row]
    realness = c[0] + c[1] * torch.tanh(pair.x) + c[2] * torch.sin(3 * pair.x) + c[3] * torch.cos(pair.x)
    value = -pair.expect(OBJECTIVES[f"f-{name}"].discriminator, realness)
    assert value <= ORACLES[name][row] + 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_the_generator_follows_the_divergence_at_the_frozen_optimum(name: str) -> None:
    """d/dθ of the generator's loss under q = N(θ, 1), the critic's scores being a fixed function of the example."""
    theta = 1.0
    y, weights = gauss_legendre([-11.0, theta / 2, 13.0])
    realness = OPTIMAL_REALNESS[name](theta**2 / 2 - theta * y)
    losses = torch.vmap(lambda v: OBJECTIVES[f"f-{name}"].generator(None, v[None]))(realness)
    shift = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad((weights * log_normal(y, shift, 1).exp() * losses).sum(), shift)

    def value(t: float) -> float:
        pair = Pair(t, 1)
        return pair.over_q(DIVERGENCES[name].f(pair.log_ratio.exp())).item()

    assert gradient.item() == pytest.approx(derivative(value, theta), rel=1e-8)
