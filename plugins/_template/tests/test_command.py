from __future__ import annotations

from pathlib import Path

import pytest

from molvis_template.command import show


def test_it_prints_the_highest_point(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ethanol.txt"
    path.write_text("1000 0.1\n1050 0.9\n1100 0.2\n", encoding="utf-8")
    show(path)
    said = capsys.readouterr().out
    assert "ethanol" in said
    assert "1050" in said
