"""What the tests of all packages share."""

from __future__ import annotations

import os

import jaxtyping
import pytest

# Tests are small: threads of their own would only fight with those of the tests beside them.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def unchecked_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch off jaxtyping's check, for a test of what our own code says of arrays whose shapes do not fit."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
