"""Metrics that look at pictures, modes or copies: patches, similarity, mode counts, memorisation."""

import math

import numpy as np
import pytest
import pytorch_msssim
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from cardigan.evaluation import modes, sliced
from cardigan.evaluation.diversity import SCALE_WEIGHTS, disjoint_pairs, ms_ssim, ms_ssim_pairs, psnr, scales, ssim
from cardigan.evaluation.memorisation import authentic, copying, mann_whitney, nearest_training_images
from cardigan.evaluation.metrics.distance import exact_emd
from cardigan.evaluation.sliced import laplacian_pyramid, levels, patches, sliced_patches


def smooth(n: int, c: int, h: int, w: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, c, max(2, h // 8), max(2, w // 8), generator=generator, dtype=torch.float64)
    return torch.nn.functional.interpolate(coarse, (h, w), mode="bilinear")


def gaussian(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("h", "w"), [(64, 64), (33, 50), (28, 28)])
def test_pyramid_reconstructs_its_images(h: int, w: int):
    images = smooth(3, 2, h, w, 0) + 0.1 * torch.rand(3, 2, h, w, generator=torch.Generator().manual_seed(0))
    pyramid = laplacian_pyramid(images, 3)
    assert [level.shape[2] for level in pyramid] == [h, -(-h // 2), -(-h // 4)]
    rebuilt = pyramid[-1]
    for band in reversed(pyramid[:-1]):
        rebuilt = band + sliced._expand(rebuilt, band)
    assert torch.allclose(rebuilt, images, atol=1e-5)


def test_expanding_keeps_constants():
    fine = laplacian_pyramid(torch.full((1, 1, 32, 32), 0.7), 2)[0]
    assert float(fine.abs().max()) < 1e-6


def test_pyramid_levels_follow_the_image():
    assert [levels(side, side) for side in (8, 16, 28, 32, 64, 128)] == [1, 1, 1, 2, 3, 4]


def test_patches_are_standardised_and_small_images_are_one_patch():
    images = 3 * smooth(20, 3, 16, 16, 0).float() + 1
    cut = patches(images, 10, torch.Generator().manual_seed(0))
    assert cut.shape == (200, 3, 49)
    assert torch.allclose(cut.mean((0, 2)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(cut.std((0, 2)), torch.ones(3), atol=1e-5)
    assert patches(images[..., :6, :5], 10, torch.Generator()).shape == (20, 3, 30)


def test_patches_do_not_depend_on_how_many_images_are_cut_at_once(monkeypatch: pytest.MonkeyPatch):
    images = torch.arange(2.0 * 2 * 9 * 10).reshape(2, 2, 9, 10).expand(2, 2, 9, 10).repeat(10, 1, 1, 1)
    whole = patches(images, 5, torch.Generator().manual_seed(0))
    monkeypatch.setattr(sliced, "IMAGES_AT_ONCE", 6)
    assert torch.equal(patches(images, 5, torch.Generator().manual_seed(0)), whole)
    steps = whole[:, 0].reshape(-1, 7, 7)
    right, down = steps.diff(dim=2), steps.diff(dim=1)
    assert torch.allclose(down, 10 * right[:, :1, :1], atol=1e-4), "a patch is a window of its image"


def test_patch_distance_is_blind_to_contrast_and_sees_noise():
    x, y = smooth(200, 1, 32, 32, 0).float(), smooth(200, 1, 32, 32, 1).float()
    same = sliced_patches(x, y, directions=64)
    brighter = sliced_patches(x, 2 * y - 0.5, directions=64)
    noisy = sliced_patches(x, y + 0.2 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0)), directions=64)
    assert len(same) == 2
    assert brighter == pytest.approx(same, rel=0.05)
    assert noisy[0] > 3 * same[0]


def test_constant_images_give_numbers():
    black = torch.full((30, 1, 16, 16), -1.0)
    grey = torch.zeros(30, 1, 16, 16)
    assert all(math.isfinite(value) for value in sliced_patches(black, smooth(30, 1, 16, 16, 0).float()))
    assert sliced_patches(black, grey) == [0.0]
    assert torch.allclose(ms_ssim_pairs(black), torch.ones(len(black) // 2).double())


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_agrees_with_scikit_image_and_pytorch_msssim(channels: int):
    x, y = smooth(4, channels, 40, 36, 0), smooth(4, channels, 40, 36, 1)
    found = ssim(x, y, data_range=1.0)
    expected = [
        structural_similarity(
            a.numpy(), b.numpy(), channel_axis=0, data_range=1.0, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False,
        )
        for a, b in zip(x, y, strict=True)
    ]  # fmt: skip
    assert found.tolist() == pytest.approx(expected, rel=1e-6)
    taps = torch.exp(-torch.arange(-5.0, 6.0, dtype=torch.float64).square() / (2 * 1.5**2))
    window = (taps / taps.sum()).expand(channels, 1, 1, 11)  # the library's own is rounded to float32
    other = pytorch_msssim.ssim(x, y, data_range=1.0, size_average=False, win=window)
    assert torch.allclose(found, other, rtol=1e-6)


def test_ms_ssim_agrees_with_pytorch_msssim():
    x = smooth(2, 3, 181, 176, 0)
    y = (x + 0.05 * smooth(2, 3, 181, 176, 1)).clamp(0, 1)
    assert scales(181, 176) == 5
    expected = pytorch_msssim.ms_ssim(x, y, data_range=1.0, size_average=False)
    assert torch.allclose(ms_ssim(x, y, data_range=1.0), expected, rtol=1e-6)


def test_small_images_use_the_scales_that_fit(monkeypatch: pytest.MonkeyPatch):
    assert [scales(side, side) for side in (8, 20, 21, 28, 41, 64, 160, 161)] == [1, 1, 2, 2, 3, 3, 4, 5]
    monkeypatch.setattr("cardigan.evaluation.diversity.scales", lambda h, w: 2)
    x, y = smooth(2, 1, 176, 176, 0), smooth(2, 1, 176, 176, 1) * 0.2 + 0.8 * smooth(2, 1, 176, 176, 0)
    weights = [weight / sum(SCALE_WEIGHTS[:2]) for weight in SCALE_WEIGHTS[:2]]
    expected = pytorch_msssim.ms_ssim(x, y, data_range=1.0, size_average=False, weights=weights)
    assert torch.allclose(ms_ssim(x, y, data_range=1.0), expected, rtol=1e-6)


@pytest.mark.parametrize("side", [3, 8, 28])
def test_similarity_of_an_image_with_itself_is_one(side: int):
    x = smooth(3, 1, side, side, 0)
    assert torch.allclose(ms_ssim(x, x), torch.ones(3).double())
    assert torch.allclose(ssim(x, x), torch.ones(3).double())


def test_psnr():
    x = smooth(3, 1, 16, 16, 0)
    assert psnr(x, x + 0.1, data_range=1.0).tolist() == pytest.approx([20.0] * 3)
    y = smooth(3, 1, 16, 16, 1)
    expected = [peak_signal_noise_ratio(a.numpy(), b.numpy(), data_range=2.0) for a, b in zip(x, y, strict=True)]
    assert psnr(x, y).tolist() == pytest.approx(expected, rel=1e-6)
    assert torch.isinf(psnr(x, x)).all()


def test_pairs_are_distinct_and_of_one_class():
    labels = torch.tensor([0, 1, 0, 1, 2, 0, 1, 1])
    pairs = disjoint_pairs(8, labels, 0)
    assert (labels[pairs[:, 0]] == labels[pairs[:, 1]]).all()
    assert len(pairs.flatten().unique()) == 2 * len(pairs) == 6, "one pair of zeros, two of ones, each image once"
    assert {tuple(disjoint_pairs(8, labels, seed)[0].tolist()) for seed in range(30)} > {(0, 2), (5, 0), (1, 3)}
    assert len(disjoint_pairs(3, torch.arange(3), 0)) == 0
    assert torch.isfinite(ms_ssim_pairs(smooth(3, 1, 8, 8, 0), torch.arange(3))).all()
    assert sorted(disjoint_pairs(6, None, 0).flatten().tolist()) == list(range(6))


def ring(n: int, seed: int, k: int = 8, deviation: float = 0.01) -> tuple[Tensor, Tensor]:
    angles = 2 * math.pi * torch.arange(k) / k
    centres = torch.stack([angles.cos(), angles.sin()], 1).double()
    which = torch.randint(k, (n,), generator=torch.Generator().manual_seed(seed))
    return centres[which] + deviation * gaussian(n, 2, seed), centres


def test_a_perfect_sampler_on_the_ring():
    points, centres = ring(200_000, 0)
    found = modes.point_modes(points, centres, 0.01)
    assert found.recovered == 8
    assert found.high_quality == pytest.approx(1 - math.exp(-4.5), abs=1e-3)
    divergences = [modes.point_modes(ring(2500, s)[0], centres, 0.01).reverse_kl for s in range(100)]
    assert sum(divergences) / 100 == pytest.approx(7 / (2 * 2500 * 0.9889), rel=0.2)


def test_a_perfect_sampler_on_the_grid():
    side = torch.tensor([-4.0, -2.0, 0.0, 2.0, 4.0]).double()
    centres = torch.cartesian_prod(side, side)
    which = torch.arange(2500) % 25
    points = centres[which] + 0.05 * gaussian(2500, 2, 3)
    found = modes.point_modes(points, centres, 0.05)
    assert (found.recovered, found.total) == (25, 25)
    assert found.high_quality == pytest.approx(0.9889, abs=0.008)
    assert found.reverse_kl_floor == pytest.approx(24 / (2 * int(found.counts.sum())), rel=0.02)


def test_reverse_kl_of_dropped_modes():
    counts = torch.tensor([10, 10, 0, 0])
    assert modes.reverse_kl(counts, modes.uniform(4)) == pytest.approx(math.log(2))
    assert modes.reverse_kl(torch.zeros(4, dtype=torch.int64), modes.uniform(4)) == math.inf
    skew = modes.class_modes(torch.tensor([0] * 30 + [1] * 70), torch.tensor([0.3, 0.7]))
    assert skew.reverse_kl == pytest.approx(0, abs=1e-12)


def test_reverse_kl_floor_and_interval_of_a_perfect_sampler_over_1000_modes():
    found, hits = [], 0
    for seed in range(20):
        labels = torch.randint(1000, (26_000,), generator=torch.Generator().manual_seed(seed))
        histogram = modes.class_modes(labels, modes.uniform(1000))
        found.append(histogram.reverse_kl)
        low, high = histogram.reverse_kl_interval()
        hits += low < 999 / 52_000 < high
    assert sum(found) / 20 == pytest.approx(0.0193, abs=0.0004)
    assert hits >= 15
    assert histogram.reverse_kl_floor == pytest.approx(sum(found) / 20, rel=0.01)
    assert histogram.recovered_floor == pytest.approx(1000, abs=1e-6)
    assert histogram.recovered_interval()[1] == 1000


def test_a_perfect_sampler_of_few_samples():
    p = torch.tensor([0.5, 0.3, 0.2, 0.0]).double()
    assert modes.expected_reverse_kl(p, 1) == pytest.approx(-float(torch.xlogy(p, p).sum())), "log 1/p of the one mode"
    few = modes.class_modes(torch.tensor([0, 1]), p)
    assert few.recovered_floor == pytest.approx((1 - 0.5**2) + (1 - 0.7**2) + (1 - 0.8**2))
    draws = p.multinomial(20 * 4000, True, generator=torch.Generator().manual_seed(0)).view(4000, 20)
    found = [modes.class_modes(labels, p).reverse_kl for labels in draws]
    assert modes.expected_reverse_kl(p, 20) == pytest.approx(sum(found) / 4000, rel=0.05)
    uniform = [modes.class_modes(torch.randint(1000, (2000,)), modes.uniform(1000)) for _ in range(5)]
    assert uniform[0].recovered_floor == pytest.approx(sum(m.recovered for m in uniform) / 5, rel=0.02)


def test_stacked_labels_number_the_modes_by_channel():
    digits = torch.tensor([[1, 2, 3], [0, 0, 9]])
    images = (digits.float() / 10)[..., None, None].expand(2, 3, 4, 4)
    found = modes.stacked_labels(images, lambda x: (x[:, 0, 0, 0] * 10).round().long())
    assert found.tolist() == [321, 900]


def test_mann_whitney_agrees_with_scipy():
    from scipy.stats import mannwhitneyu

    x, y = gaussian(60, 1, 0)[:, 0].round(decimals=1), gaussian(80, 1, 1)[:, 0].round(decimals=1) + 0.2
    u = mannwhitneyu(x.numpy(), y.numpy()).statistic
    assert mann_whitney(x, y) == pytest.approx((u - 2400) / math.sqrt(4800 * 141 / 12), rel=1e-12)


def test_copying_has_the_sign_of_the_crime():
    train, test = gaussian(1000, 8, 0), gaussian(500, 8, 1)
    honest = [copying(gaussian(500, 8, 10 + s), test, train).score for s in range(6)]
    assert abs(sum(honest) / 6) < 2
    assert copying(train[:500] + 0.01 * gaussian(500, 8, 2), test, train).score < -10
    assert copying(3 * gaussian(500, 8, 3), test, train).score > 10
    few = copying(gaussian(15, 8, 4), test, train)
    assert few.cells == 1
    assert abs(few.score) < 4


def test_copies_are_not_authentic():
    train = gaussian(1000, 16, 0)
    assert float(authentic(train[:200], train).sum()) == 0
    assert float(authentic(gaussian(1000, 16, 1), train).mean()) == pytest.approx(0.698, abs=0.05)
    index, distance = nearest_training_images(train[5:9], train)
    assert index.tolist() == [5, 6, 7, 8]
    assert distance.tolist() == [0, 0, 0, 0]


def test_exact_emd_of_a_shift_and_a_permutation():
    x = gaussian(200, 2, 0)
    assert exact_emd(x, x.flip(0)) == 0
    assert exact_emd(x, x + torch.tensor([3.0, 4.0])) == pytest.approx(5)
    other = np.linspace(0, 1, 50)
    lines = [torch.from_numpy(np.stack([np.full(50, a), other], 1)) for a in (0.0, 0.3)]
    assert exact_emd(*lines) == pytest.approx(0.3, abs=1e-12)


def test_the_floor_of_reverse_kl_does_not_depend_on_what_the_model_made():
    _, centres = ring(10, 0)
    nowhere = modes.point_modes(torch.full((500, 2), 9.0).double(), centres, 0.01)
    somewhere = modes.point_modes(ring(500, 1)[0], centres, 0.01)
    assert nowhere.reverse_kl == math.inf
    assert nowhere.reverse_kl_floor == somewhere.reverse_kl_floor == pytest.approx(7 / 1000, rel=0.02)


def test_patches_are_named_by_their_size():
    assert [sliced.patch_size(*side) for side in ((64, 64), (5, 6), (9, 5))] == ["7x7", "5x6", "7x5"]
