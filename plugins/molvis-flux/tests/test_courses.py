"""Labelling in time in a report: curves, data and residuals."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from molvis_flux.fit.multistart import FluxResult, fit
from molvis_flux.model.examples import network
from molvis_flux.model.network import Datum, Experiment, Fragment, Study, Tracer
from molvis_flux.report import figures
from molvis_flux.report.courses import courses
from molvis_flux.report.page import report

TIMES = (1.0, 3.0, 6.0)


def labelled(t: float) -> float:
    """One pool of size 4 fed by 2: its labelling is 1 - exp(-t / 2)."""
    return float(1 - np.exp(-t / 2))


@pytest.fixture(scope="module")
def found() -> FluxResult:
    model = network("pool", {"A": 1, "B": 1, "F": 1}, {"in": "A a -> B a", "out": "B a -> F a"}, "A", "F")
    pools = model.metabolites | {"B": replace(model.metabolites["B"], pool=(0.1, 100.0))}
    reactions = model.reactions | {"in": replace(model.reactions["in"], net=(2.0, 2.0))}
    fragments = {
        "B": Fragment("B", ((1.0, "B", (0,)),), ("C",)),
        "scaled": Fragment("scaled", ((1.0, "B", (0,)),), ("C",)),
    }
    data = [Datum("B", "mid", (1 - labelled(t) + 0.004, labelled(t) - 0.004), (0.01, 0.01), time=t) for t in TIMES]
    data += [
        Datum("scaled", "mid", (50 * (1 - labelled(t)), 50 * labelled(t)), (0.5, 0.5), time=t, scaled=True)
        for t in TIMES[1:]
    ]
    data.append(Datum("B", "mid", (0.0, 1.0), (0.02, 0.02)))  # in the stationary state
    experiments = (Experiment("fed", {"A": Tracer((("1", 1.0),))}, tuple(data)),)
    return fit(
        Study(replace(model, metabolites=pools, reactions=reactions, fragments=fragments), experiments), starts=3
    )


def test_curves_are_those_of_the_fit_at_any_time_and_pass_the_fitted_points(found: FluxResult) -> None:
    plain, scaled = courses(found)
    size = found.value("B", "pool")
    np.testing.assert_allclose(plain.curve[:, 1], 1 - np.exp(-2 * plain.times / size), atol=3e-4)
    assert plain.times[0] == 0
    assert len(plain.times) > 80
    for course in (plain, scaled):
        at = np.searchsorted(course.times, course.at)
        np.testing.assert_allclose(course.curve[at] - course.measured, course.residuals * course.sd, atol=3e-4)
    assert scaled.measured.max() < 1.01, "data in arbitrary units are divided by their scale"
    assert (plain.target, plain.channels, tuple(plain.at)) == ("B", (0, 1), TIMES)


def test_the_report_has_curves_of_what_was_measured_in_time_and_bars_of_the_rest(found: FluxResult) -> None:
    drawn = figures.figures(found)
    assert {"courses", "distributions"} <= set(drawn)
    assert ET.fromstring(drawn["courses"]).tag.endswith("svg")
    assert "fed: scaled" in drawn["courses"]
    assert "M+1" in drawn["courses"]
    assert "Labelling in time" in report(found)
