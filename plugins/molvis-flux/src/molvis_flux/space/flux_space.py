"""The space of fluxes that a network allows: balances, bounds and constraints, in the fewest coordinates."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.errors import did_you_mean
from molvis_core.ties import product
from molvis_flux.errors import FluxSpaceError
from molvis_flux.model.network import Network
from molvis_flux.space.rational import express
from molvis_flux.space.steady import spanning_rows

ZERO_WIDTH = 1e-7
"""A range narrower than this, relative to its size, is taken as a point."""


@dataclass(frozen=True, eq=False)
class FluxSpace:
    """All fluxes with S v = 0 within bounds and constraints: `values = origin + basis @ theta`.

    The coordinates theta are fluxes themselves, the free ones; the rest follow from them. Axis v runs over
    `parameters`, k over `free`, r over the network's reactions, c over further constraints.

    Attributes:
        parameters: `(kind, reaction)`: the net flux of every reaction, then the exchange flux of each reversible one.
        reactions: names, in the network's order.
        free: rows of `parameters` that are the coordinates.
        basis, origin: of the affine map from coordinates to values.
        lower, upper: bounds of the values.
        rows, rows_lower, rows_upper: constraints beyond bounds, `rows_lower <= rows @ values <= rows_upper`; infinite
            where open. Equalities are in `basis` already.
        ranges: smallest and largest value of each flux within all of these.
    """

    parameters: tuple[tuple[str, str], ...]
    reactions: tuple[str, ...]
    free: tuple[int, ...]
    basis: Float[np.ndarray, "v k"]
    origin: Float[np.ndarray, " v"]
    lower: Float[np.ndarray, " v"]
    upper: Float[np.ndarray, " v"]
    rows: Float[np.ndarray, "c v"]
    rows_lower: Float[np.ndarray, " c"]
    rows_upper: Float[np.ndarray, " c"]
    ranges: Float[np.ndarray, "v 2"]

    def __len__(self) -> int:
        return len(self.free)

    @functools.cached_property
    def index(self) -> dict[tuple[str, str], int]:
        """Row of each parameter."""
        return {parameter: i for i, parameter in enumerate(self.parameters)}

    @functools.cached_property
    def _exchange_columns(self) -> list[int]:
        where = {name: i for i, name in enumerate(self.reactions)}
        return [where[name] for _, name in self.parameters[len(self.reactions) :]]

    def values(self, theta: Float[np.ndarray, "*n k"]) -> Float[np.ndarray, "*n v"]:
        """All fluxes of coordinates; one vector gives one vector."""
        return self.origin + theta @ self.basis.T

    def coordinates(self, values: Float[np.ndarray, "*n v"]) -> Float[np.ndarray, "*n k"]:
        """Coordinates of fluxes that lie in the space."""
        return values[..., list(self.free)]

    def net_and_exchange(
        self, values: Float[np.ndarray, "*n v"]
    ) -> tuple[Float[np.ndarray, "*n r"], Float[np.ndarray, "*n r"]]:
        """Values apart, in the order of the network's reactions; the exchange flux of an irreversible one is 0."""
        count = len(self.reactions)
        net = values[..., :count]
        exchange = np.zeros_like(net)
        exchange[..., self._exchange_columns] = np.maximum(values[..., count:], 0)
        return net, exchange

    @functools.cached_property
    def halfspaces(self) -> tuple[Float[np.ndarray, "h k"], Float[np.ndarray, " h"]]:
        """The same space as `g @ theta <= h`. Rows of norm 1; what can never be met with equality is left out."""
        stacked = np.vstack([self.basis, product(self.rows, self.basis)])
        start = np.concatenate([self.origin, product(self.rows, self.origin[:, None])[:, 0]])
        low = np.concatenate([self.lower, self.rows_lower])
        high = np.concatenate([self.upper, self.rows_upper])
        reach = np.vstack([self.ranges, np.column_stack([self.rows_lower, self.rows_upper])])
        size = np.linalg.norm(stacked, axis=1)
        slack = 1e-6 * (1 + np.abs(reach).max(axis=1, initial=0, where=np.isfinite(reach)))
        keep_high = (size > 1e-10) & np.isfinite(high) & (reach[:, 1] >= high - slack)
        keep_low = (size > 1e-10) & np.isfinite(low) & (reach[:, 0] <= low + slack)
        g = np.vstack([stacked[keep_high], -stacked[keep_low]])
        h = np.concatenate([(high - start)[keep_high], (start - low)[keep_low]])
        norm = np.linalg.norm(g, axis=1)
        return g / norm[:, None], h / norm

    @functools.cached_property
    def structural_ends(self) -> Bool[np.ndarray, "v 2"]:
        """Whether each end of `ranges` follows from balances, equalities and directions alone.

        Such an end stays where it is when every bound and constraint other than zero is loosened.
        """
        from scipy.optimize import linprog

        below, above = (
            _loosened(np.concatenate([self.lower, self.rows_lower])),
            -_loosened(-np.concatenate([self.upper, self.rows_upper])),
        )
        stacked = np.vstack([self.basis, product(self.rows, self.basis)])
        start = np.concatenate([self.origin, product(self.rows, self.origin[:, None])[:, 0]])
        open_ = np.linalg.norm(stacked, axis=1) > 1e-10
        high, low = open_ & np.isfinite(above), open_ & np.isfinite(below)
        sides = np.vstack([stacked[high], -stacked[low]])
        limits = np.concatenate([(above - start)[high], (start - below)[low]])
        reached = np.column_stack([self.ranges[:, 1], self.ranges[:, 0]])  # the wrong way round, so that any is wider
        for i in np.flatnonzero(np.linalg.norm(self.basis, axis=1) > 1e-10):
            for side, sign in ((0, 1.0), (1, -1.0)):
                slack = 1e-6 * (1 + np.abs(self.ranges[i]).max())
                if sign * (reached[i, side] - self.ranges[i, side]) < -slack:
                    continue  # a vertex of another flux has passed the end already
                found = linprog(sign * self.basis[i], sides, limits, bounds=(None, None), method="highs")
                if found.status == 0:
                    _widen(reached, self.values(np.asarray(found.x)))
                else:
                    reached[i, side] = -sign * np.inf
        slack = 1e-6 * (1 + np.abs(self.ranges).max(axis=1))
        return np.column_stack([
            reached[:, 0] >= self.ranges[:, 0] - slack, reached[:, 1] <= self.ranges[:, 1] + slack
        ])  # fmt: skip

    @functools.cached_property
    def center(self) -> Float[np.ndarray, " k"]:
        """A point well inside: of the largest ball, where each coordinate is measured in its range."""
        from scipy.optimize import linprog

        if not len(self):
            return np.zeros(0)
        low, high = self.ranges[list(self.free)].T
        g, h = self.halfspaces
        scaled = g * (high - low)
        radius = np.linalg.norm(scaled, axis=1, keepdims=True)
        cost = np.zeros(len(self) + 1)
        cost[-1] = -1
        room = h - product(g, low[:, None])[:, 0]
        found = linprog(cost, np.hstack([scaled, radius]), room, bounds=[(0, 1)] * (len(self) + 1), method="highs")
        return low + (high - low) * np.asarray(found.x)[:-1]

    def contains(self, theta: Float[np.ndarray, "*n k"], tolerance: float = 1e-6) -> Bool[np.ndarray, "*n"]:
        """Whether coordinates lie inside, up to a tolerance relative to the range of each flux."""
        values = self.values(theta)
        rows = values @ self.rows.T
        width = tolerance * np.maximum(self.ranges[:, 1] - self.ranges[:, 0], 1e-6)
        inside = (values >= self.lower - width) & (values <= self.upper + width)
        wide = tolerance * (1 + np.abs(rows))
        within = (rows >= self.rows_lower - wide) & (rows <= self.rows_upper + wide)
        return np.asarray(inside.all(axis=-1) & within.all(axis=-1))


@dataclass(frozen=True, eq=False, slots=True)
class _Problem:
    """Everything linear that the fluxes have to satisfy, with words for each row."""

    equalities: np.ndarray
    targets: np.ndarray
    equality_words: list[str]
    rows: np.ndarray
    low: np.ndarray
    high: np.ndarray
    row_words: list[str]
    lower: np.ndarray
    upper: np.ndarray
    lower_words: list[str]
    upper_words: list[str]


def flux_space(
    network: Network,
    *,
    fixed: Mapping[tuple[str, str], float] | None = None,
    free: Sequence[tuple[str, str]] | None = None,
) -> FluxSpace:
    """The fluxes that a network allows.

    Redundant balances are dropped, and directions without width (two bounds that force a flux to a value) are found by
    linear programming and made equalities, so that the coordinates span a body with an inside.

    Args:
        network: the model.
        fixed: `(kind, reaction)` to a value that the flux is held at; kind is `net` or `exchange`.
        free: `(kind, reaction)` of the coordinates, where it matters which fluxes they are.

    Raises:
        FluxSpaceError: no flux vector is possible, and the message names a smallest set of conditions that clash; a
            flux has no limit; `fixed` or a constraint names a flux that does not exist; `free` does not span the space.
    """
    fixed = fixed or {}
    parameters = (
        *(("net", name) for name in network.reactions),
        *(("exchange", name) for name, reaction in network.reactions.items() if reaction.reversible),
    )
    problem = _problem(network, parameters, fixed)
    ranges, row_ranges = _ranges(network, parameters, problem)
    flat = ranges[:, 1] - ranges[:, 0] <= ZERO_WIDTH * (1 + np.abs(ranges).max(axis=1))
    flat_rows = row_ranges[:, 1] - row_ranges[:, 0] <= ZERO_WIDTH * (1 + np.abs(row_ranges).max(axis=1, initial=0))
    equalities = np.vstack([problem.equalities, np.eye(len(parameters))[flat], problem.rows[flat_rows]])
    targets = np.concatenate([problem.targets, ranges[flat].mean(axis=1), row_ranges[flat_rows].mean(axis=1)])
    given = None if free is None else [parameters.index(parameter) for parameter in free if parameter in parameters]
    basis, origin, chosen = _coordinates(equalities, targets, given)
    origin[flat] = ranges[flat].mean(axis=1)
    return FluxSpace(
        parameters=parameters,
        reactions=tuple(network.reactions),
        free=chosen,
        basis=basis,
        origin=origin,
        lower=np.where(flat, ranges[:, 0], problem.lower),
        upper=np.where(flat, ranges[:, 1], problem.upper),
        rows=problem.rows[~flat_rows],
        rows_lower=problem.low[~flat_rows],
        rows_upper=problem.high[~flat_rows],
        ranges=ranges,
    )


def _name(parameter: tuple[str, str]) -> str:
    return f"the {parameter[0]} flux of {parameter[1]}"


def _row(
    terms: Sequence[tuple[str, str, float]], index: Mapping[tuple[str, str], int], where: str, network: Network
) -> np.ndarray:
    row = np.zeros(len(index))
    for kind, reaction, coefficient in terms:
        if (kind, reaction) in index:
            row[index[kind, reaction]] += coefficient
        elif kind == "exchange" and reaction in network.reactions:
            continue  # of an irreversible reaction: it is zero
        else:
            known = [name for _, name in index]
            hint = did_you_mean(reaction, known) if reaction not in known else " Kinds are 'net' and 'exchange'."
            raise FluxSpaceError(f"{where}: no {kind} flux of a reaction {reaction!r}.{hint}")
    return row


def _balances(network: Network, count: int) -> tuple[np.ndarray, list[str]]:
    """Rows of `S v = 0` over `count` parameters, net fluxes first, with words for each."""
    balanced = {name: i for i, name in enumerate(m for m, v in network.metabolites.items() if v.role == "balanced")}
    balances = np.zeros((len(balanced), count))
    for number, reaction in enumerate(network.reactions.values()):
        for sign, side in ((-1, reaction.substrates), (1, reaction.products)):
            for part in side:
                if part.metabolite in balanced:
                    balances[balanced[part.metabolite], number] += sign * part.coefficient
    return balances, [f"the balance of {name}" for name in balanced]


def _problem(
    network: Network, parameters: Sequence[tuple[str, str]], fixed: Mapping[tuple[str, str], float]
) -> _Problem:
    """Balances, constraints, fixed values and bounds of a network, as rows over its parameters."""
    index = {parameter: i for i, parameter in enumerate(parameters)}
    balances, words = _balances(network, len(parameters))
    equalities, targets = list(balances), [0.0] * len(balances)
    rows, low, high, row_words = [], [], [], []
    for constraint in network.constraints:
        place = constraint.where or constraint.name or "a constraint"
        row = _row(constraint.terms, index, place, network)
        text = f"{place}: {_terms(constraint.terms)}"
        if constraint.low == constraint.high:
            equalities.append(row)
            targets.append(constraint.low)
            words.append(f"{text} = {constraint.low:g}")
        else:
            rows.append(row)
            low.append(constraint.low)
            high.append(constraint.high)
            row_words.append(text)
    for (kind, name), value in fixed.items():
        equalities.append(_row([(kind, name, 1.0)], index, "fixed", network))
        targets.append(value)
        words.append(f"the {kind} flux of {name} fixed at {value:g}")
    bounds = np.array([getattr(network.reactions[name], kind) for kind, name in parameters], dtype=float).reshape(-1, 2)
    lower = np.where([kind == "exchange" for kind, _ in parameters], np.maximum(bounds[:, 0], 0), bounds[:, 0])
    places = [network.reactions[name].where for _, name in parameters]
    suffix = [f" ({place})" if place else "" for place in places]
    return _Problem(
        equalities=np.array(equalities).reshape(-1, len(parameters)),
        targets=np.array(targets),
        equality_words=words,
        rows=np.array(rows).reshape(-1, len(parameters)),
        low=np.array(low),
        high=np.array(high),
        row_words=row_words,
        lower=lower,
        upper=bounds[:, 1],
        lower_words=[f"{_name(p)} >= {b:g}{s}" for p, b, s in zip(parameters, lower, suffix, strict=True)],
        upper_words=[f"{_name(p)} <= {b:g}{s}" for p, b, s in zip(parameters, bounds[:, 1], suffix, strict=True)],
    )


def _terms(terms: Sequence[tuple[str, str, float]]) -> str:
    return " + ".join(f"{'' if c == 1 else f'{c:g} '}{kind} {name}" for kind, name, c in terms)


def _ranges(
    network: Network, parameters: Sequence[tuple[str, str]], problem: _Problem
) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest value of each flux and of each row. Vertices already met save most of the programs."""
    bounds = np.column_stack([problem.lower, problem.upper])
    solve = _minimiser(problem)
    status, vertex = solve(np.zeros(len(parameters))) if (bounds[:, 0] <= bounds[:, 1]).all() else (2, np.zeros(0))
    if status != 0:
        clash = _clash(problem)
        raise FluxSpaceError(
            f"{network.name or 'network'}: no flux vector satisfies these together: {'; '.join(clash)}. "
            "Relax or remove one of them.",
            clash,
        )
    ranges = np.column_stack([vertex, vertex])
    row_ranges = np.column_stack([problem.rows @ vertex] * 2)
    tied = np.abs(problem.equalities).sum(axis=0) + np.abs(problem.rows).sum(axis=0) > 0
    ranges[~tied] = bounds[~tied]
    unlimited: list[str] = []
    for objective, targets, limits_of, is_row in (
        *((np.eye(len(parameters))[i], ranges[i], bounds[i], False) for i in np.flatnonzero(tied)),
        *((problem.rows[i], row_ranges[i], (problem.low[i], problem.high[i]), True) for i in range(len(problem.rows))),
    ):
        for side, sign in ((0, 1.0), (1, -1.0)):
            if _is_met(targets[side], limits_of[side]):
                continue
            status, vertex = solve(sign * objective)
            if status in (3, 4) and not is_row:
                name = _name(parameters[int(np.argmax(objective))])
                unlimited.append(f"{name} has no {('lower', 'upper')[side]} limit")
                targets[side] = -sign * np.inf
            elif status == 0:
                _widen(ranges, vertex)
                _widen(row_ranges, problem.rows @ vertex)
    for i in np.flatnonzero(~tied & ~np.isfinite(bounds).all(axis=1)).tolist():
        unlimited.append(f"{_name(parameters[i])} has no limit")
    if unlimited:
        raise _without_limits(network, unlimited)
    # Adding 0 makes a negative zero a plain one.
    return np.clip(ranges, problem.lower[:, None], problem.upper[:, None]) + 0.0, row_ranges


def _without_limits(network: Network, unlimited: list[str]) -> FluxSpaceError:
    """The error that names the first few fluxes without a limit."""
    shown = "; ".join(unlimited[:8]) + (f"; and {len(unlimited) - 8} more" if len(unlimited) > 8 else "")
    return FluxSpaceError(f"{network.name or 'network'}: {shown}. Give bounds, or fix an uptake.", unlimited)


def _minimiser(problem: _Problem) -> Callable[[np.ndarray], tuple[int, np.ndarray]]:
    """The linear programs of a problem: of a cost, the solver's status and the vertex of least cost."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array, vstack

    finite_high, finite_low = np.isfinite(problem.high), np.isfinite(problem.low)
    above = vstack([csr_array(problem.rows[finite_high]), csr_array(-problem.rows[finite_low])], format="csr")
    limits = np.concatenate([problem.high[finite_high], -problem.low[finite_low]])
    inequalities = (above, limits) if len(limits) else (None, None)
    equalities = (csr_array(problem.equalities), problem.targets) if len(problem.targets) else (None, None)
    bounds = np.column_stack([problem.lower, problem.upper])

    def solve(cost: np.ndarray) -> tuple[int, np.ndarray]:
        found = linprog(cost, *inequalities, *equalities, bounds=bounds, method="highs")
        return found.status, np.asarray(found.x if found.x is not None else np.zeros(0))

    return solve


def _loosened(lower: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Lower limits, those other than zero ten times as far, or at zero where they demand a flux."""
    return np.where(lower > 0, 0.0, 10.0 * lower)


def _is_met(reached: float, limit: float) -> bool:
    """Whether a value that was reached lies at its limit already."""
    return bool(np.isfinite(limit) and abs(reached - limit) <= 1e-9 * (1 + abs(limit)))


def _widen(ranges: np.ndarray, reached: np.ndarray) -> None:
    """Extend ranges, in place, by values that are possible."""
    np.minimum(ranges[:, 0], reached, out=ranges[:, 0])
    np.maximum(ranges[:, 1], reached, out=ranges[:, 1])


def _clash(problem: _Problem) -> list[str]:
    """A smallest set of conditions that cannot hold together.

    The least violation's dual values point at an infeasible set (Farkas); then each is left out in turn and stays out
    if the rest still clash.
    """
    from scipy.optimize import linprog

    rows = [problem.equalities, -problem.equalities]
    limits = [problem.targets, -problem.targets]
    words = problem.equality_words * 2
    high, low = np.isfinite(problem.high), np.isfinite(problem.low)
    rows += [problem.rows[high], -problem.rows[low]]
    limits += [problem.high[high], -problem.low[low]]
    words += [f"{problem.row_words[i]} <= {problem.high[i]:g}" for i in np.flatnonzero(high)]
    words += [f"{problem.row_words[i]} >= {problem.low[i]:g}" for i in np.flatnonzero(low)]
    eye = np.eye(len(problem.lower))
    high, low = np.isfinite(problem.upper), np.isfinite(problem.lower)
    rows += [eye[high], -eye[low]]
    limits += [problem.upper[high], -problem.lower[low]]
    words += [problem.upper_words[i] for i in np.flatnonzero(high)]
    words += [problem.lower_words[i] for i in np.flatnonzero(low)]
    a, b = np.vstack(rows), np.concatenate(limits)
    size = np.abs(a).max(axis=1)
    scale = np.where(size > 0, size, 1)
    a, b = a / scale[:, None], b / scale

    def violation(keep: np.ndarray) -> tuple[float, np.ndarray]:
        slack = np.eye(len(keep))
        cost = np.concatenate([np.zeros(a.shape[1]), np.ones(len(keep))])
        bounds = [(None, None)] * a.shape[1] + [(0, None)] * len(keep)
        found = linprog(cost, np.hstack([a[keep], -slack]), b[keep], bounds=bounds, method="highs")
        return float(found.fun), np.asarray(found.ineqlin.marginals)

    keep = np.arange(len(a))
    _, dual = violation(keep)
    keep = keep[np.abs(dual) > 1e-9]
    least = 1e-7 * (1 + np.abs(b).max())
    for word in list(dict.fromkeys(words[i] for i in keep)):
        rest = np.array([i for i in keep if words[i] != word], dtype=int)
        if len(rest) and violation(rest)[0] > least:
            keep = rest
    return list(dict.fromkeys(words[i] for i in keep))


def _coordinates(
    equalities: np.ndarray, targets: np.ndarray, chosen: Sequence[int] | None = None
) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """The solutions of equalities as an affine map of some of the unknowns themselves.

    The null space comes from a singular value decomposition of rows brought to norm 1. Those unknowns become
    coordinates that stand out most from it and from each other, so that the others follow with coefficients of moderate
    size; of unknowns that stand out equally the first in their order. The coefficients are exact.
    """
    size = np.linalg.norm(equalities, axis=1)
    used = size > 0
    scaled, right = equalities[used] / size[used, None], targets[used] / size[used]
    count = equalities.shape[1]
    if not len(scaled):
        return np.eye(count), np.zeros(count), tuple(range(count))
    u, s, vt = np.linalg.svd(scaled, full_matrices=True)
    rank = int((s > s[0] * 1e-10 * max(scaled.shape)).sum())
    null = vt[rank:].T
    if chosen is None:
        free = spanning_rows(null).tolist()
    else:
        free = list(chosen)
        if len(free) != null.shape[1] or (free and np.linalg.cond(null[free]) > 1e10):
            raise FluxSpaceError(f"{len(free)} free fluxes are given; {null.shape[1]} independent ones are expected")
    exact = express(equalities[used], targets[used], free)
    if exact is not None:
        basis, origin = exact
    else:
        particular = vt[:rank].T @ ((u[:, :rank].T @ right) / s[:rank])
        basis = _followed(null, free)
        origin = particular - basis @ particular[free]
    origin[free] = 0
    origin[np.abs(origin) < 1e-12 * (1 + np.abs(origin).max())] = 0
    return basis, origin, tuple(free)


def _followed(null: Float[np.ndarray, "v k"], free: list[int]) -> Float[np.ndarray, "v k"]:
    """How all unknowns of a null space follow from some, where coefficients are measured numbers."""
    if not free:
        return np.zeros((len(null), 0))
    basis = np.linalg.solve(null[free].T, null.T).T
    basis[np.abs(basis) < 1e-12 * max(1.0, np.abs(basis).max())] = 0
    basis[free] = np.eye(len(free))
    return basis
