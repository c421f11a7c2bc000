"""What it costs to break a bond, set by hand: 1 for a single bond between carbons."""

from __future__ import annotations

from molvis_fragmentation.graph import Graph


def bond_costs(made: Graph) -> list[float]:
    """Cost of each bond of a molecule, by its order and by what it joins."""
    return [_cost(made, i, j, order) for (i, j), order in zip(made.ends, made.orders, strict=True)]


def _cost(made: Graph, i: int, j: int, order: float) -> float:
    cost = {1.0: 1.0, 1.5: 2.0, 2.0: 2.0, 3.0: 3.0}.get(order, 1.0)
    if made.numbers[i] != 6 or made.numbers[j] != 6:
        cost *= 0.7  # bonds to other elements than carbon break more easily
    if order == 1.0 and (made.aromatic[i] or made.aromatic[j]):
        cost *= 1.2
    return cost
