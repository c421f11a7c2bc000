"""The least-squares problem of a study: what is measured, what of it a simulation gives, and how they differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from molvis_core.errors import did_you_mean
from molvis_flux.errors import FitError, SimulationError
from molvis_flux.fit.observation import Labelling, labelling
from molvis_flux.fit.scaling import scaled_tangents
from molvis_flux.labelling.channels import recipes
from molvis_flux.model.network import Datum, Experiment, Network, Study
from molvis_flux.sampling.interior import barrier, middle
from molvis_flux.space.coordinates import Coordinates, coordinates, split
from molvis_flux.space.flux_space import FluxSpace, flux_space


@dataclass(frozen=True, eq=False, slots=True)
class Measured:
    """One datum's place among the rows of a problem.

    Attributes:
        experiment, datum: where it comes from.
        rows: its numbers that count; NaN were left out.
        channels: which of the datum's numbers those are.
    """

    experiment: str
    datum: Datum
    rows: slice
    channels: tuple[int, ...]


@dataclass(frozen=True, eq=False, slots=True)
class FluxProblem:
    """Residuals of fluxes against data, for `levenberg_marquardt.minimise`.

    Axis m runs over measured numbers, labelling first, then fluxes and pools; v over values and k over coordinates, as
    in `map`; d over what the simulation gives.

    Attributes:
        study: the network and its experiments.
        space: of the fluxes.
        map: from coordinates to fluxes, weights and pools.
        labelling: the simulation.
        parts: of each datum.
        columns, weights, mixes: a labelling row is the sum over its terms of weight times value `mixes` (1 where -1)
            times column of the simulation.
        scaled: rows of each datum in arbitrary units, whose scale is fitted.
        targets: value that each further row measures.
        measured: all of it; with a lane axis where lanes have data of their own.
        sd: standard deviations.
        middle: a point well inside.
        metric: of the coordinates, from the polytope's barrier there.
        pins: directions, targets and inverse deviations that hold a lane to a condition; None where there is none.
    """

    study: Study
    space: FluxSpace
    map: Coordinates
    labelling: Labelling | None
    parts: tuple[Measured, ...]
    columns: Int[np.ndarray, "l t"]
    weights: Float[np.ndarray, "l t"]
    mixes: Int[np.ndarray, "l t"]
    scaled: tuple[slice, ...]
    targets: Int[np.ndarray, " f"]
    measured: Float[np.ndarray, "*lanes m"]
    sd: Float[np.ndarray, " m"]
    middle: Float[np.ndarray, " k"]
    metric: Float[np.ndarray, "k k"]
    pins: tuple[Float[np.ndarray, "n k"], Float[np.ndarray, " n"], Float[np.ndarray, " n"]] | None = None

    @property
    def rows(self) -> Float[np.ndarray, "c k"]:
        """Of the polytope."""
        return self.map.rows

    @property
    def low(self) -> Float[np.ndarray, " c"]:
        """Of the polytope."""
        return self.map.low

    @property
    def high(self) -> Float[np.ndarray, " c"]:
        """Of the polytope."""
        return self.map.high

    def predict(self, y: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n m"]:
        """What would be measured; scales of data in arbitrary units are not applied."""
        values = self.map.values(y)
        found = values[:, self.targets]
        if self.labelling is None:
            return found
        return np.concatenate([self._observe(self.labelling.simulate(values), values), found], axis=1)

    def scales(
        self, predicted: Float[np.ndarray, "n m"], measured: Float[np.ndarray, "n m"]
    ) -> Float[np.ndarray, "n g"]:
        """The best scale of each datum in arbitrary units."""
        out = np.ones((len(predicted), len(self.scaled)))
        for group, rows in enumerate(self.scaled):
            weight = predicted[:, rows] / self.sd[rows] ** 2
            size = (weight * predicted[:, rows]).sum(axis=1)
            out[:, group] = (weight * measured[:, rows]).sum(axis=1) / np.where(size > 0, size, 1.0)
        return out

    def residuals(self, y: Float[np.ndarray, "n k"], lanes: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n m"]:
        """Predicted less measured, over its standard deviation, and the pins."""
        predicted, measured = self.predict(y), self._data(lanes)
        for scale, rows in zip(self.scales(predicted, measured).T, self.scaled, strict=True):
            predicted[:, rows] *= scale[:, None]
        return self._pinned((predicted - measured) / self.sd, y, lanes)

    def jacobian(
        self, y: Float[np.ndarray, "n k"], lanes: Int[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "n m"], Float[np.ndarray, "n m k"]]:
        """Residuals and their derivatives."""
        values, measured, slopes = self.map.values(y), self._data(lanes), self.map.slopes(y)
        directions = self.map.directions
        labelled, total = len(self.columns), len(self.sd)
        predicted, slope = np.empty((len(y), total)), np.empty((len(y), total, y.shape[1]))
        predicted[:, labelled:] = values[:, self.targets]
        # What is divided by is the same for all lanes but where scales are fitted, which comes first.
        unit = np.ones(total) if self.scaled else 1.0 / self.sd
        slope[:, labelled:] = directions[self.targets] * slopes[:, None, :] * unit[labelled:, None]
        if self.labelling is not None:
            simulated, tangents = self.labelling.tangents(values, directions)
            predicted[:, :labelled] = self._observe(simulated, values)
            columns = self.columns[:, 0]
            if not self._plain:
                tangents, columns = self._observe_tangents(simulated, tangents, values), np.arange(labelled)
            scaled_tangents(tangents, columns, slopes, unit, slope)
        for rows in self.scaled:
            p, m, w = predicted[:, rows], measured[:, rows], 1.0 / self.sd[rows] ** 2
            size = np.maximum((w * p * p).sum(axis=1), 1e-300)
            scale = (w * p * m).sum(axis=1) / size
            change = np.einsum("nm,nmk->nk", w * (m - 2.0 * scale[:, None] * p), slope[:, rows]) / size[:, None]
            slope[:, rows] = scale[:, None, None] * slope[:, rows] + p[:, :, None] * change[:, None, :]
            predicted[:, rows] = scale[:, None] * p
        if self.scaled:
            slope /= self.sd[:, None]
        residuals = self._pinned((predicted - measured) / self.sd, y, lanes)
        if self.pins is not None:
            slope = np.concatenate([slope, (self.pins[0] * self.pins[2][:, None])[lanes][:, None, :]], axis=1)
        return residuals, slope

    def _data(self, lanes: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n m"]:
        if self.measured.ndim == 1:
            return np.broadcast_to(self.measured, (len(lanes), len(self.measured)))
        return self.measured[lanes]

    def _pinned(
        self, residuals: Float[np.ndarray, "n m"], y: Float[np.ndarray, "n k"], lanes: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n m1"]:
        if self.pins is None:
            return residuals
        direction, target, weight = (part[lanes] for part in self.pins)
        extra = weight * (np.einsum("nk,nk->n", direction, y) - target)
        return np.concatenate([residuals, extra[:, None]], axis=1)

    def _observe(
        self, simulated: Float[np.ndarray, "n d"], values: Float[np.ndarray, "n v"]
    ) -> Float[np.ndarray, "n l"]:
        if self._plain:
            return simulated[:, self.columns[:, 0]]
        out = np.zeros((len(values), len(self.columns)))
        for term in range(self.columns.shape[1]):
            mix = self.mixes[:, term]
            share = np.where(mix >= 0, values[:, mix], 1.0) if (mix >= 0).any() else 1.0
            out += self.weights[:, term] * share * simulated[:, self.columns[:, term]]
        return out

    def _observe_tangents(
        self,
        simulated: Float[np.ndarray, "n d"],
        tangents: Float[np.ndarray, "n d k"],
        values: Float[np.ndarray, "n v"],
    ) -> Float[np.ndarray, "n l k"]:
        out = np.zeros((len(values), len(self.columns), tangents.shape[2]))
        for term in range(self.columns.shape[1]):
            mix, column = self.mixes[:, term], self.columns[:, term]
            share = np.where(mix >= 0, values[:, mix], 1.0)
            out += (self.weights[:, term] * share)[:, :, None] * tangents[:, column]
            mixed = np.flatnonzero(mix >= 0)
            moved = self.map.directions[mix[mixed]]
            out[:, mixed] += (self.weights[mixed, term] * simulated[:, column[mixed]])[:, :, None] * moved
        return out

    @property
    def _plain(self) -> bool:
        """Whether each labelling row is one number of the simulation."""
        return self.columns.shape[1] == 1 and bool((self.weights == 1).all() and (self.mixes < 0).all())


def flux_problem(
    study: Study,
    *,
    fixed: Mapping[tuple[str, str], float] | None = None,
    space: FluxSpace | None = None,
    beliefs: Sequence[tuple[tuple[str, str], float, float]] = (),
) -> FluxProblem:
    """The least-squares problem of a study.

    Args:
        study: network, experiments with data.
        fixed: `(kind, reaction)` to a flux held at a value.
        space: the network's, where it is known already; `fixed` is in it then.
        beliefs: `((kind, name), mean, sd)` that count as measurements of fluxes, weights or pools.

    Raises:
        FluxSpaceError: no flux vector is possible, or some flux has no limit.
        FitError: there are no data, or a datum cannot be used: it names file and line.
    """
    space = space or flux_space(study.network, fixed=fixed)
    network, parts = split(study.network)
    data = _measurements(study)
    labelled = [(experiment, datum) for experiment, datum in data if datum.kind == "mid"]
    _check_tracers(study.network, labelled)
    simulation = labelling(network, space, labelled, parts) if labelled else None
    sizes = _pools(study, data, simulation)
    free = {name: bounds for name, bounds in sizes.items() if bounds[0] < bounds[1]}
    mixed = [study.network.fragments[name] for name in parts if any(d.target == name for _, d in data)]
    map_ = coordinates(space, mixed, free)
    if simulation is not None:
        simulation = _with_pools(simulation, map_, sizes, free)
    rows = _Rows({name: i for i, name in enumerate(map_.names)})
    if simulation is not None:
        for experiment, datum in labelled:
            rows.add_labelling(study.network, simulation, parts, experiment, datum)
    for experiment, datum in data:
        if datum.kind != "mid":
            rows.add_value(experiment, datum)
    for name, mean, sd in beliefs:
        rows.add_belief(name, mean, sd)
    center = middle(map_, space)
    return FluxProblem(
        study, space, map_, simulation, tuple(rows.placed), *rows.terms_by_row(), tuple(rows.scaled),
        np.array(rows.targets, int), np.array(rows.values, float), np.array(rows.sds, float), center,
        barrier(map_, center),
    )  # fmt: skip


def _with_pools(
    simulation: Labelling, map_: Coordinates, sizes: Mapping[str, tuple[float, float]], free: Collection[str]
) -> Labelling:
    """The simulation with its pools: those in `free` are values of the map, the others have a fixed size."""
    fitted = [map_.names.index(("pool", name)) if name in free else -1 for name in sizes]
    fixed_sizes = np.array([low for low, _ in sizes.values()])
    return replace(simulation, sizes=fixed_sizes, fitted=np.array(fitted, int))


class _Rows:
    """The rows of a problem while they are added: labelling first, then values.

    Args:
        where: the row of each value that is fitted.
    """

    def __init__(self, where: Mapping[tuple[str, str], int]) -> None:
        self.where = where
        self.placed: list[Measured] = []
        self.terms: list[list[tuple[int, float, int]]] = []
        self.values: list[float] = []
        self.sds: list[float] = []
        self.scaled: list[slice] = []
        self.targets: list[int] = []

    def add_labelling(
        self,
        network: Network,
        simulation: Labelling,
        parts: Mapping[str, tuple[str, ...]],
        experiment: Experiment,
        datum: Datum,
    ) -> None:
        """Rows of one distribution: sums of the simulation's numbers, with the weights of a mixed fragment's parts."""
        channels = tuple(int(i) for i in np.flatnonzero(np.isfinite(datum.values)))
        if not channels:
            return
        rows = slice(len(self.values), len(self.values) + len(channels))
        mixes = [self.where["mix", name] for name in network.fragments[datum.target].mix] or [-1]
        names = parts.get(datum.target, (datum.target,))
        matrices = [simulation.observation(experiment, name, datum) for name in names]
        for channel in channels:
            self.terms.append([
                (column, weight, mix)
                for mix, (columns, matrix) in zip(mixes, matrices, strict=True)
                for column, weight in zip(columns, matrix[channel], strict=True)
                if weight
            ])  # fmt: skip
        self.values += [datum.values[i] for i in channels]
        self.sds += [datum.sd[i] for i in channels]
        self.placed.append(Measured(experiment.name, datum, rows, channels))
        if datum.scaled:
            self.scaled.append(rows)

    def add_value(self, experiment: Experiment, datum: Datum) -> None:
        """The row of a measured flux or pool."""
        self.placed.append(Measured(experiment.name, datum, slice(len(self.values), len(self.values) + 1), (0,)))
        if (datum.kind, datum.target) not in self.where:
            raise FitError(
                f"{datum.where or experiment.name}: {datum.kind} of {datum.target!r} is measured, but not fitted"
            )
        self._add((datum.kind, datum.target), datum.values[0], datum.sd[0])

    def add_belief(self, name: tuple[str, str], mean: float, sd: float) -> None:
        """The row of a belief about a value."""
        if name not in self.where:
            near = did_you_mean(name[1], [n for _, n in self.where])
            raise FitError(f"{'/'.join(name)} is no parameter of this fit.{near}")
        self._add(name, mean, sd)

    def _add(self, name: tuple[str, str], value: float, sd: float) -> None:
        self.targets.append(self.where[name])
        self.values.append(value)
        self.sds.append(sd)

    def terms_by_row(
        self,
    ) -> tuple[Int[np.ndarray, "l t"], Float[np.ndarray, "l t"], Int[np.ndarray, "l t"]]:
        """Columns, weights and mixing weights of the labelling rows, filled up with weight 0."""
        width = max((len(row) for row in self.terms), default=1) or 1
        columns, mixes = np.zeros((len(self.terms), width), int), np.full((len(self.terms), width), -1)
        weights = np.zeros((len(self.terms), width))
        for i, row in enumerate(self.terms):
            for j, (column, weight, mix) in enumerate(row):
                columns[i, j], weights[i, j], mixes[i, j] = column, weight, mix
        return columns, weights, mixes


def _measurements(study: Study) -> list[tuple[Experiment, Datum]]:
    """The data that count, checked. A line of a file that several experiments share is one measurement."""
    seen: set[tuple[str, str, str]] = set()
    out: list[tuple[Experiment, Datum]] = []
    for experiment in study.experiments:
        for datum in experiment.data:
            place = f"{datum.where or f'experiment {experiment.name!r}'}: {datum.kind} of {datum.target!r}"
            _check_target(study.network, datum, place)
            _check_numbers(datum, place)
            if datum.kind != "mid" and datum.where:
                if (datum.where, datum.kind, datum.target) in seen:
                    continue
                seen.add((datum.where, datum.kind, datum.target))
            if np.isfinite(datum.values).any():
                out.append((experiment, datum))
    if not out:
        raise FitError(
            f"{study.network.name or 'the study'} has no data: a fit needs mass isotopomer distributions or measured "
            "fluxes in at least one experiment"
        )
    return out


def _check_tracers(network: Network, labelled: Sequence[tuple[Experiment, Datum]]) -> None:
    """Something is labelled, where labelling was measured; a control beside labelled experiments need not be."""
    if labelled and not any(experiment.is_labelled for experiment, _ in labelled):
        experiment, datum = labelled[0]
        fed = [name for name, one in network.metabolites.items() if one.role == "source" and one.elements]
        source = fed[0] if fed else "Glc"
        raise FitError(
            f"{datum.where or f'experiment {experiment.name!r}'}: labelling was measured, but nothing is labelled. "
            f"Give experiment {experiment.name!r} its tracers, in the network's file or as an option of its reader: "
            f"--option 'tracers.\"{source}\"=U-13C'"
        )


def _check_target(network: Network, datum: Datum, place: str) -> None:
    """The network has what was measured."""
    if datum.kind == "mid":
        _check_fragment(network, datum.target, place)
    elif datum.kind in ("net", "exchange"):
        known = [name for name, reaction in network.reactions.items() if datum.kind == "net" or reaction.reversible]
        if datum.target not in known:
            raise FitError(f"{place}: the network has no such flux.{did_you_mean(datum.target, known)}")
    elif datum.kind == "pool":
        if datum.target not in network.metabolites:
            near = did_you_mean(datum.target, network.metabolites)
            raise FitError(f"{place}: the network has no such metabolite.{near}")
    else:
        raise FitError(f"{place}: the kind of a datum must be mid, net, exchange or pool")


def _check_numbers(datum: Datum, place: str) -> None:
    """Its values are numbers, and their standard deviations positive ones."""
    values, sd = np.array(datum.values, float), np.array(datum.sd, float)
    if len(values) != len(sd) or (datum.kind != "mid" and len(values) != 1):
        raise FitError(f"{place}: {len(values)} values and {len(sd)} standard deviations")
    counted = np.isfinite(values)
    if datum.kind != "mid" and not counted.all():
        raise FitError(f"{place} must be a finite number, got {values[0]}; or leave the measurement out")
    if not (np.isfinite(sd[counted]) & (sd[counted] > 0)).all():
        raise FitError(f"{place}: standard deviations must be positive, got {sd.tolist()}")
    if np.isinf(values).any():
        raise FitError(f"{place}: values must be finite, or NaN where not measured, got {values.tolist()}")


def _check_fragment(network: Network, target: str, place: str) -> None:
    fragment = network.fragments.get(target)
    if fragment is None:
        raise FitError(f"{place}: the network has no such fragment.{did_you_mean(target, network.fragments)}")
    if fragment.kind != "ms":
        try:
            recipes(network, fragment)
        except SimulationError as error:
            raise FitError(f"{place}: {error}; or leave the measurement out") from error


def _pools(
    study: Study, data: Sequence[tuple[Experiment, Datum]], simulation: Labelling | None
) -> dict[str, tuple[float, float]]:
    """Bounds of the sizes of the pools that labelling in time depends on; equal where a pool is not fitted."""
    needed = simulation.timed.pools if simulation is not None and simulation.timed is not None else ()
    out: dict[str, tuple[float, float]] = {}
    for name in needed:
        given = study.pools.get(name)
        bounds = study.network.metabolites[name].pool or ((1e-3, 1e3) if given is None else (given, given))
        if not 0 <= bounds[0] <= bounds[1] < np.inf or bounds[1] == 0:
            raise FitError(f"pool of {name!r} must be bounded by positive numbers, the smaller first, got {bounds}")
        out[name] = (max(bounds[0], 1e-6 * bounds[1]), bounds[1])
    for _, datum in data:
        if datum.kind == "pool" and datum.target not in out:
            place = datum.where or "the data"
            raise FitError(f"{place}: pool of {datum.target!r} is measured, but no labelling in time depends on it")
    return out
