"""LPIPS with weights of this file's own: the published ones are not Cardigan's to give."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cardigan.apps.model import Model
from cardigan.apps.translating.scores import translation_results
from cardigan.errors import DataError, RunError
from cardigan.evaluation.lpips import SCALE, SHIFT, WIDTHS, AlexNet, Lpips, open_lpips
from small import small_sides, small_trainer


def weights() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    torch.manual_seed(0)
    backbone = {**AlexNet().state_dict(), "classifier.1.weight": torch.zeros(2, 2)}
    return backbone, {f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1) for i, width in enumerate(WIDTHS)}


@pytest.fixture
def files(tmp_path: Path) -> str:
    for name, state in zip(("alexnet.pth", "alex.pth"), weights(), strict=True):
        torch.save(state, tmp_path / name)
    return f"{tmp_path / 'alexnet.pth'}+{tmp_path / 'alex.pth'}"


def as_published(x: Tensor, y: Tensor) -> Tensor:
    """Equation 1 of the paper, layer by layer and pixel by pixel."""
    backbone, calibration = weights()
    strides, paddings, pooled = (4, 1, 1, 1, 1), (2, 2, 1, 1, 1), (False, True, True, False, False)
    names = ("features.0", "features.3", "features.6", "features.8", "features.10")
    total = torch.zeros(len(x))
    a, b = ((each - torch.tensor(SHIFT).view(1, 3, 1, 1)) / torch.tensor(SCALE).view(1, 3, 1, 1) for each in (x, y))
    for i, name in enumerate(names):
        if pooled[i]:
            a, b = F.max_pool2d(a, 3, 2), F.max_pool2d(b, 3, 2)
        weight, bias = backbone[f"{name}.weight"], backbone[f"{name}.bias"]
        a, b = (F.relu(F.conv2d(each, weight, bias, strides[i], paddings[i])) for each in (a, b))
        gaps = F.normalize(a, dim=1) - F.normalize(b, dim=1)
        total += F.conv2d(gaps.square(), calibration[f"lin{i}.model.1.weight"]).mean((1, 2, 3))
    return total


def test_it_is_the_papers_distance() -> None:
    torch.manual_seed(1)
    x, y = torch.rand(3, 3, 64, 48) * 2 - 1, torch.rand(3, 3, 64, 48) * 2 - 1
    torch.testing.assert_close(Lpips(*weights())(x, y), as_published(x, y).double(), rtol=1e-4, atol=1e-6)


def test_equal_images_are_at_no_distance_and_order_does_not_matter() -> None:
    distance, x, y = Lpips(*weights()), torch.rand(2, 3, 40, 40), torch.rand(2, 3, 40, 40)
    assert distance(x, x).abs().max() == 0
    torch.testing.assert_close(distance(x, y), distance(y, x))
    assert (distance(x, y) > 0).all()


def test_grey_is_taken_as_colour() -> None:
    distance, x, y = Lpips(*weights()), torch.rand(1, 1, 40, 40), torch.rand(1, 1, 40, 40)
    torch.testing.assert_close(distance(x, y), distance(x.expand(-1, 3, -1, -1), y.expand(-1, 3, -1, -1)))


def test_translations_are_measured_by_files_that_are_named(files: str, tmp_path: Path) -> None:
    splits = small_sides(channels=(1, 1), side=32)
    trainer = small_trainer(tmp_path / "run", "pix2pix", splits)
    model = Model(trainer.model_config(), trainer.game.eval(), "cpu")
    (result,) = translation_results(model, splits, names=[f"lpips:{files}"]).results
    assert result.metric == "lpips to b"
    assert 0 < result.low <= result.value <= result.high
    assert result.protocol["weights"] == open_lpips(files).digest


def test_images_that_are_too_small(files: str, tmp_path: Path) -> None:
    trainer = small_trainer(tmp_path / "run", "pix2pix")
    model = Model(trainer.model_config(), trainer.game.eval(), "cpu")
    with pytest.raises(DataError, match="31 x 31"):
        translation_results(model, trainer.splits, names=[f"lpips:{files}"])


def test_wrong_files_are_told(files: str, tmp_path: Path) -> None:
    first, second = files.split("+")
    for where, told in (
        (first, "two files"),
        (f"{second}+{first}", "first file"),
        (f"{first}+{first}", "second file"),
        (f"{first}+{tmp_path / 'gone.pth'}", "no weights file"),
    ):
        with pytest.raises(RunError, match=told):
            open_lpips(where)
