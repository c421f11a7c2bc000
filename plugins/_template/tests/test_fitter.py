from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from molvis_core import Trace
from molvis_core.testing import FitterContract
from molvis_template.fitter import BandFitter


class TestBandFitter(FitterContract):
    @pytest.fixture
    def fitter(self) -> BandFitter:
        return BandFitter(noise=0.05)

    @pytest.fixture
    def records(self) -> list[Trace]:
        x = np.linspace(1500, 1900, 200)
        return [Trace(x, np.exp(-0.5 * ((x - 1700) / 20) ** 2))]

    @pytest.fixture
    def add_noise(self) -> Callable[[Sequence[Trace], np.random.Generator], Sequence[Trace]]:
        return lambda records, rng: [Trace(r.x, r.y + 0.05 * rng.standard_normal(len(r))) for r in records]

    @pytest.fixture
    def impossible(self) -> list[Trace]:
        return [Trace(np.array([1.0, 2.0]), np.array([0.1, 0.2]))]
