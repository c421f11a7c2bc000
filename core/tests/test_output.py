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


def test_a_piped_table_cuts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 300
    output.print_table(("name", "n"), [(long, 1), ("[b]", None)], title="a title")
    assert capsys.readouterr().out.splitlines() == [
        "a title", f"{'name':<300}  n", f"{long}  1", f"{'[b]':<300}  -",
    ]  # fmt: skip


def in_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))


def test_a_table_in_a_terminal_wraps_text_and_keeps_every_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_terminal(monkeypatch, 80)
    name = "5-bromo-N-(4,5-dihydro-1H-imidazol-2-yl)quinoxalin-6-amine, also known as brimonidine"
    row = (1, 0.8291, "C11H10BrN5", "XYLJNLCSTIOKRM", name, "Brc1c(NC2=NCCN2)ccc2nccnc12")
    output.print_table(("rank", "share", "formula", "InChIKey", "name", "SMILES"), [row])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for whole in ("0.8291", "C11H10BrN5", "XYLJNLCSTIOKRM"):
        assert any(whole in line for line in lines)
    start = lines[0].index("name")
    shown = "".join(line[start : lines[0].index("SMILES")].strip() for line in lines[2:])
    assert shown.replace(" ", "") == name.replace(" ", "")


def test_a_table_that_cannot_fit_becomes_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_terminal(monkeypatch, 40)
    columns = [f"column {i}" for i in range(6)]
    output.print_table(columns, [[f"a value {i}" for i in range(6)]])
    assert capsys.readouterr().out.splitlines()[:2] == ["column 0  a value 0", "column 1  a value 1"]


def test_quiet_leaves_out_notes_and_keeps_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    with output.asked(quiet=True):
        output.note("a note")
        output.warn("a warning")
    output.note("another")
    assert capsys.readouterr().err.splitlines() == ["a warning", "another"]


def test_json_is_printed_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert not output.as_json([1])
    with output.asked(json=True):
        assert output.as_json([1])
    assert json.loads(capsys.readouterr().out) == [1]


def test_nothing_that_a_terminal_would_obey_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\r\u202eCCO\nfake row"
    output.print_table((evil, "n"), [(evil, 1)], title=f"{evil} [red]")
    output.note(evil)
    output.print_json({evil: evil})
    shown = capsys.readouterr()
    for text in shown:
        assert not set(text) & set("\x1b\x07\r\u202e")
        assert "\nfake row" not in text
    assert shown.out.count("\\x1b]0;owned") == 3
    assert "[red]" in shown.out
    assert shown.err == visible(evil) + "\n"


def test_long_work_writes_a_line_to_a_log_now_and_then_even_when_nothing_comes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "LOG_EVERY", 0.001)
    seen = ""
    with output.progress("embedding") as show:
        while "embedding: 0 after 0 s\n" not in seen:
            seen += capsys.readouterr().err
        show(2048, 400_000)
        while "embedding: 2,048 of 400,000 after" not in seen:
            seen += capsys.readouterr().err
        show(7, 0, "reading")
        while "reading: 7 after" not in seen:
            seen += capsys.readouterr().err
    capsys.readouterr()
    with output.asked(quiet=True), output.progress("embedding") as show:
        show(1, 2)
    assert capsys.readouterr().err == ""
