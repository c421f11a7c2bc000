from __future__ import annotations

import json

import numpy as np
import pytest

from molvis_core import output
from molvis_core.errors import ConfigError, RecordError, WriteError
from molvis_nmr.formats.spin_systems import write_system
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.workflows.simulate import simulate_file


@pytest.fixture
def ethanol(tmp_path):
    path = tmp_path / "ethanol.toml"
    couplings = np.array([[0, 7.1], [7.1, 0]])
    write_system(path, SpinSystem(("H1", "H2"), np.array([1.17, 3.65]), couplings, multiplicity=np.array([2, 3])))
    return path


def test_a_spectrum_in_a_file_is_the_one_given(ethanol, tmp_path):
    done = simulate_file(ethanol, frequency=400.0, window=(1.0, 1.4), points=300, out=tmp_path / "spectrum.csv")
    rows = [line for line in (tmp_path / "spectrum.csv").read_text().splitlines() if line[0].isdigit()]
    np.testing.assert_allclose(np.array([row.split(",") for row in rows], dtype=float)[:, 1], done.trace.y)
    assert (len(done.trace), done.trace.frequency) == (300, 400.0)


def test_json_holds_lines_that_add_up(ethanol, tmp_path):
    simulate_file(ethanol, out=tmp_path / "all.json", width=0.5)
    content = json.loads((tmp_path / "all.json").read_text())
    assert sum(content["lines"]["intensity"]) == pytest.approx(5, rel=1e-4)
    assert content["lines"]["position_Hz"] == sorted(content["lines"]["position_Hz"])
    assert set(np.round(content["lines"]["width_Hz"], 9)) == {0.5}
    assert len(content["spectrum"]["ppm"]) == len(content["spectrum"]["intensity"])


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_a_picture_is_drawn(ethanol, tmp_path, name, start):
    simulate_file(ethanol, out=tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)


def test_groups_tell_their_couplings_and_lines(ethanol):
    done = simulate_file(ethanol, frequency=6000.0)
    assert done.couplings(0) == [("H2", 7.1)]
    assert done.seen(0) >= 4


def test_what_cannot_be_simulated_or_written_is_refused(ethanol, tmp_path):
    with pytest.raises(ConfigError, match="give one of a spin system in a file, a structure"):
        simulate_file()
    with pytest.raises(ConfigError, match="give one of a spin system in a file, a structure"):
        simulate_file(ethanol, smiles="CCO")
    with pytest.raises(ConfigError, match="width must be positive"):
        simulate_file(ethanol, width=0.0)
    with pytest.raises(RecordError, match="has no 13C"):
        simulate_file(ethanol, nucleus="13C")
    with pytest.raises(WriteError, match=r"cannot be written as '\.doc'"):
        simulate_file(ethanol, out=tmp_path / "a.doc")
    with pytest.raises(WriteError, match="cannot be written"):
        simulate_file(ethanol, out=tmp_path / "nowhere" / "a.png")
    assert [p.name for p in tmp_path.iterdir()] == ["ethanol.toml"]


def test_the_command_prints_groups_or_json(ethanol, tmp_path, capsys):
    from molvis_nmr.commands.simulate import simulate

    simulate(system=str(ethanol), window=(0.0, 5.0), points=100, out=tmp_path / "a.txt")
    shown = capsys.readouterr()
    assert "H2 7.10" in shown.out
    assert "100 points at 600.00 MHz" in shown.err
    with output.asked(json=True):
        simulate(system=str(ethanol))
    assert json.loads(capsys.readouterr().out)["system"]["names"] == ["H1", "H2"]


def test_a_structure_is_simulated():
    done = simulate_file(smiles="CCO")
    assert done.system.n_spins >= 5
    assert done.trace.y.max() > 1
