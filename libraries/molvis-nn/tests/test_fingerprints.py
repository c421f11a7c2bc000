"""How alike fingerprints are."""

from __future__ import annotations

import numpy as np
import pytest

from molvis_nn.fingerprints import bits_at, tanimoto


def test_bits_are_set_at_their_places() -> None:
    found = bits_at([np.array([0, 3]), np.array([], dtype=np.int64)], 4)
    np.testing.assert_array_equal(found, [[True, False, False, True], [False] * 4])
    assert bits_at([], 4).shape == (0, 4)


def test_shared_bits_over_set_bits() -> None:
    a = bits_at([np.array([0, 1, 2]), np.array([], dtype=np.int64)], 8)
    b = bits_at([np.array([1, 2, 3, 4]), np.array([0, 1, 2]), np.array([], dtype=np.int64)], 8)
    np.testing.assert_array_equal(tanimoto(a, b), [[2 / 5, 1, 0], [0, 0, 0]])


@pytest.mark.usefixtures("unchecked_shapes")
def test_fingerprints_of_other_lengths_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="of 4 and 8 bits"):
        tanimoto(bits_at([], 4), bits_at([], 8))
