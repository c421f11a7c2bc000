"""Mascot generic format (MGF)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from molvis_core.errors import ReadError
from molvis_files.mgf import mgf_records
from molvis_msms.fields import measurement
from molvis_msms.readers.items import Items


def read_mgf(path: Path) -> Items:
    """Mascot generic format. Fields before the first `BEGIN IONS` hold for every spectrum that does not state its own.

    Raises:
        ReadError: the file cannot be read, or holds no `BEGIN IONS`.
    """
    for one in mgf_records(path):
        if isinstance(one, ReadError):
            yield one
        else:
            yield measurement(path, _titled(one.fields), one.peaks, line=one.line, number=one.number)


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
