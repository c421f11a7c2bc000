"""Why records of files were left out: counted by reason, and listed in a table."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from molvis_core.errors import ReadError
from molvis_core.text import in_cells


def count_reasons(reasons: Iterable[str]) -> dict[str, int]:
    """How often each reason comes, the most frequent first; alike are those that differ in numbers or quoted text."""
    alike: dict[str, Counter[str]] = {}
    for reason in reasons:
        alike.setdefault(_VARYING.sub(lambda m: "N" if m["number"] else "...", reason), Counter())[reason] += 1
    found = {next(iter(exact)) if len(exact) == 1 else form: exact.total() for form, exact in alike.items()}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


_VARYING = re.compile(r"""'[^']*'|"[^"]*"|(?P<number>[-+]?\b\d+(?:[.,]\d+)*(?:e[-+]?\d+)?\b)""")


def write_problems(path: Path, problems: Sequence[ReadError]) -> None:
    """A table of file, line, record and reason.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "line", "record", "reason"))
        rows.writerows(in_cells((p.path, p.line, p.record, p.reason)) for p in problems)
