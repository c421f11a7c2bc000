"""What scorers do alike: the forms of candidates that a spectrum may be of, and the best of what each form gives."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from molvis_core.records import EiSpectrum, Structure
from molvis_ei.derivatives import Form, forms_of, readings
from molvis_ei.preparation import unit_spectrum


def possible_forms(
    query: EiSpectrum, candidates: Sequence[Structure]
) -> tuple[Float[np.ndarray, " mass"], list[tuple[Form, ...]]]:
    """Heights at unit masses, and of each candidate the forms that the spectrum may be of; none where it has none.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses a candidate.
    """
    unit = unit_spectrum(query)
    possible = readings(query, unit)
    return unit, [forms_of(candidate.smiles, possible) for candidate in candidates]


def best_of(
    values: Float[np.ndarray, " f"], forms: Sequence[tuple[Form, ...]], otherwise: float | None = None
) -> Float[np.ndarray, " m"]:
    """The largest value of each candidate's forms.

    Args:
        values: of all forms, candidate by candidate.
        forms: of each candidate.
        otherwise: for candidates without a form; by default the least of the others.
    """
    ends = np.cumsum([0, *(len(some) for some in forms)])
    least = float(values.min(initial=0.0)) if otherwise is None else otherwise
    return np.array(
        [values[a:b].max() if b > a else least for a, b in itertools.pairwise(ends)], dtype=np.float64
    ).reshape(-1)
