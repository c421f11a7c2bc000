"""Retention times as evidence: candidates are weighed anew, and what is not known stays as it was."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from molvis_core.chemistry.structures import structure
from molvis_core.records import Origin
from molvis_lcms.retention import Retention, Standard
from molvis_retrieval.commands.identify import read_retention
from molvis_retrieval.results import Candidate, Identification
from molvis_retrieval.retention import NAME, with_retention

CHAINS = ["C" * n + tail for n in range(2, 9) for tail in ("O", "N")]
EARLY, LATE = structure("CCO"), structure("CCCCCCCO")


@pytest.fixture(scope="module")
def retention() -> Retention:
    return Retention.of([Standard(s, float(s.count("C"))) for s in CHAINS])


def unknown(minutes: float | None, *probabilities: float) -> Identification:
    candidates = tuple(
        Candidate(rank, one, float(np.log(p)), p, {"msms": float(np.log(p))})
        for rank, (one, p) in enumerate(zip((LATE, EARLY), probabilities, strict=True), start=1)
    )
    return Identification(
        "q", candidates=candidates, margin=probabilities[0] - probabilities[1], truth=EARLY, truth_rank=2.0,
        origin=Origin(rt_min=minutes), probability_among=0.7,
    )  # fmt: skip


def test_the_candidate_that_elutes_when_it_was_seen_comes_first(retention: Retention) -> None:
    (found,) = with_retention([unknown(2.0, 0.6, 0.3)], retention)
    assert [c.structure for c in found.candidates] == [EARLY, LATE]
    assert [c.rank for c in found.candidates] == [1, 2]
    assert found.truth_rank == 1.0
    assert found.probability_among == 0.7
    assert found.margin == pytest.approx(found.candidates[0].probability - found.candidates[1].probability)


def test_probabilities_follow_from_the_likelihood_and_the_rest_keeps_its_share(retention: Retention) -> None:
    (found,) = with_retention([unknown(2.0, 0.6, 0.3)], retention)
    late, early = np.exp(0.5 * retention.evidence([LATE.smiles, EARLY.smiles], 2.0))
    total = 0.6 * late + 0.3 * early + 0.1
    assert found.candidates[0].probability == pytest.approx(0.3 * early / total)
    assert found.candidates[1].probability == pytest.approx(0.6 * late / total)
    assert found.candidates[0].evidence[NAME] == pytest.approx(np.log(early))
    assert found.candidates[0].score == pytest.approx(np.log(0.3) + np.log(early))


def test_without_a_time_all_stays_and_a_note_says_so(retention: Retention) -> None:
    before = unknown(None, 0.6, 0.4)
    (found,) = with_retention([before], retention)
    assert found.candidates == before.candidates
    assert "no retention time" in found.notes[0]


def test_what_was_not_found_stays_so(retention: Retention) -> None:
    nothing = dataclasses.replace(unknown(2.0, 0.6, 0.4), candidates=(), problem="no candidates")
    assert with_retention([nothing], retention) == [nothing]


def test_a_truth_that_is_not_listed_keeps_its_rank(retention: Retention) -> None:
    far = dataclasses.replace(unknown(2.0, 0.6, 0.3), truth=structure("CCCCCCCCCO"), truth_rank=31.0)
    assert with_retention([far], retention)[0].truth_rank == 31.0


def test_a_truth_that_ties_counts_half_as_everywhere(retention: Retention) -> None:
    before = unknown(2.0, 0.4, 0.4)
    twin = dataclasses.replace(before.candidates[1], structure=structure("OCC"), rank=1)
    twin = dataclasses.replace(twin, structure=dataclasses.replace(twin.structure, inchikey="B" * 14 + "-UHFFFAOYSA-N"))
    tied = dataclasses.replace(before, candidates=(twin, before.candidates[1]))
    (found,) = with_retention([tied], retention)
    assert found.truth_rank == 1.5


def test_the_commands_learn_from_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{s},{s},{s.count('C')}\n" for s in CHAINS)
    (tmp_path / "standards.csv").write_text("name,smiles,rt_min\n" + rows, encoding="utf-8")
    found = read_retention(tmp_path / "standards.csv")
    assert found is not None
    assert found.predict(["CCCCO"])[0][0] == pytest.approx(4.0, abs=0.3)
    assert "14 standards, each predicted from the others" in capsys.readouterr().err
    assert read_retention(None) is None
