"""Tables of MassBank spectra."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.chemistry.adducts import parse_adduct
from molvis_core.errors import AdductError, LeftOutError, ReadError, RecordError, StructureError
from molvis_core.records import Measurement, PeakList, Structure
from molvis_files.parquet import Kind, parquet_columns, read_batches, whole_number
from molvis_files.spectra import known_structure
from molvis_msms.readers.items import Items


def is_massbank_table(path: Path) -> bool:
    """Whether a Parquet table has the columns of MassBank spectra."""
    return {"mzs", "intensities", "adduct"} <= parquet_columns(path)


def read_parquet(path: Path, *, quality: bool = True) -> Items:
    """Tables of MassBank spectra, as molvis's benchmark data: one row a spectrum, peaks as lists, read in batches.

    Args:
        path: the table; `.parquet` or `.parquet.gz`.
        quality: leave out rows of low resolution, and those whose precursor contradicts their structure, where the
            table has the columns `is_high_res` and `precursor_ok`. Each is yielded as a `LeftOutError`.

    Raises:
        ReadError: the file is not Parquet, is damaged, or lacks a column.
    """
    number = 0
    for batch in read_batches(path, _KINDS, need=("mzs", "intensities", "precursor_mz", "adduct", "smiles")):
        lists = {n: batch.column(n) for n in ("mzs", "intensities")}
        rest = {n: batch.column(n).to_pylist() for n in batch.schema.names if n not in lists}
        for i in range(batch.num_rows):
            number += 1
            row = {n: values[i] for n, values in rest.items()}
            if quality and (reason := _unfit(row)):
                yield LeftOutError(path, reason, line=number, record=row.get("identifier") or number)
            else:
                yield _parquet_row(path, row, lists["mzs"][i].values, lists["intensities"][i].values, number)


_KINDS: dict[str, Kind] = {
    "identifier": "label", "name": "text", "smiles": "text", "inchikey": "text", "formula": "text",
    "exact_mass": "number", "charge": "number", "precursor_mz": "number", "adduct": "text", "ion_mode": "text",
    "instrument_type": "text", "is_high_res": "flag", "precursor_ok": "flag", "ce_ev": "number", "mzs": "numbers",
    "intensities": "numbers", "source": "text", "contributor": "text", "licence": "text", "authors": "text",
    "cluster": "number", "fold": "text",
}  # fmt: skip


def _unfit(row: Mapping[str, Any]) -> str:
    """Why a row is left out, or nothing."""
    if not row.get("is_high_res", True):
        return "of low resolution (is_high_res)"
    return "" if row.get("precursor_ok", True) else "its precursor m/z contradicts its structure (precursor_ok)"


@functools.lru_cache(maxsize=20_000)
def _known(
    smiles: str, inchikey: str | None, formula: str | None, mass: float | None, charge: int, name: str | None
) -> Structure:
    if inchikey and formula and mass:
        return Structure(smiles, inchikey, formula.partition("+")[0].partition("-")[0].strip("[]"), mass, charge, name)
    return dataclasses.replace(known_structure(smiles), name=name)


def _parquet_row(path: Path, row: Mapping[str, Any], mz: Any, heights: Any, number: int) -> Measurement | ReadError:
    record = row.get("identifier") or number
    if mz is None or heights is None or not len(mz):
        return ReadError(path, "no peaks", line=number, record=record)
    try:
        known = None
        if row["smiles"]:
            known = _known(
                row["smiles"], row.get("inchikey"), row.get("formula"), row.get("exact_mass"), row.get("charge") or 0,
                row.get("name"),
            )  # fmt: skip
        spectrum = _spectrum(row, mz, heights, str(record))
        cluster = whole_number(row, "cluster")
    except (AdductError, RecordError, StructureError) as error:
        return ReadError(path, str(error), line=number, record=record)
    origin: dict[str, Any] = {k: row.get(k) for k in ("fold", "name", "source", "licence", "contributor", "authors")}
    return Measurement(spectrum, known, "msms", cluster=cluster, **origin)


def _spectrum(row: Mapping[str, Any], mz: Any, heights: Any, identifier: str) -> PeakList:
    """Peaks and ion of a row.

    Raises:
        AdductError: the adduct cannot be read, or contradicts the ion mode.
        RecordError: the peaks are no spectrum.
    """
    ion = parse_adduct(row["adduct"]) if row["adduct"] else None
    mode = (row.get("ion_mode") or "").lower()
    if ion is not None and mode in ("positive", "negative") and mode != ion.ionmode:
        raise AdductError(f"adduct {ion.name} is {ion.ionmode}, but the ion mode is {mode}; correct one of them")
    energy = row.get("ce_ev")
    return PeakList(
        mz=mz.to_numpy(zero_copy_only=False).astype(np.float64),
        intensity=heights.to_numpy(zero_copy_only=False).astype(np.float64),
        precursor_mz=row["precursor_mz"],
        adduct=ion.name if ion else None,
        charge=ion.charge if ion else None,
        ionmode=ion.ionmode if ion else (mode or None),
        collision_energy=None if energy is None or np.isnan(energy) else float(energy),
        instrument_type=row.get("instrument_type"),
        ms_level=2,
        identifier=identifier,
    )
