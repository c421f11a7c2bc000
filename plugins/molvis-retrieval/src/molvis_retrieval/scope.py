"""Among which structures of a library an unknown is looked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Int64

from molvis_core.errors import (
    DatasetError,
)
from molvis_retrieval.results import Searched
from molvis_retrieval.unknowns import Unknown

if TYPE_CHECKING:
    from molvis_retrieval.index import Index


Scope = Literal["auto", "mass", "formula", "all"]


def scope_of(candidates: Scope, unknown: Unknown, formula: str | None, mass: float | None) -> Scope:
    """The scope itself, or what `auto` means for an unknown."""
    if candidates != "auto":
        return candidates
    if formula is not None:
        return "formula"
    # An ion without adduct is asked for one rather than searched for in the whole library.
    ion = any(hasattr(r, "precursor_mz") for r in unknown.records)
    return "mass" if ion or mass is not None else "all"


def searched_in(index: Index, readings: Sequence[Unknown], scope: Scope, ppm: float, formula: str | None) -> Searched:
    """Among what the candidates of an unknown were looked for."""
    truth = readings[0].truth
    return Searched(
        index.name,
        len(index.library),
        scope,
        ppm if scope == "mass" else None,
        formula or (truth.formula if truth else None) if scope == "formula" else None,
        tuple(dict.fromkeys(a for u in readings for r in u.records if (a := getattr(r, "adduct", None)))),
    )


def scope_rows(
    index: Index, unknown: Unknown, scope: Scope, ppm: float, formula: str | None
) -> Int64[np.ndarray, " m"] | None:
    """Rows of the candidates; None for all.

    Raises:
        DatasetError: there is no candidate, and what to do about it.
    """
    library = index.library
    if scope == "all":
        if not len(library):
            raise DatasetError("the library is empty")
        return None
    if scope == "formula":
        wanted = formula or (unknown.truth.formula if unknown.truth else None)
        if wanted is None:
            raise DatasetError("no formula is known for this query; give one with --formula")
        rows = library.of_formula(wanted)
        if not len(rows):
            raise DatasetError(f"no candidate of formula {wanted} in the library")
        return rows
    if unknown.mass is None:
        raise DatasetError(
            "no neutral mass without precursor m/z and adduct; name the adduct with --adduct or the mass with --mass, "
            "or search all"
        )
    rows = library.within_ppm(unknown.mass, ppm)
    if not len(rows):
        raise DatasetError(
            f"no candidate within {ppm:g} ppm of {unknown.mass:.4f} Da; widen --ppm, or "
            f"check the adduct {adduct_of(unknown)}"
        )
    return rows


def adduct_of(unknown: Unknown) -> str:
    """The adduct of its ion, in words."""
    return str(getattr(unknown.ion, "adduct", None))
