"""The MS/MS of features with what they were found to be and what each peak is: MGF and mzSpecLib."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from molvis_core.errors import WriteError
from molvis_core.records import PeakList, Structure
from molvis_core.text import visible
from molvis_files.mzpaf import UNEXPLAINED
from molvis_files.mzspeclib import LibrarySpectrum, library_lines
from molvis_files.writing import replacing
from molvis_lcms.records import Feature
from molvis_retrieval.run_details import Detailed

__all__ = ["write_annotated_library", "write_annotated_mgf"]


def write_annotated_mgf(path: Path, found: Iterable[Detailed]) -> None:
    """Merged MS/MS as MGF, by feature: the first candidate as NAME, SMILES, INCHIKEY and so on.

    PEAK_ANNOTATIONS has m/z and mzPAF of the peaks that it explains: a third column of MGF would be a charge. Features
    without MS/MS are left out; one without candidates is written without a structure.

    Raises:
        WriteError: the file cannot be written; the old one is kept.
    """
    _write(path, ("\n".join(_block(one)) + "\n\n" for one in _spectra(found)))


def write_annotated_library(path: Path, found: Iterable[Detailed]) -> None:
    """The same as mzSpecLib text.

    Raises:
        WriteError: the file cannot be written; the old one is kept.
    """
    name = path.name.removesuffix(".txt").removesuffix(".mzSpecLib")
    _write(path, (f"{line}\n" for line in library_lines((_told(one) for one in _spectra(found)), name)))


def _write(path: Path, texts: Iterable[str]) -> None:
    try:
        with replacing(path) as fresh, fresh.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(texts)
    except OSError as error:
        raise WriteError(f"{path}: cannot be written: {error}. What was there before is kept.") from error


_One = tuple[Feature, PeakList, "Mapping[str, Any] | None", "Mapping[str, Any] | None", list[str]]
"""A feature, its spectrum, what was found of it, its first candidate, and what each peak is."""


def _spectra(found: Iterable[Detailed]) -> Iterator[_One]:
    for feature, one, details in found:
        if feature.merged is None or not len(feature.merged):
            continue
        best = one["candidates"][0] if one and one["candidates"] else None
        adduct = best["adduct"] if best else feature.adduct
        spectrum = replace(feature.merged, adduct=adduct)
        told = [UNEXPLAINED] * len(spectrum)
        for peak in (details or {}).get("peaks", ()):
            told[peak["n"]] = peak["mzpaf"]
        yield feature, spectrum, one, best, told


def _block(told: _One) -> Iterator[str]:
    feature, spectrum, one, best, peaks = told
    size = feature.charge or 0
    fields: dict[str, object] = {
        "FEATURE_ID": feature.identifier,
        "PEPMASS": f"{feature.mz:.6f}",
        "SCANS": feature.identifier,
        "RTINSECONDS": None if feature.time is None else f"{feature.time:.3f}",
        "CHARGE": f"{abs(size)}{'-' if size < 0 else '+'}" if size else None,
        "IONMODE": feature.ionmode,
        "MSLEVEL": 2,
        "COLLISION_ENERGY": None if spectrum.collision_energy is None else f"{spectrum.collision_energy:g}",
        "ADDUCT": spectrum.adduct,
        "USI": feature.usis[0] if feature.usis else None,
    }
    if best is not None:
        fields |= {
            "NAME": best["name"],
            "SMILES": best["smiles"],
            "INCHIKEY": best["inchikey"],
            "FORMULA": best["formula"],
        }
    yield "BEGIN IONS"
    for key, value in (*fields.items(), *((k.upper(), v) for k, v in _others(one, best))):
        if value is not None and value != "":
            yield f"{key}={visible(str(value))}"
    explained = [
        f"{mz:.6f} {what}" for mz, what in zip(spectrum.mz.tolist(), peaks, strict=True) if what != UNEXPLAINED
    ]
    if explained:
        yield f"PEAK_ANNOTATIONS={'; '.join(explained)}"
    for mz, height in zip(spectrum.mz.tolist(), spectrum.intensity.tolist(), strict=True):
        yield f"{mz:.6f} {height:.6g}"
    yield "END IONS"


def _others(one: Mapping[str, Any] | None, best: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Level and probabilities."""
    if one is None or best is None:
        return []
    found = [("level", one["level"]), ("level_evidence", one["level_evidence"])]
    found += [(k, f"{best[k]:.4g}") for k in ("probability", "probability_joint") if best[k] is not None]
    return [*found, ("identifiers", "; ".join(best.get("identifiers") or ()))]


def _told(told: _One) -> LibrarySpectrum:
    feature, spectrum, one, best, peaks = told
    structure = None
    if best is not None:
        structure = Structure(best["smiles"], best["inchikey"], best["formula"], best["exact_mass"], name=best["name"])
    name = f"feature {feature.identifier}"
    return LibrarySpectrum(
        f"{name}, {best['name']}" if best and best["name"] else name,
        replace(spectrum, precursor_mz=feature.mz, charge=feature.charge),
        structure,
        peaks if best is not None else (),
        merged=True,
        time=feature.time,
        usi=feature.usis[0] if feature.usis else None,
        others=[("feature_id", feature.identifier), *((k, v) for k, v in _others(one, best) if v)],
    )
