"""What stands around each atom of a molecule, as far as it matters for which bonds break."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from rdkit import Chem
from rdkit.Chem import rdmolops

from molvis_fragmentation.graph import Graph

_ELEMENTS = {6: 0, 7: 1, 8: 2, 16: 3, 15: 4, 9: 5, 17: 6, 35: 7, 53: 8}
_OTHER = 9
_HYDROGENS, _DEGREES, _RINGS = 4, 4, (3, 4, 5, 6, 7)
_OWN = _OTHER + 1 + _HYDROGENS + _DEGREES + len(_RINGS) + 6
REACH = 3
"""Bonds from an atom to the farthest that are counted."""
SURROUNDINGS = _OWN * (REACH + 1)
"""Numbers of an atom: its own, then the sums of those that are one, two and three bonds away."""


def surroundings(mol: Chem.Mol, made: Graph) -> UInt8[np.ndarray, "a s"]:
    """Element, hydrogens, neighbours, rings, charge and saturation of each atom, and how often near it there are such.

    They tell nothing of what is farther away than three bonds.

    Args:
        mol: the molecule.
        made: its atoms and bonds.
    """
    own = _own(made)
    distance = rdmolops.GetDistanceMatrix(mol)
    # Products of small whole numbers: exact in single precision, where they are several times faster.
    rings = [own, *((distance == far).astype(np.float32) @ own for far in range(1, REACH + 1))]
    return np.minimum(np.concatenate(rings, axis=1), 255).astype(np.uint8)


def _own(made: Graph) -> Float[np.ndarray, "a f"]:
    out = np.zeros((len(made.numbers), _OWN), dtype=np.float32)
    every = np.arange(len(out))
    out[every, [_ELEMENTS.get(number, _OTHER) for number in made.numbers]] = 1
    start = _OTHER + 1
    out[every, start + np.minimum(made.hydrogens, _HYDROGENS - 1)] = 1
    start += _HYDROGENS
    degrees = [len(some) for some in made.neighbours]
    out[every, start + np.clip(degrees, 1, _DEGREES) - 1] = 1
    start += _DEGREES
    orders = [{order for _, order in some} for some in made.neighbours]
    out[:, start:] = [
        (
            *(size in sizes for size in _RINGS),
            charge > 0, charge < 0, aromatic, 2 in bound, 3 in bound, bool(sizes),
        )
        for sizes, charge, aromatic, bound in zip(made.ring_sizes, made.charges, made.aromatic, orders, strict=True)
    ]  # fmt: skip
    return out
