"""Packs: built once whoever is first, whole or not at all, in constant memory, and splits that stay put."""

import errno
import json
import multiprocessing
import os
import shutil
import tracemalloc
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from cardigan.data import DataOptions, Splits, inspect_data, open_data, packing, reading, store
from cardigan.data.dataset import as_floats
from cardigan.errors import DataError
from test_data_formats import GREY, RGB, RGBA, encode, write_folder, write_zip

rng = np.random.default_rng(1)
MANY = {f"{i:03}.png": encode(rng.integers(0, 256, (6, 6, 1), dtype=np.uint8)) for i in range(200)}


def only_pack(cache: Path) -> Path:
    (pack,) = (cache / "packs").iterdir()
    return pack


def names(splits: Splits) -> tuple[set[str], set[str]]:
    train, test = ({*side.names(torch.arange(len(side)))} for side in (splits.train, splits.test))
    return train, test


def test_second_opening_reads_the_pack(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path / "x", MANY)
    steps = []
    first = open_data(folder, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(i, 200) for i in range(1, 201)]
    monkeypatch.setattr(packing, "build", None)
    again = open_data(folder)
    assert again.train.digest == first.train.digest
    assert names(again) == names(first)
    open_data(folder, DataOptions(flip=True))  # changes no pixel


def test_changes_of_the_source_or_of_the_options_make_another_pack(tmp_path: Path, cache: Path) -> None:
    folder = write_folder(tmp_path / "x", MANY)
    digests = {open_data(folder).train.digest, open_data(folder, DataOptions(size=3)).train.digest}
    (folder / "000.png").write_bytes(encode(np.zeros((6, 6, 1), np.uint8)))
    digests.add(open_data(folder).train.digest)
    (folder / "001.png").unlink()
    digests.add(open_data(folder).train.digest)
    assert len(digests) == 4
    assert len(list((cache / "packs").iterdir())) == 4


def test_digest_depends_on_the_content_alone(tmp_path: Path, cache: Path) -> None:
    content = {f"{i % 2}/{name}": data for i, (name, data) in enumerate(MANY.items())}
    folder = open_data(write_folder(tmp_path / "x", content))
    archive = open_data(write_zip(tmp_path / "y.zip", content))
    assert (folder.train.digest, folder.test.digest) == (archive.train.digest, archive.test.digest)
    assert folder.train.digest != folder.test.digest
    moved = {("1/" if name == "0/000.png" else name[:2]) + name[2:]: data for name, data in content.items()}
    other = open_data(write_folder(tmp_path / "z", moved))
    assert {other.train.digest, other.test.digest} != {folder.train.digest, folder.test.digest}


@pytest.mark.parametrize("file", ["images.bin", "splits.bin", "names.json", "index.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damaged_packs_are_rebuilt(file: str, damage: str, tmp_path: Path, cache: Path) -> None:
    folder = write_folder(tmp_path / "x", MANY)
    good = open_data(folder)
    victim = only_pack(cache) / file
    data = victim.read_bytes()
    if damage == "remove":
        victim.unlink()
    else:
        middle = len(data) // 2 if file != "index.json" else data.index(b'"version"') + 3
        changed = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        victim.write_bytes(changed if damage == "flip" else data[:-1])
    again = open_data(folder)
    assert again.train.digest == good.train.digest
    assert torch.equal(again.train.images(torch.arange(20)), good.train.images(torch.arange(20)))
    assert victim.read_bytes() == data
    assert only_pack(cache)


def test_packs_of_another_version_are_rebuilt(tmp_path: Path, cache: Path) -> None:
    folder = write_folder(tmp_path / "x", MANY)
    open_data(folder)
    index = only_pack(cache) / "index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"version": 0}))
    assert store.open_pack(only_pack(cache)) is None
    open_data(folder)
    assert json.loads(index.read_text())["version"] == store.VERSION


def test_large_files_are_checked_in_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK", 10)
    file = store.PackFile(tmp_path / "x")
    for size in (3, 25, 1, 371):
        file.append(bytes(range(100))[:1] * size)
    record = file.close()
    assert (record.bytes, len(record.chunks)) == (400, 40)
    assert store.intact(tmp_path / "x", record)
    for place in (0, 399):
        data = bytearray((tmp_path / "x").read_bytes())
        data[place] ^= 1
        (tmp_path / "y").write_bytes(data)
        assert not store.intact(tmp_path / "y", record)


def build_at_once(folder: Path, cache: Path, barrier, results) -> None:
    barrier.wait()
    splits = open_data(folder, cache=cache)
    every = torch.arange(len(splits.train))
    results.put((splits.train.digest, splits.train.images(every).double().sum().item()))


def test_two_processes_building_at_once_end_with_one_pack(tmp_path: Path, cache: Path) -> None:
    folder = write_folder(tmp_path / "x", MANY)
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(2), context.Queue()
    workers = [context.Process(target=build_at_once, args=(folder, cache, barrier, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    found = {results.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join()
    assert len(found) == 1
    assert store.open_pack(only_pack(cache)) is not None


def test_the_loser_of_a_race_uses_the_winners_pack(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "x", MANY)
    publish, others = packing._publish, []

    def late(draft: Path, target: Path) -> store.Pack:
        shutil.copytree(draft, target)
        others.append(os.stat(target / "images.bin").st_ino)
        return publish(draft, target)

    monkeypatch.setattr(packing, "_publish", late)
    open_data(folder)
    assert os.stat(only_pack(cache) / "images.bin").st_ino == others[0]


@pytest.mark.parametrize("when", [0, 100, 200, 202])
def test_full_disk_leaves_nothing(when: int, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path / "x", MANY)
    write, calls = store.write, []

    def full(file: IO[bytes], data: bytes) -> None:
        calls.append(1)
        if len(calls) > when:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(file, data)

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", full)
        with pytest.raises(DataError, match=r"full: free space, or name another folder in CARDIGAN_CACHE"):
            open_data(folder)
    assert not list((cache / "packs").iterdir())
    assert len(open_data(folder).train) + len(open_data(folder).test) == 200


def test_unwritable_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = write_folder(tmp_path / "x", MANY)
    with pytest.raises(DataError, match="CARDIGAN_CACHE"):
        open_data(folder, cache=tmp_path / "file")


def test_memory_does_not_grow_with_the_data(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK", 1 << 20)
    path = tmp_path / "big.npy"
    big = np.lib.format.open_memmap(path, "w+", np.uint8, (1500, 128, 128, 1))
    big[:] = rng.integers(0, 256, (1500, 1, 1, 1), dtype=np.uint8)
    big[:, 0, 0, 0] = np.arange(1500) % 256
    big[:, 0, 1, 0] = np.arange(1500) // 256
    del big
    tracemalloc.start()
    open_data(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size > 24e6
    assert peak < 8e6


def test_what_killed_builds_left_is_swept(tmp_path: Path, cache: Path) -> None:
    old, new = (cache / "packs" / f".building-{age}" for age in ("old", "new"))
    old.mkdir(parents=True)
    new.mkdir()
    os.utime(old, (0, 0))
    open_data(write_folder(tmp_path / "x", MANY))
    assert not old.exists()
    assert new.exists()


def test_splits_are_disjoint_and_about_a_tenth(tmp_path: Path, cache: Path) -> None:
    train, test = names(open_data(write_folder(tmp_path / "x", MANY)))
    assert not train & test
    assert train | test == set(MANY)
    assert 8 <= len(test) <= 35  # 20 expected, deviation 4.2
    _, more = names(open_data(tmp_path / "x", DataOptions(held_out=0.5)))
    assert test < more


def test_adding_and_removing_files_moves_no_other(tmp_path: Path, cache: Path) -> None:
    few = dict(list(MANY.items())[:120])
    train, test = names(open_data(write_folder(tmp_path / "few", few)))
    more_train, more_test = names(open_data(write_folder(tmp_path / "many", MANY)))
    assert train <= more_train
    assert test <= more_test


def test_size_and_channels_move_none(tmp_path: Path, cache: Path) -> None:
    folder = write_folder(tmp_path / "x", MANY)
    assert names(open_data(folder)) == names(open_data(folder, DataOptions(size=3, channels=3)))


def test_copies_never_straddle_and_are_named(tmp_path: Path, cache: Path) -> None:
    copies = {f"copy-{name[:-4]}.bmp": encode_again(data) for name, data in MANY.items()}
    splits = open_data(write_folder(tmp_path / "x", MANY | copies))
    for side in names(splits):
        originals = {name for name in side if not name.startswith("copy")}
        assert side - originals == {f"copy-{name[:-4]}.bmp" for name in originals}
    assert any("200 exact copies: copy-000.bmp = 000.png" in n or "000.png" in n for n in splits.notes)


def encode_again(data: bytes) -> bytes:
    from cardigan.data.decode import decode

    return encode(decode(data).pixels, "BMP")


def test_copies_between_official_splits_are_told(tmp_path: Path, cache: Path) -> None:
    content = {f"train/{i}.png": encode(RGB[i]) for i in range(6)} | {"test/a.png": encode(RGB[0])}
    content["test/b.png"] = encode(RGB[7])
    notes = open_data(write_folder(tmp_path / "x", content)).notes
    assert any("not all unseen" in note for note in notes)


@pytest.mark.parametrize("held_out", [1e-9, 1 - 1e-9])
def test_both_splits_get_an_image(held_out: float, tmp_path: Path, cache: Path) -> None:
    splits = open_data(write_folder(tmp_path / "x", MANY), DataOptions(held_out=held_out))
    assert {len(splits.train), len(splits.test)} == {199, 1}


def test_two_images_are_enough(tmp_path: Path, cache: Path) -> None:
    splits = open_data(write_folder(tmp_path / "x", dict(list(MANY.items())[:2])))
    assert len(splits.train) == len(splits.test) == 1


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_floats_hold_every_level_and_both_ends(dtype: torch.dtype) -> None:
    top = torch.iinfo(dtype).max
    levels = torch.arange(top + 1)
    x = as_floats(levels.to(dtype))
    assert x.dtype == torch.float32
    assert (x[0], x[-1]) == (-1, 1)
    assert torch.equal(((x + 1) * (top / 2)).round().long(), levels)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"channels": 2}, {"fit": "squash"}, {"held_out": 1.0}, {"sizes": 3}])
def test_wrong_options_are_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        DataOptions.model_validate(wrong)


def test_the_size_wanted_moves_no_jpeg(tmp_path: Path, cache: Path) -> None:
    noise = np.repeat(np.repeat(rng.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8), 16, 1), 16, 2)
    folder = write_folder(tmp_path / "x", {f"{i}.jpg": encode(x, "JPEG") for i, x in enumerate(noise)})
    half = [names(open_data(folder, DataOptions(size=size, held_out=0.5))) for size in (None, 4, 32)]
    assert half[0] == half[1] == half[2]


def test_copies_in_another_mode_never_straddle(tmp_path: Path, cache: Path) -> None:
    grey = rng.integers(0, 256, (30, 6, 6, 1), dtype=np.uint8)
    opaque = np.full_like(grey, 255)
    colour = np.repeat(grey, 3, axis=3)
    modes = {"l": grey, "rgb": colour, "rgba": np.concatenate([colour, opaque], axis=3)}
    content = {f"{i}-{mode}.png": encode(images[i]) for mode, images in modes.items() for i in range(30)}
    splits = open_data(write_folder(tmp_path / "x", content), DataOptions(channels=3, held_out=0.5))
    train, test = ({name.split("-")[0] for name in side} for side in names(splits))
    assert not train & test
    assert any("60 exact copies" in note for note in splits.notes)
    fingerprints = {reading.fingerprint(x) for x in (RGBA[0], RGB[0], GREY[0], RGBA[0][:, :, :3], RGB[0][:, :, :1])}
    assert len(fingerprints) == 5


def test_images_that_become_equal_on_both_sides_are_told(tmp_path: Path, cache: Path) -> None:
    ghosts = rng.integers(0, 256, (40, 6, 6, 4), dtype=np.uint8)
    ghosts[..., 3] = 0
    folder = write_folder(tmp_path / "x", {f"{i}.png": encode(x) for i, x in enumerate(ghosts)})
    assert not any("unseen" in note for note in open_data(folder).notes)
    splits = open_data(folder, DataOptions(channels=3))
    assert any(f"{len(splits.test)} test image" in note and "unseen" in note for note in splits.notes)


def test_each_opening_checks_other_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHUNK", 10)
    file = store.PackFile(tmp_path / "x")
    file.append(bytes(400))
    record = file.close()
    (tmp_path / "x").write_bytes(bytes(55) + b"!" + bytes(344))
    assert not all(store.intact(tmp_path / "x", record) for _ in range(100))  # missed with probability 0.6^100


def test_a_build_that_still_writes_is_not_swept(tmp_path: Path, cache: Path) -> None:
    draft = cache / "packs" / ".building-slow"
    draft.mkdir(parents=True)
    (draft / "images.bin").write_bytes(b"x")
    os.utime(draft, (0, 0))
    packing._sweep(cache / "packs")
    assert draft.exists()
    os.utime(draft / "images.bin", (0, 0))
    packing._sweep(cache / "packs")
    assert not draft.exists()


@pytest.mark.parametrize("count", [2, 5, 200])
def test_inspection_counts_the_splits_that_training_sees(count: int, tmp_path: Path, cache: Path) -> None:
    folder = write_folder(tmp_path / "x", dict(list(MANY.items())[:count]))
    splits = open_data(folder)
    assert inspect_data(folder).splits == {"train": len(splits.train), "test": len(splits.test)}
