"""Names of a package that are fetched when first asked for: torch takes two seconds to import."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def fetching(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """A package's `__getattr__`.

    Args:
        homes: modules below the package, each with the names that are its.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def fetch(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{home_of[name]}"), name)

    return fetch
