"""Isotope patterns from files: MGF with survey spectra, SIRIUS' .ms, and plain lists of peaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from molvis_core.errors import ReadError, RecordError
from molvis_core.records import Measurement, PeakList
from molvis_files.opening import lines

__all__ = ["Survey", "pattern_for", "read_surveys"]

_NAMES = ("feature_id", "title", "scans")
_SURVEY_OF_MS = (">ms1", ">ms1merged", ">ms1peaks")


@dataclass(frozen=True, eq=False, slots=True)
class Survey:
    """An MS1 spectrum, and which ion it belongs to.

    Attributes:
        peaks: of the spectrum.
        names: that the file gives the ion: feature id, title, scans; empty for a plain list, which belongs to all.
    """

    peaks: PeakList
    names: frozenset[str]


@dataclass
class _Block:
    names: set[str] = field(default_factory=set)
    precursor: float | None = None
    survey: bool = False
    rows: list[tuple[float, float]] = field(default_factory=list)


def read_surveys(path: Path) -> list[Survey]:
    """MS1 spectra of a file: `MSLEVEL=1` of an MGF, `>ms1` and `>ms1merged` of a .ms, or all lines of a list of peaks.

    Raises:
        ReadError: a line of peaks that holds no two numbers, with its place.
    """
    kind = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    found: list[Survey] = []
    for block in {"mgf": _mgf, "ms": _ms}.get(kind, _plain)(path):
        if not (block.survey and block.rows):
            continue
        mz, height = np.array(block.rows).T
        try:
            peaks = PeakList(mz, height, precursor_mz=block.precursor, ms_level=1)
        except RecordError as error:
            raise ReadError(path, f"an MS1 spectrum of it cannot be used: {error}") from error
        found.append(Survey(peaks, frozenset(block.names)))
    return found


def pattern_for(query: Measurement, surveys: Sequence[Survey], ppm: float) -> PeakList | None:
    """The MS1 spectrum of a query: of the same name, else of the same precursor, else the only one without either."""
    origin, spectrum = query.origin, query.record
    names = {str(n) for n in (origin.feature_id, origin.scans, spectrum.identifier, query.name) if n}
    for survey in surveys:
        if names & survey.names:
            return survey.peaks
    mz = spectrum.precursor_mz
    for survey in surveys:
        other = survey.peaks.precursor_mz
        if mz is not None and other is not None and abs(other - mz) <= ppm * 1e-6 * mz:
            return survey.peaks
    bare = [s for s in surveys if not s.names and s.peaks.precursor_mz is None]
    return bare[0].peaks if len(bare) == 1 else None


def _peak(path: Path, number: int, line: str) -> tuple[float, float]:
    parts = line.replace(",", " ").replace(";", " ").split()
    try:
        return float(parts[0]), float(parts[1])
    except (ValueError, IndexError) as error:
        raise ReadError(path, f"a peak is an m/z and an intensity, this line is {line[:60]!r}", line=number) from error


def _mgf(path: Path) -> Iterator[_Block]:
    block: _Block | None = None
    for number, line in lines(path):
        text = line.strip()
        if text.upper() == "BEGIN IONS":
            block = _Block()
        elif text.upper() == "END IONS":
            if block:
                yield block
            block = None
        elif block is None or not text or text.startswith("#"):
            continue
        elif "=" in text and not text[0].isdigit():
            _enter(block, text)
        elif block.survey:
            block.rows.append(_peak(path, number, text))


def _enter(block: _Block, text: str) -> None:
    """Keep what a line KEY=VALUE of an MGF says of the ion."""
    key, _, value = text.partition("=")
    key, value = key.strip().lower(), value.strip()
    if key == "mslevel":
        block.survey = value == "1"
    elif key == "pepmass" and value:
        block.precursor = _number(value.split()[0])
    elif key in _NAMES and value:
        block.names.add(value)


def _ms(path: Path) -> Iterator[_Block]:
    names: set[str] = set()
    precursor: float | None = None
    block: _Block | None = None
    for number, line in lines(path):
        text = line.strip()
        if text.startswith(">"):
            if block:
                yield block
            key, _, value = text.partition(" ")
            key = key.lower()
            if key == ">compound":
                names, precursor = {value.strip()}, None
            elif key == ">feature_id":
                names.add(value.strip())
            elif key == ">parentmass":
                precursor = _number(value)
            block = _Block(set(names), precursor, survey=True) if key in _SURVEY_OF_MS else None
        elif block and text and not text.startswith("#"):
            block.rows.append(_peak(path, number, text))
    if block:
        yield block


def _plain(path: Path) -> Iterator[_Block]:
    block = _Block(survey=True)
    for number, line in lines(path):
        text = line.strip()
        if text and not text.startswith("#") and not (number == 1 and text[0].isalpha()):
            block.rows.append(_peak(path, number, text))
    yield block


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
