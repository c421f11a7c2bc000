"""Silylated and methoximated forms of a molecule, and the ions that tell a silylated one from its spectrum.

What is not volatile enough for a gas chromatograph is measured as a derivative: trimethylsilyl (TMS) or
tert-butyldimethylsilyl (TBDMS) groups in place of the hydrogens of OH, SH and NH, and methoximes (MeOX) in place of
aldehydes and ketones. A spectrum is then of the derivative, while the compound that is asked for is the one before it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from rdkit import Chem
from rdkit.Chem import rdChemReactions

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.records import EiSpectrum

SILYL = {"TMS": "[Si](C)(C)C", "TBDMS": "[Si](C)(C)C(C)(C)C"}
"""Groups by name, as the SMILES of what takes the place of a hydrogen."""
MOST_GROUPS = 12
"""Silyl groups of one molecule: eleven are known of sugars."""
_MOST_FORMS = 10

# In the order in which they react: acids, then alcohols and phenols, thiols, amines, and last what holds its H fast.
_SITES = tuple(
    Chem.MolFromSmarts(text)
    for text in (
        "[OX2H1]-[$(C=O),P,S,B]",
        "[OX2H1]-[#6,N]",
        "[SX2H1]",
        "[NX3;H1,H2;!$(N-[C,S,P]=[O,S,N]);!$(N-[#7]=O);!$(NC#N)]",
        "[nH1,$([NX3;H1,H2]-[C,S,P]=[O,S,N]),$([NX2H1]=C)]",
    )
)
_OXYGEN_AND_SULFUR = 3
"""So many of the first kinds of sites are silylated almost always; those of nitrogen sometimes, and amines twice."""
_CARBONYL = Chem.MolFromSmarts("[$([CX3H1](=O)[#6]),$([CX3H2]=O),$([CX3](=O)([#6])[#6])]=[OX1]")
_HEMIACETAL = rdChemReactions.ReactionFromSmarts("[O;R;X2:1]-[C;R;X4:2]-[OX2H1:3]>>([O:1].[C:2]=[O:3])")
_STATED = re.compile(r"(\d+|n)?\s*(TMS|TBDMS|MeOX)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Form:
    """A molecule as it goes through the column.

    Attributes:
        name: such as `2 TMS; 1 MeOX`; empty for the molecule as it is.
        smiles: of the derivative.
        mass: nominal mass in Da: the sum of the mass numbers of the most abundant isotopes.
    """

    name: str
    smiles: str
    mass: int


@dataclass(frozen=True, slots=True)
class Stated:
    """What a source states of a derivative.

    Attributes:
        silyl: `TMS`, `TBDMS`, or empty.
        groups: how many; None where the number is not stated.
        oximes: methoximes; None where the number is not stated.
    """

    silyl: str
    groups: int | None
    oximes: int | None


def parse_derivative(text: str | None) -> Stated | None:
    """`3 TMS; 1 MeOX`, `n TMS`, `TMS` to what is stated; None where there is no derivative that is known here."""
    silyl, groups, oximes = "", 0, 0
    for number, kind in _STATED.findall(text or ""):
        count = int(number) if number.isdigit() else None
        if kind.upper() == "MEOX":
            oximes = count
        else:
            silyl, groups = kind.upper(), count
    if not silyl and oximes == 0:
        return None
    return None if silyl and groups == 0 and oximes == 0 else Stated(silyl, groups, oximes)


def forms(smiles: str, stated: Stated | None) -> tuple[Form, ...]:
    """The derivatives of a molecule that fit what is stated; the molecule itself where nothing is.

    Of an unstated number all hydrogens of oxygen and sulfur are replaced, and none to all of those of nitrogen. None
    fits a molecule that has fewer places for the groups than are stated.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses the SMILES.
    """
    if stated is None:
        return (Form("", smiles, nominal_mass(smiles)),)
    return _forms(smiles, stated.silyl, stated.groups, stated.oximes)


@functools.lru_cache(maxsize=200_000)
def _forms(smiles: str, silyl: str, groups: int | None, oximes: int | None) -> tuple[Form, ...]:
    found: dict[str, Form] = {}
    if "[Si]" in smiles and silyl:
        # Drawn as a derivative already.
        found[smiles] = Form("", smiles, nominal_mass(smiles))
    for oxime, carbonyls in _oximes(parse_smiles(smiles), oximes):
        sites = _silyl_sites(oxime)
        for count in _counts(sites, silyl, groups):
            made = _silylated(oxime, [atom for atom, _ in sites[:count]], silyl)
            parts = [f"{count} {silyl}"] if count else []
            parts += [f"{carbonyls} MeOX"] if carbonyls else []
            text = Chem.MolToSmiles(made)
            found.setdefault(text, Form("; ".join(parts), text, nominal_mass(text)))
    return tuple(found.values())[:_MOST_FORMS]


def _counts(sites: list[tuple[int, int]], silyl: str, groups: int | None) -> range:
    """How many silyl groups are tried."""
    if not silyl:
        return range(1)
    if groups is not None:
        return range(groups, groups + 1) if groups <= len(sites) else range(0)
    usual = sum(kind < _OXYGEN_AND_SULFUR for _, kind in sites)
    return range(max(usual, 1), min(len(sites), MOST_GROUPS) + 1)


def _silyl_sites(mol: Chem.Mol) -> list[tuple[int, int]]:
    """Atoms whose hydrogen a silyl group replaces, and their kinds, those that react first first."""
    sites: dict[int, int] = {}
    for kind, pattern in enumerate(_SITES):
        for match in mol.GetSubstructMatches(pattern, maxMatches=64):
            sites.setdefault(match[0], kind)
    first = sorted(sites.items(), key=lambda one: one[1])
    twice = [(a, k) for a, k in first if k == _OXYGEN_AND_SULFUR and mol.GetAtomWithIdx(a).GetTotalNumHs() > 1]
    return first + twice


def _oximes(mol: Chem.Mol, count: int | None) -> Iterator[tuple[Chem.Mol, int]]:
    """The molecule with so many of its carbonyl groups as methoximes; of an unstated number, with none and with all."""
    if count == 0:
        yield mol, 0
        return
    opened = _opened(mol)
    places = [match[:2] for match in opened.GetSubstructMatches(_CARBONYL, maxMatches=8)]
    if count is None:
        yield mol, 0
        count = len(places)
    if 0 < count <= len(places):
        yield _with_oximes(opened, [oxygen for _, oxygen in places[:count]]), count


def _opened(mol: Chem.Mol) -> Chem.Mol:
    """A sugar's ring opened to the aldehyde or ketone that reacts; any other molecule as it is."""
    for _ in range(2):
        made = _HEMIACETAL.RunReactants((mol,), maxProducts=1)
        if not made:
            return mol
        opened = made[0][0]
        if Chem.SanitizeMol(opened, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
            return mol
        mol = opened
    return mol


def _with_oximes(mol: Chem.Mol, oxygens: list[int]) -> Chem.Mol:
    edited = Chem.RWMol(mol)
    for place in oxygens:
        edited.GetAtomWithIdx(place).SetAtomicNum(7)
        oxygen, carbon = edited.AddAtom(Chem.Atom(8)), edited.AddAtom(Chem.Atom(6))
        edited.AddBond(place, oxygen, Chem.BondType.SINGLE)
        edited.AddBond(oxygen, carbon, Chem.BondType.SINGLE)
    made = edited.GetMol()
    Chem.SanitizeMol(made)
    return made


def _silylated(mol: Chem.Mol, atoms: list[int], silyl: str) -> Chem.Mol:
    if not atoms:
        return mol
    group = Chem.MolFromSmiles(SILYL[silyl])
    made = mol
    for place in atoms:
        start = made.GetNumAtoms()
        edited = Chem.RWMol(Chem.CombineMols(made, group))
        edited.AddBond(place, start, Chem.BondType.SINGLE)
        silicon, atom = edited.GetAtomWithIdx(start), edited.GetAtomWithIdx(place)
        silicon.SetNumExplicitHs(0)
        silicon.SetNoImplicit(True)
        if atom.GetNumExplicitHs():
            atom.SetNumExplicitHs(atom.GetNumExplicitHs() - 1)
        made = edited.GetMol()
    Chem.SanitizeMol(made)
    return made


@functools.lru_cache(maxsize=200_000)
def nominal_mass(smiles: str) -> int:
    """Sum of the mass numbers of the most abundant isotopes of its atoms, or of those that the SMILES names.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses the SMILES.
    """
    table = Chem.GetPeriodicTable()
    total = 0
    for atom in parse_smiles(smiles).GetAtoms():
        total += atom.GetIsotope() or table.GetMostCommonIsotope(atom.GetAtomicNum())
        total += atom.GetTotalNumHs()
    return total


def readings(spectrum: EiSpectrum, unit: Float[np.ndarray, " mass"]) -> tuple[Stated | None, ...]:
    """What a spectrum may be of: what its source states, or else the compound as it is, and silylated where it has the
    ions of silyl groups.

    Args:
        spectrum: whose source may state a derivative.
        unit: its heights at unit masses.
    """
    if spectrum.derivative is not None:
        return (parse_derivative(spectrum.derivative),)
    return (None, Stated("TMS", None, None)) if is_silylated(unit) else (None,)


def forms_of(smiles: str, possible: Sequence[Stated | None]) -> tuple[Form, ...]:
    """The forms of a molecule under any of several readings, each once.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses the SMILES.
    """
    found = {form.smiles: form for stated in possible for form in forms(smiles, stated)}
    return tuple(found.values())


def likely_form(found: Sequence[Form], unit: Float[np.ndarray, " mass"]) -> Form:
    """Of several forms the one whose molecular ion, or what that loses first, is highest; else that of most groups.

    Args:
        found: at least one.
        unit: heights at unit masses.
    """

    def height(mass: int) -> float:
        return float(unit[mass]) if 0 < mass < len(unit) else 0.0

    scores = [height(form.mass) + height(form.mass - 15) + 1e-3 * place for place, form in enumerate(found)]
    return found[int(np.argmax(scores))]


def is_silylated(unit: Float[np.ndarray, " mass"]) -> bool:
    """Whether a spectrum has the ions of trimethylsilyl groups.

    m/z 73 is Si(CH3)3+, 147 is (CH3)2Si=O-Si(CH3)3+ of two groups, 75 is HO=Si(CH3)2+ of one. m/z 73 has a tenth of its
    height beside it, by the isotopes of silicon and carbon. In spectra that begin above it, 147 has to do.

    Args:
        unit: heights at unit masses from 0, the largest 1.
    """
    ions = {mass: float(unit[mass]) if mass < len(unit) else 0.0 for mass in (73, 74, 75, 147, 148)}
    if not unit[:80].any():
        return ions[147] > 0.1 and ions[148] > 0.08 * ions[147]
    isotopes = 0.04 * ions[73] < ions[74] < 0.25 * ions[73]
    return (ions[73] > 0.2 and isotopes) or (ions[147] > 0.05 and ions[73] > 0.05) or ions[75] > 0.7
