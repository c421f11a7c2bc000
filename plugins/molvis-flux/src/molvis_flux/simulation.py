"""Labelling of fragments from fluxes: a network compiled once, then simulated for many flux vectors at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from molvis.errors import did_you_mean
from molvis_flux import isotopes
from molvis_flux.elimination import Rows, convolve, mix, solve
from molvis_flux.emu import MASS_SHIFT, Emu, SimulationError, canonical, decompose, orbit, span
from molvis_flux.network import Experiment, Fragment, Metabolite, Network, Tracer
from molvis_flux.program import Builder, Program


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a fragment's mass isotopomers stand in a vector of simulated data.

    Attributes:
        experiment, fragment: names.
        start, stop: M+0 up to the heaviest, one past the end.
    """

    experiment: str
    fragment: str
    start: int
    stop: int


@dataclass(frozen=True, eq=False, slots=True)
class Plan:
    """A network, its tracers and its fragments, compiled. Make it with `compile_plan`.

    Attributes:
        reactions: names, in the order of the axis `r` of net and exchange fluxes.
        layout: fragments by experiment, in the order of the axis `d`.
        units: elementary metabolite units, sources not counted.
        program: what is run, every row written once.
        compact: the same in few rows.
        ways: of each directed reaction: its reaction, whether it is forward, and whether the reaction is reversible.
    """

    reactions: tuple[str, ...]
    layout: tuple[Slot, ...]
    units: int
    program: Program = field(repr=False)
    compact: Program = field(repr=False)
    ways: Int[np.ndarray, "w 3"] = field(repr=False)

    @property
    def size(self) -> int:
        """Numbers in a vector of simulated data: the axis `d`."""
        return self.layout[-1].stop if self.layout else 0

    def slot(self, experiment: str, fragment: str) -> slice:
        """Where a fragment's mass isotopomers are.

        Raises:
            SimulationError: that fragment is not simulated in that experiment.
        """
        for slot in self.layout:
            if (slot.experiment, slot.fragment) == (experiment, fragment):
                return slice(slot.start, slot.stop)
        known = [f"{slot.experiment}/{slot.fragment}" for slot in self.layout]
        asked = f"{experiment}/{fragment}"
        raise SimulationError(f"{asked!r} is not in the plan.{did_you_mean(asked, known)}")

    def simulate(
        self,
        net: Float[np.ndarray, "n r"],
        exchange: Float[np.ndarray, "n r"] | None = None,
        *,
        dtype: Any = np.float64,
    ) -> Float[np.ndarray, "n d"]:
        """Mass isotopomer distributions in the stationary state.

        Args:
            net: net fluxes; only their proportions matter.
            exchange: exchange fluxes; without, no reaction runs backwards beside its net flux.
            dtype: float64, or float32, which is faster and right to some 1e-6.

        Returns:
            Fractions, in the order of `layout`. Those of a metabolite into which nothing flows are 0.

        Raises:
            SimulationError: the fluxes have another shape, or are not finite.
        """
        from molvis_flux import kernels

        net, exchange = self._checked(net, exchange, dtype)
        found = np.empty((len(net), self.size), dtype)
        last = (self.ways, *kernels.arguments(self.compact, dtype))

        def part(rows: slice) -> None:
            work = kernels.workspace(self.compact.rows, dtype)
            kernels.simulate(work, net[rows], exchange[rows], found[rows], *last)

        _in_threads(part, len(net), kernels.lanes(dtype))
        return found

    def tangents(
        self,
        net: Float[np.ndarray, "n r"],
        exchange: Float[np.ndarray, "n r"] | None,
        net_directions: Float[np.ndarray, "r k"],
        exchange_directions: Float[np.ndarray, "r k"] | None = None,
        *,
        dtype: Any = np.float64,
    ) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d k"]]:
        """Mass isotopomers, and how they change along directions in the space of fluxes.

        With the directions of a fit's free parameters this is its Jacobian, at a fraction of the cost of `jacobian`.

        Args:
            net: as in `simulate`.
            exchange: as in `simulate`.
            net_directions: changes of the net fluxes.
            exchange_directions: changes of the exchange fluxes; without, none.
            dtype: float64 or float32.

        Raises:
            SimulationError: as in `simulate`.
        """
        from molvis_flux import kernels

        net, exchange = self._checked(net, exchange, dtype)
        net_moves = np.ascontiguousarray(net_directions, dtype)
        moves = np.zeros_like(net_moves) if exchange_directions is None else exchange_directions
        exchange_moves = np.ascontiguousarray(moves, dtype)
        if net_moves.shape != exchange_moves.shape or len(net_moves) != len(self.reactions):
            raise SimulationError(
                f"directions have shapes {net_moves.shape} and {exchange_moves.shape}; "
                f"({len(self.reactions)}, k) is wanted"
            )
        found = np.empty((len(net), self.size), dtype)
        slopes = np.empty((*found.shape, net_moves.shape[1]), dtype)
        last = (self.ways, *kernels.arguments(self.program, dtype))

        def part(rows: slice) -> None:
            work, change = (kernels.workspace(self.program.rows, dtype) for _ in range(2))
            given = (net[rows], exchange[rows], net_moves, exchange_moves)
            kernels.push(work, change, *given, found[rows], slopes[rows], *last)

        _in_threads(part, len(net), kernels.lanes(dtype))
        return found, slopes

    def jacobian(
        self,
        net: Float[np.ndarray, "n r"],
        exchange: Float[np.ndarray, "n r"] | None = None,
        *,
        dtype: Any = np.float64,
    ) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d r"], Float[np.ndarray, "n d r"]]:
        """Mass isotopomers, and their derivatives with respect to every net and every exchange flux.

        Where a net flux is 0 its derivative is the one towards positive values.

        Raises:
            SimulationError: as in `simulate`.
        """
        count = len(self.reactions)
        backwards = np.unique(self.ways[self.ways[:, 2] > 0, 0])
        moved = np.eye(count + len(backwards))
        exchange_moves = np.zeros((count, len(moved)))
        exchange_moves[backwards, count:] = np.eye(len(backwards))
        found, slopes = self.tangents(net, exchange, moved[:count], exchange_moves, dtype=dtype)
        by_exchange = np.zeros((*found.shape, count), slopes.dtype)
        by_exchange[:, :, backwards] = slopes[:, :, count:]
        return found, slopes[:, :, :count], by_exchange

    def gradient(
        self,
        net: Float[np.ndarray, "n r"],
        exchange: Float[np.ndarray, "n r"] | None,
        weights: Float[np.ndarray, "n d"],
        *,
        dtype: Any = np.float64,
    ) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n r"], Float[np.ndarray, "n r"]]:
        """Mass isotopomers, and the derivatives of their weighted sum with respect to every net and exchange flux.

        The adjoint of `jacobian`: all fluxes at about the cost of three simulations.

        Raises:
            SimulationError: as in `simulate`.
        """
        from molvis_flux import kernels

        net, exchange = self._checked(net, exchange, dtype)
        weights = np.ascontiguousarray(weights, dtype)
        if weights.shape != (len(net), self.size):
            raise SimulationError(f"weights have shape {weights.shape}; ({len(net)}, {self.size}) is wanted")
        found = np.empty((len(net), self.size), dtype)
        by_net, by_exchange = np.zeros_like(net), np.zeros_like(net)
        last = (self.ways, *kernels.arguments(self.program, dtype))

        def part(rows: slice) -> None:
            work, change = (kernels.workspace(self.program.rows, dtype) for _ in range(2))
            given = (net[rows], exchange[rows], weights[rows], found[rows])
            kernels.pull(work, change, *given, by_net[rows], by_exchange[rows], *last)

        _in_threads(part, len(net), kernels.lanes(dtype))
        return found, by_net, by_exchange

    def _checked(
        self, net: Any, exchange: Any, dtype: Any
    ) -> tuple[Float[np.ndarray, "n r"], Float[np.ndarray, "n r"]]:
        net = _fluxes("net", net, self.reactions, dtype)
        if exchange is None:
            return net, np.zeros_like(net)
        exchange = _fluxes("exchange", exchange, self.reactions, dtype)
        if len(exchange) != len(net):
            raise SimulationError(f"{len(net)} vectors of net fluxes and {len(exchange)} of exchange fluxes")
        return net, exchange


def _in_threads(part: Callable[[slice], None], count: int, block: int) -> None:
    """Run slices of a batch side by side, where it is large enough to be worth it."""
    import numba

    threads = min(numba.get_num_threads(), count // (16 * block))
    if threads < 2:
        part(slice(0, count))
        return
    step = -(-count // (threads * block)) * block
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(part, [slice(first, first + step) for first in range(0, count, step)]))


def _fluxes(name: str, values: Any, reactions: Sequence[str], dtype: Any) -> Float[np.ndarray, "n r"]:
    values = np.ascontiguousarray(values, dtype)
    if values.ndim != 2 or values.shape[1] != len(reactions):
        raise SimulationError(
            f"{name} fluxes have shape {values.shape}; (n, {len(reactions)}) is wanted: a row for each flux vector, a "
            "column for each reaction"
        )
    if not np.isfinite(values).all():
        row, column = (int(i[0]) for i in np.nonzero(~np.isfinite(values)))
        raise SimulationError(
            f"{name} flux of {reactions[column]!r} in vector {row} is {values[row, column]}; finite numbers are wanted"
        )
    return values


def compile_plan(network: Network, experiments: Sequence[Experiment], fragments: Iterable[str] | None = None) -> Plan:
    """Compile a network for given tracers and fragments.

    Args:
        network: the model.
        experiments: of each the tracers are simulated, and the fragments it has data of; all where it has none.
        fragments: names; instead of those the experiments have data of.

    Raises:
        SimulationError: an unknown fragment or tracer, or labelling that cannot be followed.
    """
    names = None if fragments is None else list(fragments)
    chosen = [_fragments(network, experiment, names) for experiment in experiments]
    parts = {emu for some in chosen for f in some for emu in _units(network, f)}
    balances = decompose(network, parts)
    reactions = tuple(network.reactions.values())
    builder = Builder(len(balances.ways))
    sources: dict[Emu, Rows] = {
        (name, atoms): tuple(
            tuple(builder.constant(float(x)) for x in source_mid(network, experiment, name, atoms))
            for experiment in experiments
        )
        for name, atoms in balances.sources
    }
    values = solve(builder, balances, sources, parts)
    outputs: list[int] = []
    layout: list[Slot] = []
    for e, (experiment, some) in enumerate(zip(experiments, chosen, strict=True)):
        for fragment in some:
            rows = _measured(builder, network, fragment, {emu: (values[emu][e],) for emu in _units(network, fragment)})
            layout.append(Slot(experiment.name, fragment.name, len(outputs), len(outputs) + len(rows)))
            outputs += rows
    program = builder.finish(outputs)
    return Plan(
        tuple(network.reactions),
        tuple(layout),
        len(balances.inflows),
        program,
        program.reusing_rows(),
        np.array([(way.reaction, way.forward, reactions[way.reaction].reversible) for way in balances.ways], np.int32),
    )


def source_mid(network: Network, experiment: Experiment, name: str, atoms: Sequence[int]) -> Float[np.ndarray, " m"]:
    """Mass isotopomers of some atoms of a source, as an experiment feeds it.

    Raises:
        SimulationError: a tracer whose patterns do not fit the metabolite, or whose fractions do not add up to one.
    """
    metabolite = network.metabolites[name]
    tracer = experiment.tracers.get(name) or Tracer((("0" * len(metabolite.elements), 1.0),))
    _check_tracer(experiment, metabolite, tracer)
    total = np.zeros(span(metabolite, atoms) + 1)
    for turn in orbit(metabolite):
        for pattern, fraction in tracer.isotopomers:
            mid = np.ones(1)
            for atom in atoms:
                element = metabolite.elements[atom]
                light = isotopes.heavy_share(element) if tracer.natural else 0.0
                heavy = tracer.purity if pattern[turn[atom]] == "1" else light
                step = np.zeros(MASS_SHIFT.get(element, 1) + 1)
                step[0], step[-1] = 1 - heavy, heavy
                mid = np.convolve(mid, step)
            total += fraction * mid / len(orbit(metabolite))
    return total


def _check_tracer(experiment: Experiment, metabolite: Metabolite, tracer: Tracer) -> None:
    where = f"experiment {experiment.name!r}: tracer of {metabolite.name!r}"
    for pattern, fraction in tracer.isotopomers:
        if len(pattern) != len(metabolite.elements) or set(pattern) - set("01"):
            raise SimulationError(
                f"{where}: pattern {pattern!r}; {len(metabolite.elements)} digits 0 or 1 are wanted, one for each "
                "traced atom"
            )
        if not 0 <= fraction <= 1:
            raise SimulationError(f"{where}: a fraction of {fraction}; 0 to 1 is wanted")
    total = math.fsum(fraction for _, fraction in tracer.isotopomers)
    if abs(total - 1) > 1e-6:
        raise SimulationError(f"{where}: its fractions add up to {total:g}, not to 1. Add the unlabelled rest")
    if not 0 <= tracer.purity <= 1:
        raise SimulationError(f"{where}: a purity of {tracer.purity}; 0 to 1 is wanted")


def _fragments(network: Network, experiment: Experiment, names: Sequence[str] | None) -> list[Fragment]:
    for source in experiment.tracers:
        if source not in network.metabolites:
            raise SimulationError(
                f"experiment {experiment.name!r}: a tracer of {source!r}, which is no metabolite of "
                f"{network.name!r}.{did_you_mean(source, network.metabolites)}"
            )
        if network.metabolites[source].role != "source":
            raise SimulationError(
                f"experiment {experiment.name!r}: a tracer of {source!r}, which the network makes itself. Its role "
                "has to be 'source'"
            )
    if names is None:
        measured = dict.fromkeys(datum.target for datum in experiment.data if datum.kind == "mid")
        names = list(measured) or [name for name, f in network.fragments.items() if f.kind == "ms"]
    for name in names:
        if name not in network.fragments:
            raise SimulationError(
                f"experiment {experiment.name!r}: no fragment {name!r} in {network.name!r}."
                f"{did_you_mean(name, network.fragments)}"
            )
        if (kind := network.fragments[name].kind) != "ms":
            raise SimulationError(f"fragment {name!r} is measured by {kind}; only mass isotopomers (ms) are simulated")
    return [network.fragments[name] for name in names]


def _units(network: Network, fragment: Fragment) -> list[Emu]:
    named = [(name, atoms) for _, name, atoms in fragment.parts] + list(fragment.convolved)
    return [canonical(network, emu) for emu in named]


def _measured(builder: Builder, network: Network, fragment: Fragment, values: Mapping[Emu, Rows]) -> tuple[int, ...]:
    weights = [weight for weight, _, _ in fragment.parts]
    shares = [builder.constant(weight / sum(weights)) for weight in weights]
    units = _units(network, fragment)
    rows = mix(builder, [(share, values[unit]) for share, unit in zip(shares, units, strict=False)])
    for unit in units[len(shares) :]:
        rows = convolve(builder, rows, values[unit])
    return rows[0]
