"""The simulation behind a fit: from the values of a fit's coordinates to labelling, with derivatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from molvis_flux.errors import FitError
from molvis_flux.labelling.instationary import InstationaryPlan, compile_instationary
from molvis_flux.labelling.isotopes import measurement_matrix
from molvis_flux.labelling.stationary import Plan, compile_plan
from molvis_flux.model.network import Datum, Experiment, Network
from molvis_flux.space.flux_space import FluxSpace


@dataclass(frozen=True, eq=False, slots=True)
class Labelling:
    """A simulation of what was measured, in the stationary state, at times, or both.

    Its axis d runs over the stationary plan's layout, then over that of the other for each time.

    Attributes:
        network: with each part of a mixed fragment as a fragment.
        space: of the fluxes.
        plan: for data without a time, or None.
        timed: for data with one, or None.
        times: of those.
        backwards: reactions with an exchange flux, in the order of the space's parameters.
        sizes: of the timed plan's pools, where they are not fitted.
        fitted: value that gives a pool's size, or -1.
    """

    network: Network
    space: FluxSpace
    plan: Plan | None
    timed: InstationaryPlan | None
    times: tuple[float, ...]
    backwards: Int[np.ndarray, " b"]
    sizes: Float[np.ndarray, " p"]
    fitted: Int[np.ndarray, " p"]

    def simulate(self, values: Float[np.ndarray, "n v"]) -> Float[np.ndarray, "n d"]:
        """Mass isotopomers."""
        net, exchange = self._fluxes(values)
        found: list[np.ndarray] = []
        if self.plan is not None:
            found.append(self.plan.simulate(net, exchange))
        if self.timed is not None:
            timed = self.timed.simulate(net, exchange, self._pools(values), np.array(self.times))
            found.append(timed.reshape(len(values), -1))
        return np.concatenate(found, axis=1) if len(found) > 1 else found[0]

    def tangents(
        self, values: Float[np.ndarray, "n v"], directions: Float[np.ndarray, "v k"]
    ) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d k"]]:
        """Mass isotopomers, and how they change along directions in the space of values."""
        net, exchange = self._fluxes(values)
        reactions, fluxes = len(self.space.reactions), len(self.space.parameters)
        by_net, by_exchange = directions[:reactions], np.zeros((reactions, directions.shape[1]))
        by_exchange[self.backwards] = directions[reactions:fluxes]
        by_pool = np.where(self.fitted[:, None] >= 0, directions[self.fitted], 0.0)
        moving = np.flatnonzero(directions[:fluxes].any(axis=0) | by_pool.any(axis=0))
        found: list[np.ndarray] = []
        slopes: list[np.ndarray] = []
        if self.plan is not None:
            simulated, slope = self.plan.tangents(net, exchange, by_net[:, moving], by_exchange[:, moving])
            found.append(simulated)
            slopes.append(slope)
        if self.timed is not None:
            pools, times = self._pools(values), np.array(self.times)
            given = (by_net[:, moving], by_exchange[:, moving], by_pool[:, moving])
            each = [self.timed.tangents(*lane, times, *given) for lane in zip(net, exchange, pools, strict=True)]
            found.append(np.array([one.ravel() for one, _ in each]))
            slopes.append(np.array([slope.reshape(-1, len(moving)) for _, slope in each]))
        one = len(found) == 1
        out = found[0] if one else np.concatenate(found, axis=1)
        slope = slopes[0] if one else np.concatenate(slopes, axis=1)
        if len(moving) == directions.shape[1]:
            return out, slope
        wide = np.zeros((*out.shape, directions.shape[1]))
        wide[:, :, moving] = slope
        return out, wide

    def observation(
        self, experiment: Experiment, fragment: str, datum: Datum
    ) -> tuple[list[int], Float[np.ndarray, "c d"]]:
        """Columns of the simulation that a fragment's measured numbers are made of, and with which weights.

        Raises:
            FitError: more numbers than the fragment has mass isotopomers.
            SimulationError: data that are not corrected, of a fragment without a formula.
        """
        offset, plan = 0, self.plan
        if datum.time is not None:
            assert self.timed is not None
            offset = self.plan.size if self.plan is not None else 0
            offset += self.times.index(datum.time) * self.timed.size
            plan = self.timed
        assert plan is not None
        slot = plan.slot(experiment.name, fragment)
        columns = list(range(offset + slot.start, offset + slot.stop))
        if datum.corrected and len(datum.values) > len(columns):
            place = datum.where or f"experiment {experiment.name!r}"
            if channels := self.network.fragments[fragment].channels:
                raise FitError(
                    f"{place}: {len(datum.values)} numbers for fragment {datum.target!r}, which has the channels "
                    f"{' '.join(channels)}"
                )
            raise FitError(
                f"{place}: {len(datum.values)} numbers for fragment {datum.target!r}, whose {len(columns) - 1} traced "
                f"mass units give {len(columns)}; correct them for natural abundance, or state that they "
                "are not (corrected = false)"
            )
        return columns, measurement_matrix(self.network, experiment, replace(datum, target=fragment))

    def _fluxes(self, values: Float[np.ndarray, "n v"]) -> tuple[Float[np.ndarray, "n r"], Float[np.ndarray, "n r"]]:
        return self.space.net_and_exchange(values[:, : len(self.space.parameters)])

    def _pools(self, values: Float[np.ndarray, "n v"]) -> Float[np.ndarray, "n p"]:
        return np.where(self.fitted >= 0, values[:, self.fitted], self.sizes)


def labelling(
    network: Network,
    space: FluxSpace,
    data: Sequence[tuple[Experiment, Datum]],
    parts: Mapping[str, tuple[str, ...]],
) -> Labelling:
    """Compile what a fit has to simulate; pools are still all of size 1.

    Args:
        network: with each part of a mixed fragment as a fragment.
        space: of the fluxes.
        data: the mass isotopomer distributions that count.
        parts: of mixed fragments.
    """

    def measured(timed: bool) -> list[Experiment]:
        by_name: dict[str, tuple[Experiment, list[Datum]]] = {}
        for experiment, datum in data:
            if (datum.time is not None) == timed:
                found = by_name.setdefault(experiment.name, (experiment, []))[1]
                found += [replace(datum, target=part) for part in parts.get(datum.target, (datum.target,))]
        return [replace(experiment, data=tuple(found)) for experiment, found in by_name.values()]

    still, moving = measured(False), measured(True)
    times = tuple(sorted({datum.time for _, datum in data if datum.time is not None}))
    backwards = [space.reactions.index(name) for kind, name in space.parameters if kind == "exchange"]
    timed = compile_instationary(network, moving) if moving else None
    pools = len(timed.pools) if timed else 0
    return Labelling(
        network,
        space,
        compile_plan(network, still) if still else None,
        timed,
        times,
        np.array(backwards, int),
        np.ones(pools),
        np.full(pools, -1),
    )
