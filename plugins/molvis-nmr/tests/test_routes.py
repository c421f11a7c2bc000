"""The routes of the service: what they answer is what the commands write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from molvis_core.errors import ConfigError
from molvis_core.records import Trace
from molvis_core.testing import RouteContract
from molvis_files.routes import Request, checked_options
from molvis_nmr.formats.spin_systems import write_system
from molvis_nmr.formats.writers import write_spectrum
from molvis_nmr.routes import FIT, MIXTURE, fit, mixture
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem

pytestmark = pytest.mark.full  # the first call compiles

LACTATE = SpinSystem(
    ("H2", "H3"), np.array([4.1, 1.32]), np.array([[0, 6.9], [6.9, 0]]), np.array([1, 3]), name="lactate",
    identifier="made-up",
)  # fmt: skip


def quiet(done: int, total: int, what: str = "", /) -> None:
    pass


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    clean = simulate(replace(LACTATE, shifts=np.array([4.103, 1.322])), 400.0, axis=np.linspace(-0.2, 5.0, 14_000))
    noise = np.random.default_rng(0).normal(0, 0.02, len(clean))
    write_spectrum(tmp_path / "spectrum.csv", Trace(clean.x, clean.y + noise, frequency=400.0))
    write_system(tmp_path / "start.json", LACTATE)
    (tmp_path / "work").mkdir()
    return {"spectrum": tmp_path / "spectrum.csv", "start": tmp_path / "start.json", "work": tmp_path / "work"}


class TestFit(RouteContract):
    @pytest.fixture
    def route(self) -> Any:
        return FIT

    @pytest.fixture
    def asked(self, inputs: dict[str, Path]) -> Request:
        files = {"spectra": [inputs["spectrum"]], "start": [inputs["start"]]}
        return Request(checked_options(FIT, {"starts": 1}), files, inputs["work"])


def test_a_fit_comes_with_its_curves_and_files(inputs: dict[str, Path]) -> None:
    files = {"spectra": [inputs["spectrum"]], "start": [inputs["start"]]}
    answer = fit(Request(checked_options(FIT, {"starts": 1}), files, inputs["work"]), quiet)
    values = {one["name"]: one["value"] for one in answer["parameters"]}
    assert values["shift/H2@1" if "shift/H2@1" in values else "shift/H2"] == pytest.approx(4.103, abs=2e-4)
    (curves,) = answer["spectra"]
    assert set(curves["parts"]) == {"H2", "H3"}
    assert len(curves["ppm"]) == len(curves["measured"]) == len(curves["fitted"]) == 14_000
    assert {"fit.json", "report.html", "system.toml"} <= {p.name for p in inputs["work"].iterdir()}


def test_an_entry_is_no_way_to_other_files(inputs: dict[str, Path]) -> None:
    files = {"spectra": [inputs["spectrum"]], "start": [inputs["start"]]}
    asked = Request(checked_options(FIT, {"entry": "../other"}), files, inputs["work"])
    with pytest.raises(ConfigError, match="no slash"):
        fit(asked, quiet)


def test_a_mixture_is_taken_apart(inputs: dict[str, Path]) -> None:
    files = {"spectrum": [inputs["spectrum"]], "library": [inputs["start"]]}
    asked = Request(checked_options(MIXTURE, {"standard": "none"}), files, inputs["work"])
    answer = mixture(asked, quiet)
    assert [one["name"] for one in answer["metabolites"] if one["present"]] == ["lactate"]
    assert "lactate" in answer["spectrum"]["parts"]
    assert (inputs["work"] / "amounts.csv").is_file()
