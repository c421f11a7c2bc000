"""The routes `sketch` and `compare`: what a page draws of a candidate beside a spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from molvis_core.errors import ConfigError
from molvis_core.progress import StageProgress
from molvis_files.routes import Option, Request, Route
from molvis_retrieval.routes.engine import open_engine

__all__ = ["COMPARE", "SKETCH", "compare", "sketches"]

_LONGEST = 2000


def sketches(request: Request, progress: StageProgress) -> Mapping[str, Any]:
    """Structures as `molvis_files.sketch.sketch` gives them, by SMILES; None for one that RDKit refuses."""
    from molvis_files.sketch import sketch

    texts = request.options["structures"]
    made = {text: sketch(text) if len(text) <= _LONGEST else None for text in texts}
    progress(len(made), len(made))
    return {"sketches": made}


def compare(request: Request, progress: StageProgress) -> Mapping[str, Any]:
    """What a structure explains of a spectrum, and a spectrum of it to hold against the measured one.

    Raises:
        ConfigError: no peaks, or a modality whose spectra have none.
        molvis_core.errors.StructureError: the SMILES cannot be read.
    """
    from molvis_core.chemistry.structures import structure
    from molvis_files.sketch import sketch
    from molvis_retrieval.run_details import Knowing, isotopes

    options = request.options
    known = structure(options["smiles"])
    spectrum = _spectrum(options)
    knowing = Knowing.of(request.opened.bundle)
    peaks = knowing.explained(spectrum, known)
    progress(1, 2, "looking for a spectrum of it")
    below = knowing.reference(spectrum, known)
    progress(2, 2)
    return {
        "smiles": known.smiles,
        "sketch": sketch(known.smiles),
        "peaks": peaks,
        "below": below,
        "isotopes": isotopes(known.formula, options["adduct"]),
    }


def _spectrum(options: Mapping[str, Any]) -> Any:
    import numpy as np

    from molvis_core.records import EiSpectrum, PeakList

    if not options["peaks"]:
        raise ConfigError("send the peaks that the structure is to be held against")
    mz, intensity = np.array(sorted(options["peaks"]), dtype=float).T
    if options["modality"] == "ei":
        return EiSpectrum(mz, intensity)
    return PeakList(
        mz, intensity, precursor_mz=options["precursor_mz"], adduct=options["adduct"],
        collision_energy=options["energy"], instrument_type=options["instrument"],
    )  # fmt: skip


SKETCH = Route(
    run=sketches,
    options=(Option("structures", "SMILES of structures to draw.", "texts", most=100, required=True),),
    quick=True,
)
COMPARE = Route(
    run=compare,
    options=(
        Option("smiles", "The structure, as SMILES.", most=_LONGEST, required=True),
        Option("peaks", "Peaks of the spectrum.", "peaks", most=10_000),
        Option("modality", "What the spectrum is of.", default="msms", choices=("msms", "ei")),
        Option("precursor_mz", "m/z of the ion that the peaks are of.", "number", least=1, most=100_000),
        Option("adduct", "Adduct of that ion, such as [M+H]+.", most=50),
        Option("energy", "Collision energy in eV.", "number", least=0, most=1000),
        Option("instrument", "Instrument, as MassBank spells it, such as LC-ESI-QTOF.", most=100),
    ),
    opens=open_engine,
    quick=True,
)  # fmt: skip
