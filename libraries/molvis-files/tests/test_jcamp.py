from __future__ import annotations

import gzip
import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molvis_core.errors import ReadError
from molvis_files.jcamp import Block, Table, parse_blocks, parse_number, read_blocks, refusal

DATA = Path(os.environ.get("MOLVIS_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "jcamp"
EXPECTED: dict[str, list[dict[str, Any]]] = (
    json.loads((DATA / "EXPECTED.json").read_text()) if (DATA / "EXPECTED.json").is_file() else {}
)
with_data = pytest.mark.skipif(not EXPECTED, reason=f"no JCAMP-DX files in {DATA}: set MOLVIS_DATA")
FILES = sorted(EXPECTED)

DIGITS = {
    "SQZ": dict(zip(range(-9, 10), "ihgfedcba@ABCDEFGHI", strict=True)),
    "DIF": dict(zip(range(-9, 10), "rqponmlkj%JKLMNOPQR", strict=True)),
}
REPEATS = " STUVWXYZs"


def _packed(value: int, form: str) -> str:
    """A number in a form of the standard: its first digit carries the sign and says that a number begins."""
    digits = str(abs(value))
    first = int(digits[0]) * (-1 if value < 0 else 1)
    return DIGITS[form][first] + digits[1:]


def _repeated(count: int) -> str:
    digits = str(count)
    return REPEATS[int(digits[0])] + digits[1:]


def _tokens(values: Sequence[int], form: str, *, dup: bool) -> list[tuple[str, int]]:
    """What stands for the ordinates of one line, each with how many points it makes."""
    if form == "DIF":
        steps = [b - a for a, b in itertools.pairwise(values)]
        plain = [_packed(values[0], "SQZ"), *(_packed(step, "DIF") for step in steps)]
    elif form == "SQZ":
        plain = [_packed(v, "SQZ") for v in values]
    elif form == "PAC":
        plain = [f"{v:+d}" for v in values]
    else:
        plain = [f" {v}" for v in values]
    if not dup:
        return [(token, 1) for token in plain]
    runs: list[tuple[str, int]] = []
    for token in plain:
        if runs and runs[-1][0] == token:
            runs[-1] = (token, runs[-1][1] + 1)
        else:
            runs.append((token, 1))
    return [(token + _repeated(count) if count > 1 else token, count) for token, count in runs]


def encoded(values: Sequence[int], form: str, *, dup: bool = False, width: int = 7) -> list[str]:
    """Lines of (X++(Y..Y)), x being 1, 2, 3, ...; with DIF each line repeats the last point of the one before."""
    lines = []
    for begin in range(0, len(values), width):
        # The first ordinate of the next line is the check of this one.
        part = values[begin : begin + width + (form == "DIF")]
        lines.append(f"{begin + 1}" + "".join(token for token, _ in _tokens(part, form, dup=dup)))
    if form == "DIF" and (len(values) - 1) % width == 0 and len(values) > 1:
        lines = lines[:-1]
    if form == "DIF" and len(values) > 1:
        lines.append(f"{len(values)}{_packed(values[-1], 'SQZ')}")
    return lines


def written(lines: Sequence[str], n: int, **labels: object) -> str:
    head = {"TITLE": "made up", "JCAMP-DX": 5.01, "DATA TYPE": "INFRARED SPECTRUM", "XUNITS": "1/CM"}
    head |= {"YUNITS": "ABSORBANCE", "XFACTOR": 1, "YFACTOR": 1, "FIRSTX": 1, "LASTX": n, "NPOINTS": n} | labels
    return "".join(f"##{k}={v}\n" for k, v in head.items()) + "\n".join(("##XYDATA=(X++(Y..Y))", *lines, "##END=\n"))


def only(text: str) -> Block:
    (block,) = parse_blocks(text)
    return block


def table(text: str) -> Table:
    block = only(text)
    assert not block.problems
    (found,) = block.tables
    return found


def kinds(block: Block) -> list[tuple[str, int]]:
    return [(p.kind, p.line) for p in block.problems]


# Real files


@with_data
@pytest.mark.full
@pytest.mark.parametrize("name", FILES)
def test_a_real_file_gives_what_an_independent_decoder_gives(name: str) -> None:
    blocks = [block for outer in read_blocks(DATA / name) for block in outer.walk()]
    for wanted in EXPECTED[name]:
        block = blocks[wanted["block"]]
        title = wanted.get("title", "")
        # The independent decoder keeps comments in titles, does not part lines at a lone carriage return, and does not
        # know which block a label behind an inner one belongs to.
        if not set(title) & set("$\r") and name != "cheminfo__mestrec__simple.jdx":
            assert block.title.startswith(title)
            assert block.data_type == wanted.get("data_type", block.data_type)
        if "npoints_decoded" not in wanted:
            continue
        found = next(t for t in block.tables if t.label in ("XYDATA", "XYPOINTS"))
        measured = {
            "npoints_decoded": len(found.y),
            "first_y": found.y[0],
            "last_y": found.y[-1],
            "min_y": found.y.min(),
            "max_y": found.y.max(),
            "sum_y": found.y.sum(),
        }
        assert measured == pytest.approx({k: wanted[k] for k in measured}, rel=1e-9, abs=1e-9)
        problems = [kind for kind, _ in kinds(block)]
        assert problems.count("y-check") == wanted.get("y_check_failures", "broken_ycheck" in name)
        short = wanted.get("npoints_header") is not None and not wanted.get("npoints_agree", True)
        assert ("points" in problems) == short
        if wanted.get("firstx") is not None:
            assert found.x[0] == pytest.approx(wanted["firstx"])
        if wanted.get("lastx") is not None and not short:
            assert found.x[-1] == pytest.approx(wanted["lastx"])


@with_data
@pytest.mark.parametrize(
    "name",
    [
        "cheminfo__ethylvinylether__1h.jdx",
        "cheminfo__mestrec__jcamp-1024.jdx",
        "cheminfo__misc__cosyPPM.jdx",
        "nzhagen__Robert_J_Lancashire_test_data__o09.jdx",
        "nzhagen__Robert_J_Lancashire_test_data__o10.jdx",
        *(f"nzhagen__Robert_J_Lancashire_test_data__ofid{i}.jdx" for i in (1, 2, 3, 4)),
        "nzhagen__jcamp-dx.org_official_test_data__TESTFID.DX",
        "nzhagen__jcamp-dx.org_official_test_data__TESTNTUP.DX",
        "readJDX__extdata__PCRF.jdx",
        "readJDX__extdata__isasspc1.dx",
    ],
)
def test_pages_of_complex_spectra_have_the_points_and_the_ends_that_the_header_states(name: str) -> None:
    (block,) = read_blocks(DATA / name)
    assert not block.problems
    assert len(block.tables) >= 2
    symbols = [s.strip() for s in block.labels["SYMBOL"].split(",")]

    def stated(label: str, symbol: str) -> float | None:
        cells = block.labels.get(label, "").split(",")
        return parse_number(cells[symbols.index(symbol)]) if len(cells) == len(symbols) else None

    for page in block.tables:
        x, y = page.symbols
        assert len(page.y) == stated("VARDIM", y)
        assert page.x[0] == pytest.approx(stated("FIRST", x))
        assert page.x[-1] == pytest.approx(stated("LAST", x))
        if y in "RI" and (high := stated("MAX", y)) is not None:
            assert page.y.max() == pytest.approx(high, rel=1e-4)


@with_data
def test_five_encodings_of_one_spectrum_are_one_spectrum() -> None:
    truth = np.loadtxt(DATA / "synthetic__truth.csv", delimiter=",", skiprows=1, usecols=1)
    for form in ("affn", "pac", "sqz", "dif", "difdup"):
        (block,) = read_blocks(DATA / f"synthetic__absorbance_{form}.jdx")
        assert not block.problems
        np.testing.assert_allclose(block.tables[0].y, truth * 1e-4, rtol=1e-12)


@with_data
def test_a_difference_that_was_damaged_costs_its_line_only() -> None:
    right, damaged = (read_blocks(DATA / f"readJDX__extdata__{n}.jdx")[0] for n in ("PCRF", "PCRF_line265"))
    assert kinds(damaged) == [("y-check", 266)]
    differ = np.flatnonzero(right.tables[0].y != damaged.tables[0].y)
    assert differ[-1] - differ[0] < 20


# Forms


integers = st.lists(st.integers(-99_999, 99_999), min_size=2, max_size=60)


@given(values=integers, form=st.sampled_from(["AFFN", "PAC", "SQZ", "DIF"]), dup=st.booleans(), width=st.integers(1, 9))
def test_what_is_encoded_is_decoded(values: list[int], form: str, *, dup: bool, width: int) -> None:
    dup = dup and form in ("SQZ", "DIF")
    found = table(written(encoded(values, form, dup=dup, width=width), len(values)))
    np.testing.assert_array_equal(found.y, values)
    np.testing.assert_array_equal(found.x, np.arange(1, len(values) + 1))


@given(text=st.text(alphabet="0123456789@%ABIabiJRjrSZs+-.,;?E ##=XYDATA()\n$", max_size=300))
def test_no_text_breaks_the_decoder(text: str) -> None:
    for block in parse_blocks("##TITLE=x\n##XYDATA=(X++(Y..Y))\n" + text):
        for inner in block.walk():
            for found in inner.tables:
                assert len({len(column) for column in found.columns.values()}) == 1


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("1 5 6 7", [5, 6, 7]),
        ("1,5,6,7", [5, 6, 7]),
        ("1 1.5E+02 -.5 7.", [150, -0.5, 7]),
        ("1 1.5E2 2e+1 7", [150, 20, 7]),
        ("1E000", [5000]),
        ("1+5-6+7", [5, -6, 7]),
        ("1E0b3@", [50, -23, 0]),
        ("1 E0 b3 @", [50, -23, 0]),
        ("1A0J2j%", [10, 22, 21, 21]),
        ("1A0S2", [10] * 12),
        ("1A0JT", [10, 11, 12]),
        ("1A0JS", [10, 11]),
        ("1A0+7-3J", [10, 7, -3, -2]),
        ("1A0 ? C0", [10, np.nan, 30]),
        ("1 5 ? 7", [5, np.nan, 7]),
    ],
)
def test_every_form_and_mixtures_of_them_are_read(line: str, values: list[float]) -> None:
    np.testing.assert_array_equal(table(written([line], len(values))).y, values)


@pytest.mark.parametrize(
    ("lines", "encoding"),
    [(["1 5 6"], "AFFN"), (["1+5-6"], "PAC"), (["1EF"], "SQZ"), (["1ET"], "SQZ+DUP"), (["1EJS"], "DIF+DUP")],
)
def test_a_table_says_how_it_was_packed(lines: list[str], encoding: str) -> None:
    assert table(written(lines, 2)).encoding == encoding


def test_factors_apply_to_both_axes_and_to_the_abscissae_of_lines() -> None:
    text = written(["8000 1 2", "7996 3"], 3, XFACTOR=0.5, YFACTOR=0.1, FIRSTX=4000, LASTX=3998)
    found = table(text)
    np.testing.assert_allclose(found.y, [0.1, 0.2, 0.3])
    np.testing.assert_allclose(found.x, [4000, 3999, 3998])


def test_an_axis_is_made_from_its_step_where_the_last_x_is_not_stated() -> None:
    text = written(["10 1 2 3"], 3, FIRSTX=10, LASTX="", DELTAX=-2)
    np.testing.assert_allclose(table(text).x, [10, 8, 6])


def test_an_axis_is_made_from_the_lines_where_nothing_is_stated() -> None:
    text = written(["10 1 2", "14 3 4"], 4, FIRSTX="", LASTX="")
    np.testing.assert_allclose(table(text).x, [10, 12, 14, 16])


def test_labels_are_compared_without_case_and_punctuation_and_comments_are_dropped() -> None:
    block = only(
        "##title= a $$ b\n$$ c\n## Data_Type = infrared\n##$My-Label=1 $$ 2\n##NAMES=x\ny\n##Names=z\n##END=\n"
    )
    assert block.title == "a"
    assert block.data_type == "INFRARED"
    assert block.labels["$MYLABEL"] == "1"
    assert block.labels["NAMES"] == "x\ny\nz"


def test_pairs_and_triples_are_read_whatever_parts_them() -> None:
    pairs = table("##TITLE=x\n##NPOINTS=3\n##PEAK TABLE=(XY..XY)\n1,2; 3,4\n5\t6\n##END=\n")
    np.testing.assert_array_equal(pairs.x, [1, 3, 5])
    np.testing.assert_array_equal(pairs.y, [2, 4, 6])
    triples = table("##TITLE=x\n##XYPOINTS=(XYW..XYW)\n1 2 3\n4 5 ?\n##END=\n")
    assert triples.symbols == ("X", "Y", "W")
    np.testing.assert_array_equal(triples.columns["W"], [3, np.nan])


def test_factors_apply_to_points_but_not_to_lists_of_peaks() -> None:
    text = "##TITLE=x\n##XFACTOR=2\n##YFACTOR=10\n##{}=(XY..XY)\n1 2\n##END=\n"
    assert table(text.format("XYPOINTS")).y[0] == 20
    assert table(text.format("PEAK TABLE")).y[0] == 2


def test_assignments_keep_their_words_and_what_is_left_out_is_nan() -> None:
    found = table("##TITLE=x\n##PEAK ASSIGNMENTS=(XYMA)\n(1.5, 2, S, <C 1>)\n(2.5,,, <C\n2>)\n##END=\n")
    np.testing.assert_array_equal(found.x, [1.5, 2.5])
    np.testing.assert_array_equal(found.y, [2, np.nan])
    assert found.texts == {"M": ("S", ""), "A": ("C 1", "C 2")}
    assert table("##TITLE=x\n##PEAK ASSIGNMENTS=(A)\n(<C 1>)\n##END=\n").texts == {"A": ("C 1",)}


NTUPLES = """##TITLE=complex
##DATA TYPE=NMR SPECTRUM
##NTUPLES=NMR SPECTRUM
##SYMBOL=X, R, I, N
##VAR_DIM=3, 3, 3, 2
##UNITS=HZ, ARBITRARY UNITS, ARBITRARY UNITS,
##FIRST=10, 1, 4, 1
##LAST=8, 3, 6, 2
##FACTOR=0.5, 1, 2, 1
##PAGE=N=1
##DATA TABLE=(X++(R..R)), XYDATA
20AJJ
16C
##PAGE=N=2
##DATA TABLE=(X++(I..I)), XYDATA
20 2 2.5 3
##END NTUPLES=NMR SPECTRUM
##END=
"""


def test_pages_of_ntuples_have_symbols_units_and_factors_of_their_own() -> None:
    block = only(NTUPLES)
    assert not block.problems
    real, imaginary = block.tables
    assert (real.symbols, real.page, real.units) == (("X", "R"), "N=1", {"X": "HZ", "R": "ARBITRARY UNITS"})
    np.testing.assert_array_equal(real.x, [10, 9, 8])
    np.testing.assert_array_equal(real.y, [1, 2, 3])
    np.testing.assert_array_equal(imaginary.y, [4, 5, 6])


def test_link_blocks_hold_others() -> None:
    inner = written(["1 5 6"], 2)
    text = f"##TITLE=all\n##DATA TYPE=LINK\n##BLOCKS=2\n{inner}{inner}##END=\n"
    block = only(text)
    assert [b.title for b in block.walk()] == ["all", "made up", "made up"]
    assert [len(b.tables) for b in block.walk()] == [0, 1, 1]
    assert not any(b.problems for b in block.walk())


# Damage


GOOD = ["1A0J2j%", "4B1KL", "6B6"]


def test_a_value_changed_in_a_line_fails_the_check_of_the_next() -> None:
    assert not only(written(GOOD, 6)).problems
    block = only(written(["1A0J3j%", *GOOD[1:]], 6))
    assert [kind for kind, _ in kinds(block)] == ["y-check"]
    assert block.problems[0].line == 13
    assert block.problems[0].reason == "y is 21, but the line before ended with 22: one of them is damaged"


@pytest.mark.parametrize("wrong", ["1A0J3j%", "1A0J2j%"])
def test_after_a_failed_check_the_differences_go_on_from_what_the_next_check_confirms(wrong: str) -> None:
    check = "4B9KL" if wrong == GOOD[0] else GOOD[1]
    block = only(written([wrong, check, GOOD[2]], 6))
    np.testing.assert_array_equal(block.tables[0].y[4:], [23, 26])


def test_a_missing_line_is_told_by_x_and_by_the_number_of_points() -> None:
    lines = encoded(range(100, 170), "SQZ", width=10)
    block = only(written([*lines[:3], *lines[4:]], 70))
    assert ("x-check", 15) in kinds(block)
    assert ("points", 11) in kinds(block)
    assert "70 points are stated, 60 were found" in next(p for p in block.problems if p.kind == "points").reason


def test_lines_that_count_points_evenly_but_not_from_first_to_last_x_are_one_problem() -> None:
    block = only(written(encoded(range(100, 170), "SQZ", width=10), 70, FIRSTX=16.0, LASTX=-4.0))
    assert [kind for kind, _ in kinds(block)] == ["x-scale"]
    np.testing.assert_allclose(block.tables[0].x[[0, -1]], [16, -4])


def test_x_of_a_line_may_be_rounded_as_its_digits_tell() -> None:
    n = 100
    x = np.linspace(4000, 450, n)
    lines = [f"{x[i]:.0f} " + " ".join("5" * 10) for i in range(0, n, 10)]
    assert not only(written(lines, n, FIRSTX=4000, LASTX=450)).problems


def test_one_point_too_many_is_told_where_x_is_written_in_full() -> None:
    block = only(written(["1 5 6 7", "3 8 9", "5 1"], 5))
    assert ("x-check", 13) in kinds(block)


@pytest.mark.parametrize("labels", [{"XFACTOR": 0}, {"FIRSTX": "1e999"}, {"XFACTOR": "1e300", "LASTX": "1e308"}])
def test_absurd_factors_and_ends_are_problems_and_no_warnings(labels: dict[str, object]) -> None:
    assert only(written(["1 5 6 7", "4 8 9"], 5, **labels)).problems


def test_a_character_that_is_no_digit_is_named_with_its_line() -> None:
    block = only(written(["1A0J2", "3A2&J"], 4))
    assert ("character", 13) in kinds(block)
    assert "'&'" in next(p.reason for p in block.problems if p.kind == "character")


def test_a_word_in_a_list_of_points_is_named_with_its_line() -> None:
    block = only("##TITLE=x\n##XYPOINTS=(XY..XY)\n1 2\n3 four\n5 6\n##END=\n")
    assert kinds(block) == [("character", 4)]
    np.testing.assert_array_equal(block.tables[0].y, [2, np.nan, 6])


def test_a_line_without_its_x_is_named() -> None:
    assert kinds(only(written(["1A0J2j%", "J2J", "6B6"], 6)))[0] == ("character", 13)


def test_a_file_that_is_cut_off_says_so(tmp_path: Path) -> None:
    text = written(encoded(range(100, 170), "DIF", width=10), 70)
    path = tmp_path / "cut.jdx"
    path.write_text(text[: len(text) // 2 + 60])
    (block,) = read_blocks(path)
    assert {kind for kind, _ in kinds(block)} >= {"points", "end"}
    refused = refusal(path, block)
    assert refused is not None
    assert refused.path == str(path)
    assert refused.line
    assert refused.record == "made up"


def test_a_block_that_is_not_closed_before_the_next_is_told() -> None:
    first = written(["1 5 6"], 2).removesuffix("##END=\n")
    one, two = parse_blocks(first + written(["1 5 6"], 2))
    assert [kind for kind, _ in kinds(one)] == ["end"]
    assert not two.problems
    assert len(two.tables) == 1


def test_data_in_an_unknown_form_are_left_out_and_told() -> None:
    block = only("##TITLE=x\n##XYDATA=XX\n1 2\n##END=\n")
    assert kinds(block) == [("form", 2)]
    assert not block.tables


def test_a_label_that_should_be_a_number_is_told() -> None:
    assert ("header", 11) in kinds(only(written(["1 5 6"], 2, NPOINTS="two")))


@pytest.mark.parametrize("digits", ["99999999999", "9" * 400])
def test_an_absurd_repetition_takes_no_memory(digits: str) -> None:
    block = only(written([f"1A0S{digits}"], 2))
    assert ("character", 12) in kinds(block)


def test_a_difference_behind_a_missing_value_is_told_and_the_next_line_is_read() -> None:
    block = only(written(["1A0?J", "3B1JJ"], 5))
    assert kinds(block) == [("character", 12)]
    np.testing.assert_array_equal(block.tables[0].y, [10, np.nan, np.nan, 22, 23])


def test_a_sound_block_is_not_refused() -> None:
    assert refusal("a.jdx", only(written(GOOD, 6))) is None


# Files


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x00\xff\x00"])
def test_a_file_without_labels_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jdx"
    path.write_bytes(content)
    with pytest.raises(ReadError, match="is it a JCAMP-DX file"):
        read_blocks(path)


def test_a_missing_file_and_damaged_gzip_are_read_errors(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="cannot be read"):
        read_blocks(tmp_path / "missing.jdx")
    path = tmp_path / "a.jdx.gz"
    path.write_bytes(gzip.compress(written(GOOD, 6).encode())[:-20])
    with pytest.raises(ReadError, match="cannot be read"):
        read_blocks(path)


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_any_line_ends_and_encodings_are_read(tmp_path: Path, ends: str, encoding: str) -> None:
    path = tmp_path / "a.jdx.gz"
    text = written(GOOD, 6, TITLE="20 °C").replace("\n", ends)
    path.write_bytes(gzip.compress(text.encode(encoding)))
    (block,) = read_blocks(path)
    assert block.title == "20 °C"
    assert not block.problems
    np.testing.assert_array_equal(block.tables[0].y, [10, 22, 21, 21, 23, 26])
