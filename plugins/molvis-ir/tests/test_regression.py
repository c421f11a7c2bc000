"""`ir-regression`, `ir-regression-structure`, the predictor `ir`, and `molvis ir groups`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from safetensors.torch import save_file
from typer.testing import CliRunner

from molvis_core import load, output
from molvis_core.chemistry.structures import structure
from molvis_core.errors import BundleError, ConfigError, TrainingError
from molvis_core.records import Measurement, RankedQuery, Trace
from molvis_core.testing import EncoderContract, RecordPredictorContract
from molvis_ir._regression.learning import PENALTY_BACK, likeness
from molvis_ir._regression.population import Population, channels_of
from molvis_ir._regression.probabilities import probabilities, scales
from molvis_ir._regression.ranges import Backward, Lengths, Targets, coarse
from molvis_ir._regression.readings import Readings
from molvis_ir._regression.ridge import ridge
from molvis_ir._regression.substructures import Substructures, substructures
from molvis_ir.encoders.regression import IrRegression, IrRegressionStructure
from molvis_ir.groups import GROUPS, has_groups
from molvis_ir.predictor import IrPredictor
from molvis_ir.preparation import grid, prepare
from molvis_ir.writers import write_jcamp
from molvis_nn.apart import LearnsApart
from molvis_nn.regression import whitening
from molvis_nn.vectors import unit_rows

ENDS = ("O", "C(=O)O", "C(=O)C", "C#N", "N", "Cl", "C=O", "OC", "C(=O)N", "S", "Br", "c1ccccc1")
COMPOUNDS = [f"{'C' * n}{end}" for end in ENDS for n in range(2, 14)]
COMPOUNDS += [f"CC({'C' * n}){end}" for end in ENDS for n in (2, 3, 4, 5)]
BANDS = {
    "alcohol": 3640, "carboxylic acid": 1775, "ketone": 1720, "nitrile": 2250, "primary amine": 3350, "C-Cl": 720,
    "aldehyde": 1740, "ether": 1120, "amide": 1680, "thiol": 2580, "C-Br": 640, "benzene ring": 1500,
}  # fmt: skip
SMALL: dict[str, Any] = {"directions": 40, "coordinates": 30, "codes": 20}
Pair = tuple[IrRegression, IrRegressionStructure]


def spectrum(smiles: str, seed: int = 0) -> Trace:
    """Bands where groups have theirs, and one whose place and height the length of the chain decides."""
    x = np.arange(550.0, 3847.0, 4.0)
    has = dict(zip(GROUPS, has_groups([smiles])[0], strict=True))
    length = smiles.count("C")
    bands = [(place, 1.0) for group, place in BANDS.items() if has[group]]
    bands += [(2920.0 + 4 * length, 0.2 * length), (1300.0 + 12 * length, 0.5), (1460.0 - 9 * ("(C" in smiles), 0.6)]
    y = sum(height / (1 + ((x - place) / 14) ** 2) for place, height in bands)
    noise = np.random.default_rng([seed, length, len(smiles)]).normal(0, 0.004, len(x))
    return Trace(x, np.asarray(y) + noise, identifier=smiles)


def query(smiles: str, rival: str = "CC") -> RankedQuery:
    return RankedQuery(spectrum(smiles), (structure(rival), structure(smiles)), 1)


@pytest.fixture(scope="module")
def learned() -> Pair:
    pair = IrRegression(**SMALL).eval(), IrRegressionStructure(**SMALL).eval()
    figures = pair[0].learn(pair[1], [query(s) for s in COMPOUNDS[::2]], [query(s) for s in COMPOUNDS[1:20:2]], seed=1)
    assert figures["explained"] > 0.8
    assert figures["val_cosine"] > 0.9
    return pair


@pytest.fixture(scope="module")
def bundle(learned: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    for name, encoder in zip(("ir", "structure"), learned, strict=True):
        save_file(encoder.state_dict(), folder / f"{name}.safetensors")
    return folder


def vectors(encoder: Any, records: Any) -> np.ndarray:
    with torch.inference_mode():
        return encoder(encoder.collate(records)).numpy()


class TestIrRegression(EncoderContract):
    @pytest.fixture
    def encoder(self, learned: Pair) -> IrRegression:
        return learned[0]

    @pytest.fixture
    def records(self) -> list[Trace]:
        whole = spectrum("CCCO")
        part = spectrum("CCC#N")
        return [whole, Trace(part.x[200:], part.y[200:]), spectrum("CCCC(=O)O")]

    @pytest.fixture
    def spec(self) -> dict[str, Any]:
        return {"use": "ir-regression", **SMALL}


class TestIrRegressionStructure(EncoderContract):
    @pytest.fixture
    def encoder(self, learned: Pair) -> IrRegressionStructure:
        return learned[1]

    @pytest.fixture
    def spec(self) -> dict[str, Any]:
        return {"use": "ir-regression-structure", **SMALL}


class TestIrPredictor(RecordPredictorContract):
    @pytest.fixture
    def predictor(self, bundle: Path) -> IrPredictor:
        return IrPredictor(str(bundle))


def ranks(pair: Pair, records: list[Trace], truths: list[str]) -> list[int]:
    candidates = [structure(s) for s in COMPOUNDS]
    scores = vectors(pair[0], records) @ vectors(pair[1], candidates).T
    return [int((row > row[COMPOUNDS.index(truth)]).sum()) for row, truth in zip(scores, truths, strict=True)]


def test_it_learns_apart() -> None:
    assert isinstance(IrRegression(**SMALL), LearnsApart)


def test_compounds_that_nothing_was_learned_from_are_found(learned: Pair) -> None:
    unknown = COMPOUNDS[1::2]
    found = ranks(learned, [spectrum(s, seed=5) for s in unknown], unknown)
    assert np.mean(np.array(found) < 5) > 0.7


def test_another_compounds_spectrum_finds_nothing(learned: Pair) -> None:
    unknown = COMPOUNDS[1::2]
    found = ranks(learned, [spectrum(s, seed=5) for s in unknown[17:] + unknown[:17]], unknown)
    assert 0.3 < np.median(found) / len(COMPOUNDS) < 0.7


def test_a_scale_that_is_off_by_20_wavenumbers_is_put_right(learned: Pair) -> None:
    unknown = COMPOUNDS[1::8]
    measured = [spectrum(s, seed=5) for s in unknown]
    moved = [Trace(one.x + 20, one.y) for one in measured]
    alike = (vectors(learned[0], measured) * vectors(learned[0], moved)).sum(axis=1)
    assert np.median(alike) > 0.8


def test_bands_that_total_reflection_made_weaker_are_read_as_they_were(learned: Pair) -> None:
    unknown = COMPOUNDS[1::8]
    measured = [spectrum(s, seed=5) for s in unknown]
    tilted = [Trace(one.x, one.y * 1000 / one.x) for one in measured]
    plain = IrRegression(**SMALL | {"robust": False}).eval()
    plain.load_state_dict(learned[0].state_dict())
    robust, other = (
        np.median((vectors(encoder, measured) * vectors(encoder, tilted)).sum(axis=1))
        for encoder in (learned[0], plain)
    )
    assert robust > other + 0.02
    assert robust > 0.9


def test_the_readings_of_a_spectrum_are_few_and_share_what_is_likely(learned: Pair) -> None:
    usual = learned[0].array("usual")[len(grid()) :].astype(float) ** 2
    readings = Readings(learned[0].array("back"), usual)
    (row,) = prepare([spectrum(COMPOUNDS[1], seed=5)])
    everywhere = np.ones(len(grid()), dtype=bool)
    found = readings.of(row, everywhere)
    assert sum(one.share for one in found) == pytest.approx(1)
    assert len(found) < 10
    likely = max(found, key=lambda one: one.share)
    np.testing.assert_allclose(likely.spectrum, row, atol=1e-6)  # nothing is wrong with it
    few = np.arange(len(grid())) < 100
    (only,) = readings.of(row * few, few)  # from so little nothing is concluded
    assert only.share == 1


def test_a_compound_that_was_learned_from_is_once_predicted_without_itself(learned: Pair) -> None:
    known, unknown = (vectors(learned[1], [structure(s)])[0] for s in (COMPOUNDS[0], COMPOUNDS[1]))
    size, scales = SMALL["directions"], learned[0].scales
    halves = [np.linalg.norm(v[:size] / scales[0] - v[size : 2 * size] / scales[1]) for v in (known, unknown)]
    assert halves[0] > 0.05
    assert halves[1] == pytest.approx(0, abs=1e-5)


def test_a_compound_does_not_draw_predictions_towards_itself() -> None:
    pair = IrRegression(**SMALL | {"codes": 2000}).eval(), IrRegressionStructure(**SMALL | {"codes": 2000}).eval()
    pair[0].learn(pair[1], [query(s) for s in COMPOUNDS[::2]], [query(COMPOUNDS[1])], seed=1)
    size, mine = 2 * SMALL["directions"], COMPOUNDS[:40:2]
    asked, known = vectors(pair[0], [spectrum(s) for s in mine]), vectors(pair[1], [structure(s) for s in mine])
    told = (asked * known)[:, size:].sum(axis=1) / pair[0].scales[2] ** 2
    # The same by leaving each out of the regression.
    back, points, white = (pair[0].array(name).astype(float) for name in ("back", "targets", "white"))
    found = ridge(likeness(back, back, float(pair[0].array("middle")[0])), points, PENALTY_BACK)
    with_all = (points - PENALTY_BACK * found.coefficients) @ white
    onto = points @ white / np.linalg.norm(points @ white, axis=1, keepdims=True)
    expected = ((found.left_out @ white) * onto).sum(axis=1) / np.linalg.norm(with_all, axis=1)
    np.testing.assert_allclose(told, expected[: len(mine)], atol=0.03)
    assert np.median((with_all * onto).sum(axis=1) / np.linalg.norm(with_all, axis=1) - expected) > 0.1


def test_from_the_whole_range_the_regression_solved_anew_is_the_same(learned: Pair) -> None:
    encoder = learned[0]
    targets = Targets(*(encoder.array(n) for n in ("targets", "white", "own")), float(encoder.array("strength")[0]))
    anew = targets.solved(encoder.array("back"), np.ones(len(grid()), dtype=bool))
    root = np.sqrt(prepare([spectrum(s, seed=5) for s in COMPOUNDS[1:20:2]]).clip(min=0))
    back, structures, pulls = (encoder.array(name) for name in ("back", "structures", "pulls"))
    whole = Backward(back, anew.middle, structures, pulls)
    for one, other in zip(anew.read(root), whole.read(root), strict=True):
        np.testing.assert_allclose(one, other, atol=0.02)


def test_spectra_of_a_part_of_the_range_find_their_compounds(learned: Pair) -> None:
    unknown = COMPOUNDS[1::2]
    whole = [spectrum(s, seed=5) for s in unknown]
    part = [Trace(one.x[200:], one.y[200:]) for one in whole]
    found = ranks(learned, part, unknown)
    assert np.mean(np.array(found) < 5) > 0.6
    again = vectors(learned[0], part)
    np.testing.assert_allclose(again, vectors(learned[0], part), atol=1e-6)


def test_blocks_of_the_range_are_known_as_a_whole() -> None:
    known = np.ones(825, dtype=bool)
    known[[3, 824]] = False
    out = coarse(known)
    assert not out[:10].any()
    assert out[10:820].all()
    assert not out[820:].any()


def test_ridge_says_what_it_would_predict_without_an_example() -> None:
    rng = np.random.default_rng(0)
    points, values = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    kernel = points @ points.T
    found = ridge(kernel, values, 0.3)
    kept = np.arange(12) != 4
    alone = ridge(kernel[np.ix_(kept, kept)], values[kept], 0.3)
    np.testing.assert_allclose(found.left_out[4], kernel[4, kept] @ alone.coefficients, atol=1e-10)
    np.testing.assert_allclose(kernel[4] @ found.coefficients + found.correction[4], found.left_out[4], atol=1e-10)


def test_whitened_errors_have_unit_covariance() -> None:
    rows = np.random.default_rng(0).normal(size=(500, 3)) @ np.array([[1, 0, 0], [2, 1, 0], [0, 1, 3.0]])
    out = rows @ whitening(rows, 0.0)
    np.testing.assert_allclose(out.T @ out / len(out), np.eye(3), atol=1e-8)


def test_the_kernel_is_one_with_oneself_and_counts_how_often() -> None:
    found = [substructures(s) for s in ("CCCCO", "CCCCCCCO", "c1ccccc1", "CCCCO")]
    kernel = Substructures.of(found).kernel(found)
    np.testing.assert_allclose(np.diag(kernel)[[0, 3]], 1, atol=1e-6)
    assert kernel[0, 3] == pytest.approx(1, abs=1e-6)
    assert 0 < kernel[0, 1] < 1


def test_what_was_not_measured_is_filled_in_as_it_usually_is() -> None:
    traces = [spectrum(s) for s in COMPOUNDS]
    rows = channels_of(prepare(traces).astype(float))
    people = Population.of(rows[::2], 40)
    known = grid() < 3000
    cut = prepare(traces[1:2])[0].astype(float) * known
    whole = people.filled(cut, known)
    alike = [rows[1] @ one / np.linalg.norm(one) for one in (whole, channels_of(cut[None])[0])]
    assert alike[0] > alike[1] + 0.05
    assert np.linalg.norm(whole) == pytest.approx(2**0.5, rel=0.02)


def test_probabilities_are_those_of_a_logistic_curve() -> None:
    rng = np.random.default_rng(0)
    value = rng.normal(size=(4000, 1))
    present = rng.random((4000, 1)) < 1 / (1 + np.exp(-(3 * value - 1)))
    (curve,) = scales(value, present)
    assert curve.slope == pytest.approx(3, rel=0.15)
    assert probabilities(np.zeros((1, 1)), [curve])[0, 0] == pytest.approx(1 / (1 + np.e), abs=0.05)


def test_a_group_of_few_compounds_keeps_its_share() -> None:
    present = np.zeros((100, 1), dtype=bool)
    present[:3] = True
    (curve,) = scales(np.linspace(-1, 1, 100)[:, None], present)
    assert curve.slope == 0
    assert probabilities(np.ones((1, 1)), [curve])[0, 0] == pytest.approx(0.035, abs=0.005)


@pytest.mark.parametrize(
    ("smiles", "present", "absent"),
    [
        ("CCC(=O)O", "carboxylic acid", "alcohol"),
        ("CCOC(C)=O", "ester", "ether"),
        ("O=C1CCCO1", "lactone", "ester"),
        ("CC(=O)NC", "amide", "secondary amine"),
        ("CCNCC", "secondary amine", "tertiary amine"),
        ("Oc1ccccc1", "phenol", "alcohol"),
        ("c1ccncc1", "aromatic heterocycle", "benzene ring"),
        ("C[N+](=O)[O-]", "nitro", "tertiary amine"),
        ("CC#CC", "internal alkyne", "terminal alkyne"),
    ],
)
def test_groups_are_told_apart(smiles: str, present: str, absent: str) -> None:
    has = dict(zip(GROUPS, has_groups([smiles])[0], strict=True))
    assert has[present]
    assert not has[absent]


def test_groups_come_with_probabilities(learned: Pair) -> None:
    records = [spectrum(s, seed=7) for s in ("CCCCCO", "CCCCC(=O)C")]
    found = [dict(zip(GROUPS, row, strict=True)) for row in learned[0].probabilities(records)]
    assert found[0]["alcohol"] > 0.5 > found[0]["ketone"]
    assert found[1]["ketone"] > 0.5 > found[1]["alcohol"]


def test_the_command_lists_groups(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_jcamp(tmp_path / "a.jdx", [Measurement(spectrum("CCCCC#N"), None, "ir", name="unknown")])
    app = typer.Typer()
    app.command()(load("command", "ir-groups"))
    told = CliRunner().invoke(app, [str(tmp_path / "a.jdx"), "--bundle", str(bundle)])
    assert re.search(r"nitrile +0\.[5-9]", told.output), told.output
    monkeypatch.setattr(output.settings, "json", True)
    (found,) = json.loads(CliRunner().invoke(app, [str(tmp_path / "a.jdx"), "--bundle", str(bundle)]).output)
    assert found["spectrum"] == "unknown"
    assert set(found["groups"]) == set(GROUPS)
    refused = CliRunner().invoke(app, [str(tmp_path / "a.jdx")])
    assert isinstance(refused.exception, ConfigError)
    assert "molvis train ir --data DATASET --out RUN" in str(refused.exception)


def test_without_a_bundle_the_message_says_how_to_train() -> None:
    with pytest.raises(ConfigError, match="molvis train ir --data DATASET --out RUN"):
        IrPredictor()


def test_a_folder_without_a_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="structure.safetensors is missing"):
        IrPredictor(str(tmp_path))


def test_before_it_has_learned_it_predicts_nothing() -> None:
    with pytest.raises(TrainingError, match="before it has learned"):
        IrRegressionStructure(**SMALL).spectrum([structure("CCO")])


def test_it_learns_with_its_counterpart_alone() -> None:
    with pytest.raises(ConfigError, match="ir-regression-structure"):
        IrRegression(**SMALL).learn(IrRegressionStructure(), [query("CCO")], [])


@pytest.mark.parametrize("wrong", [{"directions": 0}, {"weights": (1.0, 2.0)}, {"most": 1}])
def test_arguments_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="ir-regression"):
        IrRegression(**wrong)


def test_as_a_part_of_another_encoder_it_predicts_the_same(learned: Pair, bundle: Path, tmp_path: Path) -> None:
    state = {f"parts.1.{name}": value for name, value in learned[1].state_dict().items()}
    save_file(state | {"parts.0.weight": torch.zeros(2)}, tmp_path / "structure.safetensors")
    (one,), (other,) = (IrPredictor(str(b)).records([structure("CCCCO")])[0] for b in (bundle, tmp_path))
    np.testing.assert_array_equal(one.y, other.y)


def test_the_predicted_spectrum_has_the_band_of_the_group(bundle: Path) -> None:
    (found,) = IrPredictor(str(bundle)).records([structure("CCCCCCCC#N")])
    inside = (found[0].x > 2100) & (found[0].x < 2400)
    assert found[0].x[inside][np.argmax(found[0].y[inside])] == pytest.approx(2250, abs=8)
    assert found[0].y.max() == 1


def test_a_part_of_the_range_ranks_candidates_nearly_as_if_each_were_of_length_1_there() -> None:
    rng = np.random.default_rng(0)
    vectors = unit_rows(rng.gamma(1, size=(2000, 30)))
    form = np.diag(np.arange(30) < 15).astype(float)
    candidates, rows = vectors[:500], unit_rows((vectors[500:520] + 0.1 * rng.normal(size=(20, 30))) @ form)
    exactly = rows @ candidates.T / np.sqrt(((candidates @ form) * candidates).sum(axis=1))

    divided = Lengths.within(vectors[520:], form).divided(rows)
    top = np.argsort(-exactly, axis=1)[:, :20]
    near = [
        np.take_along_axis(scores, top, axis=1) for scores in (rows @ candidates.T, divided @ candidates.T, exactly)
    ]
    plain, put_right = (np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(s, near[2], strict=True)]) for s in near[:2])
    assert put_right > plain + 0.2


def test_what_many_molecules_have_counts_as_what_few_have(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [substructures(smiles) for smiles in COMPOUNDS]
    kernels = []
    for often in (0.0, 0.1, 1.0):
        monkeypatch.setattr("molvis_ir._regression.substructures._OFTEN", often)
        kernels.append(Substructures.of(found).kernel(found))
    assert (kernels[0] == kernels[1]).all()
    assert (kernels[0] == kernels[2]).all()
    assert np.allclose(np.diag(kernels[0]), 1)


def test_a_population_keeps_few_ranges() -> None:
    people = Population.of(np.random.default_rng(0).normal(size=(20, 40)), 5)
    known = np.ones(20, dtype=bool)
    assert people.within(known) is people.within(known.copy())
    for number in range(19):
        people.within(np.arange(20) > number)
    assert len(people._within) < 10
