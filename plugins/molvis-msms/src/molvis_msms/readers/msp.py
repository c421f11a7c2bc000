"""MSP libraries, as NIST, MoNA, RIKEN and MassBank write them."""

from __future__ import annotations

from pathlib import Path

from molvis_files.spectra import interpreted, msp_records
from molvis_msms.fields import measurement
from molvis_msms.readers.items import Items


def read_msp(path: Path) -> Items:
    """MSP libraries, as NIST, MoNA, RIKEN and MassBank write them.

    Raises:
        ReadError: the file cannot be read, or is empty.
    """
    return interpreted(path, msp_records(path), measurement)
