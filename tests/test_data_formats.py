"""Every format gives the same pixels, exactly."""

import gzip
import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cardigan.data import DataOptions, Splits, inspect_data, open_data
from cardigan.data.decode import decode, header, prepare
from cardigan.errors import DataError

rng = np.random.default_rng(0)
GREY = rng.integers(0, 256, (12, 5, 7, 1), dtype=np.uint8)
RGB = rng.integers(0, 256, (12, 5, 7, 3), dtype=np.uint8)
RGBA = rng.integers(0, 256, (12, 5, 7, 4), dtype=np.uint8)
DEEP = rng.integers(0, 65536, (12, 5, 7, 1), dtype=np.uint16)
LABELS = np.arange(12) % 3


def encode(image: np.ndarray, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(stream, kind, **options)
    return stream.getvalue()


def files(images: np.ndarray, suffix: str = ".png") -> dict[str, bytes]:
    return {f"class{label}/{i:02}{suffix}": encode(x) for i, (x, label) in enumerate(zip(images, LABELS, strict=True))}


def write_folder(root: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def write_zip(path: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def write_tar(path: Path, content: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def idx(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()
    )


def write_parquet(path: Path, images: np.ndarray, raw: bool = False, labels: np.ndarray = LABELS) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    data = [encode(x) for x in images]
    column = data if raw else [{"bytes": d, "path": f"{i}.png"} for i, d in enumerate(data)]
    features = {"label": {"names": ["class0", "class1", "class2"], "_type": "ClassLabel"}}
    table = pyarrow.table({"image": column, "label": labels.tolist()})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, path)
    return path


def contents(splits: Splits) -> list[tuple[bytes, int | None]]:
    """All examples as stored pixels (channels, height, width) with their class, in an order of their own."""
    found = []
    for side in (splits.train, splits.test):
        every = torch.arange(len(side))
        top = 2**side.spec.bits - 1
        pixels = ((side.images(every).double() + 1) * top / 2).round().to(torch.int32).numpy()
        labels = side.labels(every)
        found += [(x.tobytes(), None if labels is None else int(labels[i])) for i, x in enumerate(pixels)]
    return sorted(found)


def expected(images: np.ndarray, labels: np.ndarray | None = LABELS) -> list[tuple[bytes, int | None]]:
    x = images.transpose(0, 3, 1, 2).astype(np.int32)
    return sorted((image.tobytes(), None if labels is None else int(labels[i])) for i, image in enumerate(x))


@pytest.mark.parametrize("images", [GREY, RGB, RGBA, DEEP], ids=["grey", "rgb", "rgba", "16 bit"])
@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "tar.gz", "tar.xz", "npy", "npz", "parquet", "parquet raw"])
def test_the_same_pixels_from_every_format(kind: str, images: np.ndarray, tmp_path: Path, cache: Path) -> None:
    path, labels = tmp_path / f"set.{kind.split()[0]}", LABELS
    match kind:
        case "folder":
            write_folder(path, files(images))
        case "zip":
            write_zip(path, files(images))
        case "tar":
            write_tar(path, files(images))
        case "tar.gz" | "tar.xz":
            write_tar(path, files(images), f"w:{kind[4:]}")
        case "npy":
            np.save(path, images)
            labels = None
        case "npz":
            np.savez_compressed(path, images=images, labels=LABELS)
        case _:
            write_parquet(path, images, raw="raw" in kind)
    splits = open_data(path)
    assert contents(splits) == expected(images, labels)
    assert splits.train.spec.shape == (images.shape[3], 5, 7)
    assert splits.train.spec.bits == 8 * images.itemsize
    assert len(splits.train.spec.classes) == (0 if labels is None else 3)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx(suffix: str, tmp_path: Path, cache: Path) -> None:
    pack = gzip.compress if suffix else bytes
    alone = tmp_path / f"my-images-idx3-ubyte{suffix}"
    alone.write_bytes(pack(idx(GREY[..., 0])))
    assert contents(open_data(alone)) == expected(GREY, None)
    alone.with_name(f"my-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(LABELS)))
    assert contents(open_data(alone)) == expected(GREY)
    folder = tmp_path / "both"
    folder.mkdir()
    for name, part in (("train", slice(0, 8)), ("t10k", slice(8, 12))):
        (folder / f"{name}-images-idx3-ubyte{suffix}").write_bytes(pack(idx(GREY[part, ..., 0])))
        (folder / f"{name}-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(LABELS[part])))
    splits = open_data(folder)
    assert (len(splits.train), len(splits.test)) == (8, 4)
    assert contents(splits) == expected(GREY)


def test_npz_of_keras(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=GREY[:9, ..., 0], y_train=LABELS[:9], x_test=GREY[9:, ..., 0], y_test=LABELS[9:, None])
    splits = open_data(path)
    assert (len(splits.train), len(splits.test)) == (9, 3)
    assert contents(splits) == expected(GREY)


@pytest.mark.parametrize(
    ("arrays", "note"),
    [
        ({"arr_0": GREY, "arr_1": LABELS}, "not used: arr_1; labels are read from labels or y"),
        ({"images": GREY, "labels": LABELS, "masks": GREY, "arr_0": RGB}, "not used: arr_0, masks"),
        ({"x_train": GREY, "x_test": GREY[:3], "y_train": LABELS}, "not used: y_train; labels"),
        ({"images": GREY, "labels": LABELS}, None),
    ],
)
def test_arrays_of_an_npz_that_are_not_used_are_named(
    arrays: dict[str, np.ndarray], note: str | None, tmp_path: Path, cache: Path
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    for notes in (open_data(tmp_path / "x.npz").notes, inspect_data(tmp_path / "x.npz").notes):
        found = [line for line in notes if "not used" in line]
        assert len(found) == (note is not None)
        assert (note or "") in "".join(found)


def test_webdataset_shards(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "shards").mkdir()
    for shard in range(2):
        content = {}
        for i in range(6 * shard, 6 * shard + 6):
            content |= {f"{i:04}.png": encode(RGB[i]), f"{i:04}.cls": str(LABELS[i]).encode(), f"{i:04}.json": b"{}"}
        write_tar(tmp_path / f"shards/set-{shard:06}.tar", content)
    splits = open_data(tmp_path / "shards")
    assert contents(splits) == expected(RGB)
    assert splits.train.spec.classes == ("0", "1", "2")
    assert contents(open_data(tmp_path / "shards" / "set-000000.tar")) == expected(RGB[:6], LABELS[:6])


def test_parquet_shards_are_splits_by_name(tmp_path: Path, cache: Path) -> None:
    write_parquet(tmp_path / "train-00000-of-00001.parquet", RGB)
    write_parquet(tmp_path / "test-00000-of-00001.parquet", RGB[::-1])
    splits = open_data(tmp_path)
    assert (len(splits.train), len(splits.test)) == (12, 12)
    assert splits.train.spec.classes == ("class0", "class1", "class2")


def test_cifar10_binary(tmp_path: Path, cache: Path) -> None:
    images = rng.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    labels = np.array([3, 1, 9, 0, 3, 5])
    records = [bytes([label]) + x.transpose(2, 0, 1).tobytes() for label, x in zip(labels, images, strict=True)]
    batches = {"data_batch_1.bin": b"".join(records[:4]), "test_batch.bin": b"".join(records[4:])}
    folder = write_folder(tmp_path / "cifar-10-batches-bin", batches)
    archive = write_tar(tmp_path / "c.tar.gz", {f"cifar-10-batches-bin/{n}": d for n, d in batches.items()}, "w:gz")
    for path in (folder, archive):
        splits = open_data(path)
        assert (len(splits.train), len(splits.test)) == (4, 2)
        assert contents(splits) == expected(images, labels)
        assert splits.train.spec.classes[3] == "cat"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (0, 255)])
def test_real_numbers_by_their_range(low: int, high: int, dtype: type, tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "x.npy"
    images = GREY.copy()
    images[0, 0, 0], images[0, 0, 1] = 0, 255
    np.save(path, (images / 255 * (high - low) + low).astype(dtype))
    splits = open_data(path)
    assert contents(splits) == expected(images, None)
    assert [note for note in splits.notes if "taken to lie in" in note] == [
        f"floats taken to lie in [{low}, {high}]{', as some are negative' if low else ''}: "
        f"they reach from {low} to {high}"
    ]


@pytest.mark.parametrize(
    ("noise", "low", "high"),
    [(-1e-7, 0, 1), (1 + 1e-6, 0, 1), (-0.001, 0, 1), (1 + 1e-6, -1, 1), (-1 - 1e-6, -1, 1), (255.4, 0, 255)],
)
def test_noise_does_not_change_the_range_of_real_numbers(
    noise: float, low: int, high: int, tmp_path: Path, cache: Path
) -> None:
    images = GREY.copy()
    images[0, 0, 0], images[0, 0, 1] = 0, 255
    real = images / 255 * (high - low) + low
    real[0, 0, 0 if noise < low else 1] = noise
    np.save(tmp_path / "x.npy", real)
    splits = open_data(tmp_path / "x.npy")
    assert contents(splits) == expected(images, None)
    assert any(f"in [{low}, {high}]" in note and "is clipped" in note for note in splits.notes)
    assert any(f"in [{low}, {high}]" in note for note in inspect_data(tmp_path / "x.npy").notes)


def test_whole_numbers_and_truth_values(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, GREY.astype(np.int64))
    splits = open_data(path)
    assert contents(splits) == expected(GREY, None)
    assert any("whole numbers taken to lie in 0..255: they reach from" in note for note in splits.notes)
    np.save(path, DEEP.astype(np.int32))
    assert contents(open_data(path)) == expected(DEEP, None)
    np.save(path, GREY > 127)
    assert contents(open_data(path)) == expected(np.where(GREY > 127, 255, 0), None)


def test_axes_of_arrays(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, RGB.transpose(0, 3, 1, 2))
    assert contents(open_data(path)) == expected(RGB, None)
    np.save(path, np.asfortranarray(RGB))
    assert contents(open_data(path)) == expected(RGB, None)
    many = rng.integers(0, 65536, (4, 9, 8, 6), dtype=np.uint16)
    np.save(path, many)
    splits = open_data(path)
    assert splits.train.spec.shape == (6, 9, 8)
    assert contents(splits) == expected(many, None)


@pytest.mark.parametrize(
    ("kind", "suffix"), [("TIFF", ".tif"), ("BMP", ".bmp"), ("WEBP", ".webp"), ("PPM", ".ppm"), ("GIF", ".gif")]
)
def test_lossless_image_formats(kind: str, suffix: str, tmp_path: Path, cache: Path) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    images = np.repeat(GREY, 3, axis=3) if kind == "GIF" else RGB  # a palette of greys is colour still
    folder = write_folder(tmp_path / "x", {f"{i}{suffix}": encode(x, kind, **options) for i, x in enumerate(images)})
    assert contents(open_data(folder)) == expected(images, None)


def test_16_bit_tiff(tmp_path: Path, cache: Path) -> None:
    folder = write_folder(tmp_path / "x", {f"{i}.tif": encode(x, "TIFF") for i, x in enumerate(DEEP)})
    assert contents(open_data(folder)) == expected(DEEP, None)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    upright = RGB[0]
    undone = {1: lambda x: x, 2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud}
    undone |= {5: lambda x: x.transpose(1, 0, 2), 6: np.rot90, 7: lambda x: np.rot90(x, 2).transpose(1, 0, 2)}
    undone |= {8: lambda x: np.rot90(x, -1)}
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(np.ascontiguousarray(undone[orientation](upright)), kind, exif=exif)
    assert (decode(data).pixels == upright).all()
    assert decode(data).size == (5, 7)
    assert header(data) == ((5, 7), 3, 8)


def test_palettes_and_their_transparency() -> None:
    palette = Image.fromarray(RGB[0]).quantize(16)
    stream = io.BytesIO()
    palette.save(stream, "PNG")
    assert (decode(stream.getvalue()).pixels == np.asarray(palette.convert("RGB"))).all()
    stream = io.BytesIO()
    palette.save(stream, "PNG", transparency=3)
    pixels = decode(stream.getvalue()).pixels
    assert pixels.shape[2] == 4
    assert ((pixels[:, :, 3] == 0) == (np.asarray(palette) == 3)).all()


def test_other_modes() -> None:
    cmyk = Image.fromarray(RGB[0]).convert("CMYK")
    stream = io.BytesIO()
    cmyk.save(stream, "TIFF")
    assert (decode(stream.getvalue()).pixels == np.asarray(cmyk.convert("RGB"))).all()
    stream = io.BytesIO()
    Image.fromarray(GREY[0, :, :, 0] > 127).save(stream, "PNG")
    assert (decode(stream.getvalue()).pixels[:, :, 0] == np.where(GREY[0, :, :, 0] > 127, 255, 0)).all()
    stream = io.BytesIO()
    Image.fromarray(RGBA[0]).convert("LA").save(stream, "PNG")
    assert decode(stream.getvalue()).pixels.shape == (5, 7, 4)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("images", [GREY, RGB, RGBA], ids=["grey", "rgb", "rgba"])
def test_channels_as_pillow_converts_them(images: np.ndarray, channels: int) -> None:
    image = Image.fromarray(images[0][:, :, 0] if images.shape[3] == 1 else images[0])
    if images.shape[3] == 4 and channels < 4:
        image = Image.alpha_composite(Image.new("RGBA", image.size, (9, 99, 199, 255)), image).convert("RGB")
    wanted = np.asarray(image.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])).reshape(5, 7, channels).astype(int)
    found = prepare(images[0], DataOptions(channels=channels, background=(9, 99, 199))).astype(int)
    assert abs(found - wanted).max() <= (1 if images.shape[3] == 4 else 0)  # Pillow composites in fixed point


def test_16_bit_channels_agree_with_8_bit_ones() -> None:
    options = DataOptions(channels=1, background=(9, 99, 199))
    deep = prepare(RGBA[0].astype(np.uint16) * 257, options) / 257
    assert deep.dtype == np.float64
    assert abs(deep - prepare(RGBA[0], options)).max() <= 1


def test_fit() -> None:
    wide = np.zeros((10, 20, 1), np.uint8)
    wide[:, 5:15] = 200
    assert (prepare(wide, DataOptions(size=10)) == 200).all()  # the edges are cut
    stretched = prepare(wide, DataOptions(size=10, fit="stretch"))
    assert stretched.shape == (10, 10, 1)
    assert stretched[5, 0] < 20
    padded = prepare(wide, DataOptions(size=20, fit="pad", background=(255, 255, 255)))
    assert (padded[:5] == 255).all()
    assert (padded[5:15] == wide).all()
    assert prepare(RGBA[0], DataOptions(size=(9, 9), fit="pad"))[0, 0, 3] == 0  # padded with nothing
    assert prepare(wide, DataOptions(size=(4, 6))).shape == (4, 6, 1)


def test_resizing_agrees_between_8_and_16_bits() -> None:
    options = DataOptions(size=(3, 4))
    deep = prepare(RGB[0].astype(np.uint16) * 257, options) / 257
    assert abs(deep - prepare(RGB[0], options)).max() <= 1


def test_large_jpegs_are_decoded_at_a_fraction() -> None:
    smooth = np.linspace(0, 255, 640 * 480).reshape(480, 640, 1).astype(np.uint8)
    data = encode(smooth, "JPEG")
    small = decode(data, (32, 32))
    assert small.pixels.shape[0] < 480
    assert small.size == (480, 640)
    options = DataOptions(size=32)
    whole = prepare(decode(data).pixels, options).astype(int)
    assert abs(prepare(small.pixels, options).astype(int) - whole).max() <= 2


def test_layout_of_folders(tmp_path: Path, cache: Path) -> None:
    pictures = {f"{i}": encode(x) for i, x in enumerate(RGB)}
    official = {f"set/train/a/{i}.png": pictures[str(i)] for i in range(4)}
    official |= {f"set/train/b/deep/{i}.png": pictures[str(i)] for i in range(4, 6)}
    official |= {f"set/test/a/{i}.png": pictures[str(i)] for i in range(6, 8)}
    official |= {"set/val/a/8.png": pictures["8"], "set/other/9.png": pictures["9"], "set/notes.txt": b"hello"}
    official |= {"set/.hidden.png": b"", "__MACOSX/set/._0.png": b"", "set/train/a/Thumbs.db": b""}
    splits = open_data(write_folder(tmp_path / "x", official))
    assert (len(splits.train), len(splits.test)) == (6, 2)
    assert splits.train.spec.classes == ("a", "b")
    assert any("validation split join neither" in note for note in splits.notes)
    assert any("1 of the images, which lie outside" in note for note in splits.notes)
    assert any("2 other files" in note for note in splits.notes)
    assert splits.train.names(torch.tensor([0, 4])) == ["set/train/a/0.png", "set/train/b/deep/4.png"]


def test_classes_need_every_image_in_a_folder(tmp_path: Path, cache: Path) -> None:
    folder = write_folder(tmp_path / "x", files(RGB) | {"loose.png": encode(RGBA[0][:, :, :3])})
    splits = open_data(folder)
    assert splits.train.spec.classes == ()
    assert splits.train.labels(torch.arange(3)) is None
    assert any("no class" in note for note in splits.notes)


def test_numbered_classes_are_in_the_order_of_numbers(tmp_path: Path, cache: Path) -> None:
    content = {f"{i}/x.png": encode(RGB[i]) for i in range(12)}
    assert open_data(write_folder(tmp_path / "x", content)).train.spec.classes == tuple(map(str, range(12)))


def test_inspection_counts(tmp_path: Path, cache: Path) -> None:
    content = files(RGB) | {"class0/odd.png": encode(RGB[0][:4]), "class1/copy.png": encode(RGB[1])}
    content |= {"class1/broken.png": encode(RGB[1])[:60], "readme.txt": b"x"}
    found = inspect_data(write_folder(tmp_path / "x", content))
    assert found.classes == {"class0": 5, "class1": 5, "class2": 4}
    assert found.sizes == {"7x5": 13, "7x4": 1}
    assert found.odd_sized == ["class0/odd.png"]
    assert [name for name, _ in found.unreadable] == ["class1/broken.png"]
    assert found.duplicates == [["class1/01.png", "class1/copy.png"]]
    assert found.ignored == ["readme.txt"]
    assert sum(found.splits.values()) == 14
    assert "data.skip_unreadable=true" in (found.verdict or "")
    assert json.loads(found.to_json())["modes"] == {"RGB": 14}
    assert any("exact copies: 1" in line for line in found.lines())


def test_images_of_another_size_or_mode_are_named(tmp_path: Path, cache: Path) -> None:
    content = files(RGB) | {f"class0/tall{i}.png": encode(RGB[i].transpose(1, 0, 2)) for i in range(3)}
    content |= {"class1/alpha.png": encode(RGBA[0]), "class2/deep.png": encode(DEEP[0])}
    found = inspect_data(write_folder(tmp_path / "x", content))
    assert sorted(found.odd_sized) == [f"class0/tall{i}.png" for i in range(3)]
    assert sorted(found.odd_modes) == ["class1/alpha.png", "class2/deep.png"]
    assert {"odd-sized: 3", "of another mode: 2", "  class1/alpha.png"} <= set(found.lines())
    assert not any("is common" in note for note in found.notes)


def test_where_no_size_or_mode_is_common_it_is_said(tmp_path: Path, cache: Path) -> None:
    content = {"0.png": encode(RGB[0]), "1.png": encode(GREY[0])}
    content |= {f"{i}.png": encode((RGB if i % 2 else GREY)[i, :i]) for i in range(2, 6)}
    found = inspect_data(write_folder(tmp_path / "x", content), DataOptions(size=4, channels=3))
    assert (found.odd_sized, found.odd_modes) == ([], [])
    assert [note for note in found.notes if "is common" in note] == [
        "no size is common to more than half of the images",
        "no mode is common to more than half of the images",
    ]
    assert found.verdict is None


def test_inspection_of_built_ins() -> None:
    assert inspect_data("digits").splits == {"train": 1442, "test": 355}
    assert inspect_data("ring").lines()[-1] == "ready to train on"
    with pytest.raises(DataError, match="did you mean digits"):
        inspect_data("digit")


def test_pictures_with_the_names_of_idx_files_are_pictures(tmp_path: Path, cache: Path):
    for index in range(12):
        Image.fromarray(np.full((4, 4), 20 * index, np.uint8)).save(tmp_path / f"train-images-idx3-ubyte_{index}.png")
    found = inspect_data(tmp_path)
    assert sum(found.splits.values()) == 12
    assert not found.ignored
    assert not found.notes
