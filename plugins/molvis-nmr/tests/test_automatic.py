"""Water, solvent, reference and impurities are found; approximate simulations say so."""

import numpy as np
import pytest

from molvis_core.errors import ConfigError
from molvis_core.records import Trace
from molvis_nmr.fitting.automatic import advised, fit_automatically
from molvis_nmr.fitting.foreign import advice, foreign, impurities, solvent_named
from molvis_nmr.fitting.spin_system import fit
from molvis_nmr.spins.approximation import approximation
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem

FIELD = 500.0
AXIS = np.arange(-0.5, 6.0, 0.0004)


def ab(first: float = 4.45, second: float = 4.40) -> SpinSystem:
    return SpinSystem(("H1", "H2"), np.array([first, second]), np.array([[0.0, 9.0], [9.0, 0.0]]), widths=np.ones(2))


def lorentzian(at: float, width: float, height: float) -> np.ndarray:
    off = (AXIS - at) * FIELD
    return height * width**2 / (width**2 + off**2)


def in_water(*more: np.ndarray, water: float = 300.0) -> Trace:
    clean = simulate(ab(), FIELD, axis=AXIS).y
    noise = np.random.default_rng(0).normal(0, 0.004, len(AXIS))
    return Trace(
        AXIS, clean + lorentzian(4.79, 2.0, water) + lorentzian(0.0, 0.8, 2.0) + sum(more) + noise, frequency=FIELD
    )


def at_lines(system: SpinSystem) -> np.ndarray:
    return simulate(system, FIELD, axis=AXIS).x[:0] if not len(system) else np.array(system.shifts)


def test_water_and_the_reference_are_found_and_windows_hold_their_tops():
    found = foreign(in_water(), at_lines(ab()))
    assert [one.kind for one in found] == ["reference", "water"]
    assert found[0].low < 0.0 < found[0].high
    assert 4.45 < found[1].low < 4.75
    assert found[1].high > 4.83


def test_nothing_is_left_out_of_a_spectrum_without_water():
    trace = simulate(ab(), FIELD, axis=AXIS)
    assert foreign(trace, at_lines(ab())) == []
    assert advice([]) == ""


@pytest.mark.full
def test_a_fit_beside_water_is_as_good_as_one_without_it():
    made = fit_automatically([in_water()], ab(4.46, 4.41))
    assert made.system.shifts == pytest.approx(ab().shifts, abs=2e-4)
    assert made.system.couplings[0, 1] == pytest.approx(9.0, abs=0.05)
    assert {one.kind for one in made.excluded} == {"reference", "water"}
    assert made.metrics["iou"] > 0.9


def test_without_it_the_advice_names_what_to_leave_out():
    trace = in_water(water=3000.0)
    made = fit([trace], ab(), starts=1)
    said = advised(made, [trace], (), solvent=None, nucleus="1H").advice
    assert said.startswith("water")
    assert "--exclude 4." in said
    assert "--auto" in said
    # Who follows it, up to the rounding of what is printed, hears no more.
    low, high = (float(n) for n in said.split("--exclude ")[1].split(",")[0].split(" ")[0].split(":"))
    followed = ((low - 0.01, high + 0.01), (-0.5, 0.3))
    assert advised(made, [trace], followed, solvent=None, nucleus="1H").advice == ""


@pytest.mark.full
def test_an_impurity_among_what_is_fitted_is_left_out():
    made = fit_automatically([in_water(lorentzian(4.36, 0.8, 0.6))], ab(4.46, 4.41))
    found = [one for one in made.excluded if one.kind == "impurity"]
    assert len(found) == 1
    assert found[0].low < 4.36 < found[0].high
    assert made.system.couplings[0, 1] == pytest.approx(9.0, abs=0.05)


def test_an_impurity_with_the_signal_of_a_proton_makes_a_fit_unsure():
    large = fit_automatically([in_water(lorentzian(4.30, 0.8, 2.5))], ab(), starts=2)
    assert [one.kind for one in large.excluded] == ["reference", "impurity", "water"]
    assert "has the signal of 1." in large.doubt
    assert "4.3" in large.doubt
    small = fit_automatically([in_water(lorentzian(4.34, 0.8, 0.3))], ab(), starts=2)
    assert [one.kind for one in small.excluded] == ["reference", "impurity", "water"]
    assert small.doubt == ""


def test_what_the_model_explains_is_no_impurity():
    trace = simulate(ab(), FIELD, axis=AXIS)
    assert impurities(trace, trace.y, np.ones(len(trace), dtype=bool), at_lines(ab())) == []


def test_a_solvent_that_is_not_known_is_refused():
    assert solvent_named("dmso-d6") == "DMSO-d6"
    with pytest.raises(ConfigError, match="no solvent named 'CDCl4'"):
        solvent_named("CDCl4")


def test_figures_are_of_what_was_fitted_alone():
    trace = in_water(water=3000.0)
    with_all = fit([trace], ab(), starts=1).metrics
    without = fit([trace], ab(), exclude=[(4.5, 6.0), (-0.5, 0.3)], starts=1, baseline=2).metrics
    assert without["iou"] > 0.9 > with_all["iou"]


def chain(size: int) -> SpinSystem:
    couplings = np.zeros((size, size))
    for k in range(size - 1):
        couplings[k, k + 1] = couplings[k + 1, k] = 7.0
    return SpinSystem(tuple(f"H{k}" for k in range(size)), np.linspace(1.0, 3.0, size), couplings)


def test_an_approximate_spectrum_says_how_far_it_is_off():
    system = chain(8)
    assert approximation(system, FIELD) is None
    found = approximation(system, FIELD, states=64)
    assert found is not None
    exact = simulate(system, FIELD, axis=AXIS).y
    rough = simulate(system, FIELD, axis=AXIS, states=64).y
    assert np.abs(exact - rough).sum() / exact.sum() < found.apart
    assert found.clusters > 1
    assert "8 coupled spins" in str(found)
