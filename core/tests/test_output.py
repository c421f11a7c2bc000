"""What commands print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from molvis_core import output
from molvis_core.text import visible


def test_json_holds_no_number_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    output.print_json({"a": np.array([1.0, np.nan]), "b": (np.int64(3), Path("x")), "c": float("inf")})
    assert json.loads(capsys.readouterr().out) == {"a": [1.0, None], "b": [3, "x"], "c": None}


@pytest.mark.parametrize("plain", [False, True])
def test_a_piped_table_cuts_nothing(plain: bool, capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 300
    output.print_table(("name", "n"), [(long, 1), ("[b]", None)], title="a title", plain=plain)
    shown = capsys.readouterr().out
    assert long in shown
    assert "[b]" in shown
    assert "-" in shown.splitlines()[-1 if plain else -2]
    assert "a title" in shown


@pytest.mark.parametrize("plain", [False, True])
def test_nothing_that_a_terminal_would_obey_is_printed(plain: bool, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\r\u202eCCO\nfake row"
    output.print_table((evil, "n"), [(evil, 1)], title=f"{evil} [red]", plain=plain)
    output.note(evil)
    output.print_json({evil: evil})
    shown = capsys.readouterr()
    for text in shown:
        assert not set(text) & set("\x1b\x07\r\u202e")
        assert "\nfake row" not in text
    assert shown.out.count("\\x1b]0;owned") == 3
    assert "[red]" in shown.out
    assert shown.err == visible(evil) + "\n"


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    output.write_text(path, "a = 1\n")
    with pytest.raises(UnicodeEncodeError):
        output.write_text(path, "\ud800")
    assert path.read_text(encoding="utf-8") == "a = 1\n"
    assert [p.name for p in tmp_path.iterdir()] == ["run.toml"]
