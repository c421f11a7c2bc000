"""The reference compound is the singlet from which the library's compounds are in place, not the highest near 0 ppm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_mixture import AREA, AXIS, FREQUENCY, LIBRARY, dss, make, mixture

from molvis_core.records import Trace
from molvis_nmr.mixture.axis import Axis
from molvis_nmr.mixture.quantify import quantify
from molvis_nmr.mixture.spectrum import standards_at, width_of_lines
from molvis_nmr.mixture.tube import PLACES
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem

TRUTH = {"lactate": 1.0, "taurine": 0.7, "ethanol": 0.5}
GREASE = make("silicone grease", [0.088], [12], [])


def with_grease(spectrum: Trace, amount: float) -> Trace:
    return replace(spectrum, y=spectrum.y + amount * simulate(GREASE, FREQUENCY, axis=AXIS).y)


@pytest.mark.parametrize("library", [LIBRARY, [*LIBRARY, GREASE]], ids=["without", "with grease"])
def test_grease_that_is_higher_than_the_standard_is_not_taken_for_it(library: list[SpinSystem]) -> None:
    spectrum = with_grease(mixture(TRUTH), 3.0)
    got = quantify(replace(spectrum, x=spectrum.x + 0.004), library, concentration=1.0)
    assert {m.name for m in got.present} - {"silicone grease"} == set(TRUTH)
    assert got.standard == "DSS"
    assert got.standard_amount[0] == pytest.approx(AREA, rel=0.05)
    assert {m.name: m.concentration for m in got.present}["lactate"] == pytest.approx(1.0, rel=0.07)


def test_grease_alone_is_no_standard_and_amounts_have_no_unit() -> None:
    got = quantify(with_grease(mixture(TRUTH, standard=0.0), 1.0), LIBRARY, concentration=0.5)
    assert got.unit == ""
    assert "amounts are areas" in got.problem
    assert all(m.concentration is None for m in got.present)
    assert {m.name for m in got.present} == set(TRUTH)
    assert got.standard == ""
    assert got.offset == pytest.approx(0.0, abs=0.004)


def test_a_standard_on_an_axis_that_is_off_by_as_much_as_grease_is_taken() -> None:
    spectrum = mixture(TRUTH)
    got = quantify(replace(spectrum, x=spectrum.x + 0.08), LIBRARY)
    assert {m.name for m in got.present} == set(TRUTH)
    assert got.standard == "DSS"


def test_places_are_narrow_peaks_out_of_the_noise_the_nearest_first() -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, len(AXIS))
    broad = 2 / (1 + ((AXIS + 0.05) * FREQUENCY / 12) ** 2)
    y = dss() + simulate(GREASE, FREQUENCY, axis=AXIS).y + broad + noise
    places = standards_at(Trace(AXIS + 0.003, y, frequency=FREQUENCY), 0.02)
    assert places == pytest.approx([0.003, 0.091], abs=3e-4)
    assert standards_at(Trace(AXIS, noise, frequency=FREQUENCY), 0.02) == []


@pytest.mark.parametrize("off", [0.0, 0.012])
def test_on_an_axis_with_tsp_at_zero_compounds_are_where_dss_has_them_plus_what_the_two_differ_by(off: float) -> None:
    spectrum = mixture({**TRUTH, "acetate": 0.3}, standard=0.0, moved=0.0, noise=0.01)
    shifted = np.interp(AXIS + PLACES["TSP"] - off, AXIS, spectrum.y)
    singlet = np.interp(AXIS - off, AXIS, dss())
    got = quantify(replace(spectrum, y=shifted + singlet), LIBRARY, standard="TSP", concentration=1.0)
    assert {m.name for m in got.present} == {*TRUTH, "acetate"}
    assert got.standard == "TSP"
    assert got.offset == pytest.approx(0.0, abs=0.002)
    for one in got.present:
        assert one.concentration == pytest.approx({**TRUTH, "acetate": 0.3}[one.name], rel=0.07)
        assert np.abs(one.moved).max() < 0.002


@pytest.mark.parametrize("width", [0.5, 0.9])
def test_the_width_of_lines_is_that_of_those_that_stand_alone(width: float) -> None:
    axis = Axis(0.0, 0.25, 12_000)
    hertz, random = axis.hertz, np.random.default_rng(2)
    alone = sum(1 / (1 + ((hertz - place) / width) ** 2) for place in random.uniform(100, 1400, 12))
    crowd = sum(1 / (1 + ((hertz - place) / width) ** 2) for place in random.uniform(1700, 1800, 60))
    noise = random.normal(0, 0.002, len(hertz))
    mask = np.ones(len(hertz), dtype=bool)
    assert width_of_lines(axis, alone + crowd + noise, mask, 0.002) == pytest.approx(width, rel=0.15)
    assert width_of_lines(axis, noise, mask, 0.002) is None
    assert width_of_lines(axis, alone + crowd + noise, hertz < 90, 0.002) is None
