"""What the names of files tell: splits of shards, labels beside images, and names that are no valid text."""

import gzip
import os
from pathlib import Path

import pytest
import torch

from cardigan.data import inspect_data, open_data
from test_data_formats import (
    GREY,
    LABELS,
    RGB,
    contents,
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
