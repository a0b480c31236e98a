"""What the benchmarks share: trainings timed by the CPU, jobs in processes of their own, rows that outlive a break."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from cardigan.apps.model import Model
from cardigan.data import Splits, open_data
from cardigan.data.cache import cache_folder
from cardigan.evaluation import ClassifierFeatures, domain_classifier
from cardigan.training.automatic import fit_to_data
from cardigan.training.device import has_fast_bfloat16
from cardigan.training.length import cost
from cardigan.training.recipe import Recipe, build_recipe, data_options, merge, parse_settings, recipe_table
from cardigan.training.run import RunFolder, RunRecord
from cardigan.training.session import Interval
from cardigan.training.trainer import Trainer

Row = dict[str, Any]
CPU = torch.device("cpu")
ALONE = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True)
class Job:
    """One training of a benchmark: `minutes` of CPU time on one thread, or so many `images` however long they take."""

    label: str
    data: str
    recipe: str
    seed: int
    minutes: float | None
    settings: tuple[str, ...] = ()
    images: int | None = None

    @property
    def changes(self) -> dict[str, Any]:
        return merge(parse_settings(self.settings), {"seed": self.seed})

    def splits(self) -> Splits:
        return open_data(located(self.data), data_options(self.changes.get("data", {})))

    def resolved(self, splits: Splits, images: int) -> Recipe:
        table = recipe_table(self.recipe)
        if self.recipe == "default":
            table = fit_to_data(table, splits.train.spec, CPU)
        return build_recipe(merge(merge(table, self.changes), {"images": images}))

    def trainer(self, splits: Splits, images: int, kind: type[Trainer] = Trainer) -> Trainer:
        return new_trainer(self.resolved(splits, images), splits, self.data, kind)

    def key(self, splits: Splits) -> Row:
        """What makes a row this job's: it is run again when the recipe, the data or the budget is another one."""
        recipe = self.resolved(splits, 1)
        text = recipe.model_dump_json(exclude={"seed", "images", "about", "log", "health"}) + splits.train.digest
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        budget = {"minutes": self.minutes} if self.minutes else {"images": self.images}
        return {"label": self.label, "data": self.data, "seed": self.seed, **budget, "digest": digest}


def located(data: str) -> str:
    """A set's archive NAME/NAME.zip, or its folder NAME, below CARDIGAN_DATA, where it has one; else the name itself."""
    folder = Path(os.environ.get("CARDIGAN_DATA", "/nowhere")) / data
    archive = folder / f"{data}.zip"
    return str(archive) if archive.is_file() else str(folder) if folder.is_dir() else data


# ---- training -----------------------------------------------------------------------------------------------------


def new_trainer(
    recipe: Recipe, splits: Splits, data: str, kind: type[Trainer] = Trainer, device: str = "cpu"
) -> Trainer:
    """A trainer that writes nothing: benchmarks look at it between its rounds."""
    record = RunRecord(data=data, digest=splits.train.digest, spec=splits.train.spec, recipe=recipe)
    return kind(record, splits, RunFolder(Path(tempfile.gettempdir()) / "benchmark"), device)


def calibrated(job: Job, splits: Splits, kind: type[Trainer] = Trainer, seconds: float = 4.0) -> Trainer:
    """A trainer of the job's images, or of as many as take about its minutes: its schedules end with the budget."""
    if job.images:
        return job.trainer(splits, job.images)
    assert job.minutes
    trial = job.trainer(splits, 10**12)
    rate = 1 / cost(trial, min(seconds, 6 * job.minutes), time.process_time)
    batch = trial.recipe.batch
    return job.trainer(splits, max(1, round(rate * 60 * job.minutes / batch)) * batch, kind)


def play(trainer: Trainer, looks: int, look: Callable[[float], None]) -> float:
    """CPU seconds of all rounds; after each of `looks` equal parts `look(seconds so far)` is called off the clock."""
    due, spent = Interval(trainer.recipe.images, looks), 0.0
    while not trainer.finished:
        before, began = trainer.images, time.process_time()
        trainer.play_round()
        spent += time.process_time() - began
        if due.passed(before, trainer.images):
            look(spent)
    return spent


@contextmanager
def model_of(trainer: Trainer, averaged: bool = True) -> Iterator[Model]:
    """The model as it stands, with the averaged weights or the live ones."""
    with trainer.average.applied() if averaged else nullcontext():
        trainer.game.eval()
        yield Model(trainer.model_config(), trainer.game, "cpu")
        trainer.game.train()


def classifier_of(splits: Splits) -> ClassifierFeatures | None:
    if splits.train.spec.sides:
        return None
    return domain_classifier(splits.test, splits.train, cache_folder())


# ---- rows and tables ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Results:
    """NAME.jsonl, a row a measurement, and NAME.md, the table for people."""

    folder: Path
    name: str

    def rows(self) -> list[Row]:
        path = self.folder / f"{self.name}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []

    def append(self, row: Row) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{self.name}.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    def find(self, key: Row) -> Row | None:
        """The newest row with that key, whatever label it was made under."""
        key = {name: value for name, value in key.items() if name != "label"}
        return next((row for row in reversed(self.rows()) if key.items() <= row.items()), None)

    def append_all(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.append(row)

    def publish(self, title: str, body: str, of: str = "") -> None:
        """Write and print the table; `of` keeps that of other data apart."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = shlex.join(["python", f"benchmarks/{self.name}.py", *sys.argv[1:]])
        text = f"# {title}\n\nMade by `{command}` on {machine()}.\n\n{body}\n"
        (self.folder / f"{self.name}{of and '-'}{of}.md").write_text(text)
        print(text)


def machine() -> str:
    """CPU, threads and versions, in words."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    bfloat16 = "with" if has_fast_bfloat16(CPU) else "without"
    cores, threads = os.cpu_count(), torch.get_num_threads()
    return f"{model} ({cores} cores, {bfloat16} AVX-512 BF16), {threads} thread(s) a process, torch {torch.__version__}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def spread(values: Sequence[float | None], digits: int = 2) -> str:
    """Mean ± standard deviation of the values that there are."""
    found = [value for value in values if value is not None]
    if not found:
        return ""
    deviation = f" ± {stdev(found):.{digits}f}" if len(found) > 1 else ""
    return f"{mean(found):,.{digits}f}{deviation}"


def by_label(rows: Iterable[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["label"], []).append(row)
    return groups


# ---- the experiment: many jobs, each in a process of its own ------------------------------------------------------


def options(about: str | None, **defaults: Any) -> argparse.ArgumentParser:
    """The options that all benchmarks have; `defaults` of data, minutes or images, seeds and recipes add those."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results", help="folder of the results")
    if "minutes" in defaults:
        parser.add_argument("--minutes", type=float, help="CPU minutes of each training")
    if "images" in defaults:
        parser.add_argument("--images", type=int, help="images that each training is shown")
    if "seeds" in defaults:
        parser.add_argument("--seeds", type=int, nargs="+")
        parser.add_argument("--recipes", nargs="+")
        parser.add_argument("--data")
        parser.add_argument("--set", dest="settings", nargs="+", default=[], help="key=value changes to every recipe")
        parser.add_argument("--jobs", type=int, default=2, help="trainings at a time, each on one thread")
        parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.set_defaults(**defaults)
    return parser


def experiment(
    script: str, args: argparse.Namespace, jobs: Sequence[Job], measure: Callable[[Job, Path], Row]
) -> list[Row] | None:
    """The rows of all jobs, run where they are missing. A process started for one job prints its row: None."""
    torch.set_num_threads(1)
    if args.job:
        given = json.loads(args.job)
        given["settings"] = tuple(given["settings"])
        job = Job(**given)
        print(json.dumps({**job.key(job.splits()), **measure(job, args.results)}))
        return None
    results = Results(args.results, Path(script).stem)
    splits = {job.data: job.splits() for job in jobs}
    for one in splits.values():
        classifier_of(one)  # trained and cached here, or else every process would train its own
    keys = [job.key(splits[job.data]) for job in jobs]
    missing = [job for job, key in zip(jobs, keys, strict=True) if results.find(key) is None]

    def run(job: Job) -> None:
        command = [sys.executable, script, "--job", json.dumps(asdict(job)), f"--results={args.results}"]
        done = subprocess.run(command, env=os.environ | ALONE, capture_output=True, text=True)
        if done.returncode:
            print(f"{job.label}, seed {job.seed}, failed:\n{done.stderr}", file=sys.stderr, flush=True)
            return
        line = done.stdout.splitlines()[-1]
        print(line, flush=True)
        results.append(json.loads(line))

    with ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(run, missing))
    rows = [row | {"label": key["label"]} for key in keys if (row := results.find(key)) is not None]
    if len(rows) < len(keys):
        print(f"{len(keys) - len(rows)} trainings failed, or their recipes changed meanwhile", file=sys.stderr)
    return rows
