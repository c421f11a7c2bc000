"""Spin systems from 1D NMR spectra, for molvis.

Public names are imported when first used: `import molvis_nmr` costs no SciPy and no torch. The function `lines`
is in the module of that name.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from molvis_nmr.autograd import lines_torch, simulate_torch
    from molvis_nmr.library import read_library
    from molvis_nmr.lines import LineDerivatives, Lines, lines_and_derivatives
    from molvis_nmr.simulation import simulate
    from molvis_nmr.system import SpinSystem

_HOME = {
    "LineDerivatives": "lines",
    "Lines": "lines",
    "SpinSystem": "system",
    "lines_and_derivatives": "lines",
    "lines_torch": "autograd",
    "read_library": "library",
    "simulate": "simulation",
    "simulate_torch": "autograd",
}

__all__ = [
    "LineDerivatives",
    "Lines",
    "SpinSystem",
    "lines_and_derivatives",
    "lines_torch",
    "read_library",
    "simulate",
    "simulate_torch",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"molvis_nmr.{_HOME[name]}"), name)
    from molvis.errors import did_you_mean

    raise AttributeError(f"module 'molvis_nmr' has no attribute {name!r}.{did_you_mean(name, _HOME)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
