"""Public names of a package that are imported when first used, and its version, read when asked for.

In a package's `__init__.py`: `__getattr__, __dir__ = lazy_names(__name__, {"simulate": "spins.simulation"})`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The functions `__getattr__` and `__dir__` of a package.

    Args:
        package: its name; the distribution is called the same, with hyphens.
        homes: for each public name the module inside the package that defines it, such as `spins.simulation`.
    """
    where = dict(homes or {})

    def attribute(name: str) -> Any:
        if name in where:
            return getattr(importlib.import_module(f"{package}.{where[name]}"), name)
        if name == "__version__":
            from importlib.metadata import version

            return version(package.replace("_", "-"))
        from molvis_core.errors import did_you_mean

        raise AttributeError(f"module {package!r} has no attribute {name!r}.{did_you_mean(name, where)}")

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *where, "__version__"})

    return attribute, listed
