"""Explanations in the words of the field's standards: mzPAF for a peak, mzSpecLib for a spectrum, and JSON.

References:
    HUPO-PSI, mzPAF 1.0, https://psidev.info/mzPAF
    HUPO-PSI, mzSpecLib 1.0, https://psidev.info/mzSpecLib
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molvis_core.errors import WriteError
from molvis_core.text import in_json
from molvis_files.mzpaf import UNEXPLAINED, joined, mzpaf
from molvis_files.mzspeclib import LibrarySpectrum, library_lines
from molvis_files.writing import write_text
from molvis_msms.explanation.peaks import Explanation, Substructure

__all__ = ["UNEXPLAINED", "Explained", "mzpaf", "mzspeclib", "peak_annotation", "separating", "to_json", "write"]


@dataclass(frozen=True, eq=False, slots=True)
class Explained:
    """A spectrum of a file with the explanation of its peaks.

    Attributes:
        name: of the spectrum.
        found: what its peaks are, by the first structure.
        rivals: the same by the other structures.
        licence, contributor, authors: of the spectrum, where the file names them.
    """

    name: str
    found: Explanation
    rivals: tuple[Explanation, ...] = ()
    licence: str | None = None
    contributor: str | None = None
    authors: str | None = None


def peak_annotation(found: Explanation, peak: int) -> str:
    """All formulas of a peak that are at least as probable as 0.05, by falling confidence; `?` where there is none."""
    sure = [one for one in found.peaks[peak] if one.formula_probability >= _LEAST]
    return joined(mzpaf(one) for one in sure if found.unexplained[peak] < _SURE)


_LEAST, _SURE = 0.05, 0.95


def to_json(found: Sequence[Explained]) -> list[dict[str, Any]]:
    """Explanations as what JSON knows."""
    return [
        {"spectrum": one.name, **_explanation(one.found), "against": [_explanation(r) for r in one.rivals]}
        | ({"separating": separating(one.found, one.rivals[0])} if one.rivals else {})
        for one in found
    ]


def _explanation(found: Explanation) -> dict[str, Any]:
    structure = found.structure
    return {
        "structure": structure.smiles,
        "inchikey": structure.inchikey,
        "formula": structure.formula,
        "explained_intensity": found.explained,
        "mass_error_ppm": {"offset": found.offset, "width": found.width},
        "share_of_peaks": found.share,
        "peaks": [
            {
                "mz": float(found.spectrum.mz[peak]),
                "intensity": float(found.spectrum.intensity[peak]),
                "annotation": peak_annotation(found, peak),
                "unexplained": float(found.unexplained[peak]),
                "evidence": float(found.evidence[peak]),
                "substructures": [_substructure(one) for one in some],
            }
            for peak, some in enumerate(found.peaks)
        ],
    }


def _substructure(one: Substructure) -> dict[str, Any]:
    return {
        "formula": one.formula,
        "smiles": one.smiles,
        "atoms": list(one.atoms),
        "hydrogens": one.hydrogens,
        "isotope": one.isotope or None,
        "ppm": one.ppm,
        "probability": one.probability,
        "formula_probability": one.formula_probability,
        "equivalents": one.equivalents,
        "path": [{"formula": s.formula, "loss": s.loss, "atoms": list(s.atoms), "peak": s.peak} for s in one.path],
        "classes": [{"name": c.name, "group": c.group, "atoms": list(c.atoms)} for c in one.classes],
    }


def separating(first: Explanation, second: Explanation) -> list[dict[str, float]]:
    """Peaks by how much they speak for the first structure against the second, or, below 0, against the first.

    The difference is that of the evidence for both; those below 0.1 in either direction are left out.
    """
    gap = first.evidence - second.evidence
    order = sorted(range(len(gap)), key=lambda p: (-round(abs(float(gap[p])), 9), p))
    return [
        {
            "peak": p, "mz": float(first.spectrum.mz[p]), "intensity": float(first.spectrum.intensity[p]),
            "evidence": float(gap[p]), "first": 1 - float(first.unexplained[p]),
            "second": 1 - float(second.unexplained[p]),
        }
        for p in order
        if abs(gap[p]) >= 0.1
    ]  # fmt: skip


def write(path: Path, found: Sequence[Explained]) -> None:
    """Write explanations as JSON (`.json`) or as mzSpecLib text (`.mzSpecLib.txt`).

    Raises:
        WriteError: the name has another ending, or the file cannot be written; the old one is kept.
    """
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".json"):
        write_text(path, in_json(json.dumps(to_json(found), indent=1, ensure_ascii=False)) + "\n")
    elif name.endswith((".txt", ".mzspeclib")):
        write_text(path, "\n".join(mzspeclib(found, path.stem)) + "\n")
    else:
        raise WriteError(f"{path}: the ending must be .json or, for mzSpecLib text, .mzSpecLib.txt")


def mzspeclib(found: Sequence[Explained], name: str) -> Iterable[str]:
    """Lines of an mzSpecLib text library; each peak has its mzPAF annotation in the third column."""
    return library_lines((_library_spectrum(one) for one in found), name)


def _library_spectrum(one: Explained) -> LibrarySpectrum:
    terms = (("license", one.licence), ("contributor", one.contributor), ("authors", one.authors))
    return LibrarySpectrum(
        one.name,
        one.found.spectrum,
        one.found.structure,
        [peak_annotation(one.found, peak) for peak in range(len(one.found.spectrum))],
        others=[(term, value) for term, value in terms if value],
    )
