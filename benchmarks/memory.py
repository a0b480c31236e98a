"""Does training need more memory for more data? Anonymous memory over a training, small data against large.

Three sets of 3 x 128 x 128 images: a small array file and one of `--gib` GiB, both packed and trained on as a user
would; and a pack of twice the machine's memory, made of holes, so that it takes no disk.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from cardigan.data import DataOptions, Splits, open_data
from cardigan.data.dataset import from_pack
from cardigan.data.store import CHUNK, FileRecord, PackIndex, open_pack
from cardigan.training.recipe import build_recipe, merge, recipe_table
from common import ALONE, Results, Row, new_trainer, options, table

SHAPE = (3, 128, 128)
BYTES = int(np.prod(SHAPE))
GIB = 2**30
GAME = {"generator": {"width": 8}, "discriminator": {"width": 8}}


def status(field: str) -> int:
    """Bytes that /proc/self/status gives for a field: RssAnon is what no file backs and no pressure can drop."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def write_array(path: Path, count: int) -> None:
    """An .npy of images that differ in their first pixels only, with holes for the rest."""
    array = np.lib.format.open_memmap(path, "w+", np.uint8, (count, *SHAPE[1:], SHAPE[0]))
    array[:, 0, 0, :] = np.arange(count)[:, None] >> np.array([0, 8, 16]) & 255
    array.flush()


def write_holes(folder: Path, count: int) -> None:
    """A valid pack of black images whose file has no blocks on disk."""
    folder.mkdir()
    size = count * BYTES
    with (folder / "images.bin").open("wb") as file:
        file.truncate(size)
    splits = (np.arange(count) % 100 == 0).astype(np.uint8).tobytes()
    (folder / "splits.bin").write_bytes(splits)
    whole, rest = divmod(size, CHUNK)
    zeros = [hashlib.sha256(bytes(CHUNK)).hexdigest()] * whole
    chunks = (*zeros, hashlib.sha256(bytes(rest)).hexdigest()) if rest else tuple(zeros)
    parts = [splits[i : i + CHUNK] for i in range(0, count, CHUNK)]
    files = {
        "images.bin": FileRecord(bytes=size, chunks=chunks),
        "splits.bin": FileRecord(bytes=count, chunks=tuple(hashlib.sha256(part).hexdigest() for part in parts)),
    }
    digests = {"train": "holes", "test": "holes"}
    index = PackIndex(name="holes", kind="folder", shape=SHAPE, bits=8, count=count, digests=digests, files=files)
    (folder / "index.json").write_text(index.model_dump_json())


def prepare(kind: str, gib: float, scratch: Path) -> Splits:
    if kind == "holes":
        write_holes(scratch / "pack", int(gib * GIB / BYTES))
        pack = open_pack(scratch / "pack")
        assert pack is not None
        return from_pack(pack, "holes")
    write_array(scratch / "images.npy", max(64, int(gib * GIB / BYTES)))
    return open_data(scratch / "images.npy", DataOptions(), cache=scratch / "cache")


def measure(kind: str, gib: float, rounds: int) -> Row:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        before = status("RssAnon")
        splits = prepare(kind, gib, Path(scratch))
        opened = status("RssAnon")
        recipe = build_recipe(merge(recipe_table("dcgan"), {"images": 10**9, "game": GAME}))
        trainer = new_trainer(recipe, splits, kind)
        for _ in range(20):  # every buffer that a training ever needs
            trainer.play_round()
        start = status("RssAnon")
        for _ in range(rounds):
            trainer.play_round()
        row = {"gib": gib, "opening": opened - before, "start": start, "growth": status("RssAnon") - start}
        return row | {"rounds": rounds, "read_gib": trainer.images * BYTES / GIB, "file": status("RssFile")}


def in_process(kind: str, gib: float, rounds: int) -> Row:
    """A process of its own for each set: a set that cannot be opened gives the error's last line."""
    command = [sys.executable, __file__, "--measure", kind, str(gib), str(rounds)]
    done = subprocess.run(command, env=os.environ | ALONE, capture_output=True, text=True)
    lines = (done.stderr if done.returncode else done.stdout).splitlines()
    return {"error": lines[-1]} if done.returncode else json.loads(lines[-1])


def summary(rows: list[Row]) -> str:
    lines = []
    for row in rows:
        if "error" in row:
            lines.append([row["label"], f"failed: {row['error']}", *[""] * 4])
            continue
        mib = [f"{row[key] / 2**20:.1f}" for key in ("opening", "start", "growth")]
        lines.append([row["label"], f"{row['gib']:.2f}", *mib, f"{row['read_gib']:.1f}"])
    anonymous = [f"anonymous MiB: {what}" for what in ("by opening", "at the start", "growth by training")]
    return table(["data", "GiB", *anonymous, "GiB of batches"], lines)


def main() -> None:
    parser = options(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--gib", type=float, default=1.25, help="size of the large array; as much again for its pack")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        kind, gib, rounds = args.measure
        print(json.dumps(measure(kind, float(gib), int(rounds))))
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    sets = {
        "small array": ("array", 0.05),
        "large array": ("array", args.gib),
        "twice the memory": ("holes", 2 * memory),
    }
    results, rows = Results(args.results, "memory"), []
    for label, (kind, gib) in sets.items():
        rows.append({"label": label, **in_process(kind, gib, args.rounds)})
        results.append(rows[-1])
    results.publish(f"Memory of a training; the machine has {memory:.1f} GiB", summary(rows))


if __name__ == "__main__":
    main()
