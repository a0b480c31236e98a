"""Trainings of real games by the real trainer, which leave nothing on disk."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from cardigan.data.builtin import BUILTIN
from cardigan.training.automatic import fit_to_data
from cardigan.training.device import choose_device
from cardigan.training.recipe import build_recipe, merge, recipe_table
from cardigan.training.run import RunFolder, RunRecord
from cardigan.training.trainer import Trainer


def seated(data: str, table: dict[str, Any], **changes: Any) -> Trainer:
    """A trainer on built-in data, ready to play; nothing is saved unless it is asked to."""
    splits = BUILTIN[data]()
    recipe = build_recipe(merge(table, changes))
    record = RunRecord(data=data, digest=splits.train.digest, spec=splits.train.spec, recipe=recipe)
    return Trainer(record, splits, RunFolder(Path(tempfile.gettempdir(), "cardigan-lab")), "cpu")


def fitted(name: str, data: str) -> dict[str, Any]:
    """A recipe's table; the default one fitted to built-in data."""
    table = recipe_table(name)
    return fit_to_data(table, BUILTIN[data]().train.spec, choose_device("cpu")) if name == "default" else table
