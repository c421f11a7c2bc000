"""What features were found to be, as tables: CSV and JSON with fixed columns, and plain values for other formats."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from molvis_core.errors import WriteError
from molvis_core.text import in_cell
from molvis_files.writing import replacing
from molvis_lcms.annotations import Annotation, NamedCandidate
from molvis_lcms.records import Feature

__all__ = ["COLUMNS", "Found", "annotation_of", "rows_of", "write_annotation_csv", "write_annotation_json"]

Found = tuple[Feature, "dict[str, Any] | None"]
"""A feature with what was kept of its identification, see `molvis_retrieval.annotation.annotated`."""
COLUMNS: tuple[str, ...] = (
    "feature_id", "mz", "time_s", "start_s", "end_s", "ionmode", "charge", "group", "areas", "spectra", "level",
    "level_evidence", "probability_among", "none_of_these", "n_candidates", "rank", "adduct", "adduct_evidence",
    "formula", "name", "smiles", "inchikey14", "inchikey", "probability", "probability_joint", "mass_error_ppm",
    "identifiers", "notes", "problem", "sources", "adduct_probability", "formula_probability",
    "best_formula", "best_formula_probability", "q_value", "unknown", "together", "usis",
)  # fmt: skip
"""Of the table of annotations, in this order, whatever was found. A new one is added at the end."""


def rows_of(feature: Feature, found: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """A row for each candidate of a feature, and one for a feature that has none, with the keys `COLUMNS`."""
    reasons = {h.adduct: "; ".join(h.reasons) for h in feature.adducts}
    own: dict[str, Any] = dict.fromkeys(COLUMNS) | {
        "feature_id": feature.identifier,
        "mz": feature.mz,
        "time_s": feature.time,
        "start_s": feature.start,
        "end_s": feature.end,
        "ionmode": feature.ionmode,
        "charge": feature.charge,
        "group": feature.group,
        "areas": "; ".join(f"{name}={area:.6g}" for name, area in feature.areas.items()),
        "spectra": len(feature.spectra),
        "adduct": feature.adduct,
        "notes": "; ".join(feature.notes),
        "usis": "; ".join(feature.usis),
        "level": "5",
        "level_evidence": "no MS/MS",
        "problem": "no MS/MS",
    }
    if found is None:
        return [own]
    among = found["probability_among"]
    own |= {
        "level": found["level"],
        "level_evidence": found["level_evidence"],
        "probability_among": among,
        "none_of_these": None if among is None else 1 - among,
        "n_candidates": found["n_candidates"],
        "problem": found["problem"],
        "unknown": found["unknown"],
        "together": "; ".join(found["ions"]) if len(found["ions"]) > 1 else "",
    }
    formula, share = max(found["formulas"].items(), key=lambda item: item[1], default=("", None))
    own |= {"best_formula": formula, "best_formula_probability": share}
    rows = [own | _candidate(c, reasons) | _shares(c, found) for c in found["candidates"]] or [own]
    rows[0]["q_value"] = found.get("q_value")
    return rows


def _shares(c: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """How probable a candidate's adduct and formula are, whichever structure is behind them."""
    if not found["formulas"]:
        return {}
    return {
        "adduct_probability": found["adducts"].get(c["adduct"], 0.0),
        "formula_probability": found["formulas"].get(c["formula"].rstrip("+-"), 0.0),
    }


def _candidate(c: Mapping[str, Any], reasons: Mapping[str, str]) -> dict[str, Any]:
    return {
        "rank": c["rank"],
        "adduct": c["adduct"],
        "adduct_evidence": reasons.get(c["adduct"], ""),
        "formula": c["formula"],
        "name": c["name"],
        "smiles": c["smiles"],
        "inchikey14": c["inchikey"][:14],
        "inchikey": c["inchikey"],
        "probability": c["probability"],
        "probability_joint": c["probability_joint"],
        "mass_error_ppm": c["mass_error_ppm"],
        "identifiers": "; ".join(c.get("identifiers") or ()),
        "sources": "; ".join(c.get("sources") or ()),
    }


def write_annotation_csv(path: Path, found: Iterable[Found]) -> None:
    """`rows_of` all features as a CSV file, whole or not at all; a row at a time.

    Raises:
        WriteError: it cannot be written; the old one is kept.
    """
    try:
        with replacing(path) as fresh, fresh.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=COLUMNS, lineterminator="\n")
            writer.writeheader()
            for feature, one in found:
                for row in rows_of(feature, one):
                    writer.writerow({k: f"{v:.9g}" if isinstance(v, float) else in_cell(v) for k, v in row.items()})
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error}. What was there before is kept.") from error


def write_annotation_json(path: Path, found: Iterable[Found], settings: Mapping[str, Any]) -> None:
    """Features with their candidates as JSON, whole or not at all; a feature at a time.

    `format` is 1, `settings` are those of the run, and `features` has an object for each feature: the columns of the
    table that belong to it, `adducts` with their weights and reasons, and `candidates`.

    Raises:
        WriteError: it cannot be written; the old one is kept.
    """
    try:
        with replacing(path) as fresh, fresh.open("w", encoding="utf-8") as file:
            head = json.dumps({"format": 1, "settings": settings}, ensure_ascii=False)
            file.write(head[:-1] + ', "features": [')
            for number, (feature, one) in enumerate(found):
                file.write(",\n" if number else "\n")
                file.write(json.dumps(_nested(feature, one), ensure_ascii=False, allow_nan=False))
            file.write("\n]}\n")
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error}. What was there before is kept.") from error


_OF_CANDIDATES = (
    "rank", "adduct", "adduct_evidence", "formula", "name", "smiles", "inchikey14", "inchikey", "probability",
    "probability_joint", "mass_error_ppm", "identifiers", "sources",
    "adduct_probability", "formula_probability",
)  # fmt: skip


def _nested(feature: Feature, found: Mapping[str, Any] | None) -> dict[str, Any]:
    rows = rows_of(feature, found)
    own = {k: v for k, v in rows[0].items() if k not in _OF_CANDIDATES}
    adducts = [{"adduct": h.adduct, "weight": h.weight, "reasons": list(h.reasons)} for h in feature.adducts]
    evidence = [c["evidence"] for c in found["candidates"]] if found else []
    candidates = [
        {k: row[k] for k in _OF_CANDIDATES} | {"evidence": told}
        for row, told in zip(rows if evidence else [], evidence, strict=True)
    ]
    shares = {"adduct_probabilities": found["adducts"], "formula_probabilities": found["formulas"]} if found else {}
    lists = {"areas": feature.areas, "notes": list(feature.notes), "usis": list(feature.usis)}
    return own | shares | lists | {"adducts": adducts, "candidates": candidates}


def annotation_of(feature: Feature, found: Mapping[str, Any] | None) -> Annotation:
    """What was found of a feature, for writers of other formats."""
    if found is None:
        return Annotation(feature.identifier, level="5", evidence="no MS/MS")
    candidates = tuple(
        NamedCandidate(
            c["smiles"],
            c["inchikey"],
            c["formula"],
            c["exact_mass"],
            c["adduct"],
            c["probability"],
            c["probability_joint"],
            c["name"],
            tuple(c.get("identifiers") or ()),
        )
        for c in found["candidates"]
    )
    return Annotation(
        feature.identifier, candidates, found["probability_among"], found["level"], found["level_evidence"]
    )
