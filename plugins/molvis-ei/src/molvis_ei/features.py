"""Numbers that describe a structure: counted substructures, and properties of the whole."""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Float, Int64

from molvis_core.chemistry.structures import parse_smiles

BITS = 4096
"""Places that circular substructures are folded into."""
_COUNTED = (1, 6, 7, 8, 9, 14, 15, 16, 17, 35, 53)
_SMALL = 256


@functools.lru_cache(maxsize=50_000)
def substructures(smiles: str) -> tuple[Int64[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Circular substructures of up to two bonds (ECFP4) of a molecule: their places, and log(1 + count) of each.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses the SMILES.
    """
    found = _generator(BITS).GetCountFingerprint(parse_smiles(smiles)).GetNonzeroElements()
    places = np.array(sorted(found), dtype=np.int64)
    return places, np.log1p(np.array([found[p] for p in places.tolist()], dtype=np.float64))


@functools.cache
def _generator(size: int):
    from rdkit.Chem import rdFingerprintGenerator

    return rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=size)


@functools.lru_cache(maxsize=50_000)
def properties(smiles: str) -> Float[np.ndarray, " d"]:
    """What retention depends on: atoms by element, rings, polar surface, logP, refractivity, and small substructures.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses the SMILES.
    """
    from rdkit.Chem import rdMolDescriptors

    mol = parse_smiles(smiles)
    counts: dict[int, float] = dict.fromkeys(_COUNTED, 0.0)
    for atom in mol.GetAtoms():
        counts[atom.GetAtomicNum()] = counts.get(atom.GetAtomicNum(), 0.0) + 1
        counts[1] += atom.GetTotalNumHs()
    logp, refractivity = rdMolDescriptors.CalcCrippenDescriptors(mol)
    whole = [
        *(counts[number] for number in _COUNTED), np.sqrt(mol.GetNumHeavyAtoms()), logp, refractivity / 10,
        rdMolDescriptors.CalcTPSA(mol) / 10, rdMolDescriptors.CalcNumRings(mol), rdMolDescriptors.CalcNumHBD(mol),
        rdMolDescriptors.CalcNumAromaticRings(mol), rdMolDescriptors.CalcNumRotatableBonds(mol),
    ]  # fmt: skip
    small = np.zeros(_SMALL)
    for place, count in _generator(_SMALL).GetCountFingerprint(mol).GetNonzeroElements().items():
        small[place] = np.log1p(count)
    return np.concatenate([whole, small])
