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
_ADDED_UP = 5
"""The errors of steps add up, to about so many times that of the worst."""


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
        from molvis_flux.labelling import integrator
        from molvis_flux.labelling.backends import numba_kernels as kernels

        net, exchange = checked(self.reactions, net, exchange, dtype)
        pools = self._checked_pools(np.ascontiguousarray(pools, dtype))
        if len(pools) != len(net):
            raise SimulationError(f"pools have shape {pools.shape}; ({len(net)}, {len(self.pools)}) is expected")
        times, order = _in_order(times, tolerance)
        found = np.empty((len(net), len(times), self.size), dtype)
        if not len(net) or not len(times):
            return found
        programs = self._arguments(dtype)
        failed = list[float]()

        def part(block: slice) -> None:
            works = tuple(kernels.workspace(program.rows, dtype) for program in self._programs)
            state = kernels.workspace(self.states * (len(_STAGES) + 1) + 1, dtype)
            given = (net[block], exchange[block], pools[block])
            out = np.empty((len(net[block]), len(times), self.size), dtype)
            reached = integrator.integrate(
                works, state, *given, times[order], tolerance / _ADDED_UP, out, self.ways, _tableau(dtype),
                self.step.early, programs,
            )  # fmt: skip
            if reached < times[order[-1]]:
                failed.append(reached)
            found[block, order] = out

        in_threads(part, len(net), kernels.lanes(dtype))
        if failed:
            raise _without_end(min(failed), tolerance)
        return found

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
    ) -> tuple[Float[np.ndarray, "t d"], Float[np.ndarray, "t d k"]]:
        """Mass isotopomers of one flux vector, and how they change along directions.

        Forward derivatives: the equations of every step are differentiated along each direction, with the steps that
        the labelling takes, so that no difference has a length to choose.

        Args:
            net: as in `simulate`, one vector.
            exchange: as in `simulate`, one vector.
            pools: as in `simulate`, one vector.
            times: as in `simulate`.
            net_directions: changes of the net fluxes. Where a reversible one is 0, those towards positive ones count.
            exchange_directions: changes of the exchange fluxes.
            pool_directions: changes of the pools.
            tolerance: as in `simulate`.

        Raises:
            SimulationError: as in `simulate`.
        """
        from molvis_flux.labelling import forward
        from molvis_flux.labelling.backends import numba_kernels as kernels

        given = checked(self.reactions, np.asarray(net)[None], np.asarray(exchange)[None], np.float64)
        sizes = self._checked_pools(np.asarray(pools, np.float64)[None])
        times, order = _in_order(times, tolerance)
        moves = tuple(np.ascontiguousarray(m, float) for m in (net_directions, exchange_directions, pool_directions))
        found = np.empty((len(times), self.size))
        slopes = np.empty((*found.shape, moves[0].shape[1]))
        if not len(times):
            return found, slopes
        counts = [program.rows for program in self._programs] + [self.states * (len(_STAGES) + 1)]
        works = (
            tuple(np.zeros(count) for count in counts),
            tuple(kernels.workspace(count, np.float64) for count in counts),
        )
        reached = forward.differentiate(
            works, (given[0][0], given[1][0], sizes[0]), moves, times[order], tolerance / _ADDED_UP, found, slopes,
            self.ways, _tableau(np.float64), self.step.early, self._arguments(np.float64),
        )  # fmt: skip
        if reached < times[order[-1]]:
            raise _without_end(reached, tolerance)
        back = np.argsort(order)
        return found[back], slopes[back]

    @property
    def _programs(self) -> tuple[Program, Program, Program]:
        return self.before, self.step, self.after

    def _arguments(self, dtype: Any) -> tuple[Any, ...]:
        from molvis_flux.labelling.backends import numba_kernels as kernels

        return tuple(kernels.arguments(program, dtype) for program in self._programs)

    def _checked_pools(self, pools: Float[np.ndarray, "n p"]) -> Float[np.ndarray, "n p"]:
        """Positive sizes of all pools.

        Raises:
            SimulationError: there are others, or some are no such sizes.
        """
        if pools.ndim != 2 or pools.shape[1] != len(self.pools):
            raise SimulationError(f"pools have shape {pools.shape}; (n, {len(self.pools)}) is expected")
        if not (np.isfinite(pools) & (pools > 0)).all():
            row, column = (int(i[0]) for i in np.nonzero(~(np.isfinite(pools) & (pools > 0))))
            raise SimulationError(
                f"pool of {self.pools[column]!r} in vector {row} is {pools[row, column]}; a positive size is expected"
            )
        return pools


def _in_order(times: Any, tolerance: float) -> tuple[Float[np.ndarray, " t"], Int[np.ndarray, " t"]]:
    """Times, and their order.

    Raises:
        SimulationError: there are negative ones, or the tolerance is not positive.
    """
    times = np.asarray(times, np.float64)
    if times.ndim != 1 or not np.isfinite(times).all() or (times < 0).any():
        raise SimulationError(f"times must be finite numbers from 0 on, got {times}")
    if not tolerance > 0:
        raise SimulationError(f"tolerance must be a positive number, got {tolerance}")
    return times, np.argsort(times, kind="stable")


def _tableau(dtype: Any) -> tuple[Any, Any, int]:
    return _STAGES.astype(dtype), (_STAGES[-1] - _EMBEDDED).astype(dtype), _ORDER


def _without_end(reached: float, tolerance: float) -> SimulationError:
    return SimulationError(
        f"steps without end at time {reached:g}: a pool turns over too fast for a tolerance of {tolerance:g}. Is its "
        "size, or a flux, in the unit of the others?"
    )


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
