"""What is written is read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ir_samples import read_all, trace_of

from molvis_core.chemistry.structures import structure
from molvis_core.errors import WriteError
from molvis_core.records import Measurement, PeakList, Trace
from molvis_ir.readers.jcamp import read_jcamp
from molvis_ir.writers import write_jcamp


def test_a_written_spectrum_keeps_every_digit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    even = Trace(np.linspace(400.1, 3999.9, 501), rng.normal(size=501), identifier="even")
    uneven = Trace(np.sort(rng.uniform(400, 4000, 77)), rng.normal(size=77), identifier="uneven")
    known = structure("C[N+](C)(C)CCO", name="choline")
    for items in (
        [Measurement(even, known, "ir", name="choline")],
        [Measurement(t, None, "ir") for t in (even, uneven)],
    ):
        path = tmp_path / "a.jdx"
        write_jcamp(path, items)
        assert max(map(len, path.read_text().splitlines())) <= 80
        found, errors = read_all(read_jcamp, path)
        assert not errors
        for before, after in zip(items, found, strict=True):
            assert isinstance(before.record, Trace)
            assert isinstance(after.record, Trace)
            np.testing.assert_array_equal(after.record.y, before.record.y)
            np.testing.assert_allclose(after.record.x, before.record.x, rtol=1e-12)
            assert after.record.identifier == before.record.identifier
            assert after.structure == before.structure


def test_a_title_cannot_break_a_written_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jdx"
    trace = Trace(np.arange(1.0, 5), np.arange(4.0), identifier="a\n##END=$$ b")
    write_jcamp(path, [Measurement(trace, None, "ir")])
    assert trace_of(read_jcamp, path).identifier == "a ##END=$ b"


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="cannot be written"):
        write_jcamp(tmp_path / "missing" / "a.jdx", [])
    with pytest.raises(WriteError, match="only traces can be written"):
        write_jcamp(tmp_path / "a.jdx", [Measurement(PeakList(np.ones(1), np.ones(1)), None, "ir")])
    assert not list(tmp_path.iterdir())
