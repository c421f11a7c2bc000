"""From the text of a JCAMP-DX file to its blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from molvis_core.errors import ReadError
from molvis_files.jcamp.blocks import Block, Kind, Problem, Rows, Table, parse_number
from molvis_files.jcamp.header import beyond_ends, contradicts, split_by, y_scale
from molvis_files.jcamp.ordinates import SEPARATORS, Decoded, Packed, float_of, jumps_of, plain
from molvis_files.opening import read_text


def read_blocks(path: Path | str) -> tuple[Block, ...]:
    """Every outermost block of a file, gzip or not.

    Raises:
        ReadError: the file cannot be read, or holds no label at all. Whatever else is wrong is in `Block.problems`.
    """
    path = Path(path)
    blocks = parse_blocks(read_text(path))
    if not blocks:
        raise ReadError(path, "no label such as ##TITLE= in it; is it a JCAMP-DX file?", line=1)
    return blocks


_LABEL = re.compile(r"\s*##([^=]*)=(.*)", re.DOTALL)
_BARE_END = re.compile(r"\s*##\s*END\s*(?:NTUPLES\s*)?$", re.IGNORECASE)
_TABLES = ("XYDATA", "XYPOINTS", "PEAKTABLE", "PEAKASSIGNMENTS", "RADATA", "DATATABLE")
_DEEPEST = 32
_LISTS = ("SYMBOL", "VARDIM", "UNITS", "FIRST", "LAST", "FACTOR")


def normalise(label: str) -> str:
    """A label as the standard compares it: `Data Type`, `DATA_TYPE` and `DATA-TYPE` are `DATATYPE`."""
    name = re.sub(r"[\s\-/_]", "", label).upper()
    return {"PEAKASSIGNMENT": "PEAKASSIGNMENTS"}.get(name, name)


@np.errstate(all="ignore")  # factors of nothing and numbers without end are problems of the file, not warnings
def parse_blocks(text: str) -> tuple[Block, ...]:
    """Every outermost block of a file's text. See `read_blocks`."""
    top = _Open("", 0)
    stack = [top]
    last = 0
    for label, rows in _records(text):
        line = rows[0][0]
        last = max((n for n, text in rows if text.strip()), default=line)
        block = stack[-1]
        if label == "END":
            if len(stack) > 1:
                stack[-2].blocks.append(stack.pop().close())
        elif label == "TITLE":
            if block.waiting:
                # Only LINK blocks hold others, and they have no data: this one was not closed.
                block.fault("end", line, f"the block of line {block.line} has no ##END= before the next ##TITLE=")
                stack[-2].blocks.append(stack.pop().close())
            if len(stack) > _DEEPEST:
                reason = (
                    f"blocks lie within blocks more than {_DEEPEST} deep: ##END= are missing, or it is no real file"
                )
                stack[1].fault("depth", line, reason)
                stack[1].blocks.clear()
                return (stack[1].close(),)
            stack.append(_Open(_join(rows), line))
        elif len(stack) == 1 and top.blocks:
            continue  # behind the last block
        else:
            if len(stack) == 1:
                stack.append(_Open("", line))
            stack[-1].add(label, rows)
    while len(stack) > 1:
        block = stack[-1]
        reason = f"the file ends before the ##END= of the block of line {block.line}: it is cut off; get it whole"
        block.fault("end", last, reason)
        stack[-2].blocks.append(stack.pop().close())
    return tuple(top.blocks)


def _records(text: str) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """Normalised labels, each with the rest of its line and the lines behind it, without comments."""
    label, rows = "", list[tuple[int, str]]()
    # Not splitlines(), which also parts lines at characters that Latin-1 text may hold.
    for line, raw in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        found = _LABEL.match(raw) if "##" in raw else None
        if found is None and (raw.lstrip().startswith("##") and _BARE_END.match(raw)):
            found = _LABEL.match(raw + "=")
        if found:
            if rows:
                yield label, rows
            label, rows = normalise(found.group(1)), [(line, found.group(2).partition("$$")[0])]
        elif rows:
            rows.append((line, raw.partition("$$")[0]))
    if rows:
        yield label, rows


def _join(rows: Rows) -> str:
    return "\n".join(text.strip() for _, text in rows).strip()


@dataclass(frozen=True, eq=False, slots=True)
class _Waiting:
    """A table that is not decoded yet, with the labels before it."""

    label: str
    rows: Rows
    page: str | None
    paged: dict[str, str]
    labels: dict[str, str]


class _Open:
    """A block that is being read."""

    def __init__(self, title: str, line: int) -> None:
        self.title, self.line = title, line
        self.labels: dict[str, str] = {}
        self.tables: list[Table] = []
        self.blocks: list[Block] = []
        self.problems: list[Problem] = []
        self.doubts: list[Problem] = []
        self.waiting: list[_Waiting] = []
        self.page: str | None = None
        self.paged: dict[str, str] = {}

    def fault(self, kind: Kind, line: int, reason: str) -> None:
        self.problems.append(Problem(kind, line, reason))

    def close(self) -> Block:
        # Only now, as labels may stand behind the last table that they are about; those of earlier ones stand before.
        final = self.labels
        for waiting in self.waiting:
            self.page, self.paged = waiting.page, waiting.paged
            self.labels = final if waiting is self.waiting[-1] else waiting.labels
            if (table := self._table(waiting.label, waiting.rows)) is not None:
                self.tables.append(table)
        self.labels = final
        found = (self.title, self.labels, tuple(self.tables), tuple(self.blocks), tuple(self.problems), self.line)
        return Block(*found, tuple(self.doubts))

    def add(self, label: str, rows: Rows) -> None:
        if label in _TABLES:
            self.waiting.append(_Waiting(label, rows, self.page, self.paged, dict(self.labels)))
        elif label == "PAGE":
            self.page, self.paged = "".join(rows[0][1].split()), {}
        elif label == "ENDNTUPLES":
            self.page, self.paged = None, {}
        else:
            into = self.labels if self.page is None else self.paged
            if self.waiting and (problem := split_by(label, rows)):
                self.problems.append(problem)
            value = _join(rows)
            if (before := into.get(label)) and (problem := contradicts(label, before, value, rows[0][0])):
                self.problems.append(problem)
            into[label] = f"{into[label]}\n{value}" if into.get(label) else value

    def _label(self, name: str) -> str | None:
        return self.paged.get(name) or self.labels.get(name)

    def _number(self, name: str, line: int) -> float | None:
        text = self._label(name)
        value = parse_number(text)
        if text and value is None:
            problem = Problem("header", line, f"##{name}= must be a number, got {text.splitlines()[0]!r}")
            if problem not in self.problems:
                self.problems.append(problem)
        return value

    def _variable(self, name: str, line: int) -> dict[str, float | None]:
        """First, last, factor and number of values of a variable, as far as they are stated."""
        lists = self._lists()
        if name in lists.get("SYMBOL", ()):
            i = lists["SYMBOL"].index(name)
            cells = {key: lists[key][i] if i < len(lists.get(key, ())) else None for key in _LISTS[1:]}
            found = {
                "first": parse_number(cells["FIRST"]),
                "last": parse_number(cells["LAST"]),
                "factor": parse_number(cells["FACTOR"]),
            }
            stated = parse_number(self.paged.get("NPOINTS")) or parse_number(cells["VARDIM"])
            return {**found, "delta": None, "points": stated}
        return {
            "first": self._number(f"FIRST{name}", line),
            "last": self._number(f"LAST{name}", line),
            "factor": self._number(f"{name}FACTOR", line),
            "delta": self._number(f"DELTA{name}", line),
            "points": self._number("NPOINTS", line),
        }

    def _lists(self) -> dict[str, list[str]]:
        return {key: [cell.strip() for cell in (self._label(key) or "").split(",")] for key in _LISTS}

    def _units(self, name: str) -> str:
        lists = self._lists()
        if name in lists["SYMBOL"] and (i := lists["SYMBOL"].index(name)) < len(lists["UNITS"]):
            return lists["UNITS"][i]
        return (self._label(f"{name}UNITS") or "").partition("\n")[0]

    def _table(self, label: str, rows: Rows) -> Table | None:
        line, form = rows[0][0], rows[0][1].strip()
        data = [(n, text) for n, text in rows[1:] if text.strip()]
        if found := re.match(r"\(\s*(\w+)\s*\+\+\s*\(\s*(\w+)\s*\.\.", form):
            names = (found.group(1).upper(), found.group(2).upper())
            columns, encoding = self._series(names, data, line)
            texts: dict[str, tuple[str, ...]] = {}
        elif found := re.match(r"\(\s*(\w+)\s*(?:\.\.|\))", form):
            names, encoding = self._symbols(found.group(1).upper()), "AFFN"
            columns, texts = self._assignments(names, data) if "A" in names else (self._groups(names, data), {})
            if not label.startswith("PEAK"):
                columns = {name: column * self._factor(name, line) for name, column in columns.items()}
            groups = next(iter((*columns.values(), *texts.values())))
            self._count(len(groups), self._variable(names[-1], line), line)
            if label == "XYPOINTS" and len(names) == 2 and not self.problems:
                self._check_points(names, columns, line)
        else:
            self.fault("form", line, f"the form of the data must be (X++(Y..Y)) or (XY..XY), got {form!r}")
            return None
        units = {name: unit for name in names if (unit := self._units(name))}
        return Table(label, form, names, columns, texts, units, encoding, self.page or "", dict(self.paged), line)

    def _symbols(self, joined: str) -> tuple[str, ...]:
        """`XYW` to its letters, `F1F2Y` to what the list of symbols calls them."""
        known = sorted((s for s in self._lists()["SYMBOL"] if s), key=len, reverse=True)
        return tuple(re.findall("|".join([*map(re.escape, known), r"\w"]), joined))

    def _count(self, found: int, variable: Mapping[str, float | None], line: int, *, whole: bool = False) -> None:
        stated = variable["points"]
        if stated is not None and found != stated:
            cut = found < stated and not whole
            short = "the file is cut off or lines are missing; get it whole" if cut else "correct the number"
            if whole:
                short = f"x of the lines goes on evenly from the first x that is stated to the last; {short}"
            self.fault("points", line, f"{stated:.0f} points are stated, {found} were found: {short}")

    # (X++(Y..Y))

    def _series(self, names: tuple[str, str], rows: Rows, line: int) -> tuple[dict[str, Float[np.ndarray, " t"]], str]:
        x, y = self._variable(names[0], line), self._variable(names[1], line)
        decoded = plain(rows) or Packed(rows, self.problems).decoded
        values = np.array(decoded.values, dtype=np.float64)
        stated = x["points"] if y["points"] is None else y["points"]
        # A wrong number of points is told as such, and not as wrong ends besides.
        pace, whole = _pace(x, stated, decoded, len(values))
        self._count(len(values), {"points": stated}, line, whole=whole)
        if pace is None:
            axis = self._axis(names[0], x, stated, decoded, len(values), line)
        else:
            axis = self._axis(names[0], x | {"delta": pace}, None, decoded, len(values), line)
        values = values * (1.0 if y["factor"] is None else y["factor"])
        if (
            stated is None
            and not self.problems
            and (problem := beyond_ends(names[0], axis, x["first"], x["last"], line))
        ):
            self.problems.append(problem)
        if not self.problems:
            self._check_scale(values, line)
        return {names[0]: axis, names[1]: values}, decoded.encoding

    def _check_scale(self, y: Float[np.ndarray, " t"], line: int) -> None:
        """Whether FIRSTY, MAXY and MINY are of these values; lists of NTUPLES have them for each variable."""
        if self.page is None:
            labels = {name: self.labels.get(name, "") for name in ("FIRSTY", "MAXY", "MINY")}
            fatal, doubts = y_scale(y, labels, self.labels.get("YFACTOR"), line)
            self.problems += fatal
            self.doubts += doubts

    def _check_points(self, names: tuple[str, ...], columns: Mapping[str, Float[np.ndarray, " t"]], line: int) -> None:
        x = self._variable(names[0], line)
        if problem := beyond_ends(names[0], columns[names[0]], x["first"], x["last"], line):
            self.problems.append(problem)
        self._check_scale(columns[names[1]], line)

    def _axis(
        self,
        name: str,
        x: Mapping[str, float | None],
        stated: float | None,
        decoded: Decoded,
        n: int,
        line: int,
    ) -> Float[np.ndarray, " t"]:
        factor = 1.0 if x["factor"] is None else x["factor"]
        first, last = x["first"], x["last"]
        if first is None and decoded.starts:
            first = decoded.starts[0].abscissa * factor
        step = _step(first, last, x["delta"], stated, decoded, n, factor)
        if step is None and n > 1:
            self.fault("header", line, f"neither ##FIRST{name}= and ##LAST{name}= nor ##DELTA{name}=; add them")
        first, step = first or 0.0, step or 0.0
        self._check_axis(decoded, first, step, factor)
        if last is not None and n == stated and n > 1:
            return np.linspace(first, last, n)
        return first + step * np.arange(n)

    def _check_axis(self, decoded: Decoded, first: float, step: float, factor: float) -> None:
        """Whether each line begins as many steps behind the one before as that has points, and the labels agree."""
        starts = decoded.starts
        if not starts or not step:
            return
        x = np.array([s.abscissa for s in starts], dtype=np.float64) * factor
        points = np.array([s.index for s in starts])
        wanted = first + step * points
        digit = np.array([s.resolution for s in starts]) * abs(factor)
        # Where the digits written can represent the right x exactly, they must.
        slack = np.where(np.abs(wanted / digit - np.round(wanted / digit)) < 1e-6, 0, digit)
        pace = step
        jumps = jumps_of(x, points, pace, slack)
        # Where most lines jump by the labels, it is the labels that are wrong.
        ruled = len(jumps) <= len(x) // 2
        if not ruled:
            pace = float(np.median(np.diff(x) / np.maximum(np.diff(points), 1)))
            jumps = jumps_of(x, points, pace, slack)
        # LASTX is often that of the point behind the last, which is not worth a word.
        near = np.abs(x - wanted) <= 1.5 * abs(step) + digit
        if not ruled or not near[0] or (not len(jumps) and not near[-1]):
            found = f"{x[0]:.10g} to {x[-1]:.10g}, by the labels it goes from {wanted[0]:.10g} to {wanted[-1]:.10g}"
            reason = f"x of the lines goes from {found}: a factor, the first or the last x is wrong"
            self.fault("x-scale", starts[0].line, reason)
        for i in jumps:
            should = x[i - 1] + pace * (points[i] - points[i - 1])
            reason = f"x is {x[i]:.10g}, expected {should:.10g}: points are missing, doubled or damaged before"
            self.fault("x-check", starts[i].line, reason)

    # (XY..XY), (XYWA)

    def _groups(self, names: tuple[str, ...], rows: Rows) -> dict[str, Float[np.ndarray, " t"]]:
        try:
            values = [float_of(word) for _, text in rows for word in text.translate(SEPARATORS).split()]
        except ValueError:
            values = [v for row in rows for v in self._numbers(*row)]
        k = len(names)
        if len(values) % k:
            odd = (line for line, text in rows if len(text.translate(SEPARATORS).split()) % k)
            reason = f"{len(values)} numbers are no multiple of {k}: one is missing or the file is cut off"
            self.fault("points", next(odd, rows[-1][0]), reason)
        table = np.array(values[: len(values) // k * k], dtype=np.float64).reshape(-1, k)
        return {name: table[:, i].copy() for i, name in enumerate(names)}

    def _factor(self, name: str, line: int) -> float:
        factor = self._variable(name, line)["factor"]
        return 1.0 if factor is None else factor

    def _numbers(self, line: int, text: str) -> Iterator[float]:
        for word in text.translate(SEPARATORS).split():
            try:
                yield float_of(word)
            except ValueError:
                self.fault("character", line, f"{word!r} is not a number")
                yield np.nan

    def _assignments(
        self, names: tuple[str, ...], rows: Rows
    ) -> tuple[dict[str, Float[np.ndarray, " t"]], dict[str, tuple[str, ...]]]:
        """`(1.0, 2.0, <C3>)`: what is left out before the assignment is NaN, or an empty word."""
        cells: list[list[str]] = []
        for head, words in re.findall(r"([^<>]*)<([^>]*)>", "\n".join(text for _, text in rows)):
            given = [cell.strip() for cell in head.strip(" \t\n(),;").split(",")]
            cells.append([*(given + [""] * len(names))[: len(names) - 1], " ".join(words.split())])
        texts = {n: tuple(c[i] for c in cells) for i, n in enumerate(names) if n in "AM"}
        line = rows[0][0] if rows else self.line
        columns: dict[str, Float[np.ndarray, " t"]] = {}
        for i, name in enumerate(names):
            if name not in texts:
                column = [next(self._numbers(line, c[i]), np.nan) for c in cells]
                columns[name] = np.array(column, dtype=np.float64)
        return columns, texts


def _step(
    first: float | None,
    last: float | None,
    delta: float | None,
    stated: float | None,
    decoded: Decoded,
    n: int,
    factor: float,
) -> float | None:
    """From one point to the next: from first, last and the stated number, DELTAX, the points found, or the lines."""
    ends = None if first is None or last is None else last - first
    if ends is not None and stated is not None and stated > 1:
        return ends / (stated - 1)
    if delta is not None:
        return delta
    if ends is not None and n > 1:
        return ends / (n - 1)
    if len(decoded.starts) > 1 and (apart := decoded.starts[-1].index - decoded.starts[0].index) > 0:
        return (decoded.starts[-1].abscissa - decoded.starts[0].abscissa) * factor / apart
    return None


def _pace(x: Mapping[str, float | None], stated: float | None, decoded: Decoded, n: int) -> tuple[float | None, bool]:
    """The step of evenly spaced lines where the number of points that is stated is not that of the points found.

    Returns:
        The step, None where there is none or nothing is wrong; and whether the lines reach from the first x that is
        stated to the last.
    """
    starts, first, last = decoded.starts, x["first"], x["last"]
    if n == stated or first is None or min(n, len(starts)) < 3 or (stated is None and x["delta"] is not None):
        return None, False
    factor = 1.0 if x["factor"] is None else x["factor"]
    begin = np.array([s.abscissa for s in starts], dtype=np.float64) * factor
    points = np.array([s.index for s in starts])
    digit = float(max(s.resolution for s in starts)) * abs(factor)

    def even(step: float) -> bool:
        # Coarser digits would let a line that is a point off pass for an even one.
        return bool(np.abs(begin - first - step * points).max() <= min(digit, abs(step) / 4))

    if last is not None and even(step := (last - first) / (n - 1)):
        return step, True
    step = float(np.divide(begin[-1] - begin[0], points[-1] - points[0]))
    return (step, False) if even(step) else (None, False)
