"""Labelling of fragments from fluxes: a network compiled once, then simulated for many flux vectors at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from molvis.errors import did_you_mean
from molvis_flux import isotopes
from molvis_flux.elimination import Rows, convolve, mix, solve
from molvis_flux.emu import MASS_SHIFT, Emu, SimulationError, Way, canonical, decompose, orbit, span
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
    """

    reactions: tuple[str, ...]
    layout: tuple[Slot, ...]
    units: int
    program: Program = field(repr=False)
    compact: Program = field(repr=False)
    ways: tuple[Way, ...] = field(repr=False)
    place: Int[np.ndarray, " w"] = field(repr=False)
    forward: Float[np.ndarray, " w"] = field(repr=False)
    reversible: Float[np.ndarray, " w"] = field(repr=False)

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

    def one_way(self, net: Float[np.ndarray, "n r"], exchange: Float[np.ndarray, "n r"]) -> Float[np.ndarray, "n w"]:
        """Fluxes of each direction: net fluxes split, the exchange flux added to both.

        A reaction that is not reversible carries its net flux as it is.
        """
        net, exchange = net[:, self.place], exchange[:, self.place]
        return np.where(self.reversible, np.maximum(self.forward * net, 0) + exchange, net)

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

        values = self.one_way(*self._checked(net, exchange)).astype(dtype)
        out = np.empty((len(values), self.size), dtype)
        work = kernels.workspace(self.compact.rows, dtype)
        kernels.simulate(work, values, out, *kernels.arguments(self.compact, dtype))
        return out

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
            net, exchange: as in `simulate`.
            net_directions, exchange_directions: changes of the net and exchange fluxes.
            dtype: float64 or float32.

        Raises:
            SimulationError: as in `simulate`.
        """
        net, exchange = self._checked(net, exchange)
        ways, here = self._slopes(net), len(net_directions[0])
        moved = np.zeros((2, len(self.ways), here))
        moved[0] = net_directions[self.place]
        if exchange_directions is not None:
            moved[1] = exchange_directions[self.place] * self.reversible[:, None]
        return self._push(self.one_way(net, exchange), ways, moved, dtype)

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
        net, exchange = self._checked(net, exchange)
        moved = np.zeros((2, len(self.ways), len(self.ways)))
        moved[1] = np.eye(len(self.ways))
        found, slopes = self._push(self.one_way(net, exchange), np.zeros((len(net), len(self.ways))), moved, dtype)
        by_net, by_exchange = np.zeros((2, *found.shape, len(self.reactions)), slopes.dtype)
        for way, place in enumerate(self.place):
            by_net[:, :, place] += slopes[:, :, way] * self._slopes(net)[:, None, way]
            if self.reversible[way]:
                by_exchange[:, :, place] += slopes[:, :, way]
        return found, by_net, by_exchange

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

        net, exchange = self._checked(net, exchange)
        values = self.one_way(net, exchange).astype(dtype)
        found, pulled = np.empty((len(net), self.size), dtype), np.empty(values.shape, dtype)
        work, change = kernels.workspace(self.program.rows, dtype), kernels.workspace(self.program.rows, dtype)
        weights = np.ascontiguousarray(weights, dtype)
        kernels.pull(work, change, values, weights, found, pulled, *kernels.arguments(self.program, dtype))
        by_net, by_exchange = np.zeros((2, *net.shape), dtype)
        np.add.at(by_net.T, self.place, (pulled * self._slopes(net)).T)
        np.add.at(by_exchange.T, self.place, (pulled * self.reversible).T)
        return found, by_net, by_exchange

    def _push(
        self,
        values: Float[np.ndarray, "n w"],
        ways: Float[np.ndarray, "n w"],
        moved: Float[np.ndarray, "2 w k"],
        dtype: Any,
    ) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d k"]]:
        from molvis_flux import kernels

        found = np.empty((len(values), self.size), dtype)
        slopes = np.empty((*found.shape, moved.shape[2]), dtype)
        work, change = kernels.workspace(self.program.rows, dtype), kernels.workspace(self.program.rows, dtype)
        moving = (values.astype(dtype), ways.astype(dtype), moved.astype(dtype))
        kernels.push(work, change, *moving, found, slopes, *kernels.arguments(self.program, dtype))
        return found, slopes

    def _slopes(self, net: Float[np.ndarray, "n r"]) -> Float[np.ndarray, "n w"]:
        """Derivatives of each way with respect to its reaction's net flux."""
        net = net[:, self.place]
        runs = np.where(self.forward > 0, net >= 0, net < 0)
        return np.where(self.reversible, self.forward * runs, 1.0)

    def _checked(
        self, net: Float[np.ndarray, "n r"], exchange: Float[np.ndarray, "n r"] | None
    ) -> tuple[Float[np.ndarray, "n r"], Float[np.ndarray, "n r"]]:
        net = _fluxes("net", net, self.reactions)
        exchange = np.zeros_like(net) if exchange is None else _fluxes("exchange", exchange, self.reactions)
        if len(exchange) != len(net):
            raise SimulationError(f"{len(net)} vectors of net fluxes and {len(exchange)} of exchange fluxes")
        return net, exchange


def _fluxes(name: str, values: Any, reactions: Sequence[str]) -> Float[np.ndarray, "n r"]:
    values = np.asarray(values, dtype=np.float64)
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
    ways = balances.ways
    return Plan(
        tuple(network.reactions),
        tuple(layout),
        len(balances.inflows),
        program,
        program.reusing_rows(),
        ways,
        np.array([way.reaction for way in ways], dtype=np.int64),
        np.array([1.0 if way.forward else -1.0 for way in ways]),
        np.array([reactions[way.reaction].reversible for way in ways], dtype=bool),
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
