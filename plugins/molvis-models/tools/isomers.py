"""Isomers of known structures, made by moving and exchanging parts of them: rivals of equal formula.

Nothing is looked up. Of a structure a group is moved to another atom, two groups are exchanged, a heteroatom moves
along its ring, or a CH2 goes elsewhere: a random walk, of which every fourth structure is kept. Moves that leave it
less plausible than it began (more bonds between heteroatoms, more enols, hydrates, acyl halides) are not made. The same
seed gives the same isomers.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from rdkit import Chem
from rdkit.Chem.rdMolDescriptors import CalcMolFormula
from rdkit.rdBase import BlockLogs

ELEMENTS = {"C", "N", "O", "P", "S", "F", "Cl", "Br", "I"}
MOST_ATOMS = 63
_ATTEMPTS = 4
_FIRST, _EVERY = 10, 4
"""Moves before the first isomer that is kept, and between two: after one it would be nearly the structure itself."""


# Patterns that may not become more than they are in the parent.
_IMPLAUSIBLE = [
    Chem.MolFromSmarts(s)
    for s in (
        "[#7,#8,#16,#9,#17,#35,#53;!a]~[#7,#8,#9,#17,#35,#53;!a]",  # heteroatoms bound to each other
        "[CX4]([OX2H,NX3;H2,H1])[OX2,NX3,F,Cl,Br,I]",  # hydrates, hemiacetals, hemiaminals, what loses HX
        "[CX3]=[CX3;!a][OX2H,NX3;H2,H1]",  # enols and enamines
        "[CX3](=O)[F,Cl,Br,I]",
        "[CX3](=O)[OX2][CX3]=O",
        "[OX2H][CX3](=O)[#7,OX2]",
        "C=C=*",
        "[#6]#[#7,#8,#16;+]",
        "[#6][O-,S-;!$([O-,S-]C=O)]",
        "[N+](=O)([#6])[#6]",
        "[#16;X4;H1,H2]",
        "[#15;H1,H2,H3]",
        "[CX3;H2]=O",
        "[r3,r4]",
        "*1~*~*2~*~1~*~2",
    )
]


def isomers(smiles: str, count: int, seed: int) -> list[str]:
    """Up to so many different isomers of a structure, as SMILES; none of one that the moves do not suit."""
    with BlockLogs():
        parent = Chem.MolFromSmiles(smiles)
        if parent is None or parent.GetNumAtoms() > MOST_ATOMS or "." in smiles:
            return []
        if any(
            a.GetSymbol() not in ELEMENTS or a.GetIsotope() or a.GetNumRadicalElectrons() for a in parent.GetAtoms()
        ):
            return []
        rng = random.Random(seed)
        formula, allowed = CalcMolFormula(parent), _implausible(parent)
        found: dict[str, None] = {}
        state, steps = parent, 0
        for _ in range(_ATTEMPTS * (_FIRST + count * _EVERY)):
            made = _moved(state, rng)
            if made is None or CalcMolFormula(made) != formula:
                continue
            if any(now > before for now, before in zip(_implausible(made), allowed, strict=True)):
                continue
            state, steps = made, steps + 1
            text = Chem.MolToSmiles(made)
            if steps >= _FIRST and (steps - _FIRST) % _EVERY == 0 and text != smiles:
                found[text] = None
                if len(found) == count:
                    break
    return list(found)


def _implausible(mol: Chem.Mol) -> list[int]:
    return [len(mol.GetSubstructMatches(p)) for p in _IMPLAUSIBLE]


def _moved(mol: Chem.Mol, rng: random.Random) -> Chem.Mol | None:
    """A structure after one move that leaves sound valences; None if it does not."""
    work = Chem.RWMol(mol)
    Chem.RemoveStereochemistry(work)
    Chem.Kekulize(work, clearAromaticFlags=True)
    for atom in work.GetAtoms():
        if not atom.GetFormalCharge():
            atom.SetNoImplicit(False)
            atom.SetNumExplicitHs(0)
    move = rng.choice(_KINDS)
    if not move(work, mol, rng):
        return None
    made = work.GetMol()
    try:
        Chem.SanitizeMol(made)
    except (Chem.KekulizeException, Chem.AtomValenceException, ValueError):
        return None
    if len(Chem.GetMolFrags(made)) > 1:
        return None
    return Chem.MolFromSmiles(Chem.MolToSmiles(made))


def _links(mol: Chem.Mol) -> list[tuple[int, int]]:
    """Single bonds outside of rings, each as the atom that stays and the one that goes."""
    out: list[tuple[int, int]] = []
    for bond in mol.GetBonds():
        if bond.GetBondType() == Chem.BondType.SINGLE and not bond.IsInRing():
            ends = (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
            out += [ends, ends[::-1]]
    return out


def _side(mol: Chem.Mol, stays: int, goes: int) -> set[int]:
    """Atoms on the far side of a bond."""
    seen, front = {goes}, [goes]
    while front:
        for other in mol.GetAtomWithIdx(front.pop()).GetNeighbors():
            place = other.GetIdx()
            # The bond is in no ring: the only way back is the bond itself.
            if place not in seen and place != stays:
                seen.add(place)
                front.append(place)
    return seen


def _move_group(work: Chem.RWMol, mol: Chem.Mol, rng: random.Random) -> bool:
    """A group goes to another atom that has a hydrogen to give."""
    links = _links(mol)
    if not links:
        return False
    stays, goes = rng.choice(links)
    away = _side(mol, stays, goes)
    places = [
        a.GetIdx()
        for a in mol.GetAtoms()
        if a.GetIdx() not in away and a.GetIdx() != stays and a.GetTotalNumHs() and a.GetSymbol() in ("C", "N", "O")
    ]
    if not places or 2 * len(away) > mol.GetNumAtoms():
        return False
    work.RemoveBond(stays, goes)
    work.AddBond(rng.choice(places), goes, Chem.BondType.SINGLE)
    return True


def _exchange_groups(work: Chem.RWMol, mol: Chem.Mol, rng: random.Random) -> bool:
    """Two groups change places."""
    links = _links(mol)
    if len(links) < 2:
        return False
    (first, one), (second, two) = rng.sample(links, 2)
    sides = _side(mol, first, one), _side(mol, second, two)
    if sides[0] & sides[1] or first in sides[1] or second in sides[0] or first == second:
        return False
    work.RemoveBond(first, one)
    work.RemoveBond(second, two)
    work.AddBond(first, two, Chem.BondType.SINGLE)
    work.AddBond(second, one, Chem.BondType.SINGLE)
    return True


def _move_heteroatom(work: Chem.RWMol, mol: Chem.Mol, rng: random.Random) -> bool:
    """A heteroatom of a ring and its neighbour, a carbon that carries nothing but hydrogen, change places."""
    pairs = [
        (a.GetIdx(), b.GetIdx())
        for a in mol.GetAtoms()
        if a.IsInRing() and a.GetSymbol() in ("N", "O", "S") and a.GetDegree() == 2 and not a.GetFormalCharge()
        for b in a.GetNeighbors()
        if b.IsInRing() and b.GetSymbol() == "C" and b.GetDegree() == 2
    ]
    if not pairs:
        return False
    first, second = (work.GetAtomWithIdx(i) for i in rng.choice(pairs))
    number = first.GetAtomicNum()
    first.SetAtomicNum(second.GetAtomicNum())
    second.SetAtomicNum(number)
    return True


def _move_methylene(work: Chem.RWMol, mol: Chem.Mol, rng: random.Random) -> bool:
    """A CH2 leaves a chain and goes in between two other atoms."""
    inside = [
        a.GetIdx() for a in mol.GetAtoms()
        if a.GetSymbol() == "C" and a.GetDegree() == 2 and a.GetTotalNumHs() == 2 and not a.IsInRing()
    ]  # fmt: skip
    links = _links(mol)
    if not inside or not links:
        return False
    leaves = rng.choice(inside)
    left, right = (n.GetIdx() for n in mol.GetAtomWithIdx(leaves).GetNeighbors())
    first, second = rng.choice(links)
    if leaves in (first, second) or {first, second} == {left, right}:
        return False
    work.RemoveBond(left, leaves)
    work.RemoveBond(leaves, right)
    work.AddBond(left, right, Chem.BondType.SINGLE)
    work.RemoveBond(first, second)
    work.AddBond(first, leaves, Chem.BondType.SINGLE)
    work.AddBond(leaves, second, Chem.BondType.SINGLE)
    return True


_KINDS: tuple[Callable[[Chem.RWMol, Chem.Mol, random.Random], bool], ...] = (
    _move_group, _move_group, _exchange_groups, _move_heteroatom, _move_methylene,
)  # fmt: skip


def enumerate_isomers(smiles: list[str], count: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """Isomers of many structures, each with the structure that it was made from."""
    for number, text in enumerate(smiles):
        for made in isomers(text, count, seed * 1_000_003 + number):
            yield made, text
