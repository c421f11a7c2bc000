"""Libraries of spin systems: one JSON file with many of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.errors import MolvisError, ReadError
from molvis_core.files import read_text
from molvis_nmr.system import SpinSystem


def read_library(path: Path | str) -> list[SpinSystem]:
    """The spin systems of a library.

    The file holds `{"systems": [...]}`, each with `id`, `name`, `multiplicity`, `shifts_ppm` (of groups, in ppm) and
    `couplings_Hz` (rows of two indices of groups and a J in Hz); `nuclei`, `labels`, `line_width_Hz` (w of
    w / (w^2 + v^2), one for all or one for each), `intensity_factors`, `inchi` and `field_MHz` where known.

    Raises:
        ReadError: the file cannot be read, is no such library, or a system in it cannot be.
    """
    path = Path(path)
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ReadError(path, f"is not JSON: {error.msg}", line=error.lineno) from error
    systems = content.get("systems") if isinstance(content, dict) else None
    if not isinstance(systems, list):
        raise ReadError(path, 'is no library of spin systems: an object with a list "systems" is wanted')
    return [_system(path, number, entry) for number, entry in enumerate(systems, start=1)]


def _system(path: Path, number: int, entry: Any) -> SpinSystem:
    if not isinstance(entry, dict):
        raise ReadError(path, f"is a {type(entry).__name__}; an object is wanted", record=number)
    record = entry.get("id") or number
    try:
        shifts = np.array(entry["shifts_ppm"], dtype=np.float64)
        size = len(shifts)
        couplings = np.zeros((size, size))
        for k, m, hertz in entry["couplings_Hz"]:
            if not (0 <= k < size and 0 <= m < size and k != m):
                raise ReadError(path, f"couples groups {k} and {m} of {size}, counted from 0", record=record)
            couplings[k, m] = couplings[m, k] = hertz
        labels = entry.get("labels") or [f"H{k}" for k in range(1, size + 1)]
        width, r = entry.get("line_width_Hz"), entry.get("intensity_factors")
        return SpinSystem(
            names=tuple(labels),
            shifts=shifts,
            couplings=couplings,
            multiplicity=np.array(entry["multiplicity"], dtype=np.int64),
            nuclei=tuple(entry.get("nuclei") or ()),
            widths=np.broadcast_to(np.array(1.0 if width is None else width, dtype=np.float64), size),
            intensities=np.broadcast_to(np.array(1.0 if r is None else r, dtype=np.float64), size),
            name=str(entry.get("name") or ""),
            identifier=str(entry.get("id") or ""),
            inchi=str(entry.get("inchi") or ""),
            frequency=entry.get("field_MHz"),
        )
    except KeyError as error:
        raise ReadError(path, f"has no {error.args[0]!r}", record=record) from error
    except ReadError:
        raise
    except (MolvisError, TypeError, ValueError) as error:
        raise ReadError(path, str(error), record=record) from error
