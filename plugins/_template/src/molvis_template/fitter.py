"""Measurements back to the parameters of a simulation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares

from molvis_core import Trace
from molvis_core.errors import ConfigError
from molvis_core.fitting import Fit, Fixed, Normal, Prior, Uniform

UNITS = {"band/center": "cm^-1", "band/width": "cm^-1", "band/height": ""}


class BandFitter:
    """One Gaussian band in every trace of a sample, by maximum a posteriori; errors from the curvature there.

    Args:
        noise: standard deviation of the absorbance.
    """

    def __init__(self, noise: float = 0.01) -> None:
        if not noise > 0:
            raise ConfigError(f"template-band: noise must be positive, got {noise}")
        self.noise = noise

    def prior(self, records: Sequence[Trace]) -> Prior:
        """A band at the highest point of the first trace, to edit and hand to `fit`."""
        trace = records[0]
        highest = int(trace.y.argmax())
        return {
            "band/center": Normal(float(trace.x[highest]), 20.0),
            "band/width": Normal(20.0, 3.0),
            "band/height": Normal(max(float(trace.y[highest]), 0.1), 0.1),
        }

    def simulate(self, values: Float[np.ndarray, " k"], like: Sequence[Trace]) -> tuple[Trace, ...]:
        """What would be measured, on the axes of `like`."""
        center, width, height = values
        return tuple(Trace(r.x, height * np.exp(-0.5 * ((r.x - center) / width) ** 2)) for r in like)

    def fit(self, records: Sequence[Trace], prior: Prior, *, seed: int = 0) -> Fit:
        """Estimate. Nothing is drawn, so that `seed` changes nothing."""
        del seed
        values = np.array([_mean_and_sd(prior[name])[0] for name in UNITS])
        free = [i for i, name in enumerate(UNITS) if not isinstance(prior[name], Fixed)]
        names = [list(UNITS)[i] for i in free]
        mean, sd = np.array([_mean_and_sd(prior[name]) for name in names]).reshape(-1, 2).T

        def residuals(estimate: np.ndarray) -> np.ndarray:
            values[free] = estimate
            simulated = self.simulate(values, records)
            measured = [(s.y - r.y) / self.noise for s, r in zip(simulated, records, strict=True)]
            return np.concatenate([*measured, (estimate - mean) / sd])

        points, found = sum(len(r) for r in records), None
        if free and points >= len(free):
            found = least_squares(residuals, mean, x_scale=sd)
            values[free] = found.x
        problem = "" if found and found.success else f"{points} points do not determine {len(free)} parameters"
        # At the maximum the posterior's covariance is the inverse of J^T J, J being the Jacobian of the residuals.
        covariance = np.linalg.inv(found.jac.T @ found.jac) if found else np.diag(sd**2)
        return Fit(
            names=tuple(names),
            units=tuple(UNITS[name] for name in names),
            values=values[free],
            covariance=covariance,
            samples=None,
            simulated=self.simulate(values, records),
            problem=problem,
        )


def _mean_and_sd(belief: Normal | Uniform | Fixed) -> tuple[float, float]:
    """Of a normal distribution that stands for the belief."""
    if isinstance(belief, Normal):
        return belief.mean, belief.sd
    if isinstance(belief, Uniform):
        return (belief.low + belief.high) / 2, (belief.high - belief.low) / 12**0.5
    return belief.value, 0.0
