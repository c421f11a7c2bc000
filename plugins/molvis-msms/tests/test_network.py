"""Molecular networks: who is joined with whom, which families result, and what neighbours tell."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from reference_samples import measurement

from molvis_core import output
from molvis_core.errors import ConfigError, MolvisError, ReadError
from molvis_core.records import Measurement, PeakList
from molvis_msms.commands.network import network as command
from molvis_msms.network import Answer, Linking, Network, alike, link, read_answers, write_graphml
from molvis_msms.references.similarity import Similarity
from molvis_msms.writers import write_mgf

PEAKS = np.array([55.01, 69.03, 83.05, 97.06, 111.08, 125.1, 139.11, 153.13])
HEIGHTS = np.array([0.2, 0.5, 1.0, 0.7, 0.3, 0.6, 0.4, 0.8])


def spectrum(
    name: str, precursor: float, shift: float = 0.0, *, ionmode: str = "positive", last: int = 0
) -> Measurement:
    """Eight peaks, of which the `last` ones are moved by `shift`."""
    mz = PEAKS.copy()
    mz[len(mz) - last :] += shift
    return Measurement(PeakList(mz, HEIGHTS, precursor, ionmode=ionmode), None, "msms", name=name)


def other(name: str) -> Measurement:
    return Measurement(PeakList(PEAKS + 0.3, HEIGHTS, 300.0, ionmode="positive"), None, "msms", name=name)


FAMILY = [spectrum("parent", 170.0), spectrum("homologue", 184.33, 14.33, last=3), spectrum("twin", 170.0)]


def joined(found: Network) -> set[frozenset[str]]:
    return {frozenset((found.names[e.first], found.names[e.second])) for e in found.edges}


def test_relatives_are_joined_by_shifted_peaks_and_strangers_are_not() -> None:
    found = link([*FAMILY, other("stranger")])
    assert joined(found) == {
        frozenset(("parent", "homologue")),
        frozenset(("parent", "twin")),
        frozenset(("homologue", "twin")),
    }
    assert all(e.similarity == pytest.approx(1.0) and e.matched == 8 for e in found.edges)
    assert found.family == (1, 1, 1, 0)
    assert found.summary["families"] == 1
    assert found.summary["alone"] == 1


def test_features_are_joined_without_names_and_families_of_any_size_stay() -> None:
    spectra = [item.record for item in (*FAMILY, other("stranger"))]
    assert [(e.first, e.second) for e in alike(spectra)] == [(0, 1), (0, 2), (1, 2)]
    assert alike([]) == ()


def test_without_shifts_the_relative_is_joined_by_what_it_shares_alone() -> None:
    found = link(FAMILY, Linking(Similarity("cosine"), min_score=0.5, matched=5))
    scores = {frozenset((found.names[e.first], found.names[e.second])): e.similarity for e in found.edges}
    shared = (HEIGHTS[:5]).sum() / HEIGHTS.sum()  # square roots of heights, squared
    assert scores[frozenset(("parent", "homologue"))] == pytest.approx(shared)
    assert scores[frozenset(("parent", "twin"))] == pytest.approx(1.0)


def test_two_polarities_are_not_joined() -> None:
    assert link([spectrum("a", 170.0), spectrum("b", 170.0, ionmode="negative")]).edges == ()


def test_each_must_be_among_the_most_similar_of_the_other() -> None:
    rng = np.random.default_rng(0)
    many = [
        Measurement(PeakList(PEAKS, HEIGHTS * rng.uniform(0.9, 1.1, 8), 170.0), None, "msms", name=f"{k}")
        for k in range(9)
    ]
    found = link(many, Linking(top=2))
    degree = np.bincount([place for e in found.edges for place in (e.first, e.second)], minlength=9)
    assert degree.max() <= 2
    assert len(link(many, Linking(top=8)).edges) == 36


def test_a_family_that_is_too_large_loses_its_weakest_edges() -> None:
    clique = [spectrum(f"a{k}", 170.0) for k in range(3)] + [spectrum(f"b{k}", 170.0, 0.4, last=2) for k in range(3)]
    whole = link(clique, Linking(min_score=0.5))
    assert set(whole.family) == {1}
    found = link(clique, Linking(min_score=0.5, largest=3))
    assert found.family == (1, 1, 1, 2, 2, 2)
    assert all({found.names[e.first][0], found.names[e.second][0]} in ({"a"}, {"b"}) for e in found.edges)


def test_the_neighbour_that_tells_most_is_the_one_that_is_likest_and_surest() -> None:
    answers = {
        "parent": Answer("CC", "A", "C2H6", "ethane", 0.9),
        "twin": Answer("CCC", name="propane", probability=0.5),
    }
    found = link(FAMILY, answers=answers)
    assert {name: other for name, (other, _) in found.inherited().items()} == {
        "homologue": "parent",
        "twin": "parent",
        "parent": "twin",
    }
    assert found.summary["with_answer"] == 2
    assert found.summary["with_answer_of_a_neighbour"] == 1


def test_graphml_comes_back_with_answers_and_differences(tmp_path: Path) -> None:
    answers = {"parent": Answer("CC", "A", "C2H6", "ethane & <co>", 0.9)}
    write_graphml(tmp_path / "a.graphml", link([*FAMILY, other("stranger")], answers=answers))
    graph = nx.read_graphml(tmp_path / "a.graphml")
    assert set(graph) == {"parent", "homologue", "twin", "stranger"}
    assert graph.nodes["parent"]["answer_name"] == "ethane & <co>"
    assert "neighbour" not in graph.nodes["parent"]
    homologue = graph.nodes["homologue"]
    assert (homologue["neighbour"], homologue["neighbour_smiles"], homologue["neighbour_probability"]) == (
        "parent",
        "CC",
        0.9,
    )
    assert homologue["precursor_mz"] == pytest.approx(184.33)
    assert graph.edges["parent", "homologue"]["mz_difference"] == pytest.approx(14.33)
    assert graph.nodes["stranger"]["family"] == 0


def test_spectra_of_one_name_stay_apart_and_unreadable_ones_are_noted(tmp_path: Path) -> None:
    empty = Measurement(PeakList(np.empty(0), np.empty(0), 100.0), None, "msms", name="empty")
    found = link([FAMILY[0], FAMILY[0], empty, ReadError(tmp_path / "a.mgf", "no peaks", line=3)])
    assert found.names == ("parent", "parent (2)")
    assert len(found.edges) == 1
    assert "a.mgf" in found.problems[0]
    assert found.problems[1] == "empty: it has no peaks"


def test_a_feature_is_called_by_its_id() -> None:
    item = dataclasses.replace(FAMILY[0], origin=dataclasses.replace(FAMILY[0].origin, feature_id="17"))
    assert link([item]).names == ("17",)


def test_no_spectra_make_an_empty_network(tmp_path: Path) -> None:
    found = link([])
    assert found.summary["spectra"] == found.summary["families"] == 0
    write_graphml(tmp_path / "a.graphml", found)
    assert len(nx.read_graphml(tmp_path / "a.graphml")) == 0


def test_losses_need_a_precursor() -> None:
    bare = Measurement(PeakList(PEAKS, HEIGHTS), None, "msms", name="bare")
    assert link([bare], Linking(Similarity("neutral-loss"))).problems == ("bare: it has no precursor",)
    assert link([bare, bare]).edges[0].similarity == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_score": 1.5}, "least similarity must be between 0 and 1, got 1.5"),
        ({"matched": 0}, "must be positive, got 0 and 10"),
        ({"largest": -1}, "must not be negative, got -1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Linking(**options)


def test_answers_are_the_first_candidates_of_a_table(tmp_path: Path) -> None:
    file = tmp_path / "found.csv"
    file.write_text(
        "query,feature_id,rank,smiles,inchikey,name,formula,probability,probability_joint\n"
        "a,17,1,CC,KEY,ethane,C2H6,0.8,0.4\na,17,2,CCC,,,,0.2,0.1\nb,,1,C,,,,0.9,\nc,,,,,,,,\n",
        encoding="utf-8",
    )
    found = read_answers(file)
    assert set(found) == {"17", "b"}
    assert found["17"] == Answer("CC", "KEY", "C2H6", "ethane", 0.4)
    assert found["b"].probability == 0.9


def test_a_table_without_answers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,mass\nx,1\n", encoding="utf-8")
    with pytest.raises(ReadError, match=r"a\.csv.*has the columns smiles and feature_id or query; found name, mass"):
        read_answers(tmp_path / "a.csv")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(MolvisError, match=r"nowhere/a\.graphml: cannot be written"):
        write_graphml(tmp_path / "nowhere" / "a.graphml", link(FAMILY))


def test_the_command_writes_a_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output.settings, "json", True)
    write_mgf(tmp_path / "a.mgf", [measurement("caffeine", 0), measurement("caffeine", 0), measurement("aspirin", 1)])
    (tmp_path / "found.csv").write_text("query,smiles,probability\ncaffeine,CC,0.5\n", encoding="utf-8")
    command([tmp_path / "a.mgf"], out=tmp_path / "n.graphml", answers=tmp_path / "found.csv")
    told = json.loads(capsys.readouterr().out)
    assert (told["spectra"], told["edges"], told["with_answer"], told["with_answer_of_a_neighbour"]) == (3, 1, 1, 1)
    assert nx.read_graphml(tmp_path / "n.graphml").number_of_edges() == 1
