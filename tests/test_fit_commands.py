"""`molvis fit` and the commands that are the same with more comfort end in the same parameters."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from molvis_cli import app
from molvis_core.records import Trace
from molvis_nmr.formats.spin_systems import write_system
from molvis_nmr.formats.writers import write_spectrum
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem


def found_by(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    with pytest.raises(SystemExit) as caught:
        app.main([*words, "--json"])
    assert not caught.value.code
    return json.loads(capsys.readouterr().out)


def values(found: dict[str, Any], error: str) -> dict[str, tuple[float, float]]:
    """Value and standard deviation by name, those of intensities relative to their mean."""
    each = {p["name"]: np.array([p["value"], p[error]]) for p in found["parameters"]}
    mean = np.mean([value for name, (value, _) in each.items() if name.startswith("intensity/")])
    return {name: tuple(pair / mean if name.startswith("intensity/") else pair) for name, pair in each.items()}


def test_a_spin_system_fitted_by_either_command_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    truth = SpinSystem(
        ("H1", "H2"), np.array([3.80, 3.93]), np.array([[0.0, 6.0], [6.0, 0.0]]), widths=np.full(2, 0.8),
        intensities=np.array([1.1, 0.9]),
    )  # fmt: skip
    clean = simulate(truth, 400.0, axis=np.arange(3.6, 4.1, 0.001))
    noise = np.random.default_rng(0).normal(0, clean.y.max() / 1000, len(clean))
    write_spectrum(Path("abc.csv"), Trace(clean.x, clean.y + noise, frequency=400.0))
    start = replace(truth, shifts=truth.shifts + 0.004, widths=np.ones(2), intensities=np.ones(2))
    write_system(Path("start.json"), start)
    plain = ["fit", "nmr-spin-system", "abc.csv", "--modality", "nmr", "--set", "system=@start.json"]
    one = values(found_by(plain, capsys), "sd")
    two = values(found_by(["nmr", "fit", "abc.csv", "--start", "start.json"], capsys), "error")
    assert one.keys() == two.keys()
    for name, (value, sd) in two.items():
        # The scale is fixed in one of the two, so that intensities are equal up to their errors' rounding only.
        assert one[name][0] == pytest.approx(value, abs=0.01 * sd), name
        if not name.startswith("intensity/"):
            assert one[name][1] == pytest.approx(sd, rel=0.01), name
    for k, shift in zip(truth.names, truth.shifts, strict=True):
        assert two[f"shift/{k}"][0] == pytest.approx(shift, abs=5 * two[f"shift/{k}"][1])
