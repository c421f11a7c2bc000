"""Mass spectra in JCAMP-DX files."""

from __future__ import annotations

import re
from pathlib import Path

from molvis_core.errors import ReadError, RecordError
from molvis_ei.readers.fields import Items, measurement
from molvis_files.jcamp import Block, read_blocks, refusal

_OTHER_IONS = re.compile(r"\b(ESI|APCI|MALDI|FAB|CI|FI|FD)\b", re.IGNORECASE)


def read_jcamp(path: Path) -> Items:
    """Mass spectra of a JCAMP-DX file: tables of peaks of `##DATA TYPE=MASS SPECTRUM`, in LINK blocks too.

    A block of another kind of data, or of another ionization, is refused with its line, and so is a damaged one. The
    structure comes from a SMILES or an InChI label.

    Raises:
        ReadError: the file cannot be read, or is no JCAMP-DX file.

    Reference: P. Lampen et al., Appl. Spectrosc. 48 (1994) 1545, doi:10.1366/0003702944027840
    """
    number = 0
    for outer in read_blocks(path):
        for block in outer.walk():
            if not block.tables:
                continue
            number += 1
            yield from _block(path, block, {**outer.labels, **block.labels}, number)
    if not number:
        yield ReadError(path, "no data in it: there is no table of peaks", line=1)


def _block(path: Path, block: Block, labels: dict[str, str], number: int) -> Items:
    record = block.title or None
    ionization = labels.get(".IONIZATIONMODE", "")
    if block.data_type != "MASS SPECTRUM" or _OTHER_IONS.search(ionization):
        what = f"of type {block.data_type!r}" if block.data_type else "without ##DATA TYPE="
        what += f" and ionization {ionization!r}" if ionization else ""
        reason = f"a block {what}; molvis-ei reads ##DATA TYPE=MASS SPECTRUM of electron ionization"
        yield ReadError(path, reason, line=block.line, record=record)
        return
    if (bad := refusal(path, block)) is not None:
        yield bad
        return
    lines = {key: value.strip().partition("\n")[0].strip() for key, value in labels.items()}
    fields = {
        "name": lines.get("NAMES") or block.title.partition("\n")[0],
        "smiles": lines.get("SMILES") or lines.get("$SMILES", ""),
        "inchi": (lines.get("INCHI") or lines.get("$INCHI", "")).removeprefix("InChI="),
        "source": lines.get("ORIGIN", ""),
        "contributor": lines.get("OWNER", ""),
        "column": lines.get("$COLUMN", ""),
        "retention_index": lines.get("$RETENTIONINDEX", ""),
        "identifier": block.title.partition("\n")[0],
        "instrument_type": lines.get("SPECTROMETER/DATASYSTEM", ""),
    }
    for table in block.tables:
        try:
            peaks = list(zip(table.x.tolist(), table.y.tolist(), strict=True))
        except (RecordError, ValueError) as error:
            yield ReadError(path, str(error), line=table.line, record=record)
            continue
        yield measurement(path, fields, [p for p in peaks if p[0] > 0], line=table.line, number=number)


def is_mass_spectrum(path: Path) -> bool:
    """Whether a JCAMP-DX file says that it holds mass spectra."""
    from molvis_files.opening import lines

    try:
        for number, (_, line) in enumerate(lines(path)):
            if re.match(r"\s*##DATA[ _-]?TYPE\s*=\s*MASS SPECTRUM", line, re.IGNORECASE):
                return True
            if number > 500:
                return False
    except ReadError:
        return False
    return False
