"""Parents: the neutral compound behind a salt, a solvate, or an ion as databases draw it.

A mass spectrometer sees one molecule and not its counterions, and an ion's adduct states which protons it has gained or
lost: so candidates and true structures are compared as parents. Acids get their protons back and bases lose those they
took up; counterions and solvents are removed. What cannot lose its charge keeps it: quaternary ammonium, pyridinium,
sulfonium, flavylium, and with them as many acid groups stay charged as make a betaine neutral. Nitro groups, N-oxides,
azides and other neighbours of opposite charge stay as they are drawn, and so do metal complexes, radicals and isotopes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rdkit import Chem
from rdkit.Chem import rdMolDescriptors
from rdkit.Chem.rdchem import Atom, Mol, RWMol
from rdkit.rdBase import BlockLogs

from molvis_core.chemistry.formula import ELECTRON_MASS, formula_mass
from molvis_core.chemistry.structures import parse_smiles, structure_of
from molvis_core.records import Structure

Change = Literal["neutralised", "stripped", "mixture"]
"""Protons were given back or taken away; counterions or solvents were removed; several organic parts were kept."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The parent of a structure.

    Attributes:
        structure: of the parent; the very structure that was given where nothing had to change. Of an ion whose mass
            was stated without the electrons that it lacks, the mass is made good.
        changes: what was done or found; empty for most structures.
        removed: SMILES of the counterions and solvents that were removed, neutral, each once.
    """

    structure: Structure
    changes: tuple[Change, ...] = ()
    removed: tuple[str, ...] = ()


def is_plain(smiles: str) -> bool:
    """Whether the text of a SMILES shows that it is its own parent: one part, and no charge but in nitro groups.

    Most structures are, and need not be parsed. False where the text does not decide it.
    """
    return not _SUSPICIOUS.search(smiles) or not _SUSPICIOUS.search(_NITRO.sub("", smiles))


_SUSPICIOUS = re.compile(r"[.+]|-\d*(?::\d+)?\]|\[(?:Li|Na|K|Rb|Cs|Mg|Ca|Sr|Ba)\b")
_NITRO = re.compile(r"O=\[N\+\]\(\[O-\]\)(?!\[)|\[N\+\]\(=O\)\[O-\](?!\[)|\[N\+\]\(\[O-\]\)=O(?!\[)")


def parent_of(structure: Structure) -> Parent:
    """The parent of a structure, with the name and the identifiers of the structure.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses the structure.
    """
    if is_plain(structure.smiles):
        return Parent(structure)
    found = parent_mol(parse_smiles(structure.smiles))
    if found.mol is None:
        return Parent(_with_electrons(structure), found.changes)
    made = _with_known_key(found, structure) or structure_of(found.mol, name=structure.name)
    return Parent(replace(made, identifiers=structure.identifiers), found.changes, found.removed)


def _with_electrons(ion: Structure) -> Structure:
    """An ion with the mass of its atoms, see `Structure`: tables state masses without the electrons that it lacks."""
    missing = ion.charge * ELECTRON_MASS
    if not ion.charge or abs(formula_mass(ion.formula) - missing - ion.exact_mass) > _ROUNDING:
        return ion
    return replace(ion, exact_mass=ion.exact_mass + missing)


_ROUNDING = 2e-4
"""Of a mass in a table, in Da; an electron weighs more."""


def _with_known_key(found: ParentMol, drawn: Structure) -> Structure | None:
    """The parent with the key of the ion, where InChI counts the protons apart from the rest: making a key is slow."""
    key = drawn.inchikey
    if found.mol is None or found.protons is None:
        return None
    if len(key) == _FULL_KEY:
        # The last letter counts protons: N for none, O for one too many, M for one too few.
        if ord(key[-1]) - ord("N") != -found.protons:
            return None
        key = f"{key[:-1]}N"
    return Structure(
        smiles=Chem.MolToSmiles(found.mol),
        inchikey=key,
        formula=rdMolDescriptors.CalcMolFormula(found.mol),
        exact_mass=rdMolDescriptors.CalcExactMolWt(found.mol),
        charge=0,
        name=drawn.name,
    )


_FULL_KEY = 27


def is_betaine(smiles: str) -> bool:
    """Whether a structure is neutral as a whole and holds a positive charge that cannot be lost, as carnitine does.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses the structure.
    """
    if is_plain(smiles):
        return False
    mol = parse_smiles(smiles)
    left = _unpaired(mol, [place for (place,) in mol.GetSubstructMatches(_CHARGED)])
    permanent = any(charge > _protons(mol.GetAtomWithIdx(place)) for place, charge in left.items() if charge > 0)
    return permanent and not Chem.GetFormalCharge(mol)


@dataclass(frozen=True, slots=True)
class ParentMol:
    """The parent of a molecule of RDKit.

    Attributes:
        mol: the parent; None where nothing had to change.
        changes, removed: as in `Parent`.
        protons: that were added, where nothing was done but to give protons to acids and to take them from bases: these
            InChI counts apart from the rest of the structure. None elsewhere.
    """

    mol: Mol | None
    changes: tuple[Change, ...] = ()
    removed: tuple[str, ...] = ()
    protons: int | None = None


def parent_mol(mol: Mol) -> ParentMol:
    """The parent of a molecule. It stays as it is."""
    loose = _disconnected(mol) or mol
    parts = list(Chem.GetMolFrags(loose, asMols=True)) if len(Chem.GetMolFrags(loose)) > 1 else [mol]
    if any(map(_is_complex, parts)) or not any(map(_has_carbon, parts)):
        return ParentMol(None)
    made = [_neutralised(part) for part in parts]
    if len(parts) == 1:
        neutral, protons = made[0]
        return ParentMol(neutral, ("neutralised",), protons=protons) if neutral else ParentMol(None)
    whole = [new or old for (new, _), old in zip(made, parts, strict=True)]
    kept, removed = _principal(whole)
    applies: dict[Change, bool] = {
        "stripped": len(kept) < len(parts),
        "neutralised": any(made[i][0] for i in kept),
        "mixture": len(kept) > 1,
    }
    changes: tuple[Change, ...] = tuple(change for change, holds in applies.items() if holds)
    if changes == ("mixture",):
        return ParentMol(None, changes)
    return ParentMol(functools.reduce(Chem.CombineMols, [whole[i] for i in kept]), changes, removed)


# Parts: which is the compound, and which came with it.

_ALKALI = frozenset({3, 11, 19, 37, 55})
_ALKALINE_EARTH = frozenset({12, 20, 38, 56})
_COUNTER_METALS = _ALKALI | _ALKALINE_EARTH | {13, 30, 47, 83}
"""Metals of salts: alkali and alkaline earth metals, Al, Zn, Ag, Bi. Others are taken to be the centre of a complex."""
_CARBON = Chem.MolFromSmarts("[#6]")
_CHARGED = Chem.MolFromSmarts("[!+0]")
_NONMETALS = (1, 2, *range(5, 11), *range(14, 19), *range(33, 37), 52, 53, 54)
_METAL = Chem.MolFromSmarts(f"[{';'.join(f'!#{number}' for number in _NONMETALS)}]")
_SALT_BOND = Chem.MolFromSmarts("[#3,#11,#19,#37,#55,#12,#20,#38,#56]~[#7,#8,#9,#16,#17,#35,#53]")

_SOLVENTS = (
    "CO", "CCO", "CC(C)O", "CCCO", "CCCCO", "CC(C)(C)O", "OCCO", "CC(C)=O", "CCC(C)=O", "CS(C)=O", "CN(C)C=O",
    "CC(=O)N(C)C", "CC#N", "C1CCOC1", "C1COCCO1", "CCOC(C)=O", "ClCCl", "ClC(Cl)Cl", "Cc1ccccc1", "c1ccccc1",
    "CCCCCC", "CCOCC", "CN1CCCC1=O", "C[N+](=O)[O-]", "CC(O)CO",
)  # fmt: skip
_COUNTERIONS = (
    "O=CO", "CC(=O)O", "CCC(=O)O", "CCCC(=O)O", "O=C(O)C(F)(F)F", "O=C(O)C(Cl)(Cl)Cl", "O=C(O)CO",
    "CC(O)C(=O)O", "CC(=O)C(=O)O", "O=C(O)C(=O)O", "O=C(O)CC(=O)O", "O=C(O)CCC(=O)O", "O=C(O)CCCC(=O)O",
    "O=C(O)CCCCC(=O)O", "O=C(O)C=CC(=O)O", "O=C(O)CC(O)C(=O)O", "O=C(O)C(O)C(O)C(=O)O",
    "O=C(O)CC(O)(CC(=O)O)C(=O)O", "O=C(O)C(O)C(O)C(O)C(O)CO", "O=C(O)C(O)C(O)C(O)C(O)C(O)CO",
    "O=C(O)C(O)C(O)C(O)C(O)C(=O)O", "O=CC(O)C(O)C(O)C(O)C(=O)O", "O=C(O)c1ccccc1", "O=C(O)c1ccccc1O",
    "O=C(O)C(O)c1ccccc1", "O=C(O)C=Cc1ccccc1", "O=C(O)c1cc2ccccc2cc1O", "O=C(O)c1ccc2ccccc2c1O",
    "O=C(O)c1cc2ccccc2c(Cc2c(C(=O)O)cc3ccccc3c2O)c1O", "O=C(O)c1cc(O)nc(O)n1", "O=C(O)c1cc(=O)[nH]c(=O)[nH]1",
    "O=C(O)C1CCC(=O)N1", "CC(=O)NCC(=O)O", "CC(=O)NC(CCC(=O)O)C(=O)O", "CS(=O)(=O)O", "CCS(=O)(=O)O",
    "O=S(=O)(O)CCO", "O=S(=O)(O)CCS(=O)(=O)O", "O=S(=O)(O)c1ccccc1", "Cc1ccc(S(=O)(=O)O)cc1",
    "O=S(=O)(O)c1ccc2ccccc2c1", "O=S(=O)(O)c1cccc2ccccc12", "O=S(=O)(O)c1cccc2c(S(=O)(=O)O)cccc12",
    "CC1(C)C2CCC1(CS(=O)(=O)O)C(=O)C2", "O=S(=O)(O)C(F)(F)F", "COS(=O)(=O)O", "CCOS(=O)(=O)O",
    "O=S(=O)(O)NC1CCCCC1", "O=C1NS(=O)(=O)c2ccccc21", "O=C(O)O", "N#CS", "C#N", "N=C=S",
    "O=C1OC(C(O)CO)C(O)=C1O", "O=[N+]([O-])c1cc([N+](=O)[O-])c(O)c([N+](=O)[O-])c1", "F[B-](F)(F)F", "CN",
    "CNC", "CN(C)C", "CCN", "CCNCC", "CCN(CC)CC", "CC(C)N", "CC(C)(C)N", "NCCO", "OCCNCCO", "OCCN(CCO)CCO",
    "CN(C)CCO", "CCN(CC)CCO", "NC(CO)(CO)CO", "CNCC(O)C(O)C(O)C(O)CO", "NCCN", "C1CNCCN1", "C1COCCN1",
    "c1ccncc1", "c1c[nH]cn1", "N=C(N)N", "NC1CCCCC1", "C1CCC(NC2CCCCC2)CC1", "c1ccc(CNCCNCc2ccccc2)cc1",
    "C[N+](C)(C)CCO", "C[N+](C)(C)C", "CC[N+](CC)(CC)CC", "CCCC[N+](CCCC)(CCCC)CCCC", "NCCCCC(N)C(=O)O",
    "N=C(N)NCCCC(N)C(=O)O", "NCC(=O)O", "NC(CC(=O)O)C(=O)O", "NC(CCC(=O)O)C(=O)O", "NC(N)=O", "c1cnc2ccccc2c1",
    "CC(C)(N)CO", "OCCN1CCCC1",
)  # fmt: skip


@functools.cache
def _known(kind: Literal["solvent", "counterion"]) -> frozenset[str]:
    listed = _SOLVENTS if kind == "solvent" else _COUNTERIONS
    return frozenset(_flat(Chem.MolFromSmiles(smiles)) for smiles in listed)


def _flat(mol: Mol) -> str:
    return Chem.MolToSmiles(mol, isomericSmiles=False)


_LARGEST_KNOWN = 30
"""Heavy atoms of the largest solvent or counterion."""


def _tier(part: Mol) -> int:
    """What goes first: 0 without carbon, 1 a solvent, 2 a counterion, 3 anything else."""
    if not _has_carbon(part):
        return 0
    if part.GetNumHeavyAtoms() > _LARGEST_KNOWN:
        return 3
    flat = _flat(part)
    return 1 if flat in _known("solvent") else 2 if flat in _known("counterion") else 3


def _principal(parts: Sequence[Mol]) -> tuple[list[int], tuple[str, ...]]:
    """Places of the parts that are the compound, one of each kind, and the SMILES of those that came with it."""
    written = [Chem.MolToSmiles(part) for part in parts]
    first = [i for i, text in enumerate(written) if text not in written[:i]]
    tiers = {i: _tier(parts[i]) for i in first}
    highest = max(tiers.values())
    kept = [i for i in first if tiers[i] == highest]
    if highest < 3 and len(kept) > 1:  # such as the salt of a listed acid with a listed base
        kept = [max(kept, key=lambda i: (parts[i].GetNumHeavyAtoms(), written[i]))]
    return kept, tuple(written[i] for i in first if i not in kept)


def _has_carbon(part: Mol) -> bool:
    return part.HasSubstructMatch(_CARBON)


def _is_complex(part: Mol) -> bool:
    """Whether a part holds a metal that is not the counterion of a salt."""
    alone = part.GetNumAtoms() == 1 and part.GetAtomWithIdx(0).GetAtomicNum() in _COUNTER_METALS
    return not alone and part.HasSubstructMatch(_METAL)


def _disconnected(mol: Mol) -> Mol | None:
    """The molecule with bonds from alkali and alkaline earth metals to O, S, N or halogens broken; None without any."""
    pairs = [pair for pair in mol.GetSubstructMatches(_SALT_BOND) if _is_ionic(mol.GetAtomWithIdx(pair[0]))]
    if not pairs:
        return None
    out = RWMol(mol)
    for metal, other in pairs:
        out.RemoveBond(metal, other)
        for place, change in ((metal, 1), (other, -1)):
            atom = out.GetAtomWithIdx(place)
            atom.SetFormalCharge(atom.GetFormalCharge() + change)
    return _sanitized(out)


def _is_ionic(atom: Atom) -> bool:
    """Whether a metal with these neighbours is of a salt: magnesium among nitrogens is that of a chlorophyll."""
    others = [n.GetAtomicNum() for n in atom.GetNeighbors()]
    if not set(others) <= {7, 8, 9, 16, 17, 35, 53}:
        return False
    return atom.GetAtomicNum() in _ALKALI or (7 not in others and len(others) <= 2)


# Charges.

_CARRIES_PROTON = frozenset({7, 8, 15, 16, 33, 34, 52})
_TAKES_PROTON = frozenset({6, 7, 8, 16, 34, 52, 9, 17, 35, 53})
_ACIDS = tuple(
    Chem.MolFromSmarts(smarts)
    for smarts in ("[OX2H][S;X4](=O)=O", "[OX2H]P=O", "[OX2H]C=O", "[nX3H]1nnnc1", "[NX3H](S(=O)=O)C=O")
)
_AMIDINIUM = Chem.MolFromSmarts("[N+;H0;X3]=[C;X3]-[N;!H0;+0;X3]")


def _neutralised(mol: Mol) -> tuple[Mol | None, int | None]:
    """A part with its protons where a neutral molecule has them, None where nothing had to change; and their number.

    The number is None where something else was done than to give protons to acids and to take them from bases.
    """
    charged = [place for (place,) in mol.GetSubstructMatches(_CHARGED)]
    if not charged:
        return None, None
    out = RWMol(mol)
    shifted = _shift_amidinium(out)
    left = _unpaired(out, [place for (place,) in out.GetSubstructMatches(_CHARGED)] if shifted else charged)
    changes, simple = _proton_changes(out, left)
    if not any(changes.values()):
        return None, None
    for i, count in changes.items():
        _protonate(out, i, count)
    return _sanitized(out), sum(changes.values()) if simple and not shifted else None


def _proton_changes(mol: RWMol, left: Mapping[int, int]) -> tuple[dict[int, int], bool]:
    """How many protons each atom gains, and whether these are all of acids and bases that InChI takes for such.

    As many acids stay charged as there are charges that stay, so that a betaine is neutral as a whole.
    """
    sites = {i: mol.GetAtomWithIdx(i) for i in left}
    bases = {i: min(q, _protons(sites[i])) for i, q in left.items() if q > 0}
    acids = {i: -q if _takes_proton(sites[i]) else 0 for i, q in left.items() if q < 0}
    permanent = sum(left.values()) - sum(bases.values()) + sum(acids.values())
    gained = _given(acids, _by_acidity(mol, acids, permanent), max(permanent, 0))
    lost = _given(bases, list(bases), max(-permanent, 0))
    missing = max(permanent - sum(acids.values()), 0)
    given_up = dict.fromkeys(_neutral_acids(mol)[:missing], -1) if missing else {}
    simple = not permanent and all(_is_acid(sites[i]) for i in acids) and all(_is_amine(sites[i]) for i in bases)
    return gained | {i: -count for i, count in lost.items()} | given_up, simple


def _is_amine(atom: Atom) -> bool:
    return atom.GetAtomicNum() == 7 and _neighbours(atom) == {6}


def _given(sites: dict[int, int], order: Sequence[int], keep: int) -> dict[int, int]:
    """How many protons each site gains or loses where so many charges shall stay, those of the first sites."""
    out: dict[int, int] = {}
    for i in order:
        stay = min(sites[i], keep)
        keep -= stay
        out[i] = sites[i] - stay
    return out


def _unpaired(mol: Mol, charged: Sequence[int]) -> dict[int, int]:
    """Charges by atom that no charged neighbour of opposite sign makes up for, as in nitro groups and ylides."""
    left = {i: mol.GetAtomWithIdx(i).GetFormalCharge() for i in charged}
    for i in [i for i, charge in left.items() if charge > 0]:
        # The ends of chains first: a nitramide's nitrogen may take a proton, the oxygen of its nitro group does not.
        for neighbour in sorted(mol.GetAtomWithIdx(i).GetNeighbors(), key=Atom.GetDegree):
            j = neighbour.GetIdx()
            taken = min(left[i], -min(left.get(j, 0), 0))
            if taken:
                left[i] -= taken
                left[j] += taken
    return {i: charge for i, charge in left.items() if charge}


def _neighbours(atom: Atom) -> set[int]:
    return {neighbour.GetAtomicNum() for neighbour in atom.GetNeighbors()}


def _protons(atom: Atom) -> int:
    """How many protons an atom of positive charge can lose."""
    return atom.GetTotalNumHs() if atom.GetAtomicNum() in _CARRIES_PROTON and not atom.GetNumRadicalElectrons() else 0


def _takes_proton(atom: Atom) -> bool:
    """Whether an atom of negative charge can take a proton up. Aromatic carbon cannot: it is of a cyclopentadienide."""
    if atom.GetAtomicNum() in (9, 17, 35, 53):
        return atom.GetDegree() == 0
    if atom.GetNumRadicalElectrons() or (atom.GetAtomicNum() == 6 and atom.GetIsAromatic()):
        return False
    return atom.GetAtomicNum() in _TAKES_PROTON


def _is_acid(atom: Atom) -> bool:
    """Whether an atom of negative charge is the oxygen of a carboxylic, sulfonic or phosphoric acid or of a phenol."""
    if atom.GetAtomicNum() != 8 or atom.GetDegree() != 1:
        return False
    holder = atom.GetNeighbors()[0]
    number = holder.GetAtomicNum()
    return number in (6, 15, 16) and (_is_acyl(holder) or (number == 6 and holder.GetIsAromatic()))


def _protonate(mol: Mol, place: int, count: int) -> None:
    """Give an atom so many protons, or take them where the count is negative."""
    atom = mol.GetAtomWithIdx(place)
    hydrogens = atom.GetTotalNumHs() + count
    atom.SetFormalCharge(atom.GetFormalCharge() + count)
    atom.SetNoImplicit(True)
    atom.SetNumExplicitHs(hydrogens)


def _by_acidity(mol: Mol, acids: dict[int, int], permanent: int) -> list[int]:
    """Atoms that can take protons up, the strongest acid first where some shall stay charged."""
    if permanent <= 0 or len(acids) < 2:
        return list(acids)
    ranks = list(Chem.CanonicalRankAtoms(mol))

    def strength(i: int) -> tuple[int, int]:
        atom = mol.GetAtomWithIdx(i)
        around = _neighbours(atom)
        acyl = any(_is_acyl(n) for n in atom.GetNeighbors())
        order = [acyl and 16 in around, acyl and 15 in around, acyl and 6 in around, atom.GetAtomicNum() != 6, True]
        return order.index(True), ranks[i]

    return sorted(acids, key=strength)


def _is_acyl(atom: Atom) -> bool:
    return any(
        bond.GetBondTypeAsDouble() == 2 and bond.GetOtherAtom(atom).GetAtomicNum() == 8 for bond in atom.GetBonds()
    )


def _neutral_acids(mol: RWMol) -> list[int]:
    """Atoms with an acid proton, the strongest acid first."""
    made = mol.GetMol()
    if Chem.SanitizeMol(made, catchErrors=True):
        return []
    ranks = list(Chem.CanonicalRankAtoms(made))
    found: list[int] = []
    for acid in _ACIDS:
        found += sorted((match[0] for match in made.GetSubstructMatches(acid)), key=ranks.__getitem__)
    return list(dict.fromkeys(found))


def _shift_amidinium(mol: RWMol) -> bool:
    """Draw amidinium and guanidinium ions so that the charge is where a proton is, R2N+=C-NHR as R2N-C=N+HR.

    Whether there were any.
    """
    shifted = False
    for charged, carbon, other in mol.GetSubstructMatches(_AMIDINIUM):
        atom, taker = mol.GetAtomWithIdx(charged), mol.GetAtomWithIdx(other)
        if atom.GetFormalCharge() != 1 or taker.GetFormalCharge():
            continue  # shifted already
        mol.GetBondBetweenAtoms(charged, carbon).SetBondType(Chem.BondType.SINGLE)
        mol.GetBondBetweenAtoms(carbon, other).SetBondType(Chem.BondType.DOUBLE)
        hydrogens = taker.GetTotalNumHs()
        atom.SetFormalCharge(0)
        taker.SetFormalCharge(1)
        taker.SetNoImplicit(True)
        taker.SetNumExplicitHs(hydrogens)
        shifted = True
    return shifted


def _sanitized(mol: RWMol) -> Mol | None:
    """The molecule with its rings, aromaticity and stereo found anew; None where RDKit refuses it."""
    made = mol.GetMol()
    with BlockLogs():
        if Chem.SanitizeMol(made, catchErrors=True):
            return None
        Chem.AssignStereochemistry(made, cleanIt=True, force=True)
    return made
