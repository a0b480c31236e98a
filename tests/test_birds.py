"""Drawn birds: exact attributes, told truthfully."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields, replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from cardigan.data.worlds.birds import COLOURS, PARTS, Bird, bird, draw, nearest_colour, parts, species, split_of
from cardigan.data.worlds.birds.attributes import BACKGROUNDS, BEAKS, FACINGS, POSES, SIZES, Split
from cardigan.data.worlds.captions import FEWEST, MOST, Caption, captions, contradicts, facts

SPLITS: tuple[Split, Split] = ("train", "test")


@cache
def flock(split: Split, count: int = 3000) -> tuple[Bird, ...]:
    return tuple(bird(k, split) for k in range(count))


def one_of_each_pose() -> list[Bird]:
    return [next(b for b in flock("train") if b.pose == pose) for pose in POSES]


# --- attributes ---


def test_a_bird_is_a_function_of_seed_split_and_index() -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[union-attr]
    assert bird(7) == bird(7)
    others = [bird(8), bird(7, "test"), bird(7, seed=1)]
    assert len({bird(7), *others}) == 4
    draw(bird(7), 32)
    captions(bird(7), 0)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not -1"):
        bird(-1)


def test_the_sequence_is_the_same_for_ever() -> None:
    """Exact numbers: a change of them is a change of everybody's data."""
    first = bird(0)
    assert species(first) == "orange-crowned blue-bellied orange-backed green-winged finch"
    assert (first.size, first.pose, first.facing, first.background) == ("medium", "perched", "right", "autumn")
    assert species(bird(10**12, "test", seed=3)) == "yellow-crowned red-bellied yellow kingfisher"


def test_combinations_of_one_split_never_occur_in_the_other() -> None:
    for split in SPLITS:
        for seed in (0, 5):
            assert {split_of(bird(k, split, seed).combination) for k in range(200)} == {split}
    train, test = ({b.combination for b in flock(split)} for split in SPLITS)
    assert not train & test
    assert len(train) > 500
    assert len(test) > 100
    every = [split_of((a, b, c, d)) for a in COLOURS for b in COLOURS for c in COLOURS for d in COLOURS]
    assert every.count("test") / len(every) == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("split", SPLITS)
def test_every_single_value_occurs_in_both_splits(split: Split) -> None:
    birds = flock(split)
    for part in PARTS:
        assert {b.colour(part) for b in birds} == set(COLOURS), part
    for name, values in [("beak_shape", BEAKS), ("pose", POSES), ("facing", FACINGS), ("size", SIZES)]:
        assert {getattr(b, name) for b in birds} == set(values), name
    assert {b.background for b in birds} == set(BACKGROUNDS)
    assert {b.crested for b in birds} == {True, False}
    assert {b.wingbars for b in birds} == {None, "white", "black"}


def test_most_birds_wear_two_to_four_colours() -> None:
    counts = Counter(len(b.shares()) for b in flock("train"))
    assert sum(counts[n] for n in (2, 3, 4)) > 0.85 * len(flock("train"))
    for b in flock("train", 50):
        assert sum(b.shares().values()) == pytest.approx(1)
        assert list(b.shares().values()) == sorted(b.shares().values(), reverse=True)


def test_a_species_is_told_by_main_colours_and_beak() -> None:
    b = bird(3)
    assert species(replace(b, size="small", tail="pink", look=1, background="sky")) == species(b)
    for change in ({"belly": "pink"}, {"wings": "pink"}, {"crown": "pink"}, {"beak_shape": "long"}):
        assert species(replace(b, **change)) != species(b)  # type: ignore[arg-type]


# --- pictures ---


@pytest.mark.parametrize("size", [16, 50, 64, 512])
def test_a_picture_of_any_size(size: int) -> None:
    b = bird(5)
    picture = draw(b, size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
    assert parts(b, size).shape == (size, size)
    if size < 512:
        np.testing.assert_array_equal(picture, draw(b, size))
    assert not np.array_equal(picture, draw(replace(b, look=b.look + 1), size))


@pytest.mark.parametrize("size", [15, 513])
def test_other_sizes_are_refused(size: int) -> None:
    for make in (draw, parts):
        with pytest.raises(ValueError, match=f"not {size}"):
            make(bird(0), size)


@pytest.mark.parametrize(("small", "large"), [(64, 128), (32, 256)])
def test_sizes_show_the_same_scene(small: int, large: int) -> None:
    times = large // small
    for b in one_of_each_pose():
        reduced = draw(b, large).reshape(small, times, small, times, 3).mean((1, 3))
        difference = np.abs(reduced - draw(b, small)).mean()
        other = np.abs(reduced - draw(replace(b, look=b.look + 1), small)).mean()
        assert difference < 2.5
        assert difference < other / 4
        middles = parts(b, large)[times // 2 :: times, times // 2 :: times]
        assert (middles == parts(b, small)).mean() > 0.95


def test_every_part_can_be_seen_at_64_and_has_the_colour_that_is_told() -> None:
    right = total = 0
    for b in flock("test", 40):
        picture, labels = draw(b, 64).astype(float), parts(b, 64)
        assert set(np.unique(labels)) == set(range(len(PARTS) + 2))
        for number, part in enumerate(PARTS, start=1):
            shown = labels == number
            assert shown.sum() >= 6, part
            right += nearest_colour(picture[shown].mean(0)) == b.colour(part)
            total += 1
    assert right / total > 0.98


@pytest.mark.parametrize("part", PARTS)
def test_a_colour_is_drawn_on_its_part_and_nowhere_else(part: str) -> None:
    """A little beyond for feathers that mingle, and around the eye, whose ring goes with the face."""
    for b in one_of_each_pose():
        other = "red" if b.colour(part) in ("black", "blue") else "blue"  # type: ignore[arg-type]
        changed = np.abs(draw(b, 128).astype(int) - draw(replace(b, **{part: other}), 128)).max(2)  # type: ignore[arg-type]
        labels = parts(b, 128)
        shown = labels == PARTS.index(part) + 1  # type: ignore[arg-type]
        if part == "face":
            shown |= labels == len(PARTS) + 1
        astray = (changed > 3) & ~binary_dilation(shown, iterations=3)
        assert astray.sum() <= 0.02 * shown.sum()  # the points of feathers
        assert (changed[shown] > 10).mean() > 0.75


def test_wingbars_lie_on_wings() -> None:
    for b in one_of_each_pose():
        red = replace(b, wings="red")
        plain, barred = draw(replace(red, wingbars=None), 128), draw(replace(red, wingbars="white"), 128)
        changed = np.abs(plain.astype(int) - barred).max(2) > 40
        wings = parts(b, 128) == PARTS.index("wings") + 1
        assert changed.sum() > 20
        assert not (changed & ~binary_dilation(wings, iterations=2)).any()


def test_size_facing_and_crest_are_as_told() -> None:
    for b in one_of_each_pose():
        areas = [(parts(replace(b, size=size), 64) > 0).sum() for size in SIZES]
        assert areas[0] * 1.2 < areas[1] < areas[2]
        for facing, way in (("left", -1), ("right", 1)):
            labels = parts(replace(b, facing=facing), 64)
            beak, tail = (np.nonzero(labels == PARTS.index(p) + 1)[1].mean() for p in ("beak", "tail"))
            assert way * (beak - tail) > 20
        smooth, crested = (parts(replace(b, crested=c), 128) == PARTS.index("crown") + 1 for c in (False, True))
        assert crested.sum() > smooth.sum() * 1.15


# --- captions ---

NOUNS = {part: part for part in PARTS} | {"cap": "crown", "bill": "beak", "legs": "tarsus", "wingbars": "wingbars"}
ENDINGS = {"bellied": "belly", "backed": "back", "winged": "wings", "tailed": "tail", "throated": "throat"}
ENDINGS |= {"naped": "nape", "crowned": "crown", "faced": "face", "legged": "tarsus", "billed": "beak"}
SEEN = {
    "size": {"small|little|tiny": "small", "medium-sized|mid-sized": "medium", "large|big": "large"},
    "pose": {
        "on a branch": "perched",
        "on the ground": "standing",
        "flying with raised wings|flying|in flight": "flying",
    },
    "facing": {"facing left|to the left": "left", "facing right|to the right": "right"},
    "background": {
        "blue sky": "sky",
        "green (?:leaves|foliage|garden)": "leaves",
        "autumn (?:leaves|foliage|wood)": "autumn",
        "at dusk|at sunset|evening sky": "dusk",
        "in the snow|snowy day|winter wood": "snow",
    },
    "crest": {"crested|crest": "crested"},
    "beak shape": {
        "conical": "conical",
        "pointed": "pointed",
        "long(?:,| and)? (?:thin|straight)": "long",
        "curved": "curved",
        "hooked": "hooked",
    },
}
COLOUR = "|".join(COLOURS)


def parsed(text: str) -> dict[str, str]:
    """What a sentence tells, found by a reader that knows nothing of how it was made."""
    told: dict[str, str] = {}
    for key, signs in SEEN.items():
        for sign, value in signs.items():
            text, found = re.subn(rf"\b(?:{sign})\b", "shaped" if key == "beak shape" else "", text)
            if found:
                assert key not in told, (key, text)
                told[key] = value
    for colour, ending in re.findall(rf"\b({COLOUR})-(\w+)", text):
        told[ENDINGS[ending]] = colour
    text = re.sub(rf"\b(?:{COLOUR})-\w+", "", text)
    for main in re.findall(rf"\b((?:{COLOUR})(?: and (?:{COLOUR}))?) +bird", text):
        told["main"] = main
    text = re.sub(rf"\b(?:{COLOUR})(?: and (?:{COLOUR}))? +bird", "bird", text)
    return told | _colours_of_parts(re.findall(r"[a-z]+", text))


def _colours_of_parts(words: list[str]) -> dict[str, str]:
    """A colour is that of the parts named after it, or before it and a verb."""
    told: dict[str, str] = {}
    colour, waiting, predicate = None, [], False
    for word in words:
        if word in COLOURS and predicate:
            told |= dict.fromkeys(waiting, word)
            colour, waiting, predicate = None, [], False
        elif word in COLOURS:
            colour, waiting = word, []
        elif word in NOUNS and colour is not None:
            told[NOUNS[word]] = colour
        elif word in NOUNS:
            waiting.append(NOUNS[word])
        elif word in ("is", "are"):
            predicate = bool(waiting)
        elif word in ("its", "a", "an") or (word == "shaped" and not predicate):
            colour, waiting, predicate = None, [], False
    return told


def test_the_reader_reads() -> None:
    told = parsed("this bird has a yellow belly and tarsus, grey back, wings, and brown throat, nape with a black face")
    expected = {
        "belly": "yellow",
        "tarsus": "yellow",
        "back": "grey",
        "wings": "grey",
        "throat": "brown",
        "nape": "brown",
    }
    assert told == expected | {"face": "black"}
    assert parsed("a small blue bird with a long thin beak perched on a branch") == {
        "size": "small",
        "main": "blue",
        "beak shape": "long",
        "pose": "perched",
    }
    told = parsed("the beak of this red and grey bird is long, thin and orange, its legs are pink, and it is flying")
    assert told == {"beak": "orange", "beak shape": "long", "main": "red and grey", "tarsus": "pink", "pose": "flying"}


@pytest.mark.parametrize("split", SPLITS)
def test_captions_say_what_they_tell_and_it_is_true(split: Split) -> None:
    for b in flock(split, 200):
        for caption in captions(b, 0):
            assert parsed(caption.text) == dict(caption.told), caption
            assert caption.told.items() <= facts(b).items()
            assert FEWEST <= len(caption.told) <= MOST
            assert not contradicts(caption, b)


def test_captions_are_english() -> None:
    texts = [caption.text for b in flock("train", 200) for caption in captions(b, 1)]
    single = "belly|back|tail|throat|nape|crown|cap|face|tarsus|beak|bill"
    for text in texts:
        assert re.fullmatch(r"[a-z]([a-z,;-]| (?! ))*[a-z]", text), text
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]| ,|,,|\band and\b", text), text
        assert not re.search(r"(wings|legs|wingbars)\b( of this [a-z -]* bird)? is\b", text), text
        assert not re.search(rf"\bits ({single}) are\b", text), text
        assert re.search(r"\bbird\b", text), text
        assert not re.search(r"\bits [a-z]+ and [a-z]+ is\b", text), text
    told = Counter(key for b in flock("train", 200) for caption in captions(b, 1) for key in caption.told)
    assert set(told) == {*PARTS, "beak shape", "size", "pose", "facing", "background", "wingbars", "crest", "main"}
    words = Counter(len(text.split()) for text in texts)
    assert min(words) <= 5
    assert max(words) >= 25
    openings = Counter(" ".join(text.split()[:2]) for text in texts)
    assert openings.most_common(1)[0][1] < len(texts) / 3


def test_captions_differ_and_are_a_function_of_their_arguments() -> None:
    b = bird(0)
    texts = {caption.text for caption in captions(b, 0)}
    assert len(texts) == 10
    assert captions(b, 0) == captions(b, 0)
    assert captions(b, 0, n=3) == captions(b, 0)[:3]
    for other in (captions(b, 1), captions(b, 0, seed=1), captions(replace(b, look=1), 0)):
        assert {caption.text for caption in other} != texts
    assert len({caption.text for caption in captions(b, 0, n=300)}) == 300
    for caption in captions(b, 0, n=100, without=("facing", "wings")):
        assert not {"facing", "wings"} & set(caption.told)
    with pytest.raises(ValueError, match="at least 6"):
        captions(b, 0, without=tuple(facts(b))[4:])


def test_a_caption_contradicts_a_bird_that_differs_in_what_it_tells() -> None:
    changes = {"beak shape": "beak_shape", "crest": "crested", "main": None}
    for b in flock("train", 60):
        for caption in captions(b, 2):
            for key, value in caption.told.items():
                name = changes.get(key, key)
                if name is None:
                    continue
                others = {"crested": [False], "beak_shape": BEAKS, "size": SIZES, "pose": POSES}
                others |= {"facing": FACINGS, "background": BACKGROUNDS, "wingbars": [None]}
                other = next(v for v in others.get(name, COLOURS) if v != value)
                assert contradicts(caption, replace(b, **{name: other})), (caption, name)
            untold = [part for part in PARTS if part not in caption.told and "main" not in caption.told]
            for part in untold:
                assert not contradicts(caption, replace(b, **{part: "pink"}))


def test_the_main_colour_is_false_only_of_birds_that_hardly_have_it() -> None:
    blue = replace(bird(0), **dict.fromkeys(PARTS, "blue"))  # type: ignore[arg-type]
    half = replace(blue, belly="yellow", throat="yellow", back="yellow")
    assert facts(blue)["main"] == "blue"
    assert facts(half)["main"] == "blue and yellow"
    assert "main" not in facts(replace(half, wings="red", tail="pink"))
    told = Caption("a blue bird", {"main": "blue"})
    assert not contradicts(told, half)
    assert contradicts(told, replace(blue, belly="yellow", throat="yellow", wings="yellow"))
    both = Caption("a blue and yellow bird", {"main": "blue and yellow"})
    assert contradicts(both, blue)
    assert not contradicts(both, half)


def test_captions_of_other_birds_are_mostly_false() -> None:
    birds = flock("train", 200)
    false = [contradicts(captions(b, 0, n=1)[0], other) for b, other in pairwise(birds)]
    assert np.mean(false) > 0.9


def test_every_attribute_is_told_or_is_the_look() -> None:
    assert {field.name for field in fields(Bird)} == {*PARTS, "beak_shape", "crested", "wingbars", "size", "pose"} | {
        "facing",
        "background",
        "look",
    }
