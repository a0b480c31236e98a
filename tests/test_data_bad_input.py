"""Each thing that can be wrong with data is one clear line."""

import io
import os
import re
import shutil
import struct
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cardigan.data import DataOptions, inspect_data, open_data
from cardigan.errors import DataError
from test_data_formats import (
    DEEP,
    GREY,
    RGB,
    RGBA,
    encode,
    files,
    idx,
    write_folder,
    write_parquet,
    write_tar,
    write_zip,
)

GOOD = {f"{i}.png": encode(x) for i, x in enumerate(RGB)}


def refused(source: str | Path, *words: str, options: DataOptions = DataOptions()) -> str:  # noqa: B008 (frozen)
    """The line by which a source is refused."""
    with pytest.raises(DataError) as caught:
        open_data(source, options)
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line, line
    packs = Path(os.environ["CARDIGAN_CACHE"], "packs")
    assert not packs.exists() or not list(packs.iterdir()), "a refused source leaves nothing"
    return line


def test_missing_path(tmp_path: Path, cache: Path) -> None:
    refused(tmp_path / "nothing", "does not exist")


def test_misspelt_name(cache: Path) -> None:
    refused("fashion_mnsit", "did you mean fashion-mnist?")
    refused("stackeddigits", "stacked-digits")


@pytest.mark.parametrize("content", [{}, {"notes.txt": b"hello"}])
def test_empty_folder(content: dict[str, bytes], tmp_path: Path, cache: Path) -> None:
    folder = write_folder(tmp_path / "x", content)
    folder.mkdir(exist_ok=True)
    refused(folder, "holds no images")
    with pytest.raises(DataError, match="holds no images"):
        inspect_data(folder)


def test_one_image(tmp_path: Path, cache: Path) -> None:
    folder = write_folder(tmp_path / "x", {"0.png": GOOD["0.png"]})
    refused(folder, "one image", "at least 2")
    refused(folder / "0.png", "one image", "folder")


def test_the_same_image_twice(tmp_path: Path, cache: Path) -> None:
    refused(write_folder(tmp_path / "x", {"0.png": GOOD["0.png"], "1.png": GOOD["0.png"]}), "the same picture")


BAD_FILES = {
    "truncated png": (GOOD["0.png"][:70], "truncated"),
    "truncated jpeg": (encode(np.repeat(np.repeat(RGB[0], 20, 0), 20, 1), "JPEG")[:900], "truncated"),
    "empty": (b"", "empty file"),
    "disguised text": (b"<!DOCTYPE html><html></html>", "not an image"),
    "disguised postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not an image"),
    "broken header": (GOOD["0.png"][:20] + b"\xff" + GOOD["0.png"][21:], "damaged header"),
    "broken pixels": (GOOD["0.png"][:60] + b"\xff\xff" + GOOD["0.png"][62:], "damaged"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_unreadable_files(name: str, tmp_path: Path, cache: Path) -> None:
    data, reason = BAD_FILES[name]
    folder = write_folder(tmp_path / "x", GOOD | {"bad.png": data})
    refused(folder, "1 of 13 images", "bad.png", reason, "--set data.skip_unreadable=true")
    splits = open_data(folder, DataOptions(skip_unreadable=True))
    assert len(splits.train) + len(splits.test) == 12
    assert any("bad.png" in note and reason in note for note in splits.notes)
    assert [found for found, _ in inspect_data(folder).unreadable] == ["bad.png"]


def test_many_unreadable_files_are_counted_and_the_first_named(tmp_path: Path, cache: Path) -> None:
    folder = write_folder(tmp_path / "x", GOOD | {f"bad{i}.png": b"x" for i in range(9)})
    refused(folder, "9 of 21 images", "bad0.png", "bad2.png", "and 6 more")


def test_animation(tmp_path: Path, cache: Path) -> None:
    stream = io.BytesIO()
    first, *others = [Image.fromarray(x) for x in RGB[:3]]
    first.save(stream, "GIF", save_all=True, append_images=others)
    refused(write_folder(tmp_path / "x", GOOD | {"a.gif": stream.getvalue()}), "a.gif", "3 frames")


def test_floating_point_picture(tmp_path: Path, cache: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(GREY[0, :, :, 0].astype(np.float32)).save(stream, "TIFF")
    refused(write_folder(tmp_path / "x", GOOD | {"f.tif": stream.getvalue()}), "f.tif", "floating-point")


@pytest.mark.parametrize("side", [12_000, 60_000])
def test_decompression_bomb(side: int, tmp_path: Path, cache: Path, recwarn: pytest.WarningsRecorder) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    reason = "pixels" if side > 20_000 else "truncated"
    refused(write_folder(tmp_path / "x", GOOD | {"bomb.png": bomb}), "bomb.png", reason)
    assert not recwarn.list


def test_broken_link(tmp_path: Path, cache: Path) -> None:
    folder = write_folder(tmp_path / "x", GOOD)
    (folder / "gone.png").symlink_to(tmp_path / "nowhere.png")
    refused(folder, "gone.png", "no such file")


@pytest.mark.parametrize("name", ["../evil.png", "/etc/evil.png", "a/../../evil.png", "C:\\evil.png", "..\\evil.png"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_escaping_paths(kind: str, name: str, tmp_path: Path, cache: Path) -> None:
    write = write_zip if kind == "zip" else write_tar
    refused(write(tmp_path / f"x.{kind}", GOOD | {name: GOOD["0.png"]}), "1 of 13", "leads out of the archive")
    assert not list(tmp_path.glob("**/evil.png"))


def test_links_in_archives(tmp_path: Path, cache: Path) -> None:
    import tarfile

    path = write_tar(tmp_path / "x.tar", GOOD)
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    refused(path, "link.png", "a link")
    zipped = write_zip(tmp_path / "x.zip", GOOD)
    with zipfile.ZipFile(zipped, "a") as archive:
        info = zipfile.ZipInfo("link.png")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    refused(zipped, "link.png", "a link")


def test_damaged_archives(tmp_path: Path, cache: Path) -> None:
    whole = write_zip(tmp_path / "x.zip", GOOD).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[:-200])
    refused(tmp_path / "cut.zip", "damaged zip")
    place = whole.index(GOOD["3.png"]) + 60
    (tmp_path / "flipped.zip").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    refused(tmp_path / "flipped.zip", "1 of 12", "3.png", "CRC")
    for mode, suffix in (("w", "tar"), ("w:gz", "tar.gz")):
        data = write_tar(tmp_path / f"x.{suffix}", GOOD, mode).read_bytes()
        cut = tmp_path / f"cut.{suffix}"
        cut.write_bytes(data[: len(data) // 2])
        refused(cut, "cut short")


def test_no_kind_of_data(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "x.pdf").write_bytes(b"%PDF-1.7 and so on")
    refused(tmp_path / "x.pdf", "not a kind of data that Cardigan reads", "parquet")


def test_mixed_sizes(tmp_path: Path, cache: Path) -> None:
    folder = write_folder(tmp_path / "x", GOOD | {"odd.png": encode(RGB[0][:4]), "odder.png": encode(RGB[0][:3])})
    refused(folder, "7x5 (12), 7x4 (1), 7x3 (1)", "--set data.size=64")
    splits = open_data(folder, DataOptions(size=8))
    assert len(splits.train) + len(splits.test) == 14
    assert splits.train.spec.shape == (3, 8, 8)


def test_mixed_modes(tmp_path: Path, cache: Path) -> None:
    folder = write_folder(tmp_path / "x", GOOD | {"grey.png": encode(GREY[0]), "alpha.png": encode(RGBA[0])})
    refused(folder, "RGB (12)", "grey (1)", "RGBA (1)", "--set data.channels=3")
    assert open_data(folder, DataOptions(channels=1)).train.spec.shape == (1, 5, 7)


def test_mixed_depths(tmp_path: Path, cache: Path) -> None:
    folder = write_folder(tmp_path / "x", {"a.png": encode(GREY[0]), "b.png": encode(DEEP[0])})
    refused(folder, "mixes 8 and 16 bits", "16-bit grey (1)")


def test_nan(tmp_path: Path, cache: Path) -> None:
    images = GREY[..., 0] / 255
    images[7, 2, 3] = np.nan
    np.save(tmp_path / "x.npy", images)
    refused(tmp_path / "x.npy", "x.npy[7]", "NaN")
    splits = open_data(tmp_path / "x.npy", DataOptions(skip_unreadable=True))
    assert len(splits.train) + len(splits.test) == 11


def test_numbers_out_of_range(tmp_path: Path, cache: Path) -> None:
    np.save(tmp_path / "x.npy", GREY[..., 0] * 3.0 - 100)
    refused(tmp_path / "x.npy", "from -100", "[0, 1], [-1, 1] or [0, 255]")
    np.save(tmp_path / "z.npy", GREY[..., 0] / 255 * 1.1 - 0.05)  # sharpened; as [0, 255] it would be black
    refused(tmp_path / "z.npy", "from -0.05 to 1.0", "[0, 1], [-1, 1] or [0, 255]")
    np.save(tmp_path / "a.npy", GREY[..., 0] / GREY.max() * 1.003)
    refused(tmp_path / "a.npy", "from 0 to 1.003")
    np.save(tmp_path / "y.npy", GREY[..., 0].astype(np.int32) - 100)
    refused(tmp_path / "y.npy", "0..255 or 0..65535")


def test_arrays_that_are_not_images(tmp_path: Path, cache: Path) -> None:
    np.save(tmp_path / "flat.npy", np.zeros((10, 64)))
    refused(tmp_path / "flat.npy", "(10, 64)", "(count, height, width)")
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}, None]), allow_pickle=True)
    refused(tmp_path / "objects.npy", "Python objects")
    np.savez(tmp_path / "keys.npz", data=GREY)
    refused(tmp_path / "keys.npz", "holds data", "images, x or arr_0")
    np.savez(tmp_path / "count.npz", images=GREY, labels=np.zeros(3, int))
    refused(tmp_path / "count.npz", "12 images", "(3,)")


def test_cut_arrays(tmp_path: Path, cache: Path) -> None:
    np.save(tmp_path / "x.npy", GREY)
    data = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(data[:-100])
    refused(tmp_path / "x.npy", "ends after 9 of 12")
    (tmp_path / "a-images-idx3-ubyte").write_bytes(idx(GREY[..., 0])[:-1])
    refused(tmp_path / "a-images-idx3-ubyte", "ends after 11 of 12")
    (tmp_path / "b-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b\x08")
    refused(tmp_path / "b-images-idx3-ubyte.gz", "not a whole idx file")


def test_damaged_parquet(tmp_path: Path, cache: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    (tmp_path / "x.parquet").write_bytes(b"PAR1 and nothing")
    refused(tmp_path / "x.parquet", "damaged parquet")
    parquet.write_table(pyarrow.table({"text": ["a", "b"]}), tmp_path / "y.parquet")
    refused(tmp_path / "y.parquet", "no column of images")
    values = [{"bytes": data, "path": None} for data in GOOD.values()]
    values += [{"bytes": None, "path": "../x.png"}, {"bytes": None, "path": None}]
    parquet.write_table(pyarrow.table({"image": values}), tmp_path / "z.parquet")
    refused(tmp_path / "z.parquet", "2 of 14", "leads out", "neither bytes nor a path")


def test_parquet_without_pyarrow(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and nothing")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused(tmp_path / "x.parquet", re.escape("pip install").replace("\\", ""), "cardigan[parquet]")


def test_built_ins_keep_their_shape(cache: Path) -> None:
    refused("ring", "fixed shape", options=DataOptions(size=4))
    assert open_data("digits", DataOptions(size=16, channels=3)).test.spec.shape == (3, 16, 16)


def test_hidden_files_are_no_images(tmp_path: Path, cache: Path) -> None:
    folder = write_folder(tmp_path / "x", files(RGB) | {".DS_Store": b"x", "class0/._00.png": b"junk"})
    assert len(inspect_data(folder).unreadable) == 0


@pytest.mark.parametrize("shape", [(2**62, 2**62, 2**62), (3, 2**40, 2**40), (10**30, 4, 4), (-1, 4, 4), (3, 0, 4)])
@pytest.mark.parametrize("fortran", [False, True])
def test_npy_headers_of_impossible_shapes(shape: tuple[int, ...], fortran: bool, tmp_path: Path, cache: Path) -> None:
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": fortran, "shape": shape})
        file.write(bytes(100))
    refused(tmp_path / "x.npy", "x.npy", "ends after" if shape[0] == 10**30 else "announces the shape")


def test_idx_headers_of_impossible_shapes(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "x-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3]) + b"\xff" * 100)
    refused(tmp_path / "x-images-idx3-ubyte", "announces the shape")
    (tmp_path / "x-images-idx3-ubyte").write_bytes(idx(GREY[..., 0]))
    (tmp_path / "x-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1]) + b"\xff" * 100)
    refused(tmp_path / "x-images-idx3-ubyte", "ends after 96 of 4294967295 labels")


def test_rows_are_read_by_their_size(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cardigan.data import arrays

    np.save(tmp_path / "x.npy", GREY)
    file = arrays.npy_file("x", lambda: (tmp_path / "x.npy").open("rb"))
    for budget in (1, 100, 1 << 20):
        monkeypatch.setattr(arrays, "BYTES_AT_ONCE", budget)
        assert (np.array(list(file.rows())) == GREY).all()


def test_cut_array_in_fortran_order(tmp_path: Path, cache: Path) -> None:
    np.save(tmp_path / "x.npy", np.asfortranarray(GREY))
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-1])
    refused(tmp_path / "x.npy", "ends after 0 of 12")


def test_labels_of_some_arrays_only_are_told(tmp_path: Path, cache: Path) -> None:
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(GREY[..., 0]))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(12) % 10))
    splits = open_data(tmp_path)
    assert splits.train.spec.classes == ()
    assert any("no labels" in note for note in splits.notes)


def test_damaged_page_of_a_parquet_file(tmp_path: Path, cache: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", RGB)
    data = bytearray(path.read_bytes())
    data[4:400] = bytes(396)
    path.write_bytes(data)
    refused(path, "x.parquet is a damaged parquet file")


def test_cut_cifar10(tmp_path: Path, cache: Path) -> None:
    records = np.random.default_rng(3).integers(0, 10, (5, 3073), dtype=np.uint8).tobytes()
    batches = {f"c/data_batch_{i}.bin": records for i in range(1, 6)} | {"c/test_batch.bin": records[:-1]}
    refused(write_folder(tmp_path / "x", batches), "test_batch.bin[4]", "within its image 4")
    refused(write_tar(tmp_path / "x.tar", batches), "test_batch.bin[4]", "within its image 4")
    whole = write_tar(tmp_path / "y.tar", batches | {"c/test_batch.bin": records}).read_bytes()
    (tmp_path / "y.tar").write_bytes(whole[: whole.rindex(records) + 4000])
    refused(tmp_path / "y.tar", "cut short", "test_batch.bin (truncated)")
    del batches["c/data_batch_2.bin"]
    splits = open_data(write_tar(tmp_path / "z.tar", batches), DataOptions(skip_unreadable=True))
    assert any("data_batch_2.bin not found" in note for note in splits.notes)


def test_deep_colour_is_not_cut(tmp_path: Path, cache: Path) -> None:
    refused(write_folder(tmp_path / "y", GOOD | {"deep.ppm": b"P6 2 2 65535\n" + bytes(24)}), "deep.ppm", "16 bits")


def shut_out(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    scan = os.scandir

    def guarded(path: str | Path | int) -> object:
        if not isinstance(path, int) and Path(path) in folders:
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", guarded)


def test_folders_without_permission(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path / "x", GOOD | {"secret/a.png": GOOD["0.png"]})
    with monkeypatch.context() as patch:
        shut_out(patch, folder / "secret")
        line = refused(folder, "secret/ (a folder that cannot be read)")
        assert "1 of 13" in line
    with monkeypatch.context() as patch:
        shut_out(patch, folder)
        refused(folder, f"{folder} cannot be read: Permission denied")


def test_archive_that_unpacks_without_end(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cardigan.data import archives

    path = write_tar(tmp_path / "x.tar.gz", GOOD | {"zeros.bin": bytes(20_000_000)}, "w:gz")
    assert len(open_data(path).train) > 0
    shutil.rmtree(cache)
    monkeypatch.setattr(archives, "LARGEST_FILE", 1 << 20)
    refused(path, "unpacks to more than")


@pytest.mark.parametrize("source", ["x" * 5000, "a/" * 3000, "x\0y"])
def test_names_that_no_file_can_have(source: str, cache: Path) -> None:
    refused(source, "does not exist")
