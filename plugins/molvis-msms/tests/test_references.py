"""An index of reference spectra: what is in it, what is found in it, and what becomes of damaged ones."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_samples import COMPOUNDS, measurement, references

from molvis_core.chemistry.structures import structure
from molvis_core.errors import ConfigError, IndexFileError, LeftOutError, ReadError
from molvis_core.records import PeakList
from molvis_msms.references import index as module
from molvis_msms.references.folder import FOLDER, TABLE, build, describe, write
from molvis_msms.references.index import References
from molvis_msms.references.search import Settings, read_spectra, search
from molvis_msms.references.similarity import KINDS, Similarity, Tolerance
from molvis_msms.writers import write_mgf, write_msp

CAFFEINE = structure(COMPOUNDS["caffeine"]).inchikey14


@pytest.fixture(scope="module")
def refs(tmp_path_factory: pytest.TempPathFactory) -> References:
    return references(tmp_path_factory.mktemp("references") / "refs", copies=20)


def test_files_of_several_formats_become_one_index_that_keeps_what_they_say(tmp_path: Path) -> None:
    write_msp(tmp_path / "a.msp", [measurement("caffeine", 0), measurement("aspirin", 1)])
    write_mgf(tmp_path / "b.mgf", [measurement("paracetamol", 0)])
    report = build([tmp_path / "a.msp", tmp_path / "b.mgf"], tmp_path / "refs")
    assert (report.spectra, report.compounds, report.left_out) == (3, 3, 0)
    opened = References.open(tmp_path / "refs")
    one = opened.spectrum(0)
    wanted = measurement("caffeine", 0).record
    assert one.mz == pytest.approx(wanted.mz, abs=1e-4)
    assert (one.adduct, one.ionmode) == ("[M+H]+", "positive")
    assert opened.structure(0).inchikey14 == CAFFEINE
    assert [opened.table["name"][row].as_py() for row in range(3)] == ["caffeine", "aspirin", "paracetamol"]


def test_the_licence_and_the_authors_of_each_record_are_kept(refs: References) -> None:
    for name, wanted in (("licence", "CC BY"), ("authors", "N. N."), ("contributor", "nobody"), ("source", "made up")):
        assert set(refs.table[name].to_pylist()) == {wanted}
    assert describe(refs.path).counts["licence"] == {"CC BY": len(refs)}


def test_what_is_left_out_is_counted_by_reason(tmp_path: Path) -> None:
    good = measurement("caffeine")
    items = [
        good,
        good,
        dataclasses.replace(good, record=PeakList(np.array([100.0]), np.array([0.0]))),
        dataclasses.replace(good, structure=None, name=None),
        ReadError(tmp_path / "a.msp", "line 3 is no peak"),
        ReadError(tmp_path / "a.msp", "line 9 is no peak"),
        LeftOutError(tmp_path / "a.msp", "a survey spectrum"),
    ]
    report = write(items, tmp_path / "refs")
    assert report.reasons == {
        "line N is no peak": 2, "the same peaks of the same ion are there already": 1, "no peaks above zero": 1,
        "names no compound, by structure or by name": 1, "a survey spectrum": 1,
    }  # fmt: skip
    assert (report.spectra, report.left_out) == (1, 6)
    assert describe(tmp_path / "refs").left_out == report.reasons
    assert len((tmp_path / "refs" / "problems.csv").read_text().splitlines()) == 7
    with pytest.raises(ReadError, match="line 3"):
        write(items, tmp_path / "strict", strict=True)
    assert not (tmp_path / "strict").exists()


def test_one_fold_can_be_taken(tmp_path: Path) -> None:
    table = {
        "identifier": ["a", "b"], "smiles": ["CCO", "CCCO"], "precursor_mz": [47.05, 61.06], "adduct": ["[M+H]+"] * 2,
        "mzs": [[29.04], [43.05]], "intensities": [[1.0], [1.0]], "fold": ["train", "val"],
    }  # fmt: skip
    import pyarrow as pa

    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    assert build([tmp_path / "a.parquet"], tmp_path / "refs", fold="val").spectra == 1
    assert References.open(tmp_path / "refs").table["identifier"].to_pylist() == ["b"]


def test_an_index_is_not_overwritten_and_nothing_makes_none(tmp_path: Path, refs: References) -> None:
    write_msp(tmp_path / "a.msp", [measurement("caffeine")])
    with pytest.raises(IndexFileError, match="exists"):
        build([tmp_path / "a.msp"], refs.path)
    with pytest.raises(IndexFileError, match="no reference spectrum to write; 1 records were left out"):
        write([ReadError(tmp_path / "a.msp", "no peaks")], tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("tolerance", [Tolerance(0.01), Tolerance(0.3), Tolerance(50, "ppm")], ids=str)
def test_the_search_of_everything_finds_what_comparing_everything_finds(
    refs: References, kind: str, tolerance: Tolerance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK", 32)
    compare = Similarity(kind, tolerance)
    opened = References.open(refs.path)
    for seed in (100, 101):
        query = measurement("theobromine", seed, adduct=("[M+H]+", "[M-H]-")[seed % 2]).record
        found = opened.search(query, compare, top=7)
        every = [
            (round(-compare(query, refs.spectrum(row)).score, 9), row)
            for row in range(len(refs))
            if refs.spectrum(row).ionmode == query.ionmode
        ]
        wanted = [(row, -score) for score, row in sorted(every)[:7] if score < 0]
        assert found.rows.tolist() == [row for row, _ in wanted]
        assert found.scores == pytest.approx([score for _, score in wanted], abs=1e-9)
        assert found.matched.tolist() == [len(compare(query, refs.spectrum(row)).pairs) for row in found.rows]


def test_optimal_matching_is_searched_exactly_too(refs: References) -> None:
    compare = Similarity("hybrid", Tolerance(0.3), matching="optimal")
    query = measurement("caffeine", 50).record
    every = sorted((-compare(query, refs.spectrum(row)).score, row) for row in range(0, len(refs), 2))
    found = refs.search(query, compare, top=3)
    assert found.scores == pytest.approx([-score for score, _ in every[:3]])


def test_limits_of_score_peaks_and_precursor_hold(refs: References) -> None:
    query, compare = refs.spectrum(0), Similarity("cosine", Tolerance(0.3))
    assert refs.search(query, compare, min_score=0.99).rows.tolist() == [0]
    assert (refs.search(query, compare, matched=4, top=100).matched >= 4).all()
    near = refs.search(query, compare, precursor=Tolerance(10, "ppm"), top=1000)
    masses = refs.precursor[near.rows]
    assert (np.abs(masses - query.precursor_mz) < 0.002).all()
    assert {refs.compounds[row] for row in near.rows} == {CAFFEINE}
    assert near.scores[0] == pytest.approx(1.0)
    with pytest.raises(ConfigError, match="no precursor"):
        refs.search(dataclasses.replace(query, precursor_mz=None), compare, precursor=Tolerance(10, "ppm"))
    with pytest.raises(ConfigError, match="positive"):
        refs.search(query, compare, top=0)


def test_compounds_can_be_left_out(refs: References) -> None:
    query, compare = refs.spectrum(0), Similarity("cosine", Tolerance(0.3))
    found = refs.search(query, compare, top=1000, without=[CAFFEINE, "NOT-IN-IT"])
    assert len(found.rows)
    assert CAFFEINE not in {refs.compounds[row] for row in found.rows}


def test_a_query_without_polarity_finds_both(refs: References) -> None:
    query = dataclasses.replace(refs.spectrum(0), ionmode=None, adduct=None, charge=None)
    found = refs.search(query, Similarity(tolerance=Tolerance(0.3)), top=1000)
    assert {refs.spectrum(row).ionmode for row in found.rows} == {"positive", "negative"}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["cosine", "entropy", "hybrid", "peaks-and-losses"]))
def test_a_reference_finds_itself_first(refs: References, seed: int, kind: str) -> None:
    row = seed % len(refs)
    found = refs.search(refs.spectrum(row), Similarity(kind), top=2)
    assert found.rows[0] == row
    assert found.scores[0] == pytest.approx(1.0)


def test_what_cannot_be_searched_has_a_problem_and_the_rest_goes_on(tmp_path: Path, refs: References) -> None:
    (tmp_path / "a.mgf").write_text(
        "BEGIN IONS\nTITLE=good\nPEPMASS=195.0877\n100.0 1\nEND IONS\n"
        "BEGIN IONS\nTITLE=bad\nPEPMASS=many\n100.0 1\nEND IONS\n"
    )
    found = search(refs, read_spectra(tmp_path / "a.mgf"), Settings())
    assert [bool(one.problem) for one in found] == [False, True]
    empty = dataclasses.replace(measurement("caffeine"), record=PeakList(np.empty(0), np.empty(0), 195.0877))
    assert search(refs, [empty])[0].problem == "it has no peaks"


def damaged(path: Path, to: Path) -> Path:
    to.mkdir()
    for file in path.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to


def test_a_damaged_index_is_refused_with_what_to_do(tmp_path: Path, refs: References) -> None:
    with pytest.raises(IndexFileError, match="molvis references build"):
        References.open(tmp_path / "nowhere")
    copy = damaged(refs.path, tmp_path / "bit")
    content = bytearray((copy / TABLE).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / TABLE).write_bytes(bytes(content))
    with pytest.raises(IndexFileError, match="damaged: block 0"):
        References.open(copy)
    copy = damaged(refs.path, tmp_path / "cut")
    (copy / TABLE).write_bytes((copy / TABLE).read_bytes()[:-20])
    with pytest.raises(IndexFileError, match="damaged"):
        References.open(copy)
    copy = damaged(refs.path, tmp_path / "gone")
    (copy / TABLE).unlink()
    with pytest.raises(IndexFileError, match="missing or unreadable"):
        References.open(copy)
    copy = damaged(refs.path, tmp_path / "edited")
    text = (copy / FOLDER.file).read_text()
    (copy / FOLDER.file).write_text(text.replace(f"spectra = {len(refs)}", "spectra = 1"))
    with pytest.raises(IndexFileError, match="checksum"):
        References.open(copy)
    (copy / FOLDER.file).write_text("format = 99\n")
    with pytest.raises(IndexFileError, match="molvis-msms"):
        References.open(copy)


@pytest.mark.parametrize(
    ("column", "values"), [("mz", [[2.0, 1.0]]), ("mz", [[-1.0, 1.0]]), ("intensity", [[1.0]]), ("mz", [None])]
)
def test_peaks_that_no_spectrum_has_are_refused(tmp_path: Path, column: str, values: list[list[float] | None]) -> None:
    """A folder whose digests agree, of a table that some other program wrote."""
    import pyarrow as pa

    from molvis_files.digests import blocks_of

    path = tmp_path / "refs"
    two = dataclasses.replace(measurement("caffeine"), record=PeakList(np.array([1.0, 2.0]), np.ones(2), 195.0877))
    write([two], path)
    table = pq.read_table(path / TABLE)
    place = table.schema.get_field_index(column)
    table = table.set_column(place, column, pa.array(values, table.schema.field(column).type))
    pq.write_table(table, path / TABLE)
    counts = {"spectra": 1, "compounds": 1, "peaks": 2}
    (path / FOLDER.file).write_text(FOLDER.text({**counts, "blocks": blocks_of(path, [TABLE])}))
    with pytest.raises(IndexFileError, match="damaged: peaks that no spectrum has"):
        References.open(path)


def test_an_interrupted_build_leaves_nothing(tmp_path: Path) -> None:
    def stopped(done: int, total: int) -> None:
        raise KeyboardInterrupt

    items = [measurement("caffeine", seed) for seed in range(501)]
    with pytest.raises(KeyboardInterrupt):
        write(items, tmp_path / "refs", progress=stopped)
    assert list(tmp_path.iterdir()) == []


def test_results_are_plain_values(refs: References) -> None:
    from molvis_msms.references.search import to_json

    query = dataclasses.replace(measurement("caffeine"), record=refs.spectrum(0))
    (one,) = to_json(search(refs, [query], Settings(top=2)))
    assert json.loads(json.dumps(one)) == one
    first = one["hits"][0]
    assert (first["rank"], first["name"], first["licence"]) == (1, "caffeine", "CC BY")
    assert first["score"] == pytest.approx(1.0)
    assert len(first["peaks"]) == first["matched_peaks"] == len(refs.spectrum(0))
