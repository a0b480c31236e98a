"""Public sets: from the user's folder, or from a server on loopback that breaks off, lies or is not there."""

import dataclasses
import gzip
import hashlib
import http.client
import os
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from cardigan.data import DataOptions, inspect_data, open_data, public
from cardigan.errors import DataError
from test_data_formats import idx, write_tar

rng = np.random.default_rng(2)
SIZES = {"train": 30, "t10k": 10}
FILES = {}
for part, size in SIZES.items():
    FILES[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx(rng.integers(0, 256, (size, 28, 28))))
    FILES[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx(np.arange(size) % 10))


class Server(ThreadingHTTPServer):
    """Serves FILES; `cut` is how many of the next answers break off half way, `ranges` whether it can go on.

    `offset` is how far from the place asked for it goes on.
    """

    daemon_threads = True
    cut = 0
    ranges = True
    offset = 0
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
        if start:
            self.send_header("Content-Range", f"bytes {start + self.server.offset}-{len(data) - 1}/{len(data)}")
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


@pytest.mark.parametrize("pid", ["dead", "alive"])
def test_only_what_a_dead_process_left_is_taken(
    pid: str, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, name = cache / "public" / "mnist", "train-images-idx3-ubyte.gz"
    folder.mkdir(parents=True)
    left = folder / f"{name}.part-{os.getppid() if pid == 'alive' else 2**22 + 1}"  # above the largest of Linux
    left.write_bytes(FILES[name][:1000])
    assert len(open_data("mnist").train) == 30
    assert server.requests[0] == (name, None if pid == "alive" else "bytes=1000-")
    assert left.exists() == (pid == "alive")


def test_leftovers_are_removed_after_success(server: Server, cache: Path) -> None:
    folder, name = cache / "public" / "mnist", "train-images-idx3-ubyte.gz"
    folder.mkdir(parents=True)
    for i in range(3):
        (folder / f"{name}.part-{2**22 + 1 + i}").write_bytes(FILES[name][:1000])
    open_data("mnist")
    assert {file.name for file in folder.iterdir()} == set(FILES)


@pytest.mark.parametrize("error", [ssl.SSLError(1, "bad record"), OSError(113, "No route to host")])
def test_network_errors_while_reading(
    error: OSError, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise error

    monkeypatch.setattr(http.client.HTTPResponse, "read1", broken)
    with pytest.raises(DataError, match=r"cannot get .*(bad record|No route to host).*try again"):
        open_data("mnist")


def test_begins_again_where_the_server_goes_on_elsewhere(server: Server, cache: Path) -> None:
    server.cut, server.offset = 1, 5
    assert len(open_data("mnist").train) == 30
    first = "train-images-idx3-ubyte.gz"
    assert [asked is None for name, asked in server.requests if name == first] == [True, False, True]


def test_repacked_files_are_told(server: Server, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "sets" / "mnist"
    own.mkdir(parents=True)
    for name, data in FILES.items():
        (own / name).write_bytes(data)
    monkeypatch.setenv("CARDIGAN_DATA", str(own.parent))
    assert not open_data("mnist").notes
    again = "t10k-images-idx3-ubyte.gz"
    (own / again).write_bytes(gzip.compress(gzip.decompress(FILES[again]), 1))
    for notes in (open_data("mnist").notes, inspect_data("mnist").notes):
        assert any(f"not as published, by their checksum: {again}" in note for note in notes)


def test_a_set_without_labels_has_no_classes(
    server: Server, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {name: known for name, known in public.PUBLIC["mnist"].files.items() if "images" in name}
    made = dataclasses.replace(public.PUBLIC["mnist"], files=images)
    monkeypatch.setitem(public.PUBLIC, "mnist", made)
    splits = open_data("mnist")
    assert splits.train.spec.classes == ()
    assert splits.train.labels(torch.arange(3)) is None


def test_cifar10_needs_all_six_batches(tmp_path: Path) -> None:
    chosen = public.PUBLIC["cifar10"]
    for file in chosen.extracted:
        assert not public._complete(tmp_path, chosen)
        (tmp_path / file).write_bytes(b"")
    assert len(chosen.extracted) == 6
    assert public._complete(tmp_path, chosen)


def test_cifar10_is_one_archive_downloaded_and_read(
    server: Server, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = rng.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8), np.arange(12) % 10
    records = [bytes([label]) + x.transpose(2, 0, 1).tobytes() for label, x in zip(labels, images, strict=True)]
    chosen = public.PUBLIC["cifar10"]
    batches = {
        f"cifar-10-batches-bin/{n}": b"".join(records[2 * i : 2 * i + 2]) for i, n in enumerate(chosen.extracted)
    }
    archive = write_tar(tmp_path / "made.tar.gz", batches, "w:gz").read_bytes()
    (file,) = chosen.files
    monkeypatch.setitem(FILES, file, archive)
    monkeypatch.setitem(
        public.PUBLIC, "cifar10", dataclasses.replace(chosen, files={file: (hashlib.md5(archive).hexdigest(),)})
    )
    server.cut = 1
    splits = open_data("cifar10")
    assert server.requests == [(file, None), (file, f"bytes={len(archive) // 2}-")]
    assert (len(splits.train), len(splits.test)) == (10, 2)
    assert splits.train.spec.shape == (3, 32, 32)
    shown = ((splits.test.images(torch.arange(2)) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    assert (shown == images[10:]).all()
    assert [splits.train.spec.classes[label] for label in splits.test.labels(torch.arange(2))] == [
        "airplane",
        "automobile",
    ]
    assert (splits.train.name, splits.notes) == ("cifar10", ())
    open_data("cifar10", DataOptions(size=16))
    assert len(server.requests) == 2


def test_a_wrong_cifar10_is_not_kept(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file,) = public.PUBLIC["cifar10"].files
    monkeypatch.setitem(FILES, file, b"another archive")
    with pytest.raises(DataError, match=f"{file} has the wrong checksum"):
        open_data("cifar10")
    assert not list((cache / "public" / "cifar10").iterdir())
