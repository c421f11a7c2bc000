"""Spectral libraries as mzSpecLib text.

Reference: HUPO-PSI, mzSpecLib 1.0, https://psidev.info/mzSpecLib
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from molvis_core.errors import ReadError
from molvis_files.opening import lines
from molvis_files.spectra import peak
from molvis_msms.fields import measurement
from molvis_msms.readers.items import Items

_BLOCK = re.compile(r"<([A-Za-z]+)(?:[= ]([^>]*))?>")
_ATTRIBUTE = re.compile(r"(?:\[(\d+)\])?([A-Za-z]+:\w+)\|([^=]*)=(.*)")
_MEANING = {
    "MS:1003061": "name", "MS:1003208": "precursor_mz", "MS:1000744": "precursor_mz", "MS:1000041": "charge",
    "MS:1000465": "ionmode", "MS:1000045": "collision_energy", "MS:1000894": "rtinseconds", "MS:1000016": "rtinseconds",
    "MS:1003057": "scans", "MS:1003063": "usi", "MS:1000868": "smiles", "MS:1002894": "inchikey",
    "MS:1002813": "adduct", "MS:1000511": "ms_level",
}  # fmt: skip
"""What terms of the vocabulary are called here."""
_UNIT, _OTHER, _VALUE = "UO:0000000", "MS:1003275", "MS:1003276"


@dataclass
class _Entry:
    """A spectrum as far as it has been read.

    Attributes:
        begin: its first line.
        number: counted from 1.
        fields: of the spectrum and of its first analyte.
        peaks: m/z and intensity.
        problem: the first line that is neither an attribute nor a peak.
        block: that is being read.
        groups: by number of the group the field that its unit or its value belongs to.
    """

    begin: int
    number: int
    fields: dict[str, str] = field(default_factory=dict)
    peaks: list[tuple[float, float]] = field(default_factory=list)
    problem: str = ""
    block: str = "spectrum"
    groups: dict[str, str] = field(default_factory=dict)

    def add(self, line: str) -> None:
        """Take an attribute or a peak."""
        if self.block == "peaks":
            try:
                self.peaks.append(peak(line))
            except ValueError as error:
                self.problem = self.problem or str(error)
        elif found := _ATTRIBUTE.fullmatch(line):
            group, term, _, value = found.groups()
            self._put(group or "", term, value.rpartition("|")[2].strip())

    def _put(self, group: str, term: str, value: str) -> None:
        key = self.groups.get(group, "")
        if term == _UNIT:
            if key not in self.fields:
                return
            if key == "rtinseconds" and value == "minute":
                self.fields["rtinminutes"] = self.fields.pop(key)
            elif key == "collision_energy":
                self.fields[key] = f"{self.fields[key]} {'eV' if value == 'electronvolt' else value}"
        elif term == _OTHER:
            self.groups[group] = value.lower()
        elif term == _VALUE:
            self.fields.setdefault(key, value)
        elif (name := _MEANING.get(term)) and name not in self.fields:
            self.fields[name] = value.removesuffix(" scan") if name == "ionmode" else value
            self.groups[group] = name


def read_mzspeclib(path: Path) -> Items:
    """Spectra of an mzSpecLib text library; of several analytes the first counts. Annotations of peaks are passed over.

    Raises:
        ReadError: the file cannot be read, or does not begin with `<mzSpecLib`.
    """
    for entry in _entries(path):
        if entry.problem:
            yield ReadError(path, entry.problem, line=entry.begin, record=entry.fields.get("name") or entry.number)
        else:
            yield measurement(path, entry.fields, entry.peaks, line=entry.begin, number=entry.number)


def _entries(path: Path) -> Iterator[_Entry]:
    entry: _Entry | None = None
    number, analytes = 0, 0
    for line_number, line in _lines(path):
        found = _BLOCK.fullmatch(line)
        kind = found[1].lower() if found else ""
        if kind in ("spectrum", "cluster", "attributeset"):
            if entry is not None:
                yield entry
            entry = None
        if kind == "spectrum":
            number, analytes = number + 1, 0
            entry = _Entry(line_number, number)
        elif entry is not None and kind:
            analytes += kind == "analyte"
            # What a second analyte, or an interpretation of it, says is not of this compound.
            entry.block = kind if kind == "peaks" or analytes < 2 else "other"
        elif entry is not None and entry.block in ("spectrum", "analyte", "peaks"):
            entry.add(line)
    if entry is not None:
        yield entry


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that hold something, behind the one that a library begins with."""
    begun = False
    for line_number, raw in lines(path):
        line = raw.strip()
        if not line:
            continue
        if begun:
            yield line_number, line
        elif not re.match(r"<mz(Spec)?Lib", line, re.IGNORECASE):
            raise ReadError(path, "does not begin with <mzSpecLib>; is it an mzSpecLib text library?", line=line_number)
        begun = True
    if not begun:
        raise ReadError(path, "is empty; is it an mzSpecLib text library?")
