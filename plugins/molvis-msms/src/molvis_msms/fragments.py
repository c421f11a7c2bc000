"""Substructures that a molecule can break into, and the peaks they explain.

Bonds are broken one by one, or two of a ring at a time, to a depth of two; what remains connected is a fragment, a set
of atoms of the molecule: a substructure by construction. After S. Wolf et al., In silico fragmentation for computer
assisted identification of metabolite mass spectra, BMC Bioinformatics 11 (2010) 148, doi:10.1186/1471-2105-11-148, with
sets of atoms as bits of one integer, so that a molecule takes milliseconds.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numba
import numpy as np
from jaxtyping import Float, Int64, UInt64
from rdkit import Chem

from molvis_core.formula import ELECTRON_MASS, ISOTOPE_MASS
from molvis_core.identity import parse_smiles
from molvis_core.records import PeakList, Structure

MAX_ATOMS = 63
"""Heavy atoms of a molecule that can be broken: one bit each."""

MAX_FRAGMENTS = 6000
ABSOLUTE = 0.0008
"""Da. Below m/z 80 a tolerance of 10 ppm is finer than instruments are."""

_HYDROGEN = ISOTOPE_MASS["H"]
_ELEMENTS = ("C", "N", "O", "S", "P", "F", "Cl", "Br", "I")
ELEMENT_MASSES = np.array([ISOTOPE_MASS[e] for e in _ELEMENTS])


@dataclass(frozen=True, eq=False, slots=True)
class Fragments:
    """Substructures of one molecule, by ascending mass.

    Attributes:
        mass: Da, with the hydrogens that the atoms carry in the molecule.
        cost: what the bonds cost that must break: 1 for a single bond between carbons.
        atoms: bit i is set where atom i is in the fragment.
        counts: of the elements C, N, O, S, P, F, Cl, Br, I in the whole molecule.
        hydrogens: in the whole molecule.
        size: heavy atoms of the molecule.
    """

    mass: Float[np.ndarray, " f"]
    cost: Float[np.ndarray, " f"]
    atoms: UInt64[np.ndarray, " f"]
    counts: Int64[np.ndarray, " 9"]
    hydrogens: int
    size: int


@dataclass(frozen=True, slots=True)
class PeakExplanation:
    """A peak and the substructure that explains it best.

    Attributes:
        peak: its number in the peak list.
        mz: its m/z.
        formula: of the ion.
        smiles: of the substructure.
        hydrogens: gained (+) or lost (-) against the substructure as it is in the molecule, the charge's included.
        ppm: measured against calculated m/z.
        cost: of the bonds that broke.
    """

    peak: int
    mz: float
    formula: str
    smiles: str
    hydrogens: int
    ppm: float
    cost: float


@functools.lru_cache(maxsize=4096)
def fragments(smiles: str) -> Fragments:
    """Break a molecule. One of more than 63 heavy atoms is not broken: it has itself as its only fragment.

    Raises:
        StructureError: RDKit refuses the SMILES.
    """
    mol = parse_smiles(smiles)
    symbols = [a.GetSymbol() for a in mol.GetAtoms()]
    carried = [a.GetTotalNumHs() for a in mol.GetAtoms()]
    masses = np.array([ISOTOPE_MASS.get(s, 0.0) + h * _HYDROGEN for s, h in zip(symbols, carried, strict=True)])
    counts = np.array([symbols.count(e) for e in _ELEMENTS], dtype=np.int64)
    size = mol.GetNumAtoms()
    bonds = np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()], dtype=np.int64).reshape(-1, 2)
    if size > MAX_ATOMS or not len(bonds):
        whole = np.array([(1 << min(size, MAX_ATOMS)) - 1], dtype=np.uint64)
        return Fragments(masses.sum(keepdims=True), np.zeros(1), whole, counts, sum(carried), size)
    costs = np.array([_cost(b) for b in mol.GetBonds()])
    in_ring = np.array([b.IsInRing() for b in mol.GetBonds()])
    mass, cost, atoms = _break(size, masses, bonds, costs, in_ring, MAX_FRAGMENTS)
    order = np.argsort(mass, kind="stable")
    return Fragments(mass[order], cost[order], atoms[order], counts, sum(carried), size)


def _cost(bond: Chem.Bond) -> float:
    first, second = bond.GetBeginAtom(), bond.GetEndAtom()
    cost = {1.0: 1.0, 1.5: 2.0, 2.0: 2.0, 3.0: 3.0}.get(bond.GetBondTypeAsDouble(), 1.0)
    if first.GetAtomicNum() != 6 or second.GetAtomicNum() != 6:
        cost *= 0.7  # bonds to other elements than carbon break more easily
    if bond.GetBondTypeAsDouble() == 1.0 and (first.GetIsAromatic() or second.GetIsAromatic()):
        cost *= 1.2
    return cost


@numba.njit(cache=True)
def _place(bit: np.uint64) -> int:  # pragma: no cover - compiled
    place = 0
    for step in (32, 16, 8, 4, 2, 1):
        if bit >= np.uint64(1) << np.uint64(step):
            bit >>= np.uint64(step)
            place += step
    return place


@numba.njit(cache=True)
def _connected(start, within, neighbours, a, b, c, d):  # pragma: no cover - compiled
    """Atoms that can be reached from one, without crossing the bonds a-b and c-d."""
    one = np.uint64(1)
    seen = one << np.uint64(start)
    front = seen
    while front:
        following = np.uint64(0)
        rest = front
        while rest:
            low = rest & (~rest + one)
            rest ^= low
            place = _place(low)
            reach = neighbours[place]
            if place == a:
                reach &= ~(one << np.uint64(b))
            if place == b:
                reach &= ~(one << np.uint64(a))
            if place == c:
                reach &= ~(one << np.uint64(d))
            if place == d:
                reach &= ~(one << np.uint64(c))
            following |= reach
        front = following & within & ~seen
        seen |= front
    return seen


@numba.njit(cache=True)
def _break(size, masses, bonds, costs, in_ring, most):  # pragma: no cover - compiled
    """Masses, costs and atoms of all fragments to a depth of two, the cheapest way to each."""
    one = np.uint64(1)
    neighbours = np.zeros(64, np.uint64)
    for bond in range(len(bonds)):
        i, j = bonds[bond]
        neighbours[i] |= one << np.uint64(j)
        neighbours[j] |= one << np.uint64(i)
    whole = np.uint64(0)
    for i in range(size):
        whole |= one << np.uint64(i)
    known = dict()
    known[whole] = 0
    atoms = np.zeros(most, np.uint64)
    cost = np.zeros(most)
    atoms[0] = whole
    count, start = 1, 0
    for _ in range(2):
        stop = count
        for parent in range(start, stop):
            inside = atoms[parent]
            for first in range(len(bonds)):
                i, j = bonds[first]
                if not ((inside >> np.uint64(i)) & one and (inside >> np.uint64(j)) & one):
                    continue
                part = _connected(i, inside, neighbours, i, j, -1, -1)
                if part != inside:
                    paid = cost[parent] + costs[first]
                    for side in range(2):
                        found = part if side == 0 else inside & ~part
                        if found in known:
                            place = known[found]
                            cost[place] = min(cost[place], paid)
                        elif count < most:
                            known[found] = count
                            atoms[count], cost[count] = found, paid
                            count += 1
                elif in_ring[first]:
                    for second in range(first + 1, len(bonds)):
                        if not in_ring[second]:
                            continue
                        k, m = bonds[second]
                        if not ((inside >> np.uint64(k)) & one and (inside >> np.uint64(m)) & one):
                            continue
                        part = _connected(i, inside, neighbours, i, j, k, m)
                        if part == inside:
                            continue
                        paid = cost[parent] + costs[first] + costs[second]
                        for side in range(2):
                            found = part if side == 0 else inside & ~part
                            if found in known:
                                place = known[found]
                                cost[place] = min(cost[place], paid)
                            elif count < most:
                                known[found] = count
                                atoms[count], cost[count] = found, paid
                                count += 1
        start = stop
    mass = np.zeros(count)
    for place in range(count):
        for i in range(size):
            if (atoms[place] >> np.uint64(i)) & one:
                mass[place] += masses[i]
    return mass, cost[:count], atoms[:count]


@numba.njit(cache=True)
def match(mz, mass, cost, sign, ppm, absolute, hydrogen, electron):  # pragma: no cover - compiled
    """For each peak the cheapest fragment within the tolerance, up to four hydrogens more or fewer.

    Returns its number (-1 for none), the hydrogens gained, and the cost.
    """
    number = np.full(len(mz), -1)
    gained = np.zeros(len(mz), np.int64)
    paid = np.full(len(mz), 99.0)
    for peak in range(len(mz)):
        best = 99.0
        tolerance = max(mz[peak] * ppm * 1e-6, absolute)
        for k in range(-4, 5):
            wanted = mz[peak] - k * hydrogen + sign * electron
            place = np.searchsorted(mass, wanted - tolerance)
            while place < len(mass) and mass[place] <= wanted + tolerance:
                # The charge itself is one hydrogen more or fewer; every further one is less likely.
                total = cost[place] + 0.3 * abs(k - sign)
                if total < best:
                    best = total
                    number[peak], gained[peak], paid[peak] = place, k, cost[place]
                place += 1
    return number, gained, paid


@numba.njit(cache=True)
def has_subformula(
    mz, counts, hydrogens, sign, ppm, absolute, masses, hydrogen, electron
):  # pragma: no cover - compiled
    """For each peak whether any subset of the molecule's atoms, of sensible valence, weighs as much."""
    out = np.zeros(len(mz), np.bool_)
    others = np.zeros(len(masses), np.int64)
    for peak in range(len(mz)):
        wanted = mz[peak] + sign * electron
        tolerance = max(mz[peak] * ppm * 1e-6, absolute)
        others[:] = 0
        while True:
            rest = wanted
            for e in range(1, len(masses)):
                rest -= others[e] * masses[e]
            if rest >= -tolerance:
                carbons = min(counts[0], int((rest + tolerance) / masses[0]))
                while carbons >= 0:
                    left = rest - masses[0] * carbons
                    k = round(left / hydrogen)
                    # More hydrogens than a saturated chain of these atoms can carry: fewer carbons only make it worse.
                    if k > hydrogens + 1 or k > 2 * carbons + others[1] + others[4] + 4:
                        break
                    if abs(left - k * hydrogen) <= tolerance:
                        out[peak] = True
                        break
                    carbons -= 1
            if out[peak]:
                break
            # Count on through the combinations of all other elements; what is too heavy is passed over.
            e = 1
            while e < len(masses):
                if others[e] < counts[e] and rest - masses[e] >= -tolerance:
                    others[e] += 1
                    break
                rest += others[e] * masses[e]
                others[e] = 0
                e += 1
            if e == len(masses):
                break
    return out


def explain(query: PeakList, structure: Structure, *, ppm: float = 10.0) -> list[PeakExplanation]:
    """The peaks of a spectrum that substructures of a molecule explain, and how.

    Args:
        query: the spectrum; without an ion mode it is taken as positive.
        structure: the molecule, at most 63 heavy atoms.
        ppm: tolerance; below m/z 80 it is 0.8 mDa.

    Raises:
        StructureError: RDKit refuses the structure.
    """
    found = fragments(structure.smiles)
    sign = -1 if query.ionmode == "negative" else 1
    number, gained, paid = match(
        query.mz, found.mass, found.cost, sign, ppm, ABSOLUTE, _HYDROGEN, ELECTRON_MASS
    )  # fmt: skip
    if found.size > MAX_ATOMS:
        return []
    mol = parse_smiles(structure.smiles)
    out: list[PeakExplanation] = []
    for peak in np.flatnonzero(number >= 0).tolist():
        atoms = [i for i in range(found.size) if (int(found.atoms[number[peak]]) >> i) & 1]
        calculated = float(found.mass[number[peak]]) + int(gained[peak]) * _HYDROGEN - sign * ELECTRON_MASS
        mz = float(query.mz[peak])
        out.append(
            PeakExplanation(
                peak=peak,
                mz=mz,
                formula=_formula(mol, atoms, int(gained[peak])) + ("+" if sign > 0 else "-"),
                smiles=Chem.MolFragmentToSmiles(mol, atoms),
                hydrogens=int(gained[peak]),
                ppm=(mz - calculated) / calculated * 1e6,
                cost=float(paid[peak]),
            )
        )
    return out


def _formula(mol: Chem.Mol, atoms: list[int], gained: int) -> str:
    counts: dict[str, int] = {}
    for i in atoms:
        atom = mol.GetAtomWithIdx(i)
        counts[atom.GetSymbol()] = counts.get(atom.GetSymbol(), 0) + 1
        counts["H"] = counts.get("H", 0) + atom.GetTotalNumHs()
    counts["H"] = counts.get("H", 0) + gained
    first = ["C", "H"] if "C" in counts else []  # Hill order
    names = first + sorted(e for e in counts if e not in first)
    return "".join(f"{e}{counts[e] if counts[e] > 1 else ''}" for e in names if counts[e] > 0)
