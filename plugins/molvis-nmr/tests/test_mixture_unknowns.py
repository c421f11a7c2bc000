"""What a library lacks does not become amounts of what it has; satellites."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from test_mixture import AREA, AXIS, FREQUENCY, LIBRARY, make, mixture

from molvis_nmr.mixture.axis import Axis
from molvis_nmr.mixture.compounds import CARBON_13, Shared, rows_of
from molvis_nmr.mixture.joint import improve
from molvis_nmr.mixture.quantify import Settings, _look_first, _prepare, quantify
from molvis_nmr.mixture.responses import readings
from molvis_nmr.mixture.selection import forward
from molvis_nmr.mixture.tube import standard_compounds
from molvis_nmr.report.mixture import write_quantification
from molvis_nmr.spins.simulation import simulate

SMALL = np.full(3, 0.01)


def test_multiplets_that_agree_outvote_one_that_is_too_large() -> None:
    amount, error = readings(np.array([1.0, 1.03, 2.5]), SMALL, np.full(3, 0.05))
    assert amount == pytest.approx(1.01, abs=0.04)
    assert error < 0.1


def test_of_two_multiplets_the_lower_holds_where_signals_of_no_compound_are_near() -> None:
    amount, error = readings(np.array([1.0, 2.5]), SMALL[:2], np.full(2, 0.5))
    assert amount == pytest.approx(1.0, abs=0.05)
    calm, small = readings(np.array([1.0, 1.02]), SMALL[:2], np.full(2, 0.5))
    assert calm == pytest.approx(1.01, abs=0.03)
    assert error > 1.5 * small


def test_two_multiplets_hold_against_one_that_is_suppressed() -> None:
    amount, _ = readings(np.array([1.0, 1.02, 0.3]), SMALL, np.full(3, 0.05))
    assert amount == pytest.approx(1.01, abs=0.05)


def test_a_multiplet_that_the_spectrum_does_not_show_has_no_say() -> None:
    amount, _ = readings(np.array([1.0, 9.0]), np.array([0.01, np.inf]), np.full(2, 0.05))
    assert amount == pytest.approx(1.0, abs=0.02)


def test_a_compound_that_the_library_lacks_is_not_counted_as_one_that_it_has() -> None:
    stranger = make("stranger", [3.79, 3.74, 3.60, 3.52, 3.33], [1, 1, 1, 1, 1],
                    [(0, 1, 11.0), (1, 2, 6.0), (2, 3, 9.0), (3, 4, 9.0)])  # fmt: skip
    spectrum = mixture({"alanine": 1.0, "lactate": 2.0, "stranger": 3.0}, library=[*LIBRARY, stranger], seed=1)
    found = {m.name: m for m in quantify(spectrum, LIBRARY).metabolites}
    assert found["alanine"].present
    assert found["alanine"].amount / AREA == pytest.approx(1.0, rel=0.12)
    assert found["lactate"].amount / AREA == pytest.approx(2.0, rel=0.12)
    whole = {m.name: m for m in quantify(spectrum, [*LIBRARY, stranger]).metabolites}
    assert whole["stranger"].present
    assert found["alanine"].error > 1.1 * whole["alanine"].error


def test_satellites_are_of_the_strong_and_no_compounds() -> None:
    lines = np.zeros_like(AXIS)
    for hertz, share in ((0.0, 1 - CARBON_13), (-63.0, CARBON_13 / 2), (64.0, CARBON_13 / 2)):
        lines += share * simulate(make("", [1.91 + hertz / FREQUENCY], [3], []), FREQUENCY, axis=AXIS).y
    spectrum = mixture({"alanine": 1.0})
    spectrum = replace(spectrum, y=spectrum.y + 60 * lines)
    nearby = make("nearby", [1.91 + 63.0 / FREQUENCY], [3], [])
    found = {m.name: m for m in quantify(spectrum, [*LIBRARY, nearby]).metabolites}
    assert found["acetate"].amount / AREA == pytest.approx(60.0, rel=0.05)
    assert found["alanine"].present
    assert not found["nearby"].present


def test_satellites_keep_the_area_and_have_the_derivatives_of_finite_differences() -> None:
    axis = Axis(-156.0, 0.37, 900)
    multiplet = standard_compounds("DSS", FREQUENCY)[0].multiplets[0]
    shared = Shared(0.7, 0.3)
    _, before = rows_of(multiplet, axis, shared, 0.3, 0.0, 40.0)
    _, after = rows_of(multiplet, axis, shared, 0.3001, 0.0, 40.0)
    assert np.abs((after[0] - before[0]) / 1e-4 - before[1]).max() < 1e-3 * np.abs(before[1]).max()
    _, without = rows_of(replace(multiplet, carbon=0.0), axis, shared, 0.3, 0.0, 71.0)
    assert before[0].sum() == pytest.approx(without[0].sum(), rel=2e-3)
    aside = round(59.0 / axis.step)
    top = int(before[0].argmax())
    assert before[0][top + aside] > 1.5 * without[0][top + aside]


def test_a_chelator_and_its_complexes_in_the_tube_are_no_compounds_of_the_library() -> None:
    chelator = make("EDTA", [3.62, 3.22], [4, 8], [])
    calcium, magnesium = make("calcium", [2.56], [4], []), make("magnesium", [2.70], [4], [])
    beside = make("citrate", [2.66, 2.54], [2, 2], [(0, 1, -15.5)])
    spectrum = mixture(
        {"alanine": 1.0, "EDTA": 0.6, "calcium": 0.8, "magnesium": 0.4},
        library=[*LIBRARY, chelator, calcium, magnesium],
        moved=0.003,
    )
    found = {m.name: m for m in quantify(spectrum, [*LIBRARY, beside]).metabolites if m.present}
    assert set(found) == {"alanine", "EDTA", "EDTA, calcium", "EDTA, magnesium"}
    for name, truth in (("EDTA", 0.6), ("EDTA, calcium", 0.8), ("EDTA, magnesium", 0.4)):
        assert found[name].tube
        assert found[name].amount / AREA == pytest.approx(truth, rel=0.1)
    without = {m.name for m in quantify(spectrum, [*LIBRARY, beside], tube=False).metabolites if m.present}
    assert without == {"alanine"}


def test_a_signal_that_any_compound_of_one_signal_may_have_says_so(tmp_path: Path) -> None:
    stranger = make("stranger", [2.222], [3], [])
    spectrum = mixture({"lactate": 1.0, "acetate": 1.0, "stranger": 2.0}, library=[*LIBRARY, stranger], moved=0.001)
    got = quantify(spectrum, LIBRARY)
    assert {m.name: m.note for m in got.present} == {
        "acetone": "solvent or additive, one signal", "acetate": "one signal", "lactate": "",
    }  # fmt: skip
    write_quantification(tmp_path, got)
    with (tmp_path / "amounts.csv").open(encoding="utf-8") as file:
        assert {row["name"]: row["note"] for row in csv.DictReader(file)}[
            "acetone"
        ] == "solvent or additive, one signal"
    assert "solvent or additive, one signal" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_lines_get_at_most_half_as_wide_again_as_the_standard_alone_is() -> None:
    spectrum = mixture({"lactate": 1.0, "taurine": 1.0})
    asked = Settings(0.03, {}, (), "DSS", tube=False)
    (_, search), (_, without) = (
        _prepare(spectrum, LIBRARY, asked),
        _prepare(spectrum, LIBRARY, replace(asked, standard=None)),
    )
    for one in (search, without):
        _look_first(one)
        forward(one)
        one.fit.mixture = replace(one.fit.mixture, y=np.asarray(gaussian_filter1d(one.fit.mixture.y, 12.0)))
    assert search.fit.widest == pytest.approx(1.5 * 0.7, rel=0.05)
    assert improve(search.fit, 20).shared.width == search.fit.widest
    assert improve(without.fit, 20).shared.width > 2 * search.fit.widest
