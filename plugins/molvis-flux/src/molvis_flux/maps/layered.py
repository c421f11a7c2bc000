"""Layered drawing of a directed graph: rows, the order within them, and columns that are straight where they are long.

Gansner, Koutsofios, North and Vo, A technique for drawing directed graphs, IEEE Transactions on Software Engineering 19
(1993) 214, doi:10.1109/32.221135. Rows and columns are the linear programs of that article, solved as such.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Place = tuple[float, int]
"""Where on the horizontal axis, and in which row."""
_SWEEPS = 24
_GAP, _LANE = 10.0, 15.0
"""Between two nodes, and between a line and what is beside it."""
_FIRST, _FURTHER = 60.0, 8.0
"""How much more a column counts than other edges."""


@dataclass(frozen=True, slots=True)
class Edge:
    """From a node to another, that long and heavy edges should be short and straight for."""

    start: str
    end: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Where the nodes stand, and where each edge goes through the rows from its start to its end."""

    places: dict[str, Place]
    ways: list[list[Place]]


def arrange(nodes: Mapping[str, tuple[float, float]], edges: Sequence[Edge], first: Sequence[str] = ()) -> Arrangement:
    """Place one connected graph.

    Args:
        nodes: how far each reaches to the left and to the right of its axis.
        edges: none from a node to itself.
        first: nodes that shall stand at the top, if they can.
    """
    down = _downwards(nodes, edges, first)
    columns = _columns(nodes, down)
    rows = _rows(nodes, down, columns)
    layers, chains = _layers(nodes, down, rows)
    _order(layers, chains)
    x = _across(nodes, layers, chains, columns)
    row_of = {name: row for row, layer in enumerate(layers) for name in layer}
    ways: list[list[Place]] = []
    for edge, lower, chain in zip(edges, down, chains, strict=True):
        way = [(x[name], row_of[name]) for name in chain]
        ways.append(way if edge.start == lower.start else way[::-1])
    return Arrangement({name: (x[name], row_of[name]) for name in nodes}, ways)


def _downwards(nodes: Mapping[str, object], edges: Sequence[Edge], first: Sequence[str]) -> list[Edge]:
    """The edges, turned so that they have no circle: those that close one while going deep from the top are turned."""
    out: dict[str, list[Edge]] = defaultdict(list)
    entered: set[str] = set()
    for edge in edges:
        out[edge.start].append(edge)
        entered.add(edge.end)
    depth: dict[str, int] = {}
    open_: set[str] = set()
    turned: set[tuple[str, str]] = set()
    for root in dict.fromkeys([*first, *(n for n in nodes if n not in entered), *nodes]):
        if root in depth:
            continue
        stack = [(root, iter(out[root]))]
        depth[root] = 0
        open_.add(root)
        while stack:
            name, rest = stack[-1]
            edge = next(rest, None)
            if edge is None:
                open_.discard(name)
                stack.pop()
            elif edge.end in open_:
                turned.add((edge.start, edge.end))
            elif edge.end not in depth:
                depth[edge.end] = depth[name] + 1
                open_.add(edge.end)
                stack.append((edge.end, iter(out[edge.end])))
    return [Edge(e.end, e.start, e.weight) if (e.start, e.end) in turned else e for e in edges]


def _sorted(nodes: Mapping[str, object], edges: Sequence[Edge]) -> list[str]:
    """Each node after all that lead to it."""
    left = dict.fromkeys(nodes, 0)
    out: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        left[edge.end] += 1
        out[edge.start].append(edge.end)
    ready = [name for name, count in left.items() if not count]
    for name in ready:
        for end in out[name]:
            left[end] -= 1
            if not left[end]:
                ready.append(end)
    return ready


def _columns(nodes: Mapping[str, object], edges: Sequence[Edge]) -> list[float]:
    """How straight each edge is to be: the longest path is the first column, the longest of what is left the next."""
    order, taken = _sorted(nodes, edges), set[str]()
    weight, factor = [edge.weight for edge in edges], _FIRST
    while True:
        length, last = _lengths(order, edges, taken)
        ends = [name for name in order if name not in taken and length[name] > 0]
        if not ends:
            return weight
        end = max(ends, key=lambda name: length[name])
        taken.add(end)
        while end in last:
            weight[last[end]] *= factor
            end = edges[last[end]].start
            if end in taken:
                break
            taken.add(end)
        factor = _FURTHER


def _lengths(
    order: Sequence[str], edges: Sequence[Edge], taken: Collection[str]
) -> tuple[dict[str, float], dict[str, int]]:
    """The longest path to each node, and its last edge. A path may begin or end in a column, but not go through one."""
    into: dict[str, list[int]] = defaultdict(list)
    for i, edge in enumerate(edges):
        into[edge.end].append(i)
    length, last = dict.fromkeys(order, 0.0), dict[str, int]()
    for name in order:
        for i in into[name]:
            start = edges[i].start
            if start in taken and (name in taken or start in last):
                continue
            far = edges[i].weight + (0.0 if start in taken else length[start])
            if far > length[name]:
                length[name], last[name] = far, i
    return length, last


def _rows(nodes: Mapping[str, object], edges: Sequence[Edge], weight: Sequence[float]) -> dict[str, int]:
    """Rows that make edges short, each edge going down by one at least."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    names = list(nodes)
    at = {name: i for i, name in enumerate(names)}
    cost = np.zeros(len(names))
    starts, ends = [at[e.start] for e in edges], [at[e.end] for e in edges]
    # Long columns count little more than other edges here: how tall they are is not what makes them straight.
    np.add.at(cost, ends, np.sqrt(weight))
    np.add.at(cost, starts, -np.sqrt(weight))
    rows = np.arange(len(edges))
    table = csr_array(
        (np.repeat([1.0, -1.0], len(edges)), (np.concatenate([rows, rows]), np.array([*starts, *ends], int))),
        shape=(len(edges), len(names)),
    )
    found = linprog(cost, table, -np.ones(len(edges)), bounds=(0, None), method="highs")
    row = np.rint(found.x).astype(int)
    return dict(zip(names, (row - row.min()).tolist(), strict=True))


def _layers(
    nodes: Mapping[str, object], edges: Sequence[Edge], rows: Mapping[str, int]
) -> tuple[list[list[str]], list[list[str]]]:
    """The rows' nodes, and of each edge what it goes through: bends of its own in the rows that it passes."""
    layers: list[list[str]] = [[] for _ in range(max(rows.values(), default=0) + 1)]
    chains: list[list[str]] = []
    for i, edge in enumerate(edges):
        between = range(rows[edge.start] + 1, rows[edge.end])
        chains.append([edge.start, *(f"\0{i}\0{row}" for row in between), edge.end])
    near: dict[str, list[str]] = defaultdict(list)
    for chain in chains:
        for a, b in itertools.pairwise(chain):
            near[a].append(b)
            near[b].append(a)
    row_of = {**rows, **{name: int(name.split("\0")[2]) for chain in chains for name in chain[1:-1]}}
    # Neighbours first, so that what belongs together starts together.
    seen: set[str] = set()
    for root in sorted(nodes, key=lambda name: rows[name]):
        stack = [root]
        while stack:
            name = stack.pop()
            if name not in seen:
                seen.add(name)
                layers[row_of[name]].append(name)
                stack += [n for n in reversed(near[name]) if n not in seen]
    return layers, chains


def _order(layers: list[list[str]], chains: Sequence[Sequence[str]]) -> None:
    """Sort each row so that few edges cross: medians of the neighbours, then exchanges of two that are beside."""
    up, down = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for chain in chains:
        for a, b in itertools.pairwise(chain):
            down[a].append(b)
            up[b].append(a)
    best, least = [list(layer) for layer in layers], _crossings(layers, down)
    for sweep in range(_SWEEPS):
        near = up if sweep % 2 == 0 else down
        rows = range(1, len(layers)) if sweep % 2 == 0 else range(len(layers) - 2, -1, -1)
        for row in rows:
            beside = row - 1 if sweep % 2 == 0 else row + 1
            at = {name: i for i, name in enumerate(layers[beside])}
            _sort_by(layers[row], lambda name, at=at, near=near: _median([at[n] for n in near[name]]))
        _exchange(layers, up, down)
        count = _crossings(layers, down)
        if count < least:
            best, least = [list(layer) for layer in layers], count
    layers[:] = best


def _sort_by(layer: list[str], key: Callable[[str], float]) -> None:
    """Sort; what has no key (-1) keeps its place."""
    keys = {name: key(name) for name in layer}
    moving = sorted((name for name in layer if keys[name] >= 0), key=lambda name: keys[name])
    layer[:] = [moving.pop(0) if keys[name] >= 0 else name for name in layer]


def _median(places: list[int]) -> float:
    if not places:
        return -1.0
    places.sort()
    middle = len(places) // 2
    if len(places) % 2:
        return float(places[middle])
    return (places[middle - 1] + places[middle]) / 2


def _exchange(layers: list[list[str]], up: Mapping[str, list[str]], down: Mapping[str, list[str]]) -> None:
    for _ in range(4):
        better = False
        for row, layer in enumerate(layers):
            sides = [
                (near, layers[beside]) for near, beside in ((up, row - 1), (down, row + 1)) if 0 <= beside < len(layers)
            ]
            places = [(near, {name: i for i, name in enumerate(other)}) for near, other in sides]
            for i in range(len(layer) - 1):
                a, b = layer[i], layer[i + 1]
                if sum(_gain(near.get(a, ()), near.get(b, ()), at) for near, at in places) > 0:
                    layer[i], layer[i + 1] = b, a
                    better = True
        if not better:
            return


def _gain(left: Collection[str], right: Collection[str], at: Mapping[str, int]) -> int:
    """Crossings that fewer there are when two nodes beside each other are exchanged."""
    a, b = [at[name] for name in left], [at[name] for name in right]
    return _inversions(a, b) - _inversions(b, a)


def _inversions(left: list[int], right: list[int]) -> int:
    return sum(a > b for a in left for b in right)


def _crossings(layers: Sequence[Sequence[str]], down: Mapping[str, list[str]]) -> int:
    count = 0
    for upper, lower in itertools.pairwise(layers):
        at = {name: i for i, name in enumerate(lower)}
        seen: list[int] = []
        for name in upper:
            ends = sorted(at[n] for n in down.get(name, ()))
            count += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return count


def _across(
    nodes: Mapping[str, tuple[float, float]],
    layers: Sequence[Sequence[str]],
    chains: Sequence[Sequence[str]],
    columns: Sequence[float],
) -> dict[str, float]:
    """Places in the rows that make edges straight, heavy ones and the inner parts of long ones first."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    names = [name for layer in layers for name in layer]
    at = {name: i for i, name in enumerate(names)}
    pairs: list[tuple[int, int, float]] = []
    for chain, weight in zip(chains, columns, strict=True):
        for a, b in itertools.pairwise(chain):
            inner = (a not in nodes) + (b not in nodes)
            pairs.append((at[a], at[b], weight * (1.0, 2.0, 6.0)[inner]))
    n, m = len(names), len(pairs)
    entries: list[tuple[int, int, float]] = []
    limits: list[float] = []
    for i, (a, b, _) in enumerate(pairs):
        for sign in (1.0, -1.0):
            entries += [(len(limits), a, sign), (len(limits), b, -sign), (len(limits), n + i, -1.0)]
            limits.append(0.0)
    for layer in layers:
        for a, b in itertools.pairwise(layer):
            gap = _GAP if a in nodes and b in nodes else _LANE
            entries += [(len(limits), at[a], 1.0), (len(limits), at[b], -1.0)]
            limits.append(-(nodes.get(a, (0, 0))[1] + gap + nodes.get(b, (0, 0))[0]))
    if not limits:
        return dict.fromkeys(names, 0.0)
    rows, cols, values = zip(*entries, strict=True)
    table = csr_array((values, (rows, cols)), shape=(len(limits), n + m))
    cost = np.concatenate([np.zeros(n), [weight for *_, weight in pairs]])
    found = linprog(cost, table, limits, bounds=[(0, None)] * (n + m), method="highs")
    return dict(zip(names, found.x[:n].tolist(), strict=True))
