"""Adduct, formula and structure as one posterior."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from barcode import BUTANOL, changed

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.records import PeakList
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.commands.found import show_found
from molvis_retrieval.identification import identify
from molvis_retrieval.index import Index
from molvis_retrieval.posterior import Hypotheses, kept, marginals, with_formula
from molvis_retrieval.results import to_rows
from molvis_retrieval.unknowns import Unknown

pytestmark = pytest.mark.usefixtures("toys")
CAFFEINE = 194.0803756


def reading(adduct: str, share: float, support: float = 0.0, mass: float = CAFFEINE) -> Unknown:
    """Peaks of caffeine as MassBank has them, taken for an adduct."""
    spectrum = PeakList(np.array([110.0713, 138.0662]), np.array([30.0, 100.0]), 195.0877, adduct, ionmode="positive")
    return Unknown("q", {"msms": (spectrum,)}, mass=mass, share=share, support=support)


@pytest.fixture(scope="module")
def hypotheses() -> Hypotheses:
    found = Hypotheses.of([reading("[M+H]+", 0.9), reading("[M+Na]+", 0.1, 1.0, 172.0980)], 10.0)
    assert found is not None
    return found


def test_without_a_library_each_adduct_has_its_formulas(hypotheses: Hypotheses) -> None:
    alone = hypotheses.without_structure()
    assert math.fsum(alone.values()) == pytest.approx(1)
    assert max(alone, key=lambda key: alone[key]) == ("[M+H]+", "C8H10N4O2")
    odds = 0.9 / (0.1 * math.e)
    shares = {a: math.fsum(v for (b, _), v in alone.items() if a == b) for a in ("[M+H]+", "[M+Na]+")}
    assert shares["[M+H]+"] / shares["[M+Na]+"] == pytest.approx(odds)
    known, charged, impossible = hypotheses.values("[M+H]+", ["C8H10N4O2", "C8H10N4O2+", "C10H2Fe"])
    assert known == charged > -1
    assert impossible == -7
    assert hypotheses.values("[M+K]+", ["C8H10N4O2"]).tolist() == [-7]


def test_nothing_is_listed_where_the_molecule_is_too_heavy_or_names_no_ion() -> None:
    assert Hypotheses.of([reading("[M+H]+", 1.0, mass=1500.0)], 10.0) is None
    assert Hypotheses.of([Unknown("q", {}, mass=CAFFEINE)], 10.0) is None


def test_an_isotope_pattern_speaks_for_formulas_with_its_elements() -> None:
    chlorine = PeakList(np.array([195.0877, 197.0848]), np.array([100.0, 32.0]))
    alone, seen = (Hypotheses.of([replace(reading("[M+H]+", 1.0), isotopes=p)], 10.0) for p in (None, chlorine))
    assert alone is not None
    assert seen is not None
    assert seen.values("[M+H]+", ["C8H10N4O2"])[0] < alone.values("[M+H]+", ["C8H10N4O2"])[0]


def test_two_ions_of_a_molecule_say_more_than_one() -> None:
    sodium = PeakList(np.array([110.0713, 138.0662]), np.array([30.0, 100.0]), 217.0696, "[M+Na]+", ionmode="positive")
    first = reading("[M+H]+", 1.0)
    both = Hypotheses.of([Unknown("q", {"msms": (*first.records, sodium)}, mass=CAFFEINE)], 10.0)
    one = Hypotheses.of([first], 10.0)
    assert both is not None
    assert one is not None
    assert both.values("[M+H]+", ["C8H10N4O2"])[0] > one.values("[M+H]+", ["C8H10N4O2"])[0]


def test_marginals_are_what_is_among_the_candidates_and_what_is_not(hypotheses: Hypotheses) -> None:
    adducts, formulas = marginals(hypotheses, 0.5, {("[M+Na]+", "C9H16O3"): 1.0})
    alone = hypotheses.without_structure()
    assert formulas["C8H10N4O2"] == pytest.approx(0.5 * alone["[M+H]+", "C8H10N4O2"])
    assert 0.99 < sum(adducts.values()) <= 1.000001
    assert adducts["[M+Na]+"] > 0.5


def test_formulas_of_a_rare_adduct_wait_until_they_are_asked_for(hypotheses: Hypotheses) -> None:
    both = [reading("[M+H]+", 0.999), reading("[M+Na]+", 0.001, 0.0, 172.0980)]
    later, at_once = Hypotheses.of(both, 10.0, rare_later=True), Hypotheses.of(both, 10.0)
    assert later is not None
    assert at_once is not None
    assert list(later.waiting) == ["[M+Na]+"]
    assert later.adducts_without_structure() == at_once.adducts_without_structure()
    assert later.values("[M+Na]+", ["C9H16O3"]).tolist() == [0.0]
    assert later.look_at("[M+Na]+")
    assert not later.look_at("[M+Na]+")
    assert later.without_structure() == at_once.without_structure()
    assert not hypotheses.waiting


def test_the_truth_is_less_probably_among_candidates_of_unlikely_formulas(hypotheses: Hypotheses) -> None:
    likely = with_formula(0.5, hypotheses, "[M+H]+", "C8H10N4O2")
    assert (
        with_formula(0.5, hypotheses, "[M+H]+", "C10H2Fe")
        < likely
        < with_formula(0.9, hypotheses, "[M+H]+", "C8H10N4O2")
    )
    assert [k.tolist() for k in kept([np.array([-1.0, -20.0]), np.array([])])] == [[True, False], []]


def test_an_ion_without_adduct_gets_probabilities_of_adducts_and_formulas(bundle: Bundle, index: Index) -> None:
    query = changed(precursor_mz=ion_mz(BUTANOL.exact_mass, "[M+H]+"), adduct=None, ionmode="positive")
    (plain,) = identify(bundle, [query], index, formulas=False)
    (found,) = identify(bundle, [query], index)
    assert plain.formulas == plain.adducts == {}
    assert "formula" not in plain.candidates[0].evidence
    assert found.candidates[0].structure == plain.candidates[0].structure
    assert found.candidates[0].score == pytest.approx(sum(found.candidates[0].evidence.values()))
    # The toy bundle is not calibrated for whether the truth is a candidate, so that there is no whole to share.
    assert found.probability_among is None
    assert found.formulas == {}


def test_tables_and_output_tell_how_probable_adduct_and_formula_are(
    bundle: Bundle, index: Index, capsys: pytest.CaptureFixture[str]
) -> None:
    (plain,) = identify(bundle, [changed(adduct="[M+H]+")], index)
    told = replace(plain, adducts={"[M+H]+": 0.9, "[M+Na]+": 0.1}, formulas={"C4H10O": 0.8})
    first, other = to_rows([plain])[0], to_rows([told])[0]
    assert (first["adduct_probability"], first["formula_probability"]) == (None, None)
    assert (other["adduct_probability"], other["formula_probability"]) == (0.9, 0.8)
    show_found([told])
    printed = capsys.readouterr().out
    assert "adducts, whichever structure: [M+H]+ 0.90, [M+Na]+ 0.10" in printed
    assert "formulas, whichever structure: C4H10O 0.80" in printed


def test_where_no_candidate_is_found_formulas_are_told(bundle: Bundle, index: Index) -> None:
    query = changed(precursor_mz=ion_mz(CAFFEINE, "[M+H]+"), adduct=None, ionmode="positive")
    (found,) = identify(bundle, [query], index)
    assert found.problem
    assert 0.98 < sum(found.adducts.values()) <= 1.000001
    assert found.formulas
