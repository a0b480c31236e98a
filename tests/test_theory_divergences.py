"""Divergences, transport and optimal scores against closed forms and published constants (nats)."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cardigan.errors import TheoryError
from cardigan.objectives.divergences import DIVERGENCES
from cardigan.theory import divergences as d
from cardigan.theory.densities import (
    Gaussian,
    LineMixture,
    Mixture,
    Normal,
    PointMasses,
    Uniform,
    UpwardLine,
    grid,
    ring,
)
from cardigan.theory.quadrature import rule_for

P = Normal(0, 1)
PAIRS = [Normal(1, 1), Normal(2, 1), Normal(0, 2), Normal(1, 1.25)]
TABLE = {
    d.kl: (0.5, 2, 0.3181471806, 0.3631435513),
    d.reverse_kl: (0.5, 2, 0.8068528194, 0.5581064487),
    d.jensen_shannon: (0.1114214822, 0.3368308203, 0.0927333817, 0.0970342428),
    d.pearson: (1.7182818285, 53.5981500331, 0.5118578920, 0.7159887356),
    d.neyman: (1.7182818285, 53.5981500331, math.inf, 10.8925246373),
    d.squared_hellinger: (0.2350061948, 0.7869386806, 0.2111456180, 0.2081656016),
    d.total_variation: (0.3829249225, 0.6826894921, 0.3226745688, 0.3528822755),
    d.triangular: (0.4081085313, 1.1008009816, 0.3199644929, 0.3514505907),
    d.relativistic: (0.2013454716, 0.5000721361, 0.1701767960, 0.1774516179),
}


@pytest.mark.parametrize("divergence", TABLE, ids=lambda f: f.__name__)
def test_normals(divergence: object) -> None:
    for q, expected in zip(PAIRS, TABLE[divergence], strict=True):
        assert divergence(P, q) == pytest.approx(expected, rel=2e-9, abs=1e-9)


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0])
def test_shifted_normals_in_closed_form(shift: float) -> None:
    q = Normal(shift, 1)
    assert d.kl(P, q) == pytest.approx(shift**2 / 2, rel=1e-10)
    assert d.pearson(P, q) == pytest.approx(math.expm1(shift**2), rel=1e-10)
    assert d.squared_hellinger(P, q) == pytest.approx(2 - 2 * math.exp(-(shift**2) / 8), rel=1e-10)
    assert d.total_variation(P, q) == pytest.approx(math.erf(shift / math.sqrt(8)), rel=1e-10)


def test_gaussians_of_the_plane() -> None:
    p = Gaussian([0, 0], [[2, 0.5], [0.5, 1]])
    q = Gaussian([1, -1], [[1, -0.3], [-0.3, 1.5]])
    assert d.gaussian_kl(p, q) == pytest.approx(1.0905685185, abs=1e-9)
    assert d.gaussian_kl(q, p) == pytest.approx(1.4794416132, abs=1e-9)
    assert d.kl(p, q) == pytest.approx(d.gaussian_kl(p, q), rel=1e-9)
    assert d.kl(q, p) == pytest.approx(d.gaussian_kl(q, p), rel=1e-9)


def test_what_the_named_divergences_and_the_general_one_share() -> None:
    q = Normal(1, 1.25)
    named = {
        "kl": d.kl(P, q),
        "reverse-kl": d.reverse_kl(P, q),
        "pearson": d.pearson(P, q),
        "hellinger": d.squared_hellinger(P, q),
        "jensen-shannon": 2 * d.jensen_shannon(P, q),
        "gan": 2 * d.jensen_shannon(P, q) - math.log(4),
        "total-variation": d.total_variation(P, q),
    }
    assert named.keys() == DIVERGENCES.keys()
    for name, expected in named.items():
        assert d.f_divergence(P, q, DIVERGENCES[name]) == pytest.approx(expected, rel=1e-9), name


@pytest.mark.parametrize("name", DIVERGENCES)
def test_every_critic_bounds_the_divergence_from_below(name: str) -> None:
    q, f = Normal(1, 1.25), DIVERGENCES[name]
    exact = d.f_divergence(P, q, f)
    for seed in range(5):
        a, b, c = torch.randn(3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) / 2
        assert d.variational_bound(P, q, f, lambda x: a + b * x[:, 0] + c * x[:, 0].sin()) <= exact + 1e-9  # noqa: B023


def test_discrete_masses() -> None:
    p, q = PointMasses([[0.0], [1.0]], [1.0, 0.0]), PointMasses([[0.0], [1.0]], [0.5, 0.5])
    assert d.jensen_shannon(p, q) == pytest.approx(0.2157615543, abs=1e-9)
    assert d.kl(p, q) == pytest.approx(math.log(2))
    assert d.kl(q, p) == math.inf
    assert d.total_variation(p, q) == pytest.approx(0.5)
    twice = PointMasses([[0.0], [0.0], [1.0]], [0.25, 0.25, 0.5])
    assert d.kl(twice, q) == pytest.approx(0.0, abs=1e-12)


def test_the_wgan_papers_first_example() -> None:
    """Parallel lines: every divergence jumps as soon as they are apart, whatever their distance."""
    here = UpwardLine(0.0)
    for offset in (1e-6, 0.5, 3.0):
        there = UpwardLine(offset)
        assert d.jensen_shannon(here, there) == math.log(2)
        assert d.kl(here, there) == math.inf
        assert d.total_variation(here, there) == 1.0
    assert d.jensen_shannon(here, UpwardLine(0.0)) == 0.0


def test_supports_that_do_not_cover_each_other() -> None:
    p, q = Uniform(0, 1), Uniform(0.5, 2)
    assert d.kl(p, q) == math.inf
    assert d.kl(Uniform(0.5, 1), Uniform(0, 2)) == pytest.approx(math.log(4), rel=1e-9)
    assert d.total_variation(p, q) == pytest.approx(1 - 0.5 * 2 / 3, rel=1e-9)
    assert d.jensen_shannon(Uniform(0, 1), Uniform(2, 3)) == pytest.approx(math.log(2), rel=1e-9)
    assert d.kl(p, P) == pytest.approx(0.5 * math.log(2 * math.pi) + 1 / 6, rel=1e-9)


@pytest.mark.parametrize("density", [ring(), ring(deviation=0.3), grid(), Gaussian([1, 0], [[2, 1], [1, 1]])])
def test_densities_of_the_plane_add_up_to_one(density: d.Density) -> None:
    assert rule_for(density).integral(lambda x: density.log_prob(x).exp()) == pytest.approx(1, abs=1e-6)


def kl_of_spots_from_a_wide_normal(modes: int, squared_radius: float, deviation: float, variance: float) -> float:
    """Of equal Gaussians that do not overlap, at this mean squared distance from the centre of N(0, variance I)."""
    entropy = 1 + math.log(2 * math.pi * deviation**2) + math.log(modes)
    return math.log(2 * math.pi * variance) + (squared_radius + 2 * deviation**2) / (2 * variance) - entropy


def round_gaussian(variance: float, at: float = 0.0) -> Gaussian:
    return Gaussian([at, 0], [[variance, 0], [0, variance]])


@pytest.mark.parametrize(
    ("density", "shape", "variance"),
    [
        (ring(), (8, 1.0, 0.01), 4.0),
        (grid(), (25, 16.0, 0.05), 9.0),
        (ring(8, 10, 0.01), (8, 100.0, 0.01), 50.0),
        (ring(8, 100, 1e-5), (8, 1e4, 1e-5), 2.0),
    ],
)
def test_narrow_modes_in_a_wide_plane(density: d.Density, shape: tuple[int, float, float], variance: float) -> None:
    wide = round_gaussian(variance)
    assert d.kl(density, wide) == pytest.approx(kl_of_spots_from_a_wide_normal(*shape, variance), rel=1e-9)
    assert 0.65 < d.jensen_shannon(density, wide) <= math.log(2) + 1e-9


def beside_a_needle(broad: Normal, at: float, weight: float = 0.5) -> LineMixture:
    return LineMixture([broad, Normal(at, 0.001)], [weight, 1 - weight])


@pytest.mark.parametrize(
    ("p", "q", "expected"),
    [
        (Normal(0, 3), beside_a_needle(Normal(-1, 0.1), 1), 496.0976024776),
        (Normal(0, 7), beside_a_needle(Normal(-24, 1), 2, 0.3), 310.5947831612),
        (Normal(0, 10), beside_a_needle(Normal(-20, 1), 2), 247.6009980305),
    ],
)
def test_mixtures_bend_beyond_the_mass_of_their_narrow_parts(p: Normal, q: LineMixture, expected: float) -> None:
    """The references are sums over twenty million points, most of them about the needle."""
    assert d.kl(p, q) == pytest.approx(expected, rel=1e-11)
    nested = LineMixture([q, LineMixture([q])], [0.25, 0.75])
    assert d.kl(p, nested) == pytest.approx(expected, rel=1e-11)


def test_kinks_and_narrow_ridges_of_the_plane() -> None:
    middle, shifted = round_gaussian(1), round_gaussian(1, at=1)
    assert d.total_variation(middle, shifted) == pytest.approx(math.erf(1 / math.sqrt(8)), abs=1e-8)
    ridge = Gaussian([0, 0], [[1, 1.999], [1.999, 4]])
    assert d.kl(ridge, middle) == pytest.approx(d.gaussian_kl(ridge, middle), rel=1e-8)
    assert d.pearson(ridge, middle) == math.inf
    long = Gaussian([0, 0], [[1, 0.9999], [0.9999, 1]])
    with pytest.raises(TheoryError, match="estimate it from samples"):
        d.pearson(Mixture([long, shifted]), Mixture([middle, shifted]))


class Needle(Normal):
    """A normal distribution that says it were ten million times as wide."""

    def landmarks(self) -> Tensor:
        return torch.tensor([[-1e8], [1.1e8]], dtype=torch.float64)


def test_mass_that_quadrature_does_not_find_is_refused() -> None:
    with pytest.raises(TheoryError, match="finds a mass of 0 in Needle, not 1: give it landmarks"):
        d.kl(Needle(), Uniform(-1e8, 1.1e8))


def test_an_integrand_that_is_no_number_is_refused() -> None:
    with pytest.raises(TheoryError, match="not a number at"):
        rule_for(P).integral(lambda x: x[:, 0] / 0 * 0)


@pytest.mark.parametrize("variance", [1.8, 1.9, 1.95, 1.9999])
def test_heavy_tails_of_pearson_are_finite(variance: float) -> None:
    """∫ p²/q = 1/(v √(2/v − 1)) of N(0, v) and N(0, 1)."""
    exact = 1 / (variance * math.sqrt(2 / variance - 1)) - 1
    p = Normal(0, math.sqrt(variance))
    assert d.pearson(p, P) == pytest.approx(exact, rel=1e-8)
    assert d.neyman(P, p) == pytest.approx(exact, rel=1e-8)
    assert d.f_divergence(p, P, DIVERGENCES["pearson"]) == pytest.approx(exact, rel=1e-8)
    assert d.pearson(round_gaussian(variance), round_gaussian(1)) == pytest.approx((exact + 1) ** 2 - 1, rel=1e-9)


def test_pearson_is_infinite_from_twice_the_variance_on() -> None:
    assert d.pearson(Normal(0, math.sqrt(2)), P) == math.inf
    assert d.pearson(Normal(0, math.sqrt(2.1)), P) == math.inf
    rarely_wide = LineMixture([P, Normal(0, 1.5)], [1 - 1e-13, 1e-13])
    assert d.pearson(rarely_wide, P) == math.inf  # though near by nothing is seen of it
    assert d.pearson(Gaussian([0, 0], [[1, 0], [0, 2]]), round_gaussian(1)) == math.inf


def test_pearson_of_gaussians_that_are_apart() -> None:
    assert d.pearson(round_gaussian(1), round_gaussian(1, at=2)) == pytest.approx(math.expm1(4), rel=1e-12)
    p, q = Gaussian([0, 0], [[1, 0.3], [0.3, 0.8]]), Gaussian([0.5, -0.2], [[1.5, 0], [0, 1]])
    by_quadrature = d.integrate(p, q, d.squared_excess, singular=math.inf)
    assert d.gaussian_pearson(p, q) == pytest.approx(by_quadrature, rel=1e-8)


LOG_2 = math.log(2)
HALF = 1.5 * math.log(4 / 3)
ALONE = {  # disjoint; p twice as wide as q; q twice as wide as p
    "kl": (math.inf, math.inf, LOG_2),
    "reverse-kl": (math.inf, LOG_2, math.inf),
    "pearson": (math.inf, math.inf, 1),
    "hellinger": (2, 2 - math.sqrt(2), 2 - math.sqrt(2)),
    "jensen-shannon": (2 * LOG_2, HALF, HALF),
    "gan": (0, HALF - 2 * LOG_2, HALF - 2 * LOG_2),
    "total-variation": (1, 0.5, 0.5),
}
UNIFORMS = [(Uniform(0, 1), Uniform(2, 3)), (Uniform(0, 2), Uniform(0, 1)), (Uniform(0, 1), Uniform(0, 2))]
ATOMS = [
    [PointMasses([[0.0], [1.0], [2.0]], mass) for mass in pair]
    for pair in (([1, 0, 0], [0, 0, 1]), ([0.5, 0.5, 0], [1, 0, 0]), ([1, 0, 0], [0.5, 0.5, 0]))
]


@pytest.mark.parametrize("pairs", [UNIFORMS, ATOMS], ids=["densities", "atoms"])
@pytest.mark.parametrize("own", [False, True], ids=["of the library", "of one's own"])
@pytest.mark.parametrize("name", DIVERGENCES)
def test_mass_without_a_counterpart_counts(name: str, own: bool, pairs: list[tuple[Uniform, Uniform]]) -> None:
    f = replace(DIVERGENCES[name], name="own") if own else DIVERGENCES[name]
    for (p, q), expected in zip(pairs, ALONE[name], strict=True):
        assert d.f_divergence(p, q, f) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_without_shared_mass_an_f_divergence_is_its_limits(name: str) -> None:
    apart = d.f_divergence(UpwardLine(0), UpwardLine(1), DIVERGENCES[name])
    assert apart == pytest.approx(ALONE[name][0])
    same = d.f_divergence(UpwardLine(1), UpwardLine(1), DIVERGENCES[name])
    assert same == pytest.approx(-2 * LOG_2 if name == "gan" else 0)


def test_ratios_beyond_floating_point_are_not_lost() -> None:
    exact = math.log(0.05 / 2) + 0.5 * (2 / 0.05) ** 2 - 0.5
    assert d.f_divergence(Normal(0, 2), Normal(0, 0.05), DIVERGENCES["kl"]) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize("pair", UNIFORMS)
def test_critics_bound_what_has_no_counterpart(name: str, pair: tuple[Uniform, Uniform]) -> None:
    exact = d.f_divergence(*pair, DIVERGENCES[name])
    for slope in (-3.0, 0.5, 20.0):
        assert d.variational_bound(*pair, DIVERGENCES[name], lambda x: slope * (1 - x[:, 0])) <= exact + 1e-9  # noqa: B023


@pytest.mark.parametrize("name", DIVERGENCES)
def test_a_critic_that_explodes_gives_no_more_than_the_divergence(name: str) -> None:
    q = Normal(1, 1.25)
    bound = d.variational_bound(P, q, DIVERGENCES[name], lambda x: x[:, 0].square())
    assert bound <= d.f_divergence(P, q, DIVERGENCES[name])


@pytest.mark.parametrize(
    "density",
    [Normal(1, 2), Uniform(-1, 3), LineMixture([Normal(-2, 0.5), Normal(2, 0.5), Uniform(5, 6)], [0.5, 0.305, 0.195])],
)
def test_samples_quantiles_and_densities_of_the_line_agree(density: d.Density) -> None:
    u = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    torch.testing.assert_close(density.cdf(density.quantile(u)), u, rtol=0, atol=1e-9)
    x = density.sample(100_000, torch.Generator().manual_seed(0))
    assert x.shape == (100_000, 1)
    empirical = (x <= density.quantile(u)).double().mean(0)
    assert (empirical - u).abs().max() < 0.006
    step = 1e-4
    at = density.quantile(u[1:-1])
    slope = (density.cdf(at + step) - density.cdf(at - step)) / (2 * step)
    torch.testing.assert_close(density.log_prob(at[:, None]).exp(), slope, rtol=1e-4, atol=1e-5)


def test_samples_of_the_plane() -> None:
    gaussian = Gaussian([1.0, -2.0], [[2.0, 0.5], [0.5, 1.0]])
    x = gaussian.sample(200_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(x.mean(0), gaussian.mean, rtol=0, atol=0.02)
    torch.testing.assert_close(x.T.cov(), gaussian.covariance, rtol=0, atol=0.03)
    circle = ring(8, 2.0, 0.1)
    nearest = (circle.sample(8_000, torch.Generator().manual_seed(0)).norm(dim=1) - 2).abs()
    assert nearest.max() < 0.6
    line = UpwardLine(0.5).sample(1_000)
    assert (line[:, 0] == 0.5).all()
    assert 0 <= line[:, 1].min() < line[:, 1].max() <= 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: PointMasses([[0.0], [1.0]], [0.7, 0.7]), "add up to 1"),
        (lambda: PointMasses([[0.0], [1.0]], [1.5, -0.5]), "not negative"),
        (lambda: PointMasses([[0.0], [1.0]], [1.0]), "as many masses"),
        (lambda: LineMixture([P, P], [0.5, 0.6]), "add up to 1"),
        (lambda: Gaussian([0, 0], [[1, 2], [2, 1]]), "positive definite"),
        (lambda: Gaussian([0, 0], [[1, 0.5], [0, 1]]), "symmetric"),
        (lambda: Gaussian([0], [[1, 0], [0, 1]]), "1 x 1"),
        (lambda: Normal(0, 0), "positive"),
        (lambda: Uniform(1, 1), "above low"),
        (lambda: Uniform(0, math.inf), "finite"),
        (lambda: Uniform(math.nan, 1), "finite"),
        (lambda: Normal(math.nan), "mean must be finite"),
        (lambda: Normal(0, math.inf), "positive and finite"),
        (lambda: Normal(0, math.nan), "positive and finite"),
        (lambda: Gaussian([math.nan], [[1]]), "mean and covariance must be finite"),
        (lambda: Gaussian([0], [[math.inf]]), "mean and covariance must be finite"),
        (lambda: PointMasses([[math.nan]]), "points must be finite"),
        (lambda: UpwardLine(math.inf), "offset must be finite"),
        (lambda: d.kl(P, ring()), "one dimension"),
        (lambda: P.log_prob(torch.zeros(3)), "shape"),
        (lambda: d.kl(*[Gaussian(torch.zeros(3), torch.eye(3))] * 2), "one and two dimensions"),
        (lambda: d.relativistic(ring(), ring()), "line only"),
    ],
)
def test_wrong_use_is_refused(wrong: object, message: str) -> None:
    with pytest.raises(TheoryError, match=message):
        wrong()
