"""MS-DIAL's tables: the alignment result and the peak list of one file, tab-separated.

Reference: H. Tsugawa et al., Nat. Methods 12 (2015) 523, doi:10.1038/nmeth.3393
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from molvis_core.errors import ReadError, RecordError
from molvis_lcms.formats.cells import arrays_of, first, ion_of, number, seconds, spectrum_of, table_rows
from molvis_lcms.records import Feature, FeatureTable

__all__ = ["read_msdial_features"]

_LISTS = ("alignment id", "peakid", "peak id")
"""First columns of MS-DIAL's tables."""
_LAST_COLUMN = "MS/MS spectrum"
"""Of an alignment result: columns behind it are files, or statistics over classes."""


def read_msdial_features(path: Path) -> FeatureTable:
    """Features of an alignment result or of a peak list, which keep the number of their row.

    Raises:
        ReadError: the file cannot be read, or is no such table.
    """
    for column in _LISTS:
        try:
            rows = [(line, cells, exact) for line, cells, exact in table_rows(path, column, "\t")]
        except ReadError:
            continue
        return _table(path, column, rows)
    raise ReadError(path, "no line of columns that begins with 'Alignment ID' or 'PeakID'; is it a table of MS-DIAL?")


def _table(path: Path, row: str, rows: list[tuple[int, Mapping[str, str], Mapping[str, str]]]) -> FeatureTable:
    features: dict[str, Feature] = {}
    notes: list[str] = []
    files: dict[str, None] = {}
    for line, cells, exact in rows:
        try:
            one = _feature(cells, row)
        except (RecordError, ValueError) as error:
            notes.append(str(ReadError(path, str(error), line=line, record=cells.get(row))))
            continue
        columns = list(exact)
        own = columns[columns.index(_LAST_COLUMN) + 1 :] if _LAST_COLUMN in columns else []
        areas = {name: value for name in own if (value := number(exact[name])) is not None}
        if not areas and (area := number(cells.get("area"))) is not None:
            areas = {path.stem: area}
        files |= dict.fromkeys(areas)
        features.setdefault(one.identifier, replace(one, areas=areas))
    return FeatureTable(tuple(features.values()), tuple(files), tuple(notes))


def _feature(cells: Mapping[str, str], row: str) -> Feature:
    mz = number(first(cells, "average mz", "precursor m/z"))
    if mz is None or mz <= 0:
        raise RecordError("no m/z in the row")
    ion = ion_of(first(cells, "adduct type", "adduct"), None, None)
    spectrum = spectrum_of(_peaks(first(cells, "ms/ms spectrum", "msms spectrum")), mz, ion)
    isotopes = arrays_of(_peaks(first(cells, "ms1 isotopic spectrum", "ms1 isotopes")))
    name = first(cells, "metabolite name", "name", "title") or ""
    return Feature(
        cells[row],
        mz,
        seconds(first(cells, "average rt(min)", "rt (min)", "rt(min)")),
        seconds(cells.get("rt left(min)")),
        seconds(cells.get("rt right (min)")),
        ionmode=ion.ionmode,
        charge=ion.charge,
        adduct=ion.adduct,
        name=None if name.lower() in ("", "unknown", "null") else name,
        isotope_mz=isotopes[0],
        isotope_intensity=isotopes[1],
        spectra=(spectrum,) if spectrum else (),
        merged=spectrum,
    )


def _peaks(text: str | None) -> list[tuple[float, float]]:
    """`100.05:20 138.06:999` as peaks.

    Raises:
        ValueError: something in it is no peak.
    """
    if not text or text.strip().lower() == "null":
        return []
    return [(float(mz), float(height)) for mz, _, height in (word.partition(":") for word in text.split())]
