"""What the predictor sees of a structure: properties, topological shape, and counted pairs, circles and torsions."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from rdkit.Chem import rdFingerprintGenerator, rdMolDescriptors
from rdkit.Chem.rdmolops import GetDistanceMatrix

from molvis_core.chemistry.structures import parse_mol

PAIRS, CIRCLES, TORSIONS = 1024, 1024, 512
_STEPS = 24
"""Bonds between two atoms: longer distances count as this one."""
_NAMES = (
    "exactmw", "NumRotatableBonds", "NumHBD", "NumHBA", "NumHeavyAtoms", "NumAtoms", "NumHeteroatoms",
    "NumAmideBonds", "FractionCSP3", "NumRings", "NumAromaticRings", "NumAliphaticRings", "NumSaturatedRings",
    "NumHeterocycles", "NumAromaticHeterocycles", "NumSpiroAtoms", "NumBridgeheadAtoms", "labuteASA", "tpsa",
    "CrippenClogP", "CrippenMR", "chi0v", "chi1v", "chi2v", "chi3v", "chi4v", "chi0n", "chi1n", "chi2n", "chi3n",
    "chi4n", "hallKierAlpha", "kappa1", "kappa2", "kappa3", "Phi",
)  # fmt: skip
NUMBERS = len(_NAMES) + 5 + 2 * _STEPS
SIZE = NUMBERS + PAIRS + CIRCLES + TORSIONS


@functools.cache
def _properties() -> Any:
    return rdMolDescriptors.Properties(list(_NAMES))


@functools.cache
def _counters() -> tuple[Any, ...]:
    plain = {"countSimulation": False}
    return (
        rdFingerprintGenerator.GetAtomPairGenerator(fpSize=PAIRS, **plain),
        rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=CIRCLES, **plain),
        rdFingerprintGenerator.GetTopologicalTorsionGenerator(fpSize=TORSIONS, **plain),
    )


def describe(smiles: str) -> Float[np.ndarray, " f"]:
    """Numbers of a structure, most of them on a logarithmic scale; see the module.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses it.
    """
    mol = parse_mol(smiles)
    far = GetDistanceMatrix(mol)
    # Parts of a salt are infinitely far apart, which RDKit writes as 1e8.
    far = np.minimum(far, _STEPS)
    pairs = far[np.triu_indices(len(far), 1)]
    polar = np.array([a.GetAtomicNum() not in (1, 6) for a in mol.GetAtoms()])
    among = far[np.ix_(polar, polar)]
    polar_pairs = among[np.triu_indices(len(among), 1)]
    eccentric = far.max(axis=1)
    shape = [_mean(pairs), np.sqrt(_mean(pairs**2)), eccentric.max(), eccentric.min(), np.sqrt(_mean(polar_pairs**2))]
    steps = [np.bincount(p.astype(np.int64), minlength=_STEPS + 1)[1:] for p in (pairs, polar_pairs)]
    numbers = np.concatenate([np.array(list(_properties().ComputeProperties(mol))), shape, *steps])
    counts = [counter.GetCountFingerprintAsNumPy(mol) for counter in _counters()]
    # Most grow with size, some are negative: a logarithm of the size that keeps the sign tames both.
    numbers = np.sign(numbers) * np.log1p(np.abs(np.nan_to_num(numbers, posinf=0.0, neginf=0.0)))
    return np.concatenate([numbers, np.log1p(np.concatenate(counts))]).astype(np.float32)


def volume(smiles: str) -> float:
    """Van der Waals volume in A^3, from atoms, bonds and rings; of the heaviest elements about.

    Reference: Y. H. Zhao, M. H. Abraham, A. M. Zissimos, J. Org. Chem. 68 (2003) 7368, doi:10.1021/jo034808o

    Raises:
        molvis_core.errors.StructureError: RDKit refuses it.
    """
    mol = parse_mol(smiles)
    hydrogens = sum(atom.GetTotalNumHs() for atom in mol.GetAtoms())
    atoms = sum(_VOLUMES.get(atom.GetSymbol(), _LARGE) for atom in mol.GetAtoms()) + hydrogens * _VOLUMES["H"]
    rings = mol.GetRingInfo().BondRings()
    aromatic = sum(all(mol.GetBondWithIdx(i).GetIsAromatic() for i in ring) for ring in rings)
    shared = 5.92 * (mol.GetNumBonds() + hydrogens) + 14.7 * aromatic + 3.8 * (len(rings) - aromatic)
    return max(atoms - shared, _VOLUMES["H"])


_VOLUMES = {
    "H": 7.24, "C": 20.58, "N": 15.60, "O": 14.71, "F": 13.31, "Cl": 22.45, "Br": 26.52, "I": 32.52, "P": 24.43,
    "S": 24.43, "As": 26.52, "B": 40.48, "Si": 38.79, "Se": 28.73, "Te": 36.62,
}  # fmt: skip
"""Of atoms, in A^3."""
_LARGE = 40.0
"""Of a metal, about."""


KINDS = ("other", "lipid-like", "fluorinated")
"""Classes of compounds whose errors are of their own size."""


def kind_of(smiles: str) -> int:
    """Place in `KINDS`: chains of eight carbon atoms outside rings and heteroatoms are lipid-like.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses it.
    """
    mol = parse_mol(smiles)
    chain, perfluoro = _patterns()
    return 1 if mol.HasSubstructMatch(chain) else 2 if mol.HasSubstructMatch(perfluoro) else 0


@functools.cache
def _patterns() -> tuple[Any, Any]:
    from rdkit.Chem import MolFromSmarts

    chain = "[CX4;!R;!$(C[N,O,S,F,Cl])]" + "~[C;!R]" * 7
    return MolFromSmarts(chain), MolFromSmarts("FC(F)C(F)F")


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else 0.0


def describe_all(smiles: Sequence[str]) -> Float[np.ndarray, "n f"]:
    """`describe` of each.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses one.
    """
    rows = [describe(text) for text in smiles]
    return np.stack(rows) if rows else np.empty((0, SIZE), dtype=np.float32)
