from __future__ import annotations

from pathlib import Path

import pytest

from molvis_core.testing import ReaderContract
from molvis_template.reader import read_text_columns


class TestReader(ReaderContract):
    @pytest.fixture
    def read(self) -> object:
        return read_text_columns

    @pytest.fixture
    def modality(self) -> str:
        return "template"

    @pytest.fixture
    def good(self, tmp_path: Path) -> Path:
        path = tmp_path / "ethanol.txt"
        path.write_text("# name: ethanol\n# smiles: CCO\n1000 0.1\n1050 0.9\n1100 0.2\n", encoding="utf-8")
        return path

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        path = tmp_path / "bad.txt"
        path.write_text("1000 0.1\n1050 high\n", encoding="utf-8")
        return path


def test_a_structure_that_cannot_be_read_is_a_bad_record(tmp_path: Path) -> None:
    path = tmp_path / "odd.txt"
    path.write_text("# smiles: C(C\n1000 0.1\n1050 0.4\n", encoding="utf-8")
    (error,) = read_text_columns(path)
    assert "C(C" in str(error)
