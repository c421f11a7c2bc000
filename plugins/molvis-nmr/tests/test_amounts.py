"""Amounts of many samples as one table of mzTab-M."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from molvis_core.errors import WriteError
from molvis_nmr.workflows.amounts import common_unit, write_amounts

ALANINE = "InChI=1S/C3H7NO2/c1-2(4)3(5)6/h2H,4H2,1H3,(H,5,6)/t2-/m0/s1"


def compound(value: float | None, *, limit: float | None = None, tube: bool = False, entry: str = "") -> dict[str, Any]:
    return {
        "value": value, "error": None if value is None else value / 10, "probability": 0.01 if value is None else 0.97,
        "identifier": entry, "tube": tube, "limit": limit,
    }  # fmt: skip


def row(sample: str, unit: str = "mM", problem: str = "", **compounds: dict[str, Any]) -> dict[str, Any]:
    return {"sample": sample, "unit": unit, "standard": "DSS" if unit == "mM" else "", "offset_ppb": 1.0,
            "roi_iou": 0.9, "unexplained": 0.0625, "problem": problem, "compounds": compounds}  # fmt: skip


ROWS = [
    row("a", alanine=compound(1.0, entry="e1"), acetone=compound(0.2, tube=True), valine=compound(None, limit=0.3)),
    row("b", problem='said "no"', alanine=compound(None, limit=0.25, entry="e1"), acetone=compound(0.4, tube=True),
        valine=compound(None, limit=0.1)),
]  # fmt: skip


def written(path: Path, rows: list[dict[str, Any]]) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Metadata, and the cells of each compound by column."""
    write_amounts(path, rows, {"e1": ALANINE}, {one["sample"]: path.parent / one["sample"] for one in rows})
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line]
    (head,) = (cells for cells in lines if cells[0] == "SMH")
    return {key: value for kind, key, value in (c for c in lines if c[0] == "MTD")}, [
        dict(zip(head, cells, strict=True)) for cells in lines if cells[0] == "SML"
    ]


def test_what_is_found_has_its_amount_and_what_is_not_has_null_and_a_limit(tmp_path: Path) -> None:
    known, (acetone, alanine) = sorted_by_name(written(tmp_path / "a.mztab", ROWS))
    assert known["small_molecule-quantification_unit"] == "[UO, UO:0000063, millimolar, ]"
    assert (alanine["abundance_assay[1]"], alanine["abundance_assay[2]"]) == ("1", "null")
    assert (alanine["opt_assay[1]_upper_limit"], alanine["opt_assay[2]_upper_limit"]) == ("null", "0.25")
    assert (alanine["opt_assay[1]_standard_error"], alanine["opt_assay[2]_standard_error"]) == ("0.1", "null")
    assert (alanine["chemical_formula"], alanine["opt_global_inchikey"]) == ("C3H7NO2", "QNAYBMKLOCPYGJ-REOHCLBHSA-N")
    assert (acetone["inchi"], acetone["opt_global_solvent_or_additive"]) == ("null", "true")
    assert float(acetone["abundance_study_variable[1]"]) == pytest.approx(0.3)
    assert float(acetone["abundance_variation_study_variable[1]"]) == pytest.approx(2**0.5 / 3)
    assert known["assay[2]-custom[3]"] == "[, , problem, \"said 'no'\"]"


def test_a_sample_in_another_unit_has_no_amounts_and_says_which(tmp_path: Path) -> None:
    rows = [ROWS[0], row("c", unit="amount", alanine=compound(7.0, entry="e1"))]
    known, (_, alanine) = sorted_by_name(written(tmp_path / "a.mztab", rows))
    assert common_unit(rows) == "mM"
    assert (alanine["abundance_assay[1]"], alanine["abundance_assay[2]"]) == ("1", "null")
    assert alanine["opt_assay[2]_standard_error"] == "null"
    assert known["assay[2]-custom[2]"] == '[, , other unit, "amount"]'


def test_a_unit_of_no_vocabulary_keeps_its_name(tmp_path: Path) -> None:
    known, _ = written(tmp_path / "a.mztab", [row("a", unit="mg/dL", alanine=compound(1.0))])
    assert known["small_molecule-quantification_unit"] == '[, , "mg/dL", ]'


def test_of_no_samples_nothing_is_written_and_a_missing_folder_is_named(tmp_path: Path) -> None:
    write_amounts(tmp_path / "a.mztab", [], {}, {})
    assert not (tmp_path / "a.mztab").exists()
    with pytest.raises(WriteError, match=r"nowhere/a\.mztab: cannot be written"):
        write_amounts(tmp_path / "nowhere" / "a.mztab", ROWS, {}, {"a": tmp_path, "b": tmp_path})


def sorted_by_name(
    document: tuple[dict[str, str], list[dict[str, str]]],
) -> tuple[dict[str, str], list[dict[str, str]]]:
    return document[0], sorted(document[1], key=lambda one: one["chemical_name"])
