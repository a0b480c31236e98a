"""From a path or a name to train and test sets."""

from __future__ import annotations

import difflib
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cardigan.data.builtin import BUILTIN, stacked
from cardigan.data.cache import cache_folder
from cardigan.data.captions import Told, kept, matched, with_captions, with_class_names
from cardigan.data.dataset import Dataset, Splits, from_pack
from cardigan.data.decode import SUFFIXES, Unreadable, decode, prepare, quiet_pillow
from cardigan.data.options import DataOptions
from cardigan.data.packing import Progress, pack
from cardigan.data.public import PUBLIC, locate, unlike_published
from cardigan.data.sides import open_sides
from cardigan.data.sources import printable
from cardigan.data.spec import DataSpec
from cardigan.data.worlds.opening import WORLDS, open_world
from cardigan.errors import DataError

STACKED_MNIST = "stacked-mnist"
NAMES = (*BUILTIN, *WORLDS, *PUBLIC, STACKED_MNIST)
"""Sets that go by a name, wherever their files are."""


def open_data(
    source: str | Path,
    options: DataOptions = DataOptions(),  # noqa: B008 (frozen)
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Splits:
    """Train and test sets of a folder, archive or array file, or of a set that goes by a name.

    A path is decoded once into a pack of the cache and read from there ever after. Where the source has no split of its
    own, the hash of an image decides whether it is held out, that of the file for a JPEG and else that of the decoded
    pixels: exact copies never straddle the splits, and adding files moves no other. A name comes before a path: write
    ``./digits`` for a folder of that name.

    Args:
        source: a path, or one of digits, stacked-digits, ring, grid, birds, streets, mnist, stacked-mnist, fashion-mnist
            and cifar10.
        options: size, channels and the like.
        cache: where packs and downloads are kept; by default `cache_folder`.
        progress: called with (done, total): bytes while downloading, then images while packing.

    Raises:
        DataError: one line that says what is wrong with the source and what to do.
    """
    cache = cache or cache_folder()
    name = str(source)
    if name in WORLDS:
        return open_world(name, options, cache, progress)
    refuse_sides(name, options)
    if name in NAMES:
        return _named(_open_name(name, options, cache, progress), options)
    path = existing(source)
    if options.pairing != "none":
        return open_sides(path, printable(path.resolve().name), options, cache, progress)
    packed = pack(path, options, cache, progress)
    splits = from_pack(packed, printable(path.resolve().name))
    if options.text != "captions":
        return _named(splits, options)
    told = kept(packed, "captions", lambda: Told(matched(path, packed.names), []))
    return with_captions(splits, packed, told, options)


def _open_name(name: str, options: DataOptions, cache: Path, progress: Progress | None) -> Splits:
    """Train and test sets of a set that goes by a name and is no world."""
    if name in BUILTIN:
        return _as_wanted(BUILTIN[name](), options)
    if name == STACKED_MNIST:
        return stacked(name, open_data("mnist", options.model_copy(update={"text": "none"}), cache, progress))
    path = locate(name, cache, progress)
    if options.other is not None:
        return open_sides(path, name, options, cache, progress)
    splits = from_pack(pack(path, options, cache, progress), name, PUBLIC[name].classes)
    return replace(splits, notes=(*splits.notes, *unlike_published(name, path)))


def _named(splits: Splits, options: DataOptions) -> Splits:
    """The splits, with the names of classes as sentences if that is wanted."""
    if options.text == "none":
        return splits
    if options.text == "captions":
        raise DataError(
            f"{splits.train.name} has no captions: use --set data.text=classes, or give images with a captions.csv"
        )
    return with_class_names(splits, options)


def refuse_sides(name: str, options: DataOptions) -> None:
    """Raise a DataError where two sides are wanted of a set that has one, unless a second source is the other."""
    if options.pairing != "none" and name in NAMES and not (name in PUBLIC and options.other):
        raise DataError(
            f"{name} holds one kind of image, and this recipe translates between two: give streets, or a folder for each"
        )


def lone_picture(source: str | Path) -> Path | None:
    """The file, where the source is one picture or a folder with nothing else in it."""
    path = Path(source)
    if path.is_dir():
        inside = [file for file in path.iterdir() if not file.name.startswith(".")]
        path = inside[0] if len(inside) == 1 else path
    return path if path.is_file() and path.suffix.lower() in SUFFIXES else None


def open_picture(path: Path, options: DataOptions = DataOptions()) -> Splits:  # noqa: B008 (frozen)
    """One picture as a test set, for what a trained model does to it; there is nothing to learn from.

    Raises:
        DataError: it cannot be read.
    """
    data = path.read_bytes()
    try:
        with quiet_pillow():
            pixels = prepare(decode(data).pixels, options)
    except Unreadable as error:
        raise DataError(f"cannot read {path}: {error}") from error
    stored = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]
    channels, height, width = stored.shape[1:]
    spec = DataSpec(channels=channels, height=height, width=width, bits=16 if pixels.dtype == np.uint16 else 8)
    digest, names = hashlib.sha256(data).hexdigest(), [path.name]
    return Splits(
        train=Dataset(path.name, "train", spec, stored[:0], digest),
        test=Dataset(path.name, "test", spec, stored, digest, names=lambda: names),
    )


def existing(source: str | Path) -> Path:
    """The path, which is there; else an error that suggests the names that are close to it."""
    try:
        path = Path(source).expanduser()
    except RuntimeError as error:
        raise DataError(f"{source} names a home folder that is not there: give another path") from error
    if os.path.exists(path):  # unlike Path.exists, no error where the name is too long
        return path
    close = difflib.get_close_matches(str(source).lower().replace("_", "-"), NAMES, n=2)
    if close:
        raise DataError(f"{source} does not exist: did you mean {' or '.join(close)}?")
    raise DataError(f"{source} does not exist: give a path, or one of {', '.join(NAMES)}")


def _as_wanted(splits: Splits, options: DataOptions) -> Splits:
    """Built-in data at another size or with other channels."""
    spec = splits.train.spec
    size, channels = options.target or (spec.height, spec.width), options.channels or spec.channels
    if (channels, *size) == spec.shape:
        return splits
    if spec.kind == "points" or splits.train.name != "digits":
        raise DataError(
            f"{splits.train.name} has the fixed shape {spec.shape}: leave data.size and data.channels unset"
        )
    return replace(splits, train=_converted(splits.train, options), test=_converted(splits.test, options))


def _converted(dataset: Dataset, options: DataOptions) -> Dataset:
    every = torch.arange(len(dataset))
    pixels = ((dataset.images(every) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    made = np.stack([prepare(image, options).transpose(2, 0, 1) for image in pixels])
    labels = dataset.labels(every)
    channels, height, width = made.shape[1:]
    spec = dataset.spec.model_copy(update={"channels": channels, "height": height, "width": width})
    digest = hashlib.sha256(dataset.digest.encode() + made.tobytes()).hexdigest()
    return Dataset(dataset.name, dataset.split, spec, torch.from_numpy(made), digest, labels=labels)
