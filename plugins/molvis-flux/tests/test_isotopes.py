from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molvis_flux.errors import SimulationError
from molvis_flux.labelling import isotopes
from molvis_flux.labelling.stationary import compile_plan
from molvis_flux.model.examples import antoniewicz
from molvis_flux.model.network import Datum, Fragment, Metabolite, Tracer

ALANINE = "C11H26NO2Si2"
"""The fragment m/z 260 of alanine with two tert-butyldimethylsilyl groups: all three carbons are of alanine."""


def test_abundances_of_every_element_add_up_to_one():
    for element, shares in isotopes.ABUNDANCE.items():
        assert sum(shares) == pytest.approx(1, abs=1e-12), element


def test_a_carbon_molecule_of_natural_isotopes_is_binomial():
    c = 0.0107
    wanted = [(1 - c) ** 3, 3 * c * (1 - c) ** 2, 3 * c**2 * (1 - c), c**3, 0.0]
    np.testing.assert_allclose(isotopes.natural_distribution({"C": 3}, 5), wanted, atol=1e-15)


def test_unlabelled_alanine_shows_the_silicon_of_its_derivative():
    found = isotopes.correction_matrix(ALANINE, ("C",) * 3, 5)[:, 0]
    atoms = {"C": 11, "H": 26, "N": 1, "O": 2, "Si": 2}
    np.testing.assert_allclose(found, isotopes.natural_distribution(atoms, 5), atol=1e-15)
    # First order: M+1 over M+0 is the sum of the ratios of the isotopes.
    ratio = 11 * 0.0107 / 0.9893 + 26 * 1.15e-4 / 0.999885 + 0.00364 / 0.99636 + 2 * 0.00038 / 0.99757
    assert found[1] / found[0] == pytest.approx(ratio + 2 * 0.04685 / 0.92223, rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.01, 1.0), min_size=4, max_size=4), st.floats(0.9, 1.0))
def test_what_was_put_in_is_taken_out(weights, purity):
    mid = np.array(weights) / sum(weights)
    matrix = isotopes.correction_matrix(ALANINE, ("C",) * 3, 6, purity=purity)
    measured = isotopes.uncorrect(mid, matrix)
    assert measured.sum() == pytest.approx(1)
    np.testing.assert_allclose(isotopes.correct(measured, matrix), mid, atol=1e-10)
    measured[5] = np.nan
    np.testing.assert_allclose(isotopes.correct(measured, matrix), mid, atol=1e-10)


def test_a_label_of_oxygen_weighs_two():
    matrix = isotopes.correction_matrix("CO2", ("O", "O"), 5)
    assert matrix.shape == (5, 5)
    assert matrix[:, 1].tolist() == [0.0] * 5
    assert matrix[4, 4] == pytest.approx(0.9893)


def test_raw_data_and_corrected_data_mean_the_same_to_a_simulation():
    study = antoniewicz()
    fragment = replace(study.network.fragments["F"], formula="C9H20O3Si")
    network = replace(study.network, fragments={"F": fragment})
    pure = replace(study.experiments[0], tracers={"A": Tracer((("010", 1.0),))})
    plan = compile_plan(network, [pure])
    net = np.array([[study.fluxes["net", r] for r in plan.reactions]])
    exchange = np.array([[study.fluxes.get(("exchange", r), 0.0) for r in plan.reactions]])
    found = plan.simulate(net, exchange)[0]
    raw = Datum("F", "mid", (0.0,) * 6, (0.003,) * 6, corrected=False)
    seen = isotopes.uncorrect(found, isotopes.measurement_matrix(network, pure, raw))
    raw = replace(raw, values=tuple(seen))
    (corrected,) = isotopes.correct_experiment(network, replace(pure, data=(raw,))).data
    assert corrected.corrected
    np.testing.assert_allclose(corrected.values, found, atol=1e-10)
    assert 0.003 < min(corrected.sd) < max(corrected.sd) < 0.006
    known = isotopes.measurement_matrix(network, pure, corrected)
    assert known.tolist() == np.eye(4).tolist()


def test_natural_isotopes_are_counted_once_where_the_tracer_brings_them():
    study = antoniewicz()
    fragment = replace(study.network.fragments["F"], formula="C3H6O3")
    network = replace(study.network, fragments={"F": fragment})
    unlabelled = replace(study.experiments[0], tracers={"A": Tracer((("000", 1.0),), natural=True)})
    plan = compile_plan(network, [unlabelled])
    found = plan.simulate(np.array([[100.0, 60.0, 20.0, 20.0, 80.0]]))[0]
    raw = Datum("F", "mid", (0.0,) * 5, (0.01,) * 5, corrected=False)
    seen = isotopes.measurement_matrix(network, unlabelled, raw) @ found
    np.testing.assert_allclose(seen, isotopes.natural_distribution({"C": 3, "H": 6, "O": 3}, 5), atol=1e-14)


def test_the_deviation_of_a_corrected_fraction_is_that_of_corrected_draws():
    study = antoniewicz()
    network = replace(study.network, fragments={"F": replace(study.network.fragments["F"], formula="C9H20O3Si")})
    matrix = isotopes.correction_matrix("C9H20O3Si", ("C",) * 3, 6)
    rng = np.random.default_rng(0)
    clean = isotopes.uncorrect(np.array([0.4, 0.3, 0.2, 0.1]), matrix)
    draws = [isotopes.correct(clean + rng.normal(0, 0.003, 6), matrix) for _ in range(2000)]
    datum = Datum("F", "mid", tuple(clean), (0.003,) * 6, corrected=False)
    (corrected,) = isotopes.correct_experiment(network, replace(study.experiments[0], data=(datum,))).data
    np.testing.assert_allclose(np.std(draws, axis=0), corrected.sd, rtol=0.1)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("'Xq'", lambda: isotopes.correction_matrix("C3Xq", ("C",), 3)),
        ("has 3 C, of which 4 are traced", lambda: isotopes.correction_matrix("C3H6", ("C",) * 4, 3)),
        ("isotopes of element 'Hg'", lambda: isotopes.correction_matrix("C3Hg", ("C",) * 3, 3)),
        ("C, N have the same mass", lambda: isotopes.correction_matrix("C3N", ("C", "N"), 3)),
        ("no tracer of element 'Si'", lambda: isotopes.correction_matrix("C3Si", ("Si",), 3)),
        ("4 fractions need as many measured masses, got 2", lambda: isotopes.correct(np.ones(2), np.ones((2, 4)))),
        ("hold no signal", lambda: isotopes.correct(np.zeros(4), np.eye(4))),
        ("-1 atoms of 'C'", lambda: isotopes.natural_distribution({"C": -1}, 3)),
    ],
)
def test_what_cannot_be_corrected_is_named(message, call):
    with pytest.raises(SimulationError) as error:
        call()
    assert message in str(error.value)


def test_raw_data_without_a_formula_cannot_be_compared():
    study = antoniewicz()
    raw = Datum("F", "mid", (0.25,) * 4, (0.01,) * 4, corrected=False)
    with pytest.raises(SimulationError, match="Give the formula of the measured ion"):
        isotopes.measurement_matrix(study.network, study.experiments[0], raw)


def test_traced_elements_are_those_of_the_part_and_of_what_is_condensed_with_it():
    study = antoniewicz()
    amide = Metabolite("Q", ("C", "N"))
    network = replace(study.network, metabolites=study.network.metabolites | {"Q": amide})
    fragment = Fragment("QF", ((1.0, "Q", (1,)),), convolved=(("F", (0, 1)),))
    assert isotopes.traced_elements(network, fragment) == ("N", "C", "C")
