"""What a test run keeps for the next one is made anew as soon as something that it came from has changed."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

import pytest
import shared

from molvis_files.digests import file_sha256


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file from which the kept libraries were read."""
    file = tmp_path / "reader.py"
    file.write_text("rows = 3\n", encoding="utf-8")
    monkeypatch.setattr(shared, "KEPT", tmp_path / "libraries")
    shared.KEPT.mkdir()
    keep(file)
    return file


def keep(file: Path, *, numpy: str = importlib.metadata.version("numpy"), python: str = sys.version) -> None:
    stated = [{str(file): file_sha256(file)}, {"numpy": numpy}, python]
    Path(f"{shared.KEPT}.json").write_text(json.dumps(stated), encoding="utf-8")


def test_libraries_are_kept_while_nothing_changes(source: Path) -> None:
    assert shared.still_holds()


def test_they_are_read_anew_after_a_change_of_a_source(source: Path) -> None:
    source.write_text("rows = 4\n", encoding="utf-8")
    assert not shared.still_holds()


def test_they_are_read_anew_without_a_source_that_there_was(source: Path) -> None:
    source.unlink()
    assert not shared.still_holds()


def test_they_are_read_anew_with_another_version_of_a_package_or_of_python(source: Path) -> None:
    keep(source, numpy="1.0")
    assert not shared.still_holds()
    keep(source, python="3.99.0")
    assert not shared.still_holds()


def test_they_are_read_anew_when_they_are_gone_or_what_is_said_of_them_is_damaged(source: Path) -> None:
    shared.KEPT.rmdir()
    assert not shared.still_holds()
    shared.KEPT.mkdir()
    Path(f"{shared.KEPT}.json").write_text("[{", encoding="utf-8")
    assert not shared.still_holds()
