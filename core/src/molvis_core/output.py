"""How commands print: results to standard output, progress and notes to standard error."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from molvis_core.text import in_json, visible

if TYPE_CHECKING:
    from rich.console import Console

    from molvis_core.metrics import Estimate


class Progress(Protocol):
    """What is done, what is in all (0 where it is not known yet), and what is being done, where that changes."""

    def __call__(self, done: int, total: int, what: str = "") -> None: ...  # noqa: D102


def console(*, stderr: bool = False) -> Console:
    """A rich console that does not cut or colour what a script reads: piped, lines are as long as they need to be."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, highlight=False, width=None if stream.isatty() else 10_000)


def note(message: str) -> None:
    """One line for people, to standard error."""
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


def percent(estimate: Estimate) -> str:
    """A share with its interval, in percent."""
    return f"{100 * estimate.value:.1f}% ({100 * estimate.low:.1f}-{100 * estimate.high:.1f})"


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "", plain: bool = False
) -> None:
    """A table. Numbers to the right.

    Args:
        columns: headings.
        rows: cells; None is shown as a dash.
        title: above the table.
        plain: aligned columns without rich, which costs a tenth of a second to import: for commands that must be quick.
    """
    columns, title = [visible(name) for name in columns], visible(title)
    cells = [["-" if cell is None else visible(str(cell)) for cell in row] for row in rows]
    right = [
        all(isinstance(row[i], (int, float)) or row[i] is None for row in rows) and bool(rows)
        for i in range(len(columns))
    ]
    if plain:
        if title:
            print(title)
        widths = [max(len(line[i]) for line in [list(columns), *cells]) for i in range(len(columns))]
        for line in [list(columns), *cells]:
            padded = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True))
            print("  ".join(padded).rstrip())
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title) if title else None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for name, is_number in zip(columns, right, strict=True):
        table.add_column(name, justify="right" if is_number else "left")
    for line in cells:
        table.add_row(*(Text(cell) for cell in line))
    console().print(table)


@contextlib.contextmanager
def progress(description: str, *, quiet: bool = False) -> Iterator[Progress]:
    """A bar on standard error, from the first call of the function that it yields.

    Without a terminal there is no bar, so that logs stay readable.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda done, total, what="": None
        return
    with contextlib.ExitStack() as shown:
        bar: Any = None

        def advance(done: int, total: int, what: str = "") -> None:
            nonlocal bar
            bar = bar or shown.enter_context(_bar(description))
            bar.update(bar.task_ids[0], completed=done, total=total or None, description=visible(what or description))

        yield advance


def _bar(description: str) -> Any:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    named = TextColumn("{task.description}", markup=False)
    bar = Progress(
        named, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=console(stderr=True),
    )  # fmt: skip
    bar.add_task(description, total=None)
    return bar


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: to a temporary name, then renamed."""
    from molvis_core.files import replacing

    with replacing(path) as fresh:
        fresh.write_text(text, encoding="utf-8")
