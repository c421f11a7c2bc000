from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from molvis_core.chemistry.structures import structure
from molvis_core.testing import TargetContract, synthetic_structures
from molvis_nn.targets import SameCompound


class TestSameCompound(TargetContract):
    @pytest.fixture
    def target(self) -> SameCompound:
        return SameCompound()


def test_stereoisomers_are_the_same_compound_and_others_are_not() -> None:
    target = SameCompound()
    left = target.collate([structure("C[C@H](N)C(=O)O"), structure("CCO")])
    right = target.collate([structure("C[C@@H](N)C(=O)O"), structure("OCC"), structure("CCN")])
    match, weight = target(left, right)
    assert match.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert weight.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_keys_are_the_same_in_every_process() -> None:
    keys = SameCompound().collate(synthetic_structures()[:3]).key.tolist()
    assert keys == [668605011609445829, -461128809160899503, -8745409886106499943]


@pytest.mark.full
def test_keys_of_many_compounds_do_not_collide_and_use_every_bit() -> None:
    rng = np.random.default_rng(0)
    base = structure("CCO")
    letters = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    names = sorted({"".join(row) for row in letters[rng.integers(0, 26, (20_000, 14))]})
    keys = SameCompound().collate([replace(base, inchikey=f"{name}-UHFFFAOYSA-N") for name in names]).key.numpy()
    assert len(np.unique(keys)) == len(names)
    bits = (keys[:, None] >> np.arange(64)) & 1
    np.testing.assert_allclose(bits.mean(axis=0), 0.5, atol=0.0212)  # six standard deviations of a fair coin
