"""However large the images are, few of their pixels are in memory at once."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cardigan.data import DataOptions, inspect_data, reading
from cardigan.data.decode import Decoded
from cardigan.data.formats import open_source
from test_data_formats import encode, write_folder

SIDES = (3, 4, 5, 9, 3, 12, 4, 3, 3, 5, 4, 4, 20, 3, 3, 4, 5, 6, 7, 3)


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    """A hundred pictures of many sizes, two of which cannot be read."""
    rng = np.random.default_rng(5)
    images = [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in SIDES * 5]
    content = {f"{i:02}.png": encode(image) for i, image in enumerate(images)}
    return write_folder(tmp_path / "x", content | {"03.png": b"junk", "50.png": b""})


class InFlight:
    """Pixels of the images that were admitted and whose results nobody has had yet."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.pixels: list[int] = []
        self.seen: list[list[int]] = []

    def add(self, pixels: int) -> None:
        with self.lock:
            self.pixels.append(pixels)
            self.seen.append(list(self.pixels))

    def remove(self, pixels: int) -> None:
        with self.lock:
            self.pixels.remove(pixels)


def test_pixels_in_flight_stay_within_the_budget(squares: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flight, decode = InFlight(), reading.decode

    def spied(data: bytes, target: tuple[int, int] | None, admit: Callable[[int], None]) -> Decoded:
        def admitted(pixels: int) -> None:
            admit(pixels)
            flight.add(pixels)

        return decode(data, target, admitted)

    monkeypatch.setattr(reading, "decode", spied)
    monkeypatch.setattr(reading, "MOST_IN_FLIGHT", 100)
    names = []
    with open_source(squares) as source:
        for met in reading.Reading(source, DataOptions()):
            time.sleep(0.001)
            names.append(met.example.name)
            if met.shape is not None:
                flight.remove(met.shape[0][0] * met.shape[0][1])
    assert names == [f"{i:02}.png" for i in range(100)]
    assert len(flight.seen) == 98
    assert all(sum(together) - max(together) <= 100 for together in flight.seen)  # beside the oldest
    assert max(map(len, flight.seen)) > 2


def test_the_budget_changes_no_result(squares: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = inspect_data(squares, DataOptions(size=4))
    monkeypatch.setattr(reading, "MOST_IN_FLIGHT", 1)
    assert inspect_data(squares, DataOptions(size=4)) == wanted


def test_a_pass_that_is_given_up_does_not_wait_for_room(squares: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_IN_FLIGHT", 1)
    with open_source(squares) as source:
        met = next(met for met in reading.Reading(source, DataOptions()) if met.problem is not None)
    assert met.example.name == "03.png"


def test_images_larger_than_the_budget_are_decoded_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, decoding, most = threading.Lock(), 0, 0
    prepare = reading.prepare

    def slow(pixels: np.ndarray, options: DataOptions) -> np.ndarray:
        nonlocal decoding, most
        with lock:
            decoding, most = decoding + 1, max(most, decoding + 1)
        time.sleep(0.005)
        with lock:
            decoding -= 1
        return prepare(pixels, options)

    monkeypatch.setattr(reading, "prepare", slow)
    monkeypatch.setattr(reading, "MOST_IN_FLIGHT", 48)
    large = write_folder(tmp_path / "x", {f"{i}.png": encode(np.full((7, 7, 1), i, np.uint8)) for i in range(20)})
    assert inspect_data(large, DataOptions(size=2)).sizes == {"7x7": 20}
    assert most == 1
