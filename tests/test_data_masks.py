from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cardigan.data.masks import MASKS, MISSING, check_holes, draw_holes, read_hole
from cardigan.errors import DataError


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize(("height", "width"), [(64, 64), (32, 48), (9, 8)])
def test_holes_have_the_papers_share_of_the_pixels_and_come_again(kind: str, height: int, width: int) -> None:
    holes = draw_holes(kind, 6, height, width, stream())  # type: ignore[arg-type]
    assert holes.shape == (6, 1, height, width)
    assert holes.dtype == torch.bool
    half = {"center": (height // 2) * (width // 2) / (height * width), "half": 0.5}
    share = holes.flatten(1).float().mean(1)
    torch.testing.assert_close(share, torch.full((6,), {**MISSING, **half}[kind]), atol=0.06, rtol=0)
    assert torch.equal(holes, draw_holes(kind, 6, height, width, stream()))  # type: ignore[arg-type]
    if kind != "center":
        assert not torch.equal(holes, draw_holes(kind, 6, height, width, stream(1)))  # type: ignore[arg-type]
    check_holes(holes)


def test_a_half_is_each_of_the_four_sides() -> None:
    holes = draw_holes("half", 64, 4, 4, stream())[:, 0]
    found = {tuple(hole.flatten().tolist()) for hole in holes}
    assert len(found) == 4
    for hole in holes:
        assert hole.all(0).sum() + hole.all(1).sum() == 2  # two whole rows or two whole columns


def test_the_centre_is_the_middle_square() -> None:
    rows = draw_holes("center", 1, 8, 8)[0, 0].any(1)
    assert rows.tolist() == [False, False, True, True, True, True, False, False]


def test_a_pattern_is_made_of_blobs() -> None:
    """Most missing pixels have a missing neighbour below them; of scattered ones a quarter would."""
    holes = draw_holes("pattern", 16, 64, 64, stream())
    together = (holes[:, :, 1:] & holes[:, :, :-1]).float().mean() / holes.float().mean()
    assert together > 0.85


def test_white_is_a_hole(tmp_path: Path) -> None:
    grey = np.zeros((8, 8), np.uint8)
    grey[2:4, 5] = 255
    Image.fromarray(grey).convert("RGB").save(tmp_path / "mask.png")
    hole, notes = read_hole(tmp_path / "mask.png", 8, 8)
    assert hole[0, 0].nonzero().tolist() == [[2, 5], [3, 5]]
    assert notes == ()


def test_a_mask_of_the_same_shape_is_brought_to_size_and_loses_no_hole(tmp_path: Path) -> None:
    grey = np.zeros((32, 64), np.uint8)
    grey[5, 9] = 255
    Image.fromarray(grey).save(tmp_path / "mask.png")
    hole, (note,) = read_hole(tmp_path / "mask.png", 8, 16)
    assert hole[0, 0].nonzero().tolist() == [[1, 2]]
    assert note == "the mask of 64 x 32 pixels was brought to 16 x 8"


def test_masks_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    Image.new("L", (10, 20)).save(tmp_path / "tall.png")
    with pytest.raises(DataError, match="is 10 x 20 pixels, the images are 8 x 8"):
        read_hole(tmp_path / "tall.png", 8, 8)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="cannot read the mask"):
        read_hole(tmp_path / "broken.png", 8, 8)
    holes = draw_holes("center", 2, 8, 8)
    with pytest.raises(DataError, match="a hole all over"):
        check_holes(torch.cat([holes, torch.ones_like(holes)]))
    with pytest.raises(DataError, match="has no hole"):
        check_holes(torch.cat([holes, torch.zeros_like(holes)]))
