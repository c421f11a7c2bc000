"""A MetFrag-like score for benchmarks/msms_peers.py.

Bonds are broken to a depth of two, one by one or two of a ring at a time, by `molvis_fragmentation`, with the bond
energies that MetFrag uses. The score of a candidate is the sum, over the peaks that a fragment explains, of
(m/z relative to the precursor)^1.84 (intensity relative to the highest)^0.59 / energy^0.47, of the cheapest fragment;
its energy is that of the bonds which break, and 100 kJ/mol for each hydrogen beyond the charge's own.

C. Ruttkies et al., MetFrag relaunched, Journal of Cheminformatics 8 (2016) 3, doi:10.1186/s13321-016-0115-9. Exponents
and the hydrogens' energy are those of its program. What differs: up to four hydrogens are gained or lost where MetFrag
stops at the depth; a fragment keeps the metal of a sodium adduct or not; 10 ppm, not less than 0.8 mDa; at most 6,000
fragments; a molecule of more than 63 heavy atoms is not broken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from msms_peers_task import Question
from rdkit import Chem

from molvis_core.chemistry.formula import ISOTOPE_MASS
from molvis_core.chemistry.structures import parse_smiles
from molvis_core.records import PeakList
from molvis_fragmentation.fragments import ABSOLUTE, MAX_ATOMS, MAX_FRAGMENTS
from molvis_fragmentation.ions import forms_of
from molvis_fragmentation.kernels import break_bonds
from molvis_fragmentation.matching import fits

PPM = 10.0
MASS, INTENSITY, ENERGY = 1.84, 0.59, 0.47
HYDROGEN_ENERGY = 100.0
_PRICE = 0.3
"""Of a kJ/mol in the fragment engine's own unit, in which a hydrogen costs 30: so it costs 100 kJ/mol."""
_COMMON = 348.0
ENERGIES = {
    "C-C": 348, "C=C": 612, "C#C": 837, "C-O": 360, "C=O": 743, "C-N": 305, "C=N": 613, "C#N": 890, "C-F": 484,
    "C-Cl": 338, "Br-C": 276, "C-I": 238, "C-S": 272, "C=S": 573, "C-Si": 318, "C-P": 264, "B-C": 356, "P-P": 201,
    "O-P": 335, "O=P": 544, "P=S": 335, "F-P": 490, "Cl-P": 326, "Br-P": 264, "N-N": 163, "N=N": 409, "N#N": 944,
    "O-O": 146, "N=O": 607, "N-O": 222, "S-S": 226, "S=S": 425, "O=S": 522, "Cl-S": 255, "F-S": 284, "B-O": 536,
    "B-F": 613, "Si-Si": 176, "Se-Se": 172, "I-O": 201, "F-N": 272,
}  # fmt: skip
"""kJ/mol, elements in the order of their letters; others count as a single bond between carbons. Aromatic bonds are
double ones."""


@dataclass(frozen=True, eq=False)
class Broken:
    """The fragments of a candidate by ascending mass, as `molvis_fragmentation.matching.fits` takes them."""

    mass: np.ndarray
    hydrogens: np.ndarray
    price: np.ndarray
    exact_mass: float


def bond_energy(bond: Chem.Bond) -> float:
    """Of a bond, kJ/mol."""
    ends = sorted((bond.GetBeginAtom().GetSymbol(), bond.GetEndAtom().GetSymbol()))
    order = "=" if bond.GetIsAromatic() else {2: "=", 3: "#"}.get(round(bond.GetBondTypeAsDouble()), "-")
    return float(ENERGIES.get(order.join(ends), _COMMON))


def broken(smiles: str) -> Broken:
    """Break a molecule.

    Raises:
        StructureError: RDKit refuses the SMILES.
    """
    mol = parse_smiles(smiles)
    atoms, bonds = list(mol.GetAtoms()), list(mol.GetBonds())
    carried = np.array([a.GetTotalNumHs() for a in atoms], dtype=np.int64)
    masses = np.array([ISOTOPE_MASS.get(a.GetSymbol(), 0.0) for a in atoms]) + carried * ISOTOPE_MASS["H"]
    total = float(masses.sum())
    if len(atoms) > MAX_ATOMS or not bonds:
        return Broken(masses.sum(keepdims=True), carried.sum(keepdims=True), np.zeros(1, dtype=np.int64), total)
    ends = np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in bonds], dtype=np.int64)
    energies = np.array([bond_energy(b) for b in bonds])
    ring = np.array([b.IsInRing() for b in bonds])
    mass, energy, sets = break_bonds(len(atoms), masses, ends, energies, ring, MAX_FRAGMENTS)
    order = np.argsort(mass, kind="stable")
    inside = (sets[order, None] >> np.arange(len(atoms), dtype=np.uint64)) & np.uint64(1)
    price = np.round(energy[order] * _PRICE).astype(np.int64)
    return Broken(mass[order], inside.astype(np.int64) @ carried, price, total)


def score(spectrum: PeakList, candidate: Broken) -> float:
    """How well a candidate's fragments explain a spectrum."""
    precursor = float(spectrum.precursor_mz or spectrum.mz.max(initial=1.0))
    keep = (spectrum.intensity > 0) & (spectrum.mz < precursor * (1 - PPM * 1e-6))
    mz, intensity = spectrum.mz[keep].astype(np.float64), spectrum.intensity[keep].astype(np.float64)
    if not len(mz):
        return 0.0
    forms = forms_of(spectrum, candidate.exact_mass)
    found, _, shift, _ = fits(
        mz, candidate.mass, candidate.hydrogens, candidate.price, forms, PPM, ABSOLUTE, ISOTOPE_MASS["H"], 1
    )
    hit = found[:, 0] >= 0
    energy = candidate.price[found[hit, 0]] / _PRICE + HYDROGEN_ENERGY * np.abs(shift[hit, 0])
    weight = (100 * mz[hit] / precursor) ** MASS * (999 * intensity[hit] / intensity.max()) ** INTENSITY
    # The whole molecule costs nothing: it is the precursor, which every candidate explains.
    return float((weight / np.maximum(energy, HYDROGEN_ENERGY) ** ENERGY).sum())


class MetFrag:
    """Scores of questions; a question's candidates are broken once for all its spectra and controls."""

    def __init__(self, records: dict[str, Sequence[PeakList]]) -> None:
        self.records = records
        self._last: tuple[str, list[Broken]] = ("", [])

    def __call__(self, question: Question, kind: str) -> list[np.ndarray]:
        """Scores of all candidates for each query of a question."""
        if self._last[0] != question.key:
            self._last = question.key, [broken(one.smiles) for one in question.candidates]
        return [
            np.array([score(self.records[kind][query], one) for one in self._last[1]]) for query in question.queries
        ]
