"""Evaluation: a bundle that knows scores all, one that does not scores what chance scores, and nothing flatters."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import barcode
import numpy as np
import pytest
from barcode import BUTANOLS, STRUCTURES, make_bundle, make_index, measurement

from molvis_core.errors import ConfigError, DatasetError, IndexFileError, ScoreError
from molvis_core.records import PeakList
from molvis_files.digests import KEY
from molvis_files.documents import write_toml
from molvis_retrieval import importing, metrics
from molvis_retrieval.bundle import Bundle, Calibration
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.controls import KINDS, robbed
from molvis_retrieval.evaluation.queries import decoys, known_rows, selected_records
from molvis_retrieval.evaluation.ranking import Evaluation, Figure, evaluate, headline
from molvis_retrieval.index import Index

pytestmark = pytest.mark.usefixtures("toys")


def write(folder: Path, noise: float = 0.0, spectra: int = 2, structures: tuple = STRUCTURES[:21]) -> Dataset:
    items = [measurement(s, noise=noise, seed=i) for i in range(spectra) for s in structures]
    items += [measurement(s, fold="val") for s in STRUCTURES[21:]]
    importing.write(items, folder)
    return Dataset.open(folder)


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return write(tmp_path / "data")


def figure(
    found: Evaluation, candidates: str, by: str = "compound", method: str = "embedding", group: str = ""
) -> Figure:
    (one,) = [f for f in found.figures if (f.candidates, f.by, f.method, f.group) == (candidates, by, method, group)]
    return one


def value(found: Evaluation, candidates: str, name: str = "hit1", **which: str) -> float:
    return figure(found, candidates, **which).estimates[name].value


def test_a_bundle_that_knows_puts_the_truth_first_everywhere(bundle: Bundle, index: Index, data: Dataset) -> None:
    found = evaluate(bundle, data, index)
    assert (found.spectra, found.compounds, found.library, found.added) == (42, 21, len(STRUCTURES), 0)
    for scope in ("mass", "formula", "all"):
        for by in ("compound", "spectrum", "consensus"):
            assert value(found, scope, by=by) == 1
    assert found.first_hit_similarity == pytest.approx(1)
    assert found.pairwise == {"accuracy": 1.0, "auroc": 1.0, "auprc": pytest.approx(1.0)}
    assert figure(found, "all").median_candidates == len(STRUCTURES)
    assert figure(found, "mass").median_candidates == 14
    assert found.note == ""


def test_a_bundle_that_knows_nothing_gets_what_chance_gets(tmp_path: Path, data: Dataset) -> None:
    bundle = make_bundle(tmp_path / "same", same=True)
    found = evaluate(bundle, data, make_index(bundle, tmp_path / "index"))
    for one in found.figures:
        for cutoff in metrics.CUTOFFS:
            assert one.estimates[f"hit{cutoff}"].value == pytest.approx(one.chance[f"hit{cutoff}"])
    assert figure(found, "formula").chance["hit1"] == pytest.approx((7 / 7 + 14 / 14) / 21)
    assert found.pairwise["auroc"] == 0.5
    assert found.calibration_error == pytest.approx(0, abs=1e-6)  # it says one in n, and is right


def test_ranks_in_the_whole_library_are_those_of_the_full_score_matrix(
    bundle: Bundle, index: Index, tmp_path: Path
) -> None:
    data = write(tmp_path / "noisy", noise=0.7, spectra=3)
    found = evaluate(bundle, data, index, scopes=("all",))
    rows = data.rows("msms", fold="test")
    truths = [data.structure("msms", int(r)).inchikey14 for r in rows]
    queries = bundle.embed("msms", [data.record("msms", int(r)) for r in rows])
    columns = np.array([index.library.rows_of(k)[0] for k in truths])
    rank, tied = metrics.rank_of_truth(queries @ index.take(np.arange(len(index.library))).T, columns)
    assert 0.1 < metrics.hits(rank, 1, tied).mean() < 0.9
    expected = metrics.retrieval(rank, truths, tied=tied)
    for name, estimate in figure(found, "all").estimates.items():
        assert estimate.value == pytest.approx(expected[name].value)
    by_spectrum = metrics.retrieval(rank, truths, by="spectrum", tied=tied)
    assert value(found, "all", by="spectrum") == pytest.approx(by_spectrum["hit1"].value)


def test_many_spectra_together_rank_better_than_each_alone(bundle: Bundle, index: Index, tmp_path: Path) -> None:
    found = evaluate(bundle, write(tmp_path / "noisy", noise=0.7, spectra=8), index)
    for scope in ("mass", "formula", "all"):
        assert value(found, scope, "mrr", by="consensus") > value(found, scope, "mrr") + 0.05


def test_true_structures_that_the_index_lacks_are_added_and_counted(
    bundle: Bundle, data: Dataset, tmp_path: Path
) -> None:
    lacking = make_index(bundle, tmp_path / "lacking", STRUCTURES[5:])
    found = evaluate(bundle, data, lacking)
    assert (found.added, found.library) == (5, len(STRUCTURES) - 5)
    assert figure(found, "all").median_candidates == len(STRUCTURES)
    assert value(found, "all") == value(found, "mass") == 1


def test_a_truth_outside_its_own_window_is_a_candidate_all_the_same(
    bundle: Bundle, index: Index, data: Dataset
) -> None:
    found = evaluate(bundle, data, index, precursor_error=300.0, scopes=("mass",))
    assert found.note == "precursor error 300 ppm"
    assert figure(found, "mass").median_candidates < 14
    assert value(found, "mass") == 1


def test_a_query_without_a_precursor_does_not_have_the_truth_alone(
    bundle: Bundle, index: Index, tmp_path: Path
) -> None:
    good = [measurement(s) for s in STRUCTURES[:21]]
    importing.write(
        [dataclasses.replace(m, record=dataclasses.replace(m.record, precursor_mz=None)) for m in good],
        tmp_path / "data",
    )
    found = evaluate(bundle, Dataset.open(tmp_path / "data"), index, scopes=("mass",), precursor_error=5.0)
    assert figure(found, "mass").median_candidates == 14


def test_peaks_of_another_compound_leave_what_chance_leaves(bundle: Bundle, index: Index, data: Dataset) -> None:
    found = evaluate(bundle, data, index, decoy=True, scopes=("mass",))
    assert found.note == "decoy"
    assert value(found, "mass") < 0.3


def test_a_decoy_has_the_peaks_of_the_compound_nearest_in_mass_but_not_of_the_same_mass() -> None:
    records = [
        PeakList(np.array([float(number)]), np.ones(1), 200.0, "[M+H]+", 1, mode)
        for number, mode in enumerate(("positive", "positive", "positive", "positive", "negative"), start=1)
    ]
    keys = np.array(["A", "B", "C", "C", "D"])
    masses = np.array([100.0, 100.01, 103.0, 103.0, 100.5])
    rng = np.random.default_rng(0)
    with pytest.raises(DatasetError, match=r"no other compound of ion mode negative, more than 0\.02 Da away"):
        decoys(records, keys, masses, rng)
    found = [[float(one.mz[0]) for one in decoys(records[:4], keys[:4], masses[:4], rng)] for _ in range(20)]
    assert {one[0] for one in found} == {one[1] for one in found} == {3.0, 4.0}
    assert {one[2] for one in found} == {2.0}
    assert all(one.precursor_mz == 200.0 for one in decoys(records[:4], keys[:4], masses[:4], rng))


def test_controls_stand_beside_the_figure(bundle: Bundle, index: Index, data: Dataset) -> None:
    found = evaluate(bundle, data, index, scopes=("mass",), controls=True)
    hits = {c.kind: c.estimates["hit1"].value for c in found.controls}
    assert list(hits) == ["spectrum", "decoy", "no peaks", "precursor off", "random"] == list(KINDS)
    assert hits["spectrum"] == value(found, "mass") == 1
    assert hits["precursor off"] == 1  # the toy encoder does not look at the precursor
    assert max(hits["decoy"], hits["no peaks"]) < 0.3
    assert hits["random"] == pytest.approx(figure(found, "mass").chance["hit1"])
    assert {c.compounds for c in found.controls} == {21}
    assert evaluate(bundle, data, index, scopes=("mass",)).controls == ()


def test_controls_are_those_of_a_direct_evaluation(bundle: Bundle, index: Index, tmp_path: Path) -> None:
    data = write(tmp_path / "noisy", noise=0.7, spectra=3)
    found = evaluate(bundle, data, index, scopes=("all",), controls=True)
    measured = evaluate(bundle, data, index, scopes=("mass",))
    (spectrum,) = [c for c in found.controls if c.kind == "spectrum"]
    assert spectrum.estimates == figure(measured, "mass").estimates
    # The ranking that is at hand is not made again, unless its queries were tampered with.
    assert evaluate(bundle, data, index, scopes=("mass",), controls=True).controls == found.controls
    assert evaluate(bundle, data, index, scopes=("mass",), controls=True, decoy=True).controls == found.controls


def test_what_is_no_query_is_counted_by_its_reason(bundle: Bundle, index: Index, tmp_path: Path) -> None:
    good = [measurement(s) for s in STRUCTURES[:21]]
    odd = [measurement(s, adduct="[M+K]+") for s in STRUCTURES[:3]]
    short = dataclasses.replace(good[0].record, mz=np.array([50.0]), intensity=np.ones(1))
    items = [*good, *odd, dataclasses.replace(good[0], record=short), measurement(STRUCTURES[0], known=False)]
    importing.write(items, tmp_path / "data")
    found = evaluate(bundle, Dataset.open(tmp_path / "data"), index, scopes=("mass",))
    assert found.spectra == 21
    assert found.left_out == {
        "of another adduct than [M+H]+, [M-H]-, [M+Na]+, [M+NH4]+": 3,
        "of fewer than 2 peaks": 1,
        "of an unknown structure": 1,
    }


def test_queries_without_their_peaks_are_scattered_where_the_bundle_weighs_masses(tmp_path: Path) -> None:
    importing.write([measurement(s) for s in STRUCTURES for _ in range(60)], tmp_path / "data")
    data = Dataset.open(tmp_path / "data")
    rows, keys = known_rows(data, "msms", data.rows("msms"))
    measured = selected_records(data, "msms", rows, keys, np.random.default_rng(0))

    def errors(kind: str, scatter: float) -> np.ndarray:
        found = robbed(kind, measured, scatter, np.random.default_rng(0)).records
        pairs = zip(found, measured.records, strict=True)
        return np.array([new.precursor_mz / old.precursor_mz - 1 for new, old in pairs]) * 1e6

    assert errors("precursor off", 0.0).std() == pytest.approx(3.0, rel=0.1)
    for kind in ("decoy", "no peaks"):
        assert (errors(kind, 0.0) == 0).all()
        assert -10 < errors(kind, 10.0).min() < -9 < 9 < errors(kind, 10.0).max() < 10
    bare = robbed("no peaks", measured, 0.0, np.random.default_rng(0)).records
    assert all(len(one) == 1 and one.mz[0] == one.precursor_mz for one in bare)


def test_decoys_need_another_compound(bundle: Bundle, index: Index, tmp_path: Path) -> None:
    alone = write(tmp_path / "one", structures=STRUCTURES[:1])
    with pytest.raises(DatasetError, match="no other compound of ion mode positive"):
        evaluate(bundle, alone, index, decoy=True)


def test_figures_are_given_by_adduct_instrument_and_mass(bundle: Bundle, index: Index, tmp_path: Path) -> None:
    items = [measurement(s, adduct=a) for s in STRUCTURES[:21] for a in ("[M+H]+", "[M-H]-", "[M+K]+")]
    importing.write(items, tmp_path / "data")
    found = evaluate(bundle, Dataset.open(tmp_path / "data"), index)
    groups = {f.group: f.spectra for f in found.figures if f.group}
    assert groups == {
        "adduct [M+H]+": 21,
        "adduct [M-H]-": 21,
        "instrument_type LC-ESI-QTOF": 42,
        "mass 0 to 200 Da": 42,
    }
    assert found.spectra == 42  # potassium is none of the main adducts


def test_scorers_are_measured_beside_the_embedding_alone(tmp_path: Path) -> None:
    # A scorer that likes one butanol whatever the spectrum: the other six are no longer found.
    calibration = Calibration({"msms": 10.0, "msms.alone": 10.0, "liking.liked": 50.0})
    bundle = make_bundle(
        tmp_path / "bundle", scorer=f'{{ use = "favours", smiles = "{BUTANOLS[0]}" }}', calibration=calibration
    )
    index, data = make_index(bundle, tmp_path / "index"), write(tmp_path / "data", structures=STRUCTURES[:7])
    found = evaluate(bundle, data, index, scopes=("mass",))
    assert value(found, "mass") == 1
    assert value(found, "mass", method="reranked") == pytest.approx(1 / 7)
    assert value(found, "mass", method="reranked", by="consensus") == pytest.approx(1 / 7)
    assert {f.method for f in evaluate(bundle, data, index, rerank=False).figures} == {"embedding"}


def test_honest_probabilities_have_a_smaller_error_than_boastful_ones(
    bundle: Bundle, index: Index, tmp_path: Path
) -> None:
    from molvis_retrieval.calibration.weights import calibrate

    data = write(tmp_path / "noisy", noise=0.8, spectra=6)
    fitted = calibrate(bundle, [data.measurement("msms", int(r)) for r in data.rows("msms", fold="test")], index)
    honest = evaluate(bundle.with_calibration(fitted), data, index, scopes=("mass",))
    boastful = evaluate(bundle.with_calibration(Calibration({"msms.alone": 500.0})), data, index, scopes=("mass",))
    assert honest.calibration_error < 0.15 < boastful.calibration_error


def test_the_same_seed_gives_the_same_evaluation(bundle: Bundle, index: Index, tmp_path: Path) -> None:
    data = write(tmp_path / "noisy", noise=0.7)
    assert evaluate(bundle, data, index, decoy=True) == evaluate(bundle, data, index, decoy=True)
    assert evaluate(bundle, data, index, decoy=True, seed=1) != evaluate(bundle, data, index, decoy=True)


def test_a_vector_that_is_not_finite_is_an_error_and_no_hit(bundle: Bundle, index: Index, data: Dataset) -> None:
    file = index.path / "vectors.f16"
    vectors = np.fromfile(file, dtype=np.float16)
    vectors[index.library.rows_of(STRUCTURES[0].inchikey14)[0] * barcode.DIM] = np.nan
    vectors.tofile(file)
    # Digests would call it damage: an index of an older molvis has none.
    about = {**tomllib.loads((index.path / "index.toml").read_text()), "format": 1}
    (index.path / "index.toml").write_text(write_toml({k: v for k, v in about.items() if k not in ("blocks", KEY)}))
    for scope in ("all", "mass"):
        with pytest.raises(ScoreError, match="cannot be ranked"):
            evaluate(bundle, data, Index.open(index.path), scopes=(scope,))


def test_nothing_to_evaluate_is_an_error(bundle: Bundle, index: Index, data: Dataset) -> None:
    with pytest.raises(DatasetError, match="no fold 'tset'. Did you mean 'test'"):
        evaluate(bundle, data, index, fold="tset")
    with pytest.raises(DatasetError, match="no spectrum of fold 'test'"):
        evaluate(bundle, data, index, adducts=("[M+Na]+",))
    with pytest.raises(DatasetError, match="no spectrum of fold 'test'"):
        evaluate(bundle, data, index, min_peaks=100)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scopes": ("mas",)}, "scope 'mas' is none of mass, formula, all. Did you mean 'mass'?"),
        ({"ppm": 0.0}, "both must be positive"),
        ({"precursor_error": -1.0}, "both must be positive"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(
    options: dict[str, Any], message: str, bundle: Bundle, index: Index, data: Dataset
) -> None:
    with pytest.raises(ConfigError) as caught:
        evaluate(bundle, data, index, **options)
    assert message in str(caught.value)


def test_an_index_of_another_bundle_is_refused(index: Index, data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(IndexFileError, match="made by bundle"):
        evaluate(make_bundle(tmp_path / "same", same=True), data, index)


def test_progress_says_what_is_being_done(bundle: Bundle, index: Index, data: Dataset) -> None:
    seen: dict[str, tuple[int, int]] = {}
    evaluate(bundle, data, index, progress=lambda done, total, what: seen.__setitem__(what, (done, total)))
    assert seen["embedding spectra"] == (42, 42)
    assert seen["ranking candidates of equal mass"] == (21, 21)
    assert seen["ranking the whole library"] == (26, 26)


def test_the_headline_is_flat(bundle: Bundle, index: Index, data: Dataset) -> None:
    rows = headline(evaluate(bundle, data, index, scopes=("mass",)))
    assert rows[0]["bundle"] == "barcode"
    assert (rows[0]["hit1"], rows[0]["hit1_low"], rows[0]["hit1_high"]) == (1, 1, 1)
    assert all(not isinstance(cell, (dict, list)) for row in rows for cell in row.values())
