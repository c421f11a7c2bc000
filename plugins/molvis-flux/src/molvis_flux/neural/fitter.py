"""The neural estimator as a fitter: distributions in, fluxes with their posterior out."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from molvis_core.errors import MolvisError, did_you_mean
from molvis_core.fitting import Fit, Fixed, Normal, Prior, Uniform
from molvis_core.records import Distribution
from molvis_flux.errors import EstimatorError
from molvis_flux.neural.estimator import Data, Estimator, Measurement, load_estimator
from molvis_flux.neural.inference import SURE
from molvis_flux.neural.posterior import weigh
from molvis_flux.sampling.importance import quantiles, resampled


class NeuralFluxes:
    """Fluxes of a network that an estimator was trained for, from the mass isotopomers of some of its fragments.

    Parameters are the free fluxes: `net/pgi`, and `log10-exchange/pgi` where the training drew an exchange flux
    uniformly in its logarithm. Records are named `experiment/fragment`, or after the fragment alone where there is one
    experiment. A prior may be narrowed, or made normal; beyond it, balances and bounds always hold.

    Args:
        model: folder that `molvis flux train` made.
        draws: from the posterior.
    """

    def __init__(self, model: str, *, draws: int = 2000) -> None:
        self.model, self.draws = model, draws

    @functools.cached_property
    def estimator(self) -> Estimator:
        """The trained estimator; read when first asked for."""
        return load_estimator(Path(self.model))

    @functools.cached_property
    def _names(self) -> tuple[str, ...]:
        space, logs = self.estimator.space, self.estimator.copula.logs
        parameters = [space.parameters[row] for row in space.free]
        return tuple(
            f"{'log10-' if log else ''}{kind}/{name}" for (kind, name), log in zip(parameters, logs, strict=True)
        )

    def prior(self, records: Sequence[Distribution]) -> Prior:
        """What balances and bounds leave each free flux; the balances may leave several together less."""
        for record in records:
            self._part(record)
        copula = self.estimator.copula
        ends = [
            knots[[0, -1]] / np.log(10) if log else knots[[0, -1]]
            for knots, log in zip(copula.knots, copula.logs, strict=True)
        ]
        return {name: Uniform(float(low), float(high)) for name, (low, high) in zip(self._names, ends, strict=True)}

    def simulate(self, values: Float[np.ndarray, " k"], like: Sequence[Distribution]) -> tuple[Distribution, ...]:
        """Distributions of the fragments of some records.

        Raises:
            EstimatorError: a record is of no known fragment, or the fluxes violate the balances or bounds.
        """
        theta = self._theta(np.asarray(values, dtype=float)[None])
        if not self.estimator.space.contains(theta)[0]:
            raise EstimatorError(f"fluxes {dict(zip(self._names, values, strict=True))} violate a balance or a bound")
        vector = self.estimator.simulate(theta)[0]
        parts = [self._part(record) for record in like]
        return tuple(
            Distribution(vector[part.start : part.stop], record.sd, record.identifier)
            for part, record in zip(parts, like, strict=True)
        )

    def fit(self, records: Sequence[Distribution], prior: Prior, *, seed: int = 0) -> Fit:
        """The posterior by importance sampling. Data that the network cannot explain come back with a problem."""
        names = self._names
        try:
            data, beliefs = self._collect(records), self._beliefs(prior)
        except MolvisError as error:
            empty = np.full((len(names), len(names)), np.nan)
            return Fit(names, self._units, np.full(len(names), np.nan), empty, None, (), str(error))
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
            estimator, data, posterior, draws=self.draws, wanted=self.draws / 5, seed=seed,
            belief=belief if beliefs else None,
        )  # fmt: skip
        samples = self._shown(found.points[resampled(found.weight, self.draws)])
        values = quantiles(self._shown(found.points), found.weight, (0.5,))[0]
        best = estimator.simulate(found.points[[int(found.weight.argmax())]])[0]
        simulated = tuple(
            Distribution(best[part.start : part.stop], record.sd, record.identifier)
            for part, record in zip(map(self._part, records), records, strict=True)
        )
        covariance = np.cov(samples.T).reshape(len(names), len(names))
        return Fit(
            names, self._units, values, covariance, samples, simulated, self._problem(data, best, found.effective)
        )

    @property
    def _units(self) -> tuple[str, ...]:
        return ("",) * len(self._names)

    def _theta(self, shown: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
        return np.where(self.estimator.copula.logs, 10.0 ** np.where(self.estimator.copula.logs, shown, 0), shown)

    def _shown(self, theta: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
        logs = self.estimator.copula.logs
        return np.where(logs, np.log10(np.where(logs, theta, 1.0)), theta)

    def _part(self, record: Distribution) -> Measurement:
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

    def _collect(self, records: Sequence[Distribution]) -> Data:
        size = self.estimator.measurements[-1].stop
        values, sd, there = np.zeros(size), np.ones(size), np.zeros(size, dtype=bool)
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
