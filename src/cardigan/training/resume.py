"""What may be another when a run is gone on with, and what may not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cardigan.errors import RunError
from cardigan.training.recipe import Recipe

SHOWN = 4


def refuse_other_recipe(resumed: Recipe, given: Recipe, *but: str) -> None:
    """A recipe that is given again has to be the run's own, or its keys would be passed over in silence.

    Args:
        resumed, given: the run's recipe and the one given, both with the settings of now.
        but: keys that may differ.
    """
    if given.recipe != resumed.recipe:
        raise RunError(f"the run was begun with the recipe {resumed.recipe}: resume without --recipe")
    keys = [key for key in differing_keys(resumed, given) if key not in ("about", *but)]
    if keys:
        more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
        raise RunError(
            f"the run was begun with other values than this recipe has of {', '.join(keys[:SHOWN])}{more}: "
            "resume without --recipe, and change what may change with --set"
        )


def differing_keys(first: Recipe, second: Recipe) -> list[str]:
    """The dotted keys that two recipes do not have in common with equal values."""
    one, other = (dict(dotted(recipe.model_dump(mode="json", exclude_none=True))) for recipe in (first, second))
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))


def dotted(table: dict[str, Any], *path: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from dotted(value, *path, key)
        else:
            yield ".".join((*path, key)), value


def refuse_changes(begun: Recipe, resumed: Recipe) -> None:
    """What a checkpoint or the count of images rests on cannot change within a run."""
    for key in ("seed", "batch", "data"):
        if getattr(begun, key) != getattr(resumed, key):
            raise RunError(f"{key} cannot change within a run: resume without that setting, or start a new run")
    before, now = begun.average, resumed.average
    if now.snapshots and (not before.snapshots or now.widths != before.widths):
        raise RunError(
            "average.widths cannot change, nor average.snapshots from 0, within a run: the averages kept are of the whole "
            "training; resume without that setting, or start a new run"
        )
    for player, optimiser in begun.optimiser.items():
        if resumed.optimiser[player].name != optimiser.name:
            raise RunError(f"optimiser.{player}.name cannot change within a run: start a new run")
