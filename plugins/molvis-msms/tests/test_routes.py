"""The route of the service: peaks by the atoms of a structure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from molvis_core.errors import ConfigError
from molvis_core.testing import RouteContract
from molvis_files.routes import Request, checked_options
from molvis_msms.routes import EXPLAIN, explain

CAFFEINE = "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
PEAKS = [[110.0713, 30], [138.0662, 100], [195.0877, 80]]


class TestExplain(RouteContract):
    @pytest.fixture
    def route(self) -> Any:
        return EXPLAIN

    @pytest.fixture
    def asked(self, tmp_path: Path) -> Request:
        options = {"peaks": PEAKS, "precursor_mz": 195.0877, "structures": [CAFFEINE]}
        return Request(checked_options(EXPLAIN, options), {}, tmp_path)

    def test_it_names_atoms_and_draws_them(self, asked: Request) -> None:
        (one,) = explain(asked, lambda *_: None)["explained"]
        best = one["peaks"][1]["substructures"][0]
        assert best["formula"] == "C6H8N3O+"
        assert set(best["atoms"]) <= set(range(14))
        assert 'class="halo h1"' in one["drawing"]

    def test_what_would_take_long_is_refused(self, tmp_path: Path) -> None:
        options = {"peaks": PEAKS, "precursor_mz": 195.0877, "structures": ["C" * 500]}
        with pytest.raises(ConfigError, match="too large"):
            explain(Request(checked_options(EXPLAIN, options), {}, tmp_path), lambda *_: None)

    def test_nothing_to_explain_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="send peaks"):
            explain(Request(checked_options(EXPLAIN, {}), {}, tmp_path), lambda *_: None)
