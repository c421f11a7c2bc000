"""The scans of a run."""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from molvis_core.errors import LeftOutError, ReadError
from molvis_lcms import mzml
from molvis_lcms.centroiding import centroid, looks_like_profile
from molvis_lcms.elements import read_run
from molvis_lcms.records import Scan

__all__ = ["Problems", "read_scans", "scan_number"]

_NORMAL_MZ = 500.0
"""m/z at which a normalized collision energy is that many eV, on Orbitrap instruments."""


def read_scans(path: Path) -> Iterator[Scan | ReadError]:
    """The survey scans and the MS/MS scans of an mzML file, one at a time, in the order of the file.

    Profiles are turned into peaks, by `molvis_lcms.centroiding`, whether the file calls them profiles or not; what it
    calls profiles and are none is taken as the peaks that it is. Points without height are left out. What cannot be
    used is passed on as an error that says why: a damaged array, a scan without time, MS/MS without precursor; scans of
    higher levels as a `LeftOutError`. Of a file that is cut off the scans before the cut are kept.

    Raises:
        ReadError: the file cannot be read as mzML, or holds no scan.
    """
    groups: dict[str, mzml.Terms] = {}

    def keep(element: Any) -> None:
        groups[element.get("id", "")] = mzml.terms(element, {})

    def scan(element: Any, number: int) -> Scan | ReadError:
        return _scan(path, element, mzml.terms(element, groups), groups, number)

    yield from read_run(path, "mzML", "spectrum", scan, {"referenceableParamGroup": keep}, kept="scan")


class Problems:
    """What was wrong in a file, counted: a run of ten thousand scans has the same complaint ten thousand times."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self._first: dict[str, int | None] = {}

    def add(self, reason: str, line: int | None = None) -> None:
        """Count one."""
        self.counts[reason] += 1
        self._first.setdefault(reason, line)

    def sound(self, items: Iterable[Scan | ReadError]) -> Iterator[Scan]:
        """The scans among items; the errors are counted."""
        for item in items:
            if isinstance(item, ReadError):
                self.add(item.reason, item.line)
            else:
                yield item

    def lines(self) -> list[str]:
        """A line for each reason."""
        out: list[str] = []
        for reason, count in self.counts.items():
            line = self._first[reason]
            place = f" (first at line {line})" if line is not None and count > 1 else ""
            out.append(f"{self.path.name}: {reason}{f', {count} times{place}' if count > 1 else ''}")
        return out


def scan_number(identifier: str) -> str:
    """The number within a scan's name, such as 17 of `controllerType=0 controllerNumber=1 scan=17`; else the name."""
    found = re.search(r"\b(?:scan|index|spectrum|scanId)=(\d+)", identifier)
    return found.group(1) if found else identifier


def _scan(
    path: Path, element: Any, terms: mzml.Terms, groups: Mapping[str, mzml.Terms], number: int
) -> Scan | ReadError:
    identifier, line = str(element.get("id", number)), element.sourceline
    stated = terms.get(mzml.LEVEL, "")
    level = int(stated) if re.fullmatch(r"[0-9]{1,2}", stated) else 1 if not stated else 0
    if level not in (1, 2):
        reason = f"a scan of level {stated}; survey scans and MS/MS are read, others are passed over"
        return LeftOutError(path, reason, line=line, record=identifier)
    time = _time(element)
    if time is None:
        return ReadError(path, "the scan states no time, and is left out", line=line, record=identifier)
    ion = mzml.ion_terms(element, groups) if level == 2 else {}
    # The isolation window's middle stands in where no peak was picked in it.
    precursor = _positive(ion.get(mzml.SELECTED)) or _positive(ion.get(mzml.TARGET))
    if level == 2 and precursor is None:
        return ReadError(path, "the MS/MS scan names no precursor", line=line, record=identifier)
    try:
        mz, intensity = mzml.arrays(element, groups)
    except (ValueError, zlib.error) as error:
        return ReadError(path, f"its peaks cannot be decoded: {error}", line=line, record=identifier)
    if len(mz) != len(intensity):
        reason = "the scan has unlike numbers of m/z values and intensities"
        return ReadError(path, reason, line=line, record=identifier)
    profile = looks_like_profile(*_ordered(mz, intensity), stated=mzml.PROFILE in terms)
    mz, intensity = _peaks(mz, intensity, profile)
    ionmode = "negative" if mzml.NEGATIVE in terms else "positive" if mzml.POSITIVE in terms else None
    return Scan(
        level,
        time,
        mz,
        intensity,
        ionmode=ionmode,
        precursor_mz=precursor,
        isolation=_isolation(ion),
        charge=_charge(ion.get(mzml.CHARGE), ionmode),
        collision_energy=_energy(ion, precursor),
        centroid=not profile,
        number=scan_number(identifier),
        line=line,
    )


def _ordered(mz: np.ndarray, intensity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if (np.diff(mz) >= 0).all():
        return mz, intensity
    order = np.argsort(mz, kind="stable")
    return mz[order], intensity[order]


def _peaks(
    mz: np.ndarray, intensity: np.ndarray, profile: bool
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"]]:
    """Peaks in order, of finite m/z and with a height."""
    usable = np.isfinite(mz) & np.isfinite(intensity) & (mz > 0) & (intensity >= 0)
    mz, intensity = _ordered(mz[usable], intensity[usable])
    if profile:
        mz, intensity = centroid(mz, intensity)
    there = intensity > 0
    return mz[there].astype(np.float64), intensity[there].astype(np.float32)


def _time(element: Any) -> float | None:
    """Of the scan in s, where it is stated and can be."""
    term = element.find(f"{{*}}scanList/{{*}}scan/{{*}}cvParam[@accession='{mzml.TIME}']")
    value = _number(term.get("value")) if term is not None else None
    if term is None or value is None or value < 0:
        return None
    return value * (60.0 if term.get("unitAccession") == mzml.MINUTE else 1.0)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _positive(text: str | None) -> float | None:
    value = _number(text)
    return value if value is not None and value > 0 else None


def _isolation(ion: mzml.Terms) -> tuple[float, float] | None:
    middle, low, high = (_number(ion.get(name)) for name in (mzml.TARGET, mzml.LOWER_OFFSET, mzml.UPPER_OFFSET))
    if middle is None or low is None or high is None or low < 0 or high < 0:
        return None
    return middle - low, middle + high


def _charge(text: str | None, ionmode: str | None) -> int | None:
    if not (text and re.fullmatch(r"[+-]?[0-9]{1,2}", text)) or int(text) == 0:
        return None
    return -abs(int(text)) if ionmode == "negative" else int(text)


def _energy(ion: mzml.Terms, precursor: float | None) -> float | None:
    """In eV; a normalized energy becomes eV as NCE x m/z / 500, the convention of Orbitrap instruments."""
    if (plain := _number(ion.get(mzml.ENERGY))) is not None:
        return plain
    normalized = _number(ion.get(mzml.NORMALIZED))
    return normalized * precursor / _NORMAL_MZ if normalized is not None and precursor else None
