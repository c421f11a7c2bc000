"""Start values from a structure: which protons there are, where they resonate, and how they couple."""

from __future__ import annotations

import itertools
import logging
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers, rdMolTransforms
from rdkit.Chem.rdchem import Mol
from rdkit.rdBase import BlockLogs

from molvis_core.chemistry.structures import parse_mol
from molvis_core.errors import StructureError
from molvis_nmr.prediction.environments import Environments, learned, neutral
from molvis_nmr.spins.hamiltonian import components
from molvis_nmr.spins.system import SpinSystem

log = logging.getLogger("molvis")

CONFORMERS = 8
KT = 0.593
"""In kcal/mol, at 298 K."""

SMALLEST = 0.3
"""In Hz: couplings below this are left out of start values."""

PARA = 0.4
"""In Hz, across an aromatic ring of six."""
META = 1.3
"""In Hz, between positions 1 and 3 of such a ring, where the table has no value."""
GEMINAL = 3.0
"""In Hz, the most between the protons of a CH2 at a double bond."""
CIS, TRANS, ALLYLIC = 10.5, 17.0, -1.3
"""In Hz, across the double bond of a CH2=CH, and from a CH3 or CH2 beside a double bond to its far end where the table
has no value: middles of textbook ranges (E. Pretsch et al., doi:10.1007/978-3-662-62439-5)."""

ASYMMETRY = 0.12
"""By how much of itself the coupling of a proton of a CH2 to one of the next CH2 of a chain is above that to the other:
both are seen where chains turn freely, for extended rotamers are preferred. Measured ones are 5 and 13% in
gamma-aminobutyrate (V. Govindaraju et al., doi:10.1002/1099-1492(200005)13:3<129::AID-NBM619>3.0.CO;2-V)."""
GEMINAL_SP3 = -14.0
"""In Hz, between the protons of such a CH2 where the table has no value: they do not show it where they are alike."""
MOST_STATES = 1024
"""Of a coupled part whose chains of CH2 are simulated proton by proton: those of ten protons."""

EXCHANGEABLE = (
    ("C(=O)[OX2;H1]", 12.0, 0.0),
    ("c[OX2;H1]", 9.5, 0.0),
    ("[OX2;H1]", 4.5, 5.0),
    ("[nH]", 10.0, 2.5),
    ("[#7;!H0]C=[O,S]", 8.0, 7.0),
    ("c[#7;!H0]", 5.0, 5.0),
    ("[#7;!H0]", 2.5, 6.0),
    ("[SX2;H1]", 1.6, 7.5),
)
"""SMARTS whose hydrogen exchanges, with its shift in ppm and its coupling to a neighbor's in Hz: middles of textbook
ranges (E. Pretsch et al., Structure Determination of Organic Compounds, doi:10.1007/978-3-662-62439-5)."""

HUGGINS = {"H": 0.0, "C": 0.4, "N": 0.85, "O": 1.3, "F": 1.7, "S": 0.4, "Cl": 0.94, "Br": 0.74, "I": 0.44, "P": -0.05,
           "Si": -0.4, "Se": 0.3}  # fmt: skip
"""Electronegativity above that of hydrogen."""


@dataclass(frozen=True, slots=True)
class _Proton:
    """A hydrogen atom of the molecule with explicit hydrogen, and its neighbor."""

    index: int
    owner: int


def from_smiles(text: str, *, exchangeable: bool = False) -> SpinSystem:
    """Start values of a molecule's 1H spin system in water.

    Protons are equivalent where a rotation or a reflection exchanges them (those of a CH2 beside a stereocenter are
    not), and one group where they couple alike, too. Those of CH2 beside CH2 in a chain do not: each is a group, as
    long as no coupled part has more than ten protons; in larger parts those of a CH2 are taken as one. Shifts come
    from a table of environments, couplings from the same table by pairs of carbons, and across single bonds of rings
    from a Karplus equation over conformers. They are meant to start a fit: of molecules that the table has not seen,
    half of the shifts are within 0.13 ppm, nine of ten within 0.6.

    Args:
        text: a SMILES, an InChI or a Molfile. Unspecified stereocenters are taken to be one of their forms.
        exchangeable: also the hydrogen on O, N and S, which water replaces.

    Returns:
        Groups are called by the number of their carbon in `text`, from 1: `H3`, or `H3a` and `H3b` where they differ.

    Raises:
        StructureError: it cannot be read, or none of its hydrogen shows.

    Reference: C. A. G. Haasnoot et al., Tetrahedron 36 (1980) 2783, doi:10.1016/0040-4020(80)80155-4
    """
    mol = parse_mol(text)
    flat = neutral(mol)
    full = Chem.AddHs(mol)
    protons = [
        _Proton(atom.GetIdx(), atom.GetNeighbors()[0].GetIdx())
        for atom in full.GetAtoms()
        if atom.GetAtomicNum() == 1 and atom.GetIsotope() == 0 and atom.GetDegree() == 1
    ]
    protons = [p for p in protons if exchangeable or full.GetAtomWithIdx(p.owner).GetAtomicNum() == 6]
    if not protons:
        raise StructureError(
            f"{text.strip().splitlines()[0][:80]!r} has no hydrogen on carbon: nothing to see. Give "
            "exchangeable=True for that on O, N and S"
        )
    conformers = _conformers(full)
    classes = _classes(full, protons, conformers is not None)
    table = learned()
    shifts = _shifts(flat, protons, classes, _exchanging(flat), table)
    couplings = _couplings(flat, full, protons, classes, conformers, table)
    chains = _apart_in_chains(full, protons, classes, couplings)
    parts = _groups(classes, chains)
    if _states(parts, chains) > MOST_STATES:
        parts = _groups(classes, couplings)
    else:
        couplings = chains
    first = [part[0] for part in parts]
    return SpinSystem(
        names=_names(protons, parts),
        shifts=shifts[first],
        couplings=couplings[np.ix_(first, first)],
        multiplicity=np.array([len(part) for part in parts]),
        name=Chem.MolToSmiles(mol),
        inchi=_inchi(mol),
    )


def _inchi(mol: Mol) -> str:
    with BlockLogs():
        return Chem.MolToInchi(mol) or ""


def _conformers(full: Mol) -> Float[np.ndarray, " c"] | None:
    """Weights of the conformers that it gives the molecule; None where none can be made."""
    settings = rdDistGeom.ETKDGv3()
    settings.randomSeed = 7
    settings.maxIterations = 50
    rings = any(len(r) > 3 and not _flat_ring(full, r) for r in full.GetRingInfo().AtomRings())
    with BlockLogs():
        made = list(rdDistGeom.EmbedMultipleConfs(full, CONFORMERS if rings else 1, settings))
        if not made:
            log.warning("no conformer of %s: rings get mean couplings", Chem.MolToSmiles(Chem.RemoveHs(full)))
            return None
        if not rings:
            return np.ones(1)
        if not rdForceFieldHelpers.MMFFHasAllMoleculeParams(full):
            return np.full(len(made), 1 / len(made))
        energies = np.array([energy for _, energy in rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(full)])
    weights = np.exp(-(energies - energies.min()) / KT)
    return weights / weights.sum()


def _flat_ring(mol: Mol, ring: tuple[int, ...]) -> bool:
    return all(mol.GetAtomWithIdx(k).GetIsAromatic() for k in ring)


# Equivalence


def _classes(full: Mol, protons: list[_Proton], solid: bool) -> list[int]:
    """A number for each proton: the same where they are chemically equivalent.

    Constitution decides first. Then a proton is marked as deuterium: where the marked molecules are neither the same
    nor mirror images, the protons are diastereotopic.
    """
    ranks = list(Chem.CanonicalRankAtoms(full, breakTies=False, includeChirality=False))
    by_rank: dict[int, list[int]] = defaultdict(list)
    for k, proton in enumerate(protons):
        by_rank[ranks[proton.index]].append(k)
    out = [0] * len(protons)
    number = 0
    for members in by_rank.values():
        kinds: dict[str, int] = {}
        for k in members:
            same = "" if len(members) == 1 or not solid else _marked(full, protons[k])
            if same not in kinds:
                kinds[same] = number
                number += 1
            out[k] = kinds[same]
    return out


def _marked(full: Mol, proton: _Proton) -> str:
    """A name of the molecule with one proton marked, which its mirror image shares."""
    owner = full.GetAtomWithIdx(proton.owner)
    # The protons of a rotor change places.
    siblings = [b.GetIdx() for b in owner.GetNeighbors() if b.GetAtomicNum() == 1]
    rotor = len(siblings) == 3 or owner.GetAtomicNum() != 6
    mark = min(siblings) if rotor else proton.index
    names: list[str] = []
    for mirror in (1, -1):
        mol = Chem.Mol(full, confId=full.GetConformers()[0].GetId())
        mol.GetAtomWithIdx(mark).SetIsotope(2)
        conformer = mol.GetConformer()
        places = conformer.GetPositions()
        places[:, 0] *= mirror
        conformer.SetPositions(places)
        Chem.AssignStereochemistryFrom3D(mol, replaceExistingTags=True)
        with BlockLogs():
            names.append(Chem.MolToSmiles(Chem.RemoveHs(mol)))
    return min(names)


def _groups(classes: list[int], couplings: Float[np.ndarray, "h h"]) -> list[list[int]]:
    """Protons that are equivalent and couple alike to every other class and among themselves to no other."""
    by_class: dict[int, list[int]] = defaultdict(list)
    for k, number in enumerate(classes):
        by_class[number].append(k)
    parts = list(by_class.values())
    while True:
        finer: list[list[int]] = []
        for part in parts:
            others = np.setdiff1d(np.arange(len(classes)), part)
            split: dict[tuple[float, ...], list[int]] = defaultdict(list)
            for k in part:
                split[tuple(np.round(couplings[k, others], 6).tolist())].append(k)
            finer += split.values()
        if len(finer) == len(parts):
            return sorted(parts)
        parts = finer


def _names(protons: list[_Proton], parts: list[list[int]]) -> tuple[str, ...]:
    bases = ["+".join(f"H{k + 1}" for k in sorted({protons[i].owner for i in part})) for part in parts]
    letters: dict[str, int] = defaultdict(int)
    names: list[str] = []
    for base in bases:
        twice = bases.count(base) > 1
        names.append(base + (chr(ord("a") + letters[base]) if twice else ""))
        letters[base] += 1
    return tuple(names)


# Shifts


def _exchanging(flat: Mol) -> dict[int, tuple[float, float]]:
    """Shift and coupling of the hydrogen on atoms other than carbon."""
    found: dict[int, tuple[float, float]] = {}
    for smarts, shift, coupling in EXCHANGEABLE:
        pattern = Chem.MolFromSmarts(smarts)
        which = next(a.GetIdx() for a in pattern.GetAtoms() if re.search(r"H|#7", a.GetSmarts()))
        for match in flat.GetSubstructMatches(pattern):
            found.setdefault(match[which], (shift, coupling))
    return found


def _shifts(
    flat: Mol,
    protons: list[_Proton],
    classes: list[int],
    exchanging: dict[int, tuple[float, float]],
    table: Environments,
) -> Float[np.ndarray, " h"]:
    owners = {p.owner for p in protons}
    known = {
        k: table.shift(flat, k) if flat.GetAtomWithIdx(k).GetAtomicNum() == 6 else exchanging.get(k, (4.5, 0.0))[0]
        for k in owners
    }
    shifts = np.array([known[p.owner] for p in protons])
    # Carbons whose protons are equivalent have one environment, but rounding may differ.
    for number in set(classes):
        same = [k for k, c in enumerate(classes) if c == number]
        shifts[same] = shifts[same].mean()
    for owner in owners:
        here = [k for k, p in enumerate(protons) if p.owner == owner]
        kinds = sorted({classes[k] for k in here})
        if len(kinds) == 2:
            half = 0.5 * table.split(flat, owner)
            for k in here:
                # The first of a kind anywhere is the lower one, so that equivalent carbons agree.
                shifts[k] += half if classes[k] == kinds[1] else -half
    return np.round(shifts, 4)


# Couplings


def _couplings(
    flat: Mol,
    full: Mol,
    protons: list[_Proton],
    classes: list[int],
    conformers: Float[np.ndarray, " c"] | None,
    table: Environments,
) -> Float[np.ndarray, "h h"]:
    """Between every two protons, in Hz, alike for pairs that are equivalent."""
    distances = Chem.GetDistanceMatrix(flat)
    kinds: dict[int, set[int]] = defaultdict(set)
    for k, proton in enumerate(protons):
        kinds[proton.owner].add(classes[k])
    couple = _Coupling(flat, full, conformers, table, kinds)
    out = np.zeros((len(protons), len(protons)))
    for j, b in enumerate(protons):
        for i, a in enumerate(protons[:j]):
            far = int(distances[a.owner, b.owner])
            if far <= 3:
                out[i, j] = out[j, i] = couple((a, classes[i]), (b, classes[j]), far)
    _average(out, protons, classes, distances)
    out[np.abs(out) < SMALLEST] = 0.0
    return np.round(out, 3)


class _Coupling:
    """The coupling of two protons of one molecule, in Hz, from what is known of the atoms that they sit on.

    Attributes:
        flat, full: the molecule as the table of environments knows it, and with explicit hydrogen.
        conformers: their weights; None where none could be made.
        table: couplings by pairs of carbons.
        diastereotopic: atoms with two classes of protons.
        exchanging: shift and coupling of the hydrogen on atoms other than carbon.
    """

    def __init__(
        self,
        flat: Mol,
        full: Mol,
        conformers: Float[np.ndarray, " c"] | None,
        table: Environments,
        kinds: Mapping[int, set[int]],
    ) -> None:
        self.flat, self.full, self.conformers, self.table = flat, full, conformers, table
        self.diastereotopic = {owner for owner, classes in kinds.items() if len(classes) == 2}
        self.exchanging = _exchanging(flat)
        self._pairs: dict[tuple[int, int], float] = {}

    def __call__(self, a: tuple[_Proton, int], b: tuple[_Proton, int], far: int) -> float:
        """Of two protons, each with its class, whose neighbors are `far` bonds apart."""
        key = (min(a[0].owner, b[0].owner), max(a[0].owner, b[0].owner))
        others = [k for k in key if self.flat.GetAtomWithIdx(k).GetAtomicNum() != 6]
        if others:
            return self.exchanging.get(others[0], (0.0, 0.0))[1] if far == 1 and len(others) == 1 else 0.0
        value = self._of_carbons(key, far)
        if far == 1 and self._vinyl(*key):
            return self._across(a[0], b[0])
        if far != 1:
            return value
        if self.conformers is not None and _ring_bond(self.full, *key):
            return _karplus(self.full, a[0], b[0], self.conformers)
        if self.diastereotopic & set(key) and _single(self.full, *key):
            # Rotamers differ in how much they are populated: neither proton of a CH2 has the mean.
            sides = [number % 2 for proton, number in (a, b) if proton.owner in self.diastereotopic]
            value *= 0.8 if sum(sides) % 2 else 1.2
        return value

    def _of_carbons(self, key: tuple[int, int], far: int) -> float:
        """What the table has for two carbons, looked up once; else what is usual at such places."""
        if key not in self._pairs:
            # Published couplings in symmetric rings are at times assigned to the wrong pair.
            known = PARA if _para(self.flat, *key, far) else self.table.coupling(self.flat, *key)
            if far == 0 and known and self.flat.GetAtomWithIdx(key[0]).GetHybridization() == Chem.HybridizationType.SP2:
                known = float(np.clip(known, 0.0, GEMINAL))
            elif far == 2 and abs(known) < SMALLEST:
                known = _long_range(self.flat, *key)
            self._pairs[key] = known
        return self._pairs[key]

    def _vinyl(self, a: int, b: int) -> bool:
        """Whether two carbons share a double bond, and the protons of one of them are told apart by it."""
        bond = self.flat.GetBondBetweenAtoms(a, b)
        double = bond.GetBondType() == Chem.BondType.DOUBLE and not bond.GetIsAromatic()
        return double and bool(self.diastereotopic & {a, b}) and self.full.GetNumConformers() > 0

    def _across(self, a: _Proton, b: _Proton) -> float:
        """Cis or trans, as the first conformer has them."""
        angle = rdMolTransforms.GetDihedralDeg(self.full.GetConformer(), a.index, a.owner, b.owner, b.index)
        return CIS if abs(angle) < 90 else TRANS


def _average(
    out: Float[np.ndarray, "h h"], protons: list[_Proton], classes: list[int], distances: Float[np.ndarray, "a a"]
) -> None:
    """Pairs of the same classes as many bonds apart get one value: a conformer has less symmetry than the molecule."""
    same: dict[tuple[int, int, int], list[tuple[int, int]]] = defaultdict(list)
    for j in range(len(protons)):
        for i in range(j):
            low, high = sorted((classes[i], classes[j]))
            same[low, high, int(distances[protons[i].owner, protons[j].owner])].append((i, j))
    for members in same.values():
        rows, columns = np.array(members).T
        out[rows, columns] = out[columns, rows] = out[rows, columns].mean()


def _apart_in_chains(
    full: Mol, protons: list[_Proton], classes: list[int], couplings: Float[np.ndarray, "h h"]
) -> Float[np.ndarray, "h h"]:
    """Couplings where each proton of a CH2 couples to those of the next CH2 of a chain by two values.

    Protons that a reflection exchanges have one shift, but either has a neighbor on its own side of the chain and one
    on the other side. Which of a CH2 is called the first does not matter: the spectrum is the same.
    """
    by_owner: dict[int, list[int]] = defaultdict(list)
    for k, proton in enumerate(protons):
        by_owner[proton.owner].append(k)
    pairs = {
        owner: members
        for owner, members in by_owner.items()
        if len(members) == 2
        and classes[members[0]] == classes[members[1]]
        and full.GetAtomWithIdx(owner).GetAtomicNum() == 6
        and full.GetAtomWithIdx(owner).GetHybridization() == Chem.HybridizationType.SP3
    }
    out = couplings.copy()
    for a, b in itertools.combinations(pairs, 2):
        bond = full.GetBondBetweenAtoms(a, b)
        if bond is None or bond.IsInRing():
            continue
        for (i, one), (j, other) in itertools.product(enumerate(pairs[a]), enumerate(pairs[b])):
            out[one, other] *= 1 + ASYMMETRY if i == j else 1 - ASYMMETRY
            out[other, one] = out[one, other]
        for one, other in (pairs[a], pairs[b]):
            if not out[one, other]:
                out[one, other] = out[other, one] = GEMINAL_SP3
    return np.round(out, 3)


def _states(parts: list[list[int]], couplings: Float[np.ndarray, "h h"]) -> int:
    """Of the largest coupled part, in groups as they are simulated."""
    first = [part[0] for part in parts]
    sizes = np.array([len(part) + 1 for part in parts])
    return max(int(np.prod(sizes[list(some)])) for some in components(couplings[np.ix_(first, first)] != 0))


def _long_range(flat: Mol, a: int, b: int) -> float:
    """Two carbons two bonds apart: of one aromatic ring of six, or of a double bond and beside it; else 0."""
    if any(
        len(ring) == 6 and {a, b} <= set(ring) and _flat_ring(flat, ring) for ring in flat.GetRingInfo().AtomRings()
    ):
        return META
    path = Chem.GetShortestPath(flat, a, b)
    bonds = [flat.GetBondBetweenAtoms(x, y) for x, y in itertools.pairwise(path)]
    double = [bond.GetBondType() == Chem.BondType.DOUBLE and not bond.GetIsAromatic() for bond in bonds]
    beside = path[-1] if double[0] else path[0]
    sp3 = flat.GetAtomWithIdx(beside).GetHybridization() == Chem.HybridizationType.SP3
    carbon = all(flat.GetAtomWithIdx(k).GetAtomicNum() == 6 for k in path)
    return ALLYLIC if sum(double) == 1 and sp3 and carbon else 0.0


def _para(flat: Mol, a: int, b: int, far: int) -> bool:
    """Whether two atoms lie opposite each other in an aromatic ring of six."""
    rings = flat.GetRingInfo().AtomRings()
    return far == 3 and any(len(ring) == 6 and {a, b} <= set(ring) and _flat_ring(flat, ring) for ring in rings)


def _single(full: Mol, a: int, b: int) -> bool:
    atoms = (full.GetAtomWithIdx(a), full.GetAtomWithIdx(b))
    return all(atom.GetHybridization() == Chem.HybridizationType.SP3 for atom in atoms)


def _ring_bond(full: Mol, a: int, b: int) -> bool:
    return _single(full, a, b) and full.GetBondBetweenAtoms(a, b).IsInRing()


def _karplus(full: Mol, a: _Proton, b: _Proton, weights: Float[np.ndarray, " c"]) -> float:
    """The generalized Karplus equation of Haasnoot, de Leeuw and Altona, averaged over conformers."""
    total = 0.0
    for weight, conformer in zip(weights.tolist(), full.GetConformers(), strict=True):

        def angle(*atoms: int, of: object = conformer) -> float:
            return rdMolTransforms.GetDihedralDeg(of, *atoms)

        phi = angle(a.index, a.owner, b.owner, b.index)
        value = 13.70 * np.cos(np.deg2rad(phi)) ** 2 - 0.73 * np.cos(np.deg2rad(phi))
        for near, far in ((a, b), (b, a)):
            for atom in full.GetAtomWithIdx(near.owner).GetNeighbors():
                if atom.GetIdx() in (near.index, far.owner):
                    continue
                beyond = sum(HUGGINS.get(x.GetSymbol(), 0.0) for x in atom.GetNeighbors() if x.GetIdx() != near.owner)
                strength = HUGGINS.get(atom.GetSymbol(), 0.4) - 0.14 * beyond
                aside = angle(atom.GetIdx(), near.owner, far.owner, far.index) - phi
                # Behind the proton as one looks along the bond, or before it.
                sign = -1 if aside % 360 < 180 else 1
                turned = np.deg2rad(sign * phi + 16.9 * abs(strength))
                value += strength * (0.56 - 2.47 * np.cos(turned) ** 2)
        total += weight * float(value)
    return total
