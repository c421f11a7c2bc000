from __future__ import annotations

import numpy as np
import pytest

from molvis_core import Trace, structure
from molvis_core.testing import ScorerContract
from molvis_template.scorer import GroupBands


class TestGroupBands(ScorerContract):
    @pytest.fixture
    def scorer(self) -> GroupBands:
        return GroupBands()


def test_a_band_of_carbonyls_speaks_for_a_ketone_and_against_an_alkane() -> None:
    x = np.linspace(500, 4000, 1000)
    trace = Trace(x, np.exp(-0.5 * ((x - 1715) / 10) ** 2))
    ketone, alkane = GroupBands()(trace, [structure("CC(C)=O"), structure("CCCC")])[:, 0]
    assert ketone > 0.9
    assert alkane < -0.9
