"""Labelling on its way to the stationary state: how fragments fill up after the tracer is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from molvis_flux.errors import SimulationError
from molvis_flux.labelling.elimination import Rows, solve
from molvis_flux.labelling.emu import Emu, decompose
from molvis_flux.labelling.fragments import (
    FragmentVector,
    Slot,
    chosen_fragments,
    observe,
    source_rows,
    units_of,
    ways_of,
)
from molvis_flux.labelling.stationary import checked, in_threads
from molvis_flux.labelling.straight_line import ZERO, Builder, Program
from molvis_flux.model.network import Experiment, Network

# Kennedy and Carpenter, Appl. Numer. Math. 44 (2003) 139, doi:10.1016/S0168-9274(02)00138-1, ARK3(2)4L[2]SA, implicit.
_GAMMA = 1767732205903 / 4055673282236
_STAGES = np.array(
    [
        [0, 0, 0, 0],
        [_GAMMA, _GAMMA, 0, 0],
        [2746238789719 / 10658868560708, -640167445237 / 6845629431997, _GAMMA, 0],
        [
            1471266399579 / 7840856788654,
            -4482444167858 / 7529755066697,
            11266239266428 / 11593286722821,
            _GAMMA,
        ],
    ]
)
_EMBEDDED = np.array(
    [
        2756255671327 / 12835298489170,
        -10771552573575 / 22201958757719,
        9247589265047 / 10645013368117,
        2193209047091 / 5459859503100,
    ]
)
_ORDER = 3


@dataclass(frozen=True, eq=False, slots=True)
class InstationaryPlan(FragmentVector):
    """A network, its tracers and its fragments, compiled for labelling in time. Make it with `compile_instationary`.

    At time 0 the sources change from unlabelled to the tracers of the experiment; fluxes and pools stay as they are.

    Attributes:
        reactions: names, in the order of the axis `r` of net and exchange fluxes.
        pools: metabolites whose pool sizes matter, in the order of the axis `p`.
        layout: fragments by experiment, in the order of the axis `d`.
        units: elementary metabolite units, sources not counted.
        states: numbers that are followed in time.
    """

    reactions: tuple[str, ...]
    pools: tuple[str, ...]
    layout: tuple[Slot, ...]
    units: int
    states: int
    before: Program = field(repr=False)
    step: Program = field(repr=False)
    after: Program = field(repr=False)
    ways: Int[np.ndarray, "w 3"] = field(repr=False)

    def simulate(
        self,
        net: Float[np.ndarray, "n r"],
        exchange: Float[np.ndarray, "n r"] | None,
        pools: Float[np.ndarray, "n p"],
        times: Float[np.ndarray, " t"],
        *,
        tolerance: float = 1e-4,
        dtype: Any = np.float64,
    ) -> Float[np.ndarray, "n t d"]:
        """Mass isotopomer distributions at some times.

        Steps are chosen by their error, whatever the times, and shared by flux vectors that run side by side.

        Args:
            net: net fluxes, in amount per time.
            exchange: exchange fluxes; without, no reaction runs backwards beside its net flux.
            pools: sizes, in the same amount.
            times: in the same time; 0 is when the tracer is given. In any order.
            tolerance: largest error of a fraction.
            dtype: float64 or float32.

        Raises:
            SimulationError: arrays of the wrong shape, numbers that are not finite, pools that are not positive,
                negative times, or steps without end.
        """
        net, exchange = checked(self.reactions, net, exchange, dtype)
        pools = np.ascontiguousarray(pools, dtype)
        if pools.shape != (len(net), len(self.pools)):
            raise SimulationError(f"pools have shape {pools.shape}; ({len(net)}, {len(self.pools)}) is expected")
        if not (np.isfinite(pools) & (pools > 0)).all():
            row, column = (int(i[0]) for i in np.nonzero(~(np.isfinite(pools) & (pools > 0))))
            raise SimulationError(
                f"pool of {self.pools[column]!r} in vector {row} is {pools[row, column]}; a positive size is expected"
            )
        return self._run(net, exchange, pools, times, tolerance, dtype, together=False)

    def tangents(
        self,
        net: Float[np.ndarray, " r"],
        exchange: Float[np.ndarray, " r"],
        pools: Float[np.ndarray, " p"],
        times: Float[np.ndarray, " t"],
        net_directions: Float[np.ndarray, "r k"],
        exchange_directions: Float[np.ndarray, "r k"],
        pool_directions: Float[np.ndarray, "p k"],
        *,
        tolerance: float = 1e-4,
        step: float = 1e-4,
    ) -> tuple[Float[np.ndarray, "t d"], Float[np.ndarray, "t d k"]]:
        """Mass isotopomers of one flux vector, and how they change along directions.

        Differences of simulations that share their steps in time, so that the error of integration cancels (internal
        numerical differentiation: Bock, in Modelling of Chemical Reaction Systems, 1981,
        doi:10.1007/978-3-642-68220-9_8).

        Args:
            net: as in `simulate`, one vector.
            exchange: as in `simulate`, one vector.
            pools: as in `simulate`, one vector.
            times: as in `simulate`.
            net_directions: changes of the net fluxes.
            exchange_directions: changes of the exchange fluxes.
            pool_directions: changes of the pools.
            tolerance: as in `simulate`.
            step: how far along each direction, relative to that flux or pool which it changes most. Rounding shows
                in slopes where it is much less, and curvature where it is much more.

        Raises:
            SimulationError: as in `simulate`.
        """
        center = np.concatenate([net, exchange, pools])
        backwards = np.isin(np.arange(len(exchange)), self.ways[self.ways[:, 2] > 0, 0])
        used = np.where(backwards[:, None], exchange_directions, 0.0)
        directions = np.concatenate([net_directions, used, pool_directions])
        scale = np.concatenate([_scale(net, 0.03), _scale(exchange, 0.03), _scale(pools, 0.0)])
        length = (np.abs(directions) / scale[:, None]).max(axis=0)
        far = step / np.where(length > 0, length, 1.0)
        vectors = np.concatenate([center[None], center + (directions * far).T, center - (directions * far).T])
        r = len(self.reactions)
        parts = (np.ascontiguousarray(vectors[:, :r]), np.ascontiguousarray(vectors[:, r : 2 * r]))
        sizes = np.ascontiguousarray(vectors[:, 2 * r :])
        found = self._run(*parts, sizes, times, tolerance, np.float64, together=True)
        k = len(far)
        slopes = (found[1 : k + 1] - found[k + 1 :]) / (2 * far[:, None, None])
        return found[0], np.moveaxis(slopes, 0, 2)

    def _run(
        self,
        net: Float[np.ndarray, "n r"],
        exchange: Float[np.ndarray, "n r"],
        pools: Float[np.ndarray, "n p"],
        times: Float[np.ndarray, " t"],
        tolerance: float,
        dtype: Any,
        *,
        together: bool,
    ) -> Float[np.ndarray, "n t d"]:
        from molvis_flux.labelling import integrator
        from molvis_flux.labelling.backends import numba_kernels as kernels

        times = np.asarray(times, np.float64)
        if times.ndim != 1 or not np.isfinite(times).all() or (times < 0).any():
            raise SimulationError(f"times must be finite numbers from 0 on, got {times}")
        if not tolerance > 0:
            raise SimulationError(f"tolerance must be a positive number, got {tolerance}")
        order = np.argsort(times, kind="stable")
        found = np.empty((len(net), len(times), self.size), dtype)
        if not len(net) or not len(times):
            return found
        programs = tuple(kernels.arguments(program, dtype) for program in (self.before, self.step, self.after))
        rows = [program.rows for program in (self.before, self.step, self.after)]
        tableau = (_STAGES.astype(dtype), (_STAGES[-1] - _EMBEDDED).astype(dtype), _ORDER)
        # The errors of steps add up, to about five times that of the worst.
        local, failed = tolerance / 5, list[float]()

        def part(block: slice) -> None:
            works = tuple(kernels.workspace(count, dtype) for count in rows)
            state = kernels.workspace(self.states * (len(_STAGES) + 1) + 1, dtype)
            given = (net[block], exchange[block], pools[block])
            out = np.empty((len(net[block]), len(times), self.size), dtype)
            reached = integrator.integrate(
                works, state, *given, times[order], local, together, out, self.ways, tableau, self.step.early, programs
            )
            if reached < times[order[-1]]:
                failed.append(reached)
            found[block, order] = out

        if together:
            part(slice(None))
        else:
            in_threads(part, len(net), kernels.lanes(dtype))
        if failed:
            raise SimulationError(
                f"steps without end at time {min(failed):g}: a pool turns over too fast for a tolerance of "
                f"{tolerance:g}. Is its size, or a flux, in the unit of the others?"
            )
        return found


def _scale(values: Float[np.ndarray, " n"], least: float) -> Float[np.ndarray, " n"]:
    """What a change of each value is measured by: its size, or a share of the usual one where it is smaller."""
    usual = float(np.median(np.abs(values)[values != 0])) if values.any() else 1.0
    return np.maximum(np.abs(values), max(least * usual, 1e-12))


def compile_instationary(
    network: Network, experiments: Sequence[Experiment], fragments: Iterable[str] | None = None
) -> InstationaryPlan:
    """Compile a network for labelling in time.

    Args:
        network: the model.
        experiments: of each the tracers are simulated, and the fragments it has data of; all where it has none.
        fragments: names; instead of those the experiments have data of.

    Raises:
        SimulationError: an unknown fragment or tracer, or labelling that cannot be followed.
    """
    names = None if fragments is None else list(fragments)
    chosen = [chosen_fragments(network, experiment, names) for experiment in experiments]
    needed = dict.fromkeys(unit for some in chosen for fragment in some for unit in units_of(network, fragment))
    balances = decompose(network, needed)
    units, ways = tuple(balances.inflows), len(balances.ways)
    pools = tuple(dict.fromkeys(name for name, _ in units))

    before = Builder(ways)
    unfed = source_rows(before, network, [_unfed(experiment) for experiment in experiments], balances.sources)
    first = solve(before, balances, unfed, units)
    later = Builder(ways)
    last = solve(later, balances, source_rows(later, network, experiments, balances.sources), units)
    states = _States.between(units, first, last)

    step = Builder(ways + len(pools) + len(states.places))
    kept = states.rows(step.inputs[ways + len(pools) :])
    conductance = dict(zip(pools, step.inputs[ways:], strict=False))
    stored = {unit: (conductance[unit[0]], kept[unit]) for unit in units}
    values = solve(step, balances, source_rows(step, network, experiments, balances.sources), units, stored)
    program = step.finish(states.of(values), step.inputs[ways + len(pools) :])

    after = Builder(len(states.places))
    seen = states.rows(after.inputs) | source_rows(after, network, experiments, balances.sources)
    outputs, layout = observe(after, network, experiments, chosen, seen)
    return InstationaryPlan(
        tuple(network.reactions),
        pools,
        layout,
        len(units),
        len(states.places),
        before.finish(states.of(first)).reusing_rows(),
        program.reusing_rows(),
        after.finish(outputs).reusing_rows(),
        ways_of(network, balances),
    )


@dataclass(frozen=True, eq=False, slots=True)
class _States:
    """Fractions that are followed in time.

    Attributes:
        places: unit, experiment and mass of each.
        masses: of each unit: how many fractions it has in each experiment.
    """

    places: tuple[tuple[Emu, int, int], ...]
    masses: dict[Emu, tuple[int, ...]]

    @classmethod
    def between(cls, units: Iterable[Emu], first: Mapping[Emu, Rows], last: Mapping[Emu, Rows]) -> _States:
        """Those of some units, from their rows before and in the end: what is 0 in both is 0 all the time."""
        masses = {unit: tuple(map(len, first[unit])) for unit in units}
        places = (
            (unit, e, mass)
            for unit, counts in masses.items()
            for e, count in enumerate(counts)
            for mass in range(count)
        )
        moving = ((u, e, mass) for u, e, mass in places if (first[u][e][mass], last[u][e][mass]) != (ZERO, ZERO))
        return cls(tuple(moving), masses)

    def of(self, rows: Mapping[Emu, Rows]) -> list[int]:
        """Their rows, among those of all fractions."""
        return [rows[unit][e][mass] for unit, e, mass in self.places]

    def rows(self, given: Sequence[int]) -> dict[Emu, Rows]:
        """Rows of all fractions, given theirs."""
        place = dict(zip(self.places, given, strict=True))
        return {
            unit: tuple(
                tuple(place.get((unit, e, mass), ZERO) for mass in range(count)) for e, count in enumerate(counts)
            )
            for unit, counts in self.masses.items()
        }


def _unfed(experiment: Experiment) -> Experiment:
    """The same sources before the tracer is given."""
    return replace(experiment, tracers={name: tracer.unlabelled() for name, tracer in experiment.tracers.items()})
