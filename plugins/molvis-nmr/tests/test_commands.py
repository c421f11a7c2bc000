"""The commands fit, quantify and demo: what they write, print and refuse."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from molvis_core import output
from molvis_core.errors import ConfigError, ReadError
from molvis_core.records import Trace
from molvis_nmr.commands.demo import demo
from molvis_nmr.commands.fit import fit
from molvis_nmr.commands.quantify import quantify
from molvis_nmr.formats.opening import read_spectrum
from molvis_nmr.formats.spin_systems import write_system
from molvis_nmr.formats.writers import write_spectrum
from molvis_nmr.mixture.results import Reference
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.workflows import demo as example
from molvis_nmr.workflows.fit import fit_files, read_window
from molvis_nmr.workflows.mixture import Asked, library_entries, quantify_file


def run(command, *arguments: object) -> Result:
    app = typer.Typer()
    app.command()(command)
    with output.asked(json="--json" in arguments):
        return CliRunner().invoke(app, [str(a) for a in arguments if a != "--json"], catch_exceptions=False)


def pair() -> SpinSystem:
    return SpinSystem(
        ("H2", "H3"), np.array([4.1, 1.32]), np.array([[0, 6.9], [6.9, 0]]), np.array([1, 3]), name="lactate",
        identifier="made-up",
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    clean = simulate(replace(pair(), shifts=np.array([4.103, 1.322])), 400.0, axis=np.linspace(-0.2, 5.0, 14_000))
    noise = np.random.default_rng(0).normal(0, 0.02, len(clean))
    write_spectrum(tmp_path / "spectrum.csv", Trace(clean.x, clean.y + noise, frequency=400.0))
    write_system(tmp_path / "start.json", pair())
    return tmp_path


@pytest.mark.full
def test_the_demo_finds_what_was_published(tmp_path: Path) -> None:
    ran = run(demo, "--out", tmp_path / "demo", "--json")
    assert ran.exit_code == 0
    told = json.loads(ran.stdout)
    assert told["problem"] == ""
    by_name = {p["name"]: p for p in told["parameters"]}
    truth = example.proline()
    for name, shift in zip(truth.names, truth.shifts, strict=True):
        assert by_name[f"shift/{name}"]["value"] == pytest.approx(shift, abs=2e-4)
    assert by_name["coupling/H3b-H2"]["value"] == pytest.approx(8.830, abs=0.1)
    assert (tmp_path / "demo" / "report.html").stat().st_size > 10_000
    assert {"spectrum.csv", "start.json", "system.xml"} <= {p.name for p in (tmp_path / "demo").iterdir()}


def test_the_published_couplings_between_protons_of_a_ch2_are_negative() -> None:
    couplings = example.proline().couplings
    assert (couplings < 0).sum() == 6
    assert couplings[0, 1] == -12.831
    assert couplings[2, 3] == -12.962
    assert couplings[4, 5] == -11.586


def test_the_demo_starts_off_and_its_noise_is_what_was_asked() -> None:
    off = example.start().shifts - example.proline().shifts
    assert 0.005 < np.abs(off).max() <= 0.02
    quiet, loud = example.spectrum(snr=1e6), example.spectrum(snr=100)
    assert np.std(loud.y - quiet.y) == pytest.approx(quiet.y.max() / 100, rel=0.05)


def test_a_fit_writes_its_folder_and_prints_its_parameters(folder: Path) -> None:
    ran = run(fit, folder / "spectrum.csv", "--start", folder / "start.json", "--out", folder / "out", "--json",
              "--exclude", "4.9:4.6")  # fmt: skip
    by_name = {p["name"]: p for p in json.loads(ran.stdout)["parameters"]}
    assert by_name["shift/H3"]["value"] == pytest.approx(1.322, abs=1e-4)
    assert by_name["coupling/H2-H3"]["value"] == pytest.approx(6.9, abs=0.05)
    assert (folder / "out" / "report.html").exists()


def test_a_fit_prints_a_table_for_people(folder: Path) -> None:
    ran = run(fit, folder / "spectrum.csv", "--start", folder / "start.json")
    assert "coupling/H2-H3" in ran.stdout
    assert "Hz" in ran.stdout


@pytest.mark.full
def test_a_mixture_is_quantified_from_files(folder: Path) -> None:
    ran = run(quantify, folder / "spectrum.csv", "--library", folder / "start.json", "--standard", "none", "--out",
              folder / "mix", "--json")  # fmt: skip
    (only,) = json.loads(ran.stdout)["metabolites"]
    assert only["name"] == "lactate"
    assert only["present"]
    assert only["amount"] == pytest.approx(np.pi, rel=0.03)
    assert (folder / "mix" / "amounts.csv").read_text(encoding="utf-8").startswith("name,identifier,present")


def test_amounts_are_printed_as_a_table(folder: Path) -> None:
    ran = run(quantify, folder / "spectrum.csv", "--library", folder / "start.json", "--standard", "none")
    assert "lactate" in ran.stdout
    assert "significance" in ran.stdout


def test_many_mixtures_go_into_a_table_that_an_interrupted_run_completes(folder: Path) -> None:
    again, table = folder / "again.csv", folder / "table.csv"
    again.write_text((folder / "spectrum.csv").read_text(encoding="utf-8"), encoding="utf-8")
    settings = ("--library", folder / "start.json", "--standard", "none", "--out", table)
    assert run(quantify, folder / "spectrum.csv", *settings).exit_code == 0
    first = (folder / "table.csv.done.jsonl").read_text(encoding="utf-8")
    assert run(quantify, folder / "spectrum.csv", again, *settings).exit_code == 0
    assert (folder / "table.csv.done.jsonl").read_text(encoding="utf-8").startswith(first)
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["sample"] for row in rows] == ["spectrum", "again"]
    for row in rows:
        assert float(row["lactate (amount)"]) == pytest.approx(np.pi, rel=0.03)
        assert float(row["lactate (probability)"]) > 0.8
        assert row["lactate (upper limit 95%)"] == ""


def test_samples_have_short_names_and_each_its_own(folder: Path) -> None:
    (folder / "b").mkdir()
    spectra = [folder / "spectrum.csv", folder / "b" / "again.csv", folder / "again.csv", folder / "again.txt"]
    for path in spectra[1:]:
        write_spectrum(path, read_spectrum(spectra[0]))
    table = folder / "names.csv"
    ran = run(quantify, *spectra, "--library", folder / "start.json", "--standard", "none", "--out", table)
    assert ran.exit_code == 0
    with table.open(encoding="utf-8", newline="") as file:
        names = [row["sample"] for row in csv.DictReader(file)]
    assert names[:2] == ["spectrum", "b_again"]
    assert [name.rpartition("_")[2] for name in names[2:]] == ["again.csv", "again.txt"]


def test_a_table_of_another_content_of_the_library_is_not_gone_on_with(folder: Path) -> None:
    library, table = folder / "edited.json", folder / "edited.csv"
    settings = ("--library", library, "--standard", "none", "--out", table)
    amounts: list[float] = []
    for times in (1, 2):
        write_system(library, replace(pair(), multiplicity=times * pair().multiplicity))
        assert run(quantify, folder / "spectrum.csv", *settings).exit_code == 0
        with table.open(encoding="utf-8", newline="") as file:
            (row,) = csv.DictReader(file)
        amounts.append(float(row["lactate (amount)"]))
    assert amounts[1] < 0.8 * amounts[0]


def test_a_sample_that_cannot_be_read_is_named_and_the_others_are_done(folder: Path) -> None:
    bad = folder / "bad.csv"
    bad.write_text("no spectrum\n", encoding="utf-8")
    table = folder / "some.csv"
    ran = run(
        quantify, bad, folder / "spectrum.csv", "--library", folder / "start.json", "--standard", "none", "--out", table
    )
    assert ran.exit_code == 1
    assert "bad.csv" in ran.output
    assert "spectrum" in table.read_text(encoding="utf-8")


def test_several_mixtures_want_a_table(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"--out TABLE\.csv"):
        run(quantify, folder / "spectrum.csv", folder / "spectrum.csv", "--library", folder / "start.json")


def test_a_library_that_there_is_not_is_told_from_those_that_ship() -> None:
    pytest.importorskip("molvis_nmr_library", reason="molvis-nmr-library is not installed")
    with pytest.raises(ConfigError, match="Did you mean 'urine'"):
        library_entries(["urin"])
    assert len(library_entries(["amino-acids"])) >= 27


def test_a_fit_wants_one_start(folder: Path) -> None:
    for start, smiles in ((None, None), (str(folder / "start.json"), "CC(O)C(=O)O")):
        with pytest.raises(ConfigError, match="either a spin system"):
            fit_files([folder / "spectrum.csv"], system=start, smiles=smiles)


@pytest.mark.parametrize("text", ["4.7", "4.7:4.7", "a:b", "1:2:3"])
def test_a_window_is_two_numbers(text: str) -> None:
    with pytest.raises(ConfigError, match="two different numbers of ppm"):
        read_window(text)


def test_a_window_may_be_given_from_either_side() -> None:
    assert read_window("4.9:4.7") == read_window("4.7:4.9") == (4.7, 4.9)


def test_a_library_takes_systems_and_spectra(folder: Path) -> None:
    entries = library_entries([folder / "start.json", folder / "start.json#made-up", folder / "spectrum.csv#4"])
    assert [type(e) for e in entries] == [SpinSystem, SpinSystem, Reference]
    assert entries[2].protons == 4.0
    with pytest.raises(ReadError, match="number of its protons"):
        library_entries([folder / "spectrum.csv#many"])


def test_a_compound_that_the_library_has_not_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'lactate'"):
        quantify_file(folder / "spectrum.csv", Asked(library=(str(folder / "start.json"),), only=("lactat",)))
