"""MS-DIAL's tables: the alignment result and the peak list of one file, tab-separated.

Reference: H. Tsugawa et al., Nat. Methods 12 (2015) 523, doi:10.1038/nmeth.3393
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from molvis_core.chemistry.adducts import parse_adduct
from molvis_core.errors import ReadError, RecordError
from molvis_lcms.formats.cells import adduct_of, number, spectrum_of, table_rows
from molvis_lcms.records import Feature, FeatureTable

__all__ = ["read_msdial_features"]

_LISTS = {"alignment id": "alignment id", "peakid": "peakid", "peak id": "peak id"}
"""First columns of MS-DIAL's tables."""
_LAST_COLUMN = "MS/MS spectrum"
"""Of an alignment result: columns behind it are files, or statistics over classes."""


def read_msdial_features(path: Path) -> FeatureTable:
    """Features of an alignment result or of a peak list, which keep the number of their row.

    Raises:
        ReadError: the file cannot be read, or is no such table.
    """
    for first in _LISTS:
        try:
            rows = [(line, cells, exact) for line, cells, exact in table_rows(path, first, "\t")]
        except ReadError:
            continue
        return _table(path, first, rows)
    raise ReadError(path, "no line of columns that begins with 'Alignment ID' or 'PeakID'; is it a table of MS-DIAL?")


def _table(path: Path, first: str, rows: list[tuple[int, Mapping[str, str], Mapping[str, str]]]) -> FeatureTable:
    features: dict[str, Feature] = {}
    notes: list[str] = []
    files: dict[str, None] = {}
    for line, cells, exact in rows:
        try:
            one = _feature(cells, first)
        except (RecordError, ValueError) as error:
            notes.append(str(ReadError(path, str(error), line=line, record=cells.get(first))))
            continue
        columns = list(exact)
        own = columns[columns.index(_LAST_COLUMN) + 1 :] if _LAST_COLUMN in columns else []
        areas = {name: value for name in own if (value := number(exact[name])) is not None}
        if not areas and (area := number(cells.get("area"))) is not None:
            areas = {path.stem: area}
        files |= dict.fromkeys(areas)
        features.setdefault(one.identifier, replace(one, areas=areas))
    return FeatureTable(tuple(features.values()), tuple(files), tuple(notes))


def _feature(cells: Mapping[str, str], first: str) -> Feature:
    mz = number(cells.get("average mz") or cells.get("precursor m/z"))
    if mz is None or mz <= 0:
        raise RecordError("no m/z in the row")
    minutes = number(cells.get("average rt(min)") or cells.get("rt (min)") or cells.get("rt(min)"))
    adduct = adduct_of(cells.get("adduct type") or cells.get("adduct"))
    ion = parse_adduct(adduct) if adduct else None
    mode = ion.ionmode if ion else None
    spectrum = spectrum_of(
        _peaks(cells.get("ms/ms spectrum") or cells.get("msms spectrum")), mz, ion.charge if ion else None, mode, None
    )
    survey = sorted(_peaks(cells.get("ms1 isotopic spectrum") or cells.get("ms1 isotopes")))
    name = cells.get("metabolite name") or cells.get("name") or cells.get("title") or ""
    start, end = number(cells.get("rt left(min)")), number(cells.get("rt right (min)"))
    return Feature(
        cells[first],
        mz,
        60 * minutes if minutes is not None else None,
        60 * start if start is not None else None,
        60 * end if end is not None else None,
        ionmode=mode,
        charge=ion.charge if ion else None,
        adduct=adduct,
        name=None if name.lower() in ("", "unknown", "null") else name,
        isotope_mz=np.array([m for m, _ in survey]),
        isotope_intensity=np.array([h for _, h in survey]),
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
