"""Layers that encoders share."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from molvis_core.errors import ConfigError
from molvis_nn.layers import Residual, residual_blocks, sinusoids, wavelengths


def test_a_residual_block_adds_to_its_input_and_keeps_the_names_of_its_weights() -> None:
    block = Residual(8, 0.5).eval()
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    assert sorted(block.state_dict()) == [
        "narrow.bias", "narrow.weight", "norm.bias", "norm.weight", "widen.bias", "widen.weight",
    ]  # fmt: skip
    inner = torch.nn.functional.gelu(block.widen(block.norm(x)))
    torch.testing.assert_close(block(x), x + block.narrow(inner))
    torch.nn.init.zeros_(block.narrow.weight)
    torch.nn.init.zeros_(block.narrow.bias)
    assert torch.equal(block(x), x)


def test_blocks_follow_one_another_and_none_is_the_identity() -> None:
    x = torch.ones(2, 4)
    assert torch.equal(residual_blocks(4, 0, 0.1)(x), x)
    assert "1.widen.weight" in residual_blocks(4, 2, 0.1).state_dict()


def test_wavelengths_are_a_geometric_series_either_way() -> None:
    np.testing.assert_allclose(wavelengths(0.1, 1000.0, 5), [0.1, 1, 10, 100, 1000])
    np.testing.assert_allclose(wavelengths(1000.0, 0.1, 5), [1000, 100, 10, 1, 0.1])


@pytest.mark.parametrize("arguments", [(0.0, 1.0, 4), (1.0, -1.0, 4), (1.0, 2.0, 1)])
def test_wavelengths_that_cannot_be_are_refused(arguments: tuple[float, float, int]) -> None:
    with pytest.raises(ConfigError, match="must be positive and count at least 2"):
        wavelengths(*arguments)


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=5))
def test_sines_and_cosines_are_those_of_the_angle(values: list[float]) -> None:
    waves = wavelengths(0.5, 50.0, 3)
    found = sinusoids(torch.tensor(values, dtype=torch.float64), waves).numpy()
    angle = 2 * math.pi * np.array(values)[:, None] / waves.numpy()
    np.testing.assert_allclose(found, np.hstack([np.sin(angle), np.cos(angle)]), atol=1e-12)


def test_interleaved_waves_are_the_same_in_turn() -> None:
    values, waves = torch.tensor([[1.5, 2.0]]), wavelengths(1.0, 10.0, 2)
    apart, turns = sinusoids(values, waves), sinusoids(values, waves, interleaved=True)
    assert turns.shape == (1, 2, 4)
    assert torch.equal(turns, apart[..., [0, 2, 1, 3]])


def test_short_waves_at_large_values_are_resolved() -> None:
    """A step of a quarter of the wavelength at m/z 1000 turns the angle by a quarter."""
    wave = wavelengths(0.004, 0.004001, 2)[:1]
    near = sinusoids(torch.tensor([1000.0, 1000.001], dtype=torch.float64), wave)
    np.testing.assert_allclose(near, [[0, 1], [1, 0]], atol=1e-6)
