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
from molvis_core.text import in_json, visible
from molvis_files.writing import write_text
from molvis_msms.explanation.peaks import Explanation, Substructure

UNEXPLAINED = "?"
"""What mzPAF writes for a peak that nothing is known of."""


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


def mzpaf(one: Substructure) -> str:
    """A substructure as mzPAF writes it: the formula of the ion, its charge, error and confidence."""
    ion = "p" if one.precursor else f"f{{{one.elements}}}"
    heavy = f"+i{one.isotope}" if one.isotope else ""
    charge = f"^{abs(one.charge)}" if abs(one.charge) > 1 else ""
    return f"{ion}{heavy}{charge}/{one.ppm:.1f}ppm*{min(one.formula_probability, 1.0):.2f}"


def peak_annotation(found: Explanation, peak: int) -> str:
    """All formulas of a peak that are at least as probable as 0.05, by falling confidence; `?` where there is none."""
    seen: dict[str, None] = {}
    for one in found.peaks[peak]:
        if one.formula_probability >= _LEAST and found.unexplained[peak] < _SURE:
            seen.setdefault(mzpaf(one))
    return ",".join(seen) or UNEXPLAINED


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
    yield "<mzSpecLib>"
    yield "MS:1003186|library format version=1.0"
    yield f"MS:1003188|library name={visible(name)}"
    for number, one in enumerate(found, start=1):
        spectrum, structure = one.found.spectrum, one.found.structure
        yield f"<Spectrum={number}>"
        yield f"MS:1003061|library spectrum name={visible(one.name)}"
        yield f"MS:1003237|library spectrum key={number}"
        yield "MS:1000511|ms level=2"
        if spectrum.precursor_mz is not None:
            yield f"MS:1003208|experimental precursor monoisotopic m/z={spectrum.precursor_mz:.6f}"
        if spectrum.ionmode:
            sign = "MS:1000130|positive scan" if spectrum.ionmode == "positive" else "MS:1000129|negative scan"
            yield f"MS:1000465|scan polarity={sign}"
        if spectrum.collision_energy is not None:
            yield f"[1]MS:1000045|collision energy={spectrum.collision_energy:g}"
            yield "[1]UO:0000000|unit=UO:0000266|electronvolt"
        yield f"MS:1003059|number of peaks={len(spectrum)}"
        terms = (("license", one.licence), ("contributor", one.contributor), ("authors", one.authors))
        for group, (term, value) in enumerate(terms, start=2):
            if value:
                yield f"[{group}]MS:1003275|other attribute name={term}"
                yield f"[{group}]MS:1003276|other attribute value={visible(value)}"
        yield "<Analyte=1>"
        yield f"MS:1000866|molecular formula={structure.formula}"
        yield f"MS:1000868|SMILES formula={structure.smiles}"
        yield f"MS:1002894|InChIKey={structure.inchikey}"
        if spectrum.adduct:
            yield f"MS:1002813|adduct ion formula={spectrum.adduct}"
        if spectrum.charge is not None:
            yield f"MS:1000041|charge state={abs(spectrum.charge)}"
        yield "<Peaks>"
        for peak in range(len(spectrum)):
            mz, height = float(spectrum.mz[peak]), float(spectrum.intensity[peak])
            yield f"{mz:.6f}\t{height:.6g}\t{peak_annotation(one.found, peak)}"
        yield ""
