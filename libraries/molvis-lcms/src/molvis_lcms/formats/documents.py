"""Features as JSON: everything that is known of them, in a layout that stays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.errors import MolvisError, ReadError
from molvis_core.records import PeakList
from molvis_files.documents import load_json
from molvis_files.opening import read_text
from molvis_files.writing import write_text
from molvis_lcms.records import AdductHypothesis, Feature, FeatureTable

__all__ = ["read_json_features", "table_of", "to_json", "write_json_features"]

FORMAT = 1


def to_json(table: FeatureTable) -> dict[str, Any]:
    """A table as plain values: `format`, `files`, `notes` and `features`."""
    return {
        "format": FORMAT,
        "files": list(table.files),
        "notes": list(table.notes),
        "features": [_feature(f) for f in table.features],
    }


def _feature(one: Feature) -> dict[str, Any]:
    return {
        "feature_id": one.identifier,
        "mz": one.mz,
        "time_s": one.time,
        "start_s": one.start,
        "end_s": one.end,
        "ionmode": one.ionmode,
        "charge": one.charge,
        "height": one.height,
        "areas": one.areas,
        "group": one.group,
        "adduct": one.adduct,
        "formula": one.formula,
        "name": one.name,
        "adducts": [
            {"adduct": h.adduct, "weight": h.weight, "evidence": h.evidence, "reasons": list(h.reasons)}
            for h in one.adducts
        ],
        "isotopes": _pairs(one.isotope_mz, one.isotope_intensity),
        "spectra": [_spectrum(s) for s in one.spectra],
        "merged": _spectrum(one.merged) if one.merged is not None else None,
        "scans": list(one.scans),
        "trace": [
            [round(t, 2), float(f"{h:.4g}")]
            for t, h in zip(one.trace_time.tolist(), one.trace_intensity.tolist(), strict=True)
        ],
        "notes": list(one.notes),
        "usis": list(one.usis),
    }


def _pairs(mz: np.ndarray, height: np.ndarray) -> list[list[float]]:
    # Six decimals of m/z are a thousandth of a ppm; seven digits of a height are what 32 bits hold.
    return [[round(m, 6), float(f"{h:.7g}")] for m, h in zip(mz.tolist(), height.tolist(), strict=True)]


def _spectrum(one: PeakList) -> dict[str, Any]:
    return {"collision_energy": one.collision_energy, "peaks": _pairs(one.mz, one.intensity)}


def write_json_features(path: Path, table: FeatureTable) -> None:
    """`to_json` as a file, whole or not at all.

    Raises:
        molvis_core.errors.WriteError: it cannot be written; the old one is kept.
    """
    write_text(path, json.dumps(to_json(table), ensure_ascii=False, allow_nan=False) + "\n")


def read_json_features(path: Path) -> FeatureTable:
    """What `write_json_features` wrote.

    Raises:
        ReadError: it cannot be read, is no such file, or of a newer format.
    """
    try:
        found = load_json(read_text(path))
    except json.JSONDecodeError as error:
        raise ReadError(path, f"is no JSON: {error.msg}", line=error.lineno) from error
    if not isinstance(found, Mapping) or "features" not in found or "format" not in found:
        raise ReadError(path, "is no list of features: it has no 'format' and 'features'")
    if found["format"] != FORMAT:
        raise ReadError(path, f"is of format {found['format']}; this version reads {FORMAT}")
    return table_of(path, found)


def table_of(path: Path, found: Mapping[str, Any]) -> FeatureTable:
    """A table from plain values, see `to_json`.

    Raises:
        ReadError: a value is missing, or is none that can be.
    """
    try:
        features = tuple(_read(one) for one in found["features"])
        return FeatureTable(features, tuple(map(str, found["files"])), tuple(map(str, found["notes"])))
    except (MolvisError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ReadError(path, f"its features cannot be read: {type(error).__name__}: {error}") from error


def _read(one: Mapping[str, Any]) -> Feature:
    def peaks(spectrum: Mapping[str, Any]) -> PeakList:
        pairs = np.array(spectrum["peaks"], dtype=np.float64).reshape(-1, 2)
        return PeakList(
            pairs[:, 0],
            pairs[:, 1].astype(np.float32),
            float(one["mz"]),
            charge=one["charge"],
            ionmode=one["ionmode"],
            collision_energy=spectrum["collision_energy"],
            ms_level=2,
        )

    isotopes = np.array(one["isotopes"], dtype=np.float64).reshape(-1, 2)
    trace = np.array(one.get("trace", ()), dtype=np.float64).reshape(-1, 2)  # older files have none
    return Feature(
        str(one["feature_id"]),
        float(one["mz"]),
        one["time_s"],
        one["start_s"],
        one["end_s"],
        one["ionmode"],
        one["charge"],
        one["height"],
        {str(k): float(v) for k, v in one["areas"].items()},
        isotopes[:, 0],
        isotopes[:, 1],
        tuple(peaks(s) for s in one["spectra"]),
        peaks(one["merged"]) if one["merged"] is not None else None,
        tuple(map(str, one["scans"])),
        tuple(
            AdductHypothesis(h["adduct"], float(h["evidence"]), float(h["weight"]), tuple(h["reasons"]))
            for h in one["adducts"]
        ),
        one["group"],
        one["adduct"],
        one["formula"],
        one["name"],
        trace[:, 0],
        trace[:, 1],
        notes=tuple(map(str, one["notes"])),
        usis=tuple(map(str, one.get("usis", ()))),
    )
