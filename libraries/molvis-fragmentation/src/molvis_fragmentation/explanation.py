"""The peaks of a spectrum that substructures of a molecule explain, for reports."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rdkit import Chem

from molvis_core.chemistry.formula import ELECTRON_MASS
from molvis_core.chemistry.structures import parse_smiles
from molvis_core.records import PeakList, Structure
from molvis_fragmentation.fragments import ABSOLUTE, HYDROGEN, MAX_ATOMS, fragments
from molvis_fragmentation.kernels import match


@dataclass(frozen=True, slots=True)
class PeakExplanation:
    """A peak and the substructure that explains it best.

    Attributes:
        peak: its number in the peak list.
        mz: its m/z.
        formula: of the ion.
        smiles: of the substructure.
        hydrogens: gained (+) or lost (-) against the substructure as it is in the molecule, the charge's included.
        ppm: measured against calculated m/z.
        cost: of the bonds that broke.
    """

    peak: int
    mz: float
    formula: str
    smiles: str
    hydrogens: int
    ppm: float
    cost: float


def explain(query: PeakList, structure: Structure, *, ppm: float = 10.0) -> list[PeakExplanation]:
    """The peaks of a spectrum that substructures of a molecule explain, and how.

    Args:
        query: the spectrum; without an ion mode it is taken as positive.
        structure: the molecule, at most 63 heavy atoms.
        ppm: tolerance; below m/z 80 it is 0.8 mDa.

    Raises:
        StructureError: RDKit refuses the structure.
    """
    found = fragments(structure.smiles)
    sign = -1 if query.ionmode == "negative" else 1
    number, gained, paid = match(
        query.mz, found.mass, found.cost, sign, ppm, ABSOLUTE, HYDROGEN, ELECTRON_MASS
    )  # fmt: skip
    if found.size > MAX_ATOMS:
        return []
    mol = parse_smiles(structure.smiles)
    out: list[PeakExplanation] = []
    for peak in np.flatnonzero(number >= 0).tolist():
        atoms = [i for i in range(found.size) if (int(found.atoms[number[peak]]) >> i) & 1]
        calculated = float(found.mass[number[peak]]) + int(gained[peak]) * HYDROGEN - sign * ELECTRON_MASS
        mz = float(query.mz[peak])
        out.append(
            PeakExplanation(
                peak=peak,
                mz=mz,
                formula=_formula(mol, atoms, int(gained[peak])) + ("+" if sign > 0 else "-"),
                smiles=Chem.MolFragmentToSmiles(mol, atoms),
                hydrogens=int(gained[peak]),
                ppm=(mz - calculated) / calculated * 1e6,
                cost=float(paid[peak]),
            )
        )
    return out


def _formula(mol: Chem.Mol, atoms: list[int], gained: int) -> str:
    counts: dict[str, int] = {}
    for i in atoms:
        atom = mol.GetAtomWithIdx(i)
        counts[atom.GetSymbol()] = counts.get(atom.GetSymbol(), 0) + 1
        counts["H"] = counts.get("H", 0) + atom.GetTotalNumHs()
    counts["H"] = counts.get("H", 0) + gained
    first = ["C", "H"] if "C" in counts else []  # Hill order
    names = first + sorted(e for e in counts if e not in first)
    return "".join(f"{e}{counts[e] if counts[e] > 1 else ''}" for e in names if counts[e] > 0)
