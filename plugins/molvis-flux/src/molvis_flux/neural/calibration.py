"""How often intervals hold the truth, and the factors that make them hold it as often as their level."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float

from molvis_flux.neural.estimator import MISSING, Data, Estimator, simulate
from molvis_flux.neural.posterior import ensemble_draws, neural_draws
from molvis_flux.sampling.prior import sample

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Interval levels that are calibrated."""


def held_out(estimator: Estimator, n: int, seed: int) -> tuple[Float[np.ndarray, "n v"], Float[np.ndarray, "n d"]]:
    """Fluxes that the training did not see, and their data without noise: a random stream of their own."""
    space = estimator.space
    values = sample(space, n, seed + 7_919_000)
    return values, simulate(space, estimator.plan, estimator.measurements, values)


def with_missing(
    estimator: Estimator,
    clean: Float[np.ndarray, " d"],
    missing: float,
    rng: np.random.Generator,
    sd: float | None = None,
) -> Data:
    """One sample's data: noise, and a share of its measurements missing. At least one is there.

    Args:
        estimator: whose measurements they are.
        clean: data without noise.
        missing: share that is missing.
        rng: of the draws.
        sd: of mass isotopomer fractions; drawn from the training's range where not given.
    """
    parts = estimator.measurements
    level = rng.random()
    each = np.array([math.exp(math.log(a) + level * math.log(b / a)) for a, b in (part.noise for part in parts)])
    if sd is not None:
        each[[part.kind == "mid" for part in parts]] = sd
    keep = np.zeros(len(parts), dtype=bool)
    keep[rng.permutation(len(parts))[: max(1, round(len(parts) * (1 - missing)))]] = True
    repeats = [part.stop - part.start for part in parts]
    sds, there = np.repeat(each, repeats), np.repeat(keep, repeats)
    values = clean + sds * rng.standard_normal(len(clean))
    return Data(np.where(there, values, 0), np.where(there, sds, 1), there)


def calibrate(
    estimator: Estimator, *, n: int = 300, draws: int = 400
) -> tuple[dict[str, Float[np.ndarray, "l v"]], dict[str, float]]:
    """Factors by which intervals of the neural posterior are to be widened about their median, from held-out fluxes.

    Split conformal prediction, for each level, share of missing measurements, and flux: Romano, Patterson and Candès,
    doi:10.48550/arXiv.1905.03222, with the interval scaled instead of shifted.

    Returns:
        The factors, and the coverage of 90% intervals before and the mean log density of held-out fluxes.
    """
    space, rng = estimator.space, np.random.default_rng(estimator.settings.seed + 1)
    values, clean = held_out(estimator, n, estimator.settings.seed)
    goal = torch.from_numpy(estimator.copula.normal(space.coordinates(values))).float()
    factors = {f"{level:g}": np.ones((len(MISSING), len(space.parameters))) for level in LEVELS}
    metrics: dict[str, float] = {}
    moving = space.ranges[:, 1] > space.ranges[:, 0]
    for row, missing in enumerate(MISSING):
        data = [with_missing(estimator, clean[i], missing, rng) for i in range(n)]
        posterior = estimator.posterior(data)
        metrics[f"log_density_{missing:g}"] = float(posterior.log_prob(goal).mean())
        found = np.stack([
            space.values(theta) for theta in neural_draws(estimator, posterior, draws, estimator.settings.seed)
        ])  # fmt: skip
        for level in LEVELS:
            low, middle, high = np.quantile(found, [(1 - level) / 2, 0.5, (1 + level) / 2], axis=1)
            ratio = _reaches(values, low, middle, high)
            rank = min(1.0, math.ceil((n + 1) * level) / n)
            factors[f"{level:g}"][row, moving] = np.quantile(ratio[:, moving], rank, axis=0, method="higher")
            if level == 0.9:
                metrics[f"coverage_{missing:g}"] = float((ratio[:, moving] <= 1).mean())
    return factors, metrics


def calibrate_ensemble(estimator: Estimator, *, n: int = 24, draws: int = 2000) -> dict[str, Float[np.ndarray, "l v"]]:
    """Factors for the intervals of `ensemble`, as `calibrate` finds them for the neural posterior.

    Chains that have not mixed make intervals too narrow. As each case takes as long as an estimate there are few: net
    fluxes share a factor at each level, whatever is missing, and so do exchange fluxes. Intervals then hold as often as
    their level on average over fluxes, not for each.

    Args:
        estimator: with more free fluxes than importance sampling can do.
        n: held-out fluxes at each share of missing measurements.
        draws: of each.

    Returns:
        The factors, by `ensemble/` and the level.
    """
    space, rng = estimator.space, np.random.default_rng(estimator.settings.seed + 2)
    values, clean = held_out(estimator, n * len(MISSING), estimator.settings.seed)
    edges = [0.5, *(share for level in LEVELS for share in ((1 - level) / 2, (1 + level) / 2))]
    found = np.empty((len(values), len(edges), len(space.parameters)))
    for i, truth in enumerate(clean):
        data = with_missing(estimator, truth, MISSING[i % len(MISSING)], rng)
        theta = ensemble_draws(estimator, data, estimator.posterior([data]), draws=draws, seed=i).points
        found[i] = np.quantile(space.values(theta), edges, axis=0)
    moving = space.ranges[:, 1] > space.ranges[:, 0]
    exchange = np.array([kind == "exchange" for kind, _ in space.parameters])
    out: dict[str, Float[np.ndarray, "l v"]] = {}
    for which, level in enumerate(LEVELS):
        factors = out[f"ensemble/{level:g}"] = np.ones((len(MISSING), len(space.parameters)))
        ratio = _reaches(values, found[:, 1 + 2 * which], found[:, 0], found[:, 2 + 2 * which])
        for chosen in (moving & exchange, moving & ~exchange):
            if chosen.any():
                factors[:, chosen] = np.quantile(ratio[:, chosen], level)
    return out


def _reaches(
    values: Float[np.ndarray, "n v"],
    low: Float[np.ndarray, "n v"],
    middle: Float[np.ndarray, "n v"],
    high: Float[np.ndarray, "n v"],
) -> Float[np.ndarray, "n v"]:
    """Factors by which intervals would have to be widened about their middle to hold values."""
    away = values - middle
    reach = np.where(away > 0, high - middle, middle - low)
    return np.abs(away) / np.maximum(reach, 1e-12)


def widened(
    estimator: Estimator, values: Float[np.ndarray, "s v"], missing: float, level: float, *, ensemble: bool = False
) -> tuple[Float[np.ndarray, " v"], Float[np.ndarray, "v 2"]]:
    """Medians of draws, neural or of an ensemble, and intervals calibrated for a share of missing measurements."""
    low, middle, high = np.quantile(values, [(1 - level) / 2, 0.5, (1 + level) / 2], axis=0)
    table = estimator.calibration.get(f"ensemble/{level:g}" if ensemble else f"{level:g}")
    if table is not None:
        factor = np.array([np.interp(missing, MISSING, table[:, i]) for i in range(table.shape[1])])
        low, high = middle - factor * (middle - low), middle + factor * (high - middle)
    ranges = estimator.space.ranges
    return middle, np.clip(np.stack([low, high], axis=1), ranges[:, :1], ranges[:, 1:])
