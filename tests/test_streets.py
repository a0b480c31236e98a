from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cardigan.data.worlds.canvas import Camera, Canvas
from cardigan.data.worlds.dice import Dice
from cardigan.data.worlds.streets import CLASSES, Scene, draw, scene
from cardigan.data.worlds.streets.labels import BUILDING, GRASS, LAMP, MARKING, PAVEMENT, ROAD, SKY, TREE, WINDOW
from cardigan.data.worlds.streets.layout import plan_street
from cardigan.data.worlds.streets.light import by_day, layered

SIDE = 96
COUNT = 24


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [scene(index, SIDE, SIDE) for index in range(COUNT)]


def same(first: Scene, second: Scene) -> bool:
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in ("labels", "day", "night"))


def test_a_scene_is_a_pure_function_of_seed_and_index(scenes: list[Scene]) -> None:
    """Whatever was drawn before it, and whatever the global generator is doing."""
    np.random.seed(5)
    state = np.random.get_state()[1].copy()  # type: ignore[union-attr]
    for index in (7, 3):
        assert same(scene(index, SIDE, SIDE), scenes[index])
    assert np.array_equal(np.random.get_state()[1], state)
    assert not same(scene(3, SIDE, SIDE, seed=1), scenes[3])


def test_every_index_is_another_street(scenes: list[Scene]) -> None:
    assert len({each.labels.tobytes() for each in scenes}) == COUNT
    assert len({each.day.tobytes() for each in scenes}) == COUNT
    differing = [(scenes[k].labels != scenes[k + 1].labels).mean() for k in range(COUNT - 1)]
    assert min(differing) > 0.1
    assert same(scene(10**12, 32, 32), scene(10**12, 32, 32))  # there is no last one


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 128), (37, 53), (90, 61), (1, 1), (256, 512)])
def test_any_size_and_shape(height: int, width: int) -> None:
    for index in (0, 1):
        drawn = scene(index, height, width)
        assert drawn.labels.shape == (height, width)
        assert drawn.day.shape == drawn.night.shape == (height, width, 3)
        for part in (drawn.labels, drawn.day, drawn.night):
            assert part.dtype == np.uint8
            assert part.flags.c_contiguous
        assert drawn.labels.max() < len(CLASSES)


def test_an_empty_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, not 0 and 8"):
        scene(0, 0, 8)


def test_all_classes_occur_and_no_other(scenes: list[Scene]) -> None:
    names = [name for name, _ in CLASSES]
    assert len(set(names)) == len({colour for _, colour in CLASSES}) == len(CLASSES)
    labels = np.stack([each.labels for each in scenes])
    counts = np.bincount(labels.ravel(), minlength=len(CLASSES))
    assert len(counts) == len(CLASSES)
    assert (counts > 0).all(), [name for name, n in zip(names, counts, strict=True) if not n]
    for name in ("sky", "building", "window", "road", "pavement"):  # these are in every one
        assert (labels == names.index(name)).any(axis=(1, 2)).all(), name
    often = {name: (labels == names.index(name)).any(axis=(1, 2)).mean() for name in names}
    for name in ("marking", "tree", "car", "person", "lamp", "roof", "door"):
        assert often[name] > 0.5, name


def test_the_same_street_at_two_sizes() -> None:
    """A small label map is the large one seen at its pixel centres; other streets agree far less."""
    small = [scene(index, 64, 64).labels for index in range(8)]
    large = [scene(index, 192, 192).labels[1::3, 1::3] for index in range(8)]
    agreement = np.array([[(a == b).mean() for b in large] for a in small])
    assert agreement.diagonal().min() > 0.93
    assert agreement[~np.eye(8, dtype=bool)].max() < 0.8


def test_a_wide_picture_shows_more_of_the_same_street() -> None:
    for index in range(4):
        square, wide = scene(index, 64, 64), scene(index, 64, 128)
        middle = slice(32, 96)
        assert (wide.labels[:, middle] == square.labels).mean() > 0.995  # corners of polygons are rounded
        for name in ("day", "night"):
            apart = np.abs(getattr(wide, name)[:, middle].astype(int) - getattr(square, name))
            assert np.percentile(apart, 95) <= 2, name  # bloom knows of lights beside the square picture


def test_photos_at_two_sizes_show_the_same() -> None:
    for index in range(3):
        small, large = scene(index, 64, 64), scene(index, 128, 128)
        for name in ("day", "night"):
            reduced = np.asarray(Image.fromarray(getattr(large, name)).reduce(2)).astype(float)
            assert np.abs(reduced - getattr(small, name)).mean() < 8, name


def borders(labels: np.ndarray) -> np.ndarray:
    return labels[:, 1:] != labels[:, :-1]


def steps(photo: np.ndarray) -> np.ndarray:
    grey = photo.astype(float).mean(2)
    return np.abs(np.diff(grey, axis=1))


@pytest.mark.parametrize("light", ["day", "night"])
def test_edges_of_the_photos_are_on_the_borders_of_the_labels(scenes: list[Scene], light: str) -> None:
    """Colours step several times as far there as elsewhere; against another scene's labels no further."""
    for index, each in enumerate(scenes):
        there, step = borders(each.labels), steps(getattr(each, light))
        other = borders(scenes[(index + 1) % COUNT].labels)
        assert step[there].mean() > 2.5 * step[~there].mean()
        assert step[there].mean() > 1.4 * step[other].mean()


def test_classes_have_their_colours(scenes: list[Scene]) -> None:
    """By day, over all scenes: the sky is blue, trees and grass are not, markings are brighter than the road."""
    labels = np.stack([each.labels for each in scenes])
    day = np.stack([each.day for each in scenes]).astype(float)
    mean = {label: day[labels == label].mean(0) for label in range(len(CLASSES))}
    assert mean[SKY][2] > mean[SKY][0] + 10
    assert mean[TREE][1] > mean[TREE][2] + 10
    assert mean[GRASS][1] > max(mean[GRASS][0], mean[GRASS][2]) + 10
    assert mean[MARKING].mean() > mean[ROAD].mean() + 40
    assert mean[PAVEMENT].mean() > mean[ROAD].mean() + 10
    apart = [np.abs(mean[a] - mean[b]).max() for a in mean for b in mean if a < b]
    assert np.mean(np.array(apart) > 15) > 0.8


def test_night_is_dark_but_for_its_lights(scenes: list[Scene]) -> None:
    labels = np.stack([each.labels for each in scenes])
    day = np.stack([each.day for each in scenes]).astype(float).mean(3)
    night = np.stack([each.night for each in scenes]).astype(float).mean(3)
    share = night.mean((1, 2)) / day.mean((1, 2))
    assert share.max() < 1
    assert share.mean() < 0.7
    for label in (SKY, BUILDING, ROAD):
        assert night[labels == label].mean() < 0.6 * day[labels == label].mean()
    windows, walls = night[labels == WINDOW], night[labels == BUILDING]
    assert np.percentile(windows, 90) > np.percentile(walls, 90) + 40
    assert 0.1 < (windows > 130).mean() < 0.7  # a part of them is lit
    bulbs = [night[k][labels[k] == LAMP].max() for k in range(COUNT) if (labels[k] == LAMP).sum() > 8]
    assert np.median(bulbs) > 180


def test_the_sun_throws_shadows_on_the_ground_and_nowhere_else() -> None:
    """With and without them, the photo differs where ground lies in one, and there it is darker."""
    shaded = 0
    for index in range(8):
        plan = plan_street(Dice(0, "streets", index))
        canvas = Canvas(plan.camera, 64, 64, 3)
        draw(canvas, plan)
        layers = layered(plan, canvas, canvas.seen())
        lit = by_day(plan, canvas, replace(layers, sunless=np.zeros_like(layers.sunless)))
        change = (by_day(plan, canvas, layers) - lit).mean(0)
        there = layers.sunless * layers.ground > 0
        assert (change[~there] == 0).all()
        assert (change[there] < 1e-6).all()
        shaded += int((change < -0.05).sum())
    assert shaded > 1000


def test_labels_are_of_pixel_centres_and_photos_of_whole_pixels() -> None:
    canvas = Canvas(Camera(0, 2, 1, 0.5, 0), 2, 4, 3)
    red = canvas.surface(3, (1, 0, 0), (0, 0, 0))
    canvas.fill([(-1, -1), (4, -1), (4, 6), (-1, 6)], red)  # sample columns 0 to 4
    seen = canvas.seen()
    assert seen.shape == (6, 12)
    assert canvas.surfaces().labels[seen[1::3, 1::3]].tolist() == [[3, 3, 0, 0]] * 2
    share = canvas.average(seen, np.array([[0, 0, 0, 0], [1, 0, 0.5, 1]], np.float32))
    assert share[0, :, 0].tolist() == [255, 170, 0, 0]


def test_drawing_needs_no_torch() -> None:
    code = "import sys; from cardigan.data.worlds.streets import scene; scene(0, 8, 8); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
