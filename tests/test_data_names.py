"""What a folder's files and their names tell: kinds side by side, splits of shards, labels, names that are no text."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from cardigan.data import inspect_data, open_data
from cardigan.errors import DataError
from test_data_formats import (
    GREY,
    LABELS,
    RGB,
    contents,
    encode,
    expected,
    files,
    idx,
    write_folder,
    write_parquet,
    write_tar,
    write_zip,
)


@pytest.mark.parametrize(
    ("shards", "sizes", "note"),
    [
        (("train-0", "validation-0"), (8, 4), "validation shards are the test split"),
        (("train-0", "test-0", "val_0"), (8, 4), "left out, as neither train nor test: val_0.parquet"),
        (("train-0", "test-0", "extra"), (8, 4), "extra.parquet"),
    ],
)
def test_validation_shards(
    shards: tuple[str, ...], sizes: tuple[int, int], note: str, tmp_path: Path, cache: Path
) -> None:
    for name, part in zip(shards, (slice(0, 8), slice(8, 12), slice(0, 3)), strict=False):
        write_parquet(tmp_path / f"{name}.parquet", RGB[part], labels=LABELS[part])
    splits = open_data(tmp_path)
    assert (len(splits.train), len(splits.test)) == sizes
    assert any(note in found for found in splits.notes)


@pytest.mark.parametrize("name", ["val-0.parquet", "valley/0.parquet", "trainer/0.parquet"])
def test_shards_of_no_official_split(name: str, tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "x"
    (folder / name).parent.mkdir(parents=True)
    write_parquet(folder / name, RGB)
    assert contents(open_data(folder)) == expected(RGB)


@pytest.mark.parametrize("suffixes", [("", ".gz"), (".gz", "")])
def test_idx_labels_compressed_otherwise(suffixes: tuple[str, str], tmp_path: Path, cache: Path) -> None:
    for name, array, suffix in zip(("images-idx3", "labels-idx1"), (GREY[..., 0], LABELS), suffixes, strict=True):
        data = idx(array)
        (tmp_path / f"{name}-ubyte{suffix}").write_bytes(gzip.compress(data) if suffix else data)
    assert contents(open_data(tmp_path)) == expected(GREY)
    assert contents(open_data(tmp_path / f"images-idx3-ubyte{suffixes[0]}")) == expected(GREY)


@pytest.mark.parametrize("kind", ["folder", "tar", "zip"])
def test_names_that_are_not_utf8(kind: str, tmp_path: Path, cache: Path) -> None:
    content = {os.fsdecode(b"gr\xfcn/") + name: data for name, data in files(RGB).items()}
    root = tmp_path / os.fsdecode(b"\xe4.") if kind != "zip" else tmp_path / "x."
    if kind == "folder":
        path = write_folder(root, content)
    elif kind == "tar":
        path = write_tar(root, content)
    else:
        path = write_zip(root, {name.replace("\udcfc", "\xfc"): data for name, data in content.items()})
    splits = open_data(path)
    assert contents(splits) == expected(RGB)
    every = "".join(splits.train.names(torch.arange(len(splits.train))) or [])
    assert (splits.train.name + every).encode()
    assert ("gr\\udcfcn" in every) == (kind != "zip")
    assert inspect_data(path).to_json().encode()


def put(kind: str, folder: Path, count: int) -> str:
    """Write a file of one kind with so many images into a folder and give its name."""
    match kind:
        case "picture":
            write_folder(folder, {f"photo{i}.png": encode(RGB[i]) for i in range(count)})
            return "photo0.png"
        case "parquet":
            write_parquet(folder / "a.parquet", RGB[:count], labels=LABELS[:count])
            return "a.parquet"
        case "idx":
            (folder / "my-images-idx3-ubyte").write_bytes(idx(RGB[:count, :, :, 0]))
            return "my-images-idx3-ubyte"
        case "cifar10":
            (folder / "test_batch.bin").write_bytes(bytes(3073))
            (folder / "data_batch_1.bin").write_bytes(bytes([1]) * 3073 * (count - 1))
            return "data_batch_1.bin"
        case _:
            pictures = dict(list(files(RGB).items())[:count])
            write_tar(folder / f"a.{kind}", pictures, "w:gz" if kind == "tar.gz" else "w")
            return f"a.{kind}"


@pytest.mark.parametrize("kind", ["parquet", "idx", "cifar10", "tar", "tar.gz"])
@pytest.mark.parametrize("logo", ["logo.png", "assets/logo.jpg"])
def test_a_picture_beside_other_files_does_not_hide_them(kind: str, logo: str, tmp_path: Path, cache: Path) -> None:
    folder = write_folder(tmp_path / "x", {logo: encode(np.tile(RGB[0], (30, 30, 1)))})
    put(kind, folder, 12)
    splits = open_data(folder)
    assert len(splits.train) + len(splits.test) == 12
    assert any(f"hold the most images; left out: 1 picture ({logo})" in note for note in splits.notes)
    found = inspect_data(folder)
    assert found.ignored == [logo]
    assert sum(found.sizes.values()) == 12


@pytest.mark.parametrize("kind", ["parquet", "idx", "cifar10", "tar", "tar.gz"])
@pytest.mark.parametrize("count", [3, 12])
def test_pictures_are_read_where_no_other_files_hold_more(kind: str, count: int, tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "x"
    put("picture", folder, 12)
    name = put(kind, folder, count)
    found = inspect_data(folder)
    assert (found.kind, found.sizes) == ("folder", {"7x5": 12})
    assert name in found.ignored
    assert any("the pictures are read" in note and name in note for note in found.notes)


def test_tables_without_images_hide_nothing(tmp_path: Path, cache: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    for name, table in (("hashes", {"hash": [b"0" * 32] * 99}), ("captions", {"text": ["a"] * 99}), ("none", {})):
        folder = tmp_path / name
        put("picture", folder, 12)
        parquet.write_table(pyarrow.table(table), folder / "table.parquet")
        assert inspect_data(folder).kind == "folder"
        for picture in folder.glob("*.png"):
            picture.unlink()
        put("tar", folder, 12)
        assert inspect_data(folder).kind == "tar"


def test_files_that_cannot_be_counted_go_by_their_weight(tmp_path: Path, cache: Path) -> None:
    put("picture", tmp_path, 12)
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and nothing")
    assert inspect_data(tmp_path).kind == "folder"
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and nothing" * 1000)
    with pytest.raises(DataError, match=r"x.parquet is a damaged parquet file"):
        inspect_data(tmp_path)
