"""Images and what is said of them: captions.csv, class names, drawn birds."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cardigan.data import Batches, DataOptions, Dataset, Splits, inspect_data, open_data
from cardigan.data.sentences import sentences_of
from cardigan.data.worlds import birds
from cardigan.data.worlds.opening import WORLDS
from cardigan.errors import DataError
from cli_runs import refused, succeeds
from test_data_formats import encode, write_folder, write_tar, write_zip

CAPTIONS = DataOptions(text="captions")
CLASSES = DataOptions(text="classes")


def pictures(count: int = 12, folder: str = "", seed: int = 0) -> dict[str, bytes]:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return {f"{folder}{i:02}.png": encode(image) for i, image in enumerate(pixels)}


def table(rows: list[tuple[str, ...]], columns: tuple[str, ...] = ("file", "caption")) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([columns, *rows])
    return text.getvalue().encode()


def rows(files: dict[str, bytes], each: int = 2) -> list[tuple[str, ...]]:
    return [(name, f"picture {name} seen {n} times") for name in files for n in range(each)]


def told(splits: Splits) -> dict[str, tuple[str, ...]]:
    found = {}
    for side in (splits.train, splits.test):
        every = torch.arange(len(side))
        found |= dict(zip(side.names(every) or (), side.captions(every) or (), strict=True))
    return found


def expected(files: dict[str, bytes], each: int = 2) -> dict[str, tuple[str, ...]]:
    return {name: tuple(f"picture {name} seen {n} times" for n in range(each)) for name in files}


# ---- captions.csv ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz"])
def test_captions_beside_images(kind: str, tmp_path: Path, cache: Path) -> None:
    files = pictures(8, "train/") | pictures(4, "test/", seed=1)
    content = files | {"captions.csv": table(rows(files))}
    write = {"folder": write_folder, "zip": write_zip, "tar.gz": lambda p, c: write_tar(p, c, "w:gz")}[kind]
    path = write(tmp_path / f"x.{kind}", content)
    splits = open_data(path, CAPTIONS)
    assert (len(splits.train), len(splits.test)) == (8, 4)
    assert told(splits) == expected(files)
    assert not any("captions.csv" in note for note in splits.notes)
    assert splits.train.spec.text == CAPTIONS.encoder
    assert told(open_data(path, CAPTIONS)) == told(splits)
    plain = open_data(path)
    assert plain.train.captions(torch.tensor([0])) is None
    assert plain.train.spec.text is None
    assert plain.train.digest != splits.train.digest


def test_names_are_relative_to_the_table_however_they_are_written(tmp_path: Path, cache: Path) -> None:
    files = pictures(10)
    listed = [(f".\\{name}" if i % 2 else f"./{name}", f"  number\n {i} ") for i, name in enumerate(files)]
    inner = {f"set/{name}": data for name, data in files.items()}
    path = write_folder(tmp_path / "x", inner | {"set/captions.csv": b"\xef\xbb\xbf" + table(listed)})
    splits = open_data(path, CAPTIONS)
    assert told(splits) == {f"set/{name}": (f"number {i}",) for i, name in enumerate(files)}


def test_changed_captions_are_other_data(tmp_path: Path, cache: Path) -> None:
    files = pictures()
    path = write_folder(tmp_path / "x", files | {"captions.csv": table(rows(files))})
    before = open_data(path, CAPTIONS)
    (path / "captions.csv").write_bytes(table(rows(files, each=3)))
    after = open_data(path, CAPTIONS)
    assert told(after) == expected(files, 3)
    assert before.train.digest != after.train.digest


FILES = pictures()


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ({"captions.csv": table(rows(FILES)[:-4])}, ["no caption for 2 images: 10.png, 11.png"]),
        ({"captions.csv": table([*rows(FILES), ("gone.png", "a"), ("x/y.png", "b")])}, ["2 files not there: gone.png"]),
        ({"captions.csv": table([(name, "a bird") for name in FILES])}, ["'a bird' of every training image"]),
        ({"captions.csv": table([*rows(FILES), ("00.png", " ")])}, ["line 26", "00.png", "empty"]),
        ({"captions.csv": table([("", "a bird")])}, ["line 2", "names no file"]),
        ({"captions.csv": table(rows(FILES), ("name", "caption"))}, ["no column file"]),
        ({"captions.csv": table(rows(FILES), ("file", "text"))}, ["no column caption"]),
        ({"captions.csv": b""}, ["no column caption"]),
        ({"captions.csv": b"file,caption\n00.png,\xff\xfe\n"}, ["cannot be read", "UTF-8"]),
        ({"captions.csv": b"file,caption\n00.png," + b"x" * 200_000}, ["line 1", "cannot be read"]),
        ({}, ["holds no captions.csv", "data.text=classes"]),
    ],
)
def test_what_is_wrong_with_captions_is_named(
    content: dict[str, bytes], lines: list[str], tmp_path: Path, cache: Path
) -> None:
    path = write_folder(tmp_path / "x", FILES | content)
    with pytest.raises(DataError) as error:
        open_data(path, CAPTIONS)
    assert all(line in str(error.value) for line in lines), error.value
    assert "\n" not in str(error.value)


def test_long_captions_are_kept_whole(tmp_path: Path, cache: Path) -> None:
    told_of = [(name, f"{i} " + "long " * 2_000) for i, name in enumerate(FILES)]
    path = write_folder(tmp_path / "x", FILES | {"captions.csv": table(told_of)})
    assert all(len(caption) > 9_000 for (caption,) in told(open_data(path, CAPTIONS)).values())


def test_other_sources_have_none(tmp_path: Path, cache: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (9, 8, 8), dtype=np.uint8))
    for source in (tmp_path / "x.npy", "digits", "streets"):
        with pytest.raises(DataError):
            open_data(source, DataOptions(text="captions", size=8 if source == "digits" else None))
    with pytest.raises(ValueError, match="one kind of image"):
        DataOptions(text="captions", pairing="paired")


def test_looking_at_captions(tmp_path: Path, cache: Path) -> None:
    path = write_folder(tmp_path / "x", FILES | {"captions.csv": table([*rows(FILES)[:-2], ("gone.png", "a")])})
    found = inspect_data(path)
    assert found.captions[0] == "22 of 11 images, 2 each, 22 of them different"
    assert found.captions[1:4] == [f"“picture {name} seen 0 times”" for name in ("00.png", "05.png", "10.png")]
    assert found.captions[4:] == ["none for 1 image: 11.png", "for 1 file not there: gone.png"]
    assert found.verdict is None
    assert found.ignored == []
    out = succeeds("data", path, "--set", "data.text=captions")
    assert "captions: 22 of 11 images" in out
    assert "not ready: " in out
    assert "gone.png" in refused("train", path, "--out", tmp_path / "run", "--set", "data.text=captions")


# ---- class names -------------------------------------------------------------------------------------------------------


def test_class_names_are_sentences(tmp_path: Path, cache: Path) -> None:
    files = pictures(10, "oak_leaf/") | pictures(10, "daisy/", seed=1)
    splits = open_data(write_folder(tmp_path / "x", files), CLASSES)
    for name, captions in told(splits).items():
        kind = "an oak leaf" if name.startswith("oak") else "a daisy"
        assert captions[:3] == (kind.split(" ", 1)[1], kind, f"a picture of {kind}")
    sentences = splits.train.sentences
    assert sentences is not None
    assert len(sentences.table) == 8
    assert torch.equal(sentences.kinds, splits.train.labels(torch.arange(len(splits.train))))
    assert open_data("digits", CLASSES).train.captions(torch.tensor([0]))[0][1].startswith("a")


def test_without_classes_there_are_no_names(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DataError, match="no classes"):
        open_data(write_folder(tmp_path / "x", FILES), CLASSES)


# ---- birds -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def few(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {name: replace(world, counts=(6, 4)) for name, world in WORLDS.items()}
    monkeypatch.setattr("cardigan.data.worlds.opening.WORLDS", small)


@pytest.mark.usefixtures("few")
def test_birds_and_ten_sentences_of_each() -> None:
    splits = open_data("birds", DataOptions(text="captions", size=32))
    assert (len(splits.train), len(splits.test)) == (6, 4)
    for side in (splits.train, splits.test):
        every = torch.arange(len(side))
        captions = side.captions(every)
        assert [len(set(each)) for each in captions] == [10] * len(side)
        drawn = ((side.images(every) + 1) * 127.5).round().permute(0, 2, 3, 1).numpy()
        own = [birds.bird(i + (6 if side.split == "test" else 0), side.split) for i in range(len(side))]
        assert (drawn == np.stack([birds.draw(bird, 32) for bird in own])).all()
        same = [[birds.species(a) == birds.species(b) for b in own] for a in own]
        kinds = side.sentences.kinds
        assert (kinds[:, None] == kinds).tolist() == same
        assert {birds.split_of(bird.combination) for bird in own} == {side.split}
    names = open_data("birds", DataOptions(text="classes", size=32))
    assert names.test.captions(torch.tensor([0]))[0][0] == birds.species(birds.bird(6, "test"))


@pytest.mark.usefixtures("few")
def test_mirrored_birds_face_nowhere() -> None:
    def sides_told(flip: bool) -> int:
        splits = open_data("birds", DataOptions(text="captions", size=32, flip=flip))
        return sum(w in c for each in told(splits).values() for c in each for w in (" left", " right"))

    assert sides_told(False) > 0
    assert sides_told(True) == 0


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("flip", [False, True])
def test_what_sentences_of_birds_tell_is_known(flip: bool) -> None:
    """Every sentence has its facts, all of them true, and says the colours that they name."""
    splits = open_data("birds", DataOptions(text="captions", size=32, flip=flip))
    count = 0
    for side in (splits.train, splits.test.halved(1)):
        for i, captions in enumerate(side.captions(torch.arange(len(side)))):
            true, every = side.accounts.true(i), side.accounts.told(i)
            assert len(every) == len(captions)
            for caption, facts in zip(captions, every, strict=True):
                assert facts.items() <= true.items()
                assert all(facts[part] in caption for part in birds.PARTS if part in facts)
                assert not (flip and "facing" in facts)
                count += len(facts)
            own = birds.bird(i + (6 if side.split == "test" else 0), side.split)
            assert (true["pose"], true["belly"]) == (own.pose, own.belly)
    assert count > 300
    assert open_data("birds", DataOptions(text="classes", size=32)).test.accounts is None


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("options", [{"size": (32, 48)}, {"size": 8}, {"pairing": "paired"}, {"channels": 1}])
def test_what_birds_are_not_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="birds|kind of image"):
        open_data("birds", DataOptions(**options))


# ---- vectors in batches ------------------------------------------------------------------------------------------------


def spoken(count: int = 20) -> Dataset:
    """Examples of 1 to 5 sentences; the vector of sentence n is (n, 1)."""
    from cardigan.data import DataSpec

    spec = DataSpec(channels=1, height=8, width=8)
    plain = Dataset(
        "x", "train", spec, torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 8, 8), "x"
    )
    sentences = sentences_of([[f"{i} {n}" for n in range(1 + i % 5)] for i in range(count)])
    dataset = plain.described(sentences, CAPTIONS.encoder)
    numbers = torch.arange(len(sentences.table))
    return dataset.embedded(torch.stack([numbers, torch.ones_like(numbers)], 1).half())


def whose(images: torch.Tensor) -> list[int]:
    return ((images[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


def test_each_image_comes_with_the_mean_of_some_of_its_own_sentences() -> None:
    dataset = spoken()
    batches = Batches(dataset, 10, seed=3, sentences=2)
    seen: dict[int, set[float]] = {}
    for k in range(40):
        batch = batches.at(k)
        assert batch.texts.dtype == torch.float32
        for i, text, kind in zip(whose(batch.images), batch.texts.tolist(), batch.kinds.tolist(), strict=True):
            own = dataset.sentences.numbers(i).tolist()
            means = {own[0]} if len(own) == 1 else {(a + b) / 2 for a in own for b in own if a != b}
            assert text[0] in means
            assert text[1] == 1
            assert kind == own[0]
            seen.setdefault(i, set()).add(text[0])
    assert len(seen[0]) == 1
    assert len(seen[4]) > 4


def test_drawn_sentences_are_a_function_of_the_batch_number() -> None:
    one, other = Batches(spoken(), 8, seed=3), Batches(spoken(), 8, seed=4)
    texts = [one.at(k).texts for k in range(6)]
    again = Batches(spoken(), 8, seed=3)
    for k in (5, 0, 3):
        assert torch.equal(again.at(k).texts, texts[k])
        halves = [again.at(k, part, 2) for part in range(2)]
        assert torch.equal(torch.cat([half.texts for half in halves]), texts[k])
        assert torch.equal(torch.cat([half.kinds for half in halves]), one.at(k).kinds)
    assert not all(torch.equal(other.at(k).texts, texts[k]) for k in range(6))
    assert torch.equal(one.at(2).images, Batches(spoken(), 8, seed=3, sentences=1).at(2).images)


def test_four_sentences_are_all_where_there_are_no_more() -> None:
    dataset = spoken()
    batch = Batches(dataset, 20, seed=0, sentences=9).at(0)
    for i, text in zip(whose(batch.images), batch.texts, strict=True):
        assert text[0].item() == pytest.approx(dataset.sentences.numbers(i).double().mean().item())


def test_elsewhere_it_is_the_first_sentence() -> None:
    dataset = spoken()
    batch = dataset.batch(torch.tensor([7, 3]))
    assert batch.texts[:, 0].tolist() == [dataset.sentences.numbers(i)[0] for i in (7, 3)]
    assert batch.kinds.tolist() == batch.texts[:, 0].tolist()
    assert dataset.halved(1).batch(torch.tensor([7, 3])).texts.tolist() == batch.texts.tolist()


def test_sentences_that_are_used() -> None:
    sentences = sentences_of([["a", "b"], ["b"], ["c", "a"]], things=torch.tensor([1, 1, 0]))
    assert [sentences.table[i] for i in sentences.used().tolist()] == ["a", "b"]
    assert sentences.of(torch.tensor([2, 0])) == [("a", "b"), ("b",)]
    assert sentences.kinds.tolist() == [1, 1, 0]


def test_without_vectors_a_batch_has_no_texts() -> None:
    dataset = spoken()
    silent = dataset.described(replace(dataset.sentences, vectors=None), CAPTIONS.encoder)
    batch = Batches(silent, 4, seed=0).at(0)
    assert batch.texts is None
    assert batch.kinds is None
    assert Batches(open_data("digits").train, 4, seed=0).at(0).texts is None
