"""Adversarial generative models, and the autoencoders they are measured against.

>>> import cardigan
>>> run = cardigan.train("digits", out="runs/digits")      # doctest: +SKIP
>>> run.model.sample(16)                                   # doctest: +SKIP
>>> print(cardigan.evaluate("runs/digits"))                # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cardigan.errors import CardiganError

if TYPE_CHECKING:
    from cardigan.apps.evaluate import evaluate
    from cardigan.apps.model import Model, load
    from cardigan.apps.train import Run, train
    from cardigan.data import DataOptions, open_data

__version__ = "0.1.0"
__all__ = ["CardiganError", "DataOptions", "Model", "Run", "__version__", "evaluate", "load", "open_data", "train"]

# torch takes two seconds to import: nothing here does so before it is used.
_HOMES = {
    "DataOptions": "cardigan.data",
    "Model": "cardigan.apps.model",
    "Run": "cardigan.apps.train",
    "evaluate": "cardigan.apps.evaluate",
    "load": "cardigan.apps.model",
    "open_data": "cardigan.data",
    "train": "cardigan.apps.train",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'cardigan' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
