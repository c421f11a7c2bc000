"""Contracts of fitters."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence, Sized
from typing import Any, cast

import numpy as np

from molvis_core import interfaces
from molvis_core.fitting import Fit, Fixed, Normal, Prior, Section, Uniform
from molvis_core.records import Trace
from molvis_core.testing.checks._contract import ContractError, contract, require


def draw(prior: Prior, rng: np.random.Generator) -> np.ndarray:
    """Values of the parameters as the prior believes them, in its order."""
    values = []
    for belief in prior.values():
        if isinstance(belief, Normal):
            values.append(rng.normal(belief.mean, belief.sd))
        elif isinstance(belief, Uniform):
            values.append(rng.uniform(belief.low, belief.high))
        else:
            values.append(belief.value)
    return np.array(values)


def _free(prior: Prior) -> list[str]:
    return [name for name, belief in prior.items() if not isinstance(belief, Fixed)]


def _succeeded(fit: Fit) -> Fit:
    require(not fit.problem, f"a fit of data simulated from the prior failed: {fit.problem}")
    return fit


def binomial_range(trials: int, probability: float, tail: float = 1e-4) -> tuple[int, int]:
    """Smallest and largest count that are not less likely, together with what lies beyond them, than `tail`."""
    mass = [math.comb(trials, k) * probability**k * (1 - probability) ** (trials - k) for k in range(trials + 1)]
    below, above = np.cumsum(mass), np.cumsum(mass[::-1])[::-1]
    return int(np.argmax(below > tail)), int(trials - np.argmax(above[::-1] > tail))


@contract("fitter-coverage")
def fitter_covers_the_truth(
    fitter: Any,
    records: Sequence[Any],
    add_noise: Callable[[Sequence[Any], np.random.Generator], Sequence[Any]],
    *,
    seeds: int = 60,
    level: float = 0.8,
) -> None:
    """Intervals cover the truth as often as they claim, over many truths drawn from the prior.

    The bounds on the count are such that a right fitter fails for one parameter in five thousand.
    """
    prior = fitter.prior(records)
    free = _free(prior)
    hits = dict.fromkeys(free, 0)
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        truth = draw(prior, rng)
        fit = _succeeded(fitter.fit(add_noise(fitter.simulate(truth, records), rng), prior, seed=seed))
        bounds = dict(zip(fit.names, fit.interval(level), strict=True))
        for name, value in zip(prior, truth, strict=True):
            if name in hits:
                hits[name] += int(bounds[name][0] <= value <= bounds[name][1])
    low, high = binomial_range(seeds, level)
    for name, count in hits.items():
        require(
            low <= count <= high,
            f"the {level:.0%} interval of {name} covered the truth in {count} of {seeds} fits; "
            f"{low} to {high} are expected",
        )


@contract("fitter-unseen")
def fitter_keeps_the_prior_of_the_unseen(fitter: Any, records: Sequence[Any], name: str) -> None:
    """A parameter that the data cannot see comes back as its prior."""
    prior = fitter.prior(records)
    require(name in prior, f"{name!r} is no parameter of the prior: {', '.join(prior)}")
    belief = prior[name]
    truth = draw(prior, np.random.default_rng(0))
    fit = _succeeded(fitter.fit(fitter.simulate(truth, records), prior, seed=0))
    where = fit.names.index(name)
    if isinstance(belief, Normal):
        mean, sd = belief.mean, belief.sd
    elif isinstance(belief, Uniform):
        mean, sd = (belief.low + belief.high) / 2, (belief.high - belief.low) / math.sqrt(12)
    else:
        raise ContractError(f"{name!r} is fixed in the prior; name a parameter that is estimated")
    width = math.sqrt(fit.covariance[where, where])
    require(0.8 < width / sd < 1.25, f"{name} is unseen, but its sd went from {sd:.4g} in the prior to {width:.4g}")
    off = abs(fit.values[where] - mean)
    require(off < sd, f"{name} is unseen, but its value moved from {mean:.4g} to {fit.values[where]:.4g}")


@contract("fitter-seed")
def fitter_repeats_itself(fitter: Any, records: Sequence[Any]) -> None:
    """The same seed gives the same fit."""
    prior = fitter.prior(records)
    data = fitter.simulate(draw(prior, np.random.default_rng(0)), records)
    one, two = (fitter.fit(data, prior, seed=3) for _ in range(2))
    same = np.array_equal(one.values, two.values) and np.array_equal(one.covariance, two.covariance)
    require(same, "two fits with the same seed differ")
    if one.samples is not None:
        require(two.samples is not None and np.array_equal(one.samples, two.samples), "samples of the same seed differ")


@contract("fitter-axes")
def fitter_simulates_on_the_axes(fitter: Any, records: Sequence[Any]) -> None:
    """Simulated data are of the measurement's type, number and axes; so are those that a fit returns."""
    prior = fitter.prior(records)
    simulated = fitter.simulate(draw(prior, np.random.default_rng(0)), records)
    fit = _succeeded(fitter.fit(simulated, prior, seed=0))
    free = set(_free(prior))
    require(free <= set(fit.names), f"the fit lacks {', '.join(sorted(free - set(fit.names)))} of the prior")
    for source, found in (("simulate", simulated), ("Fit.simulated", fit.simulated)):
        require(len(found) == len(records), f"{source} gave {len(found)} records for {len(records)}")
        for like, made in zip(records, found, strict=True):
            require(type(made) is type(like), f"{source} gave a {type(made).__name__} for a {type(like).__name__}")
            if isinstance(like, Trace):
                require(np.array_equal(cast("Trace", made).x, like.x), f"{source} changed the axis")
            elif isinstance(like, Sized) and isinstance(made, Sized):
                require(len(made) == len(like), f"{source} gave {len(made)} points for {len(like)}")


@contract("fitter-problem")
def fitter_reports_failure(fitter: Any, records: Sequence[Any], impossible: Sequence[Any]) -> None:
    """Data that cannot be fitted come back with a `problem`, not as an exception."""
    try:
        fit = fitter.fit(impossible, fitter.prior(records), seed=0)
    except Exception as error:
        raise ContractError(f"fitting impossible data raised {type(error).__name__}: {error}") from error
    require(fit.problem.strip(), "fitting impossible data reports no problem")


_LOADS = re.compile(r"""<script|\bon\w+\s*=|(?:href|src)\s*=(?!\s*["']?\#)|url\((?!\s*["']?\#)""", re.IGNORECASE)


@contract("fitter-report")
def fitter_reports(fitter: Any, records: Sequence[Any]) -> None:
    """Where a fitter has a report of its own, its fit is that of `fit`, and its pictures load nothing."""
    reporting: object = fitter
    if not isinstance(reporting, interfaces.Reports):
        return
    prior = fitter.prior(records)
    data = fitter.simulate(draw(prior, np.random.default_rng(0)), records)
    plain, (reported, sections) = fitter.fit(data, prior, seed=3), reporting.fit_with_report(data, prior, seed=3)
    same = plain.names == reported.names and np.array_equal(plain.values, reported.values)
    require(
        same and np.array_equal(plain.covariance, reported.covariance) and plain.problem == reported.problem,
        "fit_with_report returned another fit than fit did with the same seed",
    )
    for section in sections:
        require(isinstance(section, Section), f"fit_with_report returned a {type(section).__name__} for a Section")
        require(section.title.strip(), "a section of fit_with_report has no title")
        svg = section.svg.strip()
        require(not svg or svg.startswith("<svg"), f"the picture of {section.title!r} begins with {svg[:20]!r}")
        found = _LOADS.search(re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL))
        require(not found, f"the picture of {section.title!r} loads or runs something: {found and found.group()!r}")
        lengths = {len(row) for row in section.rows} - {len(section.columns)}
        require(not lengths, f"the table of {section.title!r} has {len(section.columns)} headings and other rows")


@contract("fitter-verbs")
def is_fitter(fitter: Any) -> None:
    """It has the three verbs."""
    require(isinstance(fitter, interfaces.Fitter), f"{fitter!r:.80} lacks prior, simulate or fit")
