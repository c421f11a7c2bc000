"""The features of a study in mzTab-M 2: its section SMF, as features. The format names spectra and holds none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from molvis_core.errors import ReadError, RecordError
from molvis_lcms.formats.cells import adduct_of, charge_of, number
from molvis_lcms.mztab import Row, read_mztab
from molvis_lcms.records import Feature, FeatureTable

__all__ = ["read_mztab_features"]


def read_mztab_features(path: Path) -> FeatureTable:
    """Small molecule features, which keep their `SMF_ID`; names and formulas come from the small molecules (SML) above.

    Raises:
        ReadError: the file cannot be read, is no mzTab-M, or holds no feature.
    """
    document = read_mztab(path)
    if not document.features or not document.features.rows:
        raise ReadError(path, "no feature (SMF) in it")
    named: dict[str, Row] = {}
    for row in document.small_molecules.rows if document.small_molecules else ():
        named |= {one.strip(): row for one in (row.cells.get("SMF_ID_REFS") or "").split("|")}
    features: dict[str, Feature] = {}
    notes: list[str] = []
    for row in document.features.rows:
        try:
            one = _feature(row.cells, named, document.metadata)
        except RecordError as error:
            notes.append(str(ReadError(path, str(error), line=row.line, record=row.cells.get("SMF_ID"))))
            continue
        if one.identifier in features:
            notes.append(str(ReadError(path, "its SMF_ID is there twice", line=row.line, record=one.identifier)))
        features.setdefault(one.identifier, one)
    files = dict.fromkeys(name for f in features.values() for name in f.areas)
    notes.append(f"{path.name}: mzTab-M holds no spectra; give the MGF file of the features to annotate them")
    return FeatureTable(tuple(features.values()), tuple(files), tuple(notes))


def _feature(cells: Mapping[str, str | None], named: Mapping[str, Row], facts: Mapping[str, str]) -> Feature:
    mz = number(cells.get("exp_mass_to_charge"))
    identifier = cells.get("SMF_ID")
    if mz is None or mz <= 0 or not identifier:
        raise RecordError("the feature has no SMF_ID or no exp_mass_to_charge")
    ion = cells.get("adduct_ion") or ""
    mode = _mode(ion, facts)
    areas: dict[str, float] = {}
    for column, cell in cells.items():
        assay = re.fullmatch(r"abundance_assay\[(\d+)\]", column)
        if assay and (value := number(cell)) is not None:
            areas[facts.get(f"assay[{assay.group(1)}]", f"assay[{assay.group(1)}]")] = value
    molecule = named[identifier].cells if identifier in named else {}
    return Feature(
        identifier,
        mz,
        number(cells.get("retention_time_in_seconds")),
        number(cells.get("retention_time_in_seconds_start")),
        number(cells.get("retention_time_in_seconds_end")),
        ionmode=mode,
        charge=charge_of(cells.get("charge"), mode),
        areas=areas,
        adduct=adduct_of(ion),
        formula=_single(molecule.get("chemical_formula")),
        name=_single(molecule.get("chemical_name")),
    )


def _mode(adduct: str, facts: Mapping[str, str]) -> str | None:
    if adduct.endswith(("+", "-")):
        return "negative" if adduct.endswith("-") else "positive"
    stated = {v for k, v in facts.items() if "scan_polarity" in k}
    modes = {"negative" if "MS:1000129" in v else "positive" for v in stated if "MS:1000129" in v or "MS:1000130" in v}
    return modes.pop() if len(modes) == 1 else None


def _single(cell: str | None) -> str | None:
    """What a cell says of one molecule; None where it lists several."""
    return None if not cell or "|" in cell else cell
