"""Options of readers as text: one notation for every command, and for TOML files that start from another model."""

from __future__ import annotations

import json
from pathlib import Path

import openpyxl
import pytest
from test_corpus import CORPUS, FILES, fluxes, labelled, options

from molvis_core import output
from molvis_core.errors import ReadError
from molvis_flux.commands.check import check
from molvis_flux.commands.import_measurements import import_
from molvis_flux.commands.simulate import simulate
from molvis_flux.formats import read_study
from molvis_flux.formats.isotopologues import Layout, read_isotopologues
from molvis_flux.formats.options import open_study, parsed

MFAPY = [
    f"status={CORPUS / 'mfapy/network_status.csv'}", f"data.one={CORPUS / 'mfapy/network_mdv.txt'}",
    f"tracers.one={CORPUS / 'mfapy/network_sources.txt'}",
]  # fmt: skip


def test_keys_with_points_are_tables_and_values_of_toml_are_read() -> None:
    given = [
        "a=1=2",
        'tracers."Glc.ex"=U-13C',
        "tracers.Gln={ U-13C = 0.5, unlabelled = 0.5 }",
        "data=x.txt",
        "data=y.txt",
    ]
    assert parsed(given) == {
        "a": "1=2", "data": ["x.txt", "y.txt"],
        "tracers": {"Glc.ex": "U-13C", "Gln": {"U-13C": 0.5, "unlabelled": 0.5}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["status"], "'status' is not KEY=VALUE"),
        (["tracers={ a = }"], "a table is written"),
        (["data=x", "data.one=y"], "'data' was given as 'x' before"),
        (["data.one=x", "data=y"], "'data' is given twice"),
    ],
)
def test_an_option_that_cannot_be_read_is_refused(given: list[str], reason: str) -> None:
    with pytest.raises(ReadError, match=reason):
        parsed(given)


@pytest.mark.parametrize(
    "given",
    [
        ["tracers.A.ex=U-13C", "tracers.B={ '1' = 0.5, '0' = 0.5 }"],
        ["tracers.one.A.ex=U-13C", "tracers.one.B={ '1' = 0.5, '0' = 0.5 }"],
        ["tracers.A.ex={ U-13C = 1.0 }", "tracers.B={ '1' = 0.5, '0' = 0.5 }"],
    ],
)
def test_a_source_with_a_point_in_its_name_needs_no_quotes(given: list[str], tmp_path: Path) -> None:
    (tmp_path / "reactions.tsv").write_text(
        "#reaction_ID\treactant_IDs(atom)\tproduct_IDs(atom)\treversibility\n"
        "v1\tA.ex(ab)\tC(ab)\t0\nv2\tB(a)\tD(a)\t0\nv3\tC(ab)+D(c)\tE(abc)\t0\n"
    )
    (tmp_path / "measured_MDVs.tsv").write_text("#fragment_ID\tmean\tsd\nE_123\t0,0,0.5,0.5\t0.01,0.01,0.01,0.01\n")
    data = [f"data.one={tmp_path / 'measured_MDVs.tsv'}"]
    study = open_study(tmp_path, options=[*data, *given])
    [experiment] = study.experiments
    assert {name: t.isotopomers for name, t in experiment.tracers.items()} == {
        "A.ex": (("11", 1.0),), "B": (("1", 0.5), ("0", 0.5)),
    }  # fmt: skip
    with pytest.raises(ReadError, match="Did you mean 'A.ex'"):
        open_study(tmp_path, options=[*data, "tracers.A.ix=U-13C"])


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["stat=x"], r"reader 'mfapy' of .* has no option 'stat'. It has status, data, .*Did you mean 'status'\?"),
        (["merge_pairs=yes"], "merge_pairs='yes' is neither true nor false"),
    ],
)
def test_an_option_that_the_reader_has_not_is_refused(given: list[str], reason: str) -> None:
    with pytest.raises(ReadError, match=reason):
        open_study(CORPUS / "mfapy/network_model.txt", options=given)


def test_a_text_is_a_number_or_a_truth_where_the_reader_wants_one() -> None:
    book = CORPUS / "openmebius/network.xlsx"
    given = ["sd=0.03", f"data.one={CORPUS / 'openmebius/network_experiment.xlsx'}"]
    study = open_study(book, options=[*given, f"labels={CORPUS / 'openmebius/network_label.json'}"])
    assert {s for e in study.experiments for d in e.data for s in d.sd} == {0.03}
    with pytest.raises(ReadError, match="sd='much' is no number"):
        open_study(book, options=["sd=much"])
    pairs = open_study(CORPUS / "mfapy/network_model.txt", options=[*MFAPY, "merge_pairs=true"])
    assert "muf" not in pairs.network.reactions


def test_every_command_reads_with_the_same_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = CORPUS / "mfapy/network_model.txt"
    monkeypatch.setattr(output.settings, "json", True)
    check(model, option=MFAPY)
    capsys.readouterr()
    import_(model, [CORPUS / "isotopologues/long.csv"], tmp_path / "s.toml", name=["Succinate=C"], option=MFAPY)
    assert json.loads(capsys.readouterr().out)["measurements"] >= 1
    study = read_study(model, **options("mfapy/network_model.txt"))
    net, exchange = fluxes(study)
    (tmp_path / "v.csv").write_text(
        ",".join([*study.network.reactions, *(f"exchange/{n}" for n in study.network.reactions)])
        + "\n" + ",".join(map(repr, [*net[0].tolist(), *exchange[0].tolist()])) + "\n", encoding="utf-8",
    )  # fmt: skip
    simulate(model, fluxes=tmp_path / "v.csv", times="", option=MFAPY)
    assert {one["fragment"] for one in json.loads(capsys.readouterr().out)} == {"D1"}


@pytest.mark.parametrize("section", ["model", "parts"])
def test_files_of_a_model_in_a_toml_are_beside_it(section: str, tmp_path: Path) -> None:
    for path in (CORPUS / "mfapy").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for path in (CORPUS / "sbml").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "network.atoms.csv").rename(tmp_path / "maps.csv")
    head = "[model]" if section == "model" else "[parts.one]\n[parts.one.model]"
    (tmp_path / "m.toml").write_text(
        f'{head}\nfile = "network_model.txt"\nstatus = "network_status.csv"\ndata = {{ one = "network_mdv.txt" }}\n'
        'tracers = { one = "network_sources.txt" }\n'
    )
    (tmp_path / "s.toml").write_text(f'{head}\nfile = "network.xml"\natoms = "maps.csv"\n')
    study = read_study(tmp_path / "m.toml", strict=False)
    assert [d.target for e in study.experiments for d in e.data if d.kind == "mid"]
    assert any(e.tracers for e in study.experiments)
    assert any(m.elements for m in read_study(tmp_path / "s.toml", strict=False).network.metabolites.values())


def test_a_sheet_a_delimiter_and_columns_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "odd.txt").write_text("Stoff|Masse|Wert|Fehler\nSuc|0|60|1\nSuc|1|40|2\n", encoding="utf-8")
    with pytest.raises(ReadError, match=r"has no column of compounds .*--table compound=HEADING"):
        read_isotopologues(tmp_path / "odd.txt", Layout(delimiter="|"))
    columns = {"compound": "Stoff", "mass": "Masse", "value": "Wert", "sd": "Fehler"}
    (found,) = read_isotopologues(tmp_path / "odd.txt", Layout(delimiter="|", unit="area", columns=columns))
    assert (found.compound, found.values, found.sd, found.unit) == ("Suc", (60.0, 40.0), (1.0, 2.0), "area")
    with pytest.raises(ReadError, match=r"odd.txt:1: has no column 'Stof' for compound. Did you mean 'Stoff'\?"):
        read_isotopologues(tmp_path / "odd.txt", Layout(delimiter="|", columns={**columns, "compound": "Stof"}))


def test_the_sheets_of_a_workbook_are_samples_and_others_are_passed_over(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "about"
    book.active.append(["written by", "nobody"])
    for name, values in (("wild", (0.6, 0.4)), ("mutant", (0.7, 0.3))):
        sheet = book.create_sheet(name)
        sheet.append(["compound", "M+0", "M+1"])
        sheet.append(["Suc", *values])
    book.save(tmp_path / "b.xlsx")
    found = read_isotopologues(tmp_path / "b.xlsx")
    assert [(item.sample, item.values) for item in found] == [("wild", (0.6, 0.4)), ("mutant", (0.7, 0.3))]
    (one,) = read_isotopologues(tmp_path / "b.xlsx", Layout(sheet="mutant"))
    assert one.values == (0.7, 0.3)
    with pytest.raises(ReadError, match=r"has no sheet 'mutnt'. Did you mean 'mutant'\? It has about, wild, mutant"):
        read_isotopologues(tmp_path / "b.xlsx", Layout(sheet="mutnt"))
    with pytest.raises(ReadError, match="there is no 'shet'. Did you mean 'sheet'"):
        import_(CORPUS / "toml/network.toml", [tmp_path / "b.xlsx"], tmp_path / "o.toml", table=["shet=x"])


def test_the_corpus_has_a_tracer_in_every_file_that_states_one() -> None:
    for name in FILES:
        assert labelled(read_study(CORPUS / name, **options(name))).tracers
