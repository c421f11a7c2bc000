"""Shifts as text: tables with a header, and plain lists of numbers."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from molvis_core.errors import ReadError, RecordError, StructureError
from molvis_core.records import Measurement, ShiftList
from molvis_files.opening import read_text
from molvis_files.spectra import known_structure
from molvis_nmr_shifts.readers.experimental import is_experimental
from molvis_nmr_shifts.readers.items import MODALITY, Items, attached, check, nucleus_of, numbers, solvent_of

_NAMES: dict[str, tuple[str, ...]] = {
    "shift": (
        "shift",
        "shifts",
        "chemicalshift",
        "chemicalshifts",
        "ppm",
        "delta",
        "δ",
        "deltappm",
        "shiftppm",
        "f2",
        "f2ppm",
    ),
    "partner": ("partner", "partners", "f1", "f1ppm", "partnerppm", "shift2"),
    "nucleus": ("nucleus", "nuclide", "isotope"),
    "multiplicity": ("multiplicity", "mult", "type", "multiplet"),
    "intensity": ("intensity", "integral", "protons", "nh", "height", "nprotons", "nnuclei"),
    "experiment": ("experiment",),
    "solvent": ("solvent",),
    "smiles": ("smiles",),
    "name": ("name", "compound", "compoundname"),
    "identifier": ("identifier", "id", "spectrum"),
    "fold": ("fold",),
}  # fmt: skip
_NUMBER = re.compile(r"[-+−]?\d{1,4}(?:\.\d+)?")
_PAIRS = {frozenset(("13C", "1H")): "HSQC", frozenset(("15N", "1H")): "HSQC"}
_SHORT = re.compile(r"(?<![0-9A-Za-z])(13C|C13|1H|H1|19F|F19|31P|P31|15N|N15)(?![0-9A-Za-z])", re.IGNORECASE)
_CARBON_FROM = 30.0
"""In ppm: a list with a higher shift that names no nucleus is of 13C."""


def is_shift_text(path: Path) -> bool:
    """Whether a text is a table with a column of shifts, or a list of numbers and nothing else."""
    if is_experimental(path):
        return False
    try:
        text = read_text(path)[:100_000]
    except ReadError:
        return False
    rows = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not rows or text.lstrip().startswith("##"):  # JCAMP-DX, whatever its ending
        return False
    columns = _columns(rows[0])
    found = [_plain(line) for line in rows]
    if "shift" in columns:
        return not (columns.keys() <= {"shift", "intensity"} and _are_points(found[1:]))
    return all(some is not None for some in found) and not _are_points(found)


def _are_points(rows: Sequence[Sequence[float] | None]) -> bool:
    """Whether rows of two numbers are points of a spectrum: on an axis of even steps, which two rows always are."""
    if len(rows) < 2 or any(some is None or len(some) != 2 for some in rows):
        return False
    steps = [b[0] - a[0] for a, b in itertools.pairwise(row for row in rows if row)]
    return max(steps) - min(steps) < 0.1 * abs(max(steps))


def read_shift_text(path: Path) -> Items:
    """A table with a header, or a plain list of shifts.

    A table has a signal in each row, or a whole list in a cell: columns `shift` (or `ppm`, `delta`; a header that is a
    nucleus, such as `13C`, does too), `nucleus`, `multiplicity`, `intensity` (of 1H the number of protons), `solvent`,
    `partner` (the second axis of a 2D spectrum; two headers that are nuclei mean the same), `experiment`, `smiles`,
    `name`, `identifier` and `fold`. Rows of one identifier, or else name or SMILES, and of one nucleus are one list.

    A plain list has numbers between spaces, commas or lines. Its nucleus is that of a line such as `# 13C` or of the
    file's name, as in `c13.txt`; without either, a list that goes beyond 30 ppm is of 13C.

    Raises:
        ReadError: the file cannot be read, or is neither; or nothing says of which nucleus a list is.
    """
    text = read_text(path)
    rows = [(n, line) for n, line in enumerate(text.splitlines(), start=1) if line.strip()]
    body = [(n, line) for n, line in rows if not line.lstrip().startswith("#")]
    if not body:
        raise ReadError(path, "empty: there are no shifts in it")
    said = _said(path, [line for _, line in rows if line.lstrip().startswith("#")])
    columns = _columns(body[0][1])
    if "shift" in columns:
        yield from _table(path, body, columns, said)
        return
    shifts: list[float] = []
    for n, line in body:
        found = _plain(line)
        if found is None:
            raise ReadError(
                path, f"{line.strip()[:60]!r} is neither a list of shifts nor a header with a column `shift`", line=n
            )
        shifts += found
    try:
        record = ShiftList(
            np.array(shifts),
            _nucleus(said.get("nucleus"), shifts),
            solvent=said.get("solvent"),
            identifier=path.name.partition(".")[0],
        )
        yield Measurement(check(record), None, MODALITY)
    except RecordError as error:
        yield ReadError(path, str(error), line=body[0][0])


def _said(path: Path, comments: Sequence[str]) -> dict[str, str]:
    """Nucleus and solvent that comments, or the file's name, state."""
    out: dict[str, str] = {}
    for line in comments:
        if (found := _SHORT.search(line)) is not None and (nucleus := nucleus_of(found[1].upper())):
            out.setdefault("nucleus", nucleus)
        if (stated := re.search(r"solvent\s*[:=]\s*(\S+)", line, re.IGNORECASE)) and (name := solvent_of(stated[1])):
            out.setdefault("solvent", name)
    if "nucleus" not in out and (found := _SHORT.search(re.sub(r"[_.]", " ", path.name))):
        out["nucleus"] = nucleus_of(found[1].upper()) or ""
    return out


def _nucleus(stated: str | None, shifts: Sequence[float]) -> str:
    if stated:
        return stated
    if shifts and max(shifts) > _CARBON_FROM:
        return "13C"
    raise RecordError(
        "nothing says of which nucleus these shifts are: write a first line `# 1H`, a column `nucleus`, or name the "
        "file like 1H.txt"
    )


def _plain(line: str) -> list[float] | None:
    """The numbers of a line that holds nothing else."""
    words = [w for w in re.split(r"[\s,;]+", line.strip()) if w]
    if not words or not all(_NUMBER.fullmatch(w) for w in words):
        return None
    return [float(w.replace("−", "-")) for w in words]


def _delimiter(line: str) -> str:
    return max("\t;,", key=line.count)


def _columns(line: str) -> dict[str, str]:
    """Field to header, of a table's first line; headers that are nuclei are shifts, the second one of partners."""
    headers = [cell.strip().strip('"') for cell in line.split(_delimiter(line))]
    plain = {re.sub(r"[\s_()\-\[\]/.]", "", h).lower(): h for h in headers if h}
    out = {field: plain[name] for field, names in _NAMES.items() for name in names[::-1] if name in plain}
    for header in headers:
        if _SHORT.fullmatch(re.sub(r"\s*[(\[]?\s*(?:ppm)?\s*[)\]]?$", "", header, flags=re.IGNORECASE)):
            out.setdefault("shift", header)
            if out["shift"] != header:
                out.setdefault("partner", header)
    return out


def _table(path: Path, body: Sequence[tuple[int, str]], columns: Mapping[str, str], said: Mapping[str, str]) -> Items:
    text = "\n".join(line for _, line in body)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(body[0][1]), strict=True)
    lists: dict[tuple[str, ...], tuple[int, list[dict[str, str]]]] = {}
    try:
        headers = [cell.strip() for cell in next(rows)]
        for row in rows:
            line = body[min(rows.line_num, len(body)) - 1][0]
            if len(row) > len(headers):
                yield ReadError(path, f"{len(row)} cells under {len(headers)} headers", line=line)
                continue
            given = dict(zip(headers, (cell.strip() for cell in row), strict=False))
            cells = {field: given.get(header, "") for field, header in columns.items()}
            key = (
                cells.get("identifier") or cells.get("name") or cells.get("smiles") or "", cells.get("smiles", ""),
                cells.get("nucleus", ""), cells.get("experiment", ""),
            )  # fmt: skip
            lists.setdefault(key, (line, []))[1].append(cells)
    except csv.Error as error:
        raise ReadError(path, f"not a table: {error}", line=body[0][0]) from error
    for line, cells in lists.values():
        yield from _records(path, line, cells, columns, said)


def _records(
    path: Path, line: int, cells: Sequence[Mapping[str, str]], columns: Mapping[str, str], said: Mapping[str, str]
) -> Iterator[Measurement | ReadError]:
    """One list of the rows of a spectrum; each row that holds a whole list is one by itself."""
    whole = [row for row in cells if len(_plain(row["shift"]) or ()) > 1]
    for rows in [[row] for row in whole] or [list(cells)]:
        try:
            yield _record(path, rows, columns, said)
        except (RecordError, StructureError, ValueError) as error:
            yield ReadError(
                path, str(error), line=line, record=cells[0].get("identifier") or cells[0].get("name") or None
            )


def _record(
    path: Path, rows: Sequence[Mapping[str, str]], columns: Mapping[str, str], said: Mapping[str, str]
) -> Measurement:
    first = rows[0]
    shifts = _numbers(rows, "shift")
    partners = np.array(_numbers(rows, "partner")) if any(row.get("partner") for row in rows) else None
    heads = [nucleus_of(columns[field]) or "" for field in ("shift", "partner") if field in columns]
    nucleus = _nucleus(_stated(first, heads, said), shifts)
    usual = None if partners is None else _PAIRS.get(frozenset(heads))
    kinds = _texts(rows, "multiplicity", len(shifts))
    counts = _numbers(rows, "intensity") if all(row.get("intensity") for row in rows) else None
    record = ShiftList(
        np.array(shifts), nucleus, numbers(counts), partners, attached(kinds),
        experiment=first.get("experiment") or usual,
        solvent=solvent_of(first.get("solvent")) or said.get("solvent"),
        identifier=first.get("identifier") or path.name.partition(".")[0],
    )  # fmt: skip
    known = known_structure(first["smiles"]) if first.get("smiles") else None
    return Measurement(check(record), known, MODALITY, fold=first.get("fold") or None, name=first.get("name") or None)


def _stated(row: Mapping[str, str], heads: Sequence[str], said: Mapping[str, str]) -> str | None:
    """The nucleus that a row, a header or the file states."""
    text = row.get("nucleus") or next(iter(heads), "") or said.get("nucleus")
    return nucleus_of(text) if text else None


def _numbers(rows: Sequence[Mapping[str, str]], field: str) -> list[float]:
    out: list[float] = []
    for row in rows:
        found = _plain(row[field])
        if found is None:
            raise RecordError(f"{row[field]!r} in column {field} is no number, and no list of numbers")
        out += found
    return out


def _texts(rows: Sequence[Mapping[str, str]], field: str, count: int) -> list[str]:
    """One text for each signal; of a list in one cell they stand between spaces, commas or semicolons."""
    cells = [row.get(field, "") for row in rows]
    if len(cells) == 1 and count > 1:
        cells = [c for c in re.split(r"[\s,;]+", cells[0]) if c]
    if cells and any(cells) and len(cells) != count:
        raise RecordError(f"{len(cells)} entries in column {field} for {count} shifts")
    return cells if any(cells) else []
