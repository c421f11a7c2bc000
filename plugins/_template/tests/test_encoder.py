from __future__ import annotations

import pytest

from molvis_core.errors import ConfigError
from molvis_core.testing import EncoderContract
from molvis_template.encoder import TraceCNN


class TestTraceCNN(EncoderContract):
    @pytest.fixture
    def encoder(self) -> TraceCNN:
        return TraceCNN(dim=8, width=4)

    @pytest.fixture
    def spec(self) -> dict[str, object]:
        return {"use": "template-cnn", "dim": 8, "width": 4}


def test_an_empty_grid_is_refused() -> None:
    with pytest.raises(ConfigError, match="make no grid"):
        TraceCNN(low=2.0, high=1.0)
