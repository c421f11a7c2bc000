"""SBML with a table of atoms beside it, read and written; cobrapy and libSBML are asked where they are installed."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from simulating import every_mid
from typer import Typer
from typer.testing import CliRunner

from molvis_core.errors import ReadError, WriteError
from molvis_core.records import Measurement
from molvis_flux.commands.convert import convert as command
from molvis_flux.formats import read_study
from molvis_flux.formats.converting import convert
from molvis_flux.formats.sbml_writer import write_sbml, write_studies
from molvis_flux.model.network import Experiment, Fragment, Study, Tracer
from molvis_flux.space.consistency import check

CORPUS = Path(__file__).parent / "corpus" / "sbml"
DATA = Path(os.environ.get("MOLVIS_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "flux"

TOML = """
[reactions]
v1 = { text = "A(abcd) -> B(abcd)", net = 10 }
v2 = { text = "B(abcd) <-> Suc(abcd)", net = [-5, 50], exchange = [0.1, 20] }
v3 = { text = "Suc(abcd) -> E(dcba)", net = [0, 60] }
v4 = "E(abcd) -> G(ab) + G(cd) + 1.5 ATP"
"EX[G]" = "G(ab) ->"
copy = "0 G(ab) -> seen(ab)"
use = { text = "ATP <->", net = [-2, 30], exchange = [0, 3] }
out = "seen(ab) ->"
[metabolites]
A = "source"
Suc = { symmetric = true, formula = "C4H6O4" }
[fragments]
G = "G"
S = "seen[1]"
[fluxes]
v1 = 10
v2 = 10
v3 = 10
v4 = 10
"EX[G]" = 20
copy = 1
use = 15
out = 1
"exchange(v2)" = 2.5
[experiments.one]
tracers.A = { "1100" = 0.75, "0001" = 0.25 }
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "s.toml").write_text(TOML)
    return read_study(tmp_path / "s.toml")


def test_stoichiometry_bounds_and_atoms_come_back_and_the_labelling_is_the_same(study: Study, tmp_path: Path) -> None:
    [note] = write_sbml(tmp_path / "s.xml", study)
    assert "1 experiment, 2 fragments" in note
    back = read_study(tmp_path / "s.xml")
    for name, reaction in study.network.reactions.items():
        other = back.network.reactions[name]
        assert (other.net, other.exchange, other.reversible) == (reaction.net, reaction.exchange, reaction.reversible)
        assert sorted((p.metabolite, p.coefficient) for p in other.products) == sorted(
            (p.metabolite, p.coefficient) for p in reaction.products
        )
    assert {n: m.role for n, m in back.network.metabolites.items()} == {
        n: m.role for n, m in study.network.metabolites.items()
    }
    assert back.network.metabolites["Suc"] == study.network.metabolites["Suc"]
    again = dataclasses.replace(study, network=dataclasses.replace(back.network, fragments=study.network.fragments))
    before, after = every_mid(study, ["G", "S"]), every_mid(again, ["G", "S"])
    for key, mid in before.items():
        np.testing.assert_allclose(after[key], mid, rtol=0, atol=1e-12)


def test_without_a_table_no_atom_is_followed_and_the_note_says_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "core.xml").write_bytes((CORPUS / "core.xml").read_bytes())
    study = read_study(tmp_path / "core.xml")
    assert not any(m.elements for m in study.network.metabolites.values())
    assert any(
        "put a table core.atoms.csv beside it, with the columns reaction and atoms" in note for note in study.notes
    )
    with pytest.raises(ReadError, match=r"none\.csv"):
        read_study(tmp_path / "core.xml", atoms=tmp_path / "none.csv")


def test_a_model_of_flux_balance_gets_a_source_where_it_takes_up_from_nothing() -> None:
    study = read_study(CORPUS / "core.xml")
    network = study.network
    assert network.name == "A core of our own"
    assert network.metabolites["glc_e_outside"].role == "source"
    assert network.metabolites["glc_e"].formula == "C6H12O6"
    assert network.reactions["EX_glc"].net == (-10, 0)
    assert network.reactions["PGI"].reversible
    assert network.reactions["ATPM"].net == (1, 1000)
    assert [p.coefficient for p in network.reactions["TPI"].products] == [1, 1, 3]
    assert not [f for f in check(study) if f.severity == "error"]
    labelled = dataclasses.replace(
        study,
        experiments=(Experiment("x", {"glc_e_outside": Tracer((("100000", 1.0),))}),),
        fluxes={("net", n): v for n, v in {"EX_glc": -1, "GLK": 1, "PGI": 1, "TPI": 1, "EX_pyr": 2, "ATPM": 1}.items()},
    )
    network.fragments["p"] = Fragment("p", ((1.0, "pyr", (0, 1, 2)),), ("C",) * 3)
    # [1-13C]glucose: its first carbon is the third of one of the two pyruvates.
    np.testing.assert_allclose(every_mid(labelled, ["p"])["x", "p"], [0.5, 0.5, 0, 0], atol=1e-12)


def test_level_two_and_the_first_flux_bounds_are_read(tmp_path: Path) -> None:
    text = """<sbml xmlns="http://www.sbml.org/sbml/level2" level="2" version="1"><model id="m">
<listOfSpecies><species id="A"/><species id="B"/><species id="X" boundaryCondition="true"/></listOfSpecies>
<listOfReactions>
<reaction id="v1"><listOfReactants><speciesReference species="X"/></listOfReactants>
<listOfProducts><speciesReference species="A" stoichiometry="2"/></listOfProducts>
<kineticLaw><listOfParameters><parameter id="LOWER_BOUND" value="1"/><parameter id="UPPER_BOUND" value="7"/>
</listOfParameters></kineticLaw></reaction>
<reaction id="v2" reversible="true"><listOfReactants><speciesReference species="A"/></listOfReactants>
<listOfProducts><speciesReference species="B"/></listOfProducts></reaction>
<reaction id="v3" reversible="false"><listOfReactants><speciesReference species="B"/></listOfReactants></reaction>
</listOfReactions>
<listOfFluxBounds><fluxBound reaction="v3" operation="lessEqual" value="INF"/>
<fluxBound reaction="v2" operation="greaterEqual" value="-3"/></listOfFluxBounds>
</model></sbml>"""
    (tmp_path / "m.sbml").write_text(text)
    network = read_study(tmp_path / "m.sbml").network
    assert {n: r.net for n, r in network.reactions.items()} == {"v1": (1, 7), "v2": (-3, 1000), "v3": (0, 1000)}
    assert network.metabolites["X"].role == "source"


@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        ("core.atoms.csv", "reaction,atoms", "rxns,maps", "core.atoms.csv:1: lacks a column `reaction` or `atoms`"),
        (
            "core.atoms.csv",
            "PGI,",
            "PGJ,",
            "core.atoms.csv:4: the table of atoms names reaction 'PGJ'.*Did you mean 'PGI'",
        ),
        ("core.atoms.csv", "g6p(abcdef) <-> f6p", "g6p(abcdef) <-> f7p", "'f7p' is no product of 'PGI' in the model"),
        ("core.atoms.csv", "<-> f6p(abcdef)", "<-> f6p(abcde)", "an atom|atoms"),
        ("core.atoms.csv", "g6p(abcdef) <->", "g6p(abcdef) <-> <->", "has 2 arrows"),
        ("core.xml", 'species="M_f6p"', 'species="M_f6q"', "species 'M_f6q', which the model has not.*Did you mean"),
        ("core.xml", 'value="1000"', 'value="many"', "a flux bound is 'many', no finite number"),
        ("core.xml", 'value="-10"', 'value="10"', "has the bounds 10 and 0, the wrong way round"),
        ("core.xml", "</listOfSpecies>", "</listOfSpecie>", "is no XML: mismatched tag"),
    ],
)
def test_a_damaged_model_says_where_and_what(tmp_path: Path, file: str, old: str, new: str, reason: str) -> None:
    for path in CORPUS.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    text = (CORPUS / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    with pytest.raises(ReadError, match=reason):
        read_study(tmp_path / "core.xml")


def test_hydrogens_are_refused_by_the_table(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        '[reactions]\nv = "A(a b) -> B(a b)"\n[metabolites]\nA = { role = "source", atoms = "CH" }\n'
        'B = { role = "sink", atoms = "CH" }\n'
    )
    with pytest.raises(WriteError, match="atoms of H are followed"):
        write_sbml(tmp_path / "s.xml", read_study(tmp_path / "s.toml"))


def test_files_are_converted_by_their_endings(study: Study, tmp_path: Path) -> None:
    read, _ = convert(CORPUS / "core.xml", tmp_path / "core.toml")
    assert read_study(tmp_path / "core.toml").network.reactions.keys() == read.network.reactions.keys()
    convert(CORPUS / "core.xml", tmp_path / "core.fml", options=[f"atoms={CORPUS / 'core.atoms.csv'}"])
    assert read_study(tmp_path / "core.fml").network.metabolites["pyr"].elements == ("C",) * 3
    with pytest.raises(WriteError, match=r"no format has the ending '.doc'; write .toml, .fml"):
        convert(CORPUS / "core.xml", tmp_path / "core.doc")
    with pytest.raises(ReadError, match="is not KEY=VALUE"):
        convert(CORPUS / "core.xml", tmp_path / "core.toml", options=["atoms"])
    with pytest.raises(ReadError, match="has no option 'status'. It has atoms"):
        convert(CORPUS / "core.xml", tmp_path / "core.toml", options=["status=x"])


def test_cobrapy_and_libsbml_read_what_is_written(study: Study, tmp_path: Path) -> None:
    cobra = pytest.importorskip("cobra", reason="cobrapy is the peer; molvis does not need it")
    libsbml = pytest.importorskip("libsbml", reason="libSBML is the peer; molvis does not need it")
    write_sbml(tmp_path / "s.xml", study)
    document = libsbml.readSBML(str(tmp_path / "s.xml"))
    document.checkConsistency()
    errors = [document.getError(i) for i in range(document.getNumErrors())]
    assert not [error.getMessage() for error in errors if error.getSeverity() >= libsbml.LIBSBML_SEV_ERROR]
    model = cobra.io.read_sbml_model(str(tmp_path / "s.xml"))
    for name, reaction in study.network.reactions.items():
        theirs = model.reactions.get_by_id(name)
        assert theirs.bounds == reaction.net
        ours: dict[str, float] = {}
        for sign, side in ((-1, reaction.substrates), (1, reaction.products)):
            for p in side:
                ours[p.metabolite] = ours.get(p.metabolite, 0.0) + sign * p.coefficient
        assert {m.id: c for m, c in theirs.metabolites.items()} == {n: c for n, c in ours.items() if c}


def test_a_genome_scale_model_of_cobrapy_is_read_as_cobrapy_reads_it(tmp_path: Path) -> None:
    cobra = pytest.importorskip("cobra", reason="cobrapy is the peer; molvis does not need it")
    model = cobra.io.load_model("textbook")
    cobra.io.write_sbml_model(model, str(tmp_path / "textbook.xml"))
    study = read_study(tmp_path / "textbook.xml")
    network = study.network
    [dead] = [note.partition("with them: ")[2].rstrip(".").split(", ") for note in study.notes if "with them" in note]
    assert "fru_e" in dead  # its uptake is closed
    assert len(network.reactions) == len(model.reactions)
    for theirs in model.reactions:
        ours = network.reactions[theirs.id]
        assert ours.net == ((0, 0) if {m.id for m in theirs.metabolites} & set(dead) else theirs.bounds)
        assert {p.metabolite: -p.coefficient for p in ours.substrates} | {
            p.metabolite: p.coefficient for p in ours.products
        } == {m.id: c for m, c in theirs.metabolites.items()}


def test_data_that_sbml_has_not_are_named_by_their_kind(
    study: Study, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    more = {
        "t": Fragment("t", ((1.0, "B", (0, 1)),), kind="msms", channels=("1,0", "1,1"), daughter=(0,)),
        "h": Fragment("h", ((1.0, "B", (0,)),), kind="1h-nmr", channels=("P1",)),
        "c": Fragment("c", ((1.0, "B", (0, 1)),), kind="13c-nmr", channels=("S1", "DR1")),
        "r": Fragment("r", ((1.0, "B", (0, 1)),), kind="ms-resolved", channels=("0",)),
    }
    network = dataclasses.replace(study.network, fragments=study.network.fragments | more)
    path = tmp_path / "n.xml"
    write_studies(path, [Measurement(dataclasses.replace(study, network=network), None, "flux-study")])
    [said] = [record.getMessage() for record in caplog.records if "Not written" in record.getMessage()]
    assert said.startswith(f"{path}: Not written, as SBML has none: 1 experiment, 2 fragments, ")
    for kind in ("1 fragment of tandem MS", "1 enrichment by 1H-NMR", "1 multiplet by 13C-NMR"):
        assert kind in said
    assert "1 fragment of resolved MS" in said
    assert not read_study(path).network.fragments


def test_the_command_says_what_was_left_out(study: Study, tmp_path: Path) -> None:
    app = Typer()
    app.command()(command)
    done = CliRunner().invoke(app, [str(tmp_path / "s.toml"), "--out", str(tmp_path / "s.xml")])
    assert done.exit_code == 0, done.output
    assert "Not written, as SBML has none" in done.output + done.stderr
    assert (tmp_path / "s.atoms.csv").is_file()
