"""Ions of an unknown: which adduct they name, which they may be, and the neutral mass that follows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int64

from molvis_core.chemistry.adducts import Adduct, neutral_mass, parse_adduct, unknown_charge
from molvis_core.chemistry.formula import ELECTRON_MASS
from molvis_core.errors import AdductError, DatasetError

if TYPE_CHECKING:
    from molvis_retrieval.library import Library

_ONE_COMPOUND = 100e-6
"""Neutral masses further apart than this, relatively, are not of one compound, whatever the instrument."""


def check_ion(record: Any, adduct: str | None = None) -> tuple[Any, float | None]:
    """A record with its adduct filled in, and the neutral mass in Da where it can be derived.

    Raises:
        AdductError: the adduct cannot be read, contradicts the ion mode, or leaves no mass.
    """
    if not hasattr(record, "adduct"):
        return record, None
    if record.adduct and (charge := unknown_charge(record.adduct)) is not None:
        record = dataclasses.replace(record, adduct=None, charge=record.charge or charge or None)
    named = record.adduct or adduct
    if hasattr(record, "mz") and not (len(record.mz) and (record.intensity > 0).any()):
        raise AdductError("the spectrum has no peaks")
    if named is None:
        return record, None
    ion = parse_adduct(named)
    _agree(record, ion)
    if record.adduct != ion.name:
        record = dataclasses.replace(record, adduct=ion.name)
    if record.precursor_mz is None:
        return record, None
    return record, neutral_mass(record.precursor_mz, ion)


def _agree(record: Any, ion: Adduct) -> None:
    """Raise an `AdductError` where the record's ion mode or charge contradicts an adduct."""
    mode = getattr(record, "ionmode", None)
    if mode is not None and mode != ion.ionmode:
        raise AdductError(f"adduct {ion.name} is {ion.ionmode}, but the ion mode is {mode}; correct one of them")
    if record.charge is not None and record.charge * ion.charge < 0:
        raise AdductError(f"adduct {ion.name} has charge {ion.charge:+d}, but the ion has {record.charge:+d}")


def common_mass(ions: Sequence[tuple[float, str]]) -> tuple[float | None, str]:
    """The median of the neutral masses of the ions of an unknown; or none, and what is wrong, where they disagree.

    Args:
        ions: neutral mass in Da of each, and what it is of, for people.
    """
    if not ions:
        return None, ""
    middle = float(np.median([mass for mass, _ in ions]))
    groups: list[list[tuple[float, str]]] = []
    for mass, what in sorted(ions):
        if groups and mass - groups[-1][0][0] <= _ONE_COMPOUND * mass:
            groups[-1].append((mass, what))
        else:
            groups.append([(mass, what)])
    if len(groups) == 1:
        return middle, ""
    told = [
        f"{np.median([mass for mass, _ in some]):.4f} Da ({', '.join(dict.fromkeys(what for _, what in some))})"
        for some in groups
    ]
    return None, (
        f"its ions are of different masses: {', '.join(told[:-1])} and {told[-1]}. Correct an adduct or a "
        "precursor, or ask for them one by one"
    )


def describe_ion(record: Any, name: str | None = None) -> str:
    """An ion in a few words: its name, where it has one, its m/z and what it is taken for."""
    mz = f"m/z {record.precursor_mz:.4f}" if getattr(record, "precursor_mz", None) else "an ion"
    return " ".join(x for x in (name and f"{name},", mz, f"as {record.adduct}" if record.adduct else "") if x)


def betaines(library: Library, rows: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, " k"]:
    """Those of the candidates that are neutral and hold a positive charge that cannot be lost.

    Raises:
        DatasetError: none of them does.
    """
    from molvis_retrieval.parent_structures import is_betaine

    found = rows[[is_betaine(one.smiles) for one in library.structures(rows)]]
    if not len(found):
        raise DatasetError(f"none of the {len(rows)} candidates of this mass is a betaine")
    return found


def fitting_ion(
    library: Library, rows: Int64[np.ndarray, " m"], adduct: str, share: float
) -> tuple[Int64[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Which candidates may form an ion, and the logarithm of how often they do.

    A neutral molecule forms the adduct with the frequency `share`. One that is charged already is its own ion, `[M]+`.

    Raises:
        DatasetError: none of them may.
    """
    ion = parse_adduct(adduct)
    charge = library.table["charge"].to_numpy()[rows]
    bare = abs(ion.shift + ELECTRON_MASS * ion.charge) < 1e-6 and ion.molecules == 1
    own = (charge == ion.charge) & bare
    keep = own | (charge == 0)
    if not keep.any():
        raise DatasetError(f"none of the {len(rows)} candidates of this mass can be the ion {ion.name}")
    return rows[keep], np.where(own[keep], 0.0, math.log(share))
