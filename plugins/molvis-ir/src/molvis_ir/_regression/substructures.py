"""How alike two structures are: a kernel on counted substructures."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64
from rdkit.Chem import rdFingerprintGenerator, rdMolDescriptors
from rdkit.Chem.rdchem import Mol
from scipy import sparse

from molvis_core.chemistry.structures import parse_smiles

THRESHOLDS = ((1, 1.0), (2, 1.0), (3, 1.0), (4, 1.5), (6, 2.0), (8, 3.0), (12, 4.0), (16, 4.0))
"""A substructure that comes so often counts so much more: two molecules share what both have at least."""
_OFTEN = 0.1
"""Of the molecules that were learned from have a common key."""
_KIND = 40
"""Bits of a key before its kind: 32 of the substructure, and behind them the threshold."""


@functools.cache
def _generators() -> tuple[rdFingerprintGenerator.FingerprintGenerator64, ...]:
    make = rdFingerprintGenerator
    return (
        make.GetMorganGenerator(radius=3),
        make.GetMorganGenerator(radius=2, atomInvariantsGenerator=make.GetMorganFeatureAtomInvGen()),
        make.GetAtomPairGenerator(),
        make.GetTopologicalTorsionGenerator(),
        make.GetRDKitFPGenerator(maxPath=6, numBitsPerFeature=1),
    )


KINDS = 7
"""Circles of atoms, circles of pharmacophoric atoms, pairs of atoms, torsions, paths, circles of atoms by the smallest
ring that they are in, and structural keys; their kernels are averaged."""


@functools.cache
def _circles_by_ring() -> rdFingerprintGenerator.FingerprintGenerator64:
    return rdFingerprintGenerator.GetMorganGenerator(radius=2)


def _by_ring(mol: Mol) -> list[int]:
    """A number for each atom: its element, hydrogens, aromaticity, smallest ring of up to eight atoms, and charge."""
    rings, out = mol.GetRingInfo(), list[int]()
    for atom in mol.GetAtoms():
        size = rings.MinAtomRingSize(atom.GetIdx())
        ring = size if size <= 8 else 0
        parts = (atom.GetTotalNumHs() & 15, int(atom.GetIsAromatic()), ring, (atom.GetFormalCharge() + 8) & 15)
        out.append(functools.reduce(lambda number, part: number * 16 + part, parts, atom.GetAtomicNum()))
    return out


def _counts(mol: Mol) -> list[dict[int, int]]:
    """How often each substructure comes, by kind."""
    found = [generator.GetSparseCountFingerprint(mol).GetNonzeroElements() for generator in _generators()]
    around = _circles_by_ring().GetSparseCountFingerprint(mol, customAtomInvariants=_by_ring(mol))
    keys = rdMolDescriptors.GetMACCSKeysFingerprint(mol).GetOnBits()
    return [*found, around.GetNonzeroElements(), dict.fromkeys(keys, 1)]


def substructures(smiles: str) -> Int64[np.ndarray, " k"]:
    """Keys of a molecule's substructures, one for each threshold that their number reaches; sorted.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses the SMILES.
    """
    kinds = _counts(parse_smiles(smiles))
    sizes = [len(one) for one in kinds]
    found = np.fromiter((key for one in kinds for key in one), np.int64, sum(sizes))
    count = np.fromiter((times for one in kinds for times in one.values()), np.int64, sum(sizes))
    base = (np.repeat(np.arange(len(kinds)), sizes) << _KIND) | (found & 0xFFFFFFFF)
    return np.unique(np.concatenate([base[count >= least] | (i << 32) for i, (least, _) in enumerate(THRESHOLDS)]))


@dataclass(frozen=True)
class _Kind:
    """Keys of one kind in molecules that were learned from: those that many have as a full matrix, which is quicker.

    Attributes:
        keys: their places.
        weight: of each.
        common: which of them many molecules have.
        of_common, of_rare: weights of those that each molecule has.
        size: of all that each molecule has.
    """

    keys: slice
    weight: Float[np.ndarray, " f"]
    common: Bool[np.ndarray, " f"]
    of_common: Float[np.ndarray, "c n"]
    of_rare: sparse.csr_matrix
    size: Float[np.ndarray, " n"]

    @classmethod
    def of(
        cls, keys: slice, known: sparse.csr_matrix, weight: Float[np.ndarray, " _"], often: Bool[np.ndarray, " _"]
    ) -> _Kind:
        """Keys at these places, of the weights and of those that come often among all."""
        weight, common = weight[keys], often[keys]
        weighed = known[:, keys].multiply(weight).tocsc()
        full = np.ascontiguousarray(weighed[:, common].toarray().T)
        return cls(keys, weight, common, full, weighed[:, ~common].T.tocsr(), known[:, keys] @ weight)


@dataclass(frozen=True)
class Substructures:
    """Those of molecules that were learned from, and the kernel with them.

    Attributes:
        keys: that two or more of the molecules have, sorted.
        place, start: of each molecule the places of its keys, end to end.
    """

    keys: Int64[np.ndarray, " f"]
    place: Int64[np.ndarray, " p"]
    start: Int64[np.ndarray, " n_and_1"]

    @classmethod
    def of(cls, found: Sequence[Int64[np.ndarray, " _"]]) -> Substructures:
        """The substructures of molecules."""
        every, count = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *found]), return_counts=True)
        keys = every[count >= min(2, max(len(found), 1))]
        empty = cls(keys, np.empty(0, dtype=np.int64), np.zeros(1, dtype=np.int64))
        rows = empty.rows(found)
        return cls(keys, rows.indices.astype(np.int64), rows.indptr.astype(np.int64))

    def rows(self, found: Sequence[Int64[np.ndarray, " _"]]) -> sparse.csr_matrix:
        """The known keys of molecules, one molecule to a row; other keys are left out."""
        lengths = [len(one) for one in found]
        flat = np.concatenate([np.empty(0, dtype=np.int64), *found])
        place = np.searchsorted(self.keys, flat).clip(max=max(len(self.keys) - 1, 0))
        known = self.keys[place] == flat if len(self.keys) else np.zeros(len(flat), dtype=bool)
        owner = np.repeat(np.arange(len(found)), lengths)[known]
        start = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(found)))])
        ones = np.ones(len(owner), dtype=np.float32)
        return sparse.csr_matrix((ones, place[known], start), shape=(len(found), len(self.keys)))

    def kernel(self, found: Sequence[Int64[np.ndarray, " _"]]) -> Float[np.ndarray, "m n"]:
        """Mean over the kinds of shared over joint weight, from 0 to 1, with every molecule that was learned from.

        Two molecules that both have nothing of a kind, such as torsions, are alike in it.
        """
        rows = self.rows(found)
        out = np.zeros((rows.shape[0], len(self.start) - 1), dtype=np.float32)
        for kind in self._kinds:
            mine = rows[:, kind.keys]
            shared = mine[:, kind.common].toarray() @ kind.of_common + (mine[:, ~kind.common] @ kind.of_rare).toarray()
            joint = (mine @ kind.weight)[:, None] + kind.size - shared
            out += np.divide(shared, joint, out=np.ones_like(shared), where=joint > 0)
        return out / KINDS

    @functools.cached_property
    def _kinds(self) -> list[_Kind]:
        known = self._known
        often = np.bincount(self.place, minlength=len(self.keys)) > _OFTEN * known.shape[0]
        weight = np.array([w for _, w in THRESHOLDS], dtype=np.float32)[(self.keys >> 32) & 0xFF]
        bounds = np.searchsorted(self.keys, np.arange(KINDS + 1) << _KIND)
        return [_Kind.of(slice(*ends), known, weight, often) for ends in itertools.pairwise(bounds)]

    @functools.cached_property
    def _known(self) -> sparse.csr_matrix:
        ones = np.ones(len(self.place), dtype=np.float32)
        return sparse.csr_matrix((ones, self.place, self.start), shape=(len(self.start) - 1, len(self.keys)))
