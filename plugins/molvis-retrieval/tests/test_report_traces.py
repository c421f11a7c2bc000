"""A trace, such as an infrared spectrum, stands above the reference spectra of the best candidates."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from barcode import STRUCTURES, make_bundle, measurement

from molvis_core.chemistry.structures import structure
from molvis_core.records import Measurement, Trace
from molvis_retrieval.identification import identify
from molvis_retrieval.index import Index
from molvis_retrieval.references import from_measurements
from molvis_retrieval.report import render_report
from molvis_retrieval.results import Identification

pytestmark = pytest.mark.usefixtures("toys")
X = np.linspace(500.0, 4000.0, 400)
UNKNOWN = Trace(X, 1 / (1 + ((X - 1720) / 20) ** 2))


@pytest.fixture
def found(toys: None, tmp_path: Path, index: Index) -> Identification:
    (one,) = identify(make_bundle(tmp_path / "bundle"), [measurement(STRUCTURES[0])], index)
    return dataclasses.replace(one, records=(UNKNOWN,), modalities=("ir",))


def known(smiles: str, x: np.ndarray = X) -> Measurement:
    return Measurement(Trace(x, 1 / (1 + ((x - 1700) / 30) ** 2)), structure(smiles), "ir", name=smiles)


def test_references_of_the_best_candidates_hang_below(found: Identification) -> None:
    ranked = [c.structure.smiles for c in found.candidates]
    page = render_report([found], reference=from_measurements([known(ranked[0]), known(ranked[1])]))
    assert page.count('<polyline class="trace reference"') == 2
    assert page.count('<polyline class="trace"') == 2
    assert "below: reference spectrum of candidate 1, scaled to the same height" in page
    assert "below: reference spectrum of candidate 2" in page
    assert "more spectra" not in page


def test_without_a_reference_the_trace_stands_alone(found: Identification) -> None:
    for reference in (None, from_measurements([known("CCCCCCCCCC#N")])):
        page = render_report([found], reference=reference)
        assert page.count('<polyline class="trace"') == 1
        assert "trace reference" not in page.partition("</style>")[2]


def test_a_reference_of_another_range_is_left_out(found: Identification) -> None:
    elsewhere = known(found.candidates[0].structure.smiles, np.linspace(5000.0, 6000.0, 50))
    assert (
        "trace reference"
        not in render_report([found], reference=from_measurements([elsewhere])).partition("</style>")[2]
    )


def test_of_several_references_the_one_that_shares_most_is_drawn(found: Identification) -> None:
    smiles = found.candidates[0].structure.smiles
    reference = from_measurements([known(smiles, np.linspace(1600, 1800, 50)), known(smiles)])
    chosen = reference(found.candidates[0].structure, UNKNOWN)
    assert chosen is not None
    assert len(chosen.x) == len(X)
