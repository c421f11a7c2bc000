from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from molvis_ccs.evaluation import accuracy
from molvis_ccs.features import SIZE, describe_all, volume
from molvis_ccs.likelihood import CcsLikelihood
from molvis_ccs.predictor.ensemble import ADDUCTS, INSTRUMENTS, CcsEnsemble
from molvis_ccs.predictor.loading import SHIPPED, load
from molvis_ccs.predictor.quantization import packed
from molvis_ccs.training.calibration import Widths, calibrate, calibrate_between
from molvis_ccs.training.fitting import fit
from molvis_ccs.training.ions import gather, redistributable
from molvis_ccs.training.laboratories import LeftOut, left_out
from molvis_ccs.trend import usual_ccs
from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.structures import structure
from molvis_core.errors import AdductError, BundleError, ConfigError, RecordError, StructureError, TrainingError
from molvis_core.records import Measurement, Structure, Value
from molvis_core.testing import PredictorContract, ScorerContract, synthetic_structures

shipped = pytest.mark.skipif(not SHIPPED.is_file(), reason="no weights come with this checkout")


def _chains() -> list[Structure]:
    """Chains with a group at their end: a made-up chemistry whose cross sections one line describes."""
    ends = ("O", "N", "C(=O)O", "c1ccccc1", "Cl", "C(=O)N", "OC", "S", "C#N", "F")
    return [structure("C" * size + end) for size in range(2, 14) for end in ends]


def _measurement(of: Structure, value: float, fold: str = "train", **record: str) -> Measurement:
    ion = {"adduct": "[M+H]+", "instrument_type": "DT", "gas": "N2", **record}
    return Measurement(Value(value, **ion), of, "ccs", fold=fold)


def _truth(of: Structure) -> float:
    ring = "c1" in of.smiles
    return usual_ccs(ion_mz(of.exact_mass, "[M+H]+"), "[M+H]+") * (0.9 if ring else 1.05)


@pytest.fixture(scope="module")
def measured() -> list[Measurement]:
    rng = np.random.default_rng(0)
    folds = rng.choice(["train", "val", "test"], p=[0.5, 0.4, 0.1], size=len(_chains()))
    noise = rng.normal(1, 0.002, len(folds))
    return [_measurement(s, _truth(s) * n, str(f)) for s, n, f in zip(_chains(), noise, folds, strict=True)]


@pytest.fixture(scope="module")
def trained(measured: list[Measurement]) -> CcsEnsemble:
    return fit(measured, members=2, width=32, epochs=60, batch=16, learning_rate=1e-2)


class TestPredictor(PredictorContract):
    @pytest.fixture
    def predictor(self) -> CcsEnsemble:
        return CcsEnsemble(members=2, width=8)


class TestScorer(ScorerContract):
    @pytest.fixture
    def scorer(self, tmp_path: Path) -> CcsLikelihood:
        CcsEnsemble(members=1, width=8).save(tmp_path / "small.safetensors")
        return CcsLikelihood(str(tmp_path / "small.safetensors"))


# Prediction


def test_structures_have_finite_features_of_one_length() -> None:
    smiles = ["C", "[Na+].[Cl-]", "O", *(s.smiles for s in synthetic_structures())]
    features = describe_all(smiles)
    assert features.shape == (len(smiles), SIZE)
    assert np.isfinite(features).all()
    assert describe_all([]).shape == (0, SIZE)


@pytest.mark.full
def test_a_fit_learns_what_structure_does_to_the_trend(measured: list[Measurement], trained: CcsEnsemble) -> None:
    unseen = [m for m in measured if m.fold == "test"]
    structures = [m.structure for m in unseen if m.structure is not None]
    mean, sd = trained.predict(structures, "[M+H]+", "DT")
    truth = np.array([_truth(s) for s in structures])
    trend = np.array([usual_ccs(ion_mz(s.exact_mass, "[M+H]+"), "[M+H]+") for s in structures])
    assert np.median(np.abs(mean / truth - 1)) < 0.5 * np.median(np.abs(trend / truth - 1))
    assert (sd > 0).all()


@pytest.mark.full
def test_intervals_hold_nine_in_ten_of_what_they_are_calibrated_on(
    measured: list[Measurement], trained: CcsEnsemble
) -> None:
    values = [m for m in measured if m.fold == "val"]
    mean, sd = trained.predict([m.structure for m in values if m.structure], "[M+H]+", "DT")
    inside = np.abs(np.array([m.record.value for m in values if isinstance(m.record, Value)]) - mean) <= 1.645 * sd
    assert 0.88 <= inside.mean() <= 0.95


def test_the_same_seed_fits_the_same_predictor(measured: list[Measurement]) -> None:
    first, second = (fit(measured[:40], members=1, width=8, epochs=2, seed=3) for _ in range(2))
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def test_fitting_tells_how_far_it_is(measured: list[Measurement]) -> None:
    seen: list[tuple[int, int]] = []
    fit(measured[:20], members=2, width=8, epochs=2, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(TrainingError, match="training needs at least 2 ions, got 0"):
        fit([_measurement(structure("CCO"), 110.0, adduct="[M+4H]4+")])


def test_few_values_leave_the_intervals_as_they_are() -> None:
    model = CcsEnsemble(members=1, width=8)
    calibrate(model, gather([_measurement(structure("CCO"), 110.0)]))
    assert (model.get_buffer("calibration") == 1).all()


def test_ions_of_one_mass_differ_by_their_volume() -> None:
    chains, bromines = "CCCCCCCC[N+](CCCCCCCC)(CCCCCCCC)CCCCCCCC", "Brc1ccc(-c2ccc(Br)c(Br)c2)cc1Br"
    assert volume(chains) > 1.8 * volume(bromines)  # 466 Da each
    atoms, shared = 6 * 20.58 + 6 * 7.24, 12 * 5.92 + 14.7  # twelve bonds, one aromatic ring
    assert volume("c1ccccc1") == pytest.approx(atoms - shared)
    assert volume("[He]") > 0


def test_the_trend_grows_for_every_adduct_however_few_values_there_are(measured: list[Measurement]) -> None:
    model = fit(measured[:60], members=1, width=8, epochs=1)
    size = torch.linspace(30.0, 3000.0, 50, dtype=torch.float64)
    for place in range(len(ADDUCTS)):
        trend = model.log_trend(size, torch.full((50,), place))
        assert (trend.diff() > 0).all(), ADDUCTS[place]


def test_predictions_are_centred_on_the_training_data(measured: list[Measurement]) -> None:
    train = [m for m in measured if m.fold == "train"]
    model = fit(train, members=1, width=16, epochs=3, dropout=0.5)
    mean, _ = model.predict([m.structure for m in train if m.structure], "[M+H]+", "DT")
    off = np.log([m.record.value for m in train if isinstance(m.record, Value)] / mean)
    assert abs(np.median(off)) < 0.003


def test_intervals_hold_nine_in_ten_of_each_group_of_a_laboratory_left_out() -> None:
    rng = np.random.default_rng(0)
    widths = {("DT", "[M+H]+", 0): 0.01, ("TW", "[M+H]+", 1): 0.03, ("TIMS", "[M-H]-", 0): 0.05}
    values = [
        LeftOut("a", str(i), adduct, instrument, kind, 200 * (1 + width * rng.normal()), 200.0, 2.0)
        for (instrument, adduct, kind), width in widths.items()
        for i in range(400)
    ]
    model = CcsEnsemble(members=1, width=8)
    calibrate_between(model, values)
    factor, between = model.get_buffer("calibration"), float(model.get_buffer("between"))
    for (instrument, adduct, kind), width in widths.items():
        sd = 200 * float(factor[INSTRUMENTS.index(instrument), ADDUCTS.index(adduct), kind]) * np.hypot(0.01, between)
        assert sd == pytest.approx(200 * width, rel=0.15)


def test_widths_hold_for_laboratories_that_did_not_set_them() -> None:
    """Where laboratories differ, what holds nine in ten of theirs holds fewer of the next one's."""
    rng = np.random.default_rng(0)

    def of(offsets: Sequence[float]) -> list[LeftOut]:
        return [
            LeftOut(str(n), f"{n}-{i}", "[M+H]+", "DT", 0, 200 * (1 + o + 0.01 * rng.normal()), 200.0, 2.0)
            for n, o in enumerate(offsets)
            for i in range(100)
        ]

    def sd(values: list[LeftOut]) -> float:
        return float(Widths.of(values).sd(values[:1])[0])

    alike, some = of([0.0] * 6), of([0.0, 0.0, 0.01, -0.02, 0.03, -0.04])
    assert sd(alike) == pytest.approx(2, rel=0.1)
    off = np.abs([one.measured - one.mean for one in some])
    assert (off < 1.645 * sd(some)).mean() > 0.92
    for name in "012345":
        widths = Widths.of([one for one in some if one.laboratory != name])
        mine = [one for one in some if one.laboratory == name]
        assert (widths.scores(mine) < 1).mean() > (0.2 if name == "5" else 0.85)


def test_a_laboratory_left_out_teaches_nothing(measured: list[Measurement]) -> None:
    def laboratory(one: Measurement) -> str:
        return "odd" if one.structure and len(one.structure.smiles) % 2 else "even"

    seen: list[str] = []
    taught: list[str] = []

    def teaches(one: Measurement) -> bool:
        taught.append(laboratory(one))
        return True

    found = left_out(
        measured[:60], laboratory, teaches=teaches, note=seen.append, members=1, width=8, epochs=1
    )  # fmt: skip
    assert seen == ["even", "odd"]
    assert len(found) == 60
    assert {one.laboratory for one in found} == {"even", "odd"}
    assert all(one.mean > 0 and one.sd > 0 for one in found)
    assert taught[0] == "odd"


def test_the_spread_between_laboratories_is_no_evidence(trained: CcsEnsemble) -> None:
    structures = synthetic_structures(3)
    trained.get_buffer("between").fill_(0.03)
    (_, wide), (_, own) = (trained.predict(structures, "[M+H]+", "DT", within=w) for w in (False, True))
    trained.get_buffer("between").fill_(0.0)
    assert (wide > own).all()


def test_a_predictor_of_format_1_predicts_by_mass(tmp_path: Path) -> None:
    model = CcsEnsemble(members=1, width=8, by_volume=False)
    state = {k: v for k, v in model.state_dict().items() if k not in ("between", "within")}
    state["calibration"] = torch.full((4, len(ADDUCTS)), 2.0)
    header = {"format": "1", "adducts": " ".join(ADDUCTS)} | {k: str(v) for k, v in model.arguments.items()}
    save_file(packed(state), tmp_path / "old.safetensors", metadata=header)
    old = load(str(tmp_path / "old.safetensors"))
    assert not old.by_volume
    structures = synthetic_structures(3)
    mean, sd = old.predict(structures, "[M+H]+", "DT")
    np.testing.assert_allclose(mean, model.predict(structures, "[M+H]+", "DT")[0], rtol=5e-3)
    np.testing.assert_allclose(sd, 2 * model.predict(structures, "[M+H]+", "DT")[1], rtol=2e-2)


def test_a_predictor_of_format_2_knows_no_regression(trained: CcsEnsemble, tmp_path: Path) -> None:
    state = {k: v for k, v in trained.state_dict().items() if not k.startswith("regression.")}
    header = {"format": "2", "adducts": " ".join(ADDUCTS), "size": "volume"}
    header |= {k: str(v) for k, v in trained.arguments.items()}
    save_file(packed(state), tmp_path / "old.safetensors", metadata=header)
    old = load(str(tmp_path / "old.safetensors"))
    assert old.regression is None
    structures = _chains()[:3]
    assert not np.allclose(old.predict(structures, "[M+H]+")[0], trained.predict(structures, "[M+H]+")[0], rtol=1e-5)
    np.testing.assert_allclose(
        old.predict(structures, "[M+H]+")[0], trained.predict(structures, "[M+H]+")[0], rtol=0.05
    )


def test_the_regression_by_itself_learns_what_structure_does(measured: list[Measurement]) -> None:
    model = fit(measured, members=1, width=8, epochs=1)
    regression = model.regression
    assert regression is not None
    unseen = [m for m in measured if m.fold != "train" and m.structure]
    structures = [m.structure for m in unseen if m.structure]
    features = model.scaled(torch.from_numpy(describe_all([s.smiles for s in structures])))
    zeros = torch.zeros(len(structures), dtype=torch.int64)
    off = regression(features, torch.arange(len(structures)), zeros, zeros) * model.get_buffer("spread")
    size = torch.from_numpy(model.sizes(structures)[:, 0])
    found = (model.log_trend(size, zeros) + off).exp().numpy()
    value = np.array([m.record.value for m in unseen])
    trend = model.log_trend(size, zeros).exp().numpy()
    assert np.median(np.abs(found / value - 1)) < min(0.01, np.median(np.abs(trend / value - 1)) / 3)


def test_a_wild_value_hardly_bends_the_regression(measured: list[Measurement]) -> None:
    train = [m for m in measured if m.fold == "train"]
    wild = [replace(train[5], record=replace(train[5].record, value=1.09 * train[5].record.value))]
    structures = [m.structure for m in measured if m.fold == "val" and m.structure]
    options = {"members": 1, "width": 8, "epochs": 1}
    clean, bent = (fit(rows, **options).predict(structures, "[M+H]+", "DT")[0] for rows in (train, train + wild))
    assert np.median(np.abs(bent / clean - 1)) < 0.004


def test_a_regression_of_fewer_ions_is_of_those_drawn(measured: list[Measurement]) -> None:
    few = fit(measured, members=1, width=8, epochs=1, regressed=20)
    assert few.regression is not None
    assert len(few.regression.get_buffer("numbers")) == 20
    assert fit(measured, members=1, width=8, epochs=1, regressed=0).regression is None


def test_a_value_far_off_all_candidates_is_told_of() -> None:
    scorer, _ = _scorer([150.0, 152.0, 170.0], 2.0)
    structures = synthetic_structures(3)
    assert scorer.misfit(Value(246.5, adduct="[M+H]+"), structures) == "45% above the nearest of them"
    assert scorer.misfit(Value(120.0, adduct="[M+H]+"), structures) == "20% below the nearest of them"
    assert scorer.misfit(Value(151.0, adduct="[M+H]+"), structures) == ""
    assert scorer.misfit(Value(151.0), structures) == scorer.misfit(Value(500.0, adduct="[M+H]+"), []) == ""


def test_the_median_of_a_compound_counts_and_wild_values_do_not() -> None:
    ethanol = structure("CCO")
    values = (110.0, 111.0, 112.0, 150.0)
    (ion,) = gather([_measurement(ethanol, value) for value in values])
    assert (ion.ccs, ion.count) == (111.0, 3)


@pytest.mark.full
def test_an_ion_is_predicted_whatever_is_asked_beside_it(trained: CcsEnsemble) -> None:
    structures = synthetic_structures()
    adducts = ["[M+H]+", "[M-H]-", "[M+Na]+", "[M+H]+", "[M+CHO2]-", "[M+H]+"]
    kinds = ["DT", None, "TW", "TIMS", None, "new"]
    together = np.stack(trained.predict(structures, adducts, kinds, chunk=4), axis=1)
    alone = [trained.predict([s], a, k) for s, a, k in zip(structures, adducts, kinds, strict=True)]
    assert np.allclose(together, np.stack(alone)[:, :, 0], rtol=1e-5)


@pytest.mark.full
def test_predict_and_the_columns_of_the_predictor_agree(trained: CcsEnsemble) -> None:
    structures = synthetic_structures()
    with torch.no_grad():
        mean, sd = trained(trained.collate(structures))
    column = ADDUCTS.index("[M+Na]+")
    wanted = np.stack(trained.predict(structures, "[M+Na]+"))
    assert np.allclose(np.stack([mean[:, column].numpy(), sd[:, column].numpy()]), wanted, rtol=1e-5)


@pytest.mark.full
def test_asking_for_what_it_cannot_predict_is_an_error(trained: CcsEnsemble) -> None:
    one = [structure("CCO")]
    with pytest.raises(AdductError, match=r"knows no \[M\+4H\]4\+"):
        trained.predict(one, "[M+4H]4+")
    with pytest.raises(RecordError, match="2 adducts for 1 structures"):
        trained.predict(one, ["[M+H]+", "[M+H]+"])
    with pytest.raises(StructureError):
        trained.predict([Structure("C1CC", "", "", 40.0)], "[M+H]+")
    with pytest.raises(ConfigError, match="members must be"):
        CcsEnsemble(members=0)
    with pytest.raises(ConfigError, match="dropout must be"):
        CcsEnsemble(dropout=1.0)


# Files


@pytest.mark.full
def test_a_fitted_predictor_is_read_back_as_it_was(trained: CcsEnsemble, tmp_path: Path) -> None:
    trained.save(tmp_path / "a.safetensors", card={"licence": "CC0"})
    again = load(str(tmp_path / "a.safetensors"))
    structures = synthetic_structures()
    assert np.array_equal(
        np.stack(again.predict(structures, "[M+H]+")), np.stack(trained.predict(structures, "[M+H]+"))
    )
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 50])
def test_a_file_that_is_no_predictor_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BundleError, match=r"a\.safetensors"):
        load(str(path))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"format": "99"}, "format 99"),
        ({"format": "1", "adducts": "[M+H]+"}, "fit it again"),
        ({"format": "1", "adducts": " ".join(ADDUCTS)}, "not a predictor"),
        ({}, "made for adducts ''"),
    ],
)
def test_a_predictor_of_another_make_is_refused(tmp_path: Path, header: dict[str, str], reason: str) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "a.safetensors", metadata=header)
    with pytest.raises(BundleError, match=reason):
        load(str(tmp_path / "a.safetensors"))


# Scoring


class _Told:
    """Predicts what it is told, and counts how often it is asked."""

    def __init__(self, mean: Sequence[float], sd: float) -> None:
        self.mean, self.sd, self.asked = list(mean), sd, 0

    def predict(
        self, structures: Sequence[Structure], adduct: str, kind: str | None, *, within: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        assert within  # candidates for one value share the offset of its laboratory
        self.asked += len(structures)
        return np.array(self.mean[: len(structures)]), np.full(len(structures), self.sd)


def _scorer(mean: Sequence[float], sd: float) -> tuple[CcsLikelihood, _Told]:
    scorer, told = CcsLikelihood(), _Told(mean, sd)
    scorer._model = told
    return scorer, told


def test_the_nearer_prediction_scores_higher() -> None:
    scorer, _ = _scorer([150.0, 152.0, 170.0], 2.0)
    score = scorer(Value(150.0, adduct="[M+H]+"), synthetic_structures(3))
    assert (np.diff(score, axis=0) < 0).all()


def test_a_vague_measurement_tells_less() -> None:
    def gap(sd: float) -> float:
        scorer, _ = _scorer([150.0, 156.0], 1.0)
        near, far = scorer(Value(150.0, sd=sd, adduct="[M+H]+"), synthetic_structures(2))[:, 0]
        return float(near - far)

    assert gap(0.1) > gap(3.0) > gap(30.0) > 0


def test_a_candidate_seen_before_is_not_predicted_again() -> None:
    scorer, told = _scorer([150.0, 156.0, 160.0], 1.0)
    first = scorer(Value(150.0, adduct="[M+H]+"), synthetic_structures(3))
    again = scorer(Value(150.0, adduct="[M+H]+"), synthetic_structures(3))
    assert told.asked == 3
    assert np.array_equal(first, again)


@pytest.mark.parametrize(
    "query",
    [Value(150.0), Value(150.0, adduct="[M+4H]4+"), Value(150.0, adduct="?"), Value(90.0, adduct="[M+H]+", gas="He")],
)
def test_a_value_that_cannot_be_compared_says_nothing(query: Value) -> None:
    scorer, told = _scorer([150.0] * 3, 1.0)
    assert (scorer(query, synthetic_structures(3)) == 0).all()
    assert told.asked == 0


def test_a_negative_deviation_is_refused() -> None:
    with pytest.raises(ConfigError, match="sd must be"):
        CcsLikelihood(sd=-1)


# What comes with the plugin


@shipped
def test_the_predictor_that_comes_along_knows_common_molecules() -> None:
    # D. H. Ross, J. H. Cho, L. Xu, Anal. Chem. 92 (2020) 4548, doi:10.1021/acs.analchem.9b05772: caffeine [M+H]+
    # between 137 and 140 A^2 in the collections that CCSbase holds.
    mean, sd = load().predict([structure("Cn1c(=O)c2c(ncn2C)n(C)c1=O")], "[M+H]+", "DT")
    assert 135 < mean[0] < 142
    assert sd[0] < 6
    assert SHIPPED.stat().st_size < 8e6


@shipped
def test_only_rows_that_may_be_passed_on_count_as_such() -> None:
    ethanol = structure("CCO")
    licences = ("ok-with-attribution; MIT", "unclear; none", None)
    flags = [redistributable(Measurement(Value(110.0), ethanol, "ccs", licence=text)) for text in licences]
    assert flags == [True, False, False]


# Accuracy


def test_accuracy_counts_errors_by_value_and_by_compound() -> None:
    found = accuracy(
        np.array([100.0, 100.0, 100.0, 200.0]),
        np.array([101.0, 103.0, 102.0, 190.0]),
        np.array([1.0, 1.0, 2.0, 2.0]),
        ["a", "a", "b", "c"],
    )
    assert (found.values, found.compounds) == (4, 3)
    assert found.median == pytest.approx(2.5)
    assert found.by_compound == pytest.approx(2.0)
    assert found.mean == pytest.approx(2.75)
    assert found.coverage == 50.0
    assert found.median_interval[0] < found.median < found.median_interval[1]


def test_accuracy_of_nothing_is_an_error() -> None:
    with pytest.raises(RecordError, match="no values"):
        accuracy(np.zeros(0), np.zeros(0), None, [])


def test_the_modality_names_its_only_predictor() -> None:
    predicting = pytest.importorskip("molvis_retrieval.predicting", reason="molvis predict is a command of it")
    assert isinstance(predicting.build_predictor("ccs"), CcsEnsemble)
