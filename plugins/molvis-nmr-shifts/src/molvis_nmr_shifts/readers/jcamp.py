"""Tables of NMR peaks in JCAMP-DX files.

Reference: A. N. Davies and P. Lampen, Appl. Spectrosc. 47 (1993) 1093, doi:10.1366/0003702934067874
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from molvis_core.errors import ReadError, RecordError, StructureError
from molvis_core.records import Measurement, ShiftList
from molvis_files.jcamp import Table, parse_number, read_blocks, refusal
from molvis_files.opening import read_text
from molvis_files.spectra import known_structure
from molvis_nmr_shifts.readers.items import MODALITY, Items, attached, check, nucleus_of, solvent_of


def is_peak_table(path: Path) -> bool:
    """Whether a JCAMP-DX file says that it holds a table of NMR peaks, or their assignments."""
    try:
        head = read_text(path)[:200_000]
    except ReadError:
        return False
    return bool(re.search(r"^##\s*DATA[\s_/-]*TYPE\s*=\s*NMR\s*PEAK", head, re.IGNORECASE | re.MULTILINE))


def read_peak_table(path: Path) -> Items:
    """Shifts of `##DATA TYPE=NMR PEAK TABLE` and `NMR PEAK ASSIGNMENTS`, in ppm, or in Hz with the observe frequency.

    Raises:
        ReadError: the file cannot be read, or holds no such block.
    """
    blocks = [
        (top, b) for top in read_blocks(path) for b in top.walk() if b.data_type.startswith("NMR PEAK") and b.tables
    ]
    if not blocks:
        raise ReadError(path, "no table in it under ##DATA TYPE=NMR PEAK TABLE or NMR PEAK ASSIGNMENTS")
    for number, (top, block) in enumerate(blocks, start=1):
        record = block.title.partition("\n")[0].strip() or number
        if (bad := refusal(path, block)) is not None:
            yield bad
            continue
        for table in block.tables:
            try:
                yield _list({**top.labels, **block.labels}, table, str(record))
            except (RecordError, StructureError, KeyError, ValueError) as error:
                yield ReadError(path, str(error), line=table.line, record=record)


def _list(labels: Mapping[str, str], table: Table, record: str) -> Measurement:
    first = {key: value.partition("\n")[0].strip() for key, value in labels.items()}
    stated = first.get(".OBSERVENUCLEUS", "")
    nucleus = nucleus_of(stated)
    if nucleus is None:
        raise RecordError(f"##.OBSERVE NUCLEUS= is {stated!r}; write it like ^13C")
    x = table.x
    unit = (table.units.get(table.symbols[0]) or first.get("XUNITS", "PPM")).upper()
    if unit in ("HZ", "HERTZ"):
        frequency = parse_number(first.get(".OBSERVEFREQUENCY"))
        if not frequency:
            raise RecordError("its axis is in Hz, and ##.OBSERVE FREQUENCY= is missing")
        x = x / frequency
    elif "PPM" not in unit and "PARTS PER MILLION" not in unit:
        raise RecordError(f"its axis is in {unit or 'no unit'}; shifts are read in PPM or HZ")
    kinds = [text.strip() for text in table.texts.get("M", ())]
    smiles = first.get("SMILES") or first.get("$SMILES") or first.get("INCHI") or first.get("$INCHI")
    record_found = ShiftList(
        x, nucleus, multiplicity=attached(kinds), solvent=solvent_of(first.get(".SOLVENTNAME")), identifier=record
    )
    return Measurement(
        check(record_found), known_structure(smiles) if smiles else None, MODALITY, name=first.get("NAMES") or None
    )
