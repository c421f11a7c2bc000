"""What every reader of shifts does alike: nuclei, solvents, atoms, and records that are checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from molvis_core.errors import ReadError, RecordError
from molvis_core.records import Measurement, ShiftList

Items: TypeAlias = Iterator[Measurement | ReadError]

MODALITY = "nmr-shifts"
RANGES = {
    "13C": (-50.0, 300.0), "1H": (-40.0, 40.0), "19F": (-500.0, 500.0), "31P": (-600.0, 1800.0),
    "15N": (-600.0, 1200.0), "11B": (-200.0, 200.0), "29Si": (-500.0, 300.0), "17O": (-200.0, 1800.0),
    "77Se": (-1200.0, 2200.0), "195Pt": (-8000.0, 10000.0),
}  # fmt: skip
"""What a shift in ppm can be, of the nuclei that lists are usual of."""
_NUCLEUS = re.compile(r"\(?\s*(\d{1,3})\s*\)?\s*[-_]?\s*([A-Z][a-z]?)|([A-Z][a-z]?)\s*[-_]?\s*\(?(\d{1,3})\)?")
_WORDS = {
    "carbon": "13C",
    "proton": "1H",
    "hydrogen": "1H",
    "fluorine": "19F",
    "phosphorus": "31P",
    "h": "1H",
    "c": "13C",
}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_SOLVENTS = {
    "CDCl3": ("cdcl3", "chloroform-d", "chloroform-d1", "chloroformd", "deuterochloroform", "chcl3", "chloroform"),
    "DMSO-d6": ("dmso-d6", "dmso", "d6-dmso", "(cd3)2so", "cd3socd3", "dimethylsulfoxide-d6", "dimethylsulphoxide-d6",
                "dmsod6", "[d6]dmso", "dmso-d_6"),
    "CD3OD": ("cd3od", "methanol-d4", "meod", "meod-d4", "d4-methanol", "methanol", "meoh-d4", "methanold4"),
    "acetone-d6": ("acetone-d6", "(cd3)2co", "d6-acetone", "acetone", "cd3cocd3", "acetoned6"),
    "D2O": ("d2o", "deuteriumoxide", "h2o/d2o", "d2o/h2o"),
    "pyridine-d5": ("pyridine-d5", "c5d5n", "d5-pyridine", "pyridine"),
    "C6D6": ("c6d6", "benzene-d6", "d6-benzene", "benzene"),
    "CCl4": ("ccl4", "carbontetrachloride"),
    "THF-d8": ("thf-d8", "d8-thf", "tetrahydrofuran-d8", "thf"),
    "CD3CN": ("cd3cn", "acetonitrile-d3", "mecn-d3", "d3-mecn", "mecn", "acetonitrile"),
    "CD2Cl2": ("cd2cl2", "dichloromethane-d2", "methylenechloride-d2", "dichloromethane"),
}  # fmt: skip
_SPELT = {spelling: name for name, spellings in _SOLVENTS.items() for spelling in spellings}


def nucleus_of(text: str) -> str | None:
    """`13C` from `13C`, `C13`, `^13C`, `¹³C`, `NUC_1H` or `carbon`; None where it names none."""
    plain = text.translate(_SUPERSCRIPTS).replace("^", "").strip()
    named = {
        "carbon": "13C",
        "proton": "1H",
        "hydrogen": "1H",
        "fluorine": "19F",
        "phosphorus": "31P",
        "h": "1H",
        "c": "13C",
    }
    if (known := named.get(plain.lower())) is not None:
        return known
    found = _NUCLEUS.search(plain)
    if found is None:
        return None
    number, symbol = (found[1], found[2]) if found[1] else (found[4], found[3])
    return f"{int(number)}{symbol}" if int(number) > 0 else None


def solvent_of(text: str | None) -> str | None:
    """A solvent by its usual name, such as `CDCl3`; one that is not known as it is, None where nothing is said."""
    if text is None or not (plain := text.strip()):
        return None
    short = re.sub(r"[\s{}$]", "", plain.translate(str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789"))).lower()
    if short in ("unknown", "unreported", "n/a", "none", "?"):
        return None
    return _SPELT.get(short, plain[:80])


def check(record: ShiftList) -> ShiftList:
    """A list with shifts that its nucleus can have.

    Raises:
        RecordError: it is empty, or a shift is out of range.
    """
    if not len(record):
        raise RecordError(f"a list of {record.nucleus} shifts without any shift")
    nucleus = record.nucleus
    if nucleus not in RANGES:
        return record
    low, high = RANGES[nucleus]
    bad = [s for s in record.shifts.tolist() if not low <= s <= high]
    if bad:
        raise RecordError(
            f"{bad[0]:g} ppm is no {nucleus} shift, which lie between {low:g} and {high:g}; check the nucleus and the "
            "column"
        )
    return record


def numbers(values: Sequence[float | None] | None) -> Float[np.ndarray, " p"] | None:
    """Numbers as an array; None where one is missing, or is 0."""
    return np.array(values, dtype=np.float64) if values and all(values) else None


def attached(multiplicity: Sequence[str]) -> tuple[str, ...]:
    """Multiplicities of a list; none at all where no signal has one."""
    texts = tuple(str(m).strip() for m in multiplicity)
    return texts if any(texts) else ()
