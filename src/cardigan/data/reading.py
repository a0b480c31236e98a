"""One pass over a source: every example decoded and made ready, and a tally of what was met."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from cardigan.data.budget import Budget
from cardigan.data.decode import JPEG_MAGIC, MODES, Decoded, Pixels, Unreadable, decode, header, prepare, quiet_pillow
from cardigan.data.options import DataOptions
from cardigan.data.sources import Example, Source, shortened
from cardigan.errors import DataError

WINDOW = 16  # images in flight: bounds the memory of a pass, together with
MOST_IN_FLIGHT = 1 << 26  # their pixels, beside those of the oldest


@dataclass(frozen=True, slots=True)
class Met:
    """What became of one example.

    Attributes:
        example: the example.
        shape: (height, width), channels and bits as found in the source.
        pixels: ready to be packed, (height, width, channels); None where unreadable or only the header was read.
        identity: hash by which copies are known, whatever the options are.
        problem: why it cannot be used.
    """

    example: Example
    shape: tuple[tuple[int, int], int, int] | None = None
    pixels: Pixels | None = None
    identity: bytes = b""
    problem: str | None = None


class Reading:
    """Iterate over a source's examples in order; set `headers_only` on the way when the pixels no longer matter."""

    def __init__(self, source: Source, options: DataOptions) -> None:
        self.source = source
        self.options = options
        self.headers_only = False

    def __iter__(self) -> Iterator[Met]:
        if not self.source.encoded:
            yield from map(self._meet, self.source.examples())
            return
        pending: deque[Future[Met]] = deque()
        budget = Budget(MOST_IN_FLIGHT)
        with quiet_pillow(), ThreadPoolExecutor(2) as pool:
            try:
                for number, example in enumerate(self.source.examples()):
                    pending.append(pool.submit(self._meet_within, budget, number, example))
                    if len(pending) >= WINDOW:
                        yield pending.popleft().result()
                        budget.release()
                while pending:
                    yield pending.popleft().result()
                    budget.release()
            finally:
                budget.lift()
                pool.shutdown(cancel_futures=True)

    def _meet_within(self, budget: Budget, number: int, example: Example) -> Met:
        met = self._meet(example, partial(budget.take, number))
        budget.shrink(number, 0 if met.pixels is None else met.pixels.shape[0] * met.pixels.shape[1])
        return met

    def _meet(self, example: Example, admit: Callable[[int], None] = lambda pixels: None) -> Met:
        try:
            if self.source.classes and example.label not in self.source.classes:
                example.load()
                raise Unreadable("has no class")
            data = example.load()
            if self.headers_only and isinstance(data, bytes):
                return Met(example, header(data))
            wanted = self.options.target
            found = decode(data, wanted, admit) if isinstance(data, bytes) else Decoded(data, data.shape[:2])
            pixels = found.pixels
            shape = found.size, pixels.shape[2], 8 * pixels.itemsize
            return Met(example, shape, prepare(pixels, self.options), identify(data, pixels))
        except Unreadable as problem:
            return Met(example, problem=str(problem))


def identify(data: bytes | Pixels, pixels: Pixels) -> bytes:
    """16 bytes that are equal for copies, at whatever size they are wanted.

    A JPEG goes by its file, because its pixels depend on the fraction it was decoded at; all else by its pixels.
    """
    if isinstance(data, bytes) and data.startswith(JPEG_MAGIC):
        return hashlib.blake2b(data, digest_size=16).digest()
    return fingerprint(pixels)


def fingerprint(pixels: Pixels) -> bytes:
    """16 bytes that are equal for images that look the same at every pixel, in whatever mode they are stored."""
    pixels = _plainest(pixels)
    digest = hashlib.blake2b(repr((pixels.shape, pixels.itemsize)).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def _plainest(pixels: Pixels) -> Pixels:
    """Without an alpha that is opaque throughout, and with one channel where the colours are all grey."""
    if pixels.shape[2] == 4 and (pixels[:, :, 3] == np.iinfo(pixels.dtype).max).all():
        pixels = pixels[:, :, :3]
    if pixels.shape[2] == 3 and (pixels == pixels[:, :, :1]).all():
        pixels = pixels[:, :, :1]
    return pixels


@dataclass
class Tally:
    """Counts over one pass."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    modes: Counter[tuple[int, int]] = field(default_factory=Counter)
    problems: list[tuple[str, str]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    first: dict[bytes, int] = field(default_factory=dict)
    copies: dict[int, list[int]] = field(default_factory=dict)

    def add(self, met: Met) -> None:
        if met.problem is not None or met.shape is None:
            self.problems.append((met.example.name, met.problem or ""))
            return
        size, channels, bits = met.shape
        self.sizes[size] += 1
        self.modes[channels, bits] += 1
        self.names.append(met.example.name)
        if met.identity:
            here = len(self.names) - 1
            original = self.first.setdefault(met.identity, here)
            if original != here:
                self.copies.setdefault(original, []).append(here)

    @property
    def duplicates(self) -> list[list[str]]:
        """Groups of names that are exact copies."""
        return [[self.names[i] for i in (original, *others)] for original, others in self.copies.items()]


def counted(count: int, one: str, many: str = "") -> str:
    """Such as "1 image" or "2 images"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def mode_name(channels: int, bits: int) -> str:
    """Such as "RGB" or "16-bit grey"."""
    name = MODES.get(channels, f"{channels} channels")
    return name if bits == 8 else f"{bits}-bit {name}"


def sizes_in_words(sizes: Counter[tuple[int, int]]) -> str:
    """The commonest sizes as width x height."""
    return shortened(f"{width}x{height} ({count})" for (height, width), count in sizes.most_common())


def modes_in_words(modes: Counter[tuple[int, int]]) -> str:
    """The commonest modes."""
    return shortened(f"{mode_name(*mode)} ({count})" for mode, count in modes.most_common())


def problems_in_words(problems: list[tuple[str, str]]) -> str:
    """The first unreadable files with the reason."""
    return shortened(f"{name} ({reason})" for name, reason in problems)


def refuse_unsuitable(source: Source, options: DataOptions, tally: Tally) -> None:
    """Raise the one line that tells what keeps a source from being used as the options say.

    Raises:
        DataError: unreadable images that are not to be skipped, too few images, mixed sizes, channels or bits.
    """
    name, good, bad = source.name, len(tally.names), len(tally.problems)
    if bad and not options.skip_unreadable:
        cure = "remove them or add --set data.skip_unreadable=true"
        raise DataError(
            f"{name}: {bad} of {good + bad} images cannot be read: {problems_in_words(tally.problems)}; {cure}"
        )
    if good == 0:
        raise DataError(f"{name} holds no {'readable ' if bad else ''}images")
    if good == 1:
        raise DataError(f"{name} holds one image: at least 2 are needed, one to learn from and one to test on")
    if options.target is None and len(tally.sizes) > 1:
        cure = "add --set data.size=64 to crop and resize"
        raise DataError(f"{name}: the images differ in size: {sizes_in_words(tally.sizes)}; {cure}")
    if len({bits for _, bits in tally.modes}) > 1:
        raise DataError(f"{name} mixes 8 and 16 bits: {modes_in_words(tally.modes)}; save all images with one depth")
    if options.channels is None and len(tally.modes) > 1:
        cure = "add --set data.channels=3 to make all of them RGB"
        raise DataError(f"{name} mixes modes: {modes_in_words(tally.modes)}; {cure}")
