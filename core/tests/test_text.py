from __future__ import annotations

import json
import pickle
import shlex

import pytest

from molvis_core.errors import ConfigError, MolvisError, ReadError, WriteError, did_you_mean
from molvis_core.text import in_cell, in_json, in_page, in_shell, quoted, shortened, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("\ud800", "\\ud800"),
        ("caf\u00e9 \u03b2-alanine \u4e2d", "caf\u00e9 \u03b2-alanine \u4e2d"),
    ],
)
def test_controls_are_shown_and_letters_stay(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(shown) == shown


def test_lines_may_stay_lines() -> None:
    assert visible("a\n\x1bb", lines=True) == "a\n\\x1bb"


def test_long_text_keeps_both_ends_and_says_what_is_missing() -> None:
    short = shortened("a" + "b" * 9998 + "c", 200)
    assert short.startswith("abb")
    assert short.endswith("bbc")
    assert "characters left out" in short
    assert len(short) < 250
    assert shortened("abc", 3) == "abc"
    assert quoted("C" * 100, 5) == "'CCCCC...' (100 characters)"
    assert quoted("it's\n") == '"it\'s\\n"'


@pytest.mark.parametrize("kind", [MolvisError, ConfigError, WriteError])
def test_a_message_neither_moves_the_cursor_nor_fills_the_screen(kind: type[MolvisError]) -> None:
    assert str(kind(f"bad \x1b]0;title\x07 {'x' * 100_000}")).startswith("bad \\x1b]0;title\\x07 xxx")
    assert len(str(kind("x" * 100_000))) < 2500


def test_a_record_is_named_without_its_escapes_here_and_in_other_processes() -> None:
    error = ReadError("a.mgf", "no \x1b[1mpeaks", line=3, record="evil\r\x1b[2Kall is well")
    assert str(error) == "a.mgf:3: record evil\\r\\x1b[2Kall is well: no \\x1b[1mpeaks"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_no_near_word_is_looked_for_where_the_word_is_a_page() -> None:
    assert did_you_mean("a" * 100_000, ["a" * 99_000]) == ""


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("@SUM(1)", "'@SUM(1)"),
        ("-2+3", "'-2+3"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("-0.5", "-0.5"),
        ("+1", "+1"),
        ("-1.5e-3", "-1.5e-3"),
        (-0.5, -0.5),
        (None, None),
        ("[M+H]+", "[M+H]+"),
        ("2-propanol", "2-propanol"),
    ],
)
def test_a_spreadsheet_runs_no_cell_and_numbers_stay_numbers(value: object, cell: object) -> None:
    assert in_cell(value) == cell


def test_json_for_a_terminal_means_the_same() -> None:
    value = ["\x9b31m", "\u202ex", "\x7f", "\ud800", "caf\u00e9\n"]
    text = in_json(json.dumps(value, ensure_ascii=False, indent=1))
    assert visible(text, lines=True) == text
    assert json.loads(text) == value


def test_a_word_of_a_command_is_one_word_whatever_it_holds() -> None:
    for word in ("a b", "x; rm -rf ~", "$(reboot)", "it's", "--out"):
        assert shlex.split(f"molvis {in_shell(word)}") == ["molvis", word]
    assert "\n" not in in_shell("a\nb")


def test_markup_goes_into_a_page_as_it_is() -> None:
    class Markup(str):
        __slots__ = ()

    assert in_page("\u202ea\n") == "\\u202ea\n"
    assert in_page(Markup("\x1b")) == "\x1b"
    assert in_page(3) == 3
