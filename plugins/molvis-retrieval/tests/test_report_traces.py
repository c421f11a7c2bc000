"""A trace, such as an infrared spectrum, stands above the reference spectra of the best candidates."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from barcode import STRUCTURES, make_bundle, measurement

from molvis_core.chemistry.structures import structure
from molvis_core.records import Measurement, Trace
from molvis_files.spectrum_drawing import WIDTH
from molvis_retrieval.drawing import draw_record
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


def labels(picture: str) -> list[str]:
    return re.findall(r'<text class="band"[^>]*>([^<]+)</text>', picture)


def bands(*places: tuple[float, float, float]) -> np.ndarray:
    return np.sum([high / (1 + ((X - at) / wide) ** 2) for at, high, wide in places], axis=0)


def drawn(y: np.ndarray, x: np.ndarray = X, **more: Any) -> str:
    picture = draw_record(Trace(x, y), modality="ir", **more)
    assert picture is not None
    return picture.svg


def test_bands_are_named_by_their_places_the_highest_first() -> None:
    picture = drawn(bands((1720, 1, 20), (2950, 0.5, 20), (1100, 0.2, 20)))
    near = [X[np.abs(X - at).argmin()] for at in (1720, 2950, 1100)]
    assert labels(picture) == [f"{at:.0f}" for at in near]
    assert ">-0<" not in picture
    assert all(f">{text}</text>" in picture for text in ("0", "0.25", "0.5", "0.75"))


def test_a_band_beside_a_higher_one_a_slope_and_noise_have_no_number() -> None:
    noise = np.random.default_rng(0).normal(0, 0.005, len(X))
    picture = drawn(bands((1720, 1, 10), (1745, 0.6, 10)) + noise + 0.2 * (X - X[0]) / np.ptp(X))
    assert labels(picture) == [f"{X[np.abs(X - 1720).argmin()]:.0f}"]


def test_what_is_measured_over_few_units_is_named_to_their_fractions() -> None:
    x = np.linspace(0.0, 10.0, 500)
    (text,) = labels(drawn(np.exp(-(((x - 7.26) / 0.05) ** 2)), x))
    assert len(text.partition(".")[2]) == 2
    assert abs(float(text) - 7.26) < 0.02


def test_traces_of_a_few_points_or_without_a_height_are_drawn_without_numbers() -> None:
    for y in (np.zeros(5), np.ones(5), np.array([0.0, 1e-9, 0.0, 0.0, 0.0]), np.array([0.0, 1.0])):
        assert 'class="trace"' in drawn(y, np.arange(len(y)) * 1000.0 + 500.0)


def test_bands_are_named_above_a_reference_and_its_name_stands_at_the_side() -> None:
    picture = drawn(bands((1720, 1, 20)), reference=Trace(X, bands((1720, 1, 20))))
    assert len(labels(picture)) == 1
    (place,) = re.findall(r'<text x="(\d+)"[^>]*>reference spectrum of candidate 1', picture)
    assert float(place) < WIDTH / 10
