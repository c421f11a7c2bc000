"""Infrared spectra in JCAMP-DX files."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from molvis_core.errors import ReadError
from molvis_core.records import Measurement
from molvis_files.jcamp import Block, Table, read_blocks, refusal
from molvis_files.opening import read_text
from molvis_ir.readers.spectrum import Items, Vector, measurement, stem_of

log = logging.getLogger("molvis")


def read_jcamp(path: Path) -> Items:
    """Infrared spectra of a JCAMP-DX file: XYDATA, XYPOINTS and pages of NTUPLES, in LINK blocks too.

    A block that is damaged (cut off, another number of points than stated, a failing check, a factor that FIRSTY, MAXY
    and MINY contradict) is refused with its line, and so is one that holds another kind of data. Where only one of
    these labels contradicts the data, a warning names both numbers. A table of peaks is taken where it is in truth a
    spectrum: a hundred points or more, without gaps. Points marked as missing are left out. The structure comes from a
    SMILES or an InChI label of the block or of the LINK block around it; a molecular formula that contradicts it is an
    error.

    Raises:
        ReadError: the file cannot be read, or is no JCAMP-DX file.

    Reference: R. S. McDonald and P. A. Wilks, Appl. Spectrosc. 42 (1988) 151, doi:10.1366/0003702884428734
    """
    found = 0
    for outer in read_blocks(path):
        for block in outer.walk():
            for item in _jcamp_block(path, block, {**outer.labels, **block.labels}):
                found += 1
                yield item
    if not found:
        yield ReadError(path, "no data in it: there is no table after ##XYDATA=", line=1)


def is_jcamp(path: Path) -> bool:
    """Whether a file is JCAMP-DX, by its first line with anything on it, and not labelled as NMR or a mass spectrum."""
    try:
        head = read_text(path)[:200_000]
    except ReadError:
        return False
    # Comments may stand before the first label.
    first = next((line for line in head.splitlines() if line.strip() and not line.lstrip().startswith("$$")), "")
    other = r"^\s*##\s*DATA[\s_/-]*TYPE\s*=\s*(NMR|MASS)\b"
    infrared = r"^\s*##\s*DATA[\s_/-]*TYPE\s*=[^\n]*(INFRARED|\bIR\b)"
    flags = re.IGNORECASE | re.MULTILINE
    if not re.match(r"\s*##[^=\n]+=", first):
        return False
    return bool(re.search(infrared, head, flags)) or not re.search(other, head, flags)


_INFRARED = re.compile(r"(FT-?)?IR( SPECTRUM)?|((MID|NEAR|FAR)[ -]?)?INFRARED( SPECTRUM)?")


def _jcamp_block(path: Path, block: Block, labels: Mapping[str, str]) -> Items:
    infrared = _INFRARED.fullmatch(block.data_type)
    if block.tables and not infrared:
        what = f"of type {block.data_type!r}" if block.data_type else "without ##DATA TYPE="
        reason = f"a block {what}; molvis-ir reads ##DATA TYPE=INFRARED SPECTRUM"
        yield ReadError(path, reason, line=block.line, record=block.title or None)
    elif (bad := refusal(path, block)) is not None:
        yield bad
    elif infrared and not block.tables:
        yield ReadError(path, "a block without data", line=block.line, record=block.title or None)
    else:
        for doubt in block.doubts:
            log.warning("%s", ReadError(path, doubt.reason, line=doubt.line, record=block.title or None))
        for table in block.tables:
            yield _jcamp_table(path, block, table, labels)


def _jcamp_table(path: Path, block: Block, table: Table, labels: Mapping[str, str]) -> Measurement | ReadError:
    title = " ".join(filter(None, (block.title.partition("\n")[0], table.page)))
    if len(table.symbols) != 2 or table.texts or (table.label == "PEAKTABLE" and not _dense(table.x)):
        reason = "a list of peaks, not a spectrum, which has ##XYDATA= or ##XYPOINTS="
        return ReadError(path, reason, line=table.line, record=title or None)
    fields = {
        "name": _first(labels, "NAMES", "CASNAME") or title or _first(labels, "CASREGISTRYNO") or stem_of(path),
        "structure": _first(labels, "SMILES", "$SMILES") or _inchi(labels),
        "formula": _first(labels, "MOLFORM"),
        "source": _first(labels, "ORIGIN"),
        "contributor": _first(labels, "OWNER"),
        "identifier": title or stem_of(path),
    }
    units = [table.units.get(symbol, "") for symbol in table.symbols]
    return measurement(path, table.x, table.y, units[0], units[1], fields, line=table.line, record=title or None)


def _first(labels: Mapping[str, str], *names: str) -> str | None:
    """The first line of the first of these labels that is not empty."""
    lines = (labels.get(name, "").strip().partition("\n")[0].strip() for name in names)
    return next((line for line in lines if line), None)


def _inchi(labels: Mapping[str, str]) -> str | None:
    text = _first(labels, "INCHI", "$INCHI")
    return f"InChI={text}" if text and not text.startswith("InChI=") else text


def _dense(x: Vector) -> bool:
    steps = np.abs(np.diff(x))
    return len(x) >= 100 and bool((steps < 10 * np.median(steps)).all())
