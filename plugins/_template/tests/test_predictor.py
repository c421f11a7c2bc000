from __future__ import annotations

import pytest
from molvis_template.predictor import LinearBands

from molvis_core.testing import PredictorContract


class TestLinearBands(PredictorContract):
    @pytest.fixture
    def predictor(self) -> LinearBands:
        return LinearBands()
