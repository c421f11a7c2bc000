"""A laboratory's own offset, from compounds whose cross sections it knows.

Two laboratories that measured the same ion differ by 1.1% in the median, and each rather by an offset of its own than
at random. With a few known compounds that offset is estimated and taken off: the mean of their errors under Student's
t, drawn towards 0 by a normal prior.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from molvis_ccs.predictor.ensemble import INSTRUMENTS, CcsEnsemble
from molvis_ccs.readers.csv import read_csv
from molvis_ccs.readers.parquet import read_parquet
from molvis_core.errors import RecordError
from molvis_core.records import Measurement

log = logging.getLogger("molvis")
OF_LABORATORIES, OF_VALUES = 0.015, 0.025
"""Relative standard deviations: of the offsets of laboratories, and of the errors of compounds within one."""
_TAILS, _ROUNDS = 3, 20


def offset(errors: Float[np.ndarray, " n"]) -> float:
    """The offset of a laboratory from the logarithms of measured by predicted, one for each compound; 0 of none."""
    found = 0.0
    for _ in range(_ROUNDS):
        trust = (_TAILS + 1) / (_TAILS + ((errors - found) / OF_VALUES) ** 2)
        found = float((trust @ errors) / (trust.sum() + (OF_VALUES / OF_LABORATORIES) ** 2))
    return found


def correct(model: CcsEnsemble, measurements: Sequence[Measurement], where: str = "calibrants") -> str:
    """Take a laboratory's offset into a predictor, for each type of instrument that it was measured with.

    Returns the offsets in words: `TW +1.20% by 5 compounds`.

    Args:
        model: that is changed.
        measurements: of compounds whose structure is known; those that the predictor cannot predict are passed over.
        where: that they are from, for messages.

    Raises:
        RecordError: none of them can be predicted.
        molvis_core.errors.StructureError: RDKit refuses a structure.
    """
    # What can be predicted is known to the module that gathers what is learned from.
    from molvis_ccs.training.ions import usable

    rows = [m for m in measurements if usable(m)]
    if not rows:
        raise RecordError(
            f"{where}: no cross section in N2 with a structure, an adduct of {', '.join(model.adducts)} and a type of "
            f"instrument ({', '.join(INSTRUMENTS)})"
        )
    kinds = np.array([m.record.instrument_type for m in rows])
    compounds = np.array([m.structure.inchikey14 for m in rows if m.structure])
    shift = model.get_buffer("shift")
    shift.zero_()
    mean, _ = model.predict([m.structure for m in rows if m.structure], [m.record.adduct for m in rows], kinds.tolist())
    error = np.log(np.array([m.record.value for m in rows]) / mean)
    told: list[str] = []
    for kind in sorted(set(kinds)):
        some = kinds == kind
        of_compounds = [error[some & (compounds == one)].mean() for one in sorted(set(compounds[some]))]
        shift[INSTRUMENTS.index(kind)] = found = offset(np.array(of_compounds))
        count = len(of_compounds)
        told.append(f"{kind} {100 * found:+.2f}% by {count} compound{'s' if count > 1 else ''}")
    shift[len(INSTRUMENTS)] = shift[[INSTRUMENTS.index(kind) for kind in set(kinds)]].mean()
    log.info("%s: measured against predicted: %s", where, ", ".join(told))
    return ", ".join(told)


def read_calibrants(path: Path) -> list[Measurement]:
    """Measurements of a table as text or Parquet; rows that cannot be read are named in a warning.

    Raises:
        molvis_core.errors.ReadError: the file cannot be read.
    """
    items = list(read_parquet(path) if path.suffix == ".parquet" else read_csv(path))
    bad = [item for item in items if not isinstance(item, Measurement)]
    if bad:
        log.warning("%d of %d rows of calibrants cannot be used; the first: %s", len(bad), len(items), bad[0])
    return [item for item in items if isinstance(item, Measurement)]
