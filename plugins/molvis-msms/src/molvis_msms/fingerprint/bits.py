"""Fingerprints of structures: circles of atoms and paths of bonds."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8
from rdkit.Chem import rdFingerprintGenerator

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.records import Structure

LENGTH = 4096
"""Bits of a fingerprint: 2048 of circles, then 2048 of paths."""


def fingerprints(structures: Sequence[Structure]) -> Bool[np.ndarray, "m bits"]:
    """One row for each structure.

    Circles of up to two bonds around each atom (D. Rogers and M. Hahn, J. Chem. Inf. Model. 50 (2010) 742,
    doi:10.1021/ci100050t), and paths of up to five bonds.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses a structure.
    """
    return unpacked(packed_fingerprints(structures))


def packed_fingerprints(structures: Sequence[Structure]) -> UInt8[np.ndarray, "m bytes"]:
    """The same, eight bits in a byte: for many structures.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses a structure.
    """
    rows = [np.frombuffer(_packed(one.smiles), dtype=np.uint8) for one in structures]
    return np.stack(rows) if rows else np.empty((0, LENGTH // 8), dtype=np.uint8)


def unpacked(packed: UInt8[np.ndarray, "m bytes"]) -> Bool[np.ndarray, "m bits"]:
    """Bits of packed fingerprints."""
    return np.unpackbits(packed, axis=1).astype(bool)


@functools.lru_cache(maxsize=65536)
def _packed(smiles: str) -> bytes:
    mol = parse_smiles(smiles)
    circles, paths = _generators()
    return np.packbits(np.r_[circles.GetFingerprintAsNumPy(mol), paths.GetFingerprintAsNumPy(mol)]).tobytes()


@functools.lru_cache(maxsize=1)
def _generators() -> tuple[rdFingerprintGenerator.FingerprintGenerator64, ...]:
    half = LENGTH // 2
    return (
        rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=half),
        rdFingerprintGenerator.GetRDKitFPGenerator(minPath=1, maxPath=5, fpSize=half, numBitsPerFeature=1),
    )
