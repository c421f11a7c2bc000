"""One spectrum from the numbers and fields of any format, or the reason why it cannot be read.

Whatever the file holds comes out as absorbance (or what is proportional to it) over ascending wavenumbers in cm^-1; see
`molvis_ir.units` for what becomes what.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from molvis_core.chemistry.formula import parse_formula
from molvis_core.errors import ReadError, RecordError, StructureError
from molvis_core.records import Measurement, Structure, Trace
from molvis_ir.units import taken_as, wavenumbers

log = logging.getLogger("molvis")

Items = Iterator[Measurement | ReadError]
Vector = Float[np.ndarray, " t"]


def stem_of(path: Path) -> str:
    """A file's name without its suffixes."""
    return path.name.removesuffix(".gz").rpartition(".")[0] or path.name


def measurement(
    path: Path,
    x: Vector,
    y: Vector,
    x_unit: str,
    y_unit: str,
    fields: Mapping[str, str | None],
    *,
    line: int | None = None,
    record: str | int | None = None,
) -> Measurement | ReadError:
    """One spectrum, or the reason why it cannot be read. Where y is NaN the file marks it as missing.

    What is stated to be absorbance and looks like transmittance is taken as that, with a warning.
    """
    try:
        known_y = ~np.isnan(y)
        x, y = x[known_y], y[known_y]
        if len(x) < 2:
            raise RecordError(f"{len(x)} points are no spectrum")
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise RecordError("a number is not finite, or too large")
        axis = wavenumbers(x, x_unit)
        signal, doubt = taken_as(axis, y, y_unit)
        if doubt:
            log.warning("%s", ReadError(path, doubt, line=line, record=record))
        trace = Trace(axis, signal, identifier=fields.get("identifier"))
        if np.ptp(trace.y) == 0:
            raise RecordError(f"every y is {trace.y[0]:g}: there is no spectrum in it")
        known = None
        if text := fields.get("structure"):
            known = dataclasses.replace(_known(text, fields.get("inchikey")), name=fields.get("name"))
            if (formula := fields.get("formula")) and _contradicts(formula, known.formula):
                raise StructureError(f"the formula {formula} contradicts {text}, which is {known.formula}; correct one")
    except (RecordError, StructureError) as error:
        return ReadError(path, str(error), line=line, record=record)
    return Measurement(
        trace,
        known,
        "ir",
        fold=fields.get("fold"),
        name=fields.get("name"),
        source=fields.get("source"),
        licence=fields.get("licence"),
        contributor=fields.get("contributor"),
    )


@functools.lru_cache(maxsize=20_000)
def _known(text: str, inchikey: str | None) -> Structure:
    """The structure; the source's own InChIKey stands, as other tables key on it."""
    from molvis_core.chemistry.structures import structure

    found = structure(text)
    return dataclasses.replace(found, inchikey=inchikey) if inchikey else found


def _contradicts(stated: str, formula: str) -> bool:
    """Whether two formulas differ. One that cannot be read, such as a polymer's, is not compared."""
    try:
        # JCAMP-DX parts elements by spaces; isotopes of hydrogen have symbols of their own.
        found = Counter(parse_formula(re.sub(r"[\s/*]", "", stated)))
    except ValueError:
        return False
    found["H"] += found.pop("D", 0)
    return +found != Counter(parse_formula(formula))
