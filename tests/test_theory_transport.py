"""Optimal transport against closed forms, against POT, and against its own dual."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from cardigan.errors import TheoryError
from cardigan.theory import transport
from cardigan.theory.densities import Gaussian, LineMixture, Normal, PointMasses, Uniform, ring
from cardigan.theory.optimal import kantorovich_potential
from cardigan.theory.transport import emd, gaussian_w2, potentials, sinkhorn, w1, w2

P = Normal(0, 1)


def points(n: int, dimension: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(n, dimension, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("q", "first", "second"),
    [
        (Normal(1, 1), 1, 1),
        (Normal(2, 1), 2, 4),
        (Normal(0, 2), math.sqrt(2 / math.pi), 1),
        (Normal(1, 1.25), 1.0000035726, 1.0625),
        (P, 0, 0),
    ],
)
def test_normals(q: Normal, first: float, second: float) -> None:
    assert w1(P, q) == pytest.approx(first, abs=1e-9)
    assert w2(P, q) ** 2 == pytest.approx(second, abs=1e-8)
    assert gaussian_w2(gaussian(P), gaussian(q)) == pytest.approx(w2(P, q), abs=1e-7)


def gaussian(p: Normal) -> Gaussian:
    return Gaussian([p.mean], [[p.deviation**2]])


def test_uniforms() -> None:
    """Moving [0, 1] onto [2, 4]: u goes to 2 + 2u, so W1 = E(2 + u) and W2² = E(2 + u)²."""
    assert w1(Uniform(0, 1), Uniform(2, 4)) == pytest.approx(2.5, abs=1e-9)
    assert w2(Uniform(0, 1), Uniform(2, 4)) ** 2 == pytest.approx(4 + 2 + 1 / 3, abs=1e-6)


def two_blocks(left: float, half_width: float = 0.01) -> LineMixture:
    """Uniform blocks about −2, of this mass, and 2."""
    blocks = [Uniform(-2 - half_width, -2 + half_width), Uniform(2 - half_width, 2 + half_width)]
    return LineMixture(blocks, [left, 1 - left])


def test_quantiles_that_jump() -> None:
    """One hundredth of the mass crosses the gap; the rest stretches its block: each squared gap is quadratic in u."""
    a, first, second = 0.01, 4 - 0.01 * 0.6 / 0.31, 4 + 0.01 * (0.02 / 0.7 - 2)
    within = (2 * a * (0.3 / 0.3 - 0.3 / 0.31)) ** 2 * 0.3 / 3 + (2 * a * 0.01 / 0.7) ** 2 * 0.69 / 3
    exact = within + 0.01 * (first**2 + first * second + second**2) / 3
    assert w2(two_blocks(0.3), two_blocks(0.31)) ** 2 == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("deviation", [0.01, 0.3])
def test_quantiles_that_jump_between_normals(deviation: float) -> None:
    """For the second no landmark lies in the gap. The reference is a sum over half a million quantiles by the cdf's table."""
    p, q = (LineMixture([Normal(-2, deviation), Normal(2, deviation)], [left, 1 - left]) for left in (0.3, 0.31))
    u = (torch.arange(500_000, dtype=torch.float64) + 0.5) / 500_000
    x = torch.cat(
        [centre + 9 * deviation * torch.linspace(-1, 1, 20_001, dtype=torch.float64) for centre in (-2, 2)]
    ).unique()
    found = [np.interp(u.numpy(), line.cdf(x).numpy(), x.numpy()) for line in (p, q)]
    assert w2(p, q) ** 2 == pytest.approx(((found[0] - found[1]) ** 2).mean(), rel=1e-4)


def test_weights_that_rounding_adds_up_to_more_than_one() -> None:
    """Reflecting both about 4 changes nothing; the means and variances bound W2 from both sides."""
    comb = LineMixture([Normal(float(i)) for i in range(9)])
    assert comb.cdf(torch.tensor([100.0], dtype=torch.float64)).item() <= 1
    found = w2(comb, P)
    assert found == pytest.approx(w2(comb, Normal(8)), rel=1e-9)
    assert 4 < found < math.sqrt(4**2 + (1 + 20 / 3) + 1)


def test_gaussians_of_the_plane() -> None:
    p = Gaussian([0, 0], [[2, 0.5], [0.5, 1]])
    q = Gaussian([1, -1], [[1, -0.3], [-0.3, 1.5]])
    assert gaussian_w2(p, q) ** 2 == pytest.approx(2.4634711896, abs=1e-9)
    assert gaussian_w2(p, p) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(
    "q", [Normal(1, 1.25), LineMixture([Normal(-2, 0.5), Normal(1, 1)], [0.4, 0.6]), Uniform(-1, 3)]
)
def test_duality_has_no_gap(q: Normal) -> None:
    """Kantorovich and Rubinstein: the potential is 1-Lipschitz and its value is W1."""
    x, f = kantorovich_potential(P, q)
    assert (f.diff() / x.diff()).abs().max() <= 1 + 1e-9
    value = torch.trapezoid(f * (P.log_prob(x[:, None]).exp() - q.log_prob(x[:, None]).exp()), x)
    assert value.item() == pytest.approx(w1(P, q), abs=2e-3)


def test_samples_of_the_line_are_matched_in_order() -> None:
    x, y = points(50, 1), points(50, 1, seed=1) + 0.5
    expected = (x.sort(0).values - y.sort(0).values).abs().mean().item()
    assert emd(x, y).distance == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("order", [1, 2])
def test_a_shift_costs_its_length(order: int) -> None:
    x, shift = points(40, 3), torch.tensor([1.0, -2.0, 2.0], dtype=torch.float64)
    plan = emd(x, x + shift, order=order)
    assert plan.distance == pytest.approx(3.0, rel=1e-12)
    torch.testing.assert_close(plan.coupling, torch.eye(40, dtype=torch.float64) / 40)


@pytest.mark.parametrize("order", [1, 2])
def test_assignment_and_network_simplex_agree(order: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ot")
    x, y = points(60), points(60, seed=1)
    theirs = emd(x, y, order=order)
    monkeypatch.setattr(transport, "find_spec", lambda name: None)
    ours = emd(x, y, order=order)
    assert ours.cost == pytest.approx(theirs.cost, rel=1e-9)
    torch.testing.assert_close(ours.coupling, theirs.coupling)


@pytest.mark.parametrize("scale", [1e-12, 1e-7, 1e7])
@pytest.mark.parametrize("order", [1, 2])
def test_the_unit_of_length_changes_nothing(order: int, scale: float) -> None:
    pytest.importorskip("ot")
    x, y = points(50), points(50, seed=1)
    cost = emd(x, y, order=order).cost * scale**order
    assert emd(x * scale, y * scale, order=order).cost == pytest.approx(cost, rel=1e-12, abs=0)
    f, g = potentials(x * scale, y * scale, order=order)
    assert (f.mean() + g.mean()).item() == pytest.approx(cost, rel=1e-12, abs=0)


def test_points_that_coincide_cost_nothing() -> None:
    same = torch.ones(4, 2)
    assert emd(same, same).cost == 0


def test_unequal_samples_and_masses() -> None:
    pytest.importorskip("ot")
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [1.0], [3.0]])
    plan = emd(x, y, [0.5, 0.5], [0.25, 0.5, 0.25])
    assert plan.cost == pytest.approx(0.25 * 1 + 0.25 * 2)
    torch.testing.assert_close(plan.coupling.sum(1), torch.tensor([0.5, 0.5], dtype=torch.float64))
    torch.testing.assert_close(plan.coupling.sum(0), torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64))


def test_sinkhorn_overshoots_by_no_more_than_its_bias() -> None:
    x, y = points(30), points(30, seed=1) + 1
    exact = emd(x, y).cost
    found = [sinkhorn(x, y, regularisation) for regularisation in (0.5, 0.1, 0.03)]
    for plan, regularisation in zip(found, (0.5, 0.1, 0.03), strict=True):
        torch.testing.assert_close(plan.coupling.sum(1), torch.full((30,), 1 / 30, dtype=torch.float64))
        assert exact - 1e-9 <= plan.cost <= exact + regularisation * math.log(30 * 30)
    assert found[0].cost > found[1].cost > found[2].cost
    assert found[2].cost == pytest.approx(exact, rel=0.02)


def test_points_without_mass_take_no_part_in_sinkhorn() -> None:
    x, y = points(5), points(6, seed=1)
    a, b = (torch.tensor(mass, dtype=torch.float64) for mass in ([0, 0.4, 0.3, 0.3, 0], [0, 0.1, 0.2, 0.3, 0.4, 0]))
    plan = sinkhorn(x, y, 0.5, a, b)
    torch.testing.assert_close(plan.coupling.sum(1), a, rtol=0, atol=1e-8)
    torch.testing.assert_close(plan.coupling.sum(0), b, rtol=0, atol=1e-8)
    assert plan.cost == pytest.approx(sinkhorn(x[1:4], y[1:5], 0.5, a[1:4], b[1:5]).cost, rel=1e-12)


def test_a_plan_that_is_no_coupling_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "ITERATIONS", 20)
    with pytest.raises(TheoryError, match="after 20 iterations: use a larger regularisation"):
        sinkhorn(points(30), points(30, seed=1) + 1, 1e-3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: emd(points(3), points(3, 4)), "same d"),
        (lambda: emd(points(0), points(3)), "same d"),
        (lambda: emd(points(3), points(3), order=3), "order"),
        (lambda: emd(points(3) * math.nan, points(3)), "must be finite"),
        (lambda: potentials(points(3), points(3) + math.inf), "must be finite"),
        (lambda: sinkhorn(points(3), points(3) + math.inf, 0.1), "must be finite"),
        (lambda: emd(points(3) * 1e200, points(3), order=2), "must be finite"),
        (lambda: emd(points(3), points(3), [0.5, 0.6, 0.1], [1 / 3] * 3), "add up to 1"),
        (lambda: emd(points(3), points(3), [0.5, 0.5], [1 / 3] * 3), "as many masses"),
        (lambda: sinkhorn(points(3), points(3), 0.0), "positive"),
        (lambda: sinkhorn(points(3), points(3), 0.1, [2.0, -1.0, 0.0]), "not negative"),
        (lambda: w1(P, PointMasses([[0.0]])), "densities of the line .*, not PointMasses"),
        (lambda: w1(ring(), ring()), "densities of the line .*, not Mixture"),
        (lambda: w2(P, gaussian(P)), "densities of the line .*, not Gaussian"),
        (lambda: kantorovich_potential(P, gaussian(P)), "densities of the line"),
        (lambda: LineMixture([P, gaussian(P)]), "densities of the line"),
        (lambda: gaussian_w2(gaussian(P), P), "Gaussians, not Normal: on the line"),
        (lambda: gaussian_w2(gaussian(P), Gaussian([0, 0], [[1, 0], [0, 1]])), "one dimension"),
    ],
)
def test_wrong_use_is_refused(wrong: object, message: str) -> None:
    with pytest.raises(TheoryError, match=message):
        wrong()
