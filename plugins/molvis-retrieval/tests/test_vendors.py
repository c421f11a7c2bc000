"""A vendor's file is answered with how to convert it."""

from __future__ import annotations

from pathlib import Path

import pytest

from molvis_core.errors import ReadError
from molvis_retrieval.importing import import_files
from molvis_retrieval.library import Library
from molvis_retrieval.queries import read_queries


@pytest.mark.parametrize("name", ["a.raw", "A.RAW", "a.d", "a.wiff", "a.wiff2", "a.lcd"])
@pytest.mark.parametrize("folder", [False, True])
def test_a_vendors_file_or_folder_is_answered_with_how_to_convert_it(tmp_path: Path, name: str, folder: bool) -> None:
    path = tmp_path / name
    path.mkdir() if folder else path.write_bytes(b"\x01\xa1F\x00i\x00n\x00")
    for read in (read_queries, Library.read, lambda p: import_files([p], tmp_path / "out")):
        with pytest.raises(ReadError, match=f"{name}: a {'folder' if folder else 'file'} of .*msconvert --mzML"):
            read(path)


def test_another_folder_and_a_file_that_is_not_there_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "spectra.mgf").mkdir()
    with pytest.raises(ReadError, match="a folder; name the files in it"):
        read_queries(tmp_path / "spectra.mgf")
    for name in ("none.mgf", "none.raw"):
        with pytest.raises(ReadError, match="no such file"):
            read_queries(tmp_path / name)
