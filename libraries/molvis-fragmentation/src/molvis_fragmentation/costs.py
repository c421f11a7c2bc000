"""What it costs to break a bond, set by hand: 1 for a single bond between carbons."""

from __future__ import annotations

from rdkit import Chem


def bond_cost(bond: Chem.Bond) -> float:
    """Cost of a bond, by its order and by what it joins."""
    first, second = bond.GetBeginAtom(), bond.GetEndAtom()
    cost = {1.0: 1.0, 1.5: 2.0, 2.0: 2.0, 3.0: 3.0}.get(bond.GetBondTypeAsDouble(), 1.0)
    if first.GetAtomicNum() != 6 or second.GetAtomicNum() != 6:
        cost *= 0.7  # bonds to other elements than carbon break more easily
    if bond.GetBondTypeAsDouble() == 1.0 and (first.GetIsAromatic() or second.GetIsAromatic()):
        cost *= 1.2
    return cost
