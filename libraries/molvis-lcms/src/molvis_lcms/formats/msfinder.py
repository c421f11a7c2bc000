"""MS-DIAL's and MS-FINDER's `.mat` files: a feature each, or several one after the other, with MS1 and MS/MS.

References:
    H. Tsugawa et al., Nat. Methods 12 (2015) 523, doi:10.1038/nmeth.3393
    H. Tsugawa et al., Anal. Chem. 88 (2016) 7946, doi:10.1021/acs.analchem.6b00770
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from molvis_core.errors import ReadError, RecordError
from molvis_files.spectra import peak
from molvis_lcms.formats.cells import arrays_of, first, ion_of, number, records_of, seconds, spectrum_of
from molvis_lcms.merging import merge_energies
from molvis_lcms.records import Feature, FeatureTable
from molvis_lcms.usi import is_usi

__all__ = ["ENDING", "read_msfinder_features"]

ENDING = ".mat"
_PPM = 20.0
_BELOW, _ABOVE = 0.01, 8.0
"""m/z around the precursor within which peaks of the survey spectrum may be its isotopes."""
_FIELD = re.compile(r"\s*([A-Za-z][A-Za-z0-9_ /]*?)\s*[:=]\s*(.*)")
_ID = re.compile(r"(?:^|[|_ ;])(?:Alignment|Peak)?\s*ID[=: ]\s*(\d+)", re.IGNORECASE)


@dataclass
class _Record:
    """A feature as far as it has been read."""

    line: int
    fields: dict[str, str] = field(default_factory=dict)
    survey: list[tuple[float, float]] = field(default_factory=list)
    msms: list[tuple[float | None, list[tuple[float, float]]]] = field(default_factory=list)
    problem: str = ""
    peaks: list[tuple[float, float]] | None = None

    def add(self, text: str, line: int) -> None:
        """Take a field or a peak."""
        named = None if text[0].isdigit() else _FIELD.fullmatch(text)
        if named is None:
            self._peak(text, line)
            return
        key, value = re.sub(r"[\s_]", "", named[1]).lower(), named[2].strip()
        if key == "mstype":
            self.peaks = self.survey
            if value.upper().replace(" ", "") in ("MS2", "MS/MS", "MSMS"):
                self.peaks = []
                self.msms.append((number(self.fields.get("collisionenergy")), self.peaks))
        elif value:
            self.fields.setdefault(key, value)

    def _peak(self, text: str, line: int) -> None:
        try:
            found = peak(text)
        except ValueError as error:
            self.problem = self.problem or f"line {line}: {error}"
            return
        if self.peaks is None:  # of a file that does not say which spectrum this is
            self.peaks = []
            self.msms.append((None, self.peaks))
        self.peaks.append(found)


def read_msfinder_features(path: Path) -> FeatureTable:
    """Features of a `.mat` file or of all such files in a folder, which keep MS-DIAL's number of the peak or alignment.

    That is `PEAKID` or `ALIGNMENTID`, or `ID=` in name or comment, or else the name of a file with one feature, or
    `SCANNUMBER`. `MSTYPE: MS1` and `MSTYPE: MS2` begin spectra.

    Raises:
        ReadError: a file cannot be read, or holds no feature.
    """
    files = [path]
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.name.lower().removesuffix(".gz").endswith(ENDING))
        if not files:
            raise ReadError(path, f"holds no {ENDING} file of MS-DIAL or MS-FINDER")
    features: dict[str, Feature] = {}
    notes: list[str] = []
    for file in files:
        records = list(records_of(file, r"NAME\s*:", _Record))
        if not records:
            raise ReadError(file, f"no 'NAME:' in it; is it a {ENDING} file of MS-DIAL or MS-FINDER?")
        for record in records:
            try:
                one = _feature(record, path.stem, file if len(records) == 1 else None)
            except RecordError as error:
                notes.append(str(ReadError(file, str(error), line=record.line, record=record.fields.get("name"))))
                continue
            identifier, again = one.identifier or str(len(features) + 1), 2
            while identifier in features:
                identifier, again = f"{one.identifier}-{again}", again + 1
            features[identifier] = replace(one, identifier=identifier)
    known = (path.stem,) if any(f.areas for f in features.values()) else ()
    return FeatureTable(tuple(features.values()), known, tuple(notes))


def _feature(record: _Record, run: str, file: Path | None) -> Feature:
    """A feature; `run` is what its area is listed under, and `file` is it alone in."""
    fields = record.fields
    if record.problem:
        raise RecordError(record.problem)
    mz = number(first(fields, "precursormz", "precursorm/z"))
    if mz is None or mz <= 0:
        raise RecordError("no PRECURSORMZ; add the precursor's m/z")
    ion = ion_of(first(fields, "precursortype", "adduct"), fields.get("charge"), first(fields, "ionmode", "iontype"))
    made = [spectrum_of(peaks, mz, ion, energy) for energy, peaks in record.msms]
    spectra = tuple(s for s in made if s is not None)
    isotopes = arrays_of(p for p in record.survey if -_BELOW <= p[0] - mz <= _ABOVE)
    name = fields.get("name", "")
    area = number(first(fields, "peakarea", "area", "intensity"))
    stem = file.name.removesuffix(".gz")[: -len(ENDING)] if file is not None else ""
    return Feature(
        _identifier(fields) or stem or fields.get("scannumber", ""),
        mz,
        seconds(first(fields, "retentiontime", "rtinminutes", "rt")),
        ionmode=ion.ionmode,
        charge=ion.charge,
        areas={} if area is None else {run: area},
        adduct=ion.adduct,
        formula=first(fields, "formula"),
        name=None if re.match(r"(?i)unknown|null|w/o|$", name) else name,
        isotope_mz=isotopes[0],
        isotope_intensity=isotopes[1],
        spectra=spectra,
        merged=merge_energies(spectra, _PPM),
        scans=tuple(filter(None, [fields.get("scannumber")])),
        usis=tuple(u for u in [fields.get("usi", "")] if is_usi(u)),
    )


def _identifier(fields: dict[str, str]) -> str:
    for key in ("peakid", "alignmentid", "featureid"):
        if fields.get(key):
            return fields[key]
    for key in ("name", "comment"):
        if found := _ID.search(fields.get(key, "")):
            return found[1]
    return ""
