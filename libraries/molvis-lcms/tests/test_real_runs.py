"""Runs of real instruments; `docs/lcms.md` has the figures."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.formula import formula_mass, parse_formula
from molvis_lcms.finding import Target, find_features, find_targets

DATA = Path(os.environ.get("MOLVIS_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")
QC = "171103_PMA_TK_QC_04-4to5min.mzML"
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(not (DATA / "mzml").is_dir(), reason=f"no {DATA / 'mzml'}: set MOLVIS_DATA"),
]


@pytest.mark.slow
def test_what_mzmine_finds_with_msms_is_found() -> None:
    ours = find_features(DATA / "mzml" / QC).features
    key = f"datafile:{QC}:"
    with (DATA / "interop" / "mzmine_workshop_expected_results.csv").open(encoding="utf-8") as file:
        theirs = [row for row in csv.DictReader(file) if row[key + "fragment_scans"]]
    missing = [
        row["id"]
        for row in theirs
        if not any(
            abs(f.mz / float(row[key + "mz"]) - 1) < 5e-6 and abs((f.time or 0) / 60 - float(row[key + "rt"])) < 0.1
            for f in ours
        )
    ]
    assert len(theirs) == 79
    assert missing == []


@pytest.mark.slow
def test_adenosine_is_found_in_a_run_of_both_polarities_with_wrong_flags_and_charges() -> None:
    found = find_features(DATA / "mzml" / "S30657.mzML").features
    (adenosine,) = [f for f in found if abs(f.mz - 268.1040) < 0.002 and abs((f.time or 0) - 341) < 2]
    assert adenosine.adducts[0].adduct == "[M+H]+"
    assert len(adenosine.scans) == 2
    assert {f.ionmode for f in found} == {"positive", "negative"}
    assert not [f for f in found if f.mz < 200 and f.charge not in (None, 1, -1)]


def test_six_nucleosides_are_found_without_their_times() -> None:
    with (DATA / "mzml" / "FeatureFinderMetaboIdent_1_input.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    targets = [Target(ion_mz(formula_mass(parse_formula(row["SumFormula"])), "[M+H]+"), "positive") for row in rows]
    found = find_targets(DATA / "mzml" / "FeatureFinderMetaboIdent_1_input.mzML", targets).features
    for one, row in zip(found, rows, strict=True):
        assert one.time == pytest.approx(float(row["RetentionTime"]), abs=3.0), row["CompoundName"]
        assert len(one.isotope_mz) >= 3


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("Blank_129I_1L_pos_20240207-MS3.mzML", "a scan of level 3"),
        ("diaPASEF.mzML", "isolates more than 6 m/z"),
        ("gc_orbi_profile_21scans.mzML", "no MS/MS scan of a single ion"),
        ("has_missing_charge_state_info.mzML", "isolates more than 6 m/z"),
    ],
)
def test_runs_of_other_kinds_are_answered_in_a_line(name: str, note: str) -> None:
    table = find_features(DATA / "mzml" / name)
    assert any(note in line for line in table.notes)
    assert all(line.startswith(f"{name}: ") for line in table.notes)
