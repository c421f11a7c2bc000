"""Shifts are predicted and matched, on made-up shifts of a few alcohols and acids."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from molvis_core.chemistry.structures import structure
from molvis_core.errors import BundleError, ConfigError, TrainingError
from molvis_core.records import RankedQuery, ShiftList
from molvis_core.testing import RecordPredictorContract, ScorerContract
from molvis_nmr_shifts.library import PredictedLibrary, write_library
from molvis_nmr_shifts.matching.fitting import fit_among
from molvis_nmr_shifts.matching.lines import USUAL, Lines, Peaks, Prices, likeliest, likelihoods
from molvis_nmr_shifts.prediction.environments import EnvironmentTable
from molvis_nmr_shifts.prediction.graphs import graph_of
from molvis_nmr_shifts.prediction.lessons import lessons_of
from molvis_nmr_shifts.predictor import ShiftPredictor
from molvis_nmr_shifts.scorer import ShiftMatching, axis_of

pytestmark = pytest.mark.full

SMILES = [
    f"{'C' * n}{branch}{end}"
    for n in range(1, 8)
    for branch in ("", "C(C)", "C(=O)C")
    for end in ("O", "N", "C(=O)O", "F")
]  # fmt: skip
EVERY = [structure(s) for s in SMILES]


def carbon_shift(atom: Any) -> float:
    """A rule that a network can learn from an atom's neighbors."""
    if any(b.GetBondTypeAsDouble() == 2 for b in atom.GetBonds()):
        return 175.0
    pull = sum({"O": 40, "N": 28, "F": 60}.get(n.GetSymbol(), 7) for n in atom.GetNeighbors())
    return 8.0 + pull


def made(number: int, nucleus: str = "13C", *, named: bool = True) -> ShiftList:
    graph = graph_of(EVERY[number].smiles)
    from molvis_core.chemistry.structures import parse_smiles

    shifts, atoms, kinds = [], [], []
    for atom in parse_smiles(EVERY[number].smiles).GetAtoms():
        if atom.GetSymbol() != "C" or (nucleus == "1H" and not atom.GetTotalNumHs()):
            continue
        value = carbon_shift(atom)
        shifts.append(value if nucleus == "13C" else 0.5 + value / 20)
        atoms.append(str(atom.GetIdx()))
        kinds.append("SDTQ"[min(int(graph.hydrogens[atom.GetIdx()]), 3)])
    kinds = tuple(kinds) if nucleus == "13C" else ()
    return ShiftList(np.array(shifts), nucleus, multiplicity=kinds, atoms=tuple(atoms) if named else ())


def examples(named: bool = True) -> list[RankedQuery]:
    out = []
    for n in range(len(EVERY)):
        candidates = (EVERY[n], EVERY[(n + 5) % len(EVERY)], EVERY[(n + 17) % len(EVERY)])
        out += [RankedQuery(made(n, nucleus, named=named), candidates, 0) for nucleus in ("13C", "1H")]
    return out


@pytest.fixture(scope="module")
def scorer() -> ShiftMatching:
    scorer = ShiftMatching(epochs=70, width=32, layers=2, dropout=0.0)
    figures = scorer.learn(examples(), examples(), seed=1)
    assert figures["val_mae_13C"] < 6  # the shifts lie 45 apart
    assert figures["val_mae_1H"] < 0.4
    assert figures["val_hit1"] > 0.8
    return scorer


class TestScorer(ScorerContract):
    @pytest.fixture
    def scorer(self) -> Any:
        return ShiftMatching(epochs=2, width=8, layers=1)

    @pytest.fixture
    def examples(self) -> Any:
        return examples()[:12]


class TestPredictor(RecordPredictorContract):
    @pytest.fixture
    def predictor(self, scorer: ShiftMatching, tmp_path: Path) -> Any:
        scorer.save(tmp_path)
        return ShiftPredictor(str(tmp_path))


def test_the_compound_that_has_these_shifts_stands_out(scorer: ShiftMatching) -> None:
    rows = scorer(made(9, named=False), [EVERY[9], EVERY[10], EVERY[40]])
    assert rows[0, 0] > rows[1:, 0].max() + 0.5
    assert rows[0, 1] > 0.5
    assert not rows[:, 2:].any()
    proton = scorer(made(9, "1H"), [EVERY[9], EVERY[40]])
    assert not proton[:, :2].any()
    assert proton[0, 2] > proton[1, 2]


def test_another_nucleus_is_no_evidence(scorer: ShiftMatching) -> None:
    assert not scorer(ShiftList(np.array([-120.0]), "19F"), EVERY[:4]).any()


def test_both_axes_of_hsqc_count_and_those_of_other_experiments_do_not(scorer: ShiftMatching) -> None:
    carbon = made(9)
    cross = ShiftList(carbon.shifts, partners=0.5 + carbon.shifts / 20, experiment="HSQC")
    rows = scorer(cross, [EVERY[9], EVERY[40]])
    assert (rows[0, [0, 2]] > rows[1, [0, 2]]).all()
    assert axis_of(ShiftList(carbon.shifts, partners=carbon.shifts, experiment="HMBC"), "13C") is None
    twice = ShiftList(np.array([20.0, 20.05, 60.0]), partners=np.array([1.0, 1.3, 3.0]), experiment="HSQC")
    found = axis_of(twice, "13C")
    assert found is not None
    assert found.shifts.tolist() == [20.0, 60.0]


def test_hsqc_does_not_wait_for_what_it_cannot_show(scorer: ShiftMatching) -> None:
    acid = structure("CC(C)CC(=O)O")
    for nucleus in ("13C", "1H"):
        lines = scorer.lines([acid, EVERY[9], acid], nucleus)
        shown = lines.in_hsqc()
        assert np.diff(shown.starts)[[0, 2]].tolist() == [3, 3]
        assert shown.take(np.array([2])).means.tolist() == shown.take(np.array([0])).means.tolist()
    carbon = scorer.lines([acid], "13C").in_hsqc().means.astype(float)
    listed = ShiftList(carbon, partners=scorer.lines([acid], "1H").in_hsqc().means.astype(float), experiment="HSQC")
    assert scorer(listed, [acid])[0, 0] > scorer(replace(listed, partners=None, experiment=""), [acid])[0, 0]


def test_signals_without_atoms_are_given_some(scorer: ShiftMatching) -> None:
    mixed = [*examples(), *examples(named=False)]
    again = ShiftMatching(epochs=6, width=16, layers=2)
    assert again.learn(mixed, examples(), seed=2)["val_mae_13C"] < 30
    with pytest.raises(TrainingError, match="no signal whose atoms are known"):
        again.learn(examples(named=False), [])


def test_predicted_shifts_name_their_atoms_and_errors(scorer: ShiftMatching, tmp_path: Path) -> None:
    scorer.save(tmp_path)
    predictor = ShiftPredictor(str(tmp_path), solvent="CDCl3")
    (((carbon, errors), (proton, _)),) = predictor.with_errors([structure("CCCC(=O)O")])
    assert (len(carbon), carbon.solvent, carbon.atoms[-1]) == (4, "CDCl3", "3")
    assert carbon.shifts[-1] == pytest.approx(175, abs=10)
    assert carbon.multiplicity[-1] == "S"
    assert (errors > 0).all()
    assert proton.intensity is not None
    assert sorted(proton.intensity.tolist()) == [1, 2, 2, 3]
    with pytest.raises(ConfigError, match="solvent"):
        ShiftPredictor(str(tmp_path), solvent="beer")
    with pytest.raises(ConfigError, match="19F"):
        ShiftPredictor(str(tmp_path), nuclei="19F")


def test_a_library_of_predicted_shifts_ranks_like_the_network(scorer: ShiftMatching, tmp_path: Path) -> None:
    smiles = [one.smiles for one in EVERY]
    assert write_library(tmp_path / "lines", [*smiles, "not a structure"], scorer.model) == len(smiles) + 1
    library = PredictedLibrary.open(tmp_path / "lines", scorer.model)
    query = made(9, named=False)
    found = library.search(query, scorer.prices["13C"])
    assert found[-1] == -np.inf
    wanted = likelihoods(query, scorer.lines(EVERY, "13C"), scorer.prices["13C"])
    np.testing.assert_allclose(found[:-1], wanted, atol=0.2)
    rows, values = library.best(query, scorer.prices["13C"], 5)
    np.testing.assert_array_equal(rows, np.argsort(-found, kind="stable")[:5])
    np.testing.assert_array_equal(values, found[rows])
    some = library.search(query, scorer.prices["13C"], np.array([9, 2]))
    np.testing.assert_array_equal(some, found[[9, 2]])
    kept = ShiftMatching(width=32, layers=2, library=str(tmp_path / "lines"))
    scorer.save(tmp_path)
    kept.load(tmp_path)
    np.testing.assert_allclose(kept(query, EVERY), scorer(query, EVERY), atol=0.05)
    other = ShiftMatching(epochs=1, width=32, layers=2)
    other.learn(examples(), [], seed=3)
    with pytest.raises(BundleError, match="another network"):
        PredictedLibrary.open(tmp_path / "lines", other.model)


def lines(*rows: tuple[float, float, int, int]) -> Lines:
    means, widths, hydrogens, counts = (np.array(c) for c in zip(*rows, strict=True))
    loose = np.zeros(len(rows), np.bool_)
    return Lines(
        np.array([0, len(rows)]), means.astype(np.float32), widths.astype(np.float32), hydrogens.astype(np.int8),
        counts.astype(np.int8), loose,
    )  # fmt: skip


def test_missing_extra_shared_and_stray_signals_are_priced() -> None:
    prices = Prices(1.0, 0.01, 200.0, -4.0, -4.0, -5.0, -2.0, -3.0, -6.0, bare=-3.0, uneven=-1.0)
    predicted = lines((20.0, 1.0, 3, 1), (60.0, 1.0, 2, 1), (128.0, 1.0, 1, 2))

    def of(*shifts: float, kinds: tuple[str, ...] = ()) -> float:
        return float(likelihoods(ShiftList(np.array(shifts), multiplicity=kinds), predicted, prices)[0])

    hit = np.log(0.99 / 2 + 0.01 / 200)
    assert of(20, 60, 128) == pytest.approx(3 * hit, abs=1e-6)
    assert of(20, 128) == pytest.approx(2 * hit - 4.0 - 1.0, abs=1e-6)
    carbonyl = lines((20.0, 1.0, 3, 1), (170.0, 1.0, 0, 1))
    found = float(likelihoods(ShiftList(np.array([20.0])), carbonyl, prices)[0])
    assert found == pytest.approx(hit - 3.0 - 1.0, abs=1e-6)
    exchanging = replace(carbonyl, loose=np.array([False, True]))
    found = float(likelihoods(ShiftList(np.array([20.0])), exchanging, prices)[0])
    assert found == pytest.approx(hit - 4.0, abs=1e-6)
    assert of(20, 60, 90, 128) == pytest.approx(3 * hit - 5.0 - np.log(200), abs=1e-6)
    assert of(20, 60, 128, 128) == pytest.approx(4 * hit - 3.0, abs=1e-6)
    assert of(20, 60, 128, kinds=("Q", "D", "D")) == pytest.approx(3 * hit - 6.0, abs=1e-6)
    stray = np.log(0.99 / 2 * np.exp(-40.0) + 0.01 / 200)
    assert of(20, 60, 168) == pytest.approx(2 * hit + stray, abs=1e-6)
    both = lines((60.0, 1.0, 2, 1), (60.2, 1.0, 2, 1))
    found = float(likelihoods(ShiftList(np.array([60.0])), both, prices)[0])
    near = np.log(0.99 / 2 * np.exp(-0.2) + 0.01 / 200)
    assert found == pytest.approx(hit + (near + np.log(2.0)) - 2.0 - 1.0, abs=1e-6)


@pytest.mark.parametrize("kinds", [False, True])
@pytest.mark.parametrize("nucleus", ["13C", "1H"])
def test_the_likeliest_are_those_of_aligning_all(nucleus: str, kinds: bool) -> None:
    rng = np.random.default_rng(5)
    sizes = rng.integers(0, 9, 3000)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    span = USUAL[nucleus].span
    means = np.concatenate([np.sort(rng.uniform(0, span, size)) for size in sizes]).astype(np.float32)
    widths = (span * rng.uniform(0.001, 0.02, len(means))).astype(np.float32)
    held, counts = (rng.integers(low, high, len(means)).astype(np.int8) for low, high in ((0, 4), (1, 4)))
    many = Lines(starts, means, widths, held, counts, rng.random(len(means)) < 0.1)
    for number in range(6):
        own = many.take(np.array([int(rng.choice(np.flatnonzero(sizes > 2)))]))
        shifts = own.means + rng.normal(0, 0.01 * span, len(own.means))
        said = tuple("SDTQ"[h] for h in own.hydrogens) if kinds and nucleus == "13C" else ()
        record = ShiftList(shifts[number % 2 :], nucleus, multiplicity=said[number % 2 :])
        wanted = likelihoods(record, many, USUAL[nucleus])
        wanted[sizes == 0] = -np.inf
        rows, values = likeliest(record, Peaks.of(many), USUAL[nucleus], 25)
        np.testing.assert_array_equal(rows, np.argsort(-wanted, kind="stable")[:25])
        np.testing.assert_array_equal(values, wanted[rows])
    few, _ = likeliest(record, Peaks.of(many.take(np.arange(4))), USUAL[nucleus], 25)
    assert len(few) == 4


def test_prices_that_make_no_sense_are_refused(tmp_path: Path, scorer: ShiftMatching) -> None:
    with pytest.raises(ConfigError, match="stray"):
        Prices(1.0, 1.5, 200.0, 0, 0, 0, 0, 0, 0, 0, 0)
    with pytest.raises(ConfigError, match="above 0"):
        Prices(1.0, 0.5, 200.0, 0, 0, 0, 0, 0, 0, 0, 0.1)
    with pytest.raises(ConfigError, match="epochs"):
        ShiftMatching(epochs=0)
    with pytest.raises(ConfigError, match="width"):
        ShiftMatching(width=0)
    for fresh in (ShiftMatching(),):
        with pytest.raises(TrainingError):
            fresh.save(tmp_path)
        with pytest.raises(BundleError):
            fresh.load(tmp_path)
    scorer.save(tmp_path)
    with pytest.raises(BundleError, match="other settings"):
        ShiftMatching().load(tmp_path)
    (tmp_path / "prices.json").write_text('{"13C": {}}')
    with pytest.raises(BundleError, match="damaged"):
        ShiftMatching(width=32, layers=2).load(tmp_path)
    assert USUAL["13C"].array.shape == (7,)


def test_prices_written_before_complete_lists_counted_are_read(tmp_path: Path, scorer: ShiftMatching) -> None:
    scorer.save(tmp_path)
    content = json.loads((tmp_path / "prices.json").read_text())
    for one in content.values():
        del one["bare"], one["uneven"]
    (tmp_path / "prices.json").write_text(json.dumps(content))
    older = ShiftMatching(width=32, layers=2)
    older.load(tmp_path)
    wanted = replace(scorer.prices["13C"], bare=scorer.prices["13C"].missing, uneven=0.0)
    assert older.prices["13C"] == wanted


def test_a_larger_molecule_does_not_explain_a_list_for_want_of_rivals() -> None:
    rng = np.random.default_rng(3)
    means = [np.sort(rng.uniform(0, 160, int(n))) for n in rng.integers(6, 25, 300)]
    pool = Lines.joined([lines(*((m, 2.0, 1, 1) for m in some)) for some in means])
    cases, taken = [], []
    for truth in range(0, 300, 6):
        record = ShiftList(np.sort(means[truth] + rng.laplace(0, 2.0, len(means[truth]))))
        # As in a window of mass: rivals have about as many lines.
        near = [i for i in range(300) if abs(len(means[i]) - len(means[truth])) <= 1 and i != truth][:10]
        taken.append(np.array([truth, *near]))
        cases.append((record, pool.take(taken[-1]), 0))
    start = Prices(0.3, 0.001, 200.0, -0.5, -0.5, -3.0, -0.5, -3.0, -4.0, -0.5, 0.0)

    def first(prices: Prices) -> int:
        places = [likelihoods(case[0], pool, prices).argmax() for case in cases]
        return sum(int(place == own[0]) for place, own in zip(places, taken, strict=True))

    assert first(fit_among(cases, pool, taken, start)) > first(start) + 5


def test_environments_that_were_seen_give_their_median_and_smaller_ones_stand_in() -> None:
    table = EnvironmentTable.of(lessons_of((one.record, one.candidates[0].smiles) for one in examples()))
    graph_smiles = EVERY[9].smiles
    means, _ = table.predict(graph_smiles)["13C"]
    wanted = {int(a): s for a, s in zip(made(9).atoms, made(9).shifts.tolist(), strict=True)}
    for atom, shift in wanted.items():
        assert means[atom] == pytest.approx(shift, abs=0.5)
    unseen, _ = table.predict("CCCCCCCCCCCCCl")["13C"]
    assert np.isfinite(unseen).sum() == 12
