"""MSP libraries, as NIST, MoNA, RIKEN and MassBank write them."""

from __future__ import annotations

from pathlib import Path

from molvis_core.errors import ReadError
from molvis_files.spectra import msp_records
from molvis_msms.fields import measurement
from molvis_msms.readers.items import Items


def read_msp(path: Path) -> Items:
    """MSP libraries, as NIST, MoNA, RIKEN and MassBank write them.

    Raises:
        ReadError: the file cannot be read, or is empty.
    """
    for one in msp_records(path):
        yield (
            one
            if isinstance(one, ReadError)
            else measurement(path, one.fields, one.peaks, line=one.line, number=one.number)
        )
