"""Damaged JCAMP-DX spectra say what their headers say, or are refused. `make fuzz` reads 20,000 of them."""

from __future__ import annotations

import jcamp_mutants
import numpy as np
import pytest

from molvis_core.records import Measurement, Trace


@pytest.mark.full
@pytest.mark.parametrize("seed", [1, 2])
def test_no_mutant_is_read_as_something_that_its_header_contradicts(seed: int) -> None:
    tally, wrong = jcamp_mutants.run(150, seed)
    assert wrong == []
    assert tally["read"] > 5
    assert tally["refused"] > 50


def test_what_compares_mutants_with_their_headers_finds_what_contradicts_them() -> None:
    text = "##TITLE=a\n##FIRSTX=400\n##LASTX=402\n##NPOINTS=3\n##FIRSTY=1\n##MAXY=3\n##MINY=1\n"
    x, y = np.array([400.0, 401, 402]), np.array([1.0, 2, 3])

    def said(x: np.ndarray, y: np.ndarray) -> str:
        return jcamp_mutants.contradiction(text, Measurement(Trace(x, y), None, "ir"))

    assert said(x, y) == ""
    assert said(x[:2], y[:2]) == "3 points are stated, 2 were read"
    assert said(x + 50, y) == "x is stated from 400 to 402, and goes from 450 to 452"
    assert said(x, y / 7) == "FIRSTY, MAXY and MINY are 7 times what was read"
