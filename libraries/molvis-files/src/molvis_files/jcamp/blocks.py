"""The content of a JCAMP-DX file: blocks, tables and the problems found in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from molvis_core.errors import ReadError

Kind = Literal["character", "y-check", "x-check", "x-scale", "y-scale", "points", "form", "header", "end", "depth"]


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault of a file.

    Attributes:
        kind: `character` (no digit of any form), `y-check` and `x-check` (a line does not continue the one before),
            `x-scale` (the lines count x evenly, but not from FIRSTX to LASTX), `y-scale` (FIRSTY, MAXY and MINY are all
            some other multiple of the data), `points` (not as many as stated), `form` (data in a form that no standard
            knows), `header` (a label is missing or is no number), `end` (no ##END=), `depth` (blocks within blocks
            without end).
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
        doubts: what contradicts the data and may be a slip of the header alone, as many programs make them.
    """

    title: str
    labels: Mapping[str, str]
    tables: tuple[Table, ...]
    blocks: tuple[Block, ...]
    problems: tuple[Problem, ...]
    line: int
    doubts: tuple[Problem, ...] = ()

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


Rows = Sequence[tuple[int, str]]
"""Numbers of lines and what stands on them."""

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[Ee][+-]?\d+)?"


def refusal(path: Path | str, block: Block) -> ReadError | None:
    """Why a block cannot be trusted: its first problem as an error with file and line; None where it has none."""
    if not block.problems:
        return None
    # Another problem often explains where the points went.
    first = min(block.problems, key=lambda p: (p.kind == "points", p.line))
    more = f" ({len(block.problems) - 1} more problems)" if len(block.problems) > 1 else ""
    return ReadError(path, f"{first.reason}{more}", line=first.line, record=block.title or None)


def parse_number(text: str | None) -> float | None:
    """The number that a label's value begins with; None where there is none."""
    found = re.match(rf"\s*({_NUMBER})", text or "")
    return float(found.group(1)) if found else None
