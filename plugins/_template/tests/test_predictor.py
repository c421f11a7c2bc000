from __future__ import annotations

import pytest

from molvis_core.testing import PredictorContract
from molvis_template.predictor import LinearBands


class TestLinearBands(PredictorContract):
    @pytest.fixture
    def predictor(self) -> LinearBands:
        return LinearBands()
