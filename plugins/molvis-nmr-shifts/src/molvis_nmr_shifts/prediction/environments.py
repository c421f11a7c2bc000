"""Tables of shifts by environment, the usual yardstick: medians of atoms whose surroundings look the same.

After W. Bremser, HOSE, a novel substructure code, Anal. Chim. Acta 103 (1978) 355, doi:10.1016/S0003-2670(01)83100-7;
environments are Morgan's, of up to four bonds, and the widest one that was seen is taken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from molvis_core.chemistry.structures import parse_smiles
from molvis_nmr_shifts.prediction.lessons import Lesson

RADII = (4, 3, 2, 1, 0)


class EnvironmentTable:
    """Medians and spreads of the shifts seen in each environment.

    Args:
        seen: by nucleus, radius and environment, median and mean absolute deviation in ppm.
    """

    def __init__(self, seen: Mapping[tuple[str, int, int], tuple[float, float]]) -> None:
        self.seen = seen

    @classmethod
    def of(cls, lessons: Iterable[Lesson]) -> EnvironmentTable:
        """From lessons, signals whose atoms are known or were guessed."""
        found: dict[tuple[str, int, int], list[float]] = defaultdict(list)
        for lesson in lessons:
            codes = environments(lesson.smiles)
            for one, _ in lesson.guessed:
                for radius in RADII:
                    for code in {codes[radius][atom] for atom in one.atoms}:
                        found[one.nucleus, radius, code].append(one.shift)
        return cls({key: _summary(values) for key, values in found.items()})

    def predict(self, smiles: str) -> dict[str, tuple[Float[np.ndarray, " a"], Float[np.ndarray, " a"]]]:
        """Of each nucleus the shift of each atom and how far such atoms are off, in ppm; NaN where none was seen."""
        codes = environments(smiles)
        count = len(codes[0])
        out = {}
        for nucleus in ("13C", "1H"):
            rows = np.full((count, 2), np.nan)
            for atom in range(count):
                keys = ((nucleus, radius, codes[radius][atom]) for radius in RADII)
                rows[atom] = next((self.seen[key] for key in keys if key in self.seen), (np.nan, np.nan))
            out[nucleus] = (rows[:, 0], rows[:, 1])
        return out


def _summary(values: Sequence[float]) -> tuple[float, float]:
    middle = float(np.median(values))
    return middle, float(np.abs(np.array(values) - middle).mean())


def environments(smiles: str) -> dict[int, list[int]]:
    """Of each radius a number for the environment of each atom.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses the SMILES.
    """
    from rdkit.Chem import rdFingerprintGenerator

    mol = parse_smiles(smiles)
    out: dict[int, list[int]] = {}
    for radius in RADII:
        generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius, includeRedundantEnvironments=True)
        wanted = rdFingerprintGenerator.AdditionalOutput()
        wanted.AllocateAtomToBits()
        wanted.AllocateBitInfoMap()
        generator.GetSparseFingerprint(mol, additionalOutput=wanted)
        own = [0] * mol.GetNumAtoms()
        for code, places in wanted.GetBitInfoMap().items():
            for atom, reach in places:
                if reach == radius:
                    own[atom] = code
        out[radius] = own
    return out
