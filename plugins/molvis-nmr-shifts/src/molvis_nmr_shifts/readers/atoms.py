"""Atoms of signals: numbers of one drawing to places in the SMILES of the structure that a record keeps."""

from __future__ import annotations

from collections.abc import Sequence

from rdkit import Chem
from rdkit.Chem.rdchem import Mol


def smiles_places(mol: Mol) -> dict[int, int]:
    """Of each heavy atom of a molecule its place in the canonical SMILES that RDKit writes.

    A hydrogen that is drawn has the place of the atom which carries it.
    """
    heavy = Chem.RemoveHs(mol)
    for atom in mol.GetAtoms():
        atom.SetIntProp("_drawn", atom.GetIdx())
    heavy = Chem.RemoveHs(mol)
    Chem.MolToSmiles(heavy)
    order = list(heavy.GetPropsAsDict(includePrivate=True, includeComputed=True).get("_smilesAtomOutputOrder", ()))
    place = {heavy.GetAtomWithIdx(int(index)).GetIntProp("_drawn"): rank for rank, index in enumerate(order)}
    for atom in mol.GetAtoms():
        if atom.GetIdx() not in place and atom.GetDegree() == 1:
            owner = atom.GetNeighbors()[0].GetIdx()
            if owner in place:
                place[atom.GetIdx()] = place[owner]
    return place


def places_text(atoms: Sequence[int]) -> str:
    """Places as a record keeps them."""
    return ",".join(str(a) for a in sorted(set(atoms)))
