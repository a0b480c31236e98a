"""Recipes: everything one published result needs, as a small TOML file."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError
from pydantic_core import ErrorDetails, to_json

from cardigan.config import Config
from cardigan.data import DataOptions
from cardigan.errors import RecipeError
from cardigan.games import GameConfig
from cardigan.schedule import Schedule
from cardigan.training.average import AverageConfig
from cardigan.training.device import Precision
from cardigan.training.optimisers import OptimiserConfig


class LogConfig(Config):
    """How often a training looks up from its work; counts are over the whole training."""

    ticks: PositiveInt = 100
    previews: NonNegativeInt = 20
    evaluations: NonNegativeInt = 5
    evaluation_samples: PositiveInt = 2_000
    checkpoint_seconds: float = Field(30.0, ge=0.0)
    tensorboard: bool = False


class HealthConfig(Config):
    """What a training does about its own troubles.

    A loss that explodes or is not finite rolls back to the last checkpoint with half the learning rate, at most
    `rollbacks` times. A generator that is dead or collapsed for `patience` previews on end stops the training where
    `stop` is set.
    """

    rollbacks: NonNegativeInt = 3
    patience: PositiveInt = 3
    stop: bool = True


class Recipe(Config):
    """One training, complete: two trainings with equal recipes on equal data and machines end bit for bit alike.

    The exception is one that had to roll back: how far depends on when its last checkpoint was written.
    """

    recipe: str
    about: str = ""
    seed: NonNegativeInt = 0
    batch: PositiveInt
    images: PositiveInt
    micro_batches: PositiveInt = 1
    precision: Precision = "auto"
    features: str = "auto"
    data: DataOptions = DataOptions()
    game: GameConfig
    optimiser: dict[str, OptimiserConfig]
    average: AverageConfig = AverageConfig()
    log: LogConfig = LogConfig()
    health: HealthConfig = HealthConfig()


Overrides = dict[str, Any]
Kind = TypeVar("Kind", bound=Config)


def recipe_names() -> list[str]:
    """The recipes that come with Cardigan."""
    folder = resources.files("cardigan") / "recipes"
    return sorted(path.name.removesuffix(".toml") for path in folder.iterdir() if path.name.endswith(".toml"))


def recipe_text(name: str) -> str:
    """The TOML text of the recipe called `name`, or of the file at that path.

    Raises:
        RecipeError: where there is neither.
    """
    if name in recipe_names():
        return (resources.files("cardigan") / "recipes" / f"{name}.toml").read_text()
    if Path(name).suffix == ".toml":
        try:
            return Path(name).read_text()
        except OSError as error:
            raise RecipeError(f"cannot read the recipe {name}: {error.strerror}") from error
    close = difflib.get_close_matches(name, recipe_names(), 1)
    hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(recipe_names())}, or a .toml file"
    raise RecipeError(f"there is no recipe {name!r}: {hint}")


def recipe_table(name: str) -> dict[str, Any]:
    """The recipe's keys, laid over those of its `base` recipe."""
    try:
        table = tomllib.loads(recipe_text(name))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"the recipe {name} is not valid TOML: {error}") from error
    base = table.pop("base", None)
    return merge(recipe_table(base), table) if base else table


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, table by table.

    A table that changes its `name` becomes another kind of thing, so it replaces the old one whole.
    """
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        same_kind = (
            isinstance(old, dict) and isinstance(value, dict) and value.get("name", old.get("name")) == old.get("name")
        )
        merged[key] = merge(old, value) if same_kind else value
    return merged


def parse_settings(settings: Iterable[str]) -> Overrides:
    """The table that `key.sub=value` settings write down; values are TOML, a bare word is a string.

    Raises:
        RecipeError: where a setting has no `=`.
    """
    table: Overrides = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise RecipeError(f"--set {setting!r} is not key=value: write for example --set game.latent.size=32")
        nested: Any = parse_value(value.strip())
        for part in reversed(key.strip().split(".")):
            nested = {part: nested}
        table = merge(table, nested)
    return table


def parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def build_recipe(table: dict[str, Any]) -> Recipe:
    """Validate a recipe's table.

    Raises:
        RecipeError: naming the first key that is unknown, missing, or of the wrong type or value.
    """
    try:
        recipe = validated(Recipe, table)
    except ValidationError as error:
        raise RecipeError(explain(error, table)) from error
    if recipe.batch % recipe.micro_batches:
        raise RecipeError(f"batch {recipe.batch} cannot be cut into {recipe.micro_batches} equal micro_batches")
    return recipe


def data_options(table: dict[str, Any]) -> DataOptions:
    """The options under `data`, needed before the rest of a recipe can be fitted to what the data is.

    Raises:
        RecipeError: naming the first key that is unknown or ill-typed.
    """
    try:
        return validated(DataOptions, table)
    except ValidationError as error:
        raise RecipeError(explain(error, table, "data")) from error


def validated(kind: type[Kind], table: Any) -> Kind:
    """The settings in a table, strictly: a boolean is no number, and a number in quotes is none either.

    It is read as JSON is, where lists do for tuples.
    """
    text = to_json(with_whole_numbers(table), inf_nan_mode="constants", serialize_unknown=True)
    return kind.model_validate_json(text, strict=True)


def with_whole_numbers(value: Any) -> Any:
    """The same with 1e6 as 1000000, since counts may be written so; integers do where real numbers are wanted."""
    if isinstance(value, dict):
        return {key: with_whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def explain(error: ValidationError, table: Any, *prefix: str) -> str:
    """The complaint of a validation in one line: which key of `table`, what is wrong, what was given."""
    first, keys = chief_complaint(error, table)
    key = ".".join((*prefix, *keys))
    if first["type"] == "extra_forbidden" and Schedule.__name__ in first["loc"]:
        return f"unknown recipe key {key}: a schedule has the keys {', '.join(Schedule.model_fields)}"
    if first["type"] == "extra_forbidden":
        return f"unknown recipe key {key}: see the keys with `cardigan recipes NAME`"
    if first["type"] == "missing":
        return f"there is no key {key}"
    if first["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"recipe key {key} is a table: set a key inside it, not {key}={first['input']!r}"
    if first["type"] == "union_tag_not_found":
        return (
            f"recipe key {key} is new and has no name: mend its spelling, or say of what kind it is with {key}.name=..."
        )
    given = "" if isinstance(first["input"], dict) else f", not {first['input']!r}"
    return f"recipe key {key}: {first['msg'].lower()}{given}"


def chief_complaint(error: ValidationError, table: Any) -> tuple[ErrorDetails, tuple[str, ...]]:
    """What to tell the user of all that a validation complains of, and the keys that lead there.

    Where a table stands for a number that may change, it is what is in the table that is wrong, not that it is no
    number; and a misspelt key is why another is missing.
    """
    complaints = [(details, tuple(written_keys(details, table))) for details in error.errors()]
    paths = [keys for _, keys in complaints]
    inner = [(d, keys) for d, keys in complaints if not any(keys == p[: len(keys)] != p for p in paths)]
    return next((found for found in inner if found[0]["type"] == "extra_forbidden"), inner[0])


def written_keys(complaint: ErrorDetails, table: Any) -> Iterator[str]:
    """The keys that lead to a complaint as the user wrote them, without the kinds that pydantic puts between them."""
    location = complaint["loc"]
    for i, part in enumerate(location):
        missing = complaint["type"] == "missing" and i == len(location) - 1
        if isinstance(table, dict) and (part in table or missing):
            table = table.get(part)
            yield str(part)
