"""Retention times learned from standards: what is predicted, how sure it is, and what a time says of candidates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import Crippen

from molvis_core.errors import ConfigError, ReadError, StructureError
from molvis_lcms.retention import Retention, Standard, read_standards

CHAINS = ["C" * n + tail for n in range(2, 12) for tail in ("O", "N", "C(=O)O", "C(C)=O", "c1ccccc1")]


def lipophilic(smiles: str) -> float:
    """A column that keeps molecules by their lipophilicity alone, in minutes."""
    return 6.0 + 1.5 * float(Crippen.MolLogP(Chem.MolFromSmiles(smiles)))


@pytest.fixture(scope="module")
def standards() -> list[Standard]:
    rng = np.random.default_rng(0)
    return [Standard(s, lipophilic(s) + rng.normal(0, 0.1)) for s in CHAINS[::2]]


@pytest.fixture(scope="module")
def retention(standards: list[Standard]) -> Retention:
    return Retention.of(standards)


def test_compounds_like_the_standards_are_predicted_within_their_noise(retention: Retention) -> None:
    others = CHAINS[1::2]
    minutes, spread = retention.predict(others)
    wanted = np.array([lipophilic(s) for s in others])
    assert np.abs(minutes - wanted).mean() < 0.2
    assert (np.abs(minutes - wanted) < 3 * spread).mean() > 0.9
    assert retention.error < 0.3


def test_the_error_of_each_from_the_others_is_what_leaving_it_out_gives(standards: list[Standard]) -> None:
    some = standards[:14]
    known = Retention.of(some)
    left_out = []
    for place, one in enumerate(some):
        rest = some[:place] + some[place + 1 :]
        # The numbers of the covariance and the scales are those of all: only the standard's own time is left out.
        whole = known._molecules
        mine = whole.like([s.smiles for s in rest])
        own = mine.covariance(mine, known.logarithms) + np.exp(known.logarithms[4]) * np.eye(len(rest))
        times = (np.array([s.minutes for s in rest]) - whole.middle) / whole.spread
        between = whole.like([one.smiles]).covariance(mine, known.logarithms)
        left_out.append(float((between @ np.linalg.solve(own, times))[0]) * whole.spread + whole.middle - one.minutes)
    assert known.error == pytest.approx(np.sqrt(np.mean(np.square(left_out))), rel=1e-6)


def test_what_is_unlike_every_standard_is_less_sure(retention: Retention) -> None:
    _, spread = retention.predict(["CCCCC(C)=O", "OC1C(O)C(O)OC(CO)C1OC1OC(CO)C(O)C(O)C1OP(=O)(O)O"])
    assert spread[1] > 3 * spread[0]


def test_a_time_speaks_for_those_that_elute_then_and_against_the_others_within_bounds(retention: Retention) -> None:
    early, late = "CCO", "CCCCCCCCCCCc1ccccc1"
    told = retention.evidence([early, late], lipophilic(early))
    assert told[0] > 1.0
    assert told[1] == pytest.approx(np.log(0.05), abs=0.05)
    assert retention.evidence([early], 1e6)[0] >= np.log(0.05) - 1e-9


def test_the_order_of_standards_hardly_matters(standards: list[Standard], retention: Retention) -> None:
    turned = Retention.of(standards[::-1])
    np.testing.assert_allclose(turned.predict(["CCCCO"])[0], retention.predict(["CCCCO"])[0], atol=1e-6)


def test_of_one_structure_the_median_counts(standards: list[Standard]) -> None:
    twice = [*standards, Standard(standards[0].smiles, 1000.0), Standard(standards[0].smiles, standards[0].minutes)]
    np.testing.assert_allclose(
        Retention.of(twice).predict(["CCCCO"])[0], Retention.of(standards).predict(["CCCCO"])[0], atol=1e-9
    )


def test_nothing_is_predicted_of_nothing(retention: Retention) -> None:
    assert retention.predict([])[0].shape == (0,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s[:9], "of 9 standards say too little; give 10 or more"),
        (lambda s: [Standard(one.smiles, 2.0) for one in s], "all 25 standards have the retention time 2 min"),
        (lambda s: [*s, Standard("C", -1.0, "methane")], "standard methane: its retention time is -1.0 min"),
        (lambda s: [*s, Standard("C", float("nan"))], "standard C: its retention time is nan min"),
    ],
)
def test_standards_that_say_nothing_are_refused(change: object, message: str, standards: list[Standard]) -> None:
    with pytest.raises(ConfigError, match=message):
        Retention.of(change(standards))


def test_a_structure_that_cannot_be_is_refused(retention: Retention) -> None:
    with pytest.raises(StructureError, match="C1CC"):
        retention.predict(["C1CC"])


def test_a_table_gives_minutes_or_seconds(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,SMILES,rt_min\nethanol,CCO,1.5\n", encoding="utf-8")
    (tmp_path / "b.tsv").write_text("Name\tsmiles\trt_s\nethanol\tCCO\t90\n", encoding="utf-8")
    assert read_standards(tmp_path / "a.csv") == read_standards(tmp_path / "b.tsv") == [Standard("CCO", 1.5, "ethanol")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("smiles,rt_min\nCCO,1\n", "no line of columns that begins with 'name'"),
        ("name,smiles,rt_min\na,,1\n", r"a\.csv:2.*has no smiles"),
        ("name,smiles,rt_min\na,CCO,\n", r"a\.csv:2.*has no rt_min or rt_s"),
        ("name,smiles,rt_min\na,C1CC,1\n", r"a\.csv:2.*C1CC"),
    ],
)
def test_a_row_that_is_no_standard_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ReadError, match=message):
        read_standards(tmp_path / "a.csv")
