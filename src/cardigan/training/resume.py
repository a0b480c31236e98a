"""What may be another when a run is gone on with, and what may not."""

from __future__ import annotations

from cardigan.errors import RunError
from cardigan.training.recipe import Recipe


def refuse_changes(begun: Recipe, resumed: Recipe) -> None:
    """What a checkpoint or the count of images rests on cannot change within a run."""
    for key in ("seed", "batch", "data"):
        if getattr(begun, key) != getattr(resumed, key):
            raise RunError(f"{key} cannot change within a run: resume without that setting, or start a new run")
    for player, optimiser in begun.optimiser.items():
        if resumed.optimiser[player].name != optimiser.name:
            raise RunError(f"optimiser.{player}.name cannot change within a run: start a new run")
