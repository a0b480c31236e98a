"""What people might say of a bird: English sentences, each with an exact account of what it tells."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from cardigan.data.order import derived_seed
from cardigan.data.worlds.birds import PARTS, Bird

T = TypeVar("T")

FEWEST, MOST = 2, 6
"""How many facts a sentence tells."""
MATTERS_OF_DEGREE = ("main",)
"""Keys of facts that are neither quite true nor quite false of many birds."""


@dataclass(frozen=True)
class Caption:
    """A sentence in lower case, and the facts it tells, by the keys and values of `facts`."""

    text: str
    told: Mapping[str, str]


def facts(bird: Bird) -> dict[str, str]:
    """All that a caption may tell of a bird.

    Keys are the coloured parts, "beak shape", "size", "pose", "facing" and "background"; of some birds also "wingbars"
    (their colour), "crest", and "main": the one or two colours that most of the plumage has.
    """
    true: dict[str, str] = {part: bird.colour(part) for part in PARTS}
    true |= {"beak shape": bird.beak_shape, "size": bird.size, "pose": bird.pose}
    true |= {"facing": bird.facing, "background": bird.background}
    if bird.wingbars is not None:
        true["wingbars"] = bird.wingbars
    if bird.crested:
        true["crest"] = "crested"
    main = _main(bird)
    return true if main is None else true | {"main": main}


def contradicts(caption: Caption, bird: Bird) -> bool:
    """Whether a caption is false of a bird.

    The main colours of a bird are a matter of degree: telling them is false only where little of it has them.
    """
    true = facts(bird)
    return any(
        not _mainly(bird, value) if key == "main" else true.get(key) != value for key, value in caption.told.items()
    )


def _main(bird: Bird) -> str | None:
    (first, share), *others = bird.shares().items()
    if share >= 0.6:
        return first
    second, next_share = others[0]
    return f"{first} and {second}" if share + next_share >= 0.8 else None


def _mainly(bird: Bird, main: str) -> bool:
    colours = main.split(" and ")
    enough = 0.4 if len(colours) == 1 else 0.15
    return all(share >= enough for share in (_share(bird, colour) for colour in colours))


def _share(bird: Bird, named: str) -> float:
    return sum(share for colour, share in bird.shares().items() if colour == named)


def captions(bird: Bird, index: int, seed: int = 0, n: int = 10, without: Collection[str] = ()) -> tuple[Caption, ...]:
    """Different sentences about a bird, all of them true: a pure function of its arguments.

    Args:
        bird: what to speak of.
        index: which set of sentences about it.
        seed: decides all sets.
        n: how many sentences.
        without: keys of facts that are never told, such as "facing" where pictures are mirrored at random.

    Raises:
        ValueError: too few facts are left to tell.
    """
    random = np.random.Generator(np.random.PCG64(derived_seed(seed, "captions", index, bird.look)))
    true = {key: value for key, value in facts(bird).items() if key not in without}
    if len(true) < MOST:
        raise ValueError(f"leave at least {MOST} facts to tell, not {len(true)}")
    said: dict[str, Caption] = {}
    while len(said) < n:
        speaker = _Speaker(random)
        told = _chosen(true, speaker)
        text = speaker.one(_SENTENCES)(_worded(told, speaker), speaker)
        said.setdefault(text, Caption(text, told))
    return tuple(said.values())


class _Speaker:
    """Chooses what to tell, and words for it."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random

    def one(self, options: Sequence[T]) -> T:
        return options[int(self._random.integers(len(options)))]

    def number(self, least: int, most: int) -> int:
        return int(self._random.integers(least, most + 1))

    def shuffled(self, options: Iterable[T]) -> list[T]:
        options = list(options)
        return [options[k] for k in self._random.permutation(len(options)).tolist()]

    def perhaps(self, chance: float) -> bool:
        return self._random.random() < chance


def _chosen(true: Mapping[str, str], speaker: _Speaker) -> dict[str, str]:
    """Some of the facts: colours of parts more often than others."""
    count = speaker.number(FEWEST, MOST)
    parts = speaker.shuffled(key for key in true if key in PARTS)
    others = speaker.shuffled(key for key in true if key not in PARTS)
    few = min(speaker.number(0, 3), count)
    return {key: true[key] for key in (others[:few] + parts)[:count]}


# --- words ---


_NOUNS: Mapping[str, tuple[str, ...]] = {
    "crown": ("crown", "crown", "cap"),
    "tarsus": ("tarsus", "legs", "legs"),
    "beak": ("beak", "beak", "bill"),
}
_PLURAL = ("wings", "legs", "wingbars")
_SHAPES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "conical": (("short", "conical"), ("thick", "conical"), ("conical",)),
    "pointed": (("short", "pointed"), ("pointed",)),
    "long": (("long", "thin"), ("long", "straight")),
    "curved": (("long", "curved"), ("curved",)),
    "hooked": (("hooked",), ("strong", "hooked")),
}
_SIZES: Mapping[str, tuple[str, ...]] = {
    "small": ("small", "small", "little", "tiny"),
    "medium": ("medium-sized", "mid-sized"),
    "large": ("large", "large", "big"),
}
_POSES: Mapping[str, tuple[str, ...]] = {
    "perched": ("perched on a branch", "perched on a branch", "sitting on a branch", "resting on a branch"),
    "standing": ("standing on the ground", "standing on the ground", "standing upright on the ground"),
    "flying": ("flying", "in flight", "flying with raised wings"),
}
_BACKGROUNDS: Mapping[str, tuple[str, ...]] = {
    "sky": ("against a blue sky", "under a bright blue sky", "in front of a blue sky"),
    "leaves": ("in front of green leaves", "against green foliage", "in a green garden"),
    "autumn": ("in front of autumn leaves", "in an autumn wood", "against autumn foliage"),
    "dusk": ("at dusk", "at sunset", "against an evening sky"),
    "snow": ("in the snow", "on a snowy day", "in a winter wood"),
}
_FACINGS: Mapping[str, tuple[str, ...]] = {
    "left": ("facing left", "looking to the left", "turned to the left"),
    "right": ("facing right", "looking to the right", "turned to the right"),
}
_ENDINGS: Mapping[str, str] = {
    "belly": "bellied",
    "back": "backed",
    "wings": "winged",
    "tail": "tailed",
    "throat": "throated",
    "nape": "naped",
    "crown": "crowned",
    "face": "faced",
    "tarsus": "legged",
    "beak": "billed",
}


@dataclass(frozen=True)
class _Feature:
    """Adjectives that are true of nouns: "grey" of "wings" and "back"."""

    adjectives: tuple[str, ...]
    nouns: tuple[str, ...]

    def note(self) -> str:
        """ "yellow belly and throat"."""
        return f"{' '.join(self.adjectives)} {_listed(self.nouns)}"

    def phrase(self) -> str:
        """ "a yellow belly and throat", "grey wings and back"."""
        return self.note() if self.nouns[0] in _PLURAL else _a(self.note())

    def run(self) -> str:
        """ "yellow belly, throat", "a yellow belly"."""
        return f"{' '.join(self.adjectives)} {', '.join(self.nouns)}" if len(self.nouns) > 1 else self.phrase()

    def claim(self, subject: str = "") -> str:
        """ "its belly and throat are yellow", "the belly and throat of this small bird are yellow"."""
        verb = "are" if len(self.nouns) > 1 or self.nouns[0] in _PLURAL else "is"
        nouns = f"the {_listed(self.nouns)} of this {subject}" if subject else f"its {_listed(self.nouns)}"
        return f"{nouns} {verb} {_listed(self.adjectives)}"


@dataclass(frozen=True)
class _Words:
    """What is to be told, in pieces: adjectives of the bird, features it has, and where and how it is seen."""

    size: str
    compounds: tuple[str, ...]
    colour: str
    features: tuple[_Feature, ...]
    where: str

    @property
    def subject(self) -> str:
        """ "small yellow-bellied blue bird"."""
        return " ".join(filter(None, (self.size, ", ".join(self.compounds), self.colour, "bird")))


def _worded(told: Mapping[str, str], speaker: _Speaker) -> _Words:
    compounds, features = [], []
    parts: dict[str, str] = {key: value for key, value in told.items() if key in PARTS}
    if "beak shape" in told:
        adjectives = speaker.one(_SHAPES[told["beak shape"]])
        colour = (parts.pop("beak"),) if "beak" in parts else ()
        features.append(_Feature((*adjectives, *colour), (speaker.one(_NOUNS["beak"]),)))
    if "wingbars" in told:
        features.append(_Feature((told["wingbars"],), ("wingbars",)))
    if "crest" in told:
        if speaker.perhaps(0.5):
            compounds.append("crested")
        else:
            features.append(_Feature((speaker.one(("raised", "tall")),), ("crest",)))
    if speaker.perhaps(0.2):
        for part in speaker.shuffled(parts)[:2]:
            compounds.append(f"{parts.pop(part)}-{_ENDINGS[part]}")
    features += _coloured(parts, together=speaker.perhaps(0.75), speaker=speaker)
    return _Words(
        size=speaker.one(_SIZES[told["size"]]) if "size" in told else "",
        compounds=tuple(compounds),
        colour=told.get("main", ""),
        features=tuple(speaker.shuffled(features)),
        where=_where(told, speaker),
    )


def _coloured(parts: Mapping[str, str], together: bool, speaker: _Speaker) -> list[_Feature]:
    """Parts by their colours: those of one colour together, or each by itself."""
    groups: dict[str, list[str]] = {}
    for part, colour in parts.items():
        noun = speaker.one(_NOUNS.get(part, (part,)))
        groups.setdefault(colour if together else part, []).append(noun)
    plural_first = (tuple(sorted(nouns, key=lambda noun: noun not in _PLURAL)) for nouns in groups.values())
    colours = groups if together else parts.values()
    return [_Feature((colour,), nouns) for colour, nouns in zip(colours, plural_first, strict=True)]


def _where(told: Mapping[str, str], speaker: _Speaker) -> str:
    """ "perched on a branch against a blue sky, facing left": what can follow "a bird" or "it is"."""
    pose = speaker.one(_POSES[told["pose"]]) if "pose" in told else ""
    facing = speaker.one(_FACINGS[told["facing"]]) if "facing" in told else ""
    behind = speaker.one(_BACKGROUNDS[told["background"]]) if "background" in told else ""
    if behind and not pose and not facing:
        return f"{speaker.one(('seen', 'pictured'))} {behind}"
    if pose and facing:
        return f"{pose} {behind}, {facing}" if behind else f"{pose}, {facing}"
    return " ".join(filter(None, (pose, facing, behind)))


def _a(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _listed(words: Sequence[str], comma: str = "") -> str:
    """ "a", "a and b", "a, b and c"; the comma may stand before the last "and", too."""
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])}{comma if len(words) > 2 else ''} and {words[-1]}"


# --- sentences ---


def _phrases(features: Sequence[_Feature], speaker: _Speaker) -> str:
    return _listed([feature.phrase() for feature in features], comma=speaker.one(("", ",")))


def _plain(words: _Words, speaker: _Speaker) -> str:
    """ "a small blue bird with a long thin beak perched on a branch"."""
    opening = speaker.one(("", "", "", "there is ", "this is ", "a picture of "))
    if not words.features:
        return f"{opening}{_a(words.subject)} {words.where}".rstrip()
    features = f"with {_phrases(words.features, speaker)}"
    if not words.where:
        return f"{opening}{_a(words.subject)} {features}"
    if speaker.perhaps(0.5):
        return f"{opening}{_a(words.subject)} {words.where}, {features}"
    return f"{opening}{_a(words.subject)} {features}, {words.where}"


def _has(words: _Words, speaker: _Speaker) -> str:
    """ "this bird has grey wings and a black beak and is perched on a branch"."""
    if not words.features:
        return _being(words, speaker)
    text = f"{speaker.one(('this', 'this', 'the'))} {words.subject} has {_phrases(words.features, speaker)}"
    return f"{text}, and it is {words.where}" if words.where else text


def _being(words: _Words, speaker: _Speaker) -> str:
    """ "this small blue bird is perched on a branch": of features nothing."""
    if words.where and speaker.perhaps(0.6):
        return f"{speaker.one(('this', 'the'))} {words.subject} is {words.where}"
    return f"{speaker.one(('here is', 'this is', 'we see'))} {_a(words.subject)} {words.where}".rstrip()


def _claims(words: _Words, speaker: _Speaker) -> str:
    """ "the wings of this small bird are grey, and its beak is long and thin"."""
    if not words.features:
        return _being(words, speaker)
    first, *others = words.features
    clauses = [first.claim(words.subject), *(feature.claim() for feature in others)]
    if words.where:
        clauses.append(f"it is {words.where}")
    return _listed(clauses, comma=",") if len(clauses) > 2 else ", and ".join(clauses)


def _scene_first(words: _Words, speaker: _Speaker) -> str:
    """ "perched on a branch, this bird has grey wings"."""
    if not words.where or not words.features:
        return _plain(words, speaker)
    if words.where.split()[0] in ("perched", "sitting", "standing", "resting") and speaker.perhaps(0.4):
        return f"{words.where} is {_a(words.subject)} with {_phrases(words.features, speaker)}"
    verb = speaker.one(("has", "has", "shows"))
    return f"{words.where}, this {words.subject} {verb} {_phrases(words.features, speaker)}"


def _mixed(words: _Words, speaker: _Speaker) -> str:
    """ "this bird has a red crown, its wings are grey and its tail is black"."""
    if len(words.features) < 2:
        return _has(words, speaker)
    some = speaker.number(1, len(words.features) - 1)
    has = f"{speaker.one(('this', 'the'))} {words.subject} has {_phrases(words.features[:some], speaker)}"
    claims = _listed([feature.claim() for feature in words.features[some:]])
    return f"{has}, and {claims}" + (f"; it is {words.where}" if words.where else "")


def _notes(words: _Words, speaker: _Speaker) -> str:
    """ "small blue bird, yellow belly, long thin beak, perched on a branch"."""
    features = [feature.note() for feature in words.features]
    return ", ".join(filter(None, (words.subject, *features, words.where)))


def _run_on(words: _Words, speaker: _Speaker) -> str:
    """ "this bird has a yellow belly and tarsus, grey back, wings, and brown throat, nape with a black face"."""
    if len(words.features) < 3:
        return _has(words, speaker)
    first, *middle, last = words.features
    runs = [first.phrase(), *(feature.run() for feature in middle)]
    listed = f"{_listed(runs, comma=',')} with {last.phrase()}"
    return f"this {words.subject} has {listed}" + (f", {words.where}" if words.where else "")


_SENTENCES: Sequence[Callable[[_Words, _Speaker], str]] = (
    _plain,
    _plain,
    _has,
    _claims,
    _scene_first,
    _mixed,
    _notes,
    _run_on,
)
