"""Spin systems from 1D NMR spectra, for molvis.

Public names are imported when first used: `import molvis_nmr` costs no SciPy and no torch. The function `lines`
is in `molvis_nmr.spins.transitions`. `lines_torch` and `simulate_torch` need PyTorch, which `import *` must not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from molvis_core.lazy import lazy_names

if TYPE_CHECKING:
    from molvis_nmr.fitting.spin_system import SpinSystemFit, fit
    from molvis_nmr.formats.opening import read_fid, read_spectra, read_spectrum
    from molvis_nmr.formats.spin_systems import read_system, read_systems, write_system
    from molvis_nmr.formats.writers import write_spectrum
    from molvis_nmr.mixture.quantify import quantify
    from molvis_nmr.mixture.results import Metabolite, Quantification, Reference
    from molvis_nmr.prediction.ranking import Ranked, rank
    from molvis_nmr.prediction.structure import from_smiles
    from molvis_nmr.processing import Fid, Processed, process
    from molvis_nmr.report.figures import draw_fit
    from molvis_nmr.report.mixture import write_quantification
    from molvis_nmr.report.page import write_fit
    from molvis_nmr.spins.autograd import lines_torch as lines_torch
    from molvis_nmr.spins.autograd import simulate_torch as simulate_torch
    from molvis_nmr.spins.derivatives import LineDerivatives, lines_and_derivatives
    from molvis_nmr.spins.simulation import simulate
    from molvis_nmr.spins.system import SpinSystem
    from molvis_nmr.spins.transitions import Lines
    from molvis_nmr.workflows.convert import convert

    __version__: str

_HOME = {
    "Fid": "processing",
    "LineDerivatives": "spins.derivatives",
    "Lines": "spins.transitions",
    "Metabolite": "mixture.results",
    "Processed": "processing",
    "Quantification": "mixture.results",
    "Ranked": "prediction.ranking",
    "Reference": "mixture.results",
    "SpinSystem": "spins.system",
    "SpinSystemFit": "fitting.spin_system",
    "convert": "workflows.convert",
    "draw_fit": "report.figures",
    "fit": "fitting.spin_system",
    "from_smiles": "prediction.structure",
    "lines_and_derivatives": "spins.derivatives",
    "lines_torch": "spins.autograd",
    "process": "processing",
    "quantify": "mixture.quantify",
    "rank": "prediction.ranking",
    "read_fid": "formats.opening",
    "read_spectra": "formats.opening",
    "read_spectrum": "formats.opening",
    "read_system": "formats.spin_systems",
    "read_systems": "formats.spin_systems",
    "simulate": "spins.simulation",
    "simulate_torch": "spins.autograd",
    "write_fit": "report.page",
    "write_quantification": "report.mixture",
    "write_spectrum": "formats.writers",
    "write_system": "formats.spin_systems",
}

__all__ = [
    "Fid",
    "LineDerivatives",
    "Lines",
    "Metabolite",
    "Processed",
    "Quantification",
    "Ranked",
    "Reference",
    "SpinSystem",
    "SpinSystemFit",
    "convert",
    "draw_fit",
    "fit",
    "from_smiles",
    "lines_and_derivatives",
    "process",
    "quantify",
    "rank",
    "read_fid",
    "read_spectra",
    "read_spectrum",
    "read_system",
    "read_systems",
    "simulate",
    "write_fit",
    "write_quantification",
    "write_spectrum",
    "write_system",
]
__getattr__, __dir__ = lazy_names(__name__, _HOME)
