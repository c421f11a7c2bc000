"""What was measured of one unknown in several ways: evidence adds up, and any piece may be left out."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import barcode
import numpy as np
import pytest
import torch
from barcode import STRUCTURES, Drawn, Features, Spelled, make_index, measurement
from torch import Tensor, nn

from molvis_core import registry
from molvis_core.errors import ConfigError, DatasetError, RecordError
from molvis_core.modality import Modality
from molvis_core.records import Measurement, PeakList, Structure, Trace, Value
from molvis_core.testing import offer, toy_component
from molvis_retrieval.bundle import Bundle, Calibration, load_bundle, save_bundle, write_calibration
from molvis_retrieval.calibration.weights import calibrate
from molvis_retrieval.config import parse_config
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.ranking import evaluate, usable_modalities
from molvis_retrieval.evaluation.subsets import evaluate_combined
from molvis_retrieval.identification import identify
from molvis_retrieval.index import Index
from molvis_retrieval.queries import cross_section, modality_files, read_unknown
from molvis_retrieval.results import to_json

BUTANOL, OTHER = STRUCTURES[0], STRUCTURES[1]
IR = Modality("ir", Trace, summary="Traces.")
CCS = Modality("ccs", Value, summary="Numbers.")


class Sung(nn.Module):
    """Reads the vector off the heights of a trace."""

    accepts = Trace
    dim = barcode.DIM

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("one", torch.ones(1))

    def collate(self, records: Sequence[Trace]) -> Features:
        if any(not r.y.any() for r in records):
            raise RecordError("the trace is zero")
        return Features(torch.from_numpy(np.stack([r.y for r in records]).astype(np.float32)))

    def forward(self, batch: Features) -> Tensor:
        return nn.functional.normalize(batch.values * self.one, dim=-1)


def size(one: Structure) -> float:
    """What the cross section of a structure would be."""
    return 100.0 + zlib.crc32(one.inchikey14.encode()) % 50


class Sized:
    """Log-likelihood of a number, with an error of 1."""

    accepts = Value
    features = ("likelihood",)

    def __call__(self, query: Value, candidates: Sequence[Structure]) -> np.ndarray:
        return np.array([[-0.5 * (query.value - size(c)) ** 2] for c in candidates]).reshape(-1, 1)


@pytest.fixture(scope="module", autouse=True)
def toys() -> Iterator[None]:
    components = (
        toy_component("modality", "ir", IR),
        toy_component("modality", "ccs", CCS),
        toy_component("encoder", "sung", Sung),
        toy_component("scorer", "sized", Sized, modality="ccs"),
    )
    with offer(barcode.PLUGIN, *components, hide=["molvis-ir", "molvis-ccs"]):
        yield


TEXT = """
name = "several"
encoders.msms.use = "spelled"
encoders.ir.use = "sung"
encoders.structure.use = "drawn"
scorers.ccs.use = "sized"
[data]
path = "somewhere"
[[pairs]]
query = "msms"
reference = "structure"
loss = "barcode-softmax"
[[pairs]]
query = "ir"
reference = "structure"
loss = "barcode-softmax"
"""
WEIGHTS = {"msms": 10.0, "ir": 20.0, "ccs.likelihood": 1.0, "msms.alone": 11.0, "ir.alone": 21.0}


POOLED = f'[encoders.pooled]\nuse = "set-attention"\nof = ["msms", "ir"]\ndim = {barcode.DIM}\nheads = 2\nwidth = 4\n'


def make_several(folder: Path, *, fused: bool = False) -> Bundle:
    """The bundle on disk; with a fusion of both kinds of spectra, if asked for."""
    states = {"msms": Spelled().state_dict(), "ir": Sung().state_dict(), "structure": Drawn().state_dict()}
    text = TEXT + POOLED if fused else TEXT
    if fused:
        states["pooled"] = registry.build("encoder", parse_config(text).encoders["pooled"]).state_dict()
    calibration = Calibration(WEIGHTS, 256, "a test")
    return save_bundle(folder, parse_config(text), states, calibration=calibration, metadata={"name": "several"})


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_several(tmp_path / "bundle")


@pytest.fixture
def index(bundle: Bundle, tmp_path: Path) -> Index:
    return make_index(bundle, tmp_path / "index")


def trace(one: Structure, noise: float = 0.0, seed: int = 0) -> Measurement:
    drawn = np.random.default_rng([seed, 9, zlib.crc32(one.inchikey14.encode())]).random(barcode.DIM)
    y = (1 - noise) * barcode.code(one) + noise * drawn
    return Measurement(Trace(np.arange(barcode.DIM, dtype=float), y), one, "ir", fold="test", name=one.smiles)


def number(one: Structure, error: float = 0.0) -> Measurement:
    record = Value(size(one) + error, precursor_mz=one.exact_mass + 1.00727646688, adduct="[M+H]+", charge=1)
    return Measurement(record, one, "ccs", fold="test", name=one.smiles)


def test_evidence_of_several_measurements_adds_up(bundle: Bundle, index: Index) -> None:
    parts = [measurement(BUTANOL, noise=0.5), trace(BUTANOL, 0.5), number(BUTANOL)]
    (found,) = identify(bundle, [parts], index)
    assert found.modalities == ("msms", "ir", "ccs")
    assert found.truth_rank == 1
    for c in found.candidates:
        assert set(c.evidence) == {"msms", "ir", "ccs"}
        assert c.score == pytest.approx(sum(c.evidence.values()), abs=1e-6)
    alone = {m: identify(bundle, [[p]], index)[0] for m, p in zip(found.modalities, parts, strict=True) if m != "ir"}
    for modality, one in alone.items():
        scores = {c.structure.inchikey: c.evidence[modality] for c in one.candidates}
        assert scores == pytest.approx({c.structure.inchikey: c.evidence[modality] for c in found.candidates})


def test_any_piece_may_be_left_out(bundle: Bundle, index: Index) -> None:
    parts = [measurement(BUTANOL), trace(BUTANOL), number(BUTANOL)]
    for left_out in range(3):
        kept = [p for i, p in enumerate(parts) if i != left_out]
        (found,) = identify(bundle, [kept], index)
        assert (found.problem, found.truth_rank) == ("", 1)
        assert found.n_candidates == len(barcode.BUTANOLS)


def test_a_trace_alone_searches_the_whole_library_unless_a_mass_is_given(bundle: Bundle, index: Index) -> None:
    (found,) = identify(bundle, [trace(BUTANOL)], index)
    assert (found.n_candidates, found.truth_rank, found.mass) == (len(STRUCTURES), 1, None)
    assert found.candidates[0].evidence["ir"] == pytest.approx(21.0, rel=1e-3)  # the weight it has without scorers
    (found,) = identify(bundle, [trace(BUTANOL)], index, mass=BUTANOL.exact_mass)
    assert found.n_candidates == len(barcode.BUTANOLS)
    (found,) = identify(bundle, [trace(BUTANOL)], index, formula="C5H12O")
    assert found.n_candidates == len(barcode.PENTANOLS)
    assert "no neutral mass" in identify(bundle, [trace(BUTANOL)], index, candidates="mass")[0].problem


def test_a_scorer_joins_a_search_of_the_whole_library_only_if_its_evidence_holds_at_any_mass(
    bundle: Bundle, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = [trace(BUTANOL), number(BUTANOL)]
    (found,) = identify(bundle, [query], index, candidates="all")
    assert set(found.candidates[0].evidence) == {"ir"}
    monkeypatch.setattr(Sized, "any_mass", True, raising=False)
    (found,) = identify(bundle, [query], index, candidates="all")
    assert (set(found.candidates[0].evidence), found.truth_rank) == ({"ir", "ccs"}, 1)
    assert found.candidates[0].evidence["ir"] == pytest.approx(20.0, rel=1e-3)  # the weight it has beside scorers
    (found,) = identify(bundle, [[trace(BUTANOL)]], index, candidates="all")
    assert found.candidates[0].evidence["ir"] == pytest.approx(21.0, rel=1e-3)
    (found,) = identify(bundle, [query], index, candidates="all", rerank=False)
    assert set(found.candidates[0].evidence) == {"ir"}


def test_a_number_alone_ranks_by_its_scorer(bundle: Bundle, index: Index) -> None:
    (found,) = identify(bundle, [number(BUTANOL)], index)
    assert found.truth_rank == 1
    assert set(found.candidates[0].evidence) == {"ccs"}
    (whole,) = identify(bundle, [number(BUTANOL)], index, candidates="all")
    assert "ccs alone cannot be searched for here" in whole.problem


def test_bare_records_find_their_modality_by_type(bundle: Bundle, index: Index) -> None:
    pytest.importorskip("molvis_msms", reason="a record finds its modality among those that plugins bring")
    pytest.importorskip("molvis_ir", reason="the same")
    pytest.importorskip("molvis_ccs", reason="the same")
    bare = [measurement(BUTANOL).record, trace(BUTANOL).record, number(BUTANOL).record]
    (found,) = identify(bundle, [bare], index)
    assert found.modalities == ("msms", "ir", "ccs")


def test_many_unknowns_at_once_are_what_each_is_alone(bundle: Bundle, index: Index) -> None:
    queries: list[Any] = []
    for seed, one in enumerate(STRUCTURES[:8]):
        parts = [measurement(one, noise=0.6, seed=seed), trace(one, 0.6, seed), number(one, 1.0)]
        queries += [parts, parts[:1], parts[1], [parts[1], parts[2]]]
    together = identify(bundle, queries, index)
    for query, found in zip(queries, together, strict=True):
        (alone,) = identify(bundle, [query], index)
        assert [c.structure for c in alone.candidates] == [c.structure for c in found.candidates]
        np.testing.assert_allclose([c.score for c in alone.candidates], [c.score for c in found.candidates], rtol=1e-5)


def test_a_measurement_that_cannot_be_used_is_noted_and_the_rest_goes_on(bundle: Bundle, index: Index) -> None:
    flat = dataclasses.replace(trace(BUTANOL), record=Trace(np.arange(4.0), np.zeros(4)))
    raman = dataclasses.replace(trace(BUTANOL), modality="raman")
    good = number(BUTANOL)
    assert isinstance(good.record, Value)
    against = dataclasses.replace(good, record=dataclasses.replace(good.record, adduct="[M-H]-"))
    (found,) = identify(bundle, [[measurement(BUTANOL), flat, raman, against]], index)
    assert (found.problem, found.truth_rank, found.modalities) == ("", 1, ("msms",))
    assert found.notes[0] == "ir: the trace is zero"
    assert "raman: bundle 'several' has no encoder for 'raman' and no scorer that takes it" in found.notes[1]
    assert found.notes[2] == "ccs: adduct [M-H]- has charge -1, but the ion has +1"
    assert to_json([found])[0]["notes"] == list(found.notes)
    (nothing,) = identify(bundle, [[flat]], index)
    assert nothing.problem == "the trace is zero"
    assert identify(bundle, [[]], index)[0].problem == "nothing was measured"


def test_ions_of_different_compounds_are_not_one_unknown(bundle: Bundle, index: Index) -> None:
    (found,) = identify(bundle, [[measurement(BUTANOL), number(STRUCTURES[8])]], index)
    other = STRUCTURES[8]
    for mass in (BUTANOL.exact_mass, other.exact_mass):
        assert f"{mass:.4f} Da" in found.problem
    assert f"{BUTANOL.smiles}, m/z" in found.problem
    assert f"{other.smiles}, m/z" in found.problem
    assert found.mass is None  # neither of the two, and no mean of them


def test_names_join_measurements_of_files(bundle: Bundle, index: Index) -> None:
    queries = [measurement(BUTANOL), measurement(OTHER), trace(OTHER), trace(BUTANOL)]
    first, second = identify(bundle, queries, index, consensus=True)
    assert (first.modalities, second.modalities) == (("msms", "ir"), ("msms", "ir"))
    assert (first.truth_rank, second.truth_rank) == (1, 1)


def noisy(count: int = 21, repeats: int = 1) -> list[Measurement]:
    return [
        m
        for one in STRUCTURES[:count]
        for i in range(repeats)
        for m in (measurement(one, noise=0.7, seed=i), trace(one, 0.7, i), number(one, float(np.cos(i + size(one)))))
    ]


def test_all_modalities_are_calibrated_together(bundle: Bundle, index: Index) -> None:
    found = calibrate(bundle, noisy(repeats=2), index, per_compound=6, fitted_on="all")
    assert {k for k, v in found.weights.items() if v > 0} == set(WEIGHTS)
    fresh = bundle.with_calibration(found)
    queries = [noisy()[i : i + 3] for i in range(0, 63, 3)]
    best = np.mean([f.truth_rank == 1 for f in identify(fresh, queries, index)])
    singles = [
        np.mean([f.truth_rank == 1 for f in identify(fresh, [q[i] for q in queries], index, candidates="mass")])
        for i in (0, 2)
    ]
    assert best > max(singles)


def test_a_modality_that_was_not_measured_keeps_its_weight(bundle: Bundle, index: Index) -> None:
    found = calibrate(bundle, [m for m in noisy() if m.modality == "ccs"], index)
    assert found.weights["ccs.likelihood"] != WEIGHTS["ccs.likelihood"]
    assert {k: v for k, v in found.weights.items() if not k.startswith("ccs")} == {
        k: v for k, v in WEIGHTS.items() if not k.startswith("ccs")
    }


def test_measurements_that_only_repeat_each_other_add_nothing_and_fresh_ones_do(bundle: Bundle, index: Index) -> None:
    copies = [m for one in STRUCTURES[:21] for m in [measurement(one, noise=0.8)] * 4]
    assert calibrate(bundle, copies, index, penalty=0.0).repeats == 0
    fresh = [measurement(one, noise=0.8, seed=i) for one in STRUCTURES[:21] for i in range(4)]
    gained = calibrate(bundle, fresh, index)
    assert gained.repeats > 0.2
    stored = load_bundle(write_calibration(bundle, gained).path)
    assert stored.calibration == gained
    spectra = [measurement(BUTANOL, noise=0.8, seed=i) for i in range(4)]
    (one,) = identify(bundle.with_calibration(dataclasses.replace(gained, repeats=0.0)), [spectra], index)
    (more,) = identify(bundle.with_calibration(gained), [spectra], index)
    assert more.candidates[0].score == pytest.approx(one.candidates[0].score * 4**gained.repeats, rel=1e-6)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    from molvis_retrieval.importing import write

    write(noisy(repeats=2), tmp_path / "data")
    return Dataset.open(tmp_path / "data")


def test_together_is_measured_against_each_alone(bundle: Bundle, index: Index, dataset: Dataset) -> None:
    assert usable_modalities(bundle, dataset) == ["ccs", "ir", "msms"]
    found = evaluate_combined(bundle, dataset, index, ("msms", "ccs", "ir"), draws=2)
    assert found.compounds == 21
    assert [s.modalities for s in found.subsets][:4] == [("msms",), ("ccs",), ("ir",), ("msms", "ccs")]
    first = {s.modalities: s.estimates["hit1"].value for s in found.subsets}
    best = max(first[m,] for m in ("msms", "ccs", "ir"))
    assert first["msms", "ccs", "ir"] > best
    expected = 1 - (1 - first["msms", "ccs", "ir"]) / (1 - best)
    assert found.error_reduction.value == pytest.approx(expected)
    assert found.error_reduction.low <= expected <= found.error_reduction.high


def test_together_needs_two_modalities_and_compounds_that_have_both(
    bundle: Bundle, index: Index, dataset: Dataset
) -> None:
    with pytest.raises(ConfigError, match="give two or more"):
        evaluate_combined(bundle, dataset, index, ("ir", "ir"))
    with pytest.raises(DatasetError, match="no measurements of 'raman'"):
        evaluate_combined(bundle, dataset, index, ("ir", "raman"))


def test_traces_are_evaluated_like_spectra_and_a_decoy_is_not(bundle: Bundle, index: Index, dataset: Dataset) -> None:
    options: dict[str, Any] = {"modality": "ir", "scopes": ("mass",), "rerank": False}
    real = evaluate(bundle, dataset, index, **options).figures[0].estimates["hit1"].value
    decoy = evaluate(bundle, dataset, index, decoy=True, **options).figures[0].estimates["hit1"].value
    assert real > decoy + 0.2


@pytest.mark.parametrize(
    ("text", "adduct", "message"),
    [
        ("0", "[M+H]+", "a positive number in A"),
        ("-3", "[M+H]+", "a positive number in A"),
        ("nan", "[M+H]+", "a positive number in A"),
        ("1.452", "[M+H]+", "if it is in nm^2, write 145.2"),
        ("large", None, "is no number"),
        ("145.2", None, "of which ion"),
        ("[M+Qq]+=145.2", None, "is not an element"),
    ],
)
def test_a_cross_section_that_cannot_be_one_is_refused(text: str, adduct: str | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("^", r"\^")):
        cross_section(text, adduct)


def test_a_cross_section_is_read_with_its_ion() -> None:
    found = cross_section("[M+Na]+=151.8")
    assert (found.value, found.adduct, found.charge) == (151.8, "[M+Na]+", 1)
    assert cross_section("145.2", "[M-H]-").charge == -1


def test_an_unknown_is_read_from_several_files(tmp_path: Path) -> None:
    path = tmp_path / "a.codes"
    path.write_text("CCCCO\nC1CC\n", encoding="utf-8")
    found, unreadable = read_unknown({"msms": [path]}, cross_sections=["145.2"])
    assert [m.modality for m in found] == ["msms", "ccs"]
    assert isinstance(found[0].record, PeakList)
    assert found[1].record.adduct == "[M+H]+"  # type: ignore[union-attr] - of the spectrum
    assert "a.codes:2" in unreadable[0].problem
    assert modality_files(["ir=x=1.jdx", "ir=b.jdx"]) == ({"ir": [Path("x=1.jdx"), Path("b.jdx")]}, [])
    numbers = modality_files(["ccs=145.2", "ccs=[M+H]+=145.2", "ccs=many.csv"])
    assert numbers == ({"ccs": [Path("many.csv")]}, ["145.2", "[M+H]+=145.2"])
    with pytest.raises(ConfigError, match="Did you mean 'ir'"):
        modality_files(["irr=a"])
    with pytest.raises(ConfigError, match="must be of the form MODALITY=FILE"):
        modality_files(["a.jdx"])


def test_a_fused_vector_is_evidence_where_there_is_more_than_one_measurement(tmp_path: Path) -> None:
    from molvis_nn.fusion import SetAttention

    fused = SetAttention(of=("msms", "ir"), dim=barcode.DIM, heads=2)
    states = {
        "msms": Spelled().state_dict(), "ir": Sung().state_dict(), "structure": Drawn().state_dict(),
        "fused": fused.state_dict(),
    }  # fmt: skip
    fused_encoder = f'encoders.fused = {{ use = "set-attention", of = ["msms", "ir"], dim = {barcode.DIM}, heads = 2 }}'
    text = TEXT.replace("scorers.ccs", f"{fused_encoder}\nscorers.ccs")
    bundle = save_bundle(tmp_path / "fused", parse_config(text), states, metadata={"name": "fused"})
    index = make_index(bundle, tmp_path / "index")
    parts = [measurement(BUTANOL, noise=0.5), trace(BUTANOL, 0.5)]
    both, alone = identify(bundle, [parts, parts[:1]], index)
    assert set(both.candidates[0].evidence) == {"msms", "ir", "fused"}
    assert set(alone.candidates[0].evidence) == {"msms"}
    found = calibrate(bundle, noisy(), index, per_compound=6)
    assert {"fused", "fused.alone"} <= set(found.weights)
    write_calibration(bundle, found)
    from molvis_retrieval.importing import write

    write(noisy(), tmp_path / "data")
    opened = Dataset.open(tmp_path / "data")
    combined = evaluate_combined(load_bundle(bundle.path), opened, index, ("msms", "ir"), draws=2)
    assert combined.error_reduction.value > 0


def test_the_report_shows_every_measurement_and_what_was_not_used(bundle: Bundle, index: Index) -> None:
    from molvis_retrieval.report import render_report

    raman = dataclasses.replace(trace(BUTANOL), modality="raman")
    spectra = [measurement(BUTANOL, seed=i) for i in range(5)]
    found = identify(bundle, [[*spectra, trace(BUTANOL), number(BUTANOL), raman]], index)
    page = render_report(found, bundle=bundle, index=index)
    assert page.count('class="spectrum"') == 4  # three of MS/MS and one trace
    assert 'aria-label="ir spectrum"' in page
    assert f"CCS {size(BUTANOL):g} as [M+H]+" in page
    assert "2 more spectra of this unknown are not drawn" in page
    assert "Not used: raman: bundle" in page
