"""How long a person waits for `cardigan --help` and for `import cardigan`, and that neither imports torch."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from statistics import median

from common import Results, Row, options, table

TARGETS = {"cardigan --help": 0.3, "import cardigan": 0.15}
COMMANDS = {
    "cardigan --help": ["-m", "cardigan", "--help"],
    "import cardigan": ["-c", "import cardigan"],
    "python alone": ["-c", "pass"],
}


def run(arguments: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a Python process."""
    before, began = children_seconds(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began, children_seconds() - before


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def imports_torch(arguments: list[str]) -> bool:
    done = subprocess.run([sys.executable, "-X", "importtime", *arguments], check=True, capture_output=True, text=True)
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    return "torch" in modules


def measure(repeats: int) -> list[Row]:
    for arguments in COMMANDS.values():
        run(arguments)  # compiles what has to be compiled
    times = [{name: run(arguments) for name, arguments in COMMANDS.items()} for _ in range(repeats)]
    return [
        {
            "label": name,
            "wall": median(turn[name][0] for turn in times),
            "least": min(turn[name][0] for turn in times),
            "cpu": median(turn[name][1] for turn in times),
            "torch": imports_torch(arguments),
        }
        for name, arguments in COMMANDS.items()
    ]


def summary(rows: list[Row]) -> str:
    lines = []
    for row in rows:
        target = f"< {TARGETS[row['label']]}" if row["label"] in TARGETS else ""
        seconds = [f"{row[key]:.3f}" for key in ("wall", "least", "cpu")]
        lines.append([row["label"], *seconds, target, "yes" if row["torch"] else "no"])
    header = ["process", "wall s, median", "least", "CPU s, median", "target", "imports torch"]
    return "Whole processes, the interpreter's own start included.\n\n" + table(header, lines)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--repeats", type=int, default=11)
    args = parser.parse_args()
    rows = measure(args.repeats)
    results = Results(args.results, "startup")
    results.append_all(rows)
    results.publish("Start-up", summary(rows))


if __name__ == "__main__":
    main()
