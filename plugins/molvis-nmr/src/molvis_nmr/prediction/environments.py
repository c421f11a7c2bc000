"""Shifts and couplings by environment: predictions from a table learned from assigned spin systems.

Environments are spheres of bonds around a carbon, as in HOSE codes (W. Bremser, Anal. Chim. Acta 103 (1978) 355,
doi:10.1016/S0003-2670(01)83100-7). The table is made by tools/make_environments.py and comes with its own licence.
"""

from __future__ import annotations

import functools
import gzip
import itertools
import json
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from rdkit import Chem
from rdkit.Chem.rdchem import Atom, Bond, Mol

SPHERES = (2, 3)
"""Sizes of the environments that have shifts of their own; smaller ones are predicted by a sum of features."""
PRIOR = 1.0
"""How many molecules the next smaller environment counts as."""
FEATURE_DISTANCE = 5


@dataclass(frozen=True, slots=True)
class Environments:
    """What was learned.

    Attributes:
        intercept: in ppm, of the sum of features.
        features: by the hash of a feature, the ppm that it adds.
        shifts: by size and hash of an environment, its shift in ppm and the number of molecules behind it.
        splits: by hash of an environment of one sphere, how far apart the protons of a CH2 are that differ, in ppm.
        couplings: by key of a pair of carbons, J in Hz and the number of molecules behind it.
        licence, attribution: of the table.
    """

    intercept: float
    features: Mapping[str, float]
    shifts: Mapping[str, Mapping[str, tuple[float, int]]]
    splits: Mapping[str, float]
    couplings: Mapping[str, tuple[float, int]]
    licence: str = ""
    attribution: str = ""

    def shift(self, mol: Mol, carbon: int) -> float:
        """In ppm, of the hydrogen on a carbon of a molecule without charges that could be taken away."""
        estimate = self.intercept + sum(
            count * self.features.get(hashed(name), 0.0) for name, count in shift_features(mol, carbon).items()
        )
        spheres = environment(mol, carbon, max(SPHERES))
        for size in SPHERES:
            found = self.shifts[str(size)].get(spheres[size])
            if found is None:
                break
            value, count = found
            estimate = (count * value + PRIOR * estimate) / (count + PRIOR)
        return estimate

    def split(self, mol: Mol, carbon: int) -> float:
        """In ppm, between the protons of a CH2 that are not equivalent."""
        return self.splits.get(environment(mol, carbon, 1)[1], self.splits[""])

    def coupling(self, mol: Mol, a: int, b: int) -> float:
        """In Hz, between hydrogen on two carbons, or on one: that of the most detailed pair that is known; else 0."""
        return next((self.couplings[key][0] for key in pair_keys(mol, a, b) if key in self.couplings), 0.0)


@functools.cache
def learned() -> Environments:
    """The table that comes with molvis-nmr."""
    packed = resources.files("molvis_nmr").joinpath("data/environments.json.gz").read_bytes()
    table: dict[str, Any] = json.loads(gzip.decompress(packed))
    return Environments(**table)


def hashed(text: str) -> str:
    """Eight hexadecimal digits that stand for a text on every machine."""
    return format(zlib.crc32(text.encode()), "08x")


def environment(mol: Mol, atom: int, size: int) -> list[str]:
    """Hashes of the spheres of 0 to `size` bonds around an atom."""
    now = {a.GetIdx(): _kind(a) for a in mol.GetAtoms()}
    out = [now[atom]]
    for _ in range(size):
        around = {
            a.GetIdx(): sorted(f"{_order(b)}{now[b.GetOtherAtomIdx(a.GetIdx())]}" for b in a.GetBonds())
            for a in mol.GetAtoms()
        }
        now = {index: hashed(f"{now[index]}|{';'.join(near)}") for index, near in around.items()}
        out.append(now[atom])
    return out


def _kind(atom: Atom) -> str:
    ring = "5" if atom.IsInRingSize(5) else "r" if atom.IsInRing() else ""
    return (
        f"{atom.GetSymbol()}{atom.GetHybridization()}{'a' if atom.GetIsAromatic() else ''}H{atom.GetTotalNumHs()}"
        f"D{atom.GetDegree()}{ring}{atom.GetFormalCharge():+d}"
    )


def _order(bond: Bond) -> float:
    return bond.GetBondTypeAsDouble()


def _short(atom: Atom) -> str:
    return f"{atom.GetSymbol()}{atom.GetHybridization()}{'a' if atom.GetIsAromatic() else ''}"


def shift_features(mol: Mol, carbon: int) -> Counter[str]:
    """What is how many bonds away from a carbon: elements, their hydrogen, degree and neighbors, and shared rings."""
    distances = Chem.GetDistanceMatrix(mol)[carbon]
    center = mol.GetAtomWithIdx(carbon)
    rings = [ring for ring in mol.GetRingInfo().AtomRings() if carbon in ring]
    own = f"{_short(center)}H{center.GetTotalNumHs()}"
    found = Counter([f"C:{own}", f"R:{own}{min(map(len, rings), default=0)}"])
    for atom in mol.GetAtoms():
        far = int(distances[atom.GetIdx()])
        if not 0 < far <= FEATURE_DISTANCE:
            continue
        beyond = [b for b in atom.GetNeighbors() if distances[b.GetIdx()] > far]
        double = {b.GetIdx(): _order(mol.GetBondBetweenAtoms(atom.GetIdx(), b.GetIdx())) == 2 for b in beyond}
        next_to = "".join(sorted(b.GetSymbol() + ("=" if double[b.GetIdx()] else "") for b in beyond))
        kind = f"{_short(atom)}H{atom.GetTotalNumHs()}D{atom.GetDegree()}"
        at = f"{center.GetHybridization()}|{far}|"
        found.update([f"{at}{_short(atom)}", f"{at}{kind}", f"{at}{kind}|{next_to}"])
        if any(atom.GetIdx() in ring for ring in rings):
            found[f"{at}{_short(atom)}|ring"] += 1
    return found


def pair_keys(mol: Mol, a: int, b: int) -> list[str]:
    """Names of a pair of carbons whose hydrogen couples, the most detailed first."""
    path = (a,) if a == b else Chem.GetShortestPath(mol, a, b)
    atoms = [mol.GetAtomWithIdx(k) for k in path]
    bonds = [mol.GetBondBetweenAtoms(x, y) for x, y in itertools.pairwise(path)]
    marks = [f"{_order(bond)}{_cis_trans(bond)}{_ring_size(mol, bond)}" for bond in bonds]
    keys: list[str] = []
    for size in (2, 1):
        ends = [environment(mol, k, size)[size] for k in (a, b)]
        middle = [_short(atom) for atom in atoms[1:-1]]
        # Both directions have one name.
        ways = [[ends[0], *_mixed(marks, middle), ends[1]], [ends[1], *_mixed(marks[::-1], middle[::-1]), ends[0]]]
        keys.append(hashed("|".join([str(size), str(len(path)), *min(ways)])))
    plain = [_short(atom) for atom in atoms]
    ways = [_mixed(plain, marks), _mixed(plain[::-1], marks[::-1])]
    keys.append(hashed("|".join(["0", str(len(path)), *min(ways)])))
    return keys


def _mixed(first: list[str], second: list[str]) -> list[str]:
    out = [x for pair in zip(first, second, strict=False) for x in pair]
    return out + first[len(second) :] + second[len(first) :]


def _cis_trans(bond: Bond) -> str:
    stereo = bond.GetStereo()
    if stereo in (Chem.BondStereo.STEREOE, Chem.BondStereo.STEREOTRANS):
        return "E"
    return "Z" if stereo in (Chem.BondStereo.STEREOZ, Chem.BondStereo.STEREOCIS) else ""


def _ring_size(mol: Mol, bond: Bond) -> int:
    sizes = mol.GetRingInfo().BondRingSizes(bond.GetIdx())
    return min(sizes, default=0)


def neutral(mol: Mol) -> Mol:
    """A molecule without the charges that protons make, so that salts and zwitterions look like their neutral forms."""
    from rdkit.Chem.MolStandardize import rdMolStandardize
    from rdkit.rdBase import BlockLogs

    with BlockLogs():
        return rdMolStandardize.Uncharger().uncharge(mol)


def hydrogen_owners(mol: Mol) -> np.ndarray:
    """Heavy atoms by the numbers of their hydrogen, where it is numbered behind them in their order."""
    return np.repeat(np.arange(mol.GetNumAtoms()), [atom.GetTotalNumHs() for atom in mol.GetAtoms()])
