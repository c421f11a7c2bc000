"""Two columns of text, as the reader takes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from molvis_core import Trace
from molvis_core.errors import WriteError
from molvis_core.records import Measurement
from molvis_files.writing import write_text


def write_text_columns(path: Path, measurements: Iterable[Measurement]) -> None:
    """One trace, in numbers that lose no digit.

    Raises:
        WriteError: the file cannot be written, or there is not exactly one trace. The old file is kept.
    """
    items = list(measurements)
    if len(items) != 1 or not isinstance(trace := items[0].record, Trace):
        raise WriteError(f"{path}: a file holds one trace, got {len(items)} measurements; write each to its own file")
    name = " ".join((trace.identifier or items[0].name or path.stem).split())
    known = items[0].structure
    head = f"# name: {name}\n" + (f"# smiles: {known.smiles}\n" if known else "")
    rows = zip(trace.x.tolist(), trace.y.tolist(), strict=True)
    write_text(path, head + "".join(f"{x!r} {y!r}\n" for x, y in rows))
