"""Numbers come out of a file as they went in, in every format that tests can write."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_samples import opus_bytes, spc_bytes, table_file, trace_of

from molvis_core.records import Measurement, Trace
from molvis_ir.readers.jcamp import read_jcamp
from molvis_ir.readers.opus import read_opus
from molvis_ir.readers.parquet import read_parquet
from molvis_ir.readers.spc import read_spc
from molvis_ir.readers.xy import read_xy
from molvis_ir.writers import write_jcamp

SINGLES = st.lists(st.floats(0.125, 100, width=32), min_size=3, max_size=30, unique=True)
"""Absorbances that 32 bits hold."""


@st.composite
def _traces(draw: st.DrawFn) -> Trace:
    x = sorted(draw(st.lists(st.floats(60, 9000), min_size=3, max_size=30, unique=True)))
    y = draw(st.lists(st.floats(-1e6, 1e6), min_size=len(x), max_size=len(x), unique=True))
    return Trace(np.array(x), np.array(y), identifier="a")


@given(trace=_traces())
@settings(max_examples=50, deadline=None)
def test_jcamp_keeps_every_digit(tmp_path_factory: pytest.TempPathFactory, trace: Trace) -> None:
    path = tmp_path_factory.mktemp("jcamp") / "a.jdx"
    write_jcamp(path, [Measurement(trace, None, "ir")])
    found = trace_of(read_jcamp, path)
    np.testing.assert_array_equal(found.y, trace.y)
    np.testing.assert_allclose(found.x, trace.x, rtol=1e-9)


@given(
    trace=_traces(), between=st.sampled_from([",", ";", "\t", " ", ", ", "  "]), comma=st.booleans(), down=st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_columns_of_text_keep_every_digit(
    tmp_path_factory: pytest.TempPathFactory, trace: Trace, between: str, comma: bool, down: bool
) -> None:
    path = tmp_path_factory.mktemp("columns") / "a.csv"
    rows = [f"{x!r}{between}{y!r}" for x, y in zip(trace.x.tolist(), trace.y.tolist(), strict=True)]
    if comma and "," not in between:
        rows = [row.replace(".", ",") for row in rows]
    path.write_text("wavenumber (cm-1) absorbance\n" + "\n".join(rows[::-1] if down else rows) + "\n")
    found = trace_of(read_xy, path)
    np.testing.assert_array_equal(found.x, trace.x)
    np.testing.assert_array_equal(found.y, trace.y)


@given(y=SINGLES)
@settings(max_examples=25, deadline=None)
def test_spc_keeps_what_32_bits_hold(tmp_path_factory: pytest.TempPathFactory, y: list[float]) -> None:
    pytest.importorskip("spc_io")
    path = tmp_path_factory.mktemp("spc") / "a.spc"
    path.write_bytes(spc_bytes([y]))
    np.testing.assert_array_equal(trace_of(read_spc, path).y, y)


@given(y=SINGLES)
@settings(max_examples=25, deadline=None)
def test_opus_keeps_what_32_bits_hold(tmp_path_factory: pytest.TempPathFactory, y: list[float]) -> None:
    pytest.importorskip("brukeropus")
    path = tmp_path_factory.mktemp("opus") / "a.0"
    path.write_bytes(opus_bytes(y))
    np.testing.assert_allclose(trace_of(read_opus, path).y, y[::-1], rtol=1e-6)


@given(y=st.lists(st.integers(-32768, 32767), min_size=2, max_size=30, unique=True), scale=st.floats(1e-6, 1e3))
@settings(max_examples=25, deadline=None)
def test_a_table_keeps_whole_numbers_times_their_scale(
    tmp_path_factory: pytest.TempPathFactory, y: list[int], scale: float
) -> None:
    path = tmp_path_factory.mktemp("table") / "a.parquet"
    ends = {"first_x": [1000.0] * 2, "last_x": [2000.0] * 2, "n_points": [len(y)] * 2}
    found, again = read_parquet(table_file(path, y=[y, y], y_scale=[scale] * 2, **ends))
    assert isinstance(found, Measurement)
    assert isinstance(again, Measurement)
    np.testing.assert_array_equal(found.record.y, np.array(y) * scale)
