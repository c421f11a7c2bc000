"""Mascot generic format (MGF)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from molvis_core.errors import ReadError
from molvis_files.opening import lines
from molvis_msms.fields import measurement, peak
from molvis_msms.readers.items import Items


def read_mgf(path: Path) -> Items:
    """Mascot generic format. Fields before the first `BEGIN IONS` hold for every spectrum that does not state its own.

    Raises:
        ReadError: the file cannot be read, or holds no `BEGIN IONS`.
    """
    shared: dict[str, str] = {}
    fields: dict[str, str] = {}
    peaks: list[tuple[float, float]] = []
    begin, number, bad = 0, 0, None
    for line_number, raw in lines(path):
        line = raw.strip()
        if line.upper() == "BEGIN IONS":
            if begin:
                yield ReadError(path, f"BEGIN IONS of line {begin} has no END IONS", line=line_number, record=number)
            fields, peaks, begin, number, bad = dict(shared), [], line_number, number + 1, None
        elif not line or line[0] in "#;!/":
            continue
        elif begin and line.upper() == "END IONS":
            yield bad or measurement(path, _titled(fields), peaks, line=begin, number=number)
            begin = 0
        elif "=" in line and not line[0].isdigit():
            key, _, value = line.partition("=")
            if begin or number == 0:
                (fields if begin else shared)[key.strip().lower()] = value.strip()
        elif begin and bad is None:
            try:
                peaks.append(peak(line))
            except ValueError as error:
                name = fields.get("title") or number
                bad = ReadError(path, str(error), line=line_number, record=name)
    if number == 0:
        raise ReadError(path, "no BEGIN IONS in it; is it an MGF file?")
    if begin:
        yield ReadError(path, "the file ends before END IONS: it is cut off", line=begin, record=number)


_IN_TITLES = {
    "scans": re.compile(r"\bscan=(\d+)"),  # ... File:"a.raw", NativeID:"controllerType=0 controllerNumber=1 scan=17"
    "rtinminutes": re.compile(r"(?<![\w.])(\d+\.?\d*) ?min\b"),  # Cmpd 1, +MSn(609.28), 7.8 min
    "ionmode": re.compile(r"(?<!\S)([+-])MS(?:n|\d|\b)"),
}
"""What msconvert and Bruker's programs write into titles, and nowhere else."""


def _titled(fields: Mapping[str, str]) -> dict[str, str]:
    """Fields, with those that only the title contains."""
    title = fields.get("title", "")[:300]
    told = {name: found.group(1) for name, form in _IN_TITLES.items() if (found := form.search(title))}
    return {**told, **fields}
