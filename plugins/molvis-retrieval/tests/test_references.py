"""Reference spectra beside an unknown's, and the levels of confidence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import barcode
import numpy as np
import pytest

from molvis_core.chemistry.structures import structure
from molvis_core.errors import ReadError
from molvis_core.records import Measurement, PeakList
from molvis_retrieval.references import Match, confidence, from_measurements, match, read_references
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


def test_the_level_of_confidence_follows_from_what_is_known() -> None:
    found = Identification("q", mass=46.0, candidates=(Candidate(1, ETHANOL, 1.0, 0.9),))
    agrees = Match(np.zeros((6, 2), dtype=np.int64), 0.9)
    assert confidence(found)[0] == "3"
    assert confidence(found, agrees)[0] == "2a"
    assert confidence(Identification("q", mass=46.0, problem="no candidate"))[0] == "5"
    assert confidence(Identification("q", problem="no mass"))[0] == "-"
    unlikely = Identification("q", mass=46.0, candidates=found.candidates, probability_among=0.2)
    assert confidence(unlikely)[0] == "5"
    assert confidence(unlikely, agrees)[0] == "2a"
    # Below even odds, and yet not called unlikely: what the report says beside it and the level agree.
    assert confidence(replace(unlikely, probability_among=0.42))[0] == "3"
