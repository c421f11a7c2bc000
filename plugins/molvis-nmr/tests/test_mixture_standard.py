"""The reference compound is the singlet from which the library's compounds are in place, not the highest near 0 ppm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_mixture import AREA, AXIS, FREQUENCY, LIBRARY, dss, make, mixture

from molvis_core.records import Trace
from molvis_nmr.mixture.quantify import quantify
from molvis_nmr.mixture.spectrum import standards_at
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
