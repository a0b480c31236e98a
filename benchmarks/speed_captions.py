"""Embedding sentences of the drawn birds and packing the vectors, CPU seconds by encoder."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch

from cardigan.data import DataOptions, open_data
from cardigan.evaluation.sentences import packed_vectors
from cardigan.text import PAPER, CharEncoderConfig
from common import Results, options, table

ENCODERS = {"small, 128 numbers (the default)": CharEncoderConfig(), "the paper's, 1,024 numbers": PAPER}


def seconds(config: CharEncoderConfig, sentences: tuple[str, ...]) -> tuple[float, float]:
    """CPU seconds, and megabytes of the pack; whatever the weights are, the arithmetic is the same."""
    encoder = config.build().eval()
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        packed_vectors(sentences, encoder, Path(folder))
        spent = time.process_time() - began
        return spent, sum(path.stat().st_size for path in Path(folder).rglob("*.bin")) / 1e6


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    told = open_data("birds", DataOptions(text="captions", size=32)).train.sentences
    assert told is not None
    sentences = told.table[: args.count]
    rows = [[name, *(f"{number:.1f}" for number in seconds(each, sentences))] for name, each in ENCODERS.items()]
    Results(args.results, "speed_captions").publish(
        f"Embedding and packing {len(sentences):,} sentences, one thread", table(["encoder", "CPU s", "MB"], rows)
    )


if __name__ == "__main__":
    main()
