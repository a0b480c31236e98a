"""The two players' losses against quadrature, the lecture's formulas and each other."""

import math
from collections.abc import Callable
from functools import partial
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cardigan.objectives import DIVERGENCES, OBJECTIVES, ObjectiveName, adversarial, f_objective
from objectives_quadrature import Pair, derivative, gauss_legendre, log_normal

PAIRS = {"shift 1": Pair(1, 1), "shift 2": Pair(2, 1), "scale 2": Pair(0, 2), "both": Pair(1, 1.25)}

# Exact values for N(0, 1) against the four generators above, by independent quadrature to 1e-9.
JSD = (0.1114214822, 0.3368308203, 0.0927333817, 0.0970342428)
TV = (0.3829249225, 0.6826894921, 0.3226745688, 0.3528822755)
DELTA = (0.4081085313, 1.1008009816, 0.3199644929, 0.3514505907)
OVERLAP = (0.3979728672, 0.2247997546, 0.4200088768, 0.4121373523)
PAIRED_JSD = (0.2013454716, 0.5000721361, 0.1701767960, 0.1774516179)
MINIMAX_D = (0.5817256984, 0.3563163602, 0.6004137989, 0.5961129378)
SATURATING_G = (-0.5817256984, -0.3563163602, -0.6217461951, -0.6091164696)
NON_SATURATING_G = (1.0817256984, 2.3563163602, 1.4285990145, 1.1672229183)
LEAST_SQUARES_D = (0.1989864336, 0.1123998773, 0.2100044384, 0.2060686762)
HINGE_D = (1.2341501549, 0.6346210158, 1.3546508624, 1.2942354490)

NAMES = sorted(OBJECTIVES)
SEPARABLE = [name for name in NAMES if not OBJECTIVES[name].paired]


def by_pair(*oracles: tuple[float, ...]) -> pytest.MarkDecorator:
    rows = [pytest.param(pair, *values, id=name) for (name, pair), *values in zip(PAIRS.items(), *oracles, strict=True)]
    return pytest.mark.parametrize(("pair", *(f"expected_{i}" for i in range(len(oracles)))), rows)


def scores_like(seed: int, n: int = 7) -> Tensor:
    return 2 * torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_names_are_the_literal() -> None:
    assert tuple(OBJECTIVES) == get_args(ObjectiveName)
    assert all(objective.name == name and objective.divergence for name, objective in OBJECTIVES.items())


def test_only_relativistic_losses_are_paired() -> None:
    assert {name for name in NAMES if OBJECTIVES[name].paired} == {"relativistic", "relativistic-average"}


# At the optimal discriminator


@by_pair(MINIMAX_D, JSD)
def test_discriminator_at_optimum_measures_jsd(pair: Pair, expected_0: float, expected_1: float) -> None:
    for name in ("minimax", "non-saturating"):
        loss = pair.expect(OBJECTIVES[name].discriminator, pair.log_ratio)
        assert loss == pytest.approx(expected_0, abs=2e-10)
        assert math.log(2) - loss == pytest.approx(expected_1, abs=2e-10)


@by_pair(SATURATING_G, NON_SATURATING_G)
def test_generator_at_the_optimal_discriminator(pair: Pair, expected_0: float, expected_1: float) -> None:
    saturating, non_saturating = OBJECTIVES["minimax"], OBJECTIVES["non-saturating"]
    assert pair.expect(saturating.generator, pair.log_ratio) == pytest.approx(expected_0, abs=2e-10)
    assert pair.expect(non_saturating.generator, pair.log_ratio) == pytest.approx(expected_1, abs=2e-10)


@by_pair(LEAST_SQUARES_D, DELTA, OVERLAP)
def test_least_squares_at_optimum(pair: Pair, expected_0: float, expected_1: float, expected_2: float) -> None:
    objective, optimum = OBJECTIVES["least-squares"], torch.sigmoid(pair.log_ratio)
    loss = pair.expect(objective.discriminator, optimum)
    assert loss == pytest.approx(expected_0, abs=2e-10)
    assert loss == pytest.approx(expected_2 / 2, abs=2e-10)
    assert loss == pytest.approx(1 / 4 - expected_1 / 8, abs=2e-10)
    of_real = 0.5 * pair.over_p((optimum - 1).square()).item()
    assert of_real + pair.expect(objective.generator, optimum) == pytest.approx(1 / 4 + expected_1 / 8, abs=2e-10)


@by_pair(HINGE_D, TV)
def test_hinge_at_optimum_measures_total_variation(pair: Pair, expected_0: float, expected_1: float) -> None:
    objective, optimum = OBJECTIVES["hinge"], torch.sign(pair.log_ratio)
    assert pair.expect(objective.discriminator, optimum) == pytest.approx(expected_0, abs=2e-10)
    twice_tv = pair.over_p(optimum).item() + pair.expect(objective.generator, optimum)
    assert twice_tv == pytest.approx(2 * expected_1, abs=2e-10)


@by_pair(PAIRED_JSD)
def test_relativistic_at_optimum_measures_jsd_of_pairs(pair: Pair, expected_0: float) -> None:
    grid, weights = gauss_legendre([-14.0 * pair.scale, pair.mean + 14.0 * pair.scale], panels=25, nodes=12)
    log_p, log_q = log_normal(grid, 0, 1), log_normal(grid, pair.mean, pair.scale)
    scores = log_p - log_q + 3.21  # any constant
    real, fake = (s.ravel() for s in torch.meshgrid(scores, scores, indexing="ij"))
    losses = torch.vmap(lambda r, f: OBJECTIVES["relativistic"].discriminator(r[None], f[None]))(real, fake)
    masses = torch.outer(weights * log_p.exp(), weights * log_q.exp())
    assert math.log(2) - (masses.ravel() * losses).sum().item() == pytest.approx(expected_0, abs=1e-8)


@pytest.mark.parametrize(("theta", "w1"), [(0.0, 0.0), (0.25, 0.25), (-3.0, 3.0)])
def test_wasserstein_of_two_points(theta: float, w1: float) -> None:
    real, fake = torch.tensor([theta]), torch.tensor([0.0])
    slope = 1.0 if theta >= 0 else -1.0
    assert -OBJECTIVES["wasserstein"].discriminator(slope * real, slope * fake).item() == pytest.approx(w1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
def test_smoothing_moves_the_optimum_as_salimans_says(smoothing: float) -> None:
    pair = PAIRS["both"]
    target = (1 - smoothing) * torch.sigmoid(pair.log_ratio)
    optimum = (target.log() - torch.log1p(-target)).requires_grad_()
    loss = partial(adversarial.minimax_discriminator, smoothing=smoothing)
    zero = optimum.new_zeros(1)
    of_real = torch.vmap(lambda s: loss(s[None], zero))(optimum)
    of_fake = torch.vmap(lambda s: loss(zero, s[None]))(optimum)
    (gradient,) = torch.autograd.grad(pair.over_p(of_real) + pair.over_q(of_fake), optimum)
    assert gradient.abs().max() < 1e-12


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-2, 2), min_size=4, max_size=4))
def test_discriminator_bounds_jsd_with_the_known_gap(c: list[float]) -> None:
    pair = PAIRS["shift 1"]
    scores = c[0] + c[1] * pair.x + c[2] * torch.sin(3 * pair.x) + c[3] * torch.tanh(pair.x)
    bound = math.log(2) - pair.expect(OBJECTIVES["minimax"].discriminator, scores)
    ours, best = torch.distributions.Bernoulli(logits=scores), torch.distributions.Bernoulli(logits=pair.log_ratio)
    excess = torch.distributions.kl_divergence(best, ours)
    gap = 0.5 * (pair.over_p(excess) + pair.over_q(excess)).item()
    assert gap >= -1e-12
    assert bound + gap == pytest.approx(JSD[0], abs=1e-9)


# Gradients


def frozen_gradient(generator: Callable[[Tensor], Tensor], score: Callable[[Tensor], Tensor], theta: float) -> float:
    """d/dθ of E loss(s(θ + z)), z ~ N(0, 1), with the discriminator's scores a fixed function."""
    z, weights = gauss_legendre([-12.0, 12.0])
    shift = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    losses = torch.vmap(lambda s: generator(s[None]))(score(shift + z))
    (gradient,) = torch.autograd.grad((weights * log_normal(z, 0, 1).exp() * losses).sum(), shift)
    return gradient.item()


def jsd(theta: float) -> float:
    pair = Pair(theta, 1)
    log_m = torch.logaddexp(pair.log_p, pair.log_q) - math.log(2)
    return 0.5 * (pair.over_p(pair.log_p - log_m) + pair.over_q(pair.log_q - log_m)).item()


def delta(theta: float) -> float:
    pair = Pair(theta, 1)
    return 2 - 4 * pair.over_p(torch.sigmoid(-pair.log_ratio)).item()


def kl_to_midpoint(theta: float) -> float:
    pair = Pair(theta, 1)
    return pair.over_p(pair.log_p - torch.logaddexp(pair.log_p, pair.log_q) + math.log(2)).item()


@pytest.mark.parametrize(
    ("theta", "half_saturating", "non_saturating"),
    [
        (0.5, 0.1176317531, 0.2647364939),
        (1.0, 0.1989864336, 0.6020271328),
        (2.0, 0.2247997546, 1.5504004908),
        (4.0, 0.0685974088, 3.8628051824),
        (8.0, 0.0001964374, 7.9996071253),
    ],
)
def test_gradients_at_the_frozen_optimum(theta: float, half_saturating: float, non_saturating: float) -> None:
    def score(y: Tensor) -> Tensor:
        return theta**2 / 2 - theta * y

    saturating = frozen_gradient(adversarial.minimax_generator, score, theta)
    assert saturating / 2 == pytest.approx(half_saturating, abs=1e-10)
    assert saturating == pytest.approx(2 * derivative(jsd, theta), abs=1e-9)
    stronger = frozen_gradient(adversarial.non_saturating_generator, score, theta)
    assert stronger == pytest.approx(non_saturating, abs=1e-9)  # softplus is linear above 20, 2e-9 off in slope
    kl_minus_2jsd = derivative(lambda t: t**2 / 2 - 2 * jsd(t), theta)
    assert stronger == pytest.approx(kl_minus_2jsd, abs=2e-9)


@pytest.mark.parametrize("theta", [0.5, 1.0, 2.0])
def test_least_squares_gradient_at_the_frozen_optimum(theta: float) -> None:
    gradient = frozen_gradient(
        adversarial.least_squares_generator, lambda y: torch.sigmoid(theta**2 / 2 - theta * y), theta
    )
    expected = derivative(lambda t: kl_to_midpoint(t) - delta(t) / 8, theta)
    assert gradient == pytest.approx(expected, abs=1e-9)


def test_ratio_of_saturating_to_non_saturating_is_the_odds() -> None:
    scores = scores_like(0).requires_grad_()
    (saturating,) = torch.autograd.grad(adversarial.minimax_generator(scores), scores)
    (non_saturating,) = torch.autograd.grad(adversarial.non_saturating_generator(scores), scores)
    fakeness = -scores
    torch.testing.assert_close(saturating / non_saturating, torch.exp(-fakeness))


@pytest.mark.parametrize("player", ["discriminator", "generator"])
@pytest.mark.parametrize("name", NAMES)
def test_gradcheck(name: str, player: str) -> None:
    loss = getattr(OBJECTIVES[name], player)
    real, fake = (scores_like(seed).requires_grad_() for seed in (1, 2))
    assert torch.autograd.gradcheck(loss, (real, fake))
    assert torch.autograd.gradgradcheck(loss, (real, fake))


# The lecture's convention: scores of fakeness, real = 0 and fake = 1


def lecture(sr: Tensor, sf: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Both losses of each objective in the lecture's orientation, written with its probabilities of "fake"."""
    real, fake = torch.sigmoid(sr), torch.sigmoid(sf)
    cross_entropy = -0.5 * torch.log(1 - real).mean() - 0.5 * torch.log(fake).mean()
    pairs = torch.sigmoid(sf - sr)
    against_fake, against_real = torch.sigmoid(sr - sf.mean()), torch.sigmoid(sf - sr.mean())
    return {
        "minimax": (cross_entropy, torch.log(fake).mean()),
        "non-saturating": (cross_entropy, -torch.log(1 - fake).mean()),
        # The codes 0 and 1 are not symmetric about nought: the lecture's are real −1 and fake 0 after the flip.
        "least-squares": (0.5 * ((sr + 1) ** 2).mean() + 0.5 * (sf**2).mean(), 0.5 * ((sf + 1) ** 2).mean()),
        "hinge": ((1 + sr).clamp(min=0).mean() + (1 - sf).clamp(min=0).mean(), sf.mean()),
        "wasserstein": (sr.mean() - sf.mean(), sf.mean()),
        "relativistic": (-torch.log(pairs).mean(), -torch.log(1 - pairs).mean()),
        "relativistic-average": (
            -0.5 * torch.log(1 - against_fake).mean() - 0.5 * torch.log(against_real).mean(),
            -0.5 * torch.log(against_fake).mean() - 0.5 * torch.log(1 - against_real).mean(),
        ),
        "f-gan": (2 * cross_entropy, torch.log(fake).mean()),
    }


@pytest.mark.parametrize("name", lecture(torch.zeros(1), torch.zeros(1)))
def test_turning_the_scores_gives_the_lecture(name: str) -> None:
    sr, sf = scores_like(3), scores_like(4)
    discriminator, generator = lecture(sr, sf)[name]
    torch.testing.assert_close(OBJECTIVES[name].discriminator(-sr, -sf), discriminator)
    torch.testing.assert_close(OBJECTIVES[name].generator(-sr, -sf), generator)


def test_targets_of_cross_entropy_may_be_named_either_way() -> None:
    sr, sf = scores_like(3), scores_like(4)
    everything = torch.cat([sr, sf])
    lecture_labels = torch.cat([torch.zeros_like(sr), torch.ones_like(sf)])
    usual = F.binary_cross_entropy_with_logits(-everything, 1 - lecture_labels)
    flipped = F.binary_cross_entropy_with_logits(everything, lecture_labels)
    torch.testing.assert_close(adversarial.minimax_discriminator(-sr, -sf), flipped)
    torch.testing.assert_close(flipped, usual)


# Behaviour


def test_ignorance_costs_log_two() -> None:
    zero = torch.zeros(5)
    for name in ("minimax", "non-saturating", "relativistic", "relativistic-average"):
        assert OBJECTIVES[name].discriminator(zero, zero).item() == pytest.approx(math.log(2))


def test_pairing_ignores_a_common_shift() -> None:
    real, fake = scores_like(5), scores_like(6)
    for name in ("relativistic", "relativistic-average"):
        for loss in (OBJECTIVES[name].discriminator, OBJECTIVES[name].generator):
            torch.testing.assert_close(loss(real + 7, fake + 7), loss(real, fake))


@pytest.mark.parametrize("name", NAMES)
def test_better_fakes_cost_the_generator_less(name: str) -> None:
    real, fake = scores_like(7), scores_like(8)
    generator = OBJECTIVES[name].generator
    assert generator(real, fake + 0.1) < generator(real, fake)


@pytest.mark.parametrize("name", SEPARABLE)
def test_unpaired_generators_need_no_real_scores(name: str) -> None:
    real, fake = scores_like(9, n=3), scores_like(10, n=6)
    generator = OBJECTIVES[name].generator
    assert torch.equal(generator(None, fake), generator(real, fake))


def test_paired_generators_ask_for_what_they_need() -> None:
    for name in ("relativistic", "relativistic-average"):
        with pytest.raises(ValueError, match="real must be"):
            OBJECTIVES[name].generator(None, torch.zeros(3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_losses_are_float32_at_least(name: str, dtype: torch.dtype) -> None:
    real, fake = scores_like(11).to(dtype), scores_like(12).to(dtype)
    wide = torch.promote_types(dtype, torch.float32)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype != torch.float64):
        for loss in (OBJECTIVES[name].discriminator, OBJECTIVES[name].generator):
            value = loss(real, fake)
            assert value.dtype == wide
            assert value.shape == ()
            torch.testing.assert_close(value, loss(real.to(wide), fake.to(wide)))


@pytest.mark.parametrize("name", ["minimax", "non-saturating", "relativistic", "relativistic-average", "f-gan"])
def test_logistic_losses_survive_enormous_scores(name: str) -> None:
    real, fake = (torch.tensor([1e4, -1e4], requires_grad=True) for _ in range(2))
    objective = OBJECTIVES[name]
    loss = objective.discriminator(real, fake) + objective.generator(real, fake.flip(0))
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, (real, fake)))


# The f-GAN family


def test_f_gan_is_the_minimax_game_doubled() -> None:
    real, fake = scores_like(13), scores_like(14)
    ours, minimax = OBJECTIVES["f-gan"], OBJECTIVES["minimax"]
    torch.testing.assert_close(ours.discriminator(real, fake), 2 * minimax.discriminator(real, fake))
    torch.testing.assert_close(ours.generator(real, fake), minimax.generator(real, fake))


def test_the_trick_with_the_gan_divergence_is_non_saturating() -> None:
    fake = scores_like(15)
    trick = f_objective(DIVERGENCES["gan"], trick=True)
    torch.testing.assert_close(trick.generator(None, fake), adversarial.non_saturating_generator(fake))


@pytest.mark.parametrize("theta", [0.5, 2.0])
def test_the_trick_with_kl_follows_reverse_kl(theta: float) -> None:
    trick = f_objective(DIVERGENCES["kl"], trick=True)
    gradient = frozen_gradient(lambda s: trick.generator(None, s), lambda y: 1 + theta**2 / 2 - theta * y, theta)
    assert gradient == pytest.approx(theta)  # d/dθ KL(q‖p) = d/dθ ½θ²
