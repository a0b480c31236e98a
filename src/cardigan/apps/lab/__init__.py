"""The lecture's theory, measured: one experiment a file, each ending with a table, a verdict and pictures."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cardigan.apps.lab.findings import Findings

Experiment = Callable[[int, Callable[[str], None]], "Findings"]
"""Called with the seed and a function that tells the user what is being done."""

EXPERIMENTS = MappingProxyType(
    {
        "discriminator": "a trained discriminator approaches D*, and its loss gives back JSD",
        "objectives": "every objective: its divergence, optimal score and generator gradient",
        "vanishing": "the generator's gradient as the discriminator gets better",
        "smoothness": "JSD, KL and W1 between parallel lines as they come together",
        "duality": "critics against the exact Earth-Mover distance",
        "dynamics": "the Dirac-GAN: which ways of play reach the equilibrium",
        "modes": "ring and grid of Gaussians: which games find every mode",
        "density": "log p(x) of decoders and generators by annealing, beside a known one",
    }
)
"""What each shows, in the lecture's order."""


def experiment(name: str) -> Experiment:
    """The function that plays an experiment."""
    return import_module(f"cardigan.apps.lab.{name}").run
