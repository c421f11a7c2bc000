"""JCAMP-DX: every form of data that its standards know, decoded and checked.

It is in core because plugins for infrared, Raman, NMR and mass spectra all meet these files. What a file says is given
back as it says it, after the factors; only readers turn it into a modality's units. A file that is damaged is decoded
as far as it goes, and each fault is a `Problem` with its line: whoever needs sound data refuses a block that has any,
with `refusal`.

References: R. S. McDonald and P. A. Wilks, Appl. Spectrosc. 42 (1988) 151, doi:10.1366/0003702884428734 (4.24, infrared
and Raman); A. N. Davies and P. Lampen, Appl. Spectrosc. 47 (1993) 1093, doi:10.1366/0003702934067874 (5.00, NMR and
NTUPLES); P. Lampen et al., Appl. Spectrosc. 48 (1994) 1545, doi:10.1366/0003702944027840 (mass spectra).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from molvis_core.errors import ReadError
from molvis_files.opening import read_text

Kind = Literal["character", "y-check", "x-check", "x-scale", "points", "form", "header", "end"]


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault of a file.

    Attributes:
        kind: `character` (no digit of any form), `y-check` and `x-check` (a line does not continue the one before),
            `x-scale` (the lines count x evenly, but not from FIRSTX to LASTX), `points` (not as many as stated), `form`
            (data in a form that no standard knows), `header` (a label is missing or is no number), `end` (no ##END=).
        line: counted from 1.
        reason: what was found, and what to do where something can be done.
    """

    kind: Kind
    line: int
    reason: str


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """One table of data: of an ordinary block, or one page of NTUPLES.

    Attributes:
        label: the label that it follows: `XYDATA`, `XYPOINTS`, `PEAKTABLE`, `PEAKASSIGNMENTS`, `RADATA`, `DATATABLE`.
        form: such as `(X++(Y..Y))`.
        symbols: of its variables in order, such as `X`, `Y`; real and imaginary parts of NMR are `R` and `I`.
        columns: numbers by symbol, all of one length, multiplied by their factors (lists of peaks have none). A value
            that the file marks as missing with `?` is NaN.
        texts: words by symbol: assignments and multiplicities.
        units: by symbol, as stated.
        encoding: `AFFN`, `PAC`, `SQZ`, `DIF`, the last two perhaps with `+DUP`; of mixtures the most packed.
        page: what its page is about, such as `N=1` or `F1=7.76`; empty outside NTUPLES.
        labels: of the page, by normalised name.
        line: where it begins.
    """

    label: str
    form: str
    symbols: tuple[str, ...]
    columns: Mapping[str, Float[np.ndarray, " t"]]
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    encoding: str = "AFFN"
    page: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    line: int = 0

    @property
    def x(self) -> Float[np.ndarray, " t"]:
        """The first variable."""
        return self.columns[self.symbols[0]]

    @property
    def y(self) -> Float[np.ndarray, " t"]:
        """The second variable.

        Raises:
            KeyError: the table has none, or it holds words.
        """
        return self.columns[self.symbols[1]]


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """What stands between ##TITLE= and ##END=.

    Attributes:
        title: of the block.
        labels: values by normalised name: upper case, without spaces, dashes, slashes and underscores, such as
            `DATATYPE`; a private label keeps its `$`, one of a technique its `.`. Comments are left out. Values of a
            label that is repeated stand on lines of their own.
        tables: of data, in the file's order.
        blocks: that it holds, of a LINK block.
        problems: that were found in it.
        line: where it begins.
    """

    title: str
    labels: Mapping[str, str]
    tables: tuple[Table, ...]
    blocks: tuple[Block, ...]
    problems: tuple[Problem, ...]
    line: int

    @property
    def data_type(self) -> str:
        """`INFRARED SPECTRUM`, `NMR FID`, `LINK`, ...: upper case, single spaces; empty where it is not stated."""
        return " ".join(self.labels.get("DATATYPE", "").partition("\n")[0].upper().split())

    def walk(self) -> Iterator[Block]:
        """This block and all that it holds, in the file's order."""
        waiting: list[Block] = [self]
        while waiting:
            block = waiting.pop()
            yield block
            waiting += reversed(block.blocks)


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


def refusal(path: Path | str, block: Block) -> ReadError | None:
    """Why a block cannot be trusted: its first problem as an error with file and line; None where it has none."""
    if not block.problems:
        return None
    # Another problem often says where the points went.
    first = min(block.problems, key=lambda p: (p.kind == "points", p.line))
    more = f" ({len(block.problems) - 1} more problems)" if len(block.problems) > 1 else ""
    return ReadError(path, f"{first.reason}{more}", line=first.line, record=block.title or None)


def parse_number(text: str | None) -> float | None:
    """The number that a label's value begins with; None where there is none."""
    found = re.match(rf"\s*({_NUMBER})", text or "")
    return float(found.group(1)) if found else None


# What a file is made of

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[Ee][+-]?\d+)?"
_LABEL = re.compile(r"\s*##([^=]*)=(.*)", re.DOTALL)
_BARE_END = re.compile(r"\s*##\s*END\s*(?:NTUPLES\s*)?$", re.IGNORECASE)
_TABLES = ("XYDATA", "XYPOINTS", "PEAKTABLE", "PEAKASSIGNMENTS", "RADATA", "DATATABLE")
_LISTS = ("SYMBOL", "VARDIM", "UNITS", "FIRST", "LAST", "FACTOR")

Rows = Sequence[tuple[int, str]]
"""Numbers of lines and what stands on them."""


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
            if block.tables:
                # Only LINK blocks hold others, and they have no data: this one was not closed.
                block.fault("end", line, f"the block of line {block.line} has no ##END= before the next ##TITLE=")
                stack[-2].blocks.append(stack.pop().close())
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


class _Open:
    """A block that is being read."""

    def __init__(self, title: str, line: int) -> None:
        self.title, self.line = title, line
        self.labels: dict[str, str] = {}
        self.tables: list[Table] = []
        self.blocks: list[Block] = []
        self.problems: list[Problem] = []
        self.page: str | None = None
        self.paged: dict[str, str] = {}

    def fault(self, kind: Kind, line: int, reason: str) -> None:
        self.problems.append(Problem(kind, line, reason))

    def close(self) -> Block:
        found = (self.title, self.labels, tuple(self.tables), tuple(self.blocks), tuple(self.problems), self.line)
        return Block(*found)

    def add(self, label: str, rows: Rows) -> None:
        if label in _TABLES:
            if (table := self._table(label, rows)) is not None:
                self.tables.append(table)
        elif label == "PAGE":
            self.page, self.paged = "".join(rows[0][1].split()), {}
        elif label == "ENDNTUPLES":
            self.page, self.paged = None, {}
        else:
            into = self.labels if self.page is None else self.paged
            value = _join(rows)
            into[label] = f"{into[label]}\n{value}" if into.get(label) else value

    def _label(self, name: str) -> str | None:
        return self.paged.get(name) or self.labels.get(name)

    def _number(self, name: str, line: int) -> float | None:
        text = self._label(name)
        value = parse_number(text)
        if text and value is None:
            problem = Problem("header", line, f"##{name}= is {text.splitlines()[0]!r}; a number is wanted")
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
        else:
            self.fault("form", line, f"data in the form {form!r}; (X++(Y..Y)) or (XY..XY) is wanted")
            return None
        units = {name: unit for name in names if (unit := self._units(name))}
        return Table(label, form, names, columns, texts, units, encoding, self.page or "", dict(self.paged), line)

    def _symbols(self, joined: str) -> tuple[str, ...]:
        """`XYW` to its letters, `F1F2Y` to what the list of symbols calls them."""
        known = sorted((s for s in self._lists()["SYMBOL"] if s), key=len, reverse=True)
        return tuple(re.findall("|".join([*map(re.escape, known), r"\w"]), joined))

    def _count(self, found: int, variable: Mapping[str, float | None], line: int) -> None:
        stated = variable["points"]
        if stated is not None and found != stated:
            short = "the file is cut off or lines are missing; get it whole" if found < stated else "correct the number"
            self.fault("points", line, f"{stated:.0f} points are stated, {found} were found: {short}")

    # (X++(Y..Y))

    def _series(self, names: tuple[str, str], rows: Rows, line: int) -> tuple[dict[str, Float[np.ndarray, " t"]], str]:
        x, y = self._variable(names[0], line), self._variable(names[1], line)
        decoded = _plain(rows) or _Packed(rows, self.problems).decoded
        values = np.array(decoded.values, dtype=np.float64)
        stated = x["points"] if y["points"] is None else y["points"]
        self._count(len(values), {"points": stated}, line)
        axis = self._axis(names[0], x, stated, decoded, len(values), line)
        return {names[0]: axis, names[1]: values * (1.0 if y["factor"] is None else y["factor"])}, decoded.encoding

    def _axis(
        self,
        name: str,
        x: Mapping[str, float | None],
        stated: float | None,
        decoded: _Decoded,
        n: int,
        line: int,
    ) -> Float[np.ndarray, " t"]:
        factor = 1.0 if x["factor"] is None else x["factor"]
        first, last, step = x["first"], x["last"], None
        if first is None and decoded.starts:
            first = decoded.starts[0].abscissa * factor
        if first is not None and last is not None and stated is not None and stated > 1:
            step = (last - first) / (stated - 1)
        elif x["delta"] is not None:
            step = x["delta"]
        elif first is not None and last is not None and n > 1:
            step = (last - first) / (n - 1)
        elif len(decoded.starts) > 1 and (apart := decoded.starts[-1].index - decoded.starts[0].index) > 0:
            step = (decoded.starts[-1].abscissa - decoded.starts[0].abscissa) * factor / apart
        elif n > 1:
            self.fault("header", line, f"neither ##FIRST{name}= and ##LAST{name}= nor ##DELTA{name}=; add them")
        first, step = 0.0 if first is None else first, step or 0.0
        self._check_axis(decoded, first, step, factor)
        if last is not None and n == stated and n > 1:
            return np.linspace(first, last, n)
        return first + step * np.arange(n)

    def _check_axis(self, decoded: _Decoded, first: float, step: float, factor: float) -> None:
        """Whether each line begins as many steps behind the one before as that has points, and the labels agree."""
        starts = decoded.starts
        if not starts or not step:
            return
        x = np.array([s.abscissa for s in starts], dtype=np.float64) * factor
        points = np.array([s.index for s in starts])
        wanted = first + step * points
        digit = np.array([s.resolution for s in starts]) * abs(factor)
        # Where the digits written can tell the right x exactly, they must.
        slack = np.where(np.abs(wanted / digit - np.round(wanted / digit)) < 1e-6, 0, digit)
        pace = step
        jumps = _jumps(x, points, pace, slack)
        # Where most lines jump by the labels, it is the labels that are wrong.
        ruled = len(jumps) <= len(x) // 2
        if not ruled:
            pace = float(np.median(np.diff(x) / np.maximum(np.diff(points), 1)))
            jumps = _jumps(x, points, pace, slack)
        # LASTX is often that of the point behind the last, which is not worth a word.
        near = np.abs(x - wanted) <= 1.5 * abs(step) + digit
        if not ruled or not near[0] or (not len(jumps) and not near[-1]):
            found = f"{x[0]:.10g} to {x[-1]:.10g}, by the labels it goes from {wanted[0]:.10g} to {wanted[-1]:.10g}"
            reason = f"x of the lines goes from {found}: a factor, the first or the last x is wrong"
            self.fault("x-scale", starts[0].line, reason)
        for i in jumps:
            should = x[i - 1] + pace * (points[i] - points[i - 1])
            reason = f"x is {x[i]:.10g}, wanted {should:.10g}: points are missing, doubled or damaged before"
            self.fault("x-check", starts[i].line, reason)

    # (XY..XY), (XYWA)

    def _groups(self, names: tuple[str, ...], rows: Rows) -> dict[str, Float[np.ndarray, " t"]]:
        try:
            values = [_float(word) for _, text in rows for word in text.translate(_SEPARATORS).split()]
        except ValueError:
            values = [v for row in rows for v in self._numbers(*row)]
        k = len(names)
        if len(values) % k:
            odd = (line for line, text in rows if len(text.translate(_SEPARATORS).split()) % k)
            reason = f"{len(values)} numbers are no multiple of {k}: one is missing or the file is cut off"
            self.fault("points", next(odd, rows[-1][0]), reason)
        table = np.array(values[: len(values) // k * k], dtype=np.float64).reshape(-1, k)
        return {name: table[:, i].copy() for i, name in enumerate(names)}

    def _factor(self, name: str, line: int) -> float:
        factor = self._variable(name, line)["factor"]
        return 1.0 if factor is None else factor

    def _numbers(self, line: int, text: str) -> Iterator[float]:
        for word in text.translate(_SEPARATORS).split():
            try:
                yield _float(word)
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


# Ordinates

_SEPARATORS = str.maketrans(",;()", "    ")
_ONLY_AFFN = re.compile(r"[\d\s.,;+\-Ee?]*")
# An exponent has its sign, or what stands before it a point: in 4E04 a second number begins at E, which is a 5.
_SQUEEZED = re.compile(r"(?<![\d.])\d+[Ee]\d")
_ABSOLUTE = {c: f"{d:+d}" for c, d in zip("@ABCDEFGHIabcdefghi", (*range(10), *range(-1, -10, -1)), strict=True)}
_DIFFERENCE = {c: f"{d:+d}" for c, d in zip("%JKLMNOPQRjklmnopqr", (*range(10), *range(-1, -10, -1)), strict=True)}
_REPEAT = {c: str(d) for d, c in enumerate("STUVWXYZs", start=1)}
_TOKEN = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[Ee][+-]\d+)?)|([@A-I%J-RS-Za-s])(\d*(?:\.\d+)?)|(\?)|([^\s,;])")
_MOST = 1 << 24
"""Points of a table: a few characters can ask for any number of repetitions."""


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a line begins: its number, x as written, the last digit's worth, and which point it is."""

    line: int
    abscissa: float
    resolution: float
    index: int


@dataclass(frozen=True, slots=True)
class _Decoded:
    values: Sequence[float]
    starts: Sequence[_Start]
    encoding: str


def _float(word: str) -> float:
    """Raises ValueError also for what Python takes as a number and the standard does not."""
    if word == "?":
        return np.nan
    if not _ONLY_AFFN.fullmatch(word):
        raise ValueError(word)
    return float(word)


def _resolution(word: str) -> float:
    digits, _, exponent = word.upper().partition("E")
    return float(f"1e{int(exponent or 0) - len(digits.partition('.')[2])}")


def _jumps(
    x: Float[np.ndarray, " s"], points: Int[np.ndarray, " s"], step: float, slack: Float[np.ndarray, " s"]
) -> Int[np.ndarray, " j"]:
    """Lines that do not continue the one before, by half a step and by more than the digits written can tell."""
    off = np.abs(np.diff(x) - step * np.diff(points))
    return np.flatnonzero(~(off <= abs(step) / 2 + slack[1:] + slack[:-1])) + 1


def _plain(rows: Rows) -> _Decoded | None:
    """Numbers with separators between them; None where they are packed."""
    values: list[float] = []
    starts: list[_Start] = []
    for line, text in rows:
        words = text.replace(",", " ").replace(";", " ").split()
        if not _ONLY_AFFN.fullmatch(text) or _SQUEEZED.search(text) or not words or words[0] == "?":
            return None
        try:
            starts.append(_Start(line, float(words[0]), _resolution(words[0]), len(values)))
            values.extend(np.nan if word == "?" else float(word) for word in words[1:])
        except ValueError:
            return None
    return _Decoded(values, starts, "AFFN")


class _Packed:
    """PAC, SQZ, DIF, DUP and mixtures of them, with the checks that DIF brings.

    Where a check fails, either it is damaged or a difference before it. The next check tells: until then the
    differences go on from what the line before ended with, and are corrected where the next check says so.
    """

    def __init__(self, rows: Rows, problems: list[Problem]) -> None:
        self.values: list[float] = []
        self.starts: list[_Start] = []
        self.problems = problems
        self.last: float = 0
        self.difference: float = 0
        self.differs = False
        self.offset: float | None = None
        self.since = 0
        self.seen: set[str] = set()
        for line, text in rows:
            self._line(line, text)
        packed = next((form for form in ("DIF", "SQZ") if form in self.seen), "PAC")
        self.decoded = _Decoded(self.values, self.starts, packed + "+DUP" * ("DUP" in self.seen))

    def _line(self, line: int, text: str) -> None:
        check, place = self.differs, 0
        for word, letter, digits, missing, odd in _TOKEN.findall(text):
            if odd:
                reason = f"{odd!r} is no digit of any form of data (AFFN, PAC, SQZ, DIF, DUP)"
                self.problems.append(Problem("character", line, reason))
                continue
            place += 1
            if place == 1 and (word or letter in _ABSOLUTE):
                x = word or _ABSOLUTE[letter] + digits
                self.starts.append(_Start(line, float(x), _resolution(x), len(self.values) - check))
            elif place == 1:
                reason = f"the line begins with {missing or letter + digits!r}; x in plain digits is wanted"
                self.problems.append(Problem("character", line, reason))
                return
            elif letter in _REPEAT:
                self._repeat(line, _REPEAT[letter] + digits)
            elif letter in _DIFFERENCE:
                self.seen.add("DIF")
                if not self.differs and math.isnan(self.last):
                    reason = "a difference follows a missing value, from which nothing can be told"
                    self.problems.append(Problem("character", line, reason))
                self.difference, self.differs = _number(_DIFFERENCE[letter] + digits), True
                self.last += self.difference
                self.values.append(self.last)
            else:
                if letter:
                    self.seen.add("SQZ")
                value = np.nan if missing else _number(word or _ABSOLUTE[letter] + digits)
                if place == 2 and check:
                    self._check(line, value)
                else:
                    self.last, self.offset = value, None
                    self.values.append(value)
                self.differs = False

    def _check(self, line: int, value: float) -> None:
        off = value - self.last
        if math.isnan(self.last):
            self.last = value
        elif _same(off, 0, value):
            self.offset = None
        elif self.offset is not None and _same(off, self.offset, value):
            self.values[self.since :] = [v + off for v in self.values[self.since :]]
            self.last, self.offset = value, None
        else:
            reason = f"y is {value:.10g}, but the line before ended with {self.last:.10g}: one of them is damaged"
            self.problems.append(Problem("y-check", line, reason))
            self.offset, self.since = off, len(self.values)

    def _repeat(self, line: int, digits: str) -> None:
        more = int(min(_number(digits), 2 * _MOST)) - 1
        self.seen.add("DUP")
        if not self.values or more < 0 or len(self.values) + more > _MOST:
            self.problems.append(Problem("character", line, f"a value cannot be repeated {digits} times here"))
        elif self.differs:
            repeated = itertools.accumulate(itertools.repeat(self.difference, more), initial=self.last)
            next(repeated)
            self.values.extend(repeated)
            self.last = self.values[-1]
        else:
            self.values.extend(itertools.repeat(self.last, more))


def _number(text: str) -> float:
    # Whole numbers add up without rounding, so that checks can be exact.
    return int(text) if len(text) < 16 and "." not in text and "E" not in text.upper() else float(text)


def _same(a: float, b: float, size: float) -> bool:
    """Whole numbers must agree; sums of others may have been rounded."""
    return a == b or (isinstance(a, float) and abs(a - b) <= 1e-9 * abs(size))
