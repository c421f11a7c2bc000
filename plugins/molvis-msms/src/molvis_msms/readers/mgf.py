"""Mascot generic format (MGF)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from molvis_core.errors import ReadError
from molvis_core.records import Measurement
from molvis_files.opening import lines
from molvis_files.spectra import peak
from molvis_msms.fields import measurement
from molvis_msms.readers.items import Items


def read_mgf(path: Path) -> Items:
    """Mascot generic format. Fields before the first `BEGIN IONS` hold for every spectrum that does not state its own.

    Raises:
        ReadError: the file cannot be read, or holds no `BEGIN IONS`.
    """
    shared: dict[str, str] = {}
    spectrum: _Spectrum | None = None
    number = 0
    for line_number, raw in lines(path):
        line = raw.strip()
        upper = line.upper()
        if upper == "BEGIN IONS":
            if spectrum is not None:
                reason = f"BEGIN IONS of line {spectrum.begin} has no END IONS"
                yield ReadError(path, reason, line=line_number, record=number)
            number += 1
            spectrum = _Spectrum(path, line_number, number, dict(shared))
        elif not line or line[0] in "#;!/":
            continue
        elif spectrum is not None:
            if upper == "END IONS":
                yield spectrum.finished()
                spectrum = None
            else:
                spectrum.add(line, line_number)
        elif number == 0 and _is_field(line):
            _put(shared, line)
    if number == 0:
        raise ReadError(path, "no BEGIN IONS in it; is it an MGF file?")
    if spectrum is not None:
        yield ReadError(path, "the file ends before END IONS: it is cut off", line=spectrum.begin, record=number)


class _Spectrum:
    """A spectrum from its `BEGIN IONS` on, as far as it has been read."""

    def __init__(self, path: Path, begin: int, number: int, fields: dict[str, str]) -> None:
        self.path, self.begin, self.number, self.fields = path, begin, number, fields
        self.peaks: list[tuple[float, float]] = []
        self.bad: ReadError | None = None

    def add(self, line: str, line_number: int) -> None:
        """Take a field or a peak; the first line that is neither makes the spectrum a bad one."""
        if _is_field(line):
            _put(self.fields, line)
        elif self.bad is None:
            try:
                self.peaks.append(peak(line))
            except ValueError as error:
                name = self.fields.get("title") or self.number
                self.bad = ReadError(self.path, str(error), line=line_number, record=name)

    def finished(self) -> Measurement | ReadError:
        """The measurement, or why it cannot be read."""
        if self.bad is not None:
            return self.bad
        return measurement(self.path, _titled(self.fields), self.peaks, line=self.begin, number=self.number)


def _is_field(line: str) -> bool:
    return "=" in line and not line[0].isdigit()


def _put(fields: dict[str, str], line: str) -> None:
    key, _, value = line.partition("=")
    fields[key.strip().lower()] = value.strip()


_IN_TITLES = {
    "scans": re.compile(r"\bscan=(\d+)"),  # ... File:"a.raw", NativeID:"controllerType=0 controllerNumber=1 scan=17"
    "rtinminutes": re.compile(r"(?<![\w.])(\d+\.?\d*) ?min\b"),  # Cmpd 1, +MSn(609.28), 7.8 min
    "ionmode": re.compile(r"(?<!\S)([+-])MS(?:n|\d|\b)"),
}
"""What msconvert and Bruker's programs write into titles, and nowhere else."""


def _titled(fields: Mapping[str, str]) -> dict[str, str]:
    """Fields, with those that only the title contains."""
    title = fields.get("title", "")[:300]
    stated = {name: found.group(1) for name, form in _IN_TITLES.items() if (found := form.search(title))}
    return {**stated, **fields}
