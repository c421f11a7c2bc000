"""Fingerprints of structures: circles of atoms and paths of bonds."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator
from rdkit.Chem.rdchem import Mol

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.progress import Progress
from molvis_core.records import Structure
from molvis_files.kept import Kept
from molvis_msms.fingerprint.kernels import path_bits

CIRCLES = 2048
"""Bits of the circles of a fingerprint."""
LENGTH = 2 * CIRCLES
"""Bits of a fingerprint: those of circles, then as many of paths."""
_LONGEST = 5
"""Bonds of a path."""
_UNUSUAL = re.compile(r"->|<-|[~$*]")
"""In the SMILES of what is left to RDKit: other bonds than single, double, triple, aromatic, and atoms of any kind."""
_CARBON = 2 * 6
_MOST_KEPT = 65_536


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
    rows = [np.frombuffer(_kept(one.smiles), dtype=np.uint8) for one in structures]
    return np.stack(rows) if rows else np.empty((0, LENGTH // 8), dtype=np.uint8)


def unpacked(packed: UInt8[np.ndarray, "m bytes"]) -> Bool[np.ndarray, "m bits"]:
    """Bits of packed fingerprints."""
    return np.unpackbits(packed, axis=1).astype(bool)


@functools.lru_cache(maxsize=100_000)
def circles(smiles: str) -> Int64[np.ndarray, " set"]:
    """Places of the bits of the circles alone that are set, ascending: the ECFP4 fingerprint of a structure.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses it.
    """
    made, _ = _generators()
    return np.array(made.GetFingerprint(parse_smiles(smiles)).GetOnBits(), dtype=np.int64)


def prepare(structures: Sequence[Structure], *, progress: Progress | None = None) -> None:
    """Make the fingerprints of many structures by all processors, and keep them.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses a structure.
    """
    _kept.prepare((one.smiles for one in structures), progress=progress)


def _packed(smiles: str) -> bytes:
    mol = parse_smiles(smiles)
    of_circles, of_paths = _generators()
    paths = of_paths.GetFingerprintAsNumPy(mol) if _UNUSUAL.search(smiles) else paths_of(mol)
    return np.packbits(np.r_[of_circles.GetFingerprintAsNumPy(mol), paths]).tobytes()


def paths_of(mol: Mol) -> UInt8[np.ndarray, " bits"]:
    """What RDKit's generator of path fingerprints gives, bit by bit, in a third of the time.

    Args:
        mol: of single, double, triple and aromatic bonds, and without atoms of any kind.
    """
    count = mol.GetNumAtoms()
    atoms = np.full(count, _CARBON, dtype=np.uint32)
    others, aromatic = _patterns()
    # Matching a pattern is one call into C++; asking each atom is one, of a microsecond, for each.
    for (place,) in mol.GetSubstructMatches(others, maxMatches=count):
        atoms[place] = mol.GetAtomWithIdx(place).GetAtomicNum() * 2
    for (place,) in mol.GetSubstructMatches(aromatic, maxMatches=count):
        atoms[place] += 1
    return path_bits(Chem.GetAdjacencyMatrix(mol, useBO=True), atoms, _LONGEST, LENGTH - CIRCLES)


@functools.lru_cache(maxsize=1)
def _patterns() -> tuple[Mol, Mol]:
    return Chem.MolFromSmarts("[!#6]"), Chem.MolFromSmarts("a")


@functools.lru_cache(maxsize=1)
def _generators() -> tuple[rdFingerprintGenerator.FingerprintGenerator64, ...]:
    return (
        rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=CIRCLES),
        rdFingerprintGenerator.GetRDKitFPGenerator(
            minPath=1, maxPath=_LONGEST, fpSize=LENGTH - CIRCLES, numBitsPerFeature=1
        ),
    )


_kept = Kept(_packed, _MOST_KEPT)
