"""A molecule as the network sees it: its graph, and the cheapest of its parts with what is known of each."""

from __future__ import annotations

import collections
import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt64

from molvis_fragmentation.graph import Graph
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
    made = _cheapest(parts(smiles), most)
    molecule = made.molecule
    graph = molecule.graph
    numbers = np.array(_atoms(graph), dtype=np.float32)
    atoms = np.concatenate([numbers, _bits(molecule.sites, len(numbers)).T], axis=1)
    ends = np.concatenate([molecule.bonds, molecule.bonds[:, ::-1]])
    # One that does not break has no bonds here, whatever its graph has.
    bonds = np.array(_bonds(graph) if len(ends) else [], dtype=np.float32).reshape(-1, BOND_NUMBERS)
    classes = molecule.classes[ends[:, 0], ends[:, 1]].astype(np.int64) if len(ends) else np.zeros(0, dtype=np.int64)
    mass = float(molecule.mass.sum())
    return Pieces(made, mass, atoms, _counts(graph, mass), ends, np.concatenate([bonds, bonds]), classes)


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


def _atoms(graph: Graph) -> list[list[int]]:
    return [
        [
            *_one_hot(_ELEMENT.get(symbol, len(ELEMENTS)), len(ELEMENTS) + 1), *_one_hot(len(bound), 5),
            *_one_hot(carried, 5), *_one_hot(hybrid, 3), int(charge > 0), int(charge < 0), int(aromatic),
            *(int(size in sizes) for size in _RINGS),
        ]
        for symbol, bound, carried, hybrid, charge, aromatic, sizes in zip(
            graph.symbols, graph.neighbours, graph.hydrogens, graph.hybrid, graph.charges, graph.aromatic,
            graph.ring_sizes, strict=True,
        )
    ]  # fmt: skip


def _bonds(graph: Graph) -> list[list[int]]:
    place = {1.0: 0, 1.5: 1, 2.0: 2}
    return [
        [*_one_hot(place.get(order, 3), 4), int(rings > 0), int(rings > 1), int(conjugated)]
        for order, rings, conjugated in zip(graph.orders, graph.rings, graph.conjugated, strict=True)
    ]


def _counts(graph: Graph, mass: float) -> Float[np.ndarray, " c"]:
    found = collections.Counter(graph.symbols)
    hydrogens = found["H"] + sum(graph.hydrogens)
    heavy = [min(found[e] / (10 if e == "C" else 3), 3.0) for e in ELEMENTS]
    size = len(graph.symbols)
    return np.array([*heavy, hydrogens / 20, graph.ring_count / 4, size / 20, mass / 300], dtype=np.float32)
