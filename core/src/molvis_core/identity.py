"""Who a structure is: canonical SMILES, InChIKey, formula and mass, by RDKit.

In core because libraries, datasets and targets all key on it, whichever plugins are installed.
"""

from __future__ import annotations

from rdkit import Chem
from rdkit.Chem import rdMolDescriptors
from rdkit.Chem.rdchem import Mol
from rdkit.rdBase import BlockLogs

from molvis_core.errors import StructureError
from molvis_core.records import Structure


def parse_mol(text: str) -> Mol:
    """A SMILES, an InChI or a Molfile to an RDKit molecule.

    Raises:
        StructureError: RDKit refuses it; the message says why.
    """
    stripped = text.strip() if text else ""
    if not stripped:
        raise StructureError("the structure is empty; a SMILES, an InChI or a Molfile is wanted")
    with BlockLogs():  # RDKit complains to stderr from C++; what matters goes into our message instead
        if "V2000" in text or "V3000" in text:
            mol = Chem.MolFromMolBlock(text)
        elif stripped.startswith("InChI="):
            mol = Chem.MolFromInchi(stripped)
        else:
            mol = Chem.MolFromSmiles(stripped)
        if mol is None or mol.GetNumAtoms() == 0:
            raise StructureError(f"RDKit refuses the structure {stripped.splitlines()[0][:80]!r}{_why(stripped)}")
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
        StructureError: RDKit refuses it.
    """
    return structure_of(parse_mol(text), name=name, stereo=stereo)


def structure_of(mol: Mol, *, name: str | None = None, stereo: bool = True) -> Structure:
    """A `Structure` from an RDKit molecule.

    Raises:
        StructureError: it has no InChIKey.
    """
    with BlockLogs():
        inchikey = Chem.MolToInchiKey(mol)
    if not inchikey:
        raise StructureError(f"InChI has no key for {Chem.MolToSmiles(mol)!r}; is it a molecule of known elements?")
    return Structure(
        smiles=Chem.MolToSmiles(mol, isomericSmiles=stereo),
        inchikey=inchikey,
        # RDKit appends the charge, as in C5H14NO+; ours is a field of its own.
        formula=rdMolDescriptors.CalcMolFormula(mol).partition("+")[0].partition("-")[0],
        exact_mass=rdMolDescriptors.CalcExactMolWt(mol),
        charge=Chem.GetFormalCharge(mol),
        name=name,
    )
