"""Sheets as people keep them: short and long rows, several sheets, symmetric molecules as halves of themselves."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest

from molvis_core.errors import ReadError
from molvis_flux.formats import read_study
from molvis_flux.labelling.prediction import complete_fluxes, predict

REACTIONS = [
    ["#reaction_ID", "reactant_IDs(atom)", "product_IDs(atom)", "reversibility", "comment"],
    ["# TCA"],
    ["up", "AKG.ex(abcde)", "AKG(abcde)", 0],
    ["sucd", "AKG(abcde)", "0.5*SUC(bcde) + 0.5*SUC(edcb) + CO2(a)", "0", "both orientations", "", "x"],
    ["fum", "0.5*SUC(abcd)+0.5*SUC(dcba)", "0.5 FUM(abcd) + 0.5 FUM(dcba)", 1],
    ["mal", "FUM(abcd)", "MAL(abcd)"],
    ["out", "MAL(abcd)"],
    ["co2", "CO2(a)", "CO2.out(a)"],
]
MIDS = [["fragment_ID", "mean", "sd"], ["MAL_12", "0.5,0.5,0", "0.01,0.01,0.01"], ["FUM_1", "0.5,0.5"]]
FLUXES = [["reaction_ID", "mean", "sd"], ["up", 1, 0.1]]


def workbook(path: Path, sheets: dict[str, list[list[object]]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, lines in sheets.items():
        sheet = book.create_sheet(name)
        for line in lines:
            sheet.append(line)
    book.save(path)
    return path


def tsv(path: Path, lines: list[list[object]]) -> Path:
    path.write_text("\n".join("\t".join(map(str, line)) for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("book", [True, False])
def test_halves_of_a_molecule_are_one_that_is_symmetric(tmp_path: Path, book: bool) -> None:
    path = workbook(tmp_path / "m.xlsx", {"all": REACTIONS}) if book else tsv(tmp_path / "m.tsv", REACTIONS)
    study = read_study(path, tracers={"AKG.ex": "01000"})
    network = study.network
    assert network.metabolites["SUC"].symmetries == ((3, 2, 1, 0),) == network.metabolites["FUM"].symmetries
    assert [(p.metabolite, p.coefficient) for p in network.reactions["sucd"].products] == [("SUC", 1.0), ("CO2", 1.0)]
    assert network.reactions["fum"].reversible
    assert not network.reactions["mal"].reversible
    assert network.reactions["out"].products == ()
    assert any("several orientations" in note for note in study.notes)


def test_the_carbon_of_a_symmetric_molecule_is_spread_over_both_ends(tmp_path: Path) -> None:
    sheets = {"notes": [["my model"]], "network": REACTIONS, "MDV": MIDS, "fluxes": FLUXES}
    study = read_study(workbook(tmp_path / "m.xlsx", sheets), tracers={"AKG.ex": "01000"})
    found = predict(study, *complete_fluxes(study.network, {("net", "up"): 1.0, ("exchange", "fum"): 0.5}))
    mids = {p.fragment: tuple(p.fractions[0]) for p in found}
    assert mids["FUM_1"] == pytest.approx((0.5, 0.5))
    assert mids["MAL_12"] == pytest.approx((0.5, 0.5, 0))


def test_sheets_are_known_by_their_headings_and_a_missing_error_is_stated(tmp_path: Path) -> None:
    sheets = {"Sheet1": FLUXES, "Sheet2": MIDS, "Sheet3": REACTIONS}
    study = read_study(workbook(tmp_path / "m.xlsx", sheets))
    (experiment,) = study.experiments
    assert [(d.target, d.kind) for d in experiment.data] == [("MAL_12", "mid"), ("FUM_1", "mid"), ("up", "net")]
    assert experiment.data[1].sd == (0.01, 0.01)
    assert any("FUM_1 has no standard deviations" in note for note in study.notes)


def test_a_reversibility_that_is_none_is_refused(tmp_path: Path) -> None:
    lines = [[*line] for line in REACTIONS]
    lines[4][3] = "maybe"
    with pytest.raises(ReadError, match="'fum' is 'maybe'; write 1 or 0"):
        read_study(tsv(tmp_path / "m.tsv", lines))


def test_halves_are_folded_in_our_own_toml_and_whole_molecules_are_not(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(
        '[reactions]\nv1 = "A(abcd) -> 0.5 S(abcd) + 0.5 S(dcba)"\nv2 = "S(abcd) -> G(ab) + G(cd)"\n'
        '[metabolites]\nA = "source"\nG = "sink"\n',
        encoding="utf-8",
    )
    network = read_study(path).network
    assert network.metabolites["S"].symmetries == ((3, 2, 1, 0),)
    assert [p.atoms for p in network.reactions["v2"].products] == [("a", "b"), ("c", "d")]


TRACERS = "met_id,atom_ids\nA,[2]\n"


@pytest.mark.parametrize(
    ("text", "pattern"),
    [(TRACERS, "01"), ('experiment_id,tracer_id,met_id,atom_ids,enrichment\nx,t,A,"[1,2]",0.9\n', "11")],
)
def test_a_table_of_tracers_needs_no_ratio_where_there_is_one(tmp_path: Path, text: str, pattern: str) -> None:
    (tmp_path / "reactions.csv").write_text("rxn_id,rxn_eqn\nv1,A (ab) -> B (ab)\n", encoding="utf-8")
    (tmp_path / "tracers.csv").write_text(text, encoding="utf-8")
    study = read_study(tmp_path)
    (experiment,) = study.experiments
    assert experiment.tracers["A"].isotopomers[0][0] == pattern
    assert any("without `ratio`" in note for note in study.notes)


def test_several_tracers_of_a_source_need_their_shares(tmp_path: Path) -> None:
    (tmp_path / "reactions.csv").write_text("rxn_id,rxn_eqn\nv1,A (ab) -> B (ab)\n", encoding="utf-8")
    (tmp_path / "tracers.csv").write_text(TRACERS + "A,[1]\n", encoding="utf-8")
    with pytest.raises(ReadError, match="add the column `ratio`"):
        read_study(tmp_path)
