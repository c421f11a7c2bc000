"""What the labels of a JCAMP-DX block say about its data."""

from __future__ import annotations

import pytest

from molvis_files.jcamp import Block, parse_blocks


def block_of(*lines: str) -> Block:
    head = ("##TITLE=x", "##DATA TYPE=INFRARED SPECTRUM", "##XUNITS=1/CM", "##YUNITS=ABSORBANCE")
    (block,) = parse_blocks("\n".join((*head, *lines, "##END=")))
    return block


ROWS = ("400 1 2 3", "403 4 5 6", "406 7 8 9")


@pytest.mark.parametrize("depth", [40, 1000, 100_000])
def test_blocks_within_blocks_without_end_are_one_problem(depth: int) -> None:
    (block,) = parse_blocks("##TITLE=a\n##DATA TYPE=LINK\n" * depth + "##END=\n" * depth)
    assert [(p.kind, p.line) for p in block.problems] == [("depth", 65)]
    assert "more than 32 deep" in block.problems[0].reason
    assert block.blocks == ()


def test_thirty_blocks_within_each_other_are_read() -> None:
    inner = "##TITLE=x\n##XYDATA=(X++(Y..Y))\n1 2 3\n##DELTAX=1\n##END=\n"
    (block,) = parse_blocks("##TITLE=a\n##DATA TYPE=LINK\n" * 30 + inner + "##END=\n" * 30)
    assert [t.y.tolist() for b in block.walk() for t in b.tables] == [[2, 3]]


def test_a_number_of_points_behind_the_data_is_checked() -> None:
    labels = ("##FIRSTX=400", "##LASTX=408", "##XYDATA=(X++(Y..Y))", *ROWS)
    assert block_of(*labels, "##NPOINTS=9").problems == ()
    (problem,) = block_of(*labels, "##NPOINTS=12").problems
    assert (problem.kind, problem.reason[:38]) == ("points", "12 points are stated, 9 were found: x ")


@pytest.mark.parametrize("stated", [7, 8, 12])
def test_a_wrong_number_of_points_is_told_alone(stated: int) -> None:
    """Labels and lines agree on all else: neither a factor nor an end is wrong, and nothing is cut off."""
    block = block_of(f"##NPOINTS={stated}", "##FIRSTX=400", "##LASTX=408", "##XYDATA=(X++(Y..Y))", *ROWS)
    (problem,) = block.problems
    assert problem.kind == "points"
    assert problem.reason.startswith(f"{stated} points are stated, 9 were found: x of the lines goes on evenly")
    assert problem.reason.endswith("correct the number")
    assert block.tables[0].x.tolist() == list(range(400, 409))


def test_lines_missing_in_the_middle_are_told_where() -> None:
    rows = [f"{400 + 3 * i} 1 2 3" for i in range(6) if i != 3]
    problems = block_of("##NPOINTS=18", "##FIRSTX=400", "##LASTX=417", "##XYDATA=(X++(Y..Y))", *rows).problems
    assert [one.kind for one in problems] == ["points", "x-check"]
    assert "the file is cut off or lines are missing" in problems[0].reason
    assert problems[1].reason.startswith("x is 412, expected 409")


def test_a_cut_file_without_a_number_of_points_is_told_as_cut() -> None:
    rows = [f"{400 + 3 * i} 1 2 3" for i in range(4)]
    (problem,) = block_of("##FIRSTX=400", "##LASTX=430", "##XYDATA=(X++(Y..Y))", *rows).problems
    assert problem.kind == "points"
    assert problem.reason.startswith("x of the 12 points found goes from 400 to 411, by ##FIRSTX= and ##LASTX= from")


def test_a_label_behind_one_table_and_before_another_is_of_the_second() -> None:
    first = ("##PEAK TABLE=(XY..XY)", "400, 1 402, 2")
    block = block_of(*first, "##NPOINTS=9", "##FIRSTX=400", "##LASTX=408", "##XYDATA=(X++(Y..Y))", *ROWS)
    assert block.problems == ()
    assert [len(t.x) for t in block.tables] == [2, 9]


def test_a_label_of_a_number_within_the_data_is_told_with_how_much_it_hides() -> None:
    labels = ("##FIRSTX=400", "##LASTX=408", "##XYDATA=(X++(Y..Y))", ROWS[0], "##NPOINTS=3", *ROWS[1:])
    problems = block_of(*labels).problems
    assert problems[0].kind == "header"
    assert problems[0].reason.startswith(
        "##NPOINTS= stands within the data, so that 2 lines from 10 on are in no table"
    )


def test_a_number_that_is_stated_twice_and_differently_is_told() -> None:
    labels = ("##NPOINTS=9", "##NPOINTS=12", "##FIRSTX=400", "##LASTX=408", "##XYDATA=(X++(Y..Y))", *ROWS)
    assert "##NPOINTS= is 12 here and was 9 before" in block_of(*labels).problems[0].reason
    assert block_of("##NPOINTS=9", "##NPOINTS=9.0", *labels[2:]).problems == ()


@pytest.mark.parametrize("delta", [(), ("##DELTAX=1",)])
def test_data_cut_off_without_a_number_of_points_contradict_the_last_x(delta: tuple[str, ...]) -> None:
    labels = (*delta, "##FIRSTX=400", "##LASTX=408", "##XYDATA=(X++(Y..Y))")
    assert block_of(*labels, *ROWS).problems == ()
    # Programs that state the point behind the last one are believed.
    assert block_of(*delta, "##FIRSTX=400", "##LASTX=409", "##XYDATA=(X++(Y..Y))", *ROWS).problems == ()
    (problem,) = block_of(*labels, *ROWS[:2]).problems
    assert problem.kind in ("points", "x-scale", "x-check")
    assert problem.kind == "x-check" or "408" in problem.reason
    pairs = [f"{400 + i}, {i}" for i in range(5)]
    (cut,) = block_of("##FIRSTX=400", "##LASTX=408", "##XYPOINTS=(XY..XY)", *pairs).problems
    assert (cut.kind, cut.reason[:33]) == ("points", "x of the 5 points found goes from")


@pytest.mark.parametrize(
    ("stated", "factor", "said"),
    [
        ({"FIRSTY": "0.1", "MAXY": "0.9", "MINY": "0.1"}, None, "##YFACTOR= is missing"),
        ({"FIRSTY": "0.1", "MAXY": "0.9", "MINY": "0.1"}, "0.2", "##YFACTOR=0.2 is wrong"),
        ({"MAXY": "1800", "MINY": "200"}, "0.2", "##YFACTOR=0.2 is wrong"),
    ],
)
def test_a_factor_that_first_highest_and_lowest_y_contradict_is_a_problem_with_both_numbers(
    stated: dict[str, str], factor: str | None, said: str
) -> None:
    labels = [f"##{k}={v}" for k, v in stated.items()] + ([f"##YFACTOR={factor}"] if factor else [])
    table = ("##NPOINTS=9", "##FIRSTX=400", "##LASTX=408", "##XYDATA=(X++(Y..Y))", *ROWS)
    (problem,) = block_of(*labels, *table).problems
    assert problem.kind == "y-scale"
    assert said in problem.reason
    highest = 9 * float(factor or 1)
    assert f"##MAXY= is {float(stated['MAXY']):.6g}, the data have {highest:.6g}" in problem.reason


@pytest.mark.parametrize(
    ("stated", "doubts"),
    [
        ({"FIRSTY": "1", "MAXY": "9", "MINY": "1"}, 0),
        ({"FIRSTY": "1.00", "MAXY": "9.08", "MINY": "1"}, 0),  # rounded or written before packing
        ({"FIRSTY": "0", "MAXY": "9", "MINY": "1"}, 1),
        ({"MAXY": "5"}, 1),
        ({"FIRSTY": "100", "MAXY": "900", "MINY": "100"}, 1),  # percent
    ],
)
def test_what_may_be_a_slip_of_the_header_is_a_doubt(stated: dict[str, str], doubts: int) -> None:
    table = ("##NPOINTS=9", "##FIRSTX=400", "##LASTX=408", "##XYDATA=(X++(Y..Y))", *ROWS)
    block = block_of(*(f"##{k}={v}" for k, v in stated.items()), *table)
    assert (block.problems, len(block.doubts)) == ((), doubts)
    assert block.tables[0].y.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
