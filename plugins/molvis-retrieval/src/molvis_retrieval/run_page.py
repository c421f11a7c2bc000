"""What features were found to be, as one page to look at: a table to filter and sort, and everything known of each.

The page loads nothing from elsewhere. A row of each feature is unpacked when it is opened, its spectra and candidates
when it is looked at: they lie in the page packed, chunk by chunk.
"""

from __future__ import annotations

import base64
import gzip
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.html import render_page
from molvis_core.text import visible
from molvis_files.identifiers import DATABASES, link_of
from molvis_files.web import inlined
from molvis_files.writing import write_text
from molvis_lcms.records import Feature
from molvis_retrieval.annotation_tables import rows_of
from molvis_retrieval.classes import ClassProbability
from molvis_retrieval.run_details import DRAWN, Detailed

__all__ = ["LARGEST", "write_run_page"]

CHUNK = 50
"""Features that are unpacked together."""
LARGEST = 50_000_000
"""Bytes of a page with everything in it; of a larger one the chunks are files beside it."""
_TRACE = 60
"""Points of a chromatogram that are drawn."""
_PEAKS = 150
"""Peaks of a spectrum that are drawn: the highest."""

Neighbours = Mapping[str, Sequence[tuple[str, float]]]
"""Of features those that are like them, with the similarity."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the head of the page tells of a run.

    Attributes:
        files: whose features they are.
        notes: what was left out or is odd.
        settings: of the run, by name.
    """

    files: Sequence[str] = ()
    notes: Sequence[str] = ()
    settings: Mapping[str, object] = field(default_factory=dict)


def write_run_page(
    path: Path,
    found: Iterable[Detailed],
    facts: RunFacts,
    neighbours: Neighbours | None = None,
    *,
    largest: int = LARGEST,
) -> None:
    """The page, whole or not at all. One that would be larger than `largest` bytes has a folder beside it.

    Args:
        path: of the page.
        found: features with what was found and worked out.
        facts: for its head.
        neighbours: features that are alike.
        largest: bytes of a page that holds everything.

    Raises:
        molvis_core.errors.WriteError: it cannot be written; the old one is kept.
    """
    index = _Index()
    parts: list[str] = []
    chunk: list[dict[str, Any]] = []
    for feature, one, details in found:
        row = rows_of(feature, one)[0]
        index.add(row, feature)
        chunk.append(_panel(feature, one, details or {}, (neighbours or {}).get(feature.identifier, ())))
        if len(chunk) == CHUNK:
            parts.append(_packed(chunk))
            chunk = []
    if chunk:
        parts.append(_packed(chunk))
    beside = path.parent / f"{path.stem}_parts"
    apart = sum(map(len, parts)) > largest
    if apart:
        _write_parts(beside, parts)
    write_text(path, _render(index, [] if apart else parts, facts, beside.name if apart else ""))
    if not apart and beside.is_dir():
        shutil.rmtree(beside)


def _write_parts(folder: Path, parts: Sequence[str]) -> None:
    """Each chunk as a script of one call: what a page on a disk may load, where it may not fetch."""
    folder.mkdir(exist_ok=True)
    for number, text in enumerate(parts):
        write_text(folder / f"{number}.js", f'molvisPart({number},"{text}");\n')
    for old in folder.glob("*.js"):
        if not old.stem.isdigit() or int(old.stem) >= len(parts):
            old.unlink()


def _render(index: _Index, parts: Sequence[str], facts: RunFacts, beside: str) -> str:
    def text(name: str) -> str:
        return resources.files("molvis_retrieval").joinpath("templates", "run", name).read_text(encoding="utf-8")

    head = {
        "chunk": CHUNK, "count": len(index), "beside": beside, "files": list(facts.files), "drawn": DRAWN,
        "databases": {d.prefix: d.name for d in DATABASES},
    }  # fmt: skip
    return render_page(
        text("report.html"),
        title="Annotated features",
        run=", ".join(facts.files),
        count=len(index),
        beside=beside,
        notes=list(facts.notes),
        settings=[(name, str(value)) for name, value in facts.settings.items()],
        style=text("report.css"),
        script=f'"use strict";\n{inlined("elements", "molecule", "shapes")}{text("report.js")}',
        head=_plain(head),
        rows=_packed(index.columns()),
        parts=list(parts),
    )


def _packed(value: Any) -> str:
    """Plain values as JSON, packed, in letters."""
    return base64.b64encode(gzip.compress(_plain(value).encode(), 6, mtime=0)).decode()


def _plain(value: Any) -> str:
    return json.dumps(_shown(value), ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _shown(value: Any) -> Any:
    """Values whose texts are such as can be shown."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {k: _shown(v) for k, v in value.items()}
    return [_shown(v) for v in value] if isinstance(value, list | tuple) else value


class _Index:
    """The columns of the table, a value for each feature."""

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, row: Mapping[str, Any], feature: Feature) -> None:
        """A feature by its row of the table of annotations."""
        area = feature.area
        values = {
            "id": row["feature_id"],
            "mz": round(feature.mz, 4),
            "time": None if feature.time is None else round(feature.time / 60, 3),
            "area": None if area is None else float(f"{area:.4g}"),
            "mode": {"positive": "+", "negative": "-"}.get(feature.ionmode or "", ""),
            "level": row["level"],
            "name": row["name"] or "",
            "formula": row["formula"] or row["best_formula"] or "",
            "fp": _share(row["best_formula_probability"]),
            "key": row["inchikey14"] or "",
            "ion": row["adduct"] or "",
            "p": _share(row["probability_joint"]),
            "among": _share(row["probability_among"]),
            "first": _share(row["probability"]),
            "q": _share(row["q_value"]),
            "unknown": row["unknown"] or "",
            "candidates": row["n_candidates"] or 0,
            "problem": row["problem"] or "",
        }
        for name, value in values.items():
            self._columns.setdefault(name, []).append(value)
        self._count += 1

    def columns(self) -> dict[str, list[Any]]:
        """By name; those that nothing is known for are left out."""
        return {k: v for k, v in self._columns.items() if any(x not in (None, "") for x in v)}


def _share(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _panel(
    feature: Feature, one: Mapping[str, Any] | None, details: Mapping[str, Any], near: Sequence[tuple[str, float]]
) -> dict[str, Any]:
    """Everything that is shown of one feature, without what is not known."""
    if not (one and one["candidates"]):
        details = {}  # they were the first candidate's, which a false-discovery rate may have taken away
    spectra = [("all energies", feature.merged)] if feature.merged is not None and len(feature.spectra) > 1 else []
    spectra += [(_energy(s.collision_energy), s) for s in feature.spectra]
    told = {
        "charge": feature.charge,
        "start": feature.start,
        "end": feature.end,
        "areas": feature.areas,
        "isotopes": _relative(feature.isotope_mz, feature.isotope_intensity),
        "expected": details.get("isotopes"),
        "trace": _trace(feature),
        "spectra": [{"label": label, "peaks": _spectrum(s)} for label, s in spectra],
        "explained": details.get("peaks"),
        "below": details.get("below"),
        "adducts": [[h.adduct, round(h.weight, 4), list(h.reasons)] for h in feature.adducts],
        "scans": list(feature.scans[:20]),
        "usis": list(feature.usis[:5]),
        "notes": list(feature.notes),
        "near": [[name, round(similarity, 3)] for name, similarity in near],
    }
    if one is not None:
        sketches = details.get("sketches", {})
        told |= {
            "evidence": one["level_evidence"],
            "candidates": [_candidate(c, sketches.get(c["smiles"])) for c in one["candidates"]],
            "together": list(one["ions"]) if len(one["ions"]) > 1 else None,
            "formulas": _likeliest(one.get("formulas")),
            "ions": _likeliest(one.get("adducts")),
            "classes": [[c["name"], round(ClassProbability(**c).told, 3)] for c in one.get("classes", ())[:12]],
        }
    return {k: v for k, v in told.items() if v not in (None, [], {}, "")}


def _likeliest(shares: Mapping[str, float] | None) -> list[list[Any]]:
    """The most probable few, by falling probability."""
    some = sorted((shares or {}).items(), key=lambda item: -item[1])[:6]
    return [[name, round(p, 4)] for name, p in some if p >= 0.005]


def _energy(energy: float | None) -> str:
    return "energy not stated" if energy is None else f"{energy:g} eV"


def _candidate(c: Mapping[str, Any], drawing: Mapping[str, Any] | None) -> dict[str, Any]:
    identifiers = [[i, link_of(i) or ""] for i in c.get("identifiers") or ()]
    told = {
        "name": c["name"],
        "smiles": c["smiles"],
        "key": c["inchikey"],
        "formula": c["formula"],
        "ion": c["adduct"],
        "ppm": None if c["mass_error_ppm"] is None else round(c["mass_error_ppm"], 2),
        "p": _share(c["probability"]),
        "joint": _share(c["probability_joint"]),
        "evidence": [[name, round(value, 2)] for name, value in c["evidence"].items()],
        "ids": identifiers,
        "sources": list(c.get("sources") or ())[:6],
        "drawing": drawing,
    }
    return {k: v for k, v in told.items() if v not in (None, [], "")}


def _relative(mz: np.ndarray, height: np.ndarray) -> list[list[float]]:
    top = float(height.max(initial=0.0))
    return [[round(float(m), 4), round(float(h) / top, 4)] for m, h in zip(mz, height, strict=True)] if top else []


def _spectrum(spectrum: Any) -> list[list[float]]:
    """The highest peaks by m/z: m/z, height beside the highest, and the peak's number in the spectrum."""
    height = np.asarray(spectrum.intensity, dtype=np.float64)
    chosen = np.sort(np.argsort(-height, kind="stable")[:_PEAKS])
    top = float(height.max(initial=0.0)) or 1.0
    return [[round(float(spectrum.mz[k]), 4), round(float(height[k]) / top, 4), int(k)] for k in chosen]


def _trace(feature: Feature) -> list[list[float]]:
    """Times in s from the first point on, and heights beside the highest, of at most so many points."""
    time, height = feature.trace_time, feature.trace_intensity
    top = float(height.max(initial=0.0))
    if len(time) < 3 or not top:
        return []
    chosen = np.unique(np.linspace(0, len(time) - 1, min(len(time), _TRACE)).round().astype(int))
    return [[round(float(time[k]), 2), round(float(height[k]) / top, 3)] for k in chosen]
