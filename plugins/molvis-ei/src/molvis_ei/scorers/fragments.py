"""`ei-fragments`: how much of a spectrum parts of the candidate's molecular ion explain."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.records import EiSpectrum, Structure
from molvis_ei.derivatives import Form
from molvis_ei.preparation import MASSES, weighed
from molvis_ei.scorers.candidates import possible_forms
from molvis_fragmentation.cutting import masses_of
from molvis_fragmentation.parts import parts

_SHIFTS = {0: 0, -1: 30, 1: 40, -2: 60, 2: 90, -3: 120}
"""Hydrogens that a part loses or gains on its way, and what that costs, in hundredths of a bond between carbons."""
_EDGES = (1, 130, 230, 900)
"""Costs, in hundredths, at which the classes begin: the molecular ion, one bond, two, and more."""
_UNEXPLAINED = len(_EDGES)


class EiFragments:
    """Shares of the weighed intensity by what it costs to explain it, at unit masses.

    `whole`, `one-bond` and `two-bonds` are the shares at masses of the molecular ion, and of parts of the candidate
    that about one or two broken bonds leave, with up to three hydrogens less or two more; `standing` is how far the
    share that is explained at all stands above that of the other candidates. Calibration learns their weights. Of
    several forms of a candidate the one that explains most counts.
    """

    accepts = EiSpectrum
    any_mass = True
    features: tuple[str, ...] = ("whole", "one-bond", "two-bonds", "standing")

    def __call__(self, query: EiSpectrum, candidates: Sequence[Structure]) -> Float[np.ndarray, "m f"]:
        """One row for each candidate.

        Raises:
            molvis_core.errors.StructureError: RDKit refuses a candidate.
        """
        out = np.zeros((len(candidates), len(self.features)))
        unit, forms = possible_forms(query, candidates)
        row = weighed(unit).astype(np.float64)
        share = row / max(row.sum(), 1e-9)
        explained = np.zeros(len(candidates))
        for place, some in enumerate(forms):
            for form in some:
                mine = np.bincount(costs(form), weights=share, minlength=_UNEXPLAINED + 1)
                if (whole := 1 - mine[_UNEXPLAINED]) > explained[place]:
                    explained[place], out[place, :3] = whole, mine[:3]
        if len(candidates):
            out[:, 3] = (explained - explained.mean()) / (explained.std() + 0.05)
        return out


def costs(form: Form) -> np.ndarray:
    """The class of the cost of explaining each unit mass: 0 for the molecular ion, 4 for what nothing explains."""
    return _costs(form.smiles)


@functools.lru_cache(maxsize=60_000)
def _costs(smiles: str) -> np.ndarray:
    found = parts(smiles)
    table = _nominal(smiles)
    mass = np.round(masses_of(found.sets, table)).astype(np.int64)
    cheapest = np.full(MASSES + 4, 10_000, dtype=np.int64)
    for shift, price in _SHIFTS.items():
        place = mass + shift
        inside = (place > 0) & (place < MASSES)
        np.minimum.at(cheapest, place[inside], found.cost[inside] + price)
    whole = round(float(table.sum()))
    if whole < MASSES:
        # Isotopes of carbon, silicon, chlorine and bromine above the molecular ion.
        cheapest[whole : whole + 3] = 0
    return np.digitize(cheapest[:MASSES], _EDGES).astype(np.uint8)


def _nominal(smiles: str) -> Float[np.ndarray, " a"]:
    """Mass number of each heavy atom with its hydrogens."""
    from rdkit import Chem

    table = Chem.GetPeriodicTable()
    return np.array(
        [
            float((a.GetIsotope() or table.GetMostCommonIsotope(a.GetAtomicNum())) + a.GetTotalNumHs())
            for a in parse_smiles(smiles).GetAtoms()
        ]
    )
