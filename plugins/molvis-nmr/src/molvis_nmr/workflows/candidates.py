"""Candidate structures from a file, ranked by a spectrum, and their ranks into one."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from molvis_core.errors import ReadError, did_you_mean
from molvis_core.output import to_plain
from molvis_core.text import in_cells
from molvis_files.writing import write_text
from molvis_nmr.prediction.ranking import Ranked

_GIVE = "give a SMILES a line, or a table with a column smiles"


@dataclass(frozen=True, slots=True)
class Candidates:
    """Structures, and how probable they are without the spectrum.

    Attributes:
        smiles: each once.
        prior: of each; None where the file does not say.
    """

    smiles: tuple[str, ...]
    prior: tuple[float, ...] | None = None


def read_candidates(path: Path, query: str | None = None) -> Candidates:
    """SMILES of a table with a column `smiles`, or the first word of each line.

    Columns are parted by commas, semicolons or tabs. A column `probability` is how probable each is without the
    spectrum, as `molvis identify` writes it; a column `query` says for which unknown.

    Args:
        path: of the file.
        query: the unknown, where a table is of several.

    Raises:
        ReadError: it is no text, there are no structures, a probability is no number, or the table is of several
            unknowns and `query` names none of them.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(path, f"is no text: {error}; {_GIVE}") from error
    head = text.partition("\n")[0]
    delimiter = max("\t;,", key=head.count)
    names = [name.strip().lower() for name in next(csv.reader([head], delimiter=delimiter), [])]
    if "smiles" in names:
        found = _of_table(path, text, delimiter, names, query)
    else:
        lines = (line.split() for line in text.splitlines())
        found = dict.fromkeys((words[0] for words in lines if words and not words[0].startswith("#")), None)
    if not found:
        raise ReadError(path, f"holds no structures; {_GIVE}")
    known = [one for one in found.values() if one is not None]
    # Where only some have a probability, the others have none.
    prior = tuple(one or 0.0 for one in found.values()) if known else None
    return Candidates(tuple(found), prior)


def _of_table(path: Path, text: str, delimiter: str, names: list[str], query: str | None) -> dict[str, float | None]:
    rows = csv.reader(io.StringIO(text), delimiter=delimiter)
    next(rows)
    found: dict[str, dict[str, float | None]] = {}
    for row in rows:
        cells = dict(zip(names, (cell.strip() for cell in row), strict=False))
        if smiles := cells.get("smiles"):
            # A structure that is there under several adducts is as probable as these are together.
            mine, share = found.setdefault(cells.get("query", ""), {}), _share(path, rows.line_num, cells)
            before = mine.get(smiles)
            mine[smiles] = share if before is None else before + (share or 0.0)
    if query is not None:
        if query not in found:
            held = ", ".join(list(found)[:5]) or "none"
            raise ReadError(
                path, f"has no candidates of {query!r}; it has those of {held}.{did_you_mean(query, found)}"
            )
        return found[query]
    if len(found) > 1:
        held = ", ".join(list(found)[:5]) + (" and others" if len(found) > 5 else "")
        raise ReadError(path, f"has candidates of {len(found)} unknowns: {held}. Say which by --query NAME")
    return next(iter(found.values()), {})


def _share(path: Path, line: int, cells: dict[str, str]) -> float | None:
    text = cells.get("probability", "")
    try:
        return float(text) if text else None
    except ValueError as error:
        raise ReadError(path, f"line {line}: a probability must be a number, got {text!r}") from error


def write_ranked(path: Path, found: Sequence[Ranked]) -> None:
    """A row for each candidate, the best first; cells of what could not be compared are empty.

    Raises:
        OSError: the file cannot be written; the old one is kept.
    """
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["rank", *(field.name for field in fields(Ranked))])
    for number, one in enumerate(found, start=1):
        table.writerow(in_cells([number, *("" if cell is None else cell for cell in to_plain(one).values())]))
    write_text(path, file.getvalue())
