"""A molecule as the network sees it: its graph, and the cheapest of its parts with what is known of each."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt64
from rdkit import Chem

from molvis_core.chemistry.structures import parse_smiles
from molvis_fragmentation.molecule import MAX_ATOMS, SITES
from molvis_fragmentation.parts import Parts, parts

MOST_PARTS = 600
"""Parts that are kept of a molecule: the cheapest."""
ELEMENTS = ("C", "N", "O", "S", "P", "F", "Cl", "Br", "I", "Si")
_SITES = len(SITES) + 1
_RINGS = (3, 4, 5, 6, 7)
ATOM_NUMBERS = len(ELEMENTS) + 1 + 5 + 5 + 3 + 3 + len(_RINGS) + _SITES
BOND_NUMBERS = 4 + 3
_CUTS = 4
PART_NUMBERS = _CUTS + 12 + 2 * _SITES
COUNTS = len(ELEMENTS) + 4


@dataclass(frozen=True, eq=False, slots=True)
class Pieces:
    """What is computed once for a molecule, whatever the settings.

    Attributes:
        parts: those that are kept, by ascending mass.
        exact_mass: of the molecule, in Da.
        atoms: numbers of each heavy atom.
        counts: of the elements, and of hydrogen, rings, atoms and mass.
        ends: the atoms of each bond, in both directions: that which is kept, and that which is lost.
        bonds: numbers of each of these.
        classes: of each of these, as `molvis_fragmentation.molecule` counts them.
    """

    parts: Parts
    exact_mass: float
    atoms: Float[np.ndarray, "a f"]
    counts: Float[np.ndarray, " c"]
    ends: Int64[np.ndarray, "d 2"]
    bonds: Float[np.ndarray, "d g"]
    classes: Int64[np.ndarray, " d"]

    def members(self) -> Bool[np.ndarray, "f a"]:
        """Which atoms are in each part."""
        if not len(self.ends):  # one that does not break is its own only part
            return np.ones((len(self.parts.sets), len(self.atoms)), dtype=bool)
        return _bits(self.parts.sets, len(self.atoms)) > 0

    def crossing(self, members: Bool[np.ndarray, "f a"]) -> Bool[np.ndarray, "f d"]:
        """Which bonds leave each part, from the atom that is kept."""
        return members[:, self.ends[:, 0]] & ~members[:, self.ends[:, 1]]

    def numbers(self, members: Bool[np.ndarray, "f a"], crossing: Bool[np.ndarray, "f d"]) -> Float[np.ndarray, "f g"]:
        """What is known of each part as `PART_NUMBERS` numbers near 1."""
        made, size = self.parts, len(self.atoms)
        out = np.zeros((len(made.sets), PART_NUMBERS), dtype=np.float32)
        out[np.arange(len(out)), np.minimum(made.depth, _CUTS - 1)] = 1
        inside = members.sum(axis=1)
        rings = crossing @ self.bonds[:, 4]
        odd = members @ self.atoms[:, -1] % 2
        share = made.mass / max(float(self.parts.molecule.mass.sum()), 1.0)
        out[:, _CUTS : _CUTS + 12] = np.stack(
            [
                made.cost / 300, crossing.sum(axis=1) / 3, rings / 3, odd, inside / 20, inside / size,
                (size - inside) / 10, made.mass / 300, np.log(np.maximum(made.mass, 1)) / 6, share,
                made.hydrogens / 20, made.hydrogens / np.maximum(inside, 1) / 2,
            ],
            axis=1,
        )  # fmt: skip
        sites = self.atoms[:, -_SITES:]
        kept = members @ sites
        out[:, _CUTS + 12 : _CUTS + 12 + _SITES] = np.minimum(kept, 4) / 2
        out[:, _CUTS + 12 + _SITES :] = np.minimum(sites.sum(axis=0) - kept, 4) / 2
        return out


@functools.lru_cache(maxsize=600)
def pieces(smiles: str, most: int = MOST_PARTS) -> Pieces:
    """A molecule's graph and its parts.

    Args:
        smiles: of the molecule.
        most: parts that are kept, the cheapest; the whole is one of them.

    Raises:
        StructureError: RDKit refuses the SMILES.
    """
    every = parts(smiles)
    mol = parse_smiles(smiles)
    made = _cheapest(every, most)
    molecule = made.molecule
    numbers = np.array([_atom(a) for a in mol.GetAtoms()], dtype=np.float32)
    atoms = np.concatenate([numbers, _bits(molecule.sites, len(numbers)).T], axis=1)
    ends = np.concatenate([molecule.bonds, molecule.bonds[:, ::-1]])
    bonds = [mol.GetBondBetweenAtoms(i, j) for i, j in molecule.bonds.tolist()]
    numbers = np.array([_bond(b, bool(f)) for b, f in zip(bonds, molecule.fused, strict=True)], dtype=np.float32)
    numbers = numbers.reshape(-1, BOND_NUMBERS)
    classes = molecule.classes[ends[:, 0], ends[:, 1]].astype(np.int64) if len(ends) else np.zeros(0, dtype=np.int64)
    mass = float(molecule.mass.sum())
    return Pieces(made, mass, atoms, _counts(mol, mass), ends, np.concatenate([numbers, numbers]), classes)


def _cheapest(every: Parts, most: int) -> Parts:
    if len(every.sets) <= most:
        return every
    # Of parts that cost the same the heavier are kept: they need no more explanation than the bonds that broke.
    kept = np.sort(np.lexsort((-every.mass, every.depth, every.cost))[:most])
    return Parts(
        every.molecule, every.sets[kept], every.mass[kept], every.hydrogens[kept], every.cost[kept], every.depth[kept]
    )


def _bits(sets: UInt64[np.ndarray, "s 2"], atoms: int) -> Float[np.ndarray, "s a"]:
    """1 for every atom that is in a set; sets hold no atom beyond the 128th."""
    out = np.zeros((len(sets), atoms), dtype=np.float32)
    places = np.arange(min(atoms, MAX_ATOMS))
    out[:, places] = (sets[:, places // 64] >> (places % 64).astype(np.uint64)) & np.uint64(1)
    return out


def _one_hot(value: int, count: int) -> tuple[int, ...]:
    return _ONE[count][min(max(value, 0), count - 1)]


_ONE = {count: [tuple(int(k == one) for k in range(count)) for one in range(count)] for count in range(1, 16)}
_ELEMENT = {symbol: place for place, symbol in enumerate(ELEMENTS)}
_HYBRID = {Chem.HybridizationType.SP: 0, Chem.HybridizationType.SP2: 1}


def _atom(atom: Chem.Atom) -> list[int]:
    element = _ELEMENT.get(atom.GetSymbol(), len(ELEMENTS))
    hybrid = _HYBRID.get(atom.GetHybridization(), 2)
    rings = [int(atom.IsInRingSize(size)) for size in _RINGS] if atom.IsInRing() else [0] * len(_RINGS)
    charge = atom.GetFormalCharge()
    return [
        *_one_hot(element, len(ELEMENTS) + 1), *_one_hot(atom.GetDegree(), 5), *_one_hot(atom.GetTotalNumHs(), 5),
        *_one_hot(hybrid, 3), int(charge > 0), int(charge < 0), int(atom.GetIsAromatic()), *rings,
    ]  # fmt: skip


def _bond(bond: Chem.Bond, fused: bool) -> list[int]:
    order = {1.0: 0, 1.5: 1, 2.0: 2}.get(bond.GetBondTypeAsDouble(), 3)
    return [*_one_hot(order, 4), int(bond.IsInRing()), int(fused), int(bond.GetIsConjugated())]


def _elements(mol: Chem.Mol) -> dict[str, int]:
    found: dict[str, int] = {}
    for atom in mol.GetAtoms():
        found[atom.GetSymbol()] = found.get(atom.GetSymbol(), 0) + 1
        if carried := atom.GetTotalNumHs():
            found["H"] = found.get("H", 0) + carried
    return found


def _counts(mol: Chem.Mol, mass: float) -> Float[np.ndarray, " c"]:
    found = _elements(mol)
    heavy = [min(found.get(e, 0) / (10 if e == "C" else 3), 3.0) for e in ELEMENTS]
    rings = mol.GetRingInfo().NumRings()
    return np.array([*heavy, found.get("H", 0) / 20, rings / 4, mol.GetNumAtoms() / 20, mass / 300], dtype=np.float32)
