"""The neural estimator as a fitter: distributions or a study in, fluxes with their posterior out."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.errors import MolvisError, RecordError, did_you_mean
from molvis_core.fitting import Fit, Fixed, Normal, Prior, Uniform
from molvis_core.records import Distribution
from molvis_flux.errors import EstimatorError
from molvis_flux.fit.fitter import failed
from molvis_flux.formats.opening import read_study
from molvis_flux.labelling.prediction import simulated_study
from molvis_flux.model.network import Study
from molvis_flux.neural.estimator import (
    Data,
    Estimator,
    Measurement,
    check_experiment,
    check_network,
    collect,
    load_estimator,
)
from molvis_flux.neural.inference import SURE, unfinished
from molvis_flux.neural.posterior import weigh
from molvis_flux.sampling.importance import quantiles, resampled

log = logging.getLogger("molvis")


class NeuralFluxes:
    """Fluxes of a network that an estimator was trained for, from the mass isotopomers of some of its fragments.

    A record is the distribution of one fragment, named `experiment/fragment`, or after the fragment alone where there
    is one experiment. Or it is a whole study, as readers of networks yield it, with all data of its experiments.
    Parameters are the free fluxes: `net/pgi`, and `log10-exchange/pgi` where the training drew an exchange flux
    uniformly in its logarithm. A prior may be narrowed, or made normal; beyond it, balances and bounds always hold.

    Args:
        model: folder that `molvis flux train` made.
        study: the network with its experiments, or the file of them; refused unless the estimator was trained for
            both. Measured fluxes in them count; distributions do not, they come as records. Without it the measured
            fluxes are those of a study that comes as a record, if any.
        draws: from the posterior.
    """

    def __init__(self, model: str | Path, *, study: Study | str | Path | None = None, draws: int = 2000) -> None:
        self.model, self.draws = model, draws
        self.study = read_study(study) if isinstance(study, (str, Path)) else study

    @functools.cached_property
    def estimator(self) -> Estimator:
        """The trained estimator; read when first asked for.

        Raises:
            BundleError: the folder holds none, or it is damaged.
            EstimatorError: it was not trained for the study's network and tracers.
        """
        found = load_estimator(Path(self.model))
        if self.study is not None:
            check_network(found, self.study.network)
            for experiment in self.study.experiments:
                check_experiment(found, experiment, f"experiment {experiment.name!r}")
        return found

    @functools.cached_property
    def _names(self) -> tuple[str, ...]:
        space, logs = self.estimator.space, self.estimator.copula.logs
        parameters = [space.parameters[row] for row in space.free]
        return tuple(
            f"{'log10-' if log else ''}{kind}/{name}" for (kind, name), log in zip(parameters, logs, strict=True)
        )

    def prior(self, records: Sequence[Any]) -> Prior:
        """What balances and bounds leave each free flux; the balances may leave several together less.

        Raises:
            EstimatorError: a record is of another network, or of no known fragment.
        """
        for record in records:
            self._check(record)
        copula = self.estimator.copula
        ends = [
            knots[[0, -1]] / np.log(10) if log else knots[[0, -1]]
            for knots, log in zip(copula.knots, copula.logs, strict=True)
        ]
        return {name: Uniform(float(low), float(high)) for name, (low, high) in zip(self._names, ends, strict=True)}

    def simulate(self, values: Float[np.ndarray, " k"], like: Sequence[Any]) -> tuple[Any, ...]:
        """Distributions of the fragments of some records, or studies with such data.

        Raises:
            EstimatorError: a record is of another network or of no known fragment, or the fluxes violate the balances
                or bounds.
        """
        theta = self._theta(np.asarray(values, dtype=float)[None])
        if not self.estimator.space.contains(theta)[0]:
            raise EstimatorError(f"fluxes {dict(zip(self._names, values, strict=True))} violate a balance or a bound")
        for record in like:
            self._check(record)
        return self._records(theta, like)

    def fit(self, records: Sequence[Any], prior: Prior, *, seed: int = 0) -> Fit:
        """The posterior by importance sampling. Data that the network cannot explain come back with a problem."""
        names = self._names
        try:
            data, beliefs = self._collect(records), self._beliefs(prior)
        except MolvisError as error:
            return failed(records, prior, str(error))
        for note in (*unfinished(self.estimator), *data.notes):
            log.warning("%s", note)
        estimator = self.estimator

        def belief(theta: Float[np.ndarray, "s k"]) -> Float[np.ndarray, " s"]:
            shown, out = self._shown(theta), np.zeros(len(theta))
            for column, given in beliefs:
                if isinstance(given, Normal):
                    out -= 0.5 * ((shown[:, column] - given.mean) / given.sd) ** 2
                else:
                    out[(shown[:, column] < given.low) | (shown[:, column] > given.high)] = -np.inf
            return out

        posterior = estimator.posterior([data])
        found = weigh(
            estimator, data, posterior, draws=self.draws, enough=self.draws / 5, seed=seed,
            belief=belief if beliefs else None,
        )  # fmt: skip
        samples = self._shown(found.points[resampled(found.weight, self.draws)])
        values = quantiles(self._shown(found.points), found.weight, (0.5,))[0]
        best = found.points[[int(found.weight.argmax())]]
        covariance = np.cov(samples.T).reshape(len(names), len(names))
        problem = self._problem(data, estimator.simulate(best)[0], found.effective)
        return Fit(names, ("",) * len(names), values, covariance, samples, self._records(best, records), problem)

    def _records(self, theta: Float[np.ndarray, "1 k"], like: Sequence[Any]) -> tuple[Any, ...]:
        """What fluxes would give in place of some records."""
        estimator = self.estimator
        vector = estimator.simulate(theta)[0]
        fluxes = dict(zip(estimator.space.parameters, estimator.space.values(theta)[0].tolist(), strict=True))

        def in_place_of(record: Any) -> Distribution | Study:
            if isinstance(record, Study):
                return simulated_study(record, estimator.plan, vector[: estimator.plan.size], fluxes)
            part = self._part(record)
            return Distribution(vector[part.start : part.stop], record.sd, record.identifier)

        return tuple(in_place_of(record) for record in like)

    def _theta(self, shown: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
        return np.where(self.estimator.copula.logs, 10.0 ** np.where(self.estimator.copula.logs, shown, 0), shown)

    def _shown(self, theta: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
        logs = self.estimator.copula.logs
        return np.where(logs, np.log10(np.where(logs, theta, 1.0)), theta)

    def _check(self, record: Any) -> None:
        """That a record is of the training's network.

        Raises:
            EstimatorError: it is not.
        """
        if isinstance(record, Study):
            check_network(self.estimator, record.network)
        else:
            self._part(record)

    def _part(self, record: Any) -> Measurement:
        if not isinstance(record, Distribution):
            raise RecordError(f"a record must be a Distribution or a Study, got a {type(record).__name__}")
        parts = [part for part in self.estimator.measurements if part.kind == "mid"]
        single = len({part.experiment for part in parts}) == 1
        known = {f"{part.experiment}/{part.target}": part for part in parts}
        if single:
            known |= {part.target: part for part in parts}
        part = known.get(record.identifier or "")
        if part is None:
            raise EstimatorError(
                f"no fragment {record.identifier!r} in the training.{did_you_mean(record.identifier or '', known)} "
                "Records are named experiment/fragment"
            )
        if len(record) != part.stop - part.start:
            raise EstimatorError(f"{record.identifier}: {len(record)} fractions; {part.stop - part.start} are expected")
        return part

    def _collect(self, records: Sequence[Any]) -> Data:
        if any(isinstance(record, Study) for record in records):
            if len(records) > 1 or self.study is not None:
                raise RecordError("a study must be the only record, of a fitter that was not given another")
            return collect(self.estimator, records[0])
        values, sd, there = self._measured_fluxes()
        for record in records:
            part = self._part(record)
            if record.sd is None or not (record.sd > 0).all():
                raise EstimatorError(f"{record.identifier}: its standard deviations are expected, all positive")
            if not -0.2 < record.fractions.sum() - 1 < 0.2:
                raise EstimatorError(
                    f"{record.identifier}: its fractions add up to {record.fractions.sum():.3g}, not to 1"
                )
            rows = slice(part.start, part.stop)
            values[rows], sd[rows], there[rows] = record.fractions, record.sd, True
        if not there.any():
            raise EstimatorError("no records; at least one fragment is expected")
        return Data(values, sd, there)

    def _measured_fluxes(
        self,
    ) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"], Bool[np.ndarray, " d"]]:
        """Values, standard deviations, and which were measured: of the fluxes that the fitter's study has data of."""
        size = self.estimator.measurements[-1].stop
        experiments = () if self.study is None else self.study.experiments
        bare = [replace(e, data=tuple(d for d in e.data if d.kind in ("net", "exchange"))) for e in experiments]
        if self.study is None or not any(e.data for e in bare):
            return np.zeros(size), np.ones(size), np.zeros(size, dtype=bool)
        found = collect(self.estimator, replace(self.study, experiments=tuple(bare)))
        return found.values, found.sd, found.there

    def _beliefs(self, prior: Prior) -> list[tuple[int, Normal | Uniform]]:
        out: list[tuple[int, Normal | Uniform]] = []
        usual = self.prior(())
        for name, given in prior.items():
            if name not in usual:
                raise EstimatorError(f"no parameter {name!r}.{did_you_mean(name, usual)}")
            if isinstance(given, Fixed):
                raise EstimatorError(f"{name} is fixed; train an estimator for a network in which it is")
            if given != usual[name]:
                out.append((self._names.index(name), given))
        return out

    @staticmethod
    def _problem(data: Data, simulated: Float[np.ndarray, " d"], effective: float) -> str:
        from scipy.stats import chi2

        ssr = float(((((simulated - data.values) / data.sd)[data.there]) ** 2).sum())
        # Not refined: the best draw's sum is somewhat above the least, so that the test is on the lenient side.
        limit = float(chi2.isf(SURE, int(data.there.sum())))
        if ssr > 1.2 * limit:
            return f"no fluxes explain the data: a sum of squares of {ssr:.4g}, where {limit:.4g} is the limit"
        return "" if effective >= 20 else f"the posterior rests on {effective:.0f} draws: use flux-fit"
