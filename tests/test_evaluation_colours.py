"""CIE Lab against its published values, and histograms whose overlap is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from cardigan.evaluation import lab
from cardigan.evaluation.colours import intersection, lab_histograms


def flat(red: float, green: float, blue: float) -> torch.Tensor:
    """One pixel, of levels from 0 to 1."""
    return torch.tensor([red, green, blue], dtype=torch.float32).view(1, 3, 1, 1) * 2 - 1


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((1, 1, 1), (100.0, 0.0, 0.0)),
        ((0, 0, 0), (0.0, 0.0, 0.0)),
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
    ],
)
def test_published_values(colour: tuple[int, int, int], expected: tuple[float, float, float]) -> None:
    assert lab(flat(*colour)).flatten().tolist() == pytest.approx(expected, abs=0.02)


def test_grey_has_no_colour_and_its_lightness_has_a_closed_form() -> None:
    levels = torch.linspace(0, 1, 50)
    found = lab((levels * 2 - 1).view(-1, 1, 1, 1).expand(-1, 3, 1, 1))[:, :, 0, 0]
    assert found[:, 1:].abs().max() < 1e-5
    luminance = torch.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4).double()
    lightness = torch.where(luminance > 216 / 24389, 116 * luminance ** (1 / 3) - 16, luminance * 24389 / 27)
    torch.testing.assert_close(found[:, 0], lightness, rtol=0, atol=1e-4)
    assert (found[1:, 0] > found[:-1, 0]).all()


def test_against_another_implementation() -> None:
    pixels = np.random.default_rng(0).random((6, 7, 3))
    found = lab(torch.from_numpy(pixels).permute(2, 0, 1)[None] * 2 - 1)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, rgb2lab(pixels), atol=0.05)  # its white point has fewer digits


def test_what_lies_outside_is_cut() -> None:
    assert torch.equal(lab(torch.full((1, 3, 2, 2), 1.7)), lab(torch.ones(1, 3, 2, 2)))


def test_histograms() -> None:
    images = torch.cat([flat(1, 1, 1).expand(1, 3, 2, 3), flat(0, 0, 1).expand(1, 3, 2, 3)])
    counts = lab_histograms(images)
    assert counts.shape == (2, 3, 256)
    assert (counts.sum(2) == 6).all()
    assert counts[0].argmax(1).tolist() == [100, 128, 128]
    assert counts[1].argmax(1).tolist() == [32, 128 + 79, 128 - 108]
    assert torch.equal(lab_histograms(torch.cat([images, torch.rand(2, 1, 2, 3)], 1)), counts)  # alpha
    grey = torch.rand(2, 1, 4, 4) * 2 - 1
    assert torch.equal(lab_histograms(grey), lab_histograms(grey.expand(-1, 3, -1, -1)))


def test_intersection_of_equal_and_of_disjoint_sets() -> None:
    images = torch.rand(8, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1
    counts = lab_histograms(images).sum(0)
    assert intersection(counts, counts).tolist() == pytest.approx([1, 1, 1])
    assert intersection(counts, 3 * counts).tolist() == pytest.approx([1, 1, 1])  # shares, not counts
    red, blue = (lab_histograms(flat(*colour)).sum(0) for colour in ((1, 0, 0), (0, 0, 1)))
    lightness, _, yellow = intersection(red, blue).tolist()
    assert (lightness, yellow) == (0.0, 0.0)


def test_intersection_of_a_part() -> None:
    first, second = torch.tensor([2, 2, 0]), torch.tensor([1, 2, 1])
    assert intersection(first, second).item() == pytest.approx(0.25 + 0.5)
    assert intersection(second, first).item() == pytest.approx(0.75)
