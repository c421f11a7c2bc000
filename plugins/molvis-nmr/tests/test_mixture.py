"""Mixtures are taken apart: amounts with errors that hold, nothing that is not there, and clear words on bad input."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from molvis_core.errors import RecordError
from molvis_core.records import Trace
from molvis_nmr.mixture.axis import Axis
from molvis_nmr.mixture.library import library_compounds
from molvis_nmr.mixture.quantify import quantify
from molvis_nmr.mixture.results import Quantification, Reference
from molvis_nmr.mixture.shapes import draw
from molvis_nmr.report import mixture as report
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import lines

pytestmark = pytest.mark.full

FREQUENCY = 500.0
AXIS = np.linspace(-0.3, 4.6, 9_000)


def make(name: str, shifts: list[float], counts: list[int], couplings: list[tuple[int, int, float]]) -> SpinSystem:
    size = len(shifts)
    j = np.zeros((size, size))
    for k, m, hertz in couplings:
        j[k, m] = j[m, k] = hertz
    return SpinSystem(
        tuple(f"H{i}" for i in range(size)), np.array(shifts), j, np.array(counts), widths=np.full(size, 0.7), name=name
    )


LACTATE = make("lactate", [4.10, 1.32], [1, 3], [(0, 1, 6.9)])
ALANINE = make("alanine", [3.77, 1.47], [1, 3], [(0, 1, 7.3)])
ETHANOL = make("ethanol", [3.64, 1.17], [2, 3], [(0, 1, 7.1)])
TAURINE = make("taurine", [3.42, 3.25], [2, 2], [(0, 1, 6.6)])
ACETATE = make("acetate", [1.91], [3], [])
LIBRARY = [LACTATE, ALANINE, ETHANOL, TAURINE, ACETATE]
AREA = np.pi  # of a line of intensity 1


def dss() -> np.ndarray:
    """Nine protons at 0 ppm, 4.68% of them split by 29Si."""
    parts = ((0.0, 0.9532), (-3.3, 0.0234), (3.3, 0.0234))
    lines = [(share, make("", [hertz / FREQUENCY], [9], [])) for hertz, share in parts]
    return np.sum([share * simulate(one, FREQUENCY, axis=AXIS).y for share, one in lines], axis=0)


def mixture(
    amounts: dict[str, float], *, seed: int = 0, moved: float = 0.004, response: float = 0.0, noise: float = 0.02,
    library: list[SpinSystem] | None = None, standard: float = 1.0,
) -> Trace:  # fmt: skip
    random = np.random.default_rng(seed)
    y = standard * dss() + 0.05 * np.cos(AXIS)
    for system in library or LIBRARY:
        if amount := amounts.get(system.name):
            off = replace(
                system,
                shifts=system.shifts + random.uniform(-moved, moved, len(system)),
                intensities=1 + random.normal(0, response, len(system)),
            )
            y = y + amount * simulate(off, FREQUENCY, axis=AXIS).y
    return Trace(AXIS, y + random.normal(0, noise, len(y)), frequency=FREQUENCY)


TRUTH = {"lactate": 2.0, "alanine": 1.0, "taurine": 0.5}


@pytest.fixture(scope="module")
def found() -> Quantification:
    return quantify(mixture(TRUTH), LIBRARY, concentration=1.0)


def test_what_is_there_is_found_and_nothing_else(found: Quantification) -> None:
    assert {m.name for m in found.present} == set(TRUTH)
    assert [m.name for m in found.metabolites[:3]] == ["lactate", "alanine", "taurine"]
    assert found.problem == ""


def test_amounts_are_right_within_their_errors(found: Quantification) -> None:
    for m in found.present:
        truth = AREA * TRUTH[m.name]
        assert m.amount == pytest.approx(truth, rel=0.03)
        assert abs(m.amount - truth) < 4 * m.error
        assert m.error < 0.1 * truth  # multiplets of real samples respond by 6% more or less
        low, high = m.interval(0.999)
        assert low < truth < high


def test_concentrations_are_relative_to_the_standard(found: Quantification) -> None:
    assert (found.standard, found.unit) == ("DSS", "mM")
    for m in found.present:
        assert m.concentration is not None
        assert m.concentration_error is not None
        assert m.concentration == pytest.approx(TRUTH[m.name], rel=0.03)
        assert abs(m.concentration - TRUTH[m.name]) < 4 * m.concentration_error


def test_what_is_absent_has_an_error_to_say_what_would_be_seen(found: Quantification) -> None:
    for m in found.metabolites:
        if not m.present:
            assert m.amount == 0
            assert 0 < m.error < 0.03 * AREA
            assert m.upper_limit == pytest.approx(1.645 * m.error)


def test_multiplets_are_found_where_they_moved_to(found: Quantification) -> None:
    spectrum = mixture(TRUTH)
    for m in found.present:
        for shift in m.shifts.values():
            near = np.abs(spectrum.x - shift) < 0.03
            assert spectrum.y[near].max() > 0.1
        assert 0 < m.moved <= 0.005


def test_the_parts_and_the_baseline_are_the_model(found: Quantification) -> None:
    total = sum(found.parts.values()) + found.baseline
    assert total == pytest.approx(found.fitted.y)
    assert set(found.parts) == {*TRUTH, "DSS"}
    assert found.roi_iou > 0.9  # of a spectrum whose weakest signals are 20 times the noise


@pytest.mark.full
def test_amounts_of_the_same_mixture_do_not_depend_on_its_unit(found: Quantification) -> None:
    spectrum = mixture(TRUTH)
    large = quantify(replace(spectrum, y=1e7 * spectrum.y), LIBRARY, concentration=1.0)
    for a, b in zip(found.present, large.present, strict=True):
        assert b.amount == pytest.approx(1e7 * a.amount, rel=1e-3)


def test_the_axis_of_a_sample_without_standard_may_be_off() -> None:
    pair = {"lactate": 1.0, "taurine": 0.7, "ethanol": 0.5}
    spectrum = mixture(pair, standard=0.0, moved=0.002)
    off = replace(spectrum, x=spectrum.x + 0.035)
    got = quantify(off, LIBRARY, standard=None)
    assert {m.name for m in got.present} == set(pair)
    assert got.offset == pytest.approx(0.035, abs=0.003)


def test_the_methylenes_of_the_standard_are_no_compound() -> None:
    asparagine = make("something at 2.91 ppm", [2.93], [2], [])
    from molvis_nmr.mixture.tube import standard_compounds

    spectrum = mixture({"lactate": 1.0})
    y = spectrum.y
    for m in standard_compounds("DSS", FREQUENCY)[1].multiplets:
        y = (
            y
            + draw(
                m.position + m.center,
                3.14 * m.weight,
                0.7,
                0.0,
                AXIS[0] * FREQUENCY,
                (AXIS[1] - AXIS[0]) * FREQUENCY,
                len(y),
            )[0]
        )
    got = quantify(replace(spectrum, y=y), [LACTATE, asparagine])
    assert [m.name for m in got.present] == ["lactate"]


def test_what_is_absent_is_below_its_upper_limit_and_the_limit_is_useful(found: Quantification) -> None:
    for m in found.metabolites:
        if not m.present:
            assert 0 < m.upper_limit < 0.2 * AREA
            assert m.upper_concentration == pytest.approx(m.upper_limit / AREA, rel=0.1)


def test_dilution_and_an_external_reference_make_concentrations() -> None:
    spectrum = mixture({"lactate": 2.0})
    diluted = quantify(spectrum, LIBRARY, concentration=1.0, dilution=2.0).present[0]
    assert diluted.concentration == pytest.approx(4.0, rel=0.05)
    outside = quantify(spectrum, LIBRARY, standard=None, reference=(AREA, 3.0)).present[0]
    assert outside.concentration == pytest.approx(6.0, rel=0.05)


@pytest.mark.slow
def test_errors_cover_the_truth_as_often_as_they_say() -> None:
    few = [LACTATE, ALANINE, ETHANOL]
    off = []
    for seed in range(20):
        truth = {"lactate": 1.0, "alanine": 0.4, "ethanol": 0.7}
        spectrum = mixture(truth, seed=seed, response=0.03, library=few)
        got = quantify(spectrum, few)
        off += [(m.amount - AREA * truth[m.name]) / m.error for m in got.present]
    assert len(off) == 60
    # Of 60 right 90% intervals 47 or more hold the truth, but for once in 500 times.
    assert sum(abs(z) < 1.645 for z in off) >= 47
    assert np.std(off) > 0.2


def test_a_reference_spectrum_serves_as_well_as_a_spin_system() -> None:
    measured = simulate(ETHANOL, FREQUENCY, axis=AXIS)
    noise = np.random.default_rng(5).normal(0, 0.005, len(AXIS))
    ethanol = Reference(replace(measured, y=measured.y + noise), "ethanol", protons=5.0)
    got = quantify(mixture({"lactate": 1.0, "ethanol": 0.5}), [LACTATE, ethanol, ALANINE])
    assert {m.name for m in got.present} == {"lactate", "ethanol"}
    amounts = {m.name: m.amount for m in got.present}
    assert amounts["ethanol"] / amounts["lactate"] == pytest.approx(0.5, rel=0.08)


def test_traces_in_a_reference_spectrum_are_none_of_its_multiplets() -> None:
    satellites = [1.18 + side * 65 / FREQUENCY for side in (-1, 1)]
    foreign = [0.63, 1.76, 2.91]
    traces = make("traces", [*satellites, *foreign], [3] * 5, [])
    clean = simulate(ETHANOL, FREQUENCY, axis=AXIS).y + 0.008 * simulate(traces, FREQUENCY, axis=AXIS).y
    noise = np.random.default_rng(5).normal(0, 0.0002, len(AXIS))
    ethanol = Reference(Trace(AXIS, clean + noise, frequency=FREQUENCY), "ethanol", protons=5.0)
    (compound,) = library_compounds([ethanol], SPECTRUM, 0.03, {})
    assert [round(m.center / FREQUENCY, 1) for m in compound.multiplets] == [1.2, 3.6]
    methyl = compound.multiplets[0]
    assert np.ptp(methyl.position) > 2 * 65
    assert methyl.area == pytest.approx(3.0, rel=0.03)
    got = quantify(mixture({"lactate": 1.0, "ethanol": 0.5}), [LACTATE, ethanol, ALANINE])
    assert {m.name for m in got.present} == {"lactate", "ethanol"}


@pytest.mark.full
def test_water_does_not_disturb_and_without_a_standard_there_are_no_concentrations() -> None:
    spectrum = mixture(TRUTH)
    water = 300 / (1 + ((spectrum.x - 4.5) * FREQUENCY) ** 2)
    got = quantify(replace(spectrum, y=spectrum.y - water), LIBRARY, exclude=[(4.3, 4.59)], standard=None)
    assert {m.name for m in got.present} == set(TRUTH)
    assert got.standard == got.unit == ""
    assert all(m.concentration is None for m in got.metabolites)


def test_a_wider_window_is_for_those_that_pH_moves() -> None:
    far = [replace(ACETATE, shifts=ACETATE.shifts + 0.06)]
    spectrum = mixture({"acetate": 1.0}, moved=0.0)
    assert quantify(spectrum, far).present == ()
    got = quantify(spectrum, far, windows={"acetate": 0.1})
    assert {m.name for m in got.present} == {"acetate"}
    assert next(m for m in got.present if m.name == "acetate").moved == pytest.approx(0.06, abs=0.002)


def test_a_compound_of_which_half_is_missing_is_not_there() -> None:
    half = replace(ACETATE, shifts=np.array([1.32]), name="something at 1.32 ppm")
    got = quantify(mixture({half.name: 1.0}, library=[half]), [LACTATE])
    assert got.present == ()


def test_noise_alone_holds_nothing_and_says_so() -> None:
    noise = np.random.default_rng(3).normal(0, 1, len(AXIS))
    got = quantify(Trace(AXIS, noise, frequency=FREQUENCY), LIBRARY)
    assert got.present == ()
    assert "stands out" in got.problem


def test_progress_ends_where_it_said() -> None:
    told: list[tuple[int, int]] = []
    quantify(mixture({"acetate": 1.0}), [ACETATE], progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_lines_on_the_axis_are_the_lines() -> None:
    axis = Axis(100.0, 0.2, 8000)
    system = make("", [1.0, 2.0], [1, 2], [(0, 1, 8.0)])
    found = lines(system, FREQUENCY)
    shape = draw(found.position, found.weight.sum(axis=1), 0.5, 0.0, axis.start, axis.step, axis.points)[0]
    truth = simulate(replace(system, widths=np.array([0.5, 0.5])), FREQUENCY, axis=axis.hertz / FREQUENCY).y / np.pi
    assert np.abs(shape - truth).max() < 2e-3 * truth.max()


@pytest.mark.parametrize("row", [1, 2, 3])
def test_derivatives_of_a_multiplet_are_those_of_finite_differences(row: int) -> None:
    values = {"place": 0.0, "width": 0.0, "gauss": 0.3}
    key, small = list(values)[row - 1], 1e-4

    def drawn(off: float) -> np.ndarray:
        at = values | {key: values[key] + off}
        return draw(
            np.array([-3.0, 4.0]) + at["place"],
            np.array([1.0, 2.0]),
            0.6 * np.exp(at["width"]),
            at["gauss"],
            -20.0,
            0.3,
            140,
        )

    slope = (drawn(small)[0] - drawn(-small)[0]) / (2 * small)
    assert drawn(0.0)[row] == pytest.approx(slope, abs=2e-3 * np.abs(slope).max())


@pytest.mark.full
def test_a_report_of_a_mixture_names_what_is_there_and_what_is_not(found: Quantification, tmp_path: Path) -> None:
    written = report.write_quantification(tmp_path / "mix", found, title="a mixture")
    assert [p.name for p in written] == ["amounts.json", "amounts.csv", "fitted.csv", "picture.png", "report.html"]
    text = written[-1].read_text(encoding="utf-8")
    assert "concentration, mM" in text
    assert "<td>acetate</td>" in text
    assert "<script" not in text
    told = json.loads(written[0].read_text(encoding="utf-8"))
    assert {m["name"] for m in told["metabolites"] if m["present"]} == set(TRUTH)
    rows = list(csv.DictReader(written[1].read_text(encoding="utf-8").splitlines()))
    assert {row["unit"] for row in rows} == {"mM"}


SPECTRUM = Trace(AXIS, np.sin(AXIS * 50) ** 20, frequency=FREQUENCY)


@pytest.mark.parametrize(
    ("spectrum", "library", "settings", "words"),
    [
        (Trace(AXIS, SPECTRUM.y), LIBRARY, {}, "no frequency"),
        (Trace(AXIS, 0 * AXIS, frequency=500.0), LIBRARY, {}, "same everywhere"),
        (Trace(AXIS[:50], SPECTRUM.y[:50], frequency=500.0), LIBRARY, {}, "got 50"),
        (SPECTRUM, [], {}, "library is empty"),
        (SPECTRUM, ["lactate"], {}, "entry 1 of the library must be a .*, got a str"),
        (SPECTRUM, LIBRARY, {"standard": "DDS"}, "Did you mean 'DSS'"),
        (SPECTRUM, LIBRARY, {"concentration": -1.0}, "must be positive, got -1"),
        (SPECTRUM, LIBRARY, {"window": 0.0}, "window must be positive, got 0"),
        (SPECTRUM, LIBRARY, {"windows": {"lactat": 0.1}}, "Did you mean 'lactate'"),
        (SPECTRUM, LIBRARY, {"windows": {"lactate": -0.1}}, r"must be positive \(ppm\)"),
        (SPECTRUM, LIBRARY, {"exclude": [(5.0, 4.0)]}, "from low to high"),
        (SPECTRUM, [make("far", [12.0], [1], [])], {"standard": None}, "reaches from"),
        (SPECTRUM, [Reference(replace(SPECTRUM, frequency=600.0), "x")], {}, "600 MHz and the mixture at 500"),
        (SPECTRUM, [Reference(SPECTRUM, "x", protons=0.0)], {}, "must be positive, got 0.0"),
    ],
)
def test_bad_input_is_told_apart(spectrum: Trace, library: list, settings: dict, words: str) -> None:
    with pytest.raises(RecordError, match=words):
        quantify(spectrum, library, **settings)


def test_a_strongly_coupled_multiplet_takes_the_shape_that_its_shifts_give_it() -> None:
    library_one = make("pair", [3.50, 3.45, 3.00], [1, 1, 1], [(0, 1, 14.0), (0, 2, 5.0), (1, 2, 7.0)])
    there = replace(library_one, shifts=library_one.shifts + np.array([0.003, -0.002, 0.001]))
    y = dss() + 2.0 * simulate(there, FREQUENCY, axis=AXIS).y + np.random.default_rng(3).normal(0, 0.01, len(AXIS))
    found = quantify(Trace(AXIS, y, frequency=FREQUENCY), [library_one, *LIBRARY], tube=False)
    (one,) = found.present
    assert one.name == "pair"
    assert one.amount == pytest.approx(2.0 * AREA, rel=0.02)
    assert found.roi_iou > 0.95


def test_derivatives_of_a_strongly_coupled_multiplet_are_those_of_its_shifts() -> None:
    from molvis_nmr.mixture.compounds import Shared, rows_of, state_of, turned
    from molvis_nmr.mixture.coupled import derive, settle
    from molvis_nmr.mixture.library import library_compounds

    system = make("pair", [3.50, 3.46, 3.00], [1, 1, 1], [(0, 1, 14.0), (0, 2, 5.0), (1, 2, 7.0)])
    (compound,) = library_compounds([system], mixture(TRUTH), 0.03, {})
    axis, shared = Axis(-100.0, 0.2, 10_000), Shared(0.8)
    k = next(k for k, m in enumerate(compound.multiplets) if m.movers)
    state = state_of(compound, 1.0, np.full(len(compound.multiplets), 2.0))
    derive(compound, state, FREQUENCY)

    def drawn() -> np.ndarray:
        y = np.zeros(axis.points)
        part, rows = rows_of(state.multiplets[k], axis, shared, float(state.moved[k]), 0.0, 60.0)
        y[part] = rows[0]
        return y

    part = rows_of(state.multiplets[k], axis, shared, float(state.moved[k]), 0.0, 60.0)[0]
    slope = turned(state.multiplets[k], state.multiplets[k].turns[0], axis, shared, float(state.moved[k]), 0.0, part)
    sides = []
    for moved in (-0.05, 0.05):
        state.inner[k][0] = moved
        settle(compound, state, FREQUENCY)
        sides.append(drawn())
    true = (sides[1] - sides[0])[part] / 0.1
    assert np.abs(true - slope).max() < 0.1 * np.abs(true).max()
