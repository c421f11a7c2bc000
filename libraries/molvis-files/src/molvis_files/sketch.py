"""Structures as few numbers: what a page that shows thousands of them draws with a script of its own.

An SVG of RDKit has some thousand characters, a sketch some hundred.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.errors import StructureError

__all__ = ["BOND", "sketch"]

BOND = 30
"""Units of a sketch that a bond of usual length has."""
_RDKIT = 1.5
_SINGLE, _DOUBLE, _TRIPLE, _LEFT, _RIGHT, _WEDGE, _DASH = range(1, 8)


@functools.lru_cache(maxsize=8192)
def sketch(smiles: str) -> dict[str, Any] | None:
    """Where a structure's atoms and bonds are, as plain values; None where RDKit refuses the SMILES.

    Returns:
        `x` and `y` of the atoms, y downwards, in the order of the SMILES, and behind them hydrogens that are drawn;
        `t`, what is written at an atom by its number, with `<` in front where it ends at the atom and does not begin
        there; `b`, three numbers for each bond: its atoms, and 1 single, 2 double, 3 triple, 4 and 5 double with the
        second line on the left and on the right on the way from the first atom to the second, 6 wedge, 7 dashes.
    """
    from rdkit.Chem.Draw import rdMolDraw2D
    from rdkit.rdBase import BlockLogs

    try:
        with BlockLogs():
            mol = rdMolDraw2D.PrepareMolForDrawing(parse_smiles(smiles))
    except (StructureError, ValueError, RuntimeError):
        return None
    places = np.asarray(mol.GetConformer().GetPositions())[:, :2] * (BOND / _RDKIT, -BOND / _RDKIT)
    places = np.rint(places - places.min(axis=0)).astype(int)
    bonds: list[int] = []
    for bond in mol.GetBonds():
        bonds += [bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), _kind(bond, places)]
    texts = {str(a.GetIdx()): _text(a, places) for a in mol.GetAtoms()}
    return {
        "x": places[:, 0].tolist(), "y": places[:, 1].tolist(), "t": {k: t for k, t in texts.items() if t}, "b": bonds,
    }  # fmt: skip


def _kind(bond: Any, places: np.ndarray) -> int:
    from rdkit.Chem import BondDir, BondType

    if bond.GetBondType() == BondType.TRIPLE:
        return _TRIPLE
    if bond.GetBondType() != BondType.DOUBLE:
        return {BondDir.BEGINWEDGE: _WEDGE, BondDir.BEGINDASH: _DASH}.get(bond.GetBondDir(), _SINGLE)
    ends = (bond.GetBeginAtom(), bond.GetEndAtom())
    if not bond.IsInRing() and 1 in (ends[0].GetDegree(), ends[1].GetDegree()):
        return _DOUBLE
    here, there = (places[a.GetIdx()].astype(float) for a in ends)
    inside = _ring_centre(bond, places)
    if inside is None:
        around = [
            places[n.GetIdx()] for a in ends for n in a.GetNeighbors() if n.GetIdx() not in {e.GetIdx() for e in ends}
        ]
        inside = np.mean(around, axis=0)
    along, across = there - here, inside - here
    side = along[0] * across[1] - along[1] * across[0]
    # y points down: what turns clockwise on the page is on the right.
    return _RIGHT if side > 0 else _LEFT


def _ring_centre(bond: Any, places: np.ndarray) -> np.ndarray | None:
    """Of the smallest ring that the bond is in."""
    rings = [r for r in bond.GetOwningMol().GetRingInfo().BondRings() if bond.GetIdx() in r]
    if not rings:
        return None
    mol = bond.GetOwningMol()
    ends = [mol.GetBondWithIdx(b) for b in min(rings, key=len)]
    return np.mean([places[k] for b in ends for k in (b.GetBeginAtomIdx(), b.GetEndAtomIdx())], axis=0)


def _text(atom: Any, places: np.ndarray) -> str:
    """What is written at an atom: nothing at a carbon whose bonds tell of it."""
    charge, isotope = atom.GetFormalCharge(), atom.GetIsotope()
    if atom.GetSymbol() == "C" and atom.GetDegree() and not (charge or isotope or atom.GetNumRadicalElectrons()):
        return ""
    sign = "+" if charge > 0 else "-"
    charged = f"^{_count(abs(charge))}{sign}" if charge else ""
    hydrogens = atom.GetTotalNumHs()
    bonded = f"H{_count(hydrogens)}" if hydrogens else ""
    symbol = f"^{isotope}{atom.GetSymbol()}" if isotope else atom.GetSymbol()
    around = [places[n.GetIdx()][0] for n in atom.GetNeighbors()]
    # Hydrogens go to the side that has no bonds.
    if bonded and around and np.mean(around) > places[atom.GetIdx()][0] + 1:
        return f"<{bonded}{symbol}{charged}"
    return f"{symbol}{bonded}{charged}"


def _count(number: int) -> str:
    return str(number) if number > 1 else ""
