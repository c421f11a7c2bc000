"""Ordinates in every form of the standard: AFFN, PAC, SQZ, DIF and DUP (Appl. Spectrosc. 42 (1988) 151)."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from molvis_files.jcamp.blocks import Problem, Rows

SEPARATORS = str.maketrans(",;()", "    ")
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
class Start:
    """Where a line begins: its number, x as written, the last digit's worth, and which point it is."""

    line: int
    abscissa: float
    resolution: float
    index: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the lines of a table hold.

    Attributes:
        values: as written, without factor.
        starts: where each line begins.
        encoding: as in `molvis_files.jcamp.Table`.
    """

    values: Sequence[float]
    starts: Sequence[Start]
    encoding: str


def float_of(word: str) -> float:
    """Raises ValueError also for what Python takes as a number and the standard does not."""
    if word == "?":
        return np.nan
    if not _ONLY_AFFN.fullmatch(word):
        raise ValueError(word)
    return float(word)


def _resolution(word: str) -> float:
    digits, _, exponent = word.upper().partition("E")
    return float(f"1e{int(exponent or 0) - len(digits.partition('.')[2])}")


def jumps_of(
    x: Float[np.ndarray, " s"], points: Int[np.ndarray, " s"], step: float, slack: Float[np.ndarray, " s"]
) -> Int[np.ndarray, " j"]:
    """Lines that do not continue the one before, by half a step and by more than the digits written resolve."""
    off = np.abs(np.diff(x) - step * np.diff(points))
    return np.flatnonzero(~(off <= abs(step) / 2 + slack[1:] + slack[:-1])) + 1


def plain(rows: Rows) -> Decoded | None:
    """Numbers with separators between them; None where they are packed."""
    values: list[float] = []
    starts: list[Start] = []
    for line, text in rows:
        words = text.replace(",", " ").replace(";", " ").split()
        if not _ONLY_AFFN.fullmatch(text) or _SQUEEZED.search(text) or not words or words[0] == "?":
            return None
        try:
            starts.append(Start(line, float(words[0]), _resolution(words[0]), len(values)))
            values.extend(np.nan if word == "?" else float(word) for word in words[1:])
        except ValueError:
            return None
    return Decoded(values, starts, "AFFN")


class Packed:
    """PAC, SQZ, DIF, DUP and mixtures of them, with the checks that DIF brings.

    Where a check fails, either it is damaged or a difference before it. The next check decides: until then the
    differences go on from what the line before ended with, and are corrected where the next check shows an error.
    """

    def __init__(self, rows: Rows, problems: list[Problem]) -> None:
        self.values: list[float] = []
        self.starts: list[Start] = []
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
        self.decoded = Decoded(self.values, self.starts, packed + "+DUP" * ("DUP" in self.seen))

    def _line(self, line: int, text: str) -> None:
        check, place = self.differs, 0
        for word, letter, digits, missing, odd in _TOKEN.findall(text):
            if odd:
                self._fault(line, f"{odd!r} is no digit of any form of data (AFFN, PAC, SQZ, DIF, DUP)")
                continue
            place += 1
            if place == 1:
                if not (word or letter in _ABSOLUTE):
                    found = missing or letter + digits
                    self._fault(line, f"the line begins with {found!r}; it must begin with x in plain digits")
                    return
                x = word or _ABSOLUTE[letter] + digits
                self.starts.append(Start(line, float(x), _resolution(x), len(self.values) - check))
            elif letter in _REPEAT:
                self._repeat(line, _REPEAT[letter] + digits)
            elif letter in _DIFFERENCE:
                self._differ(line, _DIFFERENCE[letter] + digits)
            else:
                self.seen |= {"SQZ"} if letter else set()
                value = np.nan if missing else _number(word or _ABSOLUTE[letter] + digits)
                self._take(line, value, check=check and place == 2)

    def _fault(self, line: int, reason: str) -> None:
        self.problems.append(Problem("character", line, reason))

    def _differ(self, line: int, digits: str) -> None:
        self.seen.add("DIF")
        if not self.differs and math.isnan(self.last):
            self._fault(line, "a difference follows a missing value, so that its value is unknown")
        self.difference, self.differs = _number(digits), True
        self.last += self.difference
        self.values.append(self.last)

    def _take(self, line: int, value: float, *, check: bool) -> None:
        """An absolute value: a new point, or the check at the beginning of a line that follows differences."""
        if check:
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
