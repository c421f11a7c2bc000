"""Modules of JavaScript that pages share: the report over a run holds them, the page of the service loads them.

`elements` makes elements and writes numbers, `molecule` draws a `molvis_files.sketch.sketch`, `shapes` draws isotopes
and chromatograms, `fluxmap` gives a map of fluxes its tools. `fluxmap.css` has the rules of such a map, `fluxframe.css`
those of the tools.
"""

from __future__ import annotations

import re
from importlib import resources
from importlib.resources.abc import Traversable

__all__ = ["FOLDER", "inlined"]

FOLDER: Traversable = resources.files("molvis_files").joinpath("templates", "shared")
"""Where the modules are."""
_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const|let|function|async|class)", re.MULTILINE)


def inlined(*names: str) -> str:
    """Modules as one script for a page that is a single file: each after those that it needs.

    Args:
        names: of modules, without the ending, in an order in which none needs a later one.

    Raises:
        FileNotFoundError: there is no such module.
    """
    texts = [FOLDER.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in names]
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)).rstrip() for text in texts) + "\n"
