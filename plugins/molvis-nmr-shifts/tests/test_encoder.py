from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from molvis_core.errors import ConfigError
from molvis_core.records import ShiftList
from molvis_core.testing import EncoderContract
from molvis_nmr_shifts.encoder import ShiftSet


class TestShiftSet(EncoderContract):
    @pytest.fixture
    def encoder(self) -> Any:
        return ShiftSet(dim=8, width=16, blocks=1, waves=4)

    @pytest.fixture
    def records(self) -> Any:
        lists = [ShiftList(np.linspace(10, 190, n), multiplicity=("S",) * n) for n in (1, 5, 20)]
        cross = ShiftList(np.array([20.0, 60.0]), partners=np.array([1.0, 3.5]), experiment="HSQC")
        return [*lists, ShiftList(np.array([1.2, 3.6, 7.2]), "1H"), cross]

    @pytest.fixture
    def spec(self) -> dict[str, Any]:
        return {"use": "shift-set", "dim": 8, "width": 16, "blocks": 1, "waves": 4}


def test_lists_that_differ_by_an_axis_or_a_nucleus_have_other_vectors() -> None:
    torch.manual_seed(0)
    encoder = ShiftSet(dim=8, width=16, blocks=1, waves=4).eval()
    shifts = np.array([3.0, 7.0])
    lists = [ShiftList(shifts), ShiftList(shifts, "1H"), ShiftList(shifts, "1H", partners=shifts, experiment="COSY")]
    with torch.no_grad():
        rows = encoder(encoder.collate(lists))
    assert ((rows @ rows.T) < 1 - 1e-4).sum() == 6


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="width"):
        ShiftSet(width=1)
    with pytest.raises(ConfigError, match="dropout"):
        ShiftSet(signal_dropout=1.0)
