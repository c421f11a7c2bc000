"""Spectra at several energies for tests: made up by a rule that a network can learn, of compounds that there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.formula import formula_mass
from molvis_core.chemistry.structures import structure
from molvis_core.records import Measurement, PeakList

SMILES = (
    "OC(=O)c1ccccc1", "OC(=O)Cc1ccccc1", "OC(=O)CCc1ccccc1", "Oc1ccc(cc1)C(O)=O", "COc1ccc(cc1)C(O)=O",
    "Cc1ccccc1C(O)=O", "OC(=O)c1cccnc1", "Nc1ccc(cc1)C(O)=O", "OC(=O)C(O)c1ccccc1", "OC(=O)C=Cc1ccccc1",
)  # fmt: skip
LOSSES = ("", "H2O", "CO", "CH2O2")
ENERGIES = (10.0, 20.0, 40.0, 60.0)
FAINTEST = 0.1
UNSEEN = 9
"""The compound that is left for what was learned from the others."""


def spectrum(number: int, energy: float, instrument: str = "LC-ESI-QTOF") -> PeakList:
    """The ion loses water early, then carbon monoxide as well; the more energy, the less of it is left."""
    precursor = ion_mz(structure(SMILES[number]).exact_mass, "[M+H]+")
    left = np.exp(-energy / 15)
    water = np.exp(-energy / 40) * (1 - left)
    heights = np.array([left, water, 0.3 * water, max(1 - left - water, 0.01)])
    mz = precursor - np.array([formula_mass(loss) for loss in LOSSES])
    heights = heights / heights.max()
    seen = heights > FAINTEST
    return PeakList(
        mz[seen], heights[seen], precursor, "[M+H]+", 1, "positive", energy, instrument, 2, f"acid{number}-{energy:g}"
    )


def measurements(compounds: Sequence[int] = range(len(SMILES))) -> Iterator[Measurement]:
    """Each compound at each energy."""
    for number in compounds:
        known = structure(SMILES[number], name=f"acid {number}")
        for energy in ENERGIES:
            yield Measurement(
                spectrum(number, energy), known, "msms", fold="train", name=known.name, licence="CC0", contributor="x"
            )
