"""Galactic SPC and Bruker OPUS files."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest
from ir_samples import Read, opus_bytes, read_all, refusal_of, spc_bytes, trace_of, write_file

from molvis_core.errors import ReadError
from molvis_core.records import Trace
from molvis_core.testing import ReaderContract
from molvis_ir.readers.opus import read_opus
from molvis_ir.readers.spc import read_spc


def test_spc_files_hold_one_spectrum_or_several(tmp_path: Path) -> None:
    pytest.importorskip("spc_io")
    path = tmp_path / "a.spc"
    path.write_bytes(spc_bytes([[1, 2, 3, 5, 4]]))
    trace = trace_of(read_spc, path)
    np.testing.assert_allclose(trace.x, [1000, 1001, 1002, 1003, 1004])
    np.testing.assert_allclose(trace.y, [1, 2, 3, 5, 4])
    path.write_bytes(gzip.compress(spc_bytes([[10, 100, 1], [100, 10, 1]], y_type=128)))
    found, errors = read_all(read_spc, path)
    assert not errors
    assert [getattr(m.record, "identifier", "") for m in found] == ["a 1", "a 2"]
    assert isinstance(found[0].record, Trace)
    np.testing.assert_allclose(found[0].record.y, [1, 0, 2], atol=1e-12)


def test_spc_files_of_other_kinds_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("spc_io")
    path = tmp_path / "a.spc"
    path.write_bytes(spc_bytes([[1, 2, 3]], x_type=13))
    assert "x in 'XRAMANS'" in refusal_of(read_spc, path).reason
    for content in (b"", spc_bytes([[1, 2, 3]])[:-6], spc_bytes([[1, 2, 3]], version=0x4D), b"x" * 600):
        path.write_bytes(content)
        with pytest.raises(ReadError, match="damaged, or not a new-format SPC file"):
            list(read_spc(path))


@pytest.mark.parametrize(("read", "module", "extra"), [(read_spc, "spc_io", "spc"), (read_opus, "brukeropus", "opus")])
def test_a_missing_library_is_named_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Read, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ReadError, match=rf"pip install 'molvis-ir\[{extra}\]'"):
        list(read(write_file(tmp_path / "a.0", "x")))


def test_the_absorbance_of_an_opus_file_is_read_with_the_name_of_its_sample(tmp_path: Path) -> None:
    pytest.importorskip("brukeropus")
    path = tmp_path / "a.0"
    path.write_bytes(opus_bytes([1, 2, 3, 5, 4]))
    (found,), errors = read_all(read_opus, path)
    assert not errors
    assert found.name == "ethanol"
    trace = trace_of(read_opus, path)
    assert trace.identifier == "a.0"
    np.testing.assert_allclose(trace.x, [1000, 1001, 1002, 1003, 1004])
    np.testing.assert_allclose(trace.y, [4, 5, 3, 2, 1])


def test_the_transmittance_of_an_opus_file_becomes_absorbance(tmp_path: Path) -> None:
    pytest.importorskip("brukeropus")
    path = tmp_path / "a.0.gz"
    path.write_bytes(gzip.compress(opus_bytes([1, 0.1, 0.01], kind=5)))
    np.testing.assert_allclose(trace_of(read_opus, path).y, [2, 1, 0], atol=1e-6)


def test_opus_files_without_a_spectrum_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("brukeropus")
    path = tmp_path / "a.0"
    path.write_bytes(opus_bytes([1, 2, 3], kind=2))
    assert "Interferogram" in refusal_of(read_opus, path).reason
    path.write_bytes(opus_bytes([1, 2, 3], unit="PNT"))
    assert "x in 'PNT'" in refusal_of(read_opus, path).reason
    path.write_bytes(b"hello, world")
    with pytest.raises(ReadError, match="not an OPUS file"):
        list(read_opus(path))
    path.write_bytes(opus_bytes([1, 2, 3])[:30])
    with pytest.raises(ReadError, match="damaged"):
        list(read_opus(path))


class TestSpc(ReaderContract):
    @pytest.fixture(autouse=True)
    def library(self) -> None:
        pytest.importorskip("spc_io")

    @pytest.fixture
    def read(self) -> Read:
        return read_spc

    @pytest.fixture
    def modality(self) -> str:
        return "ir"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        (tmp_path / "good.spc").write_bytes(spc_bytes([[1, 2, 3]]))
        return tmp_path / "good.spc"

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        (tmp_path / "bad.spc").write_bytes(spc_bytes([[1, 2, 3]], y_type=0))
        return tmp_path / "bad.spc"


class TestOpus(ReaderContract):
    @pytest.fixture(autouse=True)
    def library(self) -> None:
        pytest.importorskip("brukeropus")

    @pytest.fixture
    def read(self) -> Read:
        return read_opus

    @pytest.fixture
    def modality(self) -> str:
        return "ir"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        (tmp_path / "good.0").write_bytes(opus_bytes([1, 2, 3]))
        return tmp_path / "good.0"

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        (tmp_path / "bad.0").write_bytes(opus_bytes([1, 2, 3], kind=2))
        return tmp_path / "bad.0"
