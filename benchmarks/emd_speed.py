"""Exact Earth-Mover distance of two samples of the plane: the network simplex of POT against an assignment."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from cardigan.theory.densities import Gaussian, ring
from cardigan.theory.transport import assignment, costs, emd
from common import Results, Row, options, table

TARGET = 5.0  # seconds by the network simplex, 2,000 points against 2,000


SOLVERS: dict[str, Callable[[Tensor, Tensor], float]] = {
    "network simplex (POT)": lambda x, y: emd(x, y).cost,
    "assignment (SciPy)": lambda x, y: assignment(costs(x, y, 1), 1).cost,
}


def measure(points: int, repeats: int) -> list[Row]:
    """Seconds of both, in turns, and their answers."""
    stream = torch.Generator().manual_seed(0)
    x = ring(8, 2.0, 0.1).sample(points, stream)
    y = Gaussian([0.5, 0.0], [[0.36, 0.0], [0.0, 0.36]]).sample(points, stream)
    seconds: dict[str, list[float]] = {name: [] for name in SOLVERS}
    cost: dict[str, float] = {}
    for _ in range(repeats):
        for name, solve in SOLVERS.items():
            began = time.perf_counter()
            cost[name] = solve(x, y)
            seconds[name].append(time.perf_counter() - began)
    return [{"label": name, "points": points, "seconds": median(seconds[name]), "cost": cost[name]} for name in SOLVERS]


def summary(rows: list[Row]) -> str:
    lines = [[row["label"], f"{row['seconds']:.2f}", f"{row['cost']:.9f}"] for row in rows]
    about = f"Wall seconds, median; the target of the network simplex is {TARGET:g} for 2,000 against 2,000.\n\n"
    return about + table(["solver", "seconds", "W1"], lines)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--points", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    rows = measure(args.points, args.repeats)
    results = Results(args.results, "emd_speed")
    results.append_all(rows)
    results.publish(f"Exact transport of {args.points:,} against {args.points:,} points", summary(rows))


if __name__ == "__main__":
    main()
