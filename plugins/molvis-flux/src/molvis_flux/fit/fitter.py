"""The fit of fluxes as molvis's Fitter: distributions in, a posterior over free fluxes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from molvis_core.errors import MolvisError, RecordError, did_you_mean
from molvis_core.fitting import Fit, Fixed, Normal, Prior, Uniform
from molvis_core.records import Distribution, Record
from molvis_flux.errors import FluxSpaceError
from molvis_flux.fit.intervals import goodness, slope_at
from molvis_flux.fit.multistart import multistart
from molvis_flux.fit.problem import flux_problem
from molvis_flux.labelling.stationary import compile_plan
from molvis_flux.model.network import Datum, Network, Study
from molvis_flux.sampling.smc import posterior
from molvis_flux.space.flux_space import flux_space


class FluxFit:
    """Fluxes of one network from mass isotopomer distributions, with draws from the posterior.

    A record is the distribution of one fragment in one experiment: its identifier is the fragment's name, or
    `experiment/fragment` where there are several experiments. Parameters are the free fluxes, from which all others
    follow: `net/v2`, `exchange/v2`. Estimates are posterior means: where the data see nothing, those of the prior.

    Args:
        study: the network, and experiments with tracers. Measured fluxes in them count; distributions do not, they come
            as records.
        samples: draws from the posterior.
        starts: points that the least-squares fit starts from.
        sd: standard deviation of fractions of a record that states none.
        worst: a fit whose sum of squares is larger with less than this probability reports a problem.

    Raises:
        FluxSpaceError: no flux vector is possible, or some flux has no limit.
        RecordError: the study has no experiment.
    """

    def __init__(
        self, study: Study, *, samples: int = 500, starts: int = 8, sd: float = 0.01, worst: float = 1e-6
    ) -> None:
        if not study.experiments:
            raise RecordError(f"{study.network.name or 'the study'} has no experiment, so no tracer is known")
        self.study, self.samples, self.starts, self.sd, self.worst = study, samples, starts, sd, worst
        self.space = flux_space(study.network)
        self._free = [self.space.parameters[i] for i in self.space.free]
        every = [name for name, fragment in study.network.fragments.items() if fragment.kind == "ms"]
        bare = [replace(experiment, data=()) for experiment in study.experiments]
        self._plan = compile_plan(study.network, bare, every)

    def prior(self, records: Sequence[Record]) -> Prior:
        """Each free flux uniform between the smallest and the largest value that the constraints allow."""
        for record in records:
            self._place(record)
        return {
            f"{kind}/{name}": Uniform(*(float(x) for x in self.space.ranges[row]))
            for row, (kind, name) in zip(self.space.free, self._free, strict=True)
        }

    def simulate(self, values: Float[np.ndarray, " k"], like: Sequence[Record]) -> tuple[Record, ...]:
        """Distributions of the fragments of `like`, with their standard deviations.

        Raises:
            RecordError: values that the constraints do not allow, or a record of an unknown fragment.
        """
        values = np.asarray(values, float)
        if values.shape != (len(self._free),):
            raise RecordError(f"{values.shape} values; {len(self._free)} free fluxes are wanted: {self._names()}")
        if not bool(self.space.contains(values[None])[0]):
            raise RecordError(f"{dict(zip(self._names(), values.tolist(), strict=True))} violates the constraints")
        return self._records(self.space.values(values[None])[0], like)

    def fit(self, records: Sequence[Record], prior: Prior, *, seed: int = 0) -> Fit:
        """Draws from the posterior around the best of several least-squares fits."""
        names = tuple(name for name, belief in prior.items() if not isinstance(belief, Fixed))
        try:
            return self._fit(records, prior, names, seed)
        except MolvisError as error:
            return self._failed(records, prior, names, str(error))

    def _fit(self, records: Sequence[Record], prior: Prior, names: tuple[str, ...], seed: int) -> Fit:
        study = self._with(records, prior)
        beliefs = [
            (_split(name), belief.mean, belief.sd) for name, belief in prior.items() if isinstance(belief, Normal)
        ]
        problem = flux_problem(study, beliefs=beliefs)
        found = multistart(problem, starts=self.starts, seed=seed, tolerance=1e-5)
        drawn = posterior(problem, found.y[0], n=self.samples, seed=seed, uniform_exchange=True).samples
        place = [problem.map.names.index(_split(name)) for name in names]
        samples = drawn[:, place]
        means = drawn.mean(axis=0)
        good = goodness(problem, float(found.ssr[0]), slope_at(problem, found.y[0]))
        trouble = ""
        if good.freedom and good.p < self.worst:
            trouble = (
                f"no fluxes explain the data: a sum of squares of {good.ssr:.4g} where at most {good.high:.4g} is "
                "expected. The network lacks a reaction, or the errors are larger than stated"
            )
        covariance = np.cov(samples.T).reshape(len(names), len(names))
        fitted = self._records(means[: len(self.space.parameters)], records)
        return Fit(names, ("",) * len(names), samples.mean(axis=0), covariance, samples, fitted, trouble)

    def _failed(self, records: Sequence[Record], prior: Prior, names: tuple[str, ...], why: str) -> Fit:
        means, sds = [], []
        for name in names:
            belief = prior[name]
            if isinstance(belief, Normal):
                means.append(belief.mean)
                sds.append(belief.sd)
            elif isinstance(belief, Uniform):
                means.append((belief.low + belief.high) / 2)
                sds.append((belief.high - belief.low) / 12**0.5)
        return Fit(names, ("",) * len(names), np.array(means), np.diag(np.square(sds)), None, tuple(records), why)

    def _with(self, records: Sequence[Record], prior: Prior) -> Study:
        """The study with the records as its data and the prior's bounds on its fluxes."""
        known = set(self.space.parameters)
        reactions = dict(self.study.network.reactions)
        for name, belief in prior.items():
            kind, reaction = _split(name)
            if (kind, reaction) not in known:
                raise FluxSpaceError(f"the prior has {name!r}, which is no flux.{did_you_mean(name, self._names())}")
            if isinstance(belief, Normal):
                continue
            low, high = getattr(reactions[reaction], kind)
            if isinstance(belief, Fixed):
                bounds = (belief.value, belief.value)
            else:
                bounds = (max(low, belief.low), min(high, belief.high))
            reactions[reaction] = replace(reactions[reaction], **{kind: bounds})
        data: dict[str, list[Datum]] = {
            experiment.name: [datum for datum in experiment.data if datum.kind != "mid"]
            for experiment in self.study.experiments
        }
        for record in records:
            experiment, fragment = self._place(record)
            assert isinstance(record, Distribution)
            sd = np.full(len(record), self.sd) if record.sd is None else record.sd
            data[experiment].append(Datum(fragment, "mid", tuple(record.fractions.tolist()), tuple(sd.tolist())))
        network: Network = replace(self.study.network, reactions=reactions)
        experiments = tuple(replace(e, data=tuple(data[e.name])) for e in self.study.experiments)
        return Study(network, experiments)

    def _place(self, record: Record) -> tuple[str, str]:
        """Experiment and fragment of a record."""
        if not isinstance(record, Distribution):
            raise RecordError(f"a {type(record).__name__} was given; a Distribution is wanted")
        named = record.identifier or ""
        for experiment in self.study.experiments:
            for fragment in self.study.network.fragments:
                alone = len(self.study.experiments) == 1 and named == fragment
                if alone or named == f"{experiment.name}/{fragment}":
                    slot = self._plan.slot(experiment.name, fragment)
                    if len(record) > slot.stop - slot.start:
                        raise RecordError(f"{named!r} has {len(record)} fractions; {slot.stop - slot.start} are wanted")
                    return experiment.name, fragment
        known = [f"{e.name}/{f}" for e in self.study.experiments for f in self.study.network.fragments]
        raise RecordError(
            f"no fragment {named!r}: a record's identifier is that of a fragment, or experiment/fragment where there "
            f"are several.{did_you_mean(named, known)}"
        )

    def _records(self, values: Float[np.ndarray, " v"], like: Sequence[Record]) -> tuple[Record, ...]:
        net, exchange = self.space.net_and_exchange(values[None])
        found = self._plan.simulate(net, exchange)[0]
        out: list[Record] = []
        for record in like:
            slot = self._plan.slot(*self._place(record))
            assert isinstance(record, Distribution)
            out.append(Distribution(found[slot][: len(record)], record.sd, record.identifier))
        return tuple(out)

    def _names(self) -> list[str]:
        return [f"{kind}/{name}" for kind, name in self._free]


def _split(name: str) -> tuple[str, str]:
    kind, _, reaction = name.partition("/")
    return kind, reaction
