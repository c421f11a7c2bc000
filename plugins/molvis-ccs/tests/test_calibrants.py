"""A laboratory's own offset is estimated from what it measured of known compounds, and taken off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from molvis_ccs.likelihood import CcsLikelihood
from molvis_ccs.predictor.calibrants import correct, offset
from molvis_ccs.predictor.ensemble import CcsEnsemble
from molvis_ccs.predictor.loading import load
from molvis_core.chemistry.structures import structure
from molvis_core.errors import ConfigError, ReadError, RecordError
from molvis_core.records import Measurement, Structure, Value

STRUCTURES = [structure("C" * size + end) for size in range(3, 9) for end in ("O", "N", "Cl", "C#N")]


@pytest.fixture
def predictor() -> CcsEnsemble:
    return CcsEnsemble(members=1, width=8).eval()


def of(one: Structure, value: float, kind: str = "DT") -> Measurement:
    return Measurement(Value(value, adduct="[M+H]+", instrument_type=kind, gas="N2"), one, "ccs")


def test_an_offset_is_taken_off_the_instrument_that_it_was_measured_on(predictor: CcsEnsemble) -> None:
    before, others = (predictor.predict(STRUCTURES, "[M+H]+", kind)[0] for kind in ("DT", "TW"))
    low = [of(one, 0.98 * float(value)) for one, value in zip(STRUCTURES, before, strict=True)]
    for _ in range(2):  # what was corrected before does not count
        correct(predictor, low)
        assert predictor.predict(STRUCTURES, "[M+H]+", "DT")[0] / before == pytest.approx(0.98, abs=0.003)
        assert predictor.predict(STRUCTURES, "[M+H]+", "TW")[0] == pytest.approx(others)


def test_one_compound_measured_often_counts_once(predictor: CcsEnsemble) -> None:
    before = predictor.predict(STRUCTURES[:2], "[M+H]+", "DT")[0]
    rows = [of(STRUCTURES[0], 1.02 * float(before[0])), of(STRUCTURES[1], 0.98 * float(before[1]))]
    correct(predictor, [rows[0]] * 20 + rows[1:])
    assert predictor.predict(STRUCTURES[:2], "[M+H]+", "DT")[0] / before == pytest.approx(1.0, abs=1e-3)


def test_few_calibrants_and_wild_ones_count_for_little() -> None:
    assert offset(np.array([])) == 0
    assert 0.003 < offset(np.array([0.02])) < 0.01
    assert offset(np.full(50, 0.02)) == pytest.approx(0.02, abs=0.002)
    assert offset(np.array([0.02] * 20 + [0.5])) == pytest.approx(offset(np.full(20, 0.02)), abs=0.002)


def test_calibrants_are_read_from_a_table(
    predictor: CcsEnsemble, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, table = str(tmp_path / "own.safetensors"), tmp_path / "known.csv"
    predictor.save(file)
    one = structure("CCCCCCO")
    usual = float(predictor.predict([one], "[M+H]+", "DT")[0][0])
    table.write_text(f"smiles,adduct,DTCCSN2\nCCCCCCO,[M+H]+,{1.03 * usual:.2f}\nCCO,[M+H]+,1.4\n", encoding="utf-8")
    found = load(file, calibrants=str(table))
    assert 1.002 * usual < float(found.predict([one], "[M+H]+", "DT")[0][0]) < 1.03 * usual
    assert "1 of 2 rows of calibrants cannot be used" in caplog.text
    table.write_text("smiles,adduct,DTCCSN2\nCCCCCCO,[M+Li]+,140\n", encoding="utf-8")
    with pytest.raises(RecordError, match=r"known\.csv: no cross section in N2 with a structure"):
        load(file, calibrants=str(table))


def test_columns_are_of_the_instrument_that_was_asked_for(predictor: CcsEnsemble, tmp_path: Path) -> None:
    predictor.save(tmp_path / "own.safetensors")
    own = load(str(tmp_path / "own.safetensors"), instrument="TW")
    one = structure("CCCCCCO")
    found = own(own.collate([one]))[0][0, 0].item()
    assert found == pytest.approx(own.predict([one], "[M+H]+", "TW")[0][0], rel=1e-5)
    assert found != pytest.approx(own.predict([one], "[M+H]+", "DT")[0][0], rel=1e-5)
    with pytest.raises(ConfigError, match="DT, TIMS, TW"):
        load(str(tmp_path / "own.safetensors"), instrument="QTOF")


def test_evidence_is_corrected_by_calibrants(predictor: CcsEnsemble, tmp_path: Path) -> None:
    file, table = tmp_path / "own.safetensors", tmp_path / "known.csv"
    predictor.save(file)
    few = STRUCTURES[:12]
    usual = predictor.predict(few, "[M+H]+", "TW")[0]
    rows = [f"{one.smiles},[M+H]+,{1.02 * value:.3f}" for one, value in zip(few, usual, strict=True)]
    table.write_text("smiles,adduct,TWCCSN2\n" + "\n".join(rows), encoding="utf-8")
    plain = CcsLikelihood(str(file), sd=0.1)
    own = plain.with_calibrants(table)
    assert plain.calibrated == plain.calibrants == ""
    assert own.calibrated.startswith("TW +1.")
    assert own.calibrated.endswith("% by 12 compounds")
    before, after = (one.predict(few, "[M+H]+", "TW")[0] for one in (plain, own))
    assert after / before == pytest.approx(1.02, abs=0.004)
    high = Value(1.02 * float(usual[3]), adduct="[M+H]+", instrument_type="TW")
    assert own(high, few)[3, 0] > plain(high, few)[3, 0]
    # A scorer that was built with them knows as much.
    assert CcsLikelihood(str(file), sd=0.1, calibrants=str(table))(high, few) == pytest.approx(own(high, few))
    with pytest.raises(ReadError):
        plain.with_calibrants(tmp_path / "absent.csv")
