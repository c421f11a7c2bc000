"""Compressed data and long lines end with an error before they fill the memory."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from pathlib import Path

import pytest

from molvis_core.errors import ConfigError, ReadError
from molvis_files import opening as files
from molvis_files.opening import lines, open_bytes, open_zip, read_bytes, read_text, unpack_zlib

MEGA = 1 << 20


@pytest.fixture(autouse=True)
def _small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "UNPACKED", MEGA)
    monkeypatch.setattr(files, "_ARRAY", MEGA)


def _bomb(folder: Path, size: int = 20 * MEGA) -> Path:
    path = folder / "a.txt.gz"
    path.write_bytes(gzip.compress(b"\n" * size))
    return path


def test_what_unpacks_to_far_more_than_it_is_gets_refused(tmp_path: Path) -> None:
    path = _bomb(tmp_path)
    for read in (read_bytes, read_text, lambda p: list(lines(p))):
        with pytest.raises(ReadError, match=r"a\.txt\.gz: unpacks to more than \d+ MB.*MOLVIS_MAX_UNPACKED=20G"):
            read(path)


def test_what_unpacks_to_little_or_by_a_usual_factor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"1" * MEGA))
    assert len(read_bytes(path)) == MEGA
    numbers = "".join(f"{i} {i * i % 997}\n" for i in range(300_000)).encode()
    assert len(numbers) > 3 * MEGA
    path.write_bytes(gzip.compress(numbers))
    assert read_bytes(path) == numbers
    assert sum(1 for _ in lines(path)) == 300_000


def test_a_person_can_allow_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _bomb(tmp_path)
    monkeypatch.setenv("MOLVIS_MAX_UNPACKED", "20M")
    assert len(read_bytes(path)) == 20 * MEGA
    monkeypatch.setenv("MOLVIS_MAX_UNPACKED", "1 GB")
    assert len(read_bytes(path)) == 20 * MEGA
    monkeypatch.setenv("MOLVIS_MAX_UNPACKED", "lots")
    with pytest.raises(ConfigError, match="MOLVIS_MAX_UNPACKED must be a number such as 500000000 or 20G, got 'lots'"):
        read_bytes(path)


def test_a_packed_stream_can_be_put_back_to_its_start(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"abcdef"))
    with open_bytes(path) as file:
        assert file.read(3) == b"abc"
        file.seek(0)
        assert file.read() == b"abcdef"


def test_a_line_without_end_is_refused_with_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("short\n" + "x" * 1000, encoding="utf-8")
    assert [len(line) for _, line in lines(path)] == [5, 1000]
    monkeypatch.setenv("MOLVIS_MAX_LINE", "100")
    with pytest.raises(ReadError, match=r"a\.txt:2: the line has more than 100 characters.*MOLVIS_MAX_LINE"):
        list(lines(path))
    assert [len(line) for _, line in lines(path, most=2000)] == [5, 1000]


def test_lines_keep_their_ends_where_they_are_wanted(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffa\r\nb\rc\n".encode())
    assert list(lines(path, keep_ends=True)) == [(1, "a\n"), (2, "b\n"), (3, "c\n")]
    assert list(lines(path)) == [(1, "a"), (2, "b"), (3, "c")]


def test_a_packed_array_is_unpacked_whole_or_not_at_all() -> None:
    assert unpack_zlib(zlib.compress(b"1" * MEGA)) == b"1" * MEGA
    with pytest.raises(ValueError, match="unpacks to more than 1 MB"):
        unpack_zlib(zlib.compress(b"1" * (MEGA + 1)))
    with pytest.raises(zlib.error, match="truncated"):
        unpack_zlib(zlib.compress(b"12345")[:-2])


def test_the_files_of_a_zip_count_together(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for i in range(4):
            packed.writestr(f"{i}", b"\0" * (MEGA // 3))
    with pytest.raises(ReadError, match="unpacks to more than 1 MB"):
        open_zip(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("0", b"\0" * MEGA)
    assert open_zip(path).read("0") == b"\0" * MEGA


def test_a_zip_that_states_less_than_it_holds_yields_no_more(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("0", b"\0" * 20 * MEGA)
    raw = buffer.getvalue().replace((20 * MEGA).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    path.write_bytes(raw)
    with pytest.raises(zipfile.BadZipFile), open_zip(path) as found:
        found.read("0")


@pytest.mark.parametrize("raw", [b"", b"PK\x05\x06", b"PK\x03\x04" + b"\xff" * 50])
def test_what_is_no_zip_file_is_a_read_error(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(raw)
    with pytest.raises(ReadError, match="is no ZIP file"):
        open_zip(tmp_path / "a.zip")


def test_a_directory_that_points_before_its_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("0", b"text")
    raw = path.read_bytes()
    path.write_bytes(raw[1:])  # a byte lost at the start: every offset is one too large, so Python counts from -1
    with pytest.raises(ReadError, match="points before its start"):
        open_zip(path)
