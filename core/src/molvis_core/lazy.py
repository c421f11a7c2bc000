"""Public names of a package that are imported when first used, and of a top-level package its version.

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
        package: its name. The distribution of a top-level package is called the same, with hyphens, and its version is
            the package's `__version__`; a package inside another has none.
        homes: for each public name the module inside the package that defines it, such as `spins.simulation`.
    """
    where = dict(homes or {})
    has_version = "." not in package

    def attribute(name: str) -> Any:
        if name in where:
            return getattr(importlib.import_module(f"{package}.{where[name]}"), name)
        if name == "__version__" and has_version:
            from importlib.metadata import version

            return version(package.replace("_", "-"))
        from molvis_core.errors import did_you_mean

        raise AttributeError(f"module {package!r} has no attribute {name!r}.{did_you_mean(name, where)}")

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *where, *(["__version__"] if has_version else [])})

    return attribute, listed
