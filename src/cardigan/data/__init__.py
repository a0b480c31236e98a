"""Where batches come from: sources, the packed store, and the order they are read in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cardigan.data.cache import cache_folder
from cardigan.data.options import DataOptions
from cardigan.data.spec import Batch, DataSpec
from cardigan.lazy import fetching

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

__getattr__ = fetching(
    __name__,
    {
        "batches": ("Batches", "Stream"),
        "dataset": ("Dataset", "PointModes", "Splits", "StackedModes"),
        "inspect": ("Inspection", "inspect_data"),
        "opening": ("open_data",),
        "order": ("Order", "derived_seed"),
    },
)
