"""Balances of labelling to a straight-line program, by symbolic elimination.

In the stationary state the labelling `x_i` of each unit of a block satisfies

    (sum_j v_ij + sum_s u_is) x_i = sum_j v_ij x_j + sum_s u_is y_s,

where `v_ij` flows in from unit j of the block, and `u_is` with known labelling `y_s`: that of sources, and of smaller
units convolved (Antoniewicz et al., see `molvis_flux.labelling.emu`). The matrix of a block is never inverted by
subtraction: its diagonal is the sum of what flows in, and eliminating unit i only adds products of flows,

    v_kj += v_ki v_ij / (what flows into i),

and likewise for `u` (Grassmann, Taksar and Heyman). So no digits cancel, single precision is enough, and no pivot has
to be chosen by its size: the order is chosen once, from the pattern.

Reference: Grassmann, Taksar and Heyman, Oper. Res. 33 (1985) 1107, doi:10.1287/opre.33.5.1107
"""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from molvis_flux.labelling.emu import Decomposition, Emu
from molvis_flux.labelling.straight_line import ONE, ZERO, Builder, Pair

Rows: TypeAlias = tuple[tuple[int, ...], ...]
"""Of a unit: for each labelling experiment the rows of M+0, M+1, ..."""


def solve(
    builder: Builder,
    network: Decomposition,
    sources: Mapping[Emu, Rows],
    needed: Collection[Emu],
    stored: Mapping[Emu, tuple[int, Rows]] | None = None,
) -> dict[Emu, Rows]:
    """Write the program that finds the labelling of every unit.

    Args:
        builder: its inputs are the fluxes of the ways.
        network: the balances.
        sources: labelling of what comes from outside.
        needed: units whose labelling is needed.
        stored: a further inflow of units, as its row and its labelling: what a pool holds from before, in a step of
            time.

    Returns:
        The rows of every unit that something depends on.
    """
    values: dict[Emu, Rows] = dict(sources)
    products: dict[tuple[Emu, ...], Rows] = {}

    def value(made_of: tuple[Emu, ...]) -> Rows:
        if len(made_of) == 1:
            return values[made_of[0]]
        if made_of not in products:
            products[made_of] = convolve(builder, value(made_of[:-1]), values[made_of[-1]])
        return products[made_of]

    used = set(needed)
    users: dict[Emu, set[Emu]] = {}
    for unit, inflows in network.inflows.items():
        for made_of in inflows:
            if len(made_of) == 1:
                users.setdefault(made_of[0], set()).add(unit)
            else:
                used.update(made_of)
    for size in sorted({len(atoms) for _, atoms in network.inflows}):
        for block in _blocks([unit for unit in network.inflows if len(unit[1]) == size], network):
            inside = set(block)
            kept = {unit for unit in block if unit in used or users.get(unit, inside) - inside}
            values |= _solve_block(builder, network, block, kept, value, stored or {})
    return values


def convolve(builder: Builder, left: Rows, right: Rows) -> Rows:
    """Labelling of two units in one molecule."""
    return tuple(
        tuple(
            builder.total((a[i], b[mass - i]) for i in range(max(0, mass - len(b) + 1), min(mass + 1, len(a))))
            for mass in range(len(a) + len(b) - 1)
        )
        for a, b in zip(left, right, strict=True)
    )


def _blocks(units: Sequence[Emu], network: Decomposition) -> Iterable[list[Emu]]:
    """Units of one size in groups that depend on each other in circles, upstream first."""
    index = {unit: i for i, unit in enumerate(units)}
    edges = [
        (index[made_of[0]], i)
        for unit, i in index.items()
        for made_of in network.inflows[unit]
        if len(made_of) == 1 and made_of[0] in index
    ]
    ends = np.array(edges, dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(units),) * 2)
    _, label = connected_components(graph, connection="strong")
    order = graphlib.TopologicalSorter({int(group): set() for group in label})
    for tail, head in edges:
        if label[tail] != label[head]:
            order.add(int(label[head]), int(label[tail]))
    members: dict[int, list[Emu]] = {}
    for unit, i in index.items():
        members.setdefault(int(label[i]), []).append(unit)
    return [members[group] for group in order.static_order()]


@dataclass(eq=False, slots=True)
class _Block:
    """Inflows of the units of a block, as rows; units are numbered.

    Attributes:
        inner: of each unit: unit it takes from to the pairs whose sum is the flow.
        outer: of each unit: place in `known` to the same.
        known: labelling that is found already.
    """

    inner: dict[int, dict[int, list[Pair]]]
    outer: dict[int, dict[int, list[Pair]]]
    known: list[Rows]


def _solve_block(
    builder: Builder,
    network: Decomposition,
    units: list[Emu],
    needed: set[Emu],
    value: Callable[[tuple[Emu, ...]], Rows],
    stored: Mapping[Emu, tuple[int, Rows]],
) -> dict[Emu, Rows]:
    number = {unit: i for i, unit in enumerate(units)}
    known: dict[Rows, int] = {}
    block = _Block({}, {}, [])
    for unit, i in number.items():
        inner, outer = block.inner.setdefault(i, {}), block.outer.setdefault(i, {})
        for made_of, ways in network.inflows[unit].items():
            pairs = [(builder.inputs[way], builder.constant(weight)) for way, weight in ways.items()]
            if len(made_of) == 1 and made_of[0] in number:
                if number[made_of[0]] != i:
                    inner.setdefault(number[made_of[0]], []).extend(pairs)
            else:
                place = known.setdefault(value(made_of), len(known))
                outer.setdefault(place, []).extend(pairs)
        if unit in stored:
            flow, labelling = stored[unit]
            outer.setdefault(known.setdefault(labelling, len(known)), []).append((flow, ONE))
    block.known = list(known)
    twin = _merge_copies(block)
    found = _cheapest(builder, block, {twin[number[unit]] for unit in needed})
    return {unit: found[twin[i]] for unit, i in number.items() if twin[i] in found}


def _merge_copies(block: _Block) -> list[int]:
    """Take out units that are made from one other alone: they are labelled as that one, whatever the fluxes."""
    twin = list(range(len(block.inner)))
    open_units = list(block.inner)
    while open_units:
        i = open_units.pop()
        if i not in block.inner or block.outer[i] or len(block.inner[i]) != 1:
            continue
        (source,) = block.inner.pop(i)
        del block.outer[i]
        twin = [source if t == i else t for t in twin]
        for k, inflows in block.inner.items():
            pairs = inflows.pop(i, None)
            if pairs is not None:
                if k != source:
                    inflows.setdefault(source, []).extend(pairs)
                open_units.append(k)
    return twin


def _cheapest(builder: Builder, block: _Block, needed: set[int]) -> dict[int, Rows]:
    """Solve in the way that needs the fewest products.

    Choices: whether unknowns that are not needed go first, and whether known labelling is carried along as numbers of
    its own (a column for each) or mixed at once.
    """
    inner = {i: set(inflows) for i, inflows in block.inner.items()}
    outer = {i: set(inflows) for i, inflows in block.outer.items()}
    width = sum(row != ZERO for known in block.known for rows in known for row in rows) / max(1, len(block.known))
    plans = []
    for last in (needed, set[int]()):
        order = _minimum_degree(inner, last)
        for columns in (True, False):
            plans.append((_cost(inner, outer, order, needed, columns, width), columns, order))
    _, columns, order = min(plans, key=lambda plan: plan[0])
    return _solve(builder, block, order, needed, columns)


def _minimum_degree(inner: Mapping[int, set[int]], last: set[int]) -> list[int]:
    """An order of elimination that makes few new flows; those in `last` after the others."""
    sources = {i: set(inflows) for i, inflows in inner.items()}
    takers: dict[int, set[int]] = {i: set() for i in inner}
    for k, inflows in sources.items():
        for i in inflows:
            takers[i].add(k)
    order: list[int] = []
    while sources:
        i = min(sources, key=lambda i: (i in last, len(sources[i]) * len(takers[i]), i))
        order.append(i)
        before, after = sources.pop(i), takers.pop(i)
        for k in after:
            sources[k] = (sources[k] | before) - {i, k}
        for j in before:
            takers[j] = (takers[j] | after) - {i, j}
    return order


def _cost(
    inner: Mapping[int, set[int]],
    outer: Mapping[int, set[int]],
    order: list[int],
    needed: set[int],
    columns: bool,
    width: float,
) -> float:
    """Products that `_solve` will write; `width`: rows of a unit's labelling."""
    sources = {i: set(inflows) for i, inflows in inner.items()}
    known = {i: set(inflows) for i, inflows in outer.items()}
    earlier = dict.fromkeys(order, 0)
    left, cost = set(order), 0.0
    for i in order:
        left.discard(i)
        for k in left:
            if i in sources[k]:
                earlier[k] += 1
                sources[k] = (sources[k] | sources[i]) - {i, k}
                cost += len(sources[i]) + (len(known[i]) if columns else 1)
                if columns:
                    known[k] |= known[i]
        cost += len(sources[i]) + len(known[i])
        if not columns:
            cost += earlier[i] + width * (len(known[i]) + earlier[i])
    alive = set(needed)
    for i in order:
        if i in alive:
            alive |= sources[i]
            cost += width * (len(sources[i]) + (len(known[i]) if columns else 0))
    return cost


def _solve(builder: Builder, block: _Block, order: list[int], needed: set[int], columns: bool) -> dict[int, Rows]:
    """Take the units out in this order, and put the labelling of those that matter back in, last first."""
    elimination = _Elimination(builder, block, columns)
    for i in order:
        elimination.take_out(i)
    shares, given = elimination.shares, elimination.given
    alive = set(needed)
    for i in order:
        if i in alive:
            alive |= set(shares[i])
    found: dict[int, Rows] = {}
    for i in reversed(order):
        if i in alive:
            parts = [(ONE, given[i])] if given[i] else []
            found[i] = mix(builder, parts + [(share, found[j]) for j, share in shares[i].items()])
    return found


class _Elimination:
    """Units of a block that are taken out one by one.

    Args:
        builder: of the program.
        block: its units' inflows.
        columns: known labelling is carried along as numbers of its own, instead of mixed at once.

    Attributes:
        shares: of each unit that is out: the units still in that it is made from, to their shares.
        given: of each unit that is out: the part of its labelling that is known.
    """

    def __init__(self, builder: Builder, block: _Block, columns: bool) -> None:
        self.builder, self.known, self.columns = builder, block.known, columns
        self.shares: dict[int, dict[int, int]] = {}
        self.given: dict[int, Rows] = {}
        self._pending = {i: {j: [*pairs] for j, pairs in inflows.items()} for i, inflows in block.inner.items()}
        self._outside = {i: {j: [*pairs] for j, pairs in inflows.items()} for i, inflows in block.outer.items()}
        # What reaches a unit from known labelling through units before it, as a flow and as a mixture of labelling.
        self._passed: dict[int, list[Pair]] = {i: [] for i in block.inner}
        self._through: dict[int, dict[int, int]] = {i: {} for i in block.inner}

    def take_out(self, i: int) -> None:
        """Express a unit by those still in, and pass its inflows on to the units that take from it."""
        builder = self.builder
        flows = {j: builder.total(pairs) for j, pairs in self._pending.pop(i).items()}
        known = {j: builder.total(pairs) for j, pairs in self._outside[i].items()}
        rest = builder.total(self._passed[i])
        rows = [row for row in (*flows.values(), *known.values(), rest) if row != ZERO]
        one_over = builder.inverse(rows)
        self.shares[i] = {j: builder.times(row, one_over) if len(rows) > 1 else ONE for j, row in flows.items()}
        known = {j: builder.times(row, one_over) if len(rows) > 1 else ONE for j, row in known.items()}
        parts = [(share, self.known[j]) for j, share in known.items()]
        given = self.given
        parts += [(builder.times(row, one_over), given[j]) for j, row in self._through[i].items() if given[j]]
        given[i] = mix(builder, parts)
        mixed = [(ONE, share) for share in known.values()] + [(rest, one_over)]
        for k, inflows in self._pending.items():
            if i in inflows:
                self._pass_on(i, k, builder.total(inflows.pop(i)), known, mixed)

    def _pass_on(self, i: int, k: int, flow: int, known: Mapping[int, int], mixed: list[Pair]) -> None:
        """Let the flow from unit `i` into `k` come from what `i` is made from; `mixed` is known labelling in it."""
        for j, share in self.shares[i].items():
            if j != k:
                self._pending[k].setdefault(j, []).append((flow, share))
        if self.columns:
            for j, share in known.items():
                self._outside[k].setdefault(j, []).append((flow, share))
        else:
            self._through[k][i] = flow
            self._passed[k].append((flow, self.builder.total(mixed)))


def mix(builder: Builder, parts: Sequence[tuple[int, Rows]]) -> Rows:
    """Labelling of a mixture, given the rows of the shares; nothing of nothing."""
    if not parts:
        return ()
    first = parts[0][1]
    return tuple(
        tuple(builder.total((share, rows[e][mass]) for share, rows in parts) for mass in range(len(first[e])))
        for e in range(len(first))
    )
