"""What stands around each atom of a molecule, as far as it matters for which bonds break."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from rdkit import Chem
from rdkit.Chem import rdmolops

_ELEMENTS = {6: 0, 7: 1, 8: 2, 16: 3, 15: 4, 9: 5, 17: 6, 35: 7, 53: 8}
_OTHER = 9
_HYDROGENS, _DEGREES, _RINGS = 4, 4, (3, 4, 5, 6, 7)
_OWN = _OTHER + 1 + _HYDROGENS + _DEGREES + len(_RINGS) + 6
REACH = 3
"""Bonds from an atom to the farthest that are counted."""
SURROUNDINGS = _OWN * (REACH + 1)
"""Numbers of an atom: its own, then the sums of those that are one, two and three bonds away."""


def surroundings(mol: Chem.Mol) -> UInt8[np.ndarray, "a s"]:
    """Element, hydrogens, neighbours, rings, charge and saturation of each atom, and how often near it there are such.

    They tell nothing of what is farther away than three bonds.
    """
    own = np.array([_own(atom) for atom in mol.GetAtoms()], dtype=np.int64).reshape(-1, _OWN)
    distance = rdmolops.GetDistanceMatrix(mol)
    rings = [own, *((distance == far).astype(np.int64) @ own for far in range(1, REACH + 1))]
    return np.minimum(np.concatenate(rings, axis=1), 255).astype(np.uint8)


def _own(atom: Chem.Atom) -> list[int]:
    out = [0] * _OWN
    out[_ELEMENTS.get(atom.GetAtomicNum(), _OTHER)] = 1
    start = _OTHER + 1
    out[start + min(atom.GetTotalNumHs(), _HYDROGENS - 1)] = 1
    start += _HYDROGENS
    out[start + min(max(atom.GetDegree(), 1), _DEGREES) - 1] = 1
    start += _DEGREES
    for place, size in enumerate(_RINGS):
        out[start + place] = int(atom.IsInRingSize(size))
    start += len(_RINGS)
    orders = [b.GetBondTypeAsDouble() for b in atom.GetBonds()]
    charge = atom.GetFormalCharge()
    out[start:] = [
        int(charge > 0), int(charge < 0), int(atom.GetIsAromatic()), int(2 in orders), int(3 in orders),
        int(atom.IsInRing()),
    ]  # fmt: skip
    return out
