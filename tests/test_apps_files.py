"""Examples to files and back."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cardigan.apps.files import appearing, check_place, reading_options, write_examples, write_text
from cardigan.apps.ways import spherical
from cardigan.data import DataOptions, DataSpec, open_data
from cardigan.errors import RecipeError, RunError
from cardigan.training.pictures import grid


def levels(channels: int, bits: int, side: int = 8, count: int = 24) -> torch.Tensor:
    """Images of random levels that the bits hold exactly."""
    top = 2**bits - 1
    stream = torch.Generator().manual_seed(0)
    return torch.randint(0, top + 1, (count, channels, side, side), generator=stream) * (2 / top) - 1


@pytest.mark.parametrize(("channels", "bits"), [(1, 8), (3, 8), (4, 8), (1, 16), (3, 16), (4, 16)])
def test_written_samples_are_read_back_exactly(channels: int, bits: int, tmp_path: Path, cache: Path):
    images = levels(channels, bits)
    spec = DataSpec(channels=channels, height=8, width=8, bits=16 if bits == 16 else 8)
    splits = open_data(write_examples(images, spec, tmp_path / "out"))
    assert splits.train.spec == spec
    read = torch.cat([split.images(torch.arange(len(split))) for split in (splits.train, splits.test)])
    names = [
        int(Path(name).stem)
        for split in (splits.train, splits.test)
        for name in split.names(torch.arange(len(split))) or []
    ]
    assert torch.allclose(read, images[names], atol=1e-6)


@pytest.mark.parametrize("channels", [2, 5])
def test_what_png_cannot_hold_is_an_array(channels: int, tmp_path: Path):
    images = levels(channels, 8, count=2)
    write_examples(images, DataSpec(channels=channels, height=8, width=8), tmp_path / "out")
    assert np.array_equal(np.load(tmp_path / "out" / "000001.npy"), images[1].numpy())


def test_points_are_arrays_and_scatters(tmp_path: Path):
    spec, points = DataSpec(channels=2, height=1, width=1, kind="points"), torch.zeros(3, 2, 1, 1)
    write_examples(points, spec, tmp_path / "out")
    assert len(list((tmp_path / "out").glob("*.npy"))) == 3
    write_examples(points, spec, tmp_path / "x.png")


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), appearing(tmp_path / "out") as draft:
        draft.mkdir()
        (draft / "one").write_text("x")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(tmp_path: Path):
    path = tmp_path / "x.json"
    write_text(path, "old")
    with pytest.raises(RunError, match="No space left"), appearing(path) as draft:
        draft.write_text("new")
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_folder_may_be_written_into(tmp_path: Path):
    (tmp_path / "out").mkdir()
    check_place(tmp_path / "out")
    write_examples(levels(1, 8, count=2), DataSpec(channels=1, height=8, width=8), tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_reading_options_are_laid_over_those_of_the_run():
    base = DataOptions(channels=1, size=32)
    assert reading_options(["data.size=16"], base) == DataOptions(channels=1, size=16)
    assert reading_options({}, base) == base
    with pytest.raises(RecipeError, match="only keys under data"):
        reading_options(["game.name=gan"])


def test_tiles_of_a_grid_are_apart():
    black = np.asarray(grid(torch.full((3, 1, 4, 6), -1.0), columns=2, smallest=8, gap=2))
    assert black.shape == (18, 26)
    assert (black[8:10] == 255).all()
    assert (black[:, 12:14] == 255).all()
    assert (black[:8, :12] == 0).all()
    assert (black[10:, 14:] == 255).all()


def test_a_grid_keeps_pixels():
    images = levels(3, 8, side=32, count=4)
    sheet = np.asarray(grid(images, columns=2))
    expected = ((images[3].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
    assert np.array_equal(sheet[34:, 34:], expected)
    assert Image.fromarray(sheet).size == (66, 66)


def test_spherical_interpolation_keeps_the_length():
    start, end = torch.nn.functional.normalize(
        torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    for share in (0.0, 0.3, 1.0):
        assert torch.allclose(spherical(start, end, share).norm(dim=-1), torch.ones(5), atol=1e-5)
    assert torch.allclose(spherical(start, end, 0.0), start, atol=1e-6)
    assert torch.allclose(spherical(start, end, 1.0), end, atol=1e-6)
    assert torch.allclose(spherical(start, start, 0.5), start, atol=1e-6)
