"""The fit of fluxes as molvis's Fitter: distributions in, a posterior over free fluxes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from molvis_core.errors import MolvisError, RecordError, did_you_mean
from molvis_core.fitting import Fit, Fixed, Normal, Prior, Uniform
from molvis_core.records import Distribution
from molvis_flux.errors import FluxSpaceError
from molvis_flux.fit.defaults import SAMPLES, STARTS
from molvis_flux.fit.intervals import goodness, slope_at, unexplained
from molvis_flux.fit.multistart import multistart
from molvis_flux.fit.problem import flux_problem
from molvis_flux.formats.opening import read_study
from molvis_flux.labelling.prediction import simulated_study
from molvis_flux.labelling.stationary import compile_plan
from molvis_flux.model.network import Datum, Study
from molvis_flux.sampling.smc import posterior
from molvis_flux.space.flux_space import flux_space


class FluxFit:
    """Fluxes of one network from mass isotopomer distributions, with draws from the posterior.

    A record is the distribution of one fragment in one experiment: its identifier is the fragment's name, or
    `experiment/fragment` where there are several experiments. Or it is a whole study, as readers of networks yield it,
    with all data of its experiments. Parameters are the free fluxes, from which all others follow: `net/v2`,
    `exchange/v2`. Estimates are posterior means: where the data see nothing, those of the prior.

    Args:
        study: the network, and experiments with tracers; or the file of them. Measured fluxes in them count;
            distributions do not, they come as records. Without it the one record is a study.
        samples: draws from the posterior.
        starts: points that the least-squares fit starts from.
        sd: standard deviation of fractions of a record that states none.
        worst: a fit whose sum of squares is larger with less than this probability reports a problem.

    Raises:
        FluxSpaceError: no flux vector is possible, or some flux has no limit.
        RecordError: the study has no experiment.
    """

    def __init__(
        self,
        study: Study | str | Path | None = None,
        *,
        samples: int = SAMPLES,
        starts: int = STARTS,
        sd: float = 0.01,
        worst: float = 1e-6,
    ) -> None:
        self.samples, self.starts, self.sd, self.worst = samples, starts, sd, worst
        given = read_study(study) if isinstance(study, (str, Path)) else study
        self._model = None if given is None else _Model(given, sd)

    def prior(self, records: Sequence[Any]) -> Prior:
        """Each free flux uniform between the smallest and the largest value that the constraints allow.

        Raises:
            RecordError: a record of an unknown fragment.
        """
        model = self._model_of(records)
        model.check(records)
        return {
            name: Uniform(*(float(x) for x in model.space.ranges[row]))
            for row, name in zip(model.space.free, model.names, strict=True)
        }

    def simulate(self, values: Float[np.ndarray, " k"], like: Sequence[Any]) -> tuple[Any, ...]:
        """Distributions of the fragments of `like`, with their standard deviations.

        Raises:
            RecordError: values that the constraints do not allow, or a record of an unknown fragment.
        """
        model, values = self._model_of(like), np.asarray(values, float)
        if values.shape != (len(model.names),):
            raise RecordError(f"values must be those of the free fluxes {model.names}, got shape {values.shape}")
        if not bool(model.space.contains(values[None])[0]):
            raise RecordError(f"{dict(zip(model.names, values.tolist(), strict=True))} violates the constraints")
        return model.records(model.space.values(values[None])[0], like)

    def fit(self, records: Sequence[Any], prior: Prior, *, seed: int = 0) -> Fit:
        """Draws from the posterior around the best of several least-squares fits."""
        names = tuple(name for name, belief in prior.items() if not isinstance(belief, Fixed))
        try:
            return self._fit(records, prior, names, seed)
        except MolvisError as error:
            return failed(records, prior, str(error))

    def _fit(self, records: Sequence[Any], prior: Prior, names: tuple[str, ...], seed: int) -> Fit:
        model = self._model_of(records)
        beliefs = [
            (_split(name), belief.mean, belief.sd) for name, belief in prior.items() if isinstance(belief, Normal)
        ]
        problem = flux_problem(model.study_of(records, prior), beliefs=beliefs)
        found = multistart(problem, starts=self.starts, seed=seed)
        drawn = posterior(problem, found.y[0], n=self.samples, seed=seed, uniform_exchange=True).samples
        samples, means = drawn[:, [problem.map.names.index(_split(name)) for name in names]], drawn.mean(axis=0)
        trouble = unexplained(goodness(problem, float(found.ssr[0]), slope_at(problem, found.y[0])), self.worst)
        covariance = np.cov(samples.T).reshape(len(names), len(names))
        fitted = model.records(means[: len(model.space.parameters)], records)
        return Fit(names, ("",) * len(names), samples.mean(axis=0), covariance, samples, fitted, trouble)

    def _model_of(self, records: Sequence[Any]) -> _Model:
        if not any(isinstance(record, Study) for record in records):
            if self._model is None:
                raise RecordError("there is no study: give the fitter one, or a study as its record")
            return self._model
        if len(records) > 1 or self._model is not None:
            raise RecordError("a study must be the only record, of a fitter that was not given another")
        return _Model(records[0], self.sd)


class _Model:
    """What is fixed in a fit: the network, its experiments, the space of its fluxes and its simulation."""

    def __init__(self, study: Study, sd: float) -> None:
        if not study.experiments:
            raise RecordError(f"{study.network.name or 'the study'} has no experiment, so no tracer is known")
        self.study, self.sd, self.space = study, sd, flux_space(study.network)
        self.names = ["/".join(self.space.parameters[i]) for i in self.space.free]
        every = [name for name, fragment in study.network.fragments.items() if fragment.kind == "ms"]
        bare = [replace(experiment, data=()) for experiment in study.experiments]
        self.plan = compile_plan(study.network, bare, every)

    def check(self, records: Sequence[Any]) -> None:
        """Every record is of a known fragment."""
        for record in records:
            if not isinstance(record, Study):
                self._place(record)

    def study_of(self, records: Sequence[Any], prior: Prior) -> Study:
        """The study with the records as its data and the prior's bounds on its fluxes."""
        network = replace(self.study.network, reactions=self._bounded(prior))
        if any(isinstance(record, Study) for record in records):
            return Study(network, self.study.experiments, pools=self.study.pools)
        data: dict[str, list[Datum]] = {
            experiment.name: [datum for datum in experiment.data if datum.kind != "mid"]
            for experiment in self.study.experiments
        }
        for record in records:
            experiment, fragment = self._place(record)
            sd = np.full(len(record), self.sd) if record.sd is None else record.sd
            data[experiment].append(Datum(fragment, "mid", tuple(record.fractions.tolist()), tuple(sd.tolist())))
        return Study(network, tuple(replace(e, data=tuple(data[e.name])) for e in self.study.experiments))

    def records(self, values: Float[np.ndarray, " v"], like: Sequence[Any]) -> tuple[Any, ...]:
        """What values would give in place of some records."""
        net, exchange = self.space.net_and_exchange(values[None])
        found = self.plan.simulate(net, exchange)[0]
        fluxes = dict(zip(self.space.parameters, values.tolist(), strict=True))

        def in_place_of(record: Any) -> Distribution | Study:
            if isinstance(record, Study):
                return simulated_study(record, self.plan, found, fluxes)
            slot = self.plan.slot(*self._place(record))
            return Distribution(found[slot][: len(record)], record.sd, record.identifier)

        return tuple(in_place_of(record) for record in like)

    def _bounded(self, prior: Prior) -> dict[str, Any]:
        """Reactions within the prior's bounds."""
        known, reactions = set(self.space.parameters), dict(self.study.network.reactions)
        for name, belief in prior.items():
            kind, reaction = _split(name)
            if (kind, reaction) not in known:
                raise FluxSpaceError(f"the prior has {name!r}, which is no flux.{did_you_mean(name, self.names)}")
            if isinstance(belief, Normal):
                continue
            low, high = getattr(reactions[reaction], kind)
            if isinstance(belief, Fixed):
                bounds = (belief.value, belief.value)
            else:
                bounds = (max(low, belief.low), min(high, belief.high))
            reactions[reaction] = replace(reactions[reaction], **{kind: bounds})
        return reactions

    def _place(self, record: Any) -> tuple[str, str]:
        """Experiment and fragment of a record."""
        if not isinstance(record, Distribution):
            raise RecordError(f"a record must be a Distribution, got a {type(record).__name__}")
        named = record.identifier or ""
        for experiment in self.study.experiments:
            for fragment in self.study.network.fragments:
                alone = len(self.study.experiments) == 1 and named == fragment
                if alone or named == f"{experiment.name}/{fragment}":
                    slot = self.plan.slot(experiment.name, fragment)
                    if len(record) > slot.stop - slot.start:
                        raise RecordError(
                            f"{named!r} has {len(record)} fractions; there are {slot.stop - slot.start} in the network"
                        )
                    return experiment.name, fragment
        known = [f"{e.name}/{f}" for e in self.study.experiments for f in self.study.network.fragments]
        raise RecordError(
            f"no fragment {named!r}: a record's identifier is that of a fragment, or experiment/fragment where there "
            f"are several.{did_you_mean(named, known)}"
        )


def failed(records: Sequence[Any], prior: Prior, why: str) -> Fit:
    """A fit that knows no more than its prior, and why."""
    means: dict[str, float] = {}
    sds: list[float] = []
    for name, belief in prior.items():
        if isinstance(belief, Normal):
            means[name] = belief.mean
            sds.append(belief.sd)
        elif isinstance(belief, Uniform):
            means[name] = (belief.low + belief.high) / 2
            sds.append((belief.high - belief.low) / 12**0.5)
    units, values = ("",) * len(means), np.array([*means.values()], float)
    return Fit(tuple(means), units, values, np.diag(np.square(sds)), None, tuple(records), why)


def _split(name: str) -> tuple[str, str]:
    kind, _, reaction = name.partition("/")
    return kind, reaction
