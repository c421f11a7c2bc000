"""MassBank records."""

from __future__ import annotations

import itertools
from pathlib import Path

from molvis_core.errors import ReadError
from molvis_files.opening import lines
from molvis_msms.fields import measurement, peak
from molvis_msms.readers.items import Items


def read_massbank(path: Path) -> Items:
    """MassBank records, one or several in a file, each ending with `//`.

    Raises:
        ReadError: the file cannot be read, or holds no record.
    """
    fields: dict[str, str] = {}
    peaks: list[tuple[float, float]] = []
    begin, number, in_peaks, bad = 0, 0, False, None
    for line_number, raw in lines(path):
        line = raw.rstrip()
        if not begin:
            if not line.upper().startswith("ACCESSION:"):
                continue
            fields, peaks, begin, number, in_peaks, bad = {}, [], line_number, number + 1, False, None
        if line == "//":
            yield bad or measurement(path, fields, peaks, line=begin, number=number)
            begin = 0
        elif in_peaks and raw.startswith("  "):
            try:
                peaks.append(peak(line))
            except ValueError as error:
                bad = bad or ReadError(path, str(error), line=line_number, record=fields.get("accession"))
        else:
            key, _, value = line.partition(":")
            key, value = key.strip().lower(), value.strip()
            in_peaks = key == "pk$peak"
            if key in ("ac$mass_spectrometry", "ac$chromatography", "ms$focused_ion", "ch$link"):
                # AC$MASS_SPECTROMETRY: ION_MODE POSITIVE
                sub, _, value = value.partition(" ")
                key = f"{key}:{sub.lower()}"
            fields.setdefault(key, value)
    if number == 0:
        raise ReadError(path, "no 'ACCESSION:' in it; is it a MassBank record?")
    if begin:
        yield ReadError(path, "the record ends before '//': it is cut off", line=begin, record=fields.get("accession"))


def is_massbank(path: Path) -> bool:
    """Whether a text file holds MassBank records: an accession stands among its first lines."""
    try:
        return any(line.upper().startswith("ACCESSION:") for _, line in itertools.islice(lines(path), 100))
    except ReadError:
        return False
