"""Public sets: from the user's folder, or from a server on loopback that breaks off, lies or is not there."""

import gzip
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from cardigan.data import DataOptions, inspect_data, open_data, public
from cardigan.errors import DataError
from test_data_formats import idx

rng = np.random.default_rng(2)
SIZES = {"train": 30, "t10k": 10}
FILES = {}
for part, size in SIZES.items():
    FILES[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx(rng.integers(0, 256, (size, 28, 28))))
    FILES[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx(np.arange(size) % 10))


class Server(ThreadingHTTPServer):
    """Serves FILES; `cut` is how many of the next answers break off half way, `ranges` whether it can go on."""

    daemon_threads = True
    cut = 0
    ranges = True
    wrong = ""
    requests: list[tuple[str, str | None]]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[1]
        asked = self.headers.get("Range")
        self.server.requests.append((name, asked))
        if name not in FILES:
            return self.send_error(404)
        data = FILES[name][::-1] if name == self.server.wrong else FILES[name]
        start = int(asked[6:-1]) if asked and self.server.ranges else 0
        if start >= len(data):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        rest = data[start:]
        if self.server.cut > 0:
            self.server.cut -= 1
            rest = rest[: max(1, len(rest) // 2)]
        self.wfile.write(rest)
        return None

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    checksums = {name: (hashlib.sha256(data).hexdigest(),) for name, data in FILES.items()}
    known = public.PUBLIC["mnist"]
    md5 = hashlib.md5(FILES["t10k-labels-idx1-ubyte.gz"]).hexdigest()
    checksums["t10k-labels-idx1-ubyte.gz"] = (md5,)
    made = public.PublicSet(known.url, checksums, known.classes, known.folders)
    monkeypatch.setitem(public.PUBLIC, "mnist", made)
    monkeypatch.delenv("CARDIGAN_DATA", raising=False)
    with Server(("127.0.0.1", 0), Handler) as running:
        running.requests = []
        monkeypatch.setenv("CARDIGAN_MIRROR", f"http://127.0.0.1:{running.server_port}/sets/")
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_downloaded_once_with_progress(server: Server, cache: Path) -> None:
    steps: list[tuple[int, int]] = []
    splits = open_data("mnist", progress=lambda done, total: steps.append((done, total)))
    assert (len(splits.train), len(splits.test)) == (30, 10)
    assert splits.train.name == "mnist"
    assert [name for name, _ in server.requests] == list(FILES)
    for data in FILES.values():
        assert (len(data), len(data)) in steps
    open_data("mnist", DataOptions(size=14))
    assert len(server.requests) == 4
    assert {file.name for file in (cache / "public" / "mnist").iterdir()} == set(FILES)


def test_goes_on_after_a_break(server: Server, cache: Path) -> None:
    server.cut = 1
    splits = open_data("mnist")
    assert len(splits.train) == 30
    first = "train-images-idx3-ubyte.gz"
    assert server.requests[:2] == [(first, None), (first, f"bytes={len(FILES[first]) // 2}-")]


def test_goes_on_in_a_later_run(server: Server, cache: Path) -> None:
    server.cut = public.ATTEMPTS
    with pytest.raises(DataError, match=r"broke off.*try again"):
        open_data("mnist")
    left = cache / "public" / "mnist" / "train-images-idx3-ubyte.gz.part"
    have = left.stat().st_size
    assert have > 0
    assert len(open_data("mnist").train) == 30
    assert server.requests[public.ATTEMPTS] == ("train-images-idx3-ubyte.gz", f"bytes={have}-")
    assert not list(left.parent.glob("*.part*"))


def test_begins_again_where_the_server_cannot_go_on(server: Server, cache: Path) -> None:
    server.cut, server.ranges = 1, False
    assert len(open_data("mnist").train) == 30


def test_a_whole_part_needs_no_more_than_its_checksum(server: Server, cache: Path) -> None:
    folder = cache / "public" / "mnist"
    folder.mkdir(parents=True)
    name = "train-images-idx3-ubyte.gz"
    (folder / f"{name}.part").write_bytes(FILES[name])
    assert len(open_data("mnist").train) == 30


def test_wrong_checksum(server: Server, cache: Path) -> None:
    server.wrong = "train-labels-idx1-ubyte.gz"
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte.gz has the wrong checksum .*try again") as caught:
        open_data("mnist")
    assert "\n" not in str(caught.value)
    assert {f.name for f in (cache / "public" / "mnist").iterdir()} == {"train-images-idx3-ubyte.gz"}
    server.wrong = ""
    assert len(open_data("mnist").train) == 30


def test_not_there(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(FILES, "t10k-images-idx3-ubyte.gz")
    with pytest.raises(DataError, match="404"):
        open_data("mnist")


def test_offline(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDIGAN_MIRROR", "http://127.0.0.1:9/")
    with pytest.raises(DataError) as caught:
        inspect_data("mnist")
    line = str(caught.value)
    assert "\n" not in line
    assert "put the file into $CARDIGAN_DATA/mnist or " in line
    assert str(cache / "public" / "mnist") in line


def test_the_users_own_folder_comes_first(
    server: Server, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "sets"
    (own / "mnist").mkdir(parents=True)
    for name, data in FILES.items():
        (own / "mnist" / name.removesuffix(".gz")).write_bytes(gzip.decompress(data))
    monkeypatch.setenv("CARDIGAN_DATA", str(own))
    assert len(open_data("mnist").train) == 30
    assert not server.requests


@pytest.mark.parametrize(("name", "first"), [("mnist", 5), ("fashion-mnist", 9)])
def test_real_mnists(name: str, first: int, real_data: Path, cache: Path) -> None:
    splits = open_data(name)
    assert (len(splits.train), len(splits.test)) == (60_000, 10_000)
    assert splits.train.spec.shape == (1, 28, 28)
    assert splits.train.labels(torch.tensor([0])).item() == first
    assert torch.bincount(splits.train.labels(torch.arange(60_000))).sum() == 60_000
    image = splits.train.images(torch.tensor([0]))
    assert (image.min(), image.max()) == (-1, 1)
    if name == "mnist":
        assert torch.bincount(splits.test.labels(torch.arange(10_000))).tolist() == MNIST_TEST_COUNTS
    else:
        assert splits.train.spec.classes[first] == "Ankle boot"


MNIST_TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_real_faces(real_data: Path, cache: Path) -> None:
    archive = real_data / "lfw_gray64" / "lfw_gray64.zip"
    if not archive.is_file():
        pytest.skip(f"{archive} is not there")
    splits = open_data(archive)
    assert (len(splits.train), len(splits.test)) == (11_611, 1_181)
    assert splits.train.spec.shape == (1, 64, 64)
    assert splits.train.spec.classes == ()
    assert splits.test.names(torch.tensor([0])) == ["test/AJ_Cook_0001.jpg"]
    assert any("index.csv" in note for note in splits.notes)
    people = [
        {n.split("/")[1][:-9] for n in side.names(torch.arange(len(side)))} for side in (splits.train, splits.test)
    ]
    assert not people[0] & people[1]
