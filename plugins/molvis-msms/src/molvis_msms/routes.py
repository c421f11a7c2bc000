"""Routes: what peaks are, as an operation of `molvis serve`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from molvis_core.errors import ConfigError
from molvis_core.progress import StageProgress
from molvis_files.routes import Option, Request, Route, Upload

__all__ = ["EXPLAIN", "explain"]

_MOST = 500
_HEAVIEST = 3000
"""Da of a structure that is explained while one waits: ten times as heavy takes ten times as long."""


def explain(request: Request, progress: StageProgress) -> Mapping[str, Any]:
    """What each peak can be of structures, and these structures with the atoms of each peak behind them.

    The drawing of a structure holds a group of the class `halo` and of `hNUMBER` for each peak with a substructure.

    Raises:
        molvis_core.errors.MolvisError: a file or a structure cannot be read, or there is nothing to explain.
    """
    from molvis_files.drawing import draw_with_halos
    from molvis_msms.explanation.annotations import to_json
    from molvis_msms.explanation.reading import explain_all, read_files, read_structures

    options = request.options
    structures = read_structures(options["structures"] or [])
    if large := [one for one in structures if one.exact_mass > _HEAVIEST]:
        raise ConfigError(
            f"a structure of {large[0].exact_mass:.0f} Da is too large; at most {_HEAVIEST} Da are explained"
        )
    items = [*_peaks(options), *read_files(request.files.get("spectra", ()))]
    if not items:
        raise ConfigError("send peaks, or files of spectra")
    if len(items) > _MOST:
        raise ConfigError(f"{len(items)} spectra; at most {_MOST} are explained in one request")
    found, problems = explain_all(items, structures, ppm=options["ppm"], most=options["top"], progress=progress)
    plain = to_json(found)
    for one in plain:
        for explained in (one, *one["against"]):
            halos = {
                f"h{number}": peak["substructures"][0]["atoms"]
                for number, peak in enumerate(explained["peaks"])
                if peak["substructures"]
            }
            explained["drawing"] = draw_with_halos(explained["structure"], halos)
    return {"explained": plain, "problems": problems}


def _peaks(options: Mapping[str, Any]) -> list[Any]:
    """The spectrum that options hold, if they do."""
    if not options["peaks"]:
        return []
    import numpy as np

    from molvis_core.records import Measurement, PeakList

    peaks = np.array(sorted(options["peaks"]), dtype=float)
    spectrum = PeakList(
        peaks[:, 0], peaks[:, 1], precursor_mz=options["precursor_mz"], adduct=options["adduct"],
        collision_energy=options["energy"], instrument_type=options["instrument"],
    )  # fmt: skip
    return [Measurement(spectrum, None, "msms", name="spectrum")]


EXPLAIN = Route(
    run=explain,
    files=(Upload("spectra", "MS/MS spectra.", most=10),),
    options=(
        Option("structures", "SMILES; the first is explained against the others.", "texts", most=10),
        Option("peaks", "Peaks of one spectrum, instead of a file.", "peaks", most=10_000),
        Option("precursor_mz", "m/z of the ion that the peaks are of.", "number", least=1, most=100_000),
        Option("adduct", "Adduct of that ion, such as [M+H]+.", default="[M+H]+", most=50),
        Option("energy", "Collision energy in eV.", "number", least=0, most=1000),
        Option("instrument", "Instrument, as MassBank spells it, such as LC-ESI-QTOF.", most=100),
        Option("ppm", "Tolerance of m/z in ppm.", "number", default=10.0, least=0.01, most=1000),
        Option("top", "Substructures of each peak.", "integer", default=3, least=1, most=20),
    ),
    quick=True,
)
