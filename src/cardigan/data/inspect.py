"""What a source of images holds, and what is wrong with it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from cardigan.data.builtin import BUILTIN
from cardigan.data.cache import cache_folder
from cardigan.data.captions import matched, survey, told_lines
from cardigan.data.dataset import Dataset, Splits
from cardigan.data.formats import listing, open_source
from cardigan.data.opening import STACKED_MNIST, existing, open_data
from cardigan.data.options import DataOptions
from cardigan.data.packing import Columns, Progress, settle_splits
from cardigan.data.public import PUBLIC, locate, unlike_published
from cardigan.data.reading import Reading, Tally, mode_name, refuse_unsuitable
from cardigan.data.sources import Source, printable, shortened
from cardigan.data.worlds.opening import WORLDS
from cardigan.errors import DataError


@dataclass(frozen=True)
class Inspection:
    """What there is, and what is wrong with it.

    Attributes:
        name: of the source.
        kind: folder, zip, tar, idx, npy, npz, parquet, CIFAR-10 binary or built-in.
        bytes: of all its files.
        splits: readable images of train and test, as training would see them.
        classes: readable images of each class; empty without classes.
        sizes: images of each "width x height", the commonest first.
        modes: images of each mode, such as "RGB" or "16-bit grey".
        unreadable: (name, reason) of every image that cannot be used.
        odd_sized: names of images that are not of the commonest size, where more than half are.
        odd_modes: names of images that are not of the commonest mode, where more than half are.
        duplicates: groups of names of exact copies.
        ignored: other files.
        captions: how many sentences are told of the images, a few of them, and what lacks its other half, a line each.
        notes: what else there is to know.
        verdict: why training on it as it is would be refused, or None.
    """

    name: str
    kind: str
    bytes: int
    splits: dict[str, int]
    classes: dict[str, int]
    sizes: dict[str, int]
    modes: dict[str, int]
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    odd_sized: list[str] = field(default_factory=list)
    odd_modes: list[str] = field(default_factory=list)
    duplicates: list[list[str]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    verdict: str | None = None

    def to_json(self) -> str:
        """Everything, as JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    def lines(self, most: int = 10) -> list[str]:
        """A text for people, a line each; lists are cut after `most` names."""
        text = [
            f"{self.name}: {self.kind}, {self.bytes:,} bytes",
            "images: " + ", ".join(f"{split} {count:,}" for split, count in self.splits.items()),
        ]
        if self.classes:
            text.append(f"classes ({len(self.classes)}): " + _counts(self.classes, most))
        text.append("sizes: " + _counts(self.sizes, most))
        text.append("modes: " + _counts(self.modes, most))
        if self.captions:
            first, *others = self.captions
            text += [f"captions: {first}", *(f"  {line}" for line in others)]
        copies = sum(len(group) - 1 for group in self.duplicates)
        found = (
            ("unreadable", len(self.unreadable), [f"{name}: {reason}" for name, reason in self.unreadable]),
            ("odd-sized", len(self.odd_sized), self.odd_sized),
            ("of another mode", len(self.odd_modes), self.odd_modes),
            ("exact copies", copies, [" = ".join(group) for group in self.duplicates]),
            ("ignored files", len(self.ignored), self.ignored),
        )
        for title, count, names in found:
            if count:
                text += [f"{title}: {count:,}", *(f"  {name}" for name in names[:most])]
                text += [f"  and {len(names) - most:,} more"] if len(names) > most else []
        text += [f"note: {note}" for note in self.notes]
        text.append(f"not ready: {self.verdict}" if self.verdict else "ready to train on")
        return text


def _counts(counts: dict[str, int], most: int) -> str:
    return shortened((f"{name} {count:,}" for name, count in counts.items()), most) or "none"


def inspect_data(
    source: str | Path,
    options: DataOptions = DataOptions(),  # noqa: B008 (frozen)
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Inspection:
    """Read every image of a source and count what is there and what is wrong; bad files are reported, not raised.

    Raises:
        DataError: there is no data at all: no such path or name, nothing that Cardigan reads, or no image in it.
    """
    cache = cache or cache_folder()
    name = str(source)
    if name in BUILTIN or name in WORLDS or name == STACKED_MNIST:
        return _builtin(name, open_data(name, speaking(name, options), cache, progress))
    path = locate(name, cache, progress) if name in PUBLIC else existing(source)
    tally, columns = Tally(), Columns()
    classes: Counter[str] = Counter()
    by_size: dict[tuple[int, int], list[str]] = defaultdict(list)
    by_mode: dict[tuple[int, int], list[str]] = defaultdict(list)
    with open_source(path) as opened:
        classes.update(dict.fromkeys(opened.classes, 0))
        for done, met in enumerate(Reading(opened, options), 1):
            tally.add(met)
            if met.problem is None and met.shape is not None:
                columns.add(met, b"", -1, options.held_out)
                if met.example.label is not None:
                    classes[met.example.label] += 1
                size, channels, bits = met.shape
                by_size[size].append(met.example.name)
                by_mode[channels, bits].append(met.example.name)
            if progress is not None:
                progress(done, max(opened.count, done))
        if not tally.names and not tally.problems:
            raise DataError(f"{path} holds no images")
        splits, verdict = _outcome(opened, options, tally, columns)
    if options.text == "captions" and verdict is None:
        try:
            matched(path, tally.names)
        except DataError as error:
            verdict = str(error)
    published = PUBLIC[name].classes if name in PUBLIC else ()
    better = dict(zip(opened.classes, published, strict=True)) if len(opened.classes) == len(published) else {}
    notes = unlike_published(name, path) if name in PUBLIC else ()
    odd_sized, odd_modes = _odd(by_size), _odd(by_mode)
    scattered = [what for what, odd in (("size", odd_sized), ("mode", odd_modes)) if odd is None]
    return Inspection(
        name=name if name in PUBLIC else printable(path.resolve().name),
        kind=opened.kind,
        bytes=sum(size for _, size, _ in listing(path)),
        splits=splits,
        classes={better.get(label, label): count for label, count in classes.items()},
        sizes={f"{width}x{height}": count for (height, width), count in tally.sizes.most_common()},
        modes={mode_name(*mode): count for mode, count in tally.modes.most_common()},
        unreadable=tally.problems,
        odd_sized=odd_sized or [],
        odd_modes=odd_modes or [],
        duplicates=tally.duplicates,
        ignored=list(opened.ignored),
        captions=survey(path, tally.names),
        notes=[*opened.notes, *notes, *(f"no {what} is common to more than half of the images" for what in scattered)],
        verdict=verdict,
    )


def _outcome(source: Source, options: DataOptions, tally: Tally, columns: Columns) -> tuple[dict[str, int], str | None]:
    """Images of train and test, and why training on them would be refused."""
    splits, verdict = np.frombuffer(columns.splits, np.uint8), None
    try:
        splits = settle_splits(source.name, columns)
    except DataError as error:
        verdict = str(error)
    try:
        refuse_unsuitable(source, options, tally)
    except DataError as error:
        verdict = str(error)
    return {"train": int((splits == 0).sum()), "test": int((splits == 1).sum())}, verdict


def _odd(groups: dict[tuple[int, int], list[str]]) -> list[str] | None:
    """The names outside the group that holds more than half of all, or None where there is no such group."""
    common = max(groups.values(), key=len, default=[])
    if 2 * len(common) <= sum(map(len, groups.values())):
        return None if groups else []
    return [name for names in groups.values() if names is not common for name in names]


def _builtin(name: str, splits: Splits) -> Inspection:
    spec = splits.train.spec
    both = (splits.train, splits.test)
    points = spec.kind == "points"
    return Inspection(
        name=name,
        kind="built-in",
        bytes=0,
        splits={side.split: len(side) for side in both},
        classes=_class_counts(both),
        sizes={} if points else {f"{spec.width}x{spec.height}": sum(map(len, both))},
        modes={"points of the plane" if points else mode_name(spec.channels, spec.bits): sum(map(len, both))},
        captions=_told(both),
    )


def speaking(name: str, options: DataOptions) -> DataOptions:
    """The options, with the sentences that a world says of its scenes."""
    silent = name not in WORLDS or WORLDS[name].told is None or options.text != "none"
    return options if silent else options.model_copy(update={"text": "captions"})


def _told(both: tuple[Dataset, ...]) -> list[str]:
    captions = {
        f"{side.split} {i}": c for side in both for i, c in enumerate(side.captions(torch.arange(len(side))) or ())
    }
    return list(told_lines(captions)) if captions else []


def _class_counts(both: tuple[Dataset, ...]) -> dict[str, int]:
    names = both[0].spec.classes
    labels = [side.labels(torch.arange(len(side))) for side in both] if names else []
    counts = Counter(label for side in labels if side is not None for label in side.tolist())
    return {name: counts[i] for i, name in enumerate(names)}
