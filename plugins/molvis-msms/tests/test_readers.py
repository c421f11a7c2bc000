"""What holds for every format: which reader takes a file, encodings, and files that are damaged."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msms_samples import MGF, Read, mzml_text, read_all, write_file

from molvis_core.errors import ReadError
from molvis_core.records import Measurement
from molvis_core.registry import for_suffix
from molvis_msms.readers.json import read_json
from molvis_msms.readers.massbank import read_massbank
from molvis_msms.readers.mgf import read_mgf
from molvis_msms.readers.msp import read_msp
from molvis_msms.readers.mzml import read_mzml
from molvis_msms.readers.parquet import read_parquet


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("a.mgf", "mgf"),
        ("A.MGF.GZ", "mgf"),
        ("a.msp", "msp"),
        ("a.txt", "massbank"),
        ("a.mzSpecLib.txt", "mzspeclib"),
        ("a.mzML", "mzml"),
        ("a.mzXML", "mzxml"),
        ("a.json", "msms-json"),
        ("a.jsonl.gz", "msms-json"),
        ("a.parquet", "massbank-parquet"),
    ],
)
def test_the_ending_of_a_file_names_its_reader(name: str, reader: str) -> None:
    assert for_suffix("reader", name, modality="msms").name == reader


@pytest.mark.parametrize(
    ("read", "text", "reason"),
    [
        (read_mgf, "nothing of the kind\n", "is it an MGF file?"),
        (read_msp, "\n\n", "empty"),
        (read_massbank, "nothing of the kind\n", "is it a MassBank record?"),
        (read_mzml, mzml_text(), "no scan in it"),
        (read_json, "{", "not JSON"),
    ],
)
def test_a_file_of_another_kind_is_refused_whole(tmp_path: Path, read: Read, text: str, reason: str) -> None:
    with pytest.raises(ReadError, match=reason.replace("?", r"\?")):
        list(read(write_file(tmp_path / "a", text)))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_any_line_ends_and_encodings_are_read(tmp_path: Path, end: str, encoding: str) -> None:
    path = tmp_path / "a.mgf"
    path.write_bytes(MGF.replace("TITLE=caffeine", "TITLE=Ångström").replace("\n", end).encode(encoding))
    found, errors = read_all(read_mgf, path)
    assert not errors
    assert [m.name for m in found] == ["Ångström", "an unknown"]


def test_two_encodings_in_one_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mgf"
    text = MGF.replace("TITLE=caffeine", "TITLE=Ångström").encode()
    path.write_bytes(text + MGF.replace("TITLE=caffeine", "TITLE=Ångström").encode("latin-1"))
    assert [m.name for m in read_all(read_mgf, path)[0]][::2] == ["Ångström", "Ångström"]


@pytest.mark.parametrize("read", [read_mgf, read_msp, read_massbank, read_mzml, read_json, read_parquet])
def test_compressed_data_that_are_cut_off_are_a_read_error(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "a.gz"
    noise = np.random.default_rng(0).integers(33, 120, 5000, dtype=np.uint8).tobytes()
    path.write_bytes(gzip.compress(noise)[:1000])
    with pytest.raises(ReadError):
        list(read(path))


@pytest.mark.parametrize("read", [read_mgf, read_msp, read_massbank, read_mzml, read_json, read_parquet])
def test_compressed_data_that_are_damaged_are_a_read_error(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "a.gz"
    data = bytearray(gzip.compress(MGF.encode() * 50))
    data[20:60] = bytes(range(40))
    path.write_bytes(data)
    with pytest.raises(ReadError):
        list(read(path))


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("read", [read_mgf, read_msp, read_massbank, read_json])
def test_any_bytes_give_measurements_or_read_errors(
    tmp_path_factory: pytest.TempPathFactory, read: Read, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "a"
    path.write_bytes(data)
    try:
        kinds = {type(item) for item in read(path)}
    except ReadError:
        kinds = {ReadError}
    assert kinds <= {Measurement, ReadError}
