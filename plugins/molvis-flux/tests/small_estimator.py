"""A network of two free fluxes that an estimator learns in seconds, and data of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from molvis_flux.model.examples import antoniewicz
from molvis_flux.model.network import Datum, Experiment, Fragment, Network, Study, Tracer
from molvis_flux.neural.estimator import Estimator, Settings

SMALL = Settings(noise=(0.005, 0.03), steps=120, batch=128, simulations=3000, width=32, depth=1, components=3)


def model() -> Network:
    """The EMU paper's network with an uptake of 1, so that the split of B and one exchange flux are free."""
    made = dataclasses.replace(antoniewicz().network, name="small")
    reactions = dict(made.reactions)
    reactions["v1"] = dataclasses.replace(reactions["v1"], net=(1.0, 1.0))
    reactions["v2"] = dataclasses.replace(reactions["v2"], net=(-10.0, 10.0), exchange=(1e-3, 1.0))
    fragments = {
        name: Fragment(name, ((1.0, name, atoms),), ("C",) * len(atoms))
        for name, atoms in (("B", (0, 1, 2)), ("C", (0, 1)), ("D", (0, 1, 2)), ("F", (0, 1, 2)))
    }
    return dataclasses.replace(made, reactions=reactions, fragments=fragments)


def study() -> Study:
    tracers = {"middle": "010", "first": "100"}
    return Study(model(), tuple(Experiment(n, {"A": Tracer(((p, 1.0),))}) for n, p in tracers.items()))


def measured(estimator: Estimator, clean: np.ndarray, names: Sequence[str] | None = None, sd: float = 0.01) -> Study:
    """A study with data of some fragments, `experiment/fragment`; of all without names."""
    experiments: list[Experiment] = []
    for experiment in estimator.study.experiments:
        data = tuple(
            Datum(
                m.target, "mid", tuple(clean[m.start : m.stop].tolist()), (sd,) * (m.stop - m.start), where="data.csv:7"
            )
            for m in estimator.measurements
            if m.experiment == experiment.name and (names is None or f"{m.experiment}/{m.target}" in names)
        )
        experiments.append(dataclasses.replace(experiment, data=data))
    return dataclasses.replace(estimator.study, experiments=tuple(experiments))
