from __future__ import annotations

import pickle
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from molvis_nn.batches import TensorBatch, pad


@dataclass(frozen=True, eq=False)
class Two(TensorBatch):
    peaks: Tensor
    mask: Tensor
    names: tuple[str, ...] = ()


def test_shorter_arrays_are_padded_with_zeros_and_a_mask() -> None:
    values, mask = pad([np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0]])])
    assert values.tolist() == [[[1, 2], [3, 4]], [[5, 6], [0, 0]]]
    assert mask.tolist() == [[True, True], [True, False]]
    assert values.dtype == torch.float64


def test_an_empty_array_is_all_padding() -> None:
    values, mask = pad([np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.float32)])
    assert values.shape == (2, 1)
    assert not mask.any()


def test_a_batch_of_nothing_has_no_rows() -> None:
    values, mask = pad([])
    assert (values.shape, mask.shape) == ((0, 1), (0, 1))


@given(st.lists(st.integers(0, 6), min_size=1, max_size=6), st.integers(1, 9))
def test_padding_keeps_every_value_and_marks_no_other(sizes: list[int], at_least: int) -> None:
    arrays = [np.arange(1, size + 1, dtype=np.int64) for size in sizes]
    values, mask = pad(arrays, at_least=at_least)
    assert values.shape == (len(sizes), max(at_least, *sizes, 1))
    for row, seen, array in zip(values, mask, arrays, strict=True):
        assert row[seen].tolist() == array.tolist()
        assert not row[~seen].any()


def test_a_batch_has_a_length_and_moves_as_a_new_batch() -> None:
    batch = Two(torch.zeros(3, 2), torch.ones(3, 2, dtype=torch.bool), ("a", "b", "c"))
    moved = batch.to("meta")
    assert len(batch) == len(moved) == 3
    assert (batch.peaks.device.type, moved.peaks.device.type, moved.mask.device.type) == ("cpu", "meta", "meta")
    assert moved.names == ("a", "b", "c")


def test_a_batch_pickles() -> None:
    batch = pickle.loads(pickle.dumps(Two(torch.arange(4).reshape(2, 2), torch.ones(2, 2))))
    assert batch.peaks.tolist() == [[0, 1], [2, 3]]


@pytest.mark.gpu
def test_a_pinned_batch_moves_to_the_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU")
    batch = Two(torch.zeros(3, 2), torch.ones(3, 2)).pin_memory()
    assert batch.peaks.is_pinned()
    assert batch.to("cuda").peaks.is_cuda
