"""Unknowns are ranked, weighed and written out; one that cannot be is reported, and the rest goes on."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import barcode
import numpy as np
import pytest
from barcode import BUTANOL, STRUCTURES, changed, make_bundle, make_index, measurement

from molvis_core.chemistry.adducts import ion_mz, likely_adducts
from molvis_core.chemistry.structures import structure
from molvis_core.errors import ConfigError, DatasetError, IndexFileError, RecordError
from molvis_core.records import PeakList, Structure
from molvis_core.testing import offer
from molvis_retrieval import side_by_side
from molvis_retrieval.bundle import Bundle, Calibration
from molvis_retrieval.calibration.weights import calibrate
from molvis_retrieval.evidence import START_WEIGHT
from molvis_retrieval.identification import identify
from molvis_retrieval.index import Index
from molvis_retrieval.ions import check_ion, fitting_ion
from molvis_retrieval.library import Library
from molvis_retrieval.queries import read_queries
from molvis_retrieval.results import to_rows
from molvis_retrieval.vectors import LazyVectors

pytestmark = pytest.mark.usefixtures("toys")


def test_the_truth_comes_first_among_candidates_of_its_mass(bundle: Bundle, index: Index) -> None:
    (found,) = identify(bundle, [measurement(BUTANOL)], index)
    assert found.problem == ""
    assert found.n_candidates == len(barcode.BUTANOLS)
    assert [c.rank for c in found.candidates] == list(range(1, 8))
    assert found.candidates[0].structure == dataclasses.replace(BUTANOL, name=None)
    assert {c.structure.formula for c in found.candidates} == {"C4H10O"}
    assert found.mass == pytest.approx(BUTANOL.exact_mass, abs=1e-6)
    assert found.truth_rank == 1
    with pytest.warns(DeprecationWarning, match=r"molvis_retrieval\.identify\(bundle, queries, index\)"):
        assert bundle.identify([measurement(BUTANOL)], index)[0].candidates == found.candidates


def test_probabilities_are_the_softmax_of_the_weighted_evidence(bundle: Bundle, index: Index) -> None:
    (found,) = identify(bundle, [measurement(BUTANOL, noise=0.5)], index)
    scores = np.array([c.score for c in found.candidates])
    probability = np.array([c.probability for c in found.candidates])
    np.testing.assert_allclose(probability, np.exp(scores) / np.exp(scores).sum())
    np.testing.assert_allclose(scores, [sum(c.evidence.values()) for c in found.candidates])
    assert (np.diff(scores) <= 0).all()
    assert found.margin == pytest.approx(probability[0] - probability[1])
    query = bundle.embed("msms", [measurement(BUTANOL, noise=0.5).record])
    best = bundle.embed("structure", [found.candidates[0].structure])
    assert scores[0] == pytest.approx(START_WEIGHT * float((query @ best.T)[0, 0]), rel=1e-3)


def test_a_record_is_prepared_once(bundle: Bundle, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[PeakList] = []
    collate = barcode.Spelled.collate

    def counted(self: Any, records: Any) -> Any:
        prepared.extend(records)
        return collate(self, records)

    monkeypatch.setattr(barcode.Spelled, "collate", counted)
    queries = [measurement(s) for s in STRUCTURES[:5]]
    identify(bundle, queries, index)
    assert len(prepared) == 5


def test_processes_side_by_side_find_the_same_in_the_same_order(
    bundle: Bundle, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = [measurement(s, noise=0.6, seed=7) for s in STRUCTURES]
    alone = identify(bundle, queries, index)
    sent: list[int] = []

    def as_sent(work: Any, items: Iterable[Any], *_: Any, **__: Any) -> list[Any]:
        # What another process is sent, and what it sends back; that there are any is tested where they are started.
        there = pickle.loads(pickle.dumps(work))
        pickled = [pickle.dumps(item) for item in items]
        sent.extend(len(item) for item in pickled)
        return [pickle.loads(pickle.dumps(there(pickle.loads(item)))) for item in pickled]

    monkeypatch.setattr(side_by_side, "in_parallel", as_sent)
    several = identify(bundle, queries, index, processes=2)
    assert to_rows(several) == to_rows(alone)
    lazy = dataclasses.replace(index, vectors=LazyVectors(bundle, index.library))
    assert to_rows(identify(bundle, queries, lazy, processes=2)) == to_rows(alone)
    assert len(sent) == 2 * len(queries)
    assert max(sent) < 20_000  # a measurement with its vectors; neither the bundle nor the library


def test_a_library_that_is_mapped_is_sent_as_its_file(index: Index) -> None:
    sent = pickle.dumps(index)
    again = pickle.loads(sent)
    assert len(sent) < 2000
    assert again.library.digest == index.library.digest
    np.testing.assert_array_equal(again.take(np.arange(5)), index.take(np.arange(5)))


def test_what_ties_with_the_truth_counts_half_as_in_evaluation(tmp_path: Path) -> None:
    blind = make_bundle(tmp_path / "blind", same=True)
    (found,) = identify(blind, [measurement(BUTANOL)], make_index(blind, tmp_path / "blind-index"))
    assert found.truth_rank == (1 + len(barcode.BUTANOLS)) / 2
    order = [c.structure.smiles for c in found.candidates]
    assert order == [s.smiles for s in STRUCTURES if s.smiles in set(order)]  # as the library has them


class Oxygens:
    """Whether a structure is an alcohol or an ether."""

    names, groups = ("alcohol", "ether"), ("group", "group")

    def __call__(self, structures: Sequence[Structure]) -> np.ndarray:
        alcohol = [s.smiles.endswith("O") or s.smiles.startswith("O") or "(O)" in s.smiles for s in structures]
        return np.stack([alcohol, np.logical_not(alcohol)], axis=-1).reshape(-1, 2)


def test_classes_are_given_where_they_are_asked_for(bundle: Bundle, index: Index) -> None:
    with offer(classifier={"oxygens": Oxygens}, hide=["molvis-structure"]):
        (plain,) = identify(bundle, [measurement(BUTANOL)], index)
        (found,) = identify(bundle, [measurement(BUTANOL)], index, classes=True)
    assert plain.classes == ()
    inside = Oxygens()([c.structure for c in found.candidates])
    shares = np.array([c.probability for c in found.candidates]) @ inside
    assert shares[0] > 0.5
    first = found.classes[0]
    assert (first.name, first.candidates) == ("alcohol", inside[:, 0].sum())
    assert first.probability == pytest.approx(shares[0])


def test_the_mass_window_is_as_wide_as_asked_for(bundle: Bundle, index: Index) -> None:
    wide = identify(bundle, [measurement(BUTANOL)], index, ppm=2e5)[0]
    assert wide.n_candidates > len(barcode.BUTANOLS)
    off = changed(precursor_mz=measurement(BUTANOL).record.precursor_mz * (1 + 12e-6))
    assert "no candidate within 10 ppm of 74.0" in identify(bundle, [off], index, ppm=10)[0].problem
    assert identify(bundle, [off], index, ppm=15)[0].problem == ""


def test_candidates_of_a_formula_need_no_precursor(bundle: Bundle, index: Index) -> None:
    query = changed(precursor_mz=None)
    (found,) = identify(bundle, [query], index, candidates="formula", formula="C5H12O")
    assert found.n_candidates == len(barcode.PENTANOLS)
    assert found.truth_rank is None  # it is no candidate
    (found,) = identify(bundle, [query], index, candidates="formula")
    assert found.n_candidates == len(barcode.BUTANOLS)


def test_the_whole_library_gives_the_same_for_one_query_and_for_many(bundle: Bundle, index: Index) -> None:
    queries = [measurement(s, noise=0.6, seed=i) for i in range(2) for s in STRUCTURES]
    many = identify(bundle, queries, index, candidates="all", top=3)
    assert len(many) == len(queries) > 32
    for query, found in zip(queries, many, strict=True):
        alone = identify(bundle, [query], index, candidates="all", top=3)[0]
        assert found.query == alone.query
        assert found.n_candidates == len(STRUCTURES)
        assert [c.structure for c in found.candidates] == [c.structure for c in alone.candidates]
        np.testing.assert_allclose([c.score for c in found.candidates], [c.score for c in alone.candidates], rtol=1e-5)


@pytest.mark.parametrize("size", [1, 7, 26, 1000])
def test_blocks_of_an_index_are_all_its_vectors_widened(size: int, index: Index) -> None:
    blocks = [(start, block.copy()) for start, block in index.blocks(size)]
    assert [start for start, _ in blocks] == list(range(0, len(index.library), size))
    assert {b.dtype for _, b in blocks} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(np.concatenate([b for _, b in blocks]), np.asarray(index.vectors, dtype=np.float32))


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        (changed(mz=[], intensity=[]), "the spectrum has no peaks"),
        (changed(intensity=np.zeros(barcode.DIM)), "the spectrum has no peaks"),
        (changed(adduct="[M+Foo]+"), "'Fo' is not an element"),
        (changed(adduct="[M-H]-"), r"adduct [M-H]- is negative, but the ion mode is positive"),
        (changed(precursor_mz=None), "no neutral mass without precursor m/z and adduct"),
        (changed(adduct=None, precursor_mz=300.0), "as none of these the library holds a candidate: [M+H]+ (298.99"),
        (changed(adduct=None, charge=3), "no adduct to try is positive and charge +3"),
        (changed(precursor_mz=0.5), "too small for adduct [M+H]+"),
        (changed(precursor_mz=900.0), "no candidate within 10 ppm of 898.99"),
    ],
    ids=["empty", "flat", "adduct", "mode", "precursor", "no adduct", "no charge", "light", "nothing"],
)
def test_a_query_that_cannot_be_searched_says_why_and_the_rest_goes_on(
    query: Any, problem: str, bundle: Bundle, index: Index
) -> None:
    before, bad, after = identify(bundle, [measurement(BUTANOL), query, measurement(STRUCTURES[1])], index)
    assert problem in bad.problem
    assert (bad.query, bad.candidates, bad.n_candidates) == ("bad", (), 0)
    assert (before.truth_rank, after.truth_rank) == (1, 1)


def test_nothing_good_at_all_is_not_an_error(bundle: Bundle, index: Index) -> None:
    assert identify(bundle, [], index) == []
    assert identify(bundle, [changed(adduct="[M")], index)[0].problem


def test_an_adduct_is_taken_for_queries_that_name_none(bundle: Bundle, index: Index) -> None:
    query = measurement(BUTANOL, adduct=None)
    (found,) = identify(bundle, [query], index, adduct="[M+H]+")
    assert (found.adduct, found.truth_rank) == ("[M+H]+", 1)
    other = dataclasses.replace(query, record=dataclasses.replace(query.record, adduct="M+H"))
    assert check_ion(other.record, "[M-H]-")[0].adduct == "[M+H]+"


def nameless(adduct: str, **fields: Any) -> Any:
    """Butanol's spectrum as an ion of this adduct that does not say so."""
    return changed(adduct=None, precursor_mz=ion_mz(BUTANOL.exact_mass, adduct), **fields)


@pytest.mark.parametrize("adduct", ["[M+H]+", "[M+Na]+", "[M+NH4]+", "[M+H-H2O]+"])
def test_an_ion_that_names_no_adduct_is_tried_as_each_likely_one(adduct: str, bundle: Bundle, index: Index) -> None:
    (found,) = identify(bundle, [nameless(adduct)], index)
    assert (found.problem, found.truth_rank, found.adduct) == ("", 1, adduct)
    assert found.candidates[0].adduct == adduct
    assert found.mass == pytest.approx(BUTANOL.exact_mass, abs=1e-6)
    assert found.searched is not None
    assert {*found.searched.adducts} == {*likely_adducts("positive")} - {"[M+2H]2+"}


def test_two_charges_are_tried_where_a_peak_lies_above_the_precursor_or_the_charge_is_known(
    bundle: Bundle, index: Index
) -> None:
    query = nameless("[M+H]+")
    above = dataclasses.replace(
        query.record, mz=np.append(query.record.mz, 90.0), intensity=np.append(query.record.intensity, 1.0)
    )
    found, isotopes, known = identify(
        bundle, [dataclasses.replace(query, record=r) for r in (above, query.record, query.record)], index,
        ions=[{}, {"[M+H]+": 0.0, "[M+2H]2+": 1.0}, {"[M+H]+": 0.0, "[M+2H]2+": 0.0}],
    )  # fmt: skip
    tried = [one.searched.adducts for one in (found, isotopes, known) if one.searched]
    assert tried == [tuple(likely_adducts("positive")), ("[M+H]+", "[M+2H]2+"), ("[M+H]+",)]


def test_candidates_under_all_adducts_are_ranked_together(bundle: Bundle, index: Index) -> None:

    query = nameless("[M+H]+")
    (found,) = identify(bundle, [query], index, adducts=["[M+H]+", "[M+H-CH2]+"], top=100)
    assert {c.adduct for c in found.candidates} == {"[M+H]+", "[M+H-CH2]+"}
    assert {c.adduct: c.structure.formula for c in found.candidates} == {"[M+H]+": "C4H10O", "[M+H-CH2]+": "C5H12O"}
    assert found.n_candidates == len(barcode.BUTANOLS) + len(barcode.PENTANOLS) == len(found.candidates)
    assert sum(c.probability for c in found.candidates) == pytest.approx(1)
    shares = likely_adducts(None, names=["[M+H]+", "[M+H-CH2]+"])
    for c in found.candidates:
        assert c.adduct is not None
        assert c.evidence["adduct"] == pytest.approx(np.log(shares[c.adduct]))
        assert c.score == pytest.approx(sum(c.evidence.values()))
        assert c.mass_error == pytest.approx(0, abs=0.1)
    rows = to_rows([found])
    assert {r["adduct"] for r in rows} == {"[M+H]+", "[M+H-CH2]+"}
    assert all(abs(r["mass_error_ppm"]) < 0.1 for r in rows)


def test_one_adduct_to_try_is_that_adduct(bundle: Bundle, index: Index) -> None:
    (tried,) = identify(bundle, [nameless("[M+Na]+")], index, adducts=["M+Na"])
    (named,) = identify(bundle, [nameless("[M+Na]+")], index, adduct="[M+Na]+")
    assert tried.candidates == named.candidates
    with pytest.raises(ConfigError, match="name one of the two"):
        identify(bundle, [], index, adduct="[M+H]+", adducts=["[M+Na]+"])


def test_an_adduct_left_open_says_the_polarity(bundle: Bundle, index: Index) -> None:
    query = nameless("[M+H]+", ionmode=None)
    assert query.record.ionmode is None
    both = identify(bundle, [query], index)[0].searched
    assert both is not None
    assert {"[M+H]+", "[M-H]-"} <= set(both.adducts)
    query = dataclasses.replace(query, record=dataclasses.replace(query.record, adduct="[M+?]+"))
    (found,) = identify(bundle, [query], index)
    assert found.searched is not None
    assert "[M-H]-" not in found.searched.adducts
    assert found.truth_rank == 1


def test_of_several_ions_the_one_that_names_its_adduct_tells_the_mass(bundle: Bundle, index: Index) -> None:
    (found,) = identify(bundle, [[nameless("[M+Na]+"), measurement(BUTANOL)]], index)
    assert found.searched is not None
    assert found.searched.adducts == ("[M+H]+",)
    (found,) = identify(bundle, [[nameless("[M+Na]+"), nameless("[M+Na]+")]], index)
    assert (found.adduct, found.spectra, found.truth_rank) == ("[M+Na]+", 2, 1)
    (found,) = identify(bundle, [[nameless("[M+Na]+"), nameless("[M+H]+", ionmode="negative")]], index)
    assert "differ in polarity or charge" in found.problem


def test_a_molecule_that_is_charged_already_is_its_own_ion() -> None:
    library = Library.from_structures([structure("CCCCO"), structure("C[N+](C)(C)CCO")])
    rows = np.arange(2)
    kept, prior = fitting_ion(library, rows, "[M]+", 0.1)
    assert library.structure(int(kept[np.argmax(prior)])).charge == 1
    np.testing.assert_allclose(sorted(prior), [np.log(0.1), 0.0])
    kept, prior = fitting_ion(library, rows, "[M+H]+", 0.9)
    assert [library.structure(int(row)).charge for row in kept] == [0]
    with pytest.raises(DatasetError, match=r"none of the 1 candidates of this mass can be the ion \[M\+Na\]\+"):
        fitting_ion(library, np.flatnonzero(library.table["charge"].to_numpy() == 1), "[M+Na]+", 0.1)


def test_a_formula_that_the_library_lacks_is_a_problem_of_the_query(bundle: Bundle, index: Index) -> None:
    (found,) = identify(bundle, [measurement(BUTANOL)], index, candidates="formula", formula="C60H2")
    assert found.problem == "no candidate of formula C60H2 in the library"
    (found,) = identify(bundle, [measurement(BUTANOL, known=False)], index, candidates="formula")
    assert "give one with --formula" in found.problem


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidates": "masses"}, "must be 'auto', 'mass', 'formula' or 'all', got 'masses'"),
        ({"ppm": 0.0}, "ppm must be positive, got 0"),
        ({"ppm": float("nan")}, "ppm must be positive, got nan"),
        ({"top": 0}, "top must be positive, got 0"),
        ({"formula": "C4H10Q"}, "'Q' is not an element"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(
    options: dict[str, Any], message: str, bundle: Bundle, index: Index
) -> None:
    # Under test a wrong literal would not even get in.
    unchecked = getattr(identify, "__wrapped__", identify)
    with pytest.raises(ConfigError, match=message):
        unchecked(bundle, [measurement(BUTANOL)], index, **options)


def test_an_index_of_another_bundle_is_refused(index: Index, tmp_path: Path) -> None:
    other = make_bundle(tmp_path / "other", same=True, name="other")
    with pytest.raises(IndexFileError, match="made by bundle 'barcode'.*not by 'other'"):
        identify(other, [measurement(BUTANOL)], index)


def test_queries_of_another_kind_are_refused(bundle: Bundle, index: Index) -> None:
    other = dataclasses.replace(measurement(BUTANOL), modality="ir")
    bad, good = identify(bundle, [other, measurement(BUTANOL)], index)
    assert "no encoder for 'ir'" in bad.problem
    assert good.truth_rank == 1
    with pytest.raises(RecordError, match="query 1 is a Structure, which belongs to no installed modality"):
        identify(bundle, [BUTANOL], index)


def test_bare_records_are_named_by_their_identifier_or_number(bundle: Bundle, index: Index) -> None:
    pytest.importorskip("molvis_msms", reason="a record finds its modality among those that plugins bring")
    record = measurement(BUTANOL).record
    assert isinstance(record, PeakList)
    named = dataclasses.replace(record, identifier="scan 12")
    assert [f.query for f in identify(bundle, [record, named], index)] == ["query 1", "scan 12"]


def test_progress_counts_the_unknowns(bundle: Bundle, index: Index) -> None:
    seen: list[tuple[int, int]] = []
    identify(
        bundle, [measurement(s) for s in STRUCTURES[:3]], index, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


def liking(folder: Path, smiles: str, weight: float = 50.0, *, shortlist: int = 256, value: str = "1.0") -> Bundle:
    calibration = Calibration({"msms": 10.0, "msms.alone": 7.0, "liking.liked": weight}, shortlist, "a test")
    scorer = f'{{ use = "favours", smiles = "{structure(smiles).smiles}", value = {value} }}'
    return make_bundle(folder, scorer=scorer, calibration=calibration)


def test_a_scorer_lifts_the_candidate_it_favours(tmp_path: Path) -> None:
    bundle = liking(tmp_path / "bundle", "COCCC")
    index = make_index(bundle, tmp_path / "index")
    (found,) = identify(bundle, [measurement(BUTANOL)], index)
    assert found.candidates[0].structure.smiles == structure("COCCC").smiles
    assert found.candidates[0].evidence["liking"] == pytest.approx(50.0)
    assert found.truth_rank == 2
    (plain,) = identify(bundle, [measurement(BUTANOL)], index, rerank=False)
    assert plain.truth_rank == 1
    assert plain.candidates[0].evidence == {"msms": pytest.approx(7.0, rel=1e-3)}  # the weight it has alone


def test_scorers_look_at_the_shortlist_only(tmp_path: Path) -> None:
    last = identify(
        (plain := make_bundle(tmp_path / "plain")), [measurement(BUTANOL)], make_index(plain, tmp_path / "i")
    )[0].candidates[-1]
    bundle = liking(tmp_path / "bundle", last.structure.smiles, shortlist=3)
    (found,) = identify(bundle, [measurement(BUTANOL)], make_index(bundle, tmp_path / "index"))
    assert found.candidates[-1].structure == last.structure
    assert found.n_candidates == len(found.candidates) == 7
    assert sum(c.probability for c in found.candidates) == pytest.approx(1)


def test_who_is_outside_the_shortlist_does_not_gain_by_what_the_shortlist_lost(tmp_path: Path) -> None:
    bundle = liking(tmp_path / "bundle", BUTANOL.smiles, weight=-50.0, shortlist=1)
    (found,) = identify(bundle, [measurement(BUTANOL)], make_index(bundle, tmp_path / "index"))
    assert found.truth_rank == 1


def test_a_scorer_that_gives_nan_is_a_problem_of_the_query(tmp_path: Path) -> None:
    bundle = liking(tmp_path / "bundle", BUTANOL.smiles, value="nan")
    index = make_index(bundle, tmp_path / "index")
    bad, good = identify(bundle, [measurement(BUTANOL), measurement(STRUCTURES[7])], index)
    assert bad.problem == "scorer 'liking' gave a number that is not finite"
    assert good.truth_rank == 1


def test_spectra_of_one_name_are_one_unknown_when_asked_for(bundle: Bundle, index: Index) -> None:
    spectra = [measurement(BUTANOL, noise=0.7, seed=seed) for seed in range(8)]
    other = measurement(STRUCTURES[1])
    apart = identify(bundle, [*spectra, other], index)
    assert len(apart) == 9
    together, alone = identify(bundle, [*spectra, other], index, consensus=True)
    assert (together.spectra, len(together.records), alone.spectra) == (8, 8, 1)
    ranks = [f.truth_rank for f in apart[:8] if f.truth_rank is not None]
    assert together.truth_rank is not None
    assert together.truth_rank <= min(np.mean(ranks), np.max(ranks))
    scores = {c.structure.inchikey: c.score for c in together.candidates}
    for key, score in scores.items():
        each = [c.score for f in apart[:8] for c in f.candidates if c.structure.inchikey == key]
        assert score == pytest.approx(np.mean(each), rel=1e-5)


def test_one_good_spectrum_of_an_unknown_is_enough(bundle: Bundle, index: Index) -> None:
    broken = dataclasses.replace(changed(adduct="[M-H]-"), name=BUTANOL.smiles)
    (found,) = identify(bundle, [broken, measurement(BUTANOL)], index, consensus=True)
    assert (found.problem, found.spectra, found.truth_rank) == ("", 1, 1)


def test_unnamed_queries_are_never_thought_to_be_one(bundle: Bundle, index: Index) -> None:
    queries = [measurement(BUTANOL, named=False), measurement(STRUCTURES[1], named=False)]
    assert len(identify(bundle, queries, index, consensus=True)) == 2


def noisy(noise: float = 0.75) -> list[Any]:
    return [measurement(s, noise=noise, seed=i) for i in range(2) for s in STRUCTURES[:21]]


def likelihood(bundle: Bundle, index: Index, queries: list[Any]) -> float:
    logs = [
        np.log(c.probability)
        for f in identify(bundle, queries, index)
        for c in f.candidates
        if f.truth is not None and c.structure.inchikey14 == f.truth.inchikey14
    ]
    return float(np.mean(logs))


def test_calibration_makes_the_truth_more_likely_than_any_other_weight(bundle: Bundle, index: Index) -> None:
    found = calibrate(bundle, noisy(), index, penalty=0.0, fitted_on="noise")
    assert found.fitted_on == "noise"
    best = found.weights["msms.alone"]
    assert best == pytest.approx(found.weights["msms"], rel=1e-3)  # there is no scorer to share with
    at = [
        likelihood(bundle.with_calibration(Calibration({"msms.alone": best * share})), index, noisy())
        for share in (0.5, 0.9, 1.0, 1.1, 2.0)
    ]
    assert int(np.argmax(at)) == 2


def test_a_feature_that_says_nothing_gets_no_weight_and_one_that_knows_gets_much(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle", scorer=f'{{ use = "favours", smiles = "{BUTANOL.smiles}" }}')
    index = make_index(bundle, tmp_path / "index")
    queries = [measurement(s, noise=0.9, seed=i) for i in range(4) for s in STRUCTURES[:21]]
    found = calibrate(bundle, queries, index)
    assert set(found.weights) == {"msms", "msms.alone", "liking.liked", "liking.idle"}
    assert found.weights["liking.idle"] == 0
    assert found.weights["msms"] > 0


def test_a_compound_counts_once_however_many_spectra_it_has(bundle: Bundle, index: Index) -> None:
    once = noisy()
    twice = [m for m in once for _ in range(2)]
    first, second = (calibrate(bundle, q, index, per_compound=100).weights for q in (once, twice))
    assert first == pytest.approx(second, rel=1e-3)
    one_often = once + [once[0]] * 50
    assert calibrate(bundle, one_often, index, per_compound=1).weights["msms"] == pytest.approx(
        calibrate(bundle, once, index, per_compound=1).weights["msms"], rel=0.3
    )


def test_a_truth_that_the_index_lacks_is_added_for_calibration(bundle: Bundle, tmp_path: Path) -> None:
    lacking = make_index(bundle, tmp_path / "lacking", STRUCTURES[5:])
    assert calibrate(bundle, noisy(), lacking).weights["msms"] > 0


def test_too_few_compounds_to_calibrate_are_an_error(bundle: Bundle, index: Index) -> None:
    with pytest.raises(DatasetError, match="3 compounds can be used for calibration; at least 10 are needed"):
        calibrate(bundle, [measurement(s) for s in STRUCTURES[:3]], index)
    with pytest.raises(DatasetError, match="0 compounds"):
        calibrate(bundle, [measurement(s, known=False) for s in STRUCTURES], index)


def test_queries_of_a_file_come_with_the_records_that_cannot_be_read(
    bundle: Bundle, index: Index, tmp_path: Path
) -> None:
    path = tmp_path / "unknown.codes"
    path.write_text("CCCCO\nC1CC\nCCO\n", encoding="utf-8")
    queries, problems = read_queries(path)
    assert [f.truth_rank for f in identify(bundle, queries, index)] == [1, 1]
    assert [p.query for p in problems] == ["C1CC"]
    assert "unknown.codes:2" in problems[0].problem
    with pytest.raises(Exception, match="no such file"):
        read_queries(tmp_path / "nowhere.codes")
