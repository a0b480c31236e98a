"""Where batches come from: sources, the packed store, and the order they are read in."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cardigan.data.cache import cache_folder
from cardigan.data.options import DataOptions
from cardigan.data.spec import Batch, DataSpec

if TYPE_CHECKING:
    from cardigan.data.batches import Batches, Stream
    from cardigan.data.dataset import Dataset, PointModes, Splits, StackedModes
    from cardigan.data.inspect import Inspection, inspect_data
    from cardigan.data.opening import open_data
    from cardigan.data.order import Order, derived_seed

__all__ = [
    "Batch",
    "Batches",
    "DataOptions",
    "DataSpec",
    "Dataset",
    "Inspection",
    "Order",
    "PointModes",
    "Splits",
    "StackedModes",
    "Stream",
    "cache_folder",
    "derived_seed",
    "inspect_data",
    "open_data",
]

# These import torch, which costs a second: they are fetched when first asked for.
_LAZY = {
    "Batches": "batches",
    "Stream": "batches",
    "Dataset": "dataset",
    "PointModes": "dataset",
    "Splits": "dataset",
    "StackedModes": "dataset",
    "Inspection": "inspect",
    "inspect_data": "inspect",
    "open_data": "opening",
    "Order": "order",
    "derived_seed": "order",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
