"""SIRIUS's `.ms` files: compounds with their survey spectrum and MS/MS spectra by energy."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from molvis_core.errors import ReadError, RecordError
from molvis_files.spectra import peak
from molvis_lcms.formats.cells import arrays_of, first, ion_of, number, records_of, spectrum_of
from molvis_lcms.merging import merge_energies
from molvis_lcms.records import Feature, FeatureTable

__all__ = ["read_sirius_features"]

_PPM = 20.0
_ISOTOPES = 8.0
"""m/z above the precursor within which peaks of the survey spectrum may be its isotopes."""


_SURVEY = re.compile(r"ms1(merged|peaks)?")
_MSMS = re.compile(r"ms2(merged|peaks)?|collision")


@dataclass
class _Compound:
    """A compound as far as it has been read."""

    line: int
    fields: dict[str, str] = field(default_factory=dict)
    survey: list[tuple[float, float]] = field(default_factory=list)
    msms: list[tuple[float | None, list[tuple[float, float]]]] = field(default_factory=list)
    problem: str = ""
    peaks: list[tuple[float, float]] = field(default_factory=list)

    def add(self, line: str, line_number: int) -> None:
        """Take a field, the beginning of a spectrum, or a peak."""
        if line[0] not in ">#":
            try:
                self.peaks.append(peak(line))
            except ValueError as error:
                self.problem = self.problem or f"line {line_number}: {error}"
            return
        key, _, value = line[1:].strip().partition(" ")
        key = key.lower()
        if line[0] == ">" and _SURVEY.fullmatch(key):
            self.peaks = self.survey
        elif line[0] == ">" and _MSMS.fullmatch(key):
            self.peaks = []
            self.msms.append((number(value), self.peaks))
        else:
            self.fields.setdefault(key, value.strip())


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
    for compound in records_of(path, r">\s*compound\b", _Compound):
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


def _feature(compound: _Compound, count: int) -> Feature:
    fields = compound.fields
    if compound.problem:
        raise RecordError(compound.problem)
    mz = number(fields.get("parentmass"))
    if mz is None or mz <= 0:
        raise RecordError("no '>parentmass'; add the precursor's m/z")
    ion = ion_of(first(fields, "ionization", "adduct"), fields.get("charge"), fields.get("ionmode"))
    spectra = [spectrum_of(peaks, mz, ion, energy) for energy, peaks in compound.msms]
    kept = tuple(s for s in spectra if s is not None)
    isotopes = arrays_of(p for p in compound.survey if -0.01 <= p[0] - mz <= _ISOTOPES)
    return Feature(
        first(fields, "feature_id", "compound") or str(count),
        mz,
        number(fields.get("rt")),
        ionmode=ion.ionmode,
        charge=ion.charge,
        adduct=ion.adduct,
        formula=first(fields, "formula"),
        isotope_mz=isotopes[0],
        isotope_intensity=isotopes[1],
        spectra=kept,
        merged=merge_energies(kept, _PPM),
    )
