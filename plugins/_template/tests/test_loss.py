from __future__ import annotations

import pytest

from molvis_core.testing import PairLossContract
from molvis_template.loss import Hinge


class TestHinge(PairLossContract):
    @pytest.fixture
    def loss(self) -> Hinge:
        return Hinge()
