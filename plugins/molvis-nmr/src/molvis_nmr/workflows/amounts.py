"""The amounts of many samples in one table: CSV, or mzTab-M 2.0."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from molvis_core.chemistry.structures import structure
from molvis_core.errors import StructureError
from molvis_core.text import in_cells
from molvis_files.mztab import ARBITRARY, NO_DATABASE, abundance_columns, abundances, software, study, write_sections
from molvis_files.writing import write_text

MZTAB = ".mztab"
SUFFIXES = (".csv", MZTAB)

_TERMS = {
    "M": "[UO, UO:0000062, molar, ]", "mM": "[UO, UO:0000063, millimolar, ]", "uM": "[UO, UO:0000064, micromolar, ]",
    "nM": "[UO, UO:0000065, nanomolar, ]", "amount": ARBITRARY,
}  # fmt: skip
_PROBABILITY = "[, , probability that the compound is in the sample, ]"
_ANNOTATED = 2
"""Of the Metabolomics Standards Initiative: by spectra of a library, not beside the compound itself."""


def write_amounts(
    path: Path, rows: Sequence[Mapping[str, Any]], inchis: Mapping[str, str], locations: Mapping[str, Path]
) -> None:
    """Write what is known of samples, a CSV or, where the path says so, mzTab-M, which is not written of none.

    Args:
        path: of the table.
        rows: of each sample.
        inchis: of compounds, by the library's identifiers.
        locations: of the spectra, by sample.

    Raises:
        molvis_core.errors.WriteError: it cannot be written; what was there before is kept.
    """
    if path.suffix.lower() == MZTAB:
        if rows:
            _write_mztab(path, rows, inchis, locations)
    else:
        write_text(path, _csv(rows))


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Names of compounds and what their columns are called: those found most often first, what tubes hold last."""
    found = [(name, one) for row in rows for name, one in row["compounds"].items()]
    tube = {name for name, one in found if one.get("tube")}
    count = Counter(name for name, one in found if one["value"] is not None)
    order = sorted(dict.fromkeys(name for name, _ in found), key=lambda n: (n in tube, -count[n]))
    return {n: f"{n}, solvent or additive" if n in tube else n for n in order}


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    told = _columns(rows)
    units = {row["unit"] for row in rows}
    unit = units.pop() if len(units) == 1 else "see unit"
    head = ["sample", "unit", "standard", "offset_ppb", "roi_iou", "unexplained", "problem"]
    columns = {"value": unit, "error": "standard error", "probability": "probability", "limit": "upper limit 95%"}
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*head, *(in_cells([f"{name} ({what})"])[0] for name in told.values() for what in columns.values())])
    for row in rows:
        cells = [row["compounds"].get(n, {}).get(c) for n in told for c in columns]
        table.writerow(
            [
                *in_cells("" if row[h] is None else row[h] for h in head),
                *("" if c is None else f"{c:.6g}" for c in cells),
            ]
        )
    return text.getvalue()


def common_unit(rows: Sequence[Mapping[str, Any]]) -> str:
    """The unit of most samples, a concentration's where as many have none: mzTab-M has one unit."""
    count = Counter(row["unit"] for row in rows)
    return max(count, key=lambda unit: (count[unit], unit != "amount"))


def _write_mztab(
    path: Path, rows: Sequence[Mapping[str, Any]], inchis: Mapping[str, str], locations: Mapping[str, Path]
) -> None:
    unit = common_unit(rows)
    metadata: list[tuple[str, object]] = [
        ("mzTab-version", "2.0.0-M"),
        ("mzTab-ID", path.stem),
        ("title", path.stem),
        ("description", "amounts by 1H NMR; null is not found, below the upper limit of its column"),
        ("software[1]", software(version("molvis-nmr"))),
        ("quantification_method", "[, , areas of simulated or reference spectra fitted to 1D 1H NMR, ]"),
    ]
    for k, row in enumerate(rows, start=1):
        metadata += _of_sample(k, row, unit, locations[row["sample"]])
    metadata += [
        *study(len(rows)),
        ("cv[3]-label", "UO"),
        ("cv[3]-full_name", "Units of Measurement Ontology"),
        ("cv[3]-version", "Unknown"),
        ("cv[3]-uri", "http://purl.obolibrary.org/obo/uo.obo"),
        *NO_DATABASE,
        ("small_molecule-quantification_unit", _TERMS.get(unit.replace("µ", "u"), f'[, , "{unit}", ]')),
        ("small_molecule-identification_reliability", "[MS, MS:1002896, compound identification confidence level, ]"),
        ("id_confidence_measure[1]", _PROBABILITY),
    ]
    write_sections(path, [[["MTD", *one] for one in metadata], _summary(rows, unit, inchis)])


def _of_sample(number: int, row: Mapping[str, Any], unit: str, spectrum: Path) -> list[tuple[str, object]]:
    run, assay = f"ms_run[{number}]", f"assay[{number}]"
    told = [("standard", row["standard"]), ("share of the signal that is not explained", row["unexplained"]),
            ("problem", row["problem"]), ("other unit", "" if row["unit"] == unit else row["unit"])]  # fmt: skip
    return [
        (f"{run}-location", spectrum.resolve().as_uri()),
        (f"{run}-name", row["sample"]),
        # It must be stated, and no term of the vocabulary is true of what is no mass spectrum.
        (f"{run}-scan_polarity[1]", "[, , none: a spectrum of NMR, ]"),
        (assay, row["sample"]),
        (f"{assay}-ms_run_ref", run),
        *(
            (f"{assay}-custom[{k}]", f'[, , {name}, "{value:.4g}"]' if isinstance(value, float) else _text(name, value))
            for k, (name, value) in enumerate(((n, v) for n, v in told if v), start=1)
        ),
    ]


def _text(name: str, value: str) -> str:
    return f'[, , {name}, "{value.replace(chr(34), chr(39))}"]'


def _summary(rows: Sequence[Mapping[str, Any]], unit: str, inchis: Mapping[str, str]) -> list[list[object]]:
    """Of each compound that was found anywhere a row; limits of what was found nowhere are in the CSV alone."""
    head: list[object] = [
        "SMH", "SML_ID", "SMF_ID_REFS", "database_identifier", "chemical_formula", "smiles", "inchi", "chemical_name",
        "uri", "theoretical_neutral_mass", "adduct_ions", "reliability", "best_id_confidence_measure",
        "best_id_confidence_value", *abundance_columns(len(rows)), "opt_global_inchikey", "opt_global_library_entry",
        "opt_global_solvent_or_additive",
        *(f"opt_assay[{k}]_{name}" for k in range(1, len(rows) + 1) for name in _KINDS.values()),
    ]  # fmt: skip
    out: list[list[object]] = []
    for name in _columns(rows):
        each = [row["compounds"].get(name, _UNKNOWN) for row in rows]
        found = [one for one in each if one["value"] is not None]
        if found:
            same = [one if row["unit"] == unit else _UNKNOWN for one, row in zip(each, rows, strict=True)]
            inchi = inchis.get(found[0]["identifier"] or "", "")
            out.append(["SML", len(out) + 1, *_compound(name, inchi, found, same)])
    return [head, *out] if out else []


_KINDS = {"error": "standard_error", "probability": "probability", "limit": "upper_limit"}
_UNKNOWN: dict[str, Any] = dict.fromkeys(("value", *_KINDS))


def _compound(
    name: str, inchi: str, found: Sequence[Mapping[str, Any]], each: Sequence[Mapping[str, Any]]
) -> list[object]:
    """Cells of a compound behind its number: what it is, where it was found, and what each sample has of it."""
    formula, smiles, mass, key = _structure(inchi)
    return [
        None, None, formula, smiles, inchi, name, None, mass, None, _ANNOTATED, _PROBABILITY,
        max(one["probability"] for one in found), *abundances([one["value"] for one in each]), key,
        found[0]["identifier"], "true" if found[0]["tube"] else "false",
        *(one[kind] for one in each for kind in _KINDS),
    ]  # fmt: skip


def _structure(inchi: str) -> tuple[str | None, str | None, float | None, str | None]:
    """Formula, SMILES, neutral mass and InChIKey; None of what has no InChI that RDKit reads."""
    if not inchi:
        return None, None, None, None
    try:
        one = structure(inchi)
    except StructureError:
        return None, None, None, None
    return one.formula, one.smiles, None if one.charge else one.exact_mass, one.inchikey
