"""Lists of ions to look for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.formula import formula_mass, parse_formula
from molvis_core.errors import MolvisError, ReadError
from molvis_lcms.finding import Target
from molvis_lcms.formats.cells import first, ion_of, number, seconds, table_rows

__all__ = ["read_targets"]

_WITHIN = 30.0


def read_targets(path: Path) -> list[Target]:
    """Ions of a table (CSV, or tab-separated where it ends in `.tsv` or `.txt`).

    Its first column is `name`. `mz` states the ion, or `formula` with `adduct`, which is `[M+H]+` where none is stated.
    `rt_min` or `rt_s` is the time of its apex, and `within_s` how far that may be off, 30 s without it.

    Raises:
        ReadError: the file cannot be read, or a row names no ion.
    """
    separator = "\t" if path.name.lower().endswith((".tsv", ".txt")) else ","
    found: list[Target] = []
    for line, cells, _ in table_rows(path, "name", separator):
        try:
            found.append(_target(cells))
        except (MolvisError, ValueError) as error:
            raise ReadError(path, str(error), line=line, record=cells.get("name")) from error
    if not found:
        raise ReadError(path, "no row below its columns")
    return found


def _target(cells: Mapping[str, str]) -> Target:
    formula = first(cells, "formula")
    ion = ion_of(first(cells, "adduct") or ("[M+H]+" if formula else None), None, cells.get("ionmode"))
    mz = number(cells.get("mz"))
    if mz is None and formula is not None:
        mz = ion_mz(formula_mass(parse_formula(formula)), ion.adduct or "[M+H]+")
    if mz is None or mz <= 0:
        raise ValueError("names no ion: give mz, or formula and adduct")
    time = number(cells.get("rt_s"))
    return Target(
        mz,
        ion.ionmode,
        seconds(cells.get("rt_min")) if time is None else time,
        number(cells.get("within_s")) or _WITHIN,
        ion.charge,
        first(cells, "name"),
        ion.adduct,
        formula,
    )
