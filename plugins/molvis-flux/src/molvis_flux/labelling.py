"""The simulation behind a fit: from the values of a fit's coordinates to labelling, with derivatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from molvis_flux.levenberg import FitError
from molvis_flux.network import Datum, Experiment, Network
from molvis_flux.polytope import FluxSpace
from molvis_flux.simulation import Plan, compile_plan


@dataclass(frozen=True, eq=False, slots=True)
class Labelling:
    """A stationary simulation of what was measured.

    Attributes:
        plan: the compiled network.
        space: of the fluxes.
        backwards: reactions with an exchange flux, in the order of the space's parameters.
    """

    plan: Plan
    space: FluxSpace
    backwards: Int[np.ndarray, " b"]

    def simulate(self, values: Float[np.ndarray, "n v"]) -> Float[np.ndarray, "n d"]:
        """Mass isotopomers in the plan's layout."""
        return self.plan.simulate(*self.space.net_and_exchange(values[:, : len(self.space.parameters)]))

    def tangents(
        self, values: Float[np.ndarray, "n v"], directions: Float[np.ndarray, "v k"]
    ) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d k"]]:
        """Mass isotopomers, and how they change along directions in the space of values."""
        reactions, fluxes = len(self.space.reactions), len(self.space.parameters)
        exchange = np.zeros((reactions, directions.shape[1]))
        exchange[self.backwards] = directions[reactions:fluxes]
        moving = np.flatnonzero(directions[:fluxes].any(axis=0))
        found, slopes = self.plan.tangents(
            *self.space.net_and_exchange(values[:, :fluxes]), directions[:reactions, moving], exchange[:, moving]
        )
        if len(moving) == directions.shape[1]:
            return found, slopes
        out = np.zeros((*found.shape, directions.shape[1]))
        out[:, :, moving] = slopes
        return found, out

    def observation(self, experiment: str, fragment: str, datum: Datum) -> tuple[list[int], Float[np.ndarray, "c d"]]:
        """Columns of the simulation that a fragment's measured numbers are made of, and with which weights.

        Raises:
            FitError: more numbers than the fragment has mass isotopomers.
        """
        slot = self.plan.slot(experiment, fragment)
        columns = list(range(slot.start, slot.stop))
        if len(datum.values) > len(columns):
            place = datum.where or f"experiment {experiment!r}"
            raise FitError(
                f"{place}: {len(datum.values)} numbers for fragment {datum.target!r}, whose {len(columns) - 1} traced "
                f"mass units give {len(columns)}; correct them for natural abundance, or say that they are not"
            )
        return columns, np.eye(len(columns))[: len(datum.values)]


def labelling(
    network: Network,
    space: FluxSpace,
    experiments: Sequence[Experiment],
    data: Sequence[tuple[Experiment, Datum]],
    parts: Mapping[str, tuple[str, ...]],
    pools: tuple[str, ...],
) -> Labelling:
    """Compile what a fit has to simulate.

    Args:
        network: with each part of a mixed fragment as a fragment.
        space: of the fluxes.
        experiments: tracers.
        data: the mass isotopomer distributions that count.
        parts: of mixed fragments.
        pools: whose sizes are fitted.
    """
    asked: list[Experiment] = []
    for experiment in experiments:
        wanted = [datum for at, datum in data if at is experiment]
        if wanted:
            named = [replace(d, target=part) for d in wanted for part in parts.get(d.target, (d.target,))]
            asked.append(replace(experiment, data=tuple(named)))
    backwards = [space.reactions.index(name) for kind, name in space.parameters if kind == "exchange"]
    return Labelling(compile_plan(network, asked), space, np.array(backwards, int))
