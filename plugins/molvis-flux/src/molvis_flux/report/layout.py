"""Where the metabolites of a network stand in its figure: a layered drawing.

Metabolites go into rows by their distance from what is fed, and stand in each row by the mean of their neighbours
(the barycentre rule of Sugiyama et al., IEEE Transactions on Systems, Man and Cybernetics 11 (1981) 109,
doi:10.1109/TSMC.1981.4308636).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from molvis_flux.model.network import Network

Point = tuple[float, float]
_SWEEPS = 12


def layout(model: Network, fed: Sequence[str] = ()) -> dict[str, Point]:
    """Where each metabolite with traced atoms goes: rows by the distance from what is fed, ordered to cross little.

    Args:
        model: the network.
        fed: sources that a tracer is given as; by default every source.
    """
    ways = _ways(model)
    rows = _rows(model, ways, fed)
    layers: dict[int, list[str]] = defaultdict(list)
    for name in model.metabolites:
        if name in rows:
            layers[rows[name]].append(name)
    x = _order(layers, _neighbours(ways))
    return {name: (1.4 * x[name], float(rows[name])) for name in rows}


def pairs(model: Network, name: str) -> list[tuple[str, str]]:
    """Substrate and product that share the most traced atoms, for each product; those without atoms are left out."""
    reaction = model.reactions[name]
    out: dict[tuple[str, str], None] = {}
    for product in reaction.products:
        shares = [(len(set(s.atoms) & set(product.atoms)), s.metabolite) for s in reaction.substrates]
        best = max(shares, default=(0, ""))
        if best[0] and best[0] * 2 >= len(product.atoms) and best[1] != product.metabolite:
            out[best[1], product.metabolite] = None
    return list(out)


def _drawn(model: Network) -> set[str]:
    """Metabolites to draw: in a large network those of one traced atom would be in the way of all others."""
    small = len(model.metabolites) <= 15
    return {name for name, m in model.metabolites.items() if m.elements and (small or len(m.elements) > 1)}


def _ways(model: Network) -> dict[str, set[str]]:
    """What each metabolite can be made into, among those that are drawn."""
    ways: dict[str, set[str]] = defaultdict(set)
    shown = _drawn(model)
    for name, reaction in model.reactions.items():
        for start, end in pairs(model, name):
            if start in shown and end in shown:
                ways[start].add(end)
                if reaction.reversible:
                    ways[end].add(start)
    return dict(ways)


def _rows(model: Network, ways: Mapping[str, set[str]], fed: Collection[str]) -> dict[str, int]:
    """The row of each metabolite, its distance from what is fed."""
    named = [name for name in model.metabolites if name in ways or any(name in ends for ends in ways.values())]
    sources = [name for name in named if model.metabolites[name].role == "source"]
    front = [name for name in sources if name in fed] or sources or named[:1]
    later = set(sources) - set(front)
    rows = _distances(front, [name for name in named if name not in later], ways)
    # A source beside the tracer stands right above what it is made into.
    for name in sorted(later):
        rows[name] = max(min((rows[end] for end in ways.get(name, ()) if end in rows), default=1) - 1, 0)
    return rows


def _distances(front: Sequence[str], names: Sequence[str], ways: Mapping[str, set[str]]) -> dict[str, int]:
    """Steps from the front to each name; where no way leads further, the first that is left is the next front."""
    rows: dict[str, int] = {}
    placeable = set(names)
    depth = 0
    while front:
        rows |= dict.fromkeys(front, depth)
        reached = sorted({end for name in front for end in ways.get(name, ()) if end not in rows and end in placeable})
        left = [name for name in names if name not in rows]
        front = reached or left[:1]
        depth += 1
    return rows


def _neighbours(ways: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Ways in both directions."""
    near: dict[str, set[str]] = defaultdict(set)
    for start, ends in ways.items():
        for end in ends:
            near[start].add(end)
            near[end].add(start)
    return dict(near)


def _order(layers: Mapping[int, list[str]], near: Mapping[str, set[str]]) -> dict[str, float]:
    """The place of each name in its row; every sweep sorts the rows by the mean place of their names' neighbours."""
    x = {name: i - (len(names) - 1) / 2 for names in layers.values() for i, name in enumerate(names)}
    for _ in range(_SWEEPS):
        for depth in sorted(layers):
            names = layers[depth]
            # Sorted: the sum of floats depends on their order, and that of a set on PYTHONHASHSEED.
            middle = {
                name: float(np.mean([x[end] for end in sorted(near.get(name, ()))] or [x[name]])) for name in names
            }
            names.sort(key=lambda name, middle=middle: middle[name])
            for i, name in enumerate(names):
                x[name] = i - (len(names) - 1) / 2
    return x
