"""Adversarial generative models, and the autoencoders they are measured against.

>>> import cardigan
>>> run = cardigan.train("digits", out="runs/digits")      # doctest: +SKIP
>>> run.model.sample(16)                                   # doctest: +SKIP
>>> print(cardigan.evaluate("runs/digits"))                # doctest: +SKIP
"""

from typing import TYPE_CHECKING

from cardigan.errors import CardiganError
from cardigan.lazy import fetching

if TYPE_CHECKING:
    from cardigan.apps.average import Averaged, average
    from cardigan.apps.evaluate import evaluate
    from cardigan.apps.inpainting.completion import Completion, CompletionOptions
    from cardigan.apps.inversion import InversionOptions
    from cardigan.apps.model import Model, load
    from cardigan.apps.train import Run, train
    from cardigan.data import DataOptions, open_data

__version__ = "0.1.0"
__all__ = [
    "Averaged",
    "CardiganError",
    "Completion",
    "CompletionOptions",
    "DataOptions",
    "InversionOptions",
    "Model",
    "Run",
    "__version__",
    "average",
    "evaluate",
    "load",
    "open_data",
    "train",
]

__getattr__ = fetching(
    __name__,
    {
        "data": ("DataOptions", "open_data"),
        "apps.average": ("Averaged", "average"),
        "apps.inpainting.completion": ("Completion", "CompletionOptions"),
        "apps.inversion": ("InversionOptions",),
        "apps.model": ("Model", "load"),
        "apps.train": ("Run", "train"),
        "apps.evaluate": ("evaluate",),
    },
)
