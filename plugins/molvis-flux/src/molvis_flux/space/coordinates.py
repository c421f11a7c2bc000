"""Coordinates of a flux fit: a point of them is a feasible set of fluxes, mixing weights and pool sizes."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from molvis_core.ties import alike, product
from molvis_flux.model.network import Fragment, Network
from molvis_flux.space.flux_space import FluxSpace
from molvis_flux.space.steady import leading_signs, steady_basis

Name = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Coordinates:
    """A map from k free numbers to all that a simulation needs.

    Net fluxes are linear in their coordinates. An exchange flux x that no constraint ties to another has the
    coordinate x / (x + b), b being about the net flux there: labelling is smooth in it at both ends, where in x it is
    flat towards infinity (Wiechert and de Graaf, doi:10.1002/(SICI)1097-0290(19970705)55:1<101::AID-BIT12>3.0.CO;2-P).
    Pool sizes have their logarithm.

    Attributes:
        names: `(kind, name)` of the values: `net`, `exchange`, `mix`, `pool`.
        origin, basis: values of the linear kinds: `origin + basis @ y`; rows of the others are zero.
        bent: `(value, coordinate, b)` of exchange fluxes.
        logs: `(value, coordinate)` of pools.
        rows, low, high: the polytope in the coordinates: `low <= rows @ y <= high`.
        row_names: what each row bounds, for messages.
        bounds: of every value, before the balances narrow them.
    """

    names: tuple[Name, ...]
    origin: Float[np.ndarray, " v"]
    basis: Float[np.ndarray, "v k"]
    bent: tuple[tuple[int, int, float], ...]
    logs: tuple[tuple[int, int], ...]
    rows: Float[np.ndarray, "c k"]
    low: Float[np.ndarray, " c"]
    high: Float[np.ndarray, " c"]
    bounds: Float[np.ndarray, "v 2"]

    def values(self, y: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n v"]:
        """Fluxes, weights and pools; clipped to their bounds against rounding."""
        out = self.origin + y @ self.basis.T
        bent, curved, b = self._bent
        along = y[:, curved]
        out[:, bent] = b * along / (1.0 - along)
        logged, log = self._logs
        out[:, logged] = np.exp(y[:, log])
        return np.clip(out, self.bounds[:, 0], self.bounds[:, 1])

    @functools.cached_property
    def directions(self) -> Float[np.ndarray, "v k"]:
        """How the values move with the coordinates, up to `slopes`."""
        out = self.basis.copy()
        for value, column, *_ in (*self.bent, *self.logs):
            out[value, column] = 1.0
        return out

    def slopes(self, y: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
        """Factors of `directions`; 1 where the map is linear."""
        out = np.ones_like(y)
        _, curved, b = self._bent
        out[:, curved] = b / (1.0 - y[:, curved]) ** 2
        _, log = self._logs
        out[:, log] = np.exp(y[:, log])
        return out

    @functools.cached_property
    def _bent(self) -> tuple[Int[np.ndarray, " e"], Int[np.ndarray, " e"], Float[np.ndarray, " e"]]:
        """Values, coordinates and scales of `bent`, each together."""
        columns = [[one[i] for one in self.bent] for i in range(3)]
        return np.array(columns[0], int), np.array(columns[1], int), np.array(columns[2], float)

    @functools.cached_property
    def _logs(self) -> tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]]:
        """Values and coordinates of `logs`, each together."""
        return np.array([value for value, _ in self.logs], int), np.array([column for _, column in self.logs], int)

    def points(self, values: Float[np.ndarray, "n v"]) -> Float[np.ndarray, "n k"]:
        """Coordinates of feasible values."""
        special = {value for value, *_ in self.bent} | {value for value, _ in self.logs}
        linear = np.array([i for i in range(len(self.names)) if i not in special], int)
        y = np.linalg.lstsq(self.basis[linear], (values - self.origin)[:, linear].T, rcond=None)[0].T
        for value, column, b in self.bent:
            y[:, column] = values[:, value] / (values[:, value] + b)
        for value, column in self.logs:
            y[:, column] = np.log(values[:, value])
        return y

    def bend(self, value: int, x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Values of one quantity to what `directions[value] @ y` is there."""
        for special, _, b in self.bent:
            if special == value:
                return np.where(np.isinf(x), 1.0, x / (np.where(np.isinf(x), 0.0, x) + b))
        for special, _ in self.logs:
            if special == value:
                return np.log(np.maximum(x, 1e-300))
        return x - self.origin[value]

    def unbend(self, value: int, x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """The inverse of `bend`."""
        for special, _, b in self.bent:
            if special == value:
                return b * x / np.maximum(1.0 - x, 1e-300)
        for special, _ in self.logs:
            if special == value:
                return np.exp(x)
        return x + self.origin[value]


def coordinates(
    space: FluxSpace,
    fragments: list[Fragment],
    pools: dict[str, tuple[float, float]],
) -> Coordinates:
    """Coordinates of a flux space, of the mixing weights of fragments, and of pools.

    Args:
        space: of the fluxes.
        fragments: those with mixing parameters; the weights of one add up to 1.
        pools: bounds of pool sizes that are to be fitted.
    """
    weights, mixed, free = _mixing(fragments)
    names = (*space.parameters, *(("mix", name) for name in weights), *(("pool", name) for name in pools))
    n_flux, k_flux = space.basis.shape
    k = k_flux + free.shape[1] + len(pools)
    origin, basis = np.zeros(len(names)), np.zeros((len(names), k))
    origin[:n_flux], basis[:n_flux, :k_flux] = space.origin, space.basis
    at = slice(n_flux, n_flux + len(weights))
    origin[at], basis[at, k_flux : k_flux + free.shape[1]] = mixed, free
    low = np.concatenate([space.lower, np.zeros(len(weights)), [least for least, _ in pools.values()]])
    high = np.concatenate([space.upper, np.ones(len(weights)), [most for _, most in pools.values()]])
    bounds = np.stack([low, high], axis=1)
    extra = np.zeros((len(space.rows), k))
    extra[:, :k_flux] = product(space.rows, space.basis)
    bent = _saturating(space, basis, extra)
    logs = [(len(names) - len(pools) + i, k - len(pools) + i) for i in range(len(pools))]
    for value, *_ in (*bent, *logs):
        origin[value] = basis[value] = 0.0
    # Its polytope is filled in at the end: the rows and bounds depend on how values are bent.
    plain = Coordinates(names, origin, basis, tuple(bent), tuple(logs), basis, origin, origin, bounds)
    rows, lows, highs = _polytope(plain, space, extra)
    return replace(plain, rows=rows, low=lows, high=highs)


def _mixing(fragments: list[Fragment]) -> tuple[list[str], Float[np.ndarray, " w"], Float[np.ndarray, "w f"]]:
    """Names of mixing weights, and their affine map: the weights of each fragment add up to 1."""
    weights = list(dict.fromkeys(name for fragment in fragments for name in fragment.mix))
    equal = np.array([[float(name in fragment.mix) for name in weights] for fragment in fragments])
    return weights, *_affine(equal.reshape(len(fragments), len(weights)))


def _saturating(
    space: FluxSpace, basis: Float[np.ndarray, "v k"], extra: Float[np.ndarray, "c k"]
) -> list[tuple[int, int, float]]:
    """`(value, coordinate, b)` of the exchange fluxes whose coordinate nothing else depends on."""
    bent: list[tuple[int, int, float]] = []
    # An exchange flux is large where it exceeds the net flux at the middle.
    net = np.abs(space.values(space.center)[: len(space.reactions)])
    typical = float(np.median(net)) or 1.0
    touched = np.abs(basis) > 1e-12
    for i, (kind, reaction) in enumerate(space.parameters):
        columns = np.flatnonzero(touched[i])
        if kind != "exchange" or len(columns) != 1:
            continue
        column = int(columns[0])
        if touched[:, column].sum() == 1 and not np.abs(extra[:, column]).any():
            there = float(net[space.index["net", reaction]])
            bent.append((i, column, max(there, 0.1 * typical)))
    return bent


def _polytope(
    plain: Coordinates, space: FluxSpace, extra: Float[np.ndarray, "c k"]
) -> tuple[Float[np.ndarray, "h k"], Float[np.ndarray, " h"], Float[np.ndarray, " h"]]:
    """Rows of norm 1 with their limits: bounds of the values that can be met, and the space's further constraints."""
    bounds, count, n_flux = plain.bounds, len(plain.names), len(space.parameters)
    low = [float(plain.bend(i, bounds[i : i + 1, 0])[0]) for i in range(count)]
    high = [float(plain.bend(i, bounds[i : i + 1, 1])[0]) for i in range(count)]
    offset = product(space.rows, space.origin[:, None])[:, 0]
    rows = np.concatenate([plain.directions, extra])
    lows, highs = np.concatenate([low, space.rows_lower - offset]), np.concatenate([high, space.rows_upper - offset])
    # A row without coordinates holds or the space would be empty; its range decides which bounds can ever be met.
    reach = np.concatenate([space.ranges, np.full((count - n_flux, 2), [-np.inf, np.inf])])
    for i in range(n_flux):
        slack = 1e-9 * (1.0 + np.abs(reach[i]).max())
        lows[i] = lows[i] if reach[i, 0] <= bounds[i, 0] + slack else -np.inf
        highs[i] = highs[i] if reach[i, 1] >= bounds[i, 1] - slack else np.inf
    norm = np.linalg.norm(rows, axis=1)
    used = (norm > 1e-10) & (np.isfinite(lows) | np.isfinite(highs))
    return _merged(rows[used] / norm[used, None], lows[used] / norm[used], highs[used] / norm[used])


def _merged(
    rows: Float[np.ndarray, "c k"], lows: Float[np.ndarray, " c"], highs: Float[np.ndarray, " c"]
) -> tuple[Float[np.ndarray, "h k"], Float[np.ndarray, " h"], Float[np.ndarray, " h"]]:
    """One row, with the narrowest bounds, for all that are multiples of each other, as fluxes of one pathway are."""
    turn = leading_signs(rows)
    lows, highs = np.where(turn > 0, lows, -highs), np.where(turn > 0, highs, -lows)
    first, same = alike(rows * turn[:, None])
    low_of, high_of = np.full(len(first), -np.inf), np.full(len(first), np.inf)
    np.maximum.at(low_of, same, lows)
    np.minimum.at(high_of, same, highs)
    return (rows * turn[:, None])[first], low_of, high_of


def _affine(equal: Float[np.ndarray, "e w"]) -> tuple[Float[np.ndarray, " w"], Float[np.ndarray, "w f"]]:
    """A solution of `equal @ w = 1` and a basis of its null space."""
    if not equal.size:
        return np.zeros(equal.shape[1]), np.zeros((equal.shape[1], 0))
    _, s, vt = np.linalg.svd(equal)
    rank = int((s > 1e-9).sum())
    return np.linalg.lstsq(equal, np.ones(len(equal)), rcond=None)[0], steady_basis(vt[rank:].T)


def split(network: Network) -> tuple[Network, dict[str, tuple[str, ...]]]:
    """A network in which every part of a fragment with mixing parameters is a fragment of its own.

    Returns:
        The network, and the names of the parts by fragment.
    """
    fragments: dict[str, Fragment] = {}
    parts: dict[str, tuple[str, ...]] = {}
    for name, fragment in network.fragments.items():
        if not fragment.mix:
            fragments[name] = fragment
            continue
        parts[name] = tuple(f"{name} / {mixed}" for mixed in fragment.mix)
        for part, (_, metabolite, atoms) in zip(parts[name], fragment.parts, strict=True):
            fragments[part] = replace(fragment, name=part, parts=((1.0, metabolite, atoms),), mix=())
    return replace(network, fragments=fragments), parts
