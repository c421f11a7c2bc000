"""Labelling of fragments from fluxes: a network compiled once, then simulated for many flux vectors at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from molvis_flux.errors import SimulationError
from molvis_flux.labelling.elimination import solve
from molvis_flux.labelling.emu import decompose
from molvis_flux.labelling.fragments import (
    FragmentVector,
    Slot,
    chosen_fragments,
    observe,
    source_rows,
    units_of,
    ways_of,
)
from molvis_flux.labelling.straight_line import Builder, Program
from molvis_flux.model.network import Experiment, Network


@dataclass(frozen=True, eq=False, slots=True)
class Plan(FragmentVector):
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

    def simulate(
        self,
        net: Float[np.ndarray, "n r"],
        exchange: Float[np.ndarray, "n r"] | None = None,
        *,
        backend: str = "numba",
        dtype: Any = np.float64,
    ) -> Float[np.ndarray, "n d"]:
        """Mass isotopomer distributions in the stationary state.

        Args:
            net: net fluxes; only their proportions matter.
            exchange: exchange fluxes; without, no reaction runs backwards beside its net flux.
            backend: `numba`, or `torch`: on a GPU where there is one. With gradients: `torch_backend.simulate`.
            dtype: float64, or float32, which is faster and right to some 1e-6.

        Returns:
            Fractions, in the order of `layout`. Those of a metabolite into which nothing flows are 0.

        Raises:
            SimulationError: the fluxes have another shape, or are not finite; or no such backend.
        """
        from molvis_flux.labelling.backends import numba_kernels as kernels

        net, exchange = checked(self.reactions, net, exchange, dtype)
        if backend == "torch":
            import torch

            from molvis_flux.labelling.backends import torch as torch_backend

            device = "cuda" if torch.cuda.is_available() else "cpu"
            given = (torch.as_tensor(values, device=device) for values in (net, exchange))
            with torch.no_grad():
                return torch_backend.simulate(self, *given).cpu().numpy()
        if backend != "numba":
            raise SimulationError(f"no backend {backend!r}; 'numba' and 'torch' are known")
        found = np.empty((len(net), self.size), dtype)
        last = (self.ways, kernels.arguments(self.compact, dtype))
        if len(net) < kernels.FEW:
            kernels.simulate_few(np.empty(self.compact.rows, dtype), net, exchange, found, *last)
            return found

        def part(rows: slice) -> None:
            work = kernels.workspace(self.compact.rows, dtype)
            kernels.simulate(work, net[rows], exchange[rows], found[rows], *last)

        in_threads(part, len(net), 16 * kernels.lanes(dtype))
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
        from molvis_flux.labelling.backends import numba_kernels as kernels

        net, exchange = checked(self.reactions, net, exchange, dtype)
        net_moves = np.ascontiguousarray(net_directions, dtype)
        moves = np.zeros_like(net_moves) if exchange_directions is None else exchange_directions
        exchange_moves = np.ascontiguousarray(moves, dtype)
        if net_moves.shape != exchange_moves.shape or len(net_moves) != len(self.reactions):
            raise SimulationError(
                f"directions have shapes {net_moves.shape} and {exchange_moves.shape}; "
                f"({len(self.reactions)}, k) is expected"
            )
        found = np.empty((len(net), self.size), dtype)
        slopes = np.empty((*found.shape, net_moves.shape[1]), dtype)
        last = (self.ways, kernels.arguments(self.compact, dtype))

        def part(rows: slice) -> None:
            work, change = np.empty(self.compact.rows, dtype), kernels.workspace(self.compact.rows, dtype)
            given = (net[rows], exchange[rows], net_moves, exchange_moves)
            kernels.push(work, change, *given, found[rows], slopes[rows], *last)

        in_threads(part, len(net), 16 * kernels.lanes(dtype))
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
        from molvis_flux.labelling.backends import numba_kernels as kernels

        net, exchange = checked(self.reactions, net, exchange, dtype)
        weights = np.ascontiguousarray(weights, dtype)
        if weights.shape != (len(net), self.size):
            raise SimulationError(f"weights have shape {weights.shape}; ({len(net)}, {self.size}) is expected")
        found = np.empty((len(net), self.size), dtype)
        by_net, by_exchange = np.zeros_like(net), np.zeros_like(net)
        last = (self.ways, kernels.arguments(self.program, dtype))

        def part(rows: slice) -> None:
            work, change = (kernels.workspace(self.program.rows, dtype) for _ in range(2))
            given = (net[rows], exchange[rows], weights[rows], found[rows])
            kernels.pull(work, change, *given, by_net[rows], by_exchange[rows], *last)

        in_threads(part, len(net), 16 * kernels.lanes(dtype))
        return found, by_net, by_exchange


def checked(
    reactions: Sequence[str], net: Any, exchange: Any, dtype: Any
) -> tuple[Float[np.ndarray, "n r"], Float[np.ndarray, "n r"]]:
    """Net and exchange fluxes as arrays; no exchange flux is 0.

    Raises:
        SimulationError: the fluxes have another shape, or are not finite.
    """
    net = _fluxes("net", net, reactions, dtype)
    if exchange is None:
        return net, np.zeros_like(net)
    exchange = _fluxes("exchange", exchange, reactions, dtype)
    if len(exchange) != len(net):
        raise SimulationError(f"{len(net)} vectors of net fluxes and {len(exchange)} of exchange fluxes")
    return net, exchange


def in_threads(part: Callable[[slice], None], count: int, least: int) -> None:
    """Run slices of a batch side by side; `least`: how many are worth a thread."""
    import numba

    threads = min(numba.get_num_threads(), count // least)
    if threads < 2:
        part(slice(0, count))
        return
    step = -(-count // (threads * least)) * least
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(part, [slice(first, first + step) for first in range(0, count, step)]))


def _fluxes(name: str, values: Any, reactions: Sequence[str], dtype: Any) -> Float[np.ndarray, "n r"]:
    values = np.ascontiguousarray(values, dtype)
    if values.ndim != 2 or values.shape[1] != len(reactions):
        raise SimulationError(
            f"{name} fluxes have shape {values.shape}; (n, {len(reactions)}) is expected: a row for each flux "
            "vector, a column for each reaction"
        )
    if not np.isfinite(values).all():
        row, column = (int(i[0]) for i in np.nonzero(~np.isfinite(values)))
        raise SimulationError(
            f"{name} flux of {reactions[column]!r} in vector {row} is {values[row, column]}; it must be finite"
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
    chosen = [chosen_fragments(network, experiment, names) for experiment in experiments]
    needed = dict.fromkeys(unit for some in chosen for fragment in some for unit in units_of(network, fragment))
    balances = decompose(network, needed)
    builder = Builder(len(balances.ways))
    sources = source_rows(builder, network, experiments, balances.sources)
    values = solve(builder, balances, sources, needed)
    outputs, layout = observe(builder, network, experiments, chosen, values)
    program = builder.finish(outputs)
    return Plan(
        tuple(network.reactions),
        layout,
        len(balances.inflows),
        program,
        program.reusing_rows(),
        ways_of(network, balances),
    )
