"""SDF libraries of spectra, as NIST's Lib2NIST exports them: a molfile, then data items, the peaks among them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from molvis_core.chemistry.structures import parse_molfile, structure_of
from molvis_core.errors import ReadError, StructureError
from molvis_core.records import Measurement
from molvis_files.opening import lines
from molvis_files.spectra import peak
from molvis_msms.fields import measurement
from molvis_msms.readers.items import Items

_PEAKS = "mass_spectral_peaks"
_ITEM = re.compile(r">.*<([^>]+)>")
_LOOKED_AT = 5000
"""Lines among which the first peaks of a library of spectra are."""


def is_nist_sdf(path: Path) -> bool:
    """Whether the first molecules of an SDF file have peaks."""
    return any("<MASS SPECTRAL PEAKS>" in line.upper() for _, line in itertools.islice(lines(path), _LOOKED_AT))


def read_nist_sdf(path: Path) -> Items:
    """SDF libraries of spectra, as NIST's Lib2NIST exports them.

    Data items are called like the lines of NIST's MSP: PRECURSOR M/Z, PRECURSOR TYPE, COLLISION ENERGY, ION MODE, ...

    Raises:
        ReadError: the file cannot be read, or is empty.
    """
    block: list[str] = []
    start, record = 1, 0
    for number, line in lines(path):
        if line.strip() != "$$$$":
            block.append(line.rstrip("\r\n"))
            continue
        record += 1
        yield _spectrum(path, block, start, record)
        block, start = [], number + 1
    if any(line.strip() for line in block):
        record += 1
        yield _spectrum(path, block, start, record)
    if record == 0:
        raise ReadError(path, "empty: no record in it")


def _spectrum(path: Path, block: Sequence[str], line: int, record: int) -> Measurement | ReadError:
    end = next((i for i, text in enumerate(block) if text.startswith("M  END")), None)
    if end is None:
        return ReadError(path, "the molecule is cut off: 'M  END' is missing", line=line, record=record)
    items = _items(block[end + 1 :])
    name = next(iter(items.get("name", [])), "") or block[0].strip() or record
    try:
        known = structure_of(parse_molfile("\n".join(block[: end + 1]) + "\n"))
        peaks = [peak(part) for row in items.get(_PEAKS, []) for part in row.split(";") if part.strip()]
    except (StructureError, ValueError) as error:
        return ReadError(path, str(error), line=line, record=name)
    fields = {key: rows[0] for key, rows in items.items() if key != _PEAKS and rows}
    return measurement(path, {**fields, "smiles": known.smiles}, peaks, line=line, number=record)


def _items(rows: Sequence[str]) -> dict[str, list[str]]:
    """Data items by lowercase name, each with its lines; the first of several of one name counts."""
    found: dict[str, list[str]] = {}
    mine: list[str] = []
    for row in rows:
        if match := _ITEM.match(row):
            mine = []
            found.setdefault(match.group(1).strip().lower().replace(" ", "_"), mine)
        elif row.strip():
            mine.append(row.strip())
    return found
