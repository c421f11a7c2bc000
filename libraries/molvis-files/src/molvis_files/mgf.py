"""Mascot generic format (MGF), taken apart into fields and peaks; what they mean is the reader's business."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from molvis_core.errors import ReadError
from molvis_files.opening import lines
from molvis_files.spectra import SpectrumText, peak

__all__ = ["mgf_records"]


def mgf_records(path: Path) -> Iterator[SpectrumText | ReadError]:
    """The spectra of a file. Fields before the first `BEGIN IONS` hold for every spectrum that does not state its own.

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

    def finished(self) -> SpectrumText | ReadError:
        """The spectrum, or why it cannot be read."""
        if self.bad is not None:
            return self.bad
        return SpectrumText(self.fields, self.peaks, self.begin, self.number)


def _is_field(line: str) -> bool:
    return "=" in line and not line[0].isdigit()


def _put(fields: dict[str, str], line: str) -> None:
    key, _, value = line.partition("=")
    fields[key.strip().lower()] = value.strip()
