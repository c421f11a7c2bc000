"""mzTab-M of `molvis nmr quantify`, read and judged by the reader that feature lists have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from molvis_core.records import Trace
from molvis_lcms.mztab import problems_of, read_mztab
from molvis_nmr.commands.quantify import quantify
from molvis_nmr.formats.spin_systems import write_system
from molvis_nmr.formats.writers import write_spectrum
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem

AXIS = np.linspace(-0.4, 5.0, 14_000)
STANDARD = SpinSystem(("a", "b", "c", "d"), np.array([0, 0.63, 1.75, 2.91]), np.zeros((4, 4)), np.array([9, 2, 2, 2]))
LACTATE = SpinSystem(
    ("H2", "H3"), np.array([4.1, 1.32]), np.array([[0, 6.9], [6.9, 0]]), np.array([1, 3]), name="lactate",
    identifier="lac", inchi="InChI=1S/C3H6O3/c1-2(4)3(5)6/h2,4H,1H3,(H,5,6)/t2-/m0/s1",
)  # fmt: skip
ALANINE = SpinSystem(
    ("H2", "H3"), np.array([3.77, 1.47]), np.array([[0, 7.2], [7.2, 0]]), np.array([1, 3]), name="alanine",
    identifier="ala",
)  # fmt: skip


def measured(path: Path, standard: float, **amounts: float) -> Path:
    given = {"lactate": LACTATE, "alanine": ALANINE}
    clean = sum(a * simulate(given[n], 400.0, axis=AXIS).y for n, a in amounts.items())
    if standard:
        clean = clean + standard * simulate(STANDARD, 400.0, axis=AXIS).y
    noise = np.random.default_rng(0).normal(0, 0.02, len(AXIS))
    write_spectrum(path, Trace(AXIS, clean + noise, frequency=400.0))
    return path


def test_amounts_of_samples_are_valid_and_read_back(tmp_path: Path) -> None:
    spectra = [measured(tmp_path / "one.csv", 1.0, lactate=2.0), measured(tmp_path / "two.csv", 1.0, alanine=1.0)]
    spectra.append(measured(tmp_path / "none.csv", 0.0, lactate=1.0))
    for one in (LACTATE, ALANINE):
        write_system(tmp_path / f"{one.name}.json", one)
    app = typer.Typer()
    app.command()(quantify)
    libraries = [f"--library={tmp_path / n}.json" for n in ("lactate", "alanine")]
    out = tmp_path / "t.mztab"
    ran = CliRunner().invoke(app, [*map(str, spectra), *libraries, "--concentration=0.5", "--no-tube", f"--out={out}"])
    assert ran.exit_code == 1
    assert "none.csv: its unit is 'amount' and the table's 'mM'" in " ".join(ran.output.split())
    document = read_mztab(out)
    assert problems_of(document) == []
    assert document.metadata["ms_run[1]-location"] == spectra[0].as_uri()
    assert document.small_molecules is not None
    found = {row.cells["chemical_name"]: row.cells for row in document.small_molecules.rows}
    for name, place, other, truth in (("lactate", 1, 2, 1.0), ("alanine", 2, 1, 0.5)):
        cells = found[name]
        assert float(cells[f"abundance_assay[{place}]"] or 0) == pytest.approx(truth, rel=0.03)
        assert cells[f"abundance_assay[{other}]"] is None
        assert 0 < float(cells[f"opt_assay[{other}]_upper_limit"] or 0) < truth / 5
        assert cells["abundance_assay[3]"] is None
    assert found["lactate"]["chemical_formula"] == "C3H6O3"
    assert json.loads((tmp_path / "t.mztab.done.jsonl").read_text(encoding="utf-8").splitlines()[2])["unit"] == "amount"
