"""Distances between sets of features, against closed forms and against the libraries people use."""

import math
import warnings

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from torch import Tensor, nn

from cardigan.evaluation.distances import nearest_neighbours, neighbour_radii, squared_distances
from cardigan.evaluation.frechet import Moments, frechet_distance, frechet_extrapolated, from_moments
from cardigan.evaluation.intervals import (
    grouping,
    jackknife_interval,
    leaving_out,
    share_interval,
    within,
)
from cardigan.evaluation.kernel import kernel_distance, kernel_distances
from cardigan.evaluation.manifold import manifold
from cardigan.evaluation.sliced import sliced_wasserstein


def gaussian(n: int, d: int, seed: int, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) + shift


def skewed(n: int, d: int, seed: int) -> Tensor:
    return gaussian(n, d, seed) @ (gaussian(d, d, 99) / d**0.5) + gaussian(1, d, 98)


def test_frechet_distance_of_two_gaussians_is_their_wasserstein_distance():
    x = Moments(torch.zeros(2).double(), torch.tensor([[2, 0.5], [0.5, 1]], dtype=torch.float64))
    y = Moments(torch.tensor([1.0, -1.0]).double(), torch.tensor([[1, -0.3], [-0.3, 1.5]], dtype=torch.float64))
    assert from_moments(x, y) == pytest.approx(2.4634711896, abs=1e-9)
    assert from_moments(y, x) == pytest.approx(2.4634711896, abs=1e-9)


def test_frechet_distance_is_zero_on_itself_and_invariant_to_rotation_and_shift():
    x, y = skewed(300, 12, 0), gaussian(400, 12, 1)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-7)
    turn = torch.linalg.qr(gaussian(12, 12, 2)).Q
    assert frechet_distance(x @ turn + 5, y @ turn + 5) == pytest.approx(frechet_distance(x, y), rel=1e-10)


@pytest.mark.parametrize(("d", "n", "tolerance"), [(16, 1000, 0.08), (64, 4000, 0.04)])
def test_frechet_bias_between_equal_distributions(d: int, n: int, tolerance: float):
    found = [frechet_distance(gaussian(n, d, 2 * s), gaussian(n, d, 2 * s + 1)) for s in range(8)]
    assert sum(found) / len(found) == pytest.approx(d * (d + 5) / (2 * n), rel=tolerance)


@pytest.mark.parametrize(("n", "m"), [(20, 200), (200, 20), (15, 25)])
def test_frechet_distance_with_fewer_samples_than_dimensions(n: int, m: int):
    x, y = skewed(n, 40, 0), gaussian(m, 40, 1)
    a, b = ((s - s.mean(0)) / (len(s) - 1) ** 0.5 for s in (x, y))
    fidelity = torch.linalg.svdvals(a @ b.T).sum()
    shift = (x.mean(0) - y.mean(0)).square().sum()
    expected = shift + a.square().sum() + b.square().sum() - 2 * fidelity
    assert frechet_distance(x, y) == pytest.approx(float(expected), rel=1e-6)


def test_frechet_distance_of_constant_features_is_finite():
    constant = torch.ones(50, 8)
    assert frechet_distance(constant, constant) == 0
    assert frechet_distance(constant, constant + 1) == pytest.approx(8)
    assert math.isfinite(frechet_distance(constant, gaussian(50, 8, 0)))
    with pytest.raises(ValueError, match="at least 2"):
        frechet_distance(constant[:1], constant)


def test_extrapolated_frechet_distance_has_no_bias():
    found = [frechet_extrapolated(gaussian(2000, 16, 2 * s), gaussian(2000, 16, 2 * s + 1), seed=s) for s in range(8)]
    bias = 16 * 21 / 4000
    assert abs(sum(found) / len(found)) < bias / 10
    true = 16 * 0.1**2
    assert frechet_extrapolated(gaussian(8000, 16, 0), gaussian(8000, 16, 1, 0.1)) == pytest.approx(true, abs=0.02)


def test_extrapolation_needs_four_samples():
    assert math.isfinite(frechet_extrapolated(gaussian(4, 3, 0), gaussian(5, 3, 1)))
    with pytest.raises(ValueError, match="at least 4"):
        frechet_extrapolated(gaussian(3, 3, 0), gaussian(5, 3, 1))


def test_extrapolation_is_a_function_of_its_arguments():
    x, y = gaussian(500, 4, 0), gaussian(700, 4, 1)
    state = torch.random.get_rng_state()
    assert frechet_extrapolated(x, y, 3) == frechet_extrapolated(x, y, 3)
    assert frechet_extrapolated(x, y, 3) != frechet_extrapolated(x, y, 4)
    assert torch.equal(state, torch.random.get_rng_state())


class Flat(nn.Module):
    """Hands libraries the features as if it had computed them from images."""

    num_features = 6

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def test_agrees_with_torchmetrics():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchmetrics.image.fid import FrechetInceptionDistance
        from torchmetrics.image.kid import KernelInceptionDistance

        x, y = skewed(400, 6, 0), gaussian(300, 6, 1)
        fid = FrechetInceptionDistance(feature=Flat(), normalize=True, input_img_size=(1, 2, 3)).set_dtype(
            torch.float64
        )
        kid = KernelInceptionDistance(feature=Flat(), normalize=False, subsets=1, subset_size=300)
        for metric in (fid, kid):
            metric.update(y.view(-1, 1, 2, 3), real=True)
            metric.update(x[: len(y) if metric is kid else None].view(-1, 1, 2, 3), real=False)
        assert frechet_distance(x, y) == pytest.approx(float(fid.compute()), rel=1e-6)
        assert kernel_distance(x[:300], y) == pytest.approx(float(kid.compute()[0]), rel=1e-6)


def test_agrees_with_ignite():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ignite.metrics import FID

        x, y = skewed(400, 6, 0), gaussian(400, 6, 1)
        fid = FID(num_features=6, feature_extractor=Flat())
        fid.update((x, y))
        assert frechet_distance(x, y) == pytest.approx(fid.compute(), rel=1e-6)


@pytest.mark.parametrize("k", [3, 5])
def test_agrees_with_prdc(k: int, capsys: pytest.CaptureFixture[str]):
    real, fake = gaussian(300, 5, 0), 0.7 * gaussian(250, 5, 1) + 0.3
    expected = compute_prdc(real.numpy(), fake.numpy(), k)
    found = manifold(real, fake, k)
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-12)


def test_kernel_distance_closed_form_and_null():
    found = [kernel_distance(gaussian(1000, 16, 2 * s), gaussian(1000, 16, 2 * s + 1, 0.3)) for s in range(10)]
    error = float(np.std(found)) / math.sqrt(10)
    assert abs(sum(found) / 10 - 0.317050875) < 3 * error + 1e-3
    null = [kernel_distance(gaussian(500, 16, 2 * s), gaussian(500, 16, 2 * s + 1)) for s in range(20)]
    assert abs(sum(null) / 20) < 3 * float(np.std(null)) / math.sqrt(20)
    assert min(null) < 0


def test_kernel_distance_does_not_depend_on_its_blocks(monkeypatch: pytest.MonkeyPatch):
    x, y = gaussian(333, 7, 0), gaussian(200, 7, 1)
    whole = kernel_distance(x, y)
    monkeypatch.setattr("cardigan.evaluation.kernel.BLOCK_ROWS", 17)
    assert kernel_distance(x, y) == pytest.approx(whole, rel=1e-10)


def test_kernel_replicates_are_the_distance_without_a_group():
    x, y = gaussian(120, 8, 0), gaussian(77, 8, 1, 0.5)
    value, replicates = kernel_distances(x, y, groups=7)
    assert value == pytest.approx(kernel_distance(x, y), rel=1e-12)
    assert replicates == pytest.approx(leaving_out(kernel_distance, x, y, 7), rel=1e-10)
    assert kernel_distances(x[:3], y[:3])[1] == []


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_kernel_interval_is_as_wide_as_the_estimates_spread(shift: float):
    found = [kernel_distances(gaussian(400, 8, 2 * s), gaussian(400, 8, 2 * s + 1, shift)) for s in range(40)]
    spread = float(np.std([value for value, _ in found]))
    halves = [jackknife_interval(value, replicates)[1] - value for value, replicates in found]
    assert 0.9 < np.mean(halves) / (1.96 * spread) < 2


def expected_coverage(n: int, m: int, k: int) -> float:
    """E coverage of m samples against n samples of the same distribution: 1 - Π_{i=1..k} (n-i)/(n+m-i)."""
    return 1 - math.prod((n - i) / (n + m - i) for i in range(1, k + 1))


def test_share_interval_is_wilsons():
    assert share_interval(0.0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert share_interval(0.5, 20) == pytest.approx((0.2993, 0.7007), abs=1e-4)
    assert share_interval(1.0, 10) == pytest.approx((0.7225, 1), abs=1e-4)


def test_shares_stay_within_their_range():
    assert within((-0.1, 1.2), 1.0) == (0.0, 1.0)
    assert within((-0.1, 1.2)) == (0.0, 1.2)
    assert within((99.0, 101.0), 100.0) == (99.0, 100.0)


def test_coverage_and_density_of_equal_distributions():
    assert expected_coverage(1000, 1000, 5) == pytest.approx(0.96898, abs=1e-5)
    assert expected_coverage(10_000, 10_000, 3) == pytest.approx(0.87504, abs=1e-5)
    found = [manifold(gaussian(1000, 4, 2 * s), gaussian(1000, 4, 2 * s + 1), 5) for s in range(500, 510)]
    assert sum(m.coverage for m in found) / 10 == pytest.approx(0.96898, abs=0.01)
    assert sum(m.density for m in found) / 10 == pytest.approx(1, abs=0.05)


def test_dropping_half_of_the_modes_shows_in_recall_and_coverage():
    centres = 10 * torch.eye(16)[:10].double()
    real = torch.cat([gaussian(100, 16, i) * 0.3 + centres[i] for i in range(10)])
    fake = torch.cat([gaussian(200, 16, 50 + i) * 0.3 + centres[i] for i in range(5)])
    found = manifold(real, fake, 5)
    assert found.coverage == pytest.approx(0.5, abs=0.03)
    assert found.recall < 0.55 < 0.8 < found.precision


def test_distances_do_not_depend_on_their_blocks(monkeypatch: pytest.MonkeyPatch):
    x, y = gaussian(100, 3, 0) + 1e4, gaussian(130, 3, 1) + 1e4
    exact = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    monkeypatch.setattr("cardigan.evaluation.distances.BLOCK_NUMBERS", 1000)
    found = torch.cat([block for _, block in squared_distances(x, y)]).sqrt()
    assert torch.allclose(found, exact, atol=1e-6)
    index, distance = nearest_neighbours(x, y)
    assert torch.equal(index, exact.argmin(1))
    assert torch.allclose(distance, exact.amin(1), atol=1e-12)
    own = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").sort(1).values[:, 3]
    assert torch.allclose(neighbour_radii(x, 3).sqrt(), own, atol=1e-6)
    with pytest.raises(ValueError, match=r"1\.\.99"):
        neighbour_radii(x, 100)


@pytest.mark.parametrize(("d", "factor"), [(2, 0.6366), (3, 0.5), (16, 0.20261), (49, 0.11457), (147, 0.06592)])
def test_sliced_wasserstein_of_a_shift(d: int, factor: float):
    x = gaussian(200, d, 0)
    shift = gaussian(1, d, 1)
    expected = float(shift.norm()) * math.gamma(d / 2) / (math.sqrt(math.pi) * math.gamma((d + 1) / 2))
    assert expected == pytest.approx(float(shift.norm()) * factor, rel=1e-3)
    assert sliced_wasserstein(x, x + shift, directions=4000) == pytest.approx(expected, rel=0.03)
    assert sliced_wasserstein(x, x) == 0


def test_jackknife_interval_of_a_mean_is_the_textbook_one():
    x, y = gaussian(1000, 1, 0), gaussian(1000, 1, 1)
    low, high = jackknife_interval(0.0, leaving_out(lambda a, b: float(a.mean() - b.mean()), x, y))
    means = torch.stack([x[grouping(1000, 10) == g].mean() - y[grouping(1000, 10) == g].mean() for g in range(10)])
    assert high == -low
    assert high == pytest.approx(2.2621571628 * float(means.std()) / math.sqrt(10), rel=1e-9)


def test_jackknife_interval_of_the_frechet_distance_covers_it():
    true, hits = 8 * 0.5**2, 0
    for seed in range(20):
        x, y = gaussian(800, 8, 2 * seed), gaussian(800, 8, 2 * seed + 1, 0.5)
        low, high = jackknife_interval(frechet_distance(x, y), leaving_out(frechet_distance, x, y))
        hits += low < true + 8 * 13 / 1600 < high
    assert hits >= 16
