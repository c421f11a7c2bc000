"""Reference spectra beside an unknown's, and the levels of confidence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import barcode
import numpy as np
import pytest

from molvis_core.chemistry.structures import structure
from molvis_core.errors import ConfigError, ReadError
from molvis_core.records import Measurement, Origin, PeakList
from molvis_retrieval.levels import Known, best_known, confidence_level
from molvis_retrieval.references import Match, from_measurements, match, read_own_standards, read_references
from molvis_retrieval.results import Candidate, Identification

ETHANOL = structure("CCO")


def spectrum(mz: list[float], adduct: str = "[M+H]+", energy: float | None = None) -> PeakList:
    return PeakList(np.array(mz), np.arange(1.0, len(mz) + 1), adduct=adduct, collision_energy=energy)


def test_a_spectrum_matches_itself_and_nothing_far_away() -> None:
    one = spectrum([50.0, 60.0, 70.0])
    same = match(one, one)
    assert same.pairs.tolist() == [[0, 0], [1, 1], [2, 2]]
    assert same.cosine == pytest.approx(1)
    assert match(one, spectrum([50.1, 60.1])).pairs.shape == (0, 2)


def test_a_peak_is_paired_once_with_the_highest_in_reach() -> None:
    found = match(spectrum([500.0]), spectrum([499.998, 500.002]))
    assert found.pairs.tolist() == [[0, 1]]
    assert match(spectrum([500.0]), spectrum([500.02])).cosine == 0
    assert match(spectrum([500.0]), spectrum([500.02]), ppm=50).cosine == pytest.approx(1)


def test_a_match_wants_a_cosine_and_a_number_of_peaks() -> None:
    pairs = np.zeros((6, 2), dtype=np.int64)
    assert Match(pairs, 0.7).agrees
    assert not Match(pairs, 0.69).agrees
    assert not Match(pairs[:5], 1.0).agrees


def test_the_reference_is_of_the_adduct_and_nearest_in_energy() -> None:
    measured = [spectrum([50.0], energy=10), spectrum([51.0], energy=40), spectrum([52.0], "[M+Na]+", 20)]
    reference = from_measurements(Measurement(r, ETHANOL, "msms") for r in measured)
    assert reference(ETHANOL, spectrum([1.0], energy=35)) is measured[1]
    assert reference(ETHANOL, spectrum([1.0], "[M+Na]+")) is measured[2]
    assert reference(ETHANOL, spectrum([1.0], "[M+K]+")) is None
    assert reference(structure("CCC"), spectrum([1.0])) is None


def test_references_are_read_from_a_file_that_names_structures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = barcode.measurement(ETHANOL)
    monkeypatch.setattr("molvis_retrieval.queries.read_queries", lambda path: ([known], []))
    assert read_references(tmp_path)(ETHANOL, known.record) is known.record
    monkeypatch.setattr(
        "molvis_retrieval.queries.read_queries", lambda path: ([Measurement(known.record, None, "msms")], [])
    )
    with pytest.raises(ReadError, match="no spectrum in it names its structure"):
        read_references(tmp_path)


AGREES = Match(np.zeros((6, 2), dtype=np.int64), 0.9)
FOUND = Identification("q", mass=46.0, candidates=(Candidate(1, ETHANOL, 1.0, 0.9),), probability_among=0.6)


@pytest.mark.parametrize(
    ("one", "known", "level"),
    [
        (FOUND, None, "3"),
        (FOUND, Known(AGREES), "2a"),
        (replace(FOUND, probability_among=0.2), Known(AGREES), "2a"),
        (FOUND, Known(Match(np.zeros((5, 2), dtype=np.int64), 0.9)), "3"),
        (FOUND, Known(AGREES, 0.1, 0.2), "1"),
        (FOUND, Known(AGREES, -0.3, 0.2), "2a"),  # the standard leaves the column at another time
        (replace(FOUND, probability_among=0.995, candidates=(Candidate(1, ETHANOL, 1.0, 0.99),)), None, "2b"),
        (replace(FOUND, probability_among=None), None, "3"),
        (replace(FOUND, probability_among=0.4), None, "5"),
        (replace(FOUND, probability_among=0.4, formulas={"C2H6O": 0.95}), None, "4"),
        (Identification("q", problem="no candidate", precursor_mz=47.0, formulas={"C2H6O": 0.95}), None, "4"),
        (Identification("q", problem="no candidate", mass=46.0), Known(AGREES), "5"),
        (Identification("q", problem="no mass"), None, "-"),
    ],
)
def test_the_level_of_confidence_follows_from_what_is_known(
    one: Identification, known: Known | None, level: str
) -> None:
    assert confidence_level(one, known)[0] == level


def test_a_standard_of_ones_own_goes_before_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = [50.0, 55.0, 60.0, 65.0, 70.0, 75.0]
    asked = replace(FOUND, records=(spectrum(peaks, energy=20),), origin=Origin(rt_min=3.1))
    mine = Measurement(spectrum(peaks, energy=40), ETHANOL, "msms", origin=Origin(rt_min=3.0))
    monkeypatch.setattr("molvis_retrieval.queries.read_queries", lambda path: ([mine], []))
    standards = read_own_standards(tmp_path)
    library = from_measurements([mine])
    assert confidence_level(asked, best_known(asked, [library]))[0] == "2a"
    level, why = confidence_level(asked, best_known(asked, [library], standards))
    assert (level, why) == ("1", "your standard: cosine 1.00, 6 peaks, retention time +0.10 min")
    other = replace(asked, records=(spectrum(peaks, "[M+Na]+"),))
    assert best_known(other, [library], standards) is None
    assert best_known(replace(asked, candidates=()), [library], standards) is None
    monkeypatch.setattr("molvis_retrieval.queries.read_queries", lambda path: ([replace(mine, origin=Origin())], []))
    with pytest.raises(ReadError, match="its adduct and its retention time"):
        read_own_standards(tmp_path)
    with pytest.raises(ConfigError, match="must be positive, got 0 min"):
        read_own_standards(tmp_path, 0)
