"""Data of two sides: where they are found, how they are paired, and what is done to both alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cardigan.data import Batches, DataOptions, open_data
from cardigan.data.jitter import jittered
from cardigan.data.palette import classes_of, coded, colours, shown
from cardigan.data.spec import DataSpec, Side
from cardigan.data.worlds import streets
from cardigan.data.worlds.opening import WORLDS
from cardigan.errors import DataError

COLOURS = {"sky": (0, 0, 255), "road": (90, 90, 90), "car": (200, 0, 0)}


def picture(seed: int, height: int = 12, width: int = 16, channels: int = 3) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return pixels[:, :, 0] if channels == 1 else pixels


def label_map(seed: int, height: int = 12, width: int = 16) -> np.ndarray:
    """Classes 0, 1 and 2 in blocks of 4 x 4 pixels."""
    blocks = np.random.default_rng(seed).integers(0, 3, (height // 4, width // 4))
    return blocks.repeat(4, 0).repeat(4, 1)


def save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def paint(classes: np.ndarray) -> np.ndarray:
    return np.array(list(COLOURS.values()), np.uint8)[classes]


def two_folders(folder: Path, a: int = 12, b: int = 12) -> Path:
    for side, count, offset in (("day", a, 0), ("night", b, 100)):
        for i in range(count):
            save(picture(i + offset), folder / side / f"{i:03d}.png")
    return folder


def labelled(folder: Path, count: int = 12) -> Path:
    for i in range(count):
        save(paint(label_map(i)), folder / "labels" / f"{i:03d}.png")
        save(picture(i), folder / "photos" / f"{i:03d}.png")
    return folder


PAIRED, UNPAIRED = DataOptions(pairing="paired"), DataOptions(pairing="unpaired")
LABELLED = DataOptions(pairing="paired", label_maps=("labels",))


def every(dataset) -> torch.Tensor:
    return dataset.images(torch.arange(len(dataset)))


def stored(images: torch.Tensor) -> np.ndarray:
    return ((images + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


@pytest.mark.usefixtures("cache")
class TestPairs:
    def test_two_folders_go_together_by_name(self, tmp_path: Path) -> None:
        splits = open_data(two_folders(tmp_path / "x"), PAIRED)
        assert [side.name for side in splits.train.spec.sides] == ["day", "night"]
        assert splits.train.spec.paired
        assert len(splits.train) + len(splits.test) == 12
        for split in (splits.train, splits.test):
            names = split.names(torch.arange(len(split)))
            for name, image in zip(names, stored(every(split)), strict=True):
                i = int(Path(name).stem)
                assert (image[:, :, :3] == picture(i)).all()
                assert (image[:, :, 3:] == picture(i + 100)).all()

    def test_the_sides_may_be_named_the_other_way_round(self, tmp_path: Path) -> None:
        splits = open_data(two_folders(tmp_path / "x"), DataOptions(pairing="paired", sides=("night", "day")))
        first = int(Path(splits.train.names(torch.tensor([0]))[0]).stem)
        assert (stored(every(splits.train))[0][:, :, :3] == picture(first + 100)).all()

    def test_halves_of_one_picture(self, tmp_path: Path) -> None:
        for i in range(8):
            save(np.concatenate([picture(i), picture(i + 100)], 1), tmp_path / "x" / f"{i}.png")
        splits = open_data(tmp_path / "x", PAIRED)
        assert splits.train.spec.shape == (6, 12, 16)
        for name, image in zip(
            splits.train.names(torch.arange(len(splits.train))), stored(every(splits.train)), strict=True
        ):
            i = int(Path(name).stem)
            assert (image == np.concatenate([picture(i), picture(i + 100)], 2)).all()

    def test_the_layout_of_unpaired_sets_is_known(self, tmp_path: Path) -> None:
        for split, count in (("train", 6), ("test", 3)):
            for i in range(count):
                save(picture(i), tmp_path / "x" / f"{split}A" / f"{i}.png")
                save(picture(i + 100), tmp_path / "x" / f"{split}B" / f"{i}.png")
        splits = open_data(tmp_path / "x", PAIRED)
        assert (len(splits.train), len(splits.test)) == (6, 3)
        assert [side.name for side in splits.train.spec.sides] == ["A", "B"]

    def test_two_sources(self, tmp_path: Path) -> None:
        for i in range(8):
            save(picture(i, channels=1), tmp_path / "grey" / f"{i}.png")
            save(picture(i + 100), tmp_path / "colour" / f"{i}.png")
        splits = open_data(tmp_path / "grey", DataOptions(pairing="paired", other=str(tmp_path / "colour")))
        assert [(side.name, side.channels) for side in splits.train.spec.sides] == [("grey", 1), ("colour", 3)]

    def test_a_source_that_is_a_side_keeps_its_classes(self, tmp_path: Path) -> None:
        for i in range(12):
            for source in ("one", "two"):
                save(picture(i, channels=1 if source == "one" else 3), tmp_path / source / "ab"[i % 2] / f"{i}.png")
        splits = open_data(tmp_path / "one", DataOptions(pairing="unpaired", other=str(tmp_path / "two")))
        assert splits.train.spec.classes == ("a", "b")
        for side in splits.train.sides:
            every_one = torch.arange(len(side))
            names = side.names(every_one)
            assert [int(Path(name).stem) % 2 for name in names] == side.labels(every_one).tolist()

    def test_sixteen_bits_and_more_channels(self, tmp_path: Path) -> None:
        save(picture(0).astype(np.uint16)[:, :, 0] * 257, tmp_path / "a" / "0.png")
        for i in range(4):
            save(np.random.default_rng(i).integers(0, 65536, (12, 16), dtype=np.uint16), tmp_path / "a" / f"{i}.png")
            save(picture(i, channels=4), tmp_path / "b" / f"{i}.png")
        spec = open_data(tmp_path / "a", DataOptions(pairing="paired", other=str(tmp_path / "b"))).train.spec
        assert (spec.shape, spec.bits) == ((5, 12, 16), 16)

    def test_the_split_is_that_of_the_first_side(self, tmp_path: Path) -> None:
        there = open_data(two_folders(tmp_path / "x", 40, 40), PAIRED)
        alone = open_data(tmp_path / "x" / "day")
        stems = lambda d: {Path(n).stem for n in d.names(torch.arange(len(d)))}  # noqa: E731
        assert stems(there.test) == stems(alone.test)


@pytest.mark.usefixtures("cache")
class TestLabelMaps:
    def test_classes_are_kept_and_told_by_colour(self, tmp_path: Path) -> None:
        splits = open_data(labelled(tmp_path / "x"), LABELLED)
        side = splits.train.spec.sides[0]
        assert (side.channels, side.inputs, len(side.palette)) == (1, 3, 3)
        images = every(splits.train)[:, :1]
        seen = coded(side, images)
        assert set(seen.unique().tolist()) == {-1.0, 1.0}
        assert (seen.sum(1) == -1).all()  # one class a pixel
        for name, picture in zip(splits.train.names(torch.arange(len(images))), stored(shown(side, seen)), strict=True):
            assert (picture == paint(label_map(int(Path(name).stem)))).all()

    def test_resizing_mixes_no_classes(self, tmp_path: Path) -> None:
        splits = open_data(labelled(tmp_path / "x"), LABELLED.model_copy(update={"size": 23}))
        side = splits.train.spec.sides[0]
        values = ((every(splits.train)[:, 0] + 1) * 127.5).round().unique().tolist()
        assert values == [0, 1, 2]
        assert splits.train.spec.shape == (4, 23, 23)
        assert side.palette

    def test_a_palette_names_the_classes_and_their_order(self, tmp_path: Path) -> None:
        rows = [f"{name},{r},{g},{b}" for name, (r, g, b) in COLOURS.items()]
        (tmp_path / "p.csv").write_text("\n".join(["name,r,g,b", *rows, "bird,1,2,3"]) + "\n")
        options = LABELLED.model_copy(update={"palette": str(tmp_path / "p.csv")})
        side = open_data(labelled(tmp_path / "x"), options).train.spec.sides[0]
        assert [name for name, _ in side.palette] == [*COLOURS, "bird"]

    def test_grey_maps_hold_the_numbers_of_the_palette(self, tmp_path: Path) -> None:
        (tmp_path / "p.csv").write_text("index,name,r,g,b\n7,sky,0,0,255\n9,road,90,90,90\n11,car,200,0,0\n")
        for i in range(6):
            save(np.array([7, 9, 11], np.uint8)[label_map(i)], tmp_path / "x" / "labels" / f"{i}.png")
            save(picture(i), tmp_path / "x" / "photos" / f"{i}.png")
        options = LABELLED.model_copy(update={"palette": str(tmp_path / "p.csv")})
        splits = open_data(tmp_path / "x", options)
        first = int(Path(splits.train.names(torch.tensor([0]))[0]).stem)
        assert (stored(every(splits.train))[0][:, :, 0] == label_map(first)).all()

    @pytest.mark.parametrize("coding", ["one-hot", "colours"])
    def test_what_networks_see_leads_back_to_the_classes(self, coding: str) -> None:
        side = Side(name="x", channels=1, palette=tuple(COLOURS.items()), coding=coding)
        classes = torch.randint(3, (2, 5, 7))
        seen = coded(side, (classes / 127.5 - 1)[:, None])
        assert seen.shape == (2, side.inputs, 5, 7)
        assert (classes_of(side, seen + 0.2 * torch.rand_like(seen)) == classes).all()
        assert torch.equal(shown(side, seen), colours(side, classes))


@pytest.mark.usefixtures("cache")
class TestUnpaired:
    def test_each_side_has_an_order_of_its_own(self, tmp_path: Path) -> None:
        splits = open_data(two_folders(tmp_path / "x", 30, 17), UNPAIRED)
        a, b = splits.train.sides
        assert len(splits.train) == max(len(a), len(b))
        batches = Batches(splits.train, 4, seed=3)
        seen = torch.cat([batches.at(k).images for k in range(200)])
        known = {tuple(x.flatten()[:20].tolist()): i for i, x in enumerate(every(b))}
        counts = Counter(known[tuple(x.flatten()[:20].tolist())] for x in seen[:, 3:])
        assert set(counts) == set(range(len(b)))
        assert max(counts.values()) - min(counts.values()) <= 1  # whole epochs of the smaller side
        firsts = {tuple(x.flatten()[:20].tolist()): i for i, x in enumerate(every(a))}
        pairs = {
            (firsts[tuple(x[:3].flatten()[:20].tolist())], known[tuple(x[3:].flatten()[:20].tolist())]) for x in seen
        }
        assert len(pairs) > 2 * len(a)  # not the same partner every time

    def test_batches_are_addressed(self, tmp_path: Path) -> None:
        splits = open_data(two_folders(tmp_path / "x", 30, 17), UNPAIRED)
        whole = Batches(splits.train, 4, seed=3, flip=True, jitter=1.2).at(5).images
        parts = [Batches(splits.train, 4, seed=3, flip=True, jitter=1.2).at(5, i, 2).images for i in (0, 1)]
        assert torch.equal(whole, torch.cat(parts))

    def test_pairs_among_them_are_known_for_comparison_only(self, tmp_path: Path) -> None:
        paired = open_data(two_folders(tmp_path / "x"), UNPAIRED)
        assert not paired.train.spec.paired
        assert torch.equal(every(paired.test.truth), every(open_data(tmp_path / "x", PAIRED).test))
        assert open_data(two_folders(tmp_path / "y", 9, 8), UNPAIRED).test.truth is None

    def test_no_test_image_has_its_partner_among_the_training_images(self, tmp_path: Path) -> None:
        splits = open_data(two_folders(tmp_path / "x", 40, 40), UNPAIRED)
        for split in (splits.train, splits.test):
            a, b = ({Path(n).stem for n in side.names(torch.arange(len(side)))} for side in split.sides)
            assert a == b


class TestJitter:
    SPEC = DataSpec(
        channels=4,
        height=8,
        width=8,
        sides=(Side(name="l", channels=1, palette=(("x", (0, 0, 0)),)), Side(name="p", channels=3)),
    )

    def test_both_sides_of_a_pair_move_together(self) -> None:
        ramp = torch.linspace(-1, 1, 8).expand(2, 4, 8, 8)
        spec = self.SPEC.model_copy(update={"sides": (Side(name="a", channels=1), Side(name="b", channels=3))})
        out = jittered(ramp, 1.5, torch.tensor([[0.0, 0.0], [0.9, 0.9]]), spec)
        assert out.shape == ramp.shape
        assert torch.allclose(out[:, :1].expand(-1, 3, -1, -1), out[:, 1:])
        assert out[0].mean() < out[1].mean()  # the left and the right end of the ramp

    def test_a_label_map_keeps_its_classes(self) -> None:
        images = torch.randint(0, 5, (3, 4, 8, 8)) / 127.5 - 1
        out = jittered(images, 1.37, torch.rand(3, 2), self.SPEC)
        assert set(out[:, 0].unique().tolist()) <= set(images[:, 0].unique().tolist())
        assert len(out[:, 1:].unique()) > 10

    def test_the_corners_reach_both_ends(self) -> None:
        images = torch.arange(64.0).view(1, 1, 8, 8).repeat(2, 1, 1, 1)
        spec = DataSpec(channels=1, height=8, width=8)
        out = jittered(images, 2.0, torch.tensor([[0.0, 0.0], [0.999, 0.999]]), spec)
        assert out[0].min() == 0
        assert out[1].max() == 63


@pytest.mark.usefixtures("cache")
class TestRefusals:
    def refused(self, path: Path, **options: object) -> str:
        with pytest.raises(DataError) as error:
            open_data(path, DataOptions(**{"pairing": "paired", **options}))
        assert "\n" not in str(error.value)
        return str(error.value)

    def test_an_image_without_a_partner_is_named(self, tmp_path: Path) -> None:
        folder = two_folders(tmp_path / "x", 12, 11)
        line = self.refused(folder)
        assert "011" in line
        assert "partner" in line

    def test_two_partners(self, tmp_path: Path) -> None:
        folder = two_folders(tmp_path / "x")
        save(picture(3), folder / "day" / "003.bmp")
        assert "003" in self.refused(folder)

    def test_a_colour_outside_the_palette(self, tmp_path: Path) -> None:
        (tmp_path / "p.csv").write_text("name,r,g,b\nsky,0,0,255\nroad,90,90,90\n")
        line = self.refused(labelled(tmp_path / "x"), label_maps=("labels",), palette=str(tmp_path / "p.csv"))
        assert "(200, 0, 0) is not in the palette" in line

    def test_photographs_are_no_label_maps(self, tmp_path: Path) -> None:
        assert "colours" in self.refused(labelled(tmp_path / "x"), label_maps=("photos",))

    def test_a_palette_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "p.csv").write_text("colour\nred\n")
        line = self.refused(labelled(tmp_path / "x"), label_maps=("labels",), palette=str(tmp_path / "p.csv"))
        assert "name, r, g, b" in line
        assert "cannot read" in self.refused(tmp_path / "x", label_maps=("labels",), palette=str(tmp_path / "q.csv"))

    def test_sides_that_are_not_there(self, tmp_path: Path) -> None:
        line = self.refused(two_folders(tmp_path / "x"), sides=("day", "dusk"))
        assert "dusk" in line
        assert "night" in line

    def test_more_than_two_folders(self, tmp_path: Path) -> None:
        folder = two_folders(tmp_path / "x")
        save(picture(1), folder / "dusk" / "0.png")
        assert "data.sides" in self.refused(folder)

    def test_one_folder_has_no_unpaired_sides(self, tmp_path: Path) -> None:
        for i in range(4):
            save(picture(i), tmp_path / "x" / f"{i}.png")
        assert "data.other" in self.refused(tmp_path / "x", pairing="unpaired")

    def test_sizes_that_differ(self, tmp_path: Path) -> None:
        for i in range(4):
            save(picture(i), tmp_path / "x" / "a" / f"{i}.png")
            save(picture(i, 16, 20), tmp_path / "x" / "b" / f"{i}.png")
        assert "data.size" in self.refused(tmp_path / "x")

    def test_an_empty_second_source(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        folder = two_folders(tmp_path / "x")
        assert "no images" in self.refused(folder / "day", pairing="unpaired", other=str(tmp_path / "empty"))
        assert "does not exist" in self.refused(folder / "day", pairing="unpaired", other=str(tmp_path / "gone"))

    def test_grey_among_colour(self, tmp_path: Path) -> None:
        folder = two_folders(tmp_path / "x")
        save(picture(50, channels=1), folder / "day" / "050.png")
        save(picture(50), folder / "night" / "050.png")
        assert "data.channels=3" in self.refused(folder)


@pytest.mark.usefixtures("cache")
class TestStreets:
    @pytest.fixture(autouse=True)
    def few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        small = {name: replace(world, counts=(5, 3)) for name, world in WORLDS.items()}
        monkeypatch.setattr("cardigan.data.worlds.opening.WORLDS", small)

    def test_sides_are_views_of_one_scene(self) -> None:
        scene = streets.scene(6, 32, 48)
        for sides, expected in (
            (None, (scene.labels[:, :, None], scene.day)),
            (("night", "labels"), (scene.night, scene.labels[:, :, None])),
        ):
            splits = open_data("streets", DataOptions(pairing="paired", size=(32, 48), sides=sides))
            assert (len(splits.train), len(splits.test)) == (5, 3)
            assert (stored(every(splits.test))[1] == np.concatenate(expected, 2)).all()

    def test_unpaired_they_are_day_and_night_with_the_truth_beside(self) -> None:
        splits = open_data("streets", DataOptions(pairing="unpaired", size=32))
        assert [side.name for side in splits.train.spec.sides] == ["day", "night"]
        scene = streets.scene(5, 32, 32)
        assert (stored(every(splits.test.truth))[0] == np.concatenate([scene.day, scene.night], 2)).all()

    def test_without_sides_they_are_photographs_by_day(self) -> None:
        splits = open_data("streets", DataOptions(size=32))
        assert (stored(every(splits.train))[2] == streets.scene(2, 32, 32).day).all()

    def test_what_they_do_not_show_is_refused(self) -> None:
        with pytest.raises(DataError, match="labels, day, night"):
            open_data("streets", DataOptions(pairing="paired", size=32, sides=("day", "dusk")))
        with pytest.raises(DataError, match=r"data\.channels"):
            open_data("streets", DataOptions(channels=1))

    def test_other_built_in_sets_have_one_side(self) -> None:
        with pytest.raises(DataError, match="one kind of image"):
            open_data("digits", PAIRED)
