from __future__ import annotations

import pytest
from molvis_template.loss import Hinge

from molvis_core.testing import PairLossContract


class TestHinge(PairLossContract):
    @pytest.fixture
    def loss(self) -> Hinge:
        return Hinge()
