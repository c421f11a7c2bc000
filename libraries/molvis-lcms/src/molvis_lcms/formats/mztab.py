"""mzTab-M 2: the features of a study, its section SMF. It names spectra and holds none.

Reference: N. Hoffmann et al., Anal. Chem. 91 (2019) 3302, doi:10.1021/acs.analchem.8b04310
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from molvis_core.errors import ReadError, RecordError
from molvis_files.opening import lines
from molvis_lcms.formats.cells import adduct_of, charge_of, number
from molvis_lcms.records import Feature, FeatureTable

__all__ = ["read_mztab_features"]


def read_mztab_features(path: Path) -> FeatureTable:
    """Small molecule features, which keep their `SMF_ID`; names and formulas come from the small molecules (SML) above.

    Raises:
        ReadError: the file cannot be read, is no mzTab-M 2, or holds no feature.
    """
    facts: dict[str, str] = {}
    heads: dict[str, list[str]] = {}
    features: dict[str, Feature] = {}
    named: dict[str, Mapping[str, str]] = {}
    notes: list[str] = []
    for line_number, text in lines(path):
        kind, *cells = [c.strip() for c in text.split("\t")]
        if kind == "MTD" and len(cells) > 1:
            facts[cells[0]] = cells[1]
        elif kind in ("SMH", "SFH"):
            heads[kind] = cells
        elif kind == "SML" and "SMH" in heads:
            row = dict(zip(heads["SMH"], cells, strict=False))
            named |= {one.strip(): row for one in row.get("SMF_ID_REFS", "").split("|")}
        elif kind == "SMF":
            if "SFH" not in heads:
                raise ReadError(path, "a feature (SMF) stands before its columns (SFH)", line=line_number)
            row = dict(zip(heads["SFH"], cells, strict=False))
            try:
                one = _feature(row, named, facts)
            except RecordError as error:
                notes.append(str(ReadError(path, str(error), line=line_number, record=row.get("SMF_ID"))))
                continue
            if one.identifier in features:
                notes.append(str(ReadError(path, "its SMF_ID is there twice", line=line_number, record=one.identifier)))
            features.setdefault(one.identifier, one)
    if "2.0" not in facts.get("mzTab-version", "") and "-M" not in facts.get("mzTab-version", ""):
        raise ReadError(path, f"mzTab-version is {facts.get('mzTab-version', 'not stated')!r}; mzTab-M 2 is read")
    if not features and not notes:
        raise ReadError(path, "no feature (SMF) in it")
    files = dict.fromkeys(name for f in features.values() for name in f.areas)
    notes.append(f"{path.name}: mzTab-M holds no spectra; give the MGF file of the features to annotate them")
    return FeatureTable(tuple(features.values()), tuple(files), tuple(notes))


def _feature(row: Mapping[str, str], named: Mapping[str, Mapping[str, str]], facts: Mapping[str, str]) -> Feature:
    mz = number(row.get("exp_mass_to_charge"))
    identifier = row.get("SMF_ID", "")
    if mz is None or mz <= 0 or not identifier:
        raise RecordError("the feature has no SMF_ID or no exp_mass_to_charge")
    adduct = adduct_of(row.get("adduct_ion"))
    mode = _mode(row.get("adduct_ion", ""), facts)
    areas: dict[str, float] = {}
    for column, cell in row.items():
        assay = re.fullmatch(r"abundance_assay\[(\d+)\]", column)
        if assay and (value := number(cell)) is not None:
            areas[facts.get(f"assay[{assay.group(1)}]", f"assay[{assay.group(1)}]")] = value
    molecule = named.get(identifier, {})
    return Feature(
        identifier,
        mz,
        number(row.get("retention_time_in_seconds")),
        number(row.get("retention_time_in_seconds_start")),
        number(row.get("retention_time_in_seconds_end")),
        ionmode=mode,
        charge=charge_of(row.get("charge"), mode),
        areas=areas,
        adduct=adduct,
        formula=_single(molecule.get("chemical_formula")),
        name=_single(molecule.get("chemical_name")),
    )


def _mode(adduct: str, facts: Mapping[str, str]) -> str | None:
    if adduct.endswith(("+", "-")):
        return "negative" if adduct.endswith("-") else "positive"
    stated = {v for k, v in facts.items() if "scan_polarity" in k}
    modes = {"negative" if "MS:1000129" in v else "positive" for v in stated if "MS:100012" in v or "MS:100013" in v}
    return modes.pop() if len(modes) == 1 else None


def _single(cell: str | None) -> str | None:
    """What a cell says of one molecule; None where it says nothing or lists several."""
    return None if not cell or cell == "null" or "|" in cell else cell
