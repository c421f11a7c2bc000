"""The encoder of unit masses, and the plugin as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ei_samples import spectrum

from molvis_core.errors import ConfigError
from molvis_core.testing import EncoderContract, PluginContract
from molvis_ei.encoder import EiUnit
from molvis_ei.preparation import unit_spectrum, weighed


class TestPlugin(PluginContract):
    @pytest.fixture
    def name(self) -> str:
        return "molvis-ei"


class TestEncoder(EncoderContract):
    @pytest.fixture
    def encoder(self) -> Any:
        return EiUnit(dim=8, width=16, blocks=1)

    @pytest.fixture
    def spec(self) -> dict[str, Any]:
        return {"use": "ei-unit", "dim": 8, "width": 16, "blocks": 1}


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="width must be"):
        EiUnit(width=0)
    with pytest.raises(ConfigError, match="peak_dropout"):
        EiUnit(peak_dropout=1.0)


def test_exact_masses_fall_on_their_mass_numbers() -> None:
    # Br+ lies below 79, C35H70+ far above 490; of two peaks of one mass the higher one counts.
    unit = unit_spectrum(spectrum({78.918: 50.0, 490.55: 100.0, 490.9: 10.0, 491.0: 1.0, 2000.0: 500.0}))
    assert np.flatnonzero(unit).tolist() == [79, 490, 491]
    np.testing.assert_allclose(unit[[79, 490, 491]], [0.5, 1.0, 0.1])


def test_weighed_rows_have_length_one_and_heavy_ions_count_more() -> None:
    unit = unit_spectrum(spectrum({50.0: 1.0, 200.0: 1.0}))
    row = weighed(unit)
    assert np.linalg.norm(row) == pytest.approx(1)
    assert row[200] == pytest.approx(4 * row[50])
    assert not weighed(np.zeros(300, dtype=np.float32)).any()
