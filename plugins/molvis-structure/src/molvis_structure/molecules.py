"""From SMILES to what encoders look at, without PyTorch: the processes that work it out need not load that."""

from __future__ import annotations

from rdkit import Chem
from rdkit.Chem.rdchem import Mol
from rdkit.rdBase import BlockLogs

from molvis_core.errors import StructureError


def mol_of(smiles: str) -> Mol:
    """A molecule from its SMILES.

    Raises:
        StructureError: RDKit refuses it.
    """
    with BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    if mol is None or mol.GetNumAtoms() == 0:
        raise StructureError(f"RDKit refuses the SMILES {smiles!r}")
    return mol
