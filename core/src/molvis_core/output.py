"""How commands print: results to standard output, progress and notes to standard error."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import shutil
import sys
import textwrap
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molvis_core.progress import StageProgress
from molvis_core.text import in_json, visible

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Settings:
    """How the command that runs was asked to print; the command line sets it anew for each.

    Attributes:
        quiet: neither notes nor bars.
        json: results as JSON.
        interrupted: the advice that is printed where the command is interrupted.
    """

    quiet: bool = False
    json: bool = False
    interrupted: str = "run the same command again: it starts from the beginning"

    def reset(self) -> None:
        """As for a command that was not asked for anything."""
        self.__init__()


settings = Settings()


@contextlib.contextmanager
def asked(**options: bool) -> Generator[None]:
    """What `--json` and `--quiet` do on the command line, for the tests of a command."""
    before = dataclasses.asdict(settings)
    vars(settings).update(options)
    try:
        yield
    finally:
        vars(settings).update(before)


def resumes() -> None:
    """Record that the command that runs goes on where it is interrupted, when it is started again."""
    settings.interrupted = "run the same command again: it goes on where it stopped"


def as_json(value: Any) -> bool:
    """Print what a command found as JSON where `--json` asks for it, and return whether it was printed.

    The command line adds `--json` and `--quiet` to every command, those of plugins too; a command calls this with its
    result, and prints for people where it is False.
    """
    if settings.json:
        print_json(value)
    return settings.json


def console(*, stderr: bool = False) -> Console:
    """A rich console that does not cut or colour what a script reads: piped, lines are as long as they need to be."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, highlight=False, width=None if stream.isatty() else 10_000)


def note(message: str) -> None:
    """One line for people, to standard error; `--quiet` leaves it out."""
    if not settings.quiet:
        warn(message)


def warn(message: str) -> None:
    """One line for people, to standard error, whatever they asked for."""
    print(visible(message), file=sys.stderr)


def print_json(value: Any) -> None:
    """A value of the library as JSON: dataclasses as objects, arrays as lists, numbers that are not finite as null."""
    print(in_json(json.dumps(to_plain(value), indent=2, ensure_ascii=False, allow_nan=False)))


def to_plain(value: Any) -> Any:
    """Dataclasses, paths, tuples and NumPy values to what JSON knows."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.repr}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if tolist := getattr(value, "tolist", None):  # NumPy arrays and scalars, without importing NumPy
        return to_plain(tolist())
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> None:
    """A table: numbers to the right, None as a dash. Nothing of it is cut.

    In a terminal, text wraps within its column until the table fits; where that is not enough, each row becomes lines
    of its own. Piped, a row is one line, as long as it needs to be.

    Args:
        columns: headings.
        rows: cells.
        title: above the table.
    """
    columns, title = [visible(name) for name in columns], visible(title)
    if title:
        print(title)
    cells = [["-" if cell is None else visible(str(cell)) for cell in row] for row in rows]
    right = [
        bool(rows) and all(isinstance(row[i], (int, float)) or row[i] is None for row in rows)
        for i in range(len(columns))
    ]
    width = terminal_width()
    widths = _widths([list(columns), *cells], width)
    if widths is None:
        _print_records(columns, cells)
        return
    for number, line in enumerate([list(columns), *cells]):
        _print_row(line, widths, right)
        if number == 0 and width:
            print("  ".join("-" * w for w in widths))


_NARROWEST = 14
"""Characters below which a column is not made narrower: the first block of an InChIKey is as wide."""


def terminal_width() -> int:
    """Columns of the terminal on standard output; 0 where it is none, and lines are as long as they need to be."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def _widths(lines: Sequence[Sequence[str]], limit: int) -> list[int] | None:
    """Of the columns; None where they cannot be made to fit."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    words = ((len(word) for cell in column for word in cell.split()) for column in zip(*lines, strict=True))
    least = [min(width, _NARROWEST, max(word, default=1)) for width, word in zip(widths, words, strict=True)]
    spare = limit - 2 * (len(widths) - 1)
    while limit and sum(widths) > spare:
        # The widest gives way first.
        room, place = max((width - low, i) for i, (width, low) in enumerate(zip(widths, least, strict=True)))
        if not room:
            return None
        widths[place] -= min(room, sum(widths) - spare, max(1, room // 4))
    return widths


def _print_row(line: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> None:
    parts = [
        textwrap.wrap(c, w, break_on_hyphens=False) if len(c) > w else [c] for c, w in zip(line, widths, strict=True)
    ]
    for pieces in itertools.zip_longest(*parts, fillvalue=""):
        padded = (p.rjust(w) if r else p.ljust(w) for p, w, r in zip(pieces, widths, right, strict=True))
        print("  ".join(padded).rstrip())


def _print_records(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widest = max(map(len, columns))
    for row in rows:
        print("\n".join(f"{name:<{widest}}  {cell}" for name, cell in zip(columns, row, strict=True)), end="\n\n")


@contextlib.contextmanager
def progress(description: str, *, quiet: bool = False) -> Generator[StageProgress]:
    """A bar on standard error, from the first call of the function that it yields.

    Without a terminal there is no bar, so that logs stay readable, but a line every half minute.
    """
    if quiet or settings.quiet:
        yield lambda done, total, what="": None
        return
    if not sys.stderr.isatty():
        with _log_lines(description) as advance_line:
            yield advance_line
        return
    with contextlib.ExitStack() as shown:
        bar: Any = None

        def advance(done: int, total: int, what: str = "") -> None:
            nonlocal bar
            bar = bar or shown.enter_context(_bar(description))
            bar.update(bar.task_ids[0], completed=done, total=total or None, description=visible(what or description))

        yield advance


LOG_EVERY = 30.0
"""Seconds between the lines that long work prints where there is no terminal."""


@contextlib.contextmanager
def _log_lines(description: str) -> Generator[StageProgress]:
    state, ended, began = (0, 0, ""), threading.Event(), time.monotonic()

    def advance(done: int, total: int, what: str = "") -> None:
        nonlocal state
        state = (done, total, what)

    def log_state() -> None:
        # By the clock, not by what is done: a log without new lines looks like a process that hangs.
        while not ended.wait(LOG_EVERY):
            done, total, what = state
            of = f" of {total:,}" if total else ""
            note(f"{what or description}: {done:,}{of} after {time.monotonic() - began:,.0f} s")

    thread = threading.Thread(target=log_state, name="log-lines", daemon=True)
    thread.start()
    try:
        yield advance
    finally:
        ended.set()
        thread.join()


def _bar(description: str) -> Any:
    from rich import progress as rich

    bar = rich.Progress(
        rich.TextColumn("{task.description}", markup=False), rich.BarColumn(), rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(), rich.TimeRemainingColumn(), console=console(stderr=True),
    )  # fmt: skip
    bar.add_task(description, total=None)
    return bar
