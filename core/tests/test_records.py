from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from molvis_core.errors import RecordError
from molvis_core.records import Distribution, PeakList, Trace, Value


def test_peaks_are_put_in_order_of_mz_with_their_intensities() -> None:
    spectrum = PeakList(mz=[200.0, 100.0, 150.0], intensity=[2.0, 1.0, 1.5])
    assert spectrum.mz.tolist() == [100, 150, 200]
    assert spectrum.intensity.tolist() == [1, 1.5, 2]
    assert len(spectrum) == 3


def test_arrays_have_the_types_and_are_read_only() -> None:
    spectrum = PeakList(mz=np.array([100], dtype=np.int32), intensity=np.array([1.0]))
    assert (spectrum.mz.dtype, spectrum.intensity.dtype) == (np.float64, np.float32)
    with pytest.raises(ValueError, match="read-only"):
        spectrum.mz[0] = 1.0


def test_making_a_record_leaves_the_callers_array_alone() -> None:
    mz, y = np.array([200.0, 100.0]), np.array([1.0, 2.0])
    PeakList(mz=mz, intensity=np.ones(2, dtype=np.float32))
    Trace(x=mz, y=y)
    mz[0], y[0] = 300.0, 5.0
    assert mz.tolist() == [300, 100]


def test_changing_the_callers_array_later_does_not_change_the_record() -> None:
    mz = np.array([100.0, 200.0])
    spectrum = PeakList(mz=mz, intensity=np.ones(2, dtype=np.float32))
    mz[0] = 500.0
    assert spectrum.mz.tolist() == [100, 200]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mz": [1.0, 2.0], "intensity": [1.0]}, "different lengths: {'mz': 2, 'intensity': 1}"),
        ({"mz": [float("nan")], "intensity": [1.0]}, r"PeakList.mz\[0\] must be finite, got nan"),
        ({"mz": [1.0], "intensity": [float("inf")]}, r"PeakList.intensity\[0\] must be finite, got inf"),
        (
            {"mz": [1.0, 2.0], "intensity": [1.0, -0.5]},
            r"PeakList.intensity\[1\] is -0.5; an intensity is not negative",
        ),
        ({"mz": [0.0], "intensity": [1.0]}, "PeakList.mz holds 0.0; an m/z is positive"),
        ({"mz": [[1.0]], "intensity": [1.0]}, r"must have one axis, got shape \(1, 1\)"),
        ({"mz": ["x"], "intensity": [1.0]}, "not an array of numbers"),
        ({"mz": [], "intensity": [], "precursor_mz": 0.0}, "precursor_mz must be a positive number.*got 0.0"),
        (
            {"mz": [], "intensity": [], "precursor_mz": float("nan")},
            "precursor_mz must be a positive number, or None where unknown, got nan",
        ),
        (
            {"mz": [], "intensity": [], "collision_energy": float("inf")},
            "collision_energy must be a finite number, or None where unknown, got inf",
        ),
        (
            {"mz": [], "intensity": [], "ionmode": "POSITIVE"},
            "ionmode must be 'positive', 'negative' or None, got 'POSITIVE'",
        ),
    ],
)
def test_a_peak_list_that_cannot_be_is_refused_by_field(fields: dict[str, object], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        PeakList(**fields)


def test_a_record_error_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="negative"):
        PeakList(mz=[1.0], intensity=[-1.0])


def test_a_spectrum_without_peaks_is_a_spectrum() -> None:
    assert len(PeakList(mz=[], intensity=[])) == 0


@given(
    arrays(np.float64, st.integers(0, 30), elements=st.floats(1.0, 2000.0)),
    st.randoms(use_true_random=False),
)
def test_every_order_of_the_same_peaks_is_the_same_spectrum(mz: np.ndarray, random: object) -> None:
    intensity = np.arange(len(mz), dtype=np.float32)
    order = sorted(range(len(mz)), key=lambda _: random.random())
    one, two = PeakList(mz=mz, intensity=intensity), PeakList(mz=mz[order], intensity=intensity[order])
    assert one.mz.tolist() == two.mz.tolist() == sorted(mz.tolist())
    assert sorted(zip(one.mz, one.intensity, strict=True)) == sorted(zip(two.mz, two.intensity, strict=True))


def test_a_trace_may_come_in_either_direction() -> None:
    trace = Trace(x=[3.0, 2.0, 1.0], y=[30.0, 20.0, 10.0])
    assert (trace.x.tolist(), trace.y.tolist()) == ([1, 2, 3], [10, 20, 30])
    assert not trace.x.flags.writeable


@pytest.mark.parametrize("x", [[1.0, 2.0, 2.0], [1.0, 3.0, 2.0]])
def test_an_axis_that_turns_round_or_repeats_is_refused(x: list[float]) -> None:
    with pytest.raises(RecordError, match="turns round or repeats at point 2"):
        Trace(x=x, y=[0.0, 0.0, 0.0])


@pytest.mark.parametrize("size", [0, 1])
def test_a_trace_of_one_point_or_none_has_no_direction(size: int) -> None:
    assert len(Trace(x=np.arange(size), y=np.zeros(size))) == size


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_cross_section_that_is_not_positive_is_refused(value: float) -> None:
    with pytest.raises(RecordError, match="Value.value"):
        Value(value)


def test_a_distribution_keeps_its_deviations_in_step() -> None:
    with pytest.raises(RecordError, match="different lengths"):
        Distribution(np.array([0.5, 0.5]), sd=np.array([0.1]))


def test_records_pickle() -> None:
    spectrum = PeakList(mz=np.array([100.0]), intensity=np.array([1.0]), adduct="[M+H]+")
    again = pickle.loads(pickle.dumps(spectrum))
    assert (again.mz.tolist(), again.adduct) == ([100.0], "[M+H]+")
