"""The contract of fitters is kept by a right one and broken by wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from molvis_core.fitting import Fit, Fixed, Normal, Prior, Section
from molvis_core.records import Trace
from molvis_core.testing import ContractError, FitterContract, checks


class LineFitter:
    """Right: a straight line through points with known noise, and a parameter that no point depends on."""

    sd = 0.1

    def __init__(self, *, boast: float = 1.0, ignore_seed: bool = False) -> None:
        self.boast, self.ignore_seed = boast, ignore_seed

    def prior(self, records: Sequence[Trace]) -> Prior:
        return {"offset": Normal(1.0, 2.0), "slope": Normal(0.0, 1.0), "hidden": Normal(5.0, 0.5), "zero": Fixed(0.0)}

    def simulate(self, values: np.ndarray, like: Sequence[Trace]) -> tuple[Trace, ...]:
        return tuple(replace(r, y=values[0] + values[1] * r.x + values[3]) for r in like)

    def fit(self, records: Sequence[Trace], prior: Prior, *, seed: int = 0) -> Fit:
        free = {k: v for k, v in prior.items() if isinstance(v, Normal)}
        x, y = (np.concatenate([getattr(r, axis) for r in records]) for axis in ("x", "y"))
        design = np.stack([np.ones_like(x), x, np.zeros_like(x)], axis=1) / self.sd
        inverse = np.diag([p.sd**-2 for p in free.values()])
        covariance = np.linalg.inv(design.T @ design + inverse)
        mean = np.array([p.mean for p in free.values()])
        values = covariance @ (design.T @ (y / self.sd) + inverse @ mean)
        problem = "" if np.abs(y).max() < 1e6 else "the points are too far away"
        jitter = 0 if not self.ignore_seed else np.random.default_rng().normal()
        full = np.append(values, 0.0)
        covariance = covariance * self.boast**2
        return Fit(tuple(free), ("", "", ""), values + jitter, covariance, None, self.simulate(full, records), problem)


def add_noise(records: Sequence[Trace], rng: np.random.Generator) -> Sequence[Trace]:
    return [replace(r, y=r.y + rng.normal(0, LineFitter.sd, len(r))) for r in records]


def axes() -> list[Trace]:
    return [Trace(np.linspace(0, 1, n), np.zeros(n)) for n in (5, 8)]


class TestLineFitter(FitterContract):
    @pytest.fixture
    def fitter(self) -> LineFitter:
        return LineFitter()

    @pytest.fixture
    def records(self) -> Sequence[Trace]:
        return axes()

    @pytest.fixture
    def add_noise(self) -> Any:
        return add_noise

    @pytest.fixture
    def unseen(self) -> str:
        return "hidden"

    @pytest.fixture
    def impossible(self) -> Sequence[Trace]:
        return [replace(r, y=r.y + 1e7) for r in axes()]


@pytest.mark.parametrize("boast", [0.5, 3.0])
def test_intervals_that_claim_too_much_or_too_little_are_found_out(boast: float) -> None:
    with pytest.raises(
        ContractError, match=r"the 80% interval of offset covered the truth in \d+ of 60 fits; 35 to 58"
    ):
        checks.fitter_covers_the_truth(LineFitter(boast=boast), axes(), add_noise)


def test_other_faults_of_a_fitter_are_found_out() -> None:
    with pytest.raises(ContractError, match="two fits with the same seed differ"):
        checks.fitter_repeats_itself(LineFitter(ignore_seed=True), axes())
    with pytest.raises(ContractError, match="hidden is unseen, but its sd went from 0.5"):
        checks.fitter_keeps_the_prior_of_the_unseen(LineFitter(boast=0.5), axes(), "hidden")
    with pytest.raises(ContractError, match="reports no problem"):
        checks.fitter_reports_failure(LineFitter(), axes(), axes())


class ReportingFitter(LineFitter):
    def __init__(self, svg: str = "", *, other: bool = False) -> None:
        super().__init__()
        self.svg, self.other = svg, other

    def fit_with_report(self, records: Any, prior: Prior, *, seed: int = 0) -> tuple[Fit, list[Section]]:
        found = self.fit(records, prior, seed=seed)
        found = replace(found, values=found.values + 1) if self.other else found
        return found, [Section("Picture", self.svg, columns=("a",), rows=(("1",),))]


def test_a_report_of_a_fitters_own_is_of_the_same_fit_and_loads_nothing() -> None:
    checks.fitter_reports(LineFitter(), axes())
    checks.fitter_reports(ReportingFitter('<svg><use xlink:href="#a"/><g clip-path="url(#b)"/></svg>'), axes())
    with pytest.raises(ContractError, match="returned another fit"):
        checks.fitter_reports(ReportingFitter(other=True), axes())
    for bad in ("<img>", '<svg><image href="https://x"/></svg>', "<svg><script/></svg>", '<svg onload="x"/>'):
        with pytest.raises(ContractError, match="the picture of 'Picture'"):
            checks.fitter_reports(ReportingFitter(bad), axes())


def test_the_range_of_a_count_is_that_of_the_binomial_distribution() -> None:
    # Ten throws of a fair coin: 0 and 10 have a probability of 1/1024 each, 0 or 1 of 11/1024.
    assert checks.binomial_range(10, 0.5, tail=0.0009) == (0, 10)
    assert checks.binomial_range(10, 0.5, tail=0.001) == (1, 9)
    assert checks.binomial_range(10, 0.5, tail=0.011) == (2, 8)
