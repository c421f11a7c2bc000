"""SIRIUS's `.ms` files: compounds with their survey spectrum and MS/MS spectra by energy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from molvis_core.errors import ReadError, RecordError
from molvis_files.opening import lines
from molvis_files.spectra import peak
from molvis_lcms.formats.cells import adduct_of, charge_of, mode_of, number, spectrum_of
from molvis_lcms.merging import merge_energies
from molvis_lcms.records import Feature, FeatureTable

__all__ = ["read_sirius_features"]

_PPM = 20.0
_ISOTOPES = 8.0
"""m/z above the precursor within which peaks of the survey spectrum may be its isotopes."""


@dataclass
class _Compound:
    line: int
    fields: dict[str, str] = field(default_factory=dict)
    survey: list[tuple[float, float]] = field(default_factory=list)
    msms: list[tuple[float | None, list[tuple[float, float]]]] = field(default_factory=list)
    problem: str = ""


def read_sirius_features(path: Path) -> FeatureTable:
    """Compounds of a `.ms` file as features, which keep their name as identifier.

    `>ms1`, `>ms1merged`, `>ms2`, `>ms2merged` and `>collision ENERGY` begin spectra. Where a program wrote
    `#feature_id` or `>feature_id`, that is the identifier.

    Raises:
        ReadError: the file cannot be read, or holds no `>compound`.
    """
    features: dict[str, Feature] = {}
    notes: list[str] = []
    count = 0
    for compound in _compounds(path):
        count += 1
        try:
            one = _feature(compound, count)
        except RecordError as error:
            name = compound.fields.get("compound") or count
            notes.append(str(ReadError(path, str(error), line=compound.line, record=name)))
            continue
        identifier, again = one.identifier, 2
        while one.identifier in features:
            one, again = replace(one, identifier=f"{identifier}-{again}"), again + 1
        features[one.identifier] = one
    if not count:
        raise ReadError(path, "no '>compound' in it; is it a .ms file of SIRIUS?")
    return FeatureTable(tuple(features.values()), (), tuple(notes))


def _compounds(path: Path) -> Iterator[_Compound]:
    compound: _Compound | None = None
    peaks: list[tuple[float, float]] | None = None
    for line_number, raw in lines(path):
        line = raw.strip()
        if line[:1] in (">", "#"):
            key, _, value = line[1:].strip().partition(" ")
            key = key.lower()
            if line[0] == ">" and key == "compound":
                if compound is not None:
                    yield compound
                compound = _Compound(line_number)
            if compound is None:
                continue
            if line[0] == ">" and re.fullmatch(r"ms1(merged|peaks)?", key):
                peaks = compound.survey
            elif line[0] == ">" and (re.fullmatch(r"ms2(merged|peaks)?", key) or key == "collision"):
                peaks = []
                compound.msms.append((number(value), peaks))
            else:
                compound.fields.setdefault(key, value.strip())
        elif line and compound is not None and peaks is not None:
            try:
                peaks.append(peak(line))
            except ValueError as error:
                compound.problem = compound.problem or f"line {line_number}: {error}"
    if compound is not None:
        yield compound


def _feature(compound: _Compound, count: int) -> Feature:
    fields = compound.fields
    if compound.problem:
        raise RecordError(compound.problem)
    mz = number(fields.get("parentmass"))
    if mz is None or mz <= 0:
        raise RecordError("no '>parentmass'; add the precursor's m/z")
    adduct = adduct_of(fields.get("ionization") or fields.get("adduct"))
    ion = fields.get("ionization", "").strip()
    mode = mode_of(fields.get("ionmode")) or (
        "negative" if ion.endswith("-") else "positive" if "+" in ion[-2:] else None
    )
    charge = charge_of(fields.get("charge"), mode)
    mode = mode or ("negative" if charge and charge < 0 else "positive" if charge else None)
    spectra = [spectrum_of(peaks, mz, charge, mode, energy) for energy, peaks in compound.msms]
    kept = tuple(s for s in spectra if s is not None)
    survey = sorted(p for p in compound.survey if p[1] > 0 and -0.01 <= p[0] - mz <= _ISOTOPES)
    return Feature(
        fields.get("feature_id") or fields.get("compound") or str(count),
        mz,
        number(fields.get("rt")),
        ionmode=mode,
        charge=charge,
        adduct=adduct,
        formula=fields.get("formula") or None,
        isotope_mz=np.array([m for m, _ in survey]),
        isotope_intensity=np.array([h for _, h in survey]),
        spectra=kept,
        merged=merge_energies(kept, _PPM),
    )
