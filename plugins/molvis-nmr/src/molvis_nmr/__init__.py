"""Spin systems from 1D NMR spectra, for molvis.

Public names are imported when first used: `import molvis_nmr` costs no SciPy and no torch. The function `lines`
is in the module of that name.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from molvis_nmr.autograd import lines_torch, simulate_torch
    from molvis_nmr.conversion import convert
    from molvis_nmr.fitting import SpinSystemFit, fit
    from molvis_nmr.lines import LineDerivatives, Lines, lines_and_derivatives
    from molvis_nmr.mixture import Metabolite, Quantification, Reference, quantify
    from molvis_nmr.picture import draw_fit
    from molvis_nmr.processing import Fid, Processed, process
    from molvis_nmr.readers import read_fid, read_spectra, read_spectrum
    from molvis_nmr.report import write_fit, write_quantification
    from molvis_nmr.simulation import simulate
    from molvis_nmr.structure import from_smiles
    from molvis_nmr.system import SpinSystem
    from molvis_nmr.systems import read_system, read_systems, write_system
    from molvis_nmr.writers import write_spectrum

_HOME = {
    "Fid": "processing",
    "LineDerivatives": "lines",
    "Lines": "lines",
    "Metabolite": "mixture",
    "Processed": "processing",
    "Quantification": "mixture",
    "Reference": "mixture",
    "SpinSystem": "system",
    "SpinSystemFit": "fitting",
    "convert": "conversion",
    "draw_fit": "picture",
    "fit": "fitting",
    "from_smiles": "structure",
    "lines_and_derivatives": "lines",
    "lines_torch": "autograd",
    "process": "processing",
    "quantify": "mixture",
    "read_fid": "readers",
    "read_spectra": "readers",
    "read_spectrum": "readers",
    "read_system": "systems",
    "read_systems": "systems",
    "simulate": "simulation",
    "simulate_torch": "autograd",
    "write_fit": "report",
    "write_quantification": "report",
    "write_spectrum": "writers",
    "write_system": "systems",
}

__all__ = [
    "Fid",
    "LineDerivatives",
    "Lines",
    "Metabolite",
    "Processed",
    "Quantification",
    "Reference",
    "SpinSystem",
    "SpinSystemFit",
    "convert",
    "draw_fit",
    "fit",
    "from_smiles",
    "lines_and_derivatives",
    "lines_torch",
    "process",
    "quantify",
    "read_fid",
    "read_spectra",
    "read_spectrum",
    "read_system",
    "read_systems",
    "simulate",
    "simulate_torch",
    "write_fit",
    "write_quantification",
    "write_spectrum",
    "write_system",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"molvis_nmr.{_HOME[name]}"), name)
    from molvis_core.errors import did_you_mean

    raise AttributeError(f"module 'molvis_nmr' has no attribute {name!r}.{did_you_mean(name, _HOME)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
