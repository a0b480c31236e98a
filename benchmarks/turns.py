"""Candidates that take turns, each in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from statistics import median

import torch

from cardigan.training.device import has_fast_bfloat16
from common import CPU, Row

WARM_UP = 2

Make = Callable[[], Callable[[], object]]
"""Makes what a turn calls."""


def answer(turns: Connection, make: Make, threads: int) -> None:
    """A candidate's process: for every turn that comes, a step, and its CPU seconds and peak MiB so far sent back."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    step = make()
    while turns.recv():
        began = time.process_time()
        step()
        seconds = time.process_time() - began
        turns.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def turns_of(candidates: dict[str, Make], threads: int, repeats: int) -> dict[str, list[tuple[float, float]]]:
    """CPU seconds and peak MiB of every step; the candidates take turns, so that all meet the same machine."""
    spawn = multiprocessing.get_context("spawn")
    turns: dict[str, Connection] = {}
    for name, make in candidates.items():
        turns[name], theirs = spawn.Pipe()
        spawn.Process(target=answer, args=(theirs, make, threads), daemon=True).start()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in turns}
    for _ in range(WARM_UP + repeats):
        for name, turn in turns.items():
            turn.send(True)
            taken[name].append(turn.recv())
    for turn in turns.values():
        turn.send(False)
    return {name: each[WARM_UP:] for name, each in taken.items()}


def interleaved(candidates: dict[str, Make], threads: int, repeats: int) -> dict[str, list[float]]:
    """The CPU seconds alone."""
    return {name: [s for s, _ in each] for name, each in turns_of(candidates, threads, repeats).items()}


# ---- a plain training step against a round of Cardigan's --------------------------------------------------------------


def rounds(plain: Make, cardigan: Callable[[str], Callable[[], object]]) -> dict[str, Make]:
    """A plain step, and Cardigan's round by precision: bfloat16 only where the processor has it."""
    precisions = ("float32", "bfloat16") if has_fast_bfloat16(CPU) else ("float32",)
    return {"plain step, float32": plain, **{f"Cardigan, {name}": partial(cardigan, name) for name in precisions}}


def compared(candidates: dict[str, Make], threads: int, steps: int) -> list[Row]:
    """Median CPU seconds of each candidate, how many times the first one it is as fast, and its peak MiB."""
    taken = turns_of(candidates, threads, steps)
    base = [seconds for seconds, _ in next(iter(taken.values()))]
    return [
        {
            "label": label,
            "threads": threads,
            "median": median(seconds for seconds, _ in each),
            "ratio": median(one / other for one, (other, _) in zip(base, each, strict=True)),
            "peak": max(peak for _, peak in each),
        }
        for label, each in taken.items()
    ]


def lacking() -> str:
    """What a table has to say of the processor."""
    return "" if has_fast_bfloat16(CPU) else "\n\nThis processor has no AVX-512 BF16: bfloat16 was not measured."
