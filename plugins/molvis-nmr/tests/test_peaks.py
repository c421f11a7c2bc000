"""Spectra with 1H decoupled: simulated from a list of shifts, picked, and held against a list."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from molvis_core import output
from molvis_core.errors import ConfigError, ReadError
from molvis_core.records import ShiftList, Trace
from molvis_nmr.commands.peaks import peaks
from molvis_nmr.formats.writers import write_spectrum
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.workflows.peaks import compare, decoupled, mean_difference, pick, read_list, write_list
from molvis_nmr.workflows.simulate import simulate_file

LISTED = ShiftList(
    np.array([166.8, 132.9, 130.6, 129.6, 128.4, 61.1, 14.5]), atoms=("3", "8", "5", "6,10", "7,9", "1", "0"),
    identifier="ethyl benzoate",
)  # fmt: skip


def spectrum(noise: float = 0.02, solvent: bool = False) -> Trace:
    """13C of ethyl benzoate at 100 MHz, with noise relative to a line of one carbon, and chloroform's triplet."""
    trace = simulate(decoupled(LISTED), 400.0, nucleus="13C", window=(-5.0, 220.0), points=2**17)
    y = trace.y + noise * 2.0 * np.random.default_rng(1).normal(size=len(trace))
    for line in (76.84, 77.16, 77.48) if solvent else ():
        y = y + 12 / (1 + ((trace.x - line) / 0.01) ** 2)
    return Trace(trace.x, y, trace.frequency)


def test_every_line_of_a_decoupled_spectrum_is_picked_and_no_noise() -> None:
    found = pick(spectrum())
    np.testing.assert_allclose(found.record.shifts, LISTED.shifts, atol=0.005)
    assert found.record.nucleus == "13C"
    heights = dict(zip(found.record.shifts.round(1).tolist(), np.asarray(found.record.intensity), strict=True))
    assert heights[128.4] == pytest.approx(2 * heights[14.5], rel=0.15)


def test_lines_of_the_solvent_are_left_out_and_named() -> None:
    trace = spectrum(solvent=True)
    assert len(pick(trace).record) == 10
    found = pick(trace, solvent="CDCl3")
    np.testing.assert_allclose(found.record.shifts, LISTED.shifts, atol=0.005)
    np.testing.assert_allclose(found.left_out, [76.84, 77.16, 77.48], atol=0.005)
    with pytest.raises(ConfigError, match="Did you mean 'CDCl3'"):
        pick(trace, solvent="CDCl")
    with pytest.raises(ConfigError, match="threshold"):
        pick(trace, threshold=0)
    with pytest.raises(ConfigError, match="--frequency"):
        pick(Trace(trace.x, trace.y))


def test_a_list_of_shifts_is_simulated_as_single_lines_of_as_many_nuclei(tmp_path: Path) -> None:
    pytest.importorskip("molvis_nmr_shifts", reason="lists of shifts are read by that plugin")
    write_list(tmp_path / "c13.csv", LISTED)
    done = simulate_file(shifts=tmp_path / "c13.csv", nucleus="13C", frequency=400.0)
    assert done.trace.frequency == pytest.approx(100.6, abs=0.2)
    np.testing.assert_allclose(done.lines.position / done.trace.frequency, LISTED.shifts, atol=1e-3)
    area = np.trapezoid(simulate(decoupled(LISTED), 400.0, nucleus="13C").y)
    assert decoupled(LISTED).multiplicity.sum() == 9
    assert area > 0
    with pytest.raises(ConfigError, match="1H couples with 1H"):
        decoupled(ShiftList(np.array([1.2]), "1H"))
    with pytest.raises(ConfigError, match="of a structure 1H is simulated, not 13C"):
        simulate_file(smiles="CCO", nucleus="13C")
    with pytest.raises(ConfigError, match="give one of"):
        simulate_file(smiles="CCO", shifts=tmp_path / "c13.csv")
    with pytest.raises(ReadError, match="holds no list of 19F; it holds 13C"):
        read_list(tmp_path / "c13.csv", "19F")
    (tmp_path / "a.mol").write_text("x")
    with pytest.raises(ReadError, match="no list of shifts"):
        read_list(tmp_path / "a.mol", "13C")


def test_a_list_is_held_against_the_lines() -> None:
    predicted = ShiftList(LISTED.shifts + 0.7, atoms=LISTED.atoms)
    rows = compare(predicted, pick(spectrum()).record)
    assert [row.difference for row in rows] == pytest.approx([-0.7] * 7, abs=0.01)
    assert mean_difference(rows) == pytest.approx(0.7, abs=0.01)
    rows = compare(ShiftList(np.array([10.0, 60.0, 61.0])), ShiftList(np.array([60.4, 150.0])))
    assert [(r.listed, r.measured) for r in rows] == [(10.0, None), (60.0, 60.4), (61.0, 60.4), (None, 150.0)]
    assert mean_difference([]) is None


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(peaks)
    with output.asked(json="--json" in arguments):
        return CliRunner().invoke(app, [str(a) for a in arguments if a != "--json"], catch_exceptions=False)


def test_the_command_writes_a_list_that_is_read_again(tmp_path: Path) -> None:
    pytest.importorskip("molvis_nmr_shifts", reason="lists of shifts are read by that plugin")
    write_spectrum(tmp_path / "a.csv", spectrum(solvent=True))
    write_list(tmp_path / "predicted.csv", LISTED)
    out = tmp_path / "c13.csv"
    done = run(tmp_path / "a.csv", "--solvent", "CDCl3", "--out", out, "--shifts", tmp_path / "predicted.csv", "--json")
    said = json.loads(done.stdout)
    assert (len(said["shifts"]), len(said["left_out"]), len(said["compared"])) == (7, 3, 7)
    assert said["mean_difference"] < 0.01
    again = read_list(out, "13C")
    assert again.shifts.tolist() == pytest.approx(said["shifts"])
    assert again.solvent == "CDCl3"
    assert "166.80" in run(tmp_path / "a.csv", "--solvent", "CDCl3").stdout
    assert "0.00" in run(tmp_path / "a.csv", "--shifts", tmp_path / "predicted.csv").stdout
