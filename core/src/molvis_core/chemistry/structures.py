"""Who a structure is: canonical SMILES, InChIKey, formula and mass, by RDKit.

In core because libraries, datasets and targets all key on it, whichever plugins are installed.
"""

from __future__ import annotations

import contextlib
import functools
import re

from rdkit import Chem
from rdkit.Chem import rdMolDescriptors
from rdkit.Chem.rdchem import Mol
from rdkit.rdBase import BlockLogs

from molvis_core.chemistry.formula import ELECTRON_MASS
from molvis_core.errors import StructureError
from molvis_core.records import Structure
from molvis_core.text import quoted

MAX_HEAVY_ATOMS = 1000
"""Of a structure. InChI has none beyond 1023, and from some 10,000 on RDKit's recursion ends the whole process."""
MAX_ATOMS = 4 * MAX_HEAVY_ATOMS
"""Of a structure, with the hydrogens that are written out."""
MAX_RINGS = 300
"""Ring closures. In molecules that are nothing but rings RDKit looks for the smallest ones for hours."""
MAX_LENGTH = 50_000
"""Characters of a SMILES or an InChI."""
MAX_MOLFILE = 2_000_000
"""Characters of a Molfile."""


def parse_mol(text: str) -> Mol:
    """A SMILES, an InChI or a Molfile to an RDKit molecule.

    Raises:
        StructureError: it is too large (see `MAX_HEAVY_ATOMS`), or RDKit refuses it; the message states why.
    """
    stripped = text.strip() if text else ""
    if not stripped:
        raise StructureError("the structure is empty; give a SMILES, an InChI or a Molfile")
    if "V2000" in text or "V3000" in text:
        return parse_molfile(text)
    return _parse_inchi(stripped) if stripped.startswith("InChI=") else parse_smiles(stripped)


def parse_smiles(smiles: str) -> Mol:
    """A SMILES to an RDKit molecule. Its size is looked at first: a large one ends the process inside RDKit.

    Each call returns a copy of its own. The last 1,024 molecules are kept, since one candidate is read, neutralised,
    fingerprinted, broken and drawn in turn, by packages that know nothing of each other.

    Raises:
        StructureError: it is too large (see `MAX_HEAVY_ATOMS`), or RDKit refuses it; the message states why.
    """
    return Mol(_parsed(smiles)) if len(smiles) <= _MAX_KEPT else _parse(smiles)


def check_smiles(smiles: str) -> None:
    """Whether `parse_smiles` takes a SMILES. The molecule is not kept: libraries of millions are read once.

    Raises:
        StructureError: it is too large (see `MAX_HEAVY_ATOMS`), or RDKit refuses it; the message states why.
    """
    _parse(smiles)


def _parse(smiles: str) -> Mol:
    _refuse_long(smiles, MAX_LENGTH)
    _refuse_large(smiles, *_count_smiles(smiles))
    with BlockLogs():  # RDKit complains to stderr from C++; what matters goes into our message instead
        mol = Chem.MolFromSmiles(smiles)
        if mol is None or mol.GetNumAtoms() == 0:
            raise StructureError(f"RDKit refuses the structure {quoted(smiles)}{_why(smiles)}")
    return mol


# A copy takes a seventh of the time of parsing. A molecule of usual size takes 18 kB.
_parsed = functools.lru_cache(maxsize=1024)(_parse)
_MAX_KEPT = 400  # characters


def parse_molfile(block: str) -> Mol:
    """A Molfile to an RDKit molecule.

    Raises:
        StructureError: it is too large (see `MAX_HEAVY_ATOMS`), or RDKit refuses it; the message states why.
    """
    _refuse_long(block, MAX_MOLFILE)
    title = block.strip().partition("\n")[0]
    _refuse_large(title, *_count_molfile(block))
    block = block.replace("[]", "?")  # an empty list of elements ends RDKit's process, an unknown element does not
    with BlockLogs():
        mol = Chem.MolFromMolBlock(block)
        if mol is None or mol.GetNumAtoms() == 0:
            loose, problems = Chem.MolFromMolBlock(block, sanitize=False), ()
            with contextlib.suppress(RuntimeError):  # RDKit cannot look for problems in atoms that it failed to read
                problems = Chem.DetectChemistryProblems(loose) if loose is not None else ()
            why = f": {problems[0].Message()}" if problems else "; it holds no atoms that can be read"
            raise StructureError(f"RDKit refuses the molecule {quoted(title)}{why}")
    return _of_fair_size(title, mol)


def _parse_inchi(inchi: str) -> Mol:
    _refuse_long(inchi, MAX_LENGTH)
    _refuse_large(inchi, *_count_inchi(inchi))
    with BlockLogs():
        mol = Chem.MolFromInchi(inchi)
        if mol is None or mol.GetNumAtoms() == 0:
            raise StructureError(f"RDKit refuses the structure {quoted(inchi)}: it is no InChI of a molecule")
    return _of_fair_size(inchi, mol)


# Sizes, from the text alone and in one pass: more is counted than there is, never less.

_TOKEN = re.compile(r"\[(?P<hydrogen>\d*H(?:[+-]+\d*)?)?[^\]]*\]?|Br|Cl|(?P<ring>%\(\d+\)|%\d\d|\d)|[A-Za-z*]")


def _count_smiles(smiles: str) -> tuple[int, int, int]:
    heavy = atoms = closures = 0
    for token in _TOKEN.finditer(smiles.split(maxsplit=1)[0] if smiles.strip() else ""):
        if token["ring"]:
            closures += 1
            continue
        atoms += 1
        heavy += f"[{token['hydrogen']}]" != token.group()
    return heavy, atoms, closures // 2


def _count_inchi(inchi: str) -> tuple[int, int, int]:
    formula = (inchi.split("/", 2)[1:2] or [""])[0]
    heavy = 0
    for part in formula.split("."):
        times = re.match(r"\d{1,9}", part)
        counts = (int(n[:9] or 1) for e, n in re.findall(r"([A-Z][a-z]?)(\d*)", part) if e not in ("H", "D", "T"))
        heavy += int(times.group() if times else 1) * sum(counts)
    # Atoms are numbered, hydrogens counted: no number in a sound InChI is beyond them.
    atoms = max((int(n[:9]) for n in re.findall(r"\d+", inchi)), default=0)
    layer = re.search(r"/c([^/]*)", inchi)
    mentions = len(re.findall(r"\d+", layer.group(1))) if layer else 0
    return heavy, max(heavy, atoms), max(mentions - heavy, 0)


def _count_molfile(block: str) -> tuple[int, int, int]:
    elements = re.findall(r"^M  V30[ \t]+\d+[ \t]+([^\s\d]\S*)[ \t]", block, re.MULTILINE)
    sizes = re.search(r"^M  V30[ \t]+COUNTS[ \t]+(\d{1,9})[ \t]+(\d{1,9})", block, re.MULTILINE)
    if sizes is None:
        sizes = re.search(r"^([ \d]{3})([ \d]{3}).*V2000", block, re.MULTILINE)
    atoms, bonds = (int(n.replace(" ", "") or 0) for n in sizes.groups()) if sizes else (0, 0)
    return sum(e not in ("H", "D", "T") for e in elements), max(atoms, len(elements)), max(bonds - atoms, 0)


def _refuse_long(text: str, most: int) -> None:
    if len(text) > most:
        raise StructureError(
            f"the structure {quoted(text, 40)} is too long: {most:,} characters are the most that are read"
        )


def _refuse_large(text: str, heavy: int, atoms: int, rings: int) -> None:
    for what, found, most in (
        ("heavy atoms", heavy, MAX_HEAVY_ATOMS),
        ("atoms", atoms, MAX_ATOMS),
        ("rings", rings, MAX_RINGS),
    ):
        if found > most:
            raise StructureError(
                f"the structure {quoted(text, 40)} is too large: about {found:,} {what}, at most {most:,} are read"
            )


def _of_fair_size(text: str, mol: Mol) -> Mol:
    _refuse_large(text, mol.GetNumHeavyAtoms(), mol.GetNumAtoms(), 0)
    return mol


def _why(smiles: str) -> str:
    loose = Chem.MolFromSmiles(smiles, sanitize=False)
    if loose is None:
        return ": it is not a SMILES, an InChI or a Molfile"
    problems = [problem.Message() for problem in Chem.DetectChemistryProblems(loose)]
    return f": {problems[0]}" if problems else ""


def structure(text: str, *, name: str | None = None, stereo: bool = True) -> Structure:
    """A `Structure` from a SMILES, an InChI or a Molfile.

    Args:
        text: any identifier that RDKit reads.
        name: for people.
        stereo: keep stereochemistry in the SMILES.

    Raises:
        StructureError: it is too large, or RDKit refuses it.
    """
    return structure_of(parse_mol(text), name=name, stereo=stereo)


def structure_of(mol: Mol, *, name: str | None = None, stereo: bool = True) -> Structure:
    """A `Structure` from an RDKit molecule.

    Raises:
        StructureError: it is too large, or has no InChIKey.
    """
    _of_fair_size(name or "", mol)
    inchikey = ""
    with BlockLogs(), contextlib.suppress(Chem.MolSanitizeException):  # aromatic rings without a Kekulé structure
        inchikey = Chem.MolToInchiKey(mol)
    if not inchikey:
        raise StructureError(f"InChI has no key for {quoted(Chem.MolToSmiles(mol))}: unknown elements, unsound rings?")
    charge = Chem.GetFormalCharge(mol)
    return Structure(
        smiles=Chem.MolToSmiles(mol, isomericSmiles=stereo),
        inchikey=inchikey,
        # RDKit appends the charge, as in C5H14NO+; ours is a field of its own.
        formula=rdMolDescriptors.CalcMolFormula(mol).partition("+")[0].partition("-")[0],
        # RDKit leaves out the electrons that an ion lacks; with us they belong to the adduct, as in [M]+.
        exact_mass=rdMolDescriptors.CalcExactMolWt(mol) + charge * ELECTRON_MASS,
        charge=charge,
        name=name,
    )
