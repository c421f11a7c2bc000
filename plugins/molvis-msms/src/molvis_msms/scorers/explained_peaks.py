"""`explained-peaks`: how well a candidate's substructures explain the measured peaks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from molvis_core.chemistry.formula import ELECTRON_MASS, ISOTOPE_MASS
from molvis_core.errors import ConfigError
from molvis_core.records import PeakList, Structure
from molvis_fragmentation.explanation import PeakExplanation, explain
from molvis_fragmentation.fragments import ABSOLUTE, ELEMENT_MASSES, MAX_ATOMS, fragments
from molvis_fragmentation.kernels import has_subformula, match

_COSTS = (0.8, 1.3, 2.1, 3.2)
"""Edges between the classes of cost: one bond to another element, one between carbons, two, ..."""
_SHIFTS = 3


class ExplainedPeaks:
    """Shares of the spectrum's intensity that a candidate explains, by how cheaply.

    A column for each class of bond cost and of hydrogens shifted beyond the charge; then the share that some sub-
    formula of the candidate fits, the logarithm of the number of fragments (a molecule that breaks into thousands
    explains something by chance), whether it is too large to break, the logarithm of what stays unexplained, and
    how far the explained share lies above that of the other candidates. Peaks within 0.5 of the precursor are left
    out: every candidate of this mass explains them.

    Args:
        ppm: tolerance of m/z.
    """

    accepts = PeakList
    features: tuple[str, ...] = (
        *(f"cost{c}-shift{s}" for c in range(len(_COSTS) + 1) for s in range(_SHIFTS)),
        "subformula",
        "fragments",
        "too-large",
        "unexplained",
        "standing",
    )

    def __init__(self, ppm: float = 10.0) -> None:
        if not ppm > 0:
            raise ConfigError(f"explained-peaks: ppm must be a positive number, got {ppm}")
        self.ppm = ppm

    def __call__(self, query: PeakList, candidates: Sequence[Structure]) -> Float[np.ndarray, "m f"]:
        """One row for each candidate. `standing` compares it with the others of this call.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a candidate.
        """
        out = np.zeros((len(candidates), len(self.features)))
        sign = -1 if query.ionmode == "negative" else 1
        keep = query.intensity > 0
        if query.precursor_mz is not None:
            keep = keep & (query.mz < query.precursor_mz - 0.5)
        mz = query.mz[keep]
        # Heights span decades; their square roots let small peaks speak.
        weight = np.sqrt(query.intensity[keep].astype(np.float64))
        weight /= max(weight.sum(), 1e-12)
        bins = (len(_COSTS) + 1) * _SHIFTS
        formulas: dict[bytes, float] = {}
        constants = (self.ppm, ABSOLUTE, ISOTOPE_MASS["H"], ELECTRON_MASS)
        for row, candidate in zip(out, candidates, strict=True):
            found = fragments(candidate.smiles)
            large = found.size > MAX_ATOMS
            if not large:
                number, gained, cost = match(mz, found.mass, found.cost, sign, *constants)
                hit = number >= 0
                level = np.searchsorted(_COSTS, cost[hit])
                shift = np.minimum(np.abs(gained[hit] - sign), _SHIFTS - 1)
                row[:bins] = np.bincount(level * _SHIFTS + shift, weight[hit], minlength=bins)
            key = found.counts.tobytes() + found.hydrogens.to_bytes(4, "little")
            if key not in formulas:
                fits = has_subformula(
                    mz,
                    found.counts,
                    found.hydrogens,
                    sign,
                    self.ppm,
                    ABSOLUTE,
                    ELEMENT_MASSES,
                    *constants[2:],
                )
                formulas[key] = float(weight[fits].sum())
            row[bins:] = formulas[key], np.log(len(found.mass)) - 5, large, 0, 0
        explained = out[:, :bins].sum(axis=1)
        out[:, bins + 3] = -np.log(1.05 - np.minimum(explained, 1))
        if len(out):
            out[:, bins + 4] = (explained - explained.mean()) / (explained.std() + 0.05)
        return out

    def explain(self, query: PeakList, structure: Structure) -> list[PeakExplanation]:
        """Which peaks, and by which substructures: for reports.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses the structure.
        """
        return explain(query, structure, ppm=self.ppm)
