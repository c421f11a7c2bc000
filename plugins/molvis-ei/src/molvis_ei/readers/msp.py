"""MSP libraries of electron ionization spectra."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from molvis_core.errors import ReadError
from molvis_ei.readers.fields import Items, measurement
from molvis_files.spectra import interpreted, msp_records

_ION = {"precursormz", "precursor_mz", "pepmass", "precursor_m/z", "adduct", "precursortype", "precursor_type"}
_TELLS = ("ionization", "ionisation", "instrument_type", "instrumenttype", "ionmode", "ion_mode", "spectrum_type")
_EI = re.compile(r"(^|[-\s])EI([-+\s]|$)|electron (ionization|impact)", re.IGNORECASE)
_GAS = {"retention_index", "retentionindex", "ri", "mw", "retention_index_type"}


def read_msp(path: Path) -> Items:
    """MSP libraries of electron ionization spectra, as NIST, MoNA, RIKEN and AMDIS's users write them.

    The derivative is read from a field of its own or from the name, such as `Glucose, 5TMS derivative`.

    Raises:
        ReadError: the file cannot be read, or is empty.
    """
    return interpreted(path, msp_records(path), measurement)


def is_ei_msp(path: Path) -> bool:
    """Whether the first record of an MSP library is of electron ionization: it says so, or it names no ion but has what
    libraries of gas chromatography have.
    """
    try:
        for one in itertools.islice(msp_records(path), 3):
            if isinstance(one, ReadError):
                continue
            if any(_EI.search(one.fields.get(key, "")) for key in _TELLS):
                return True
            return not _ION & one.fields.keys() and bool(_GAS & one.fields.keys())
    except ReadError:
        return False
    return False
