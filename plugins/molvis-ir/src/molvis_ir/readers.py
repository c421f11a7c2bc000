"""Readers of infrared spectra. A record that cannot be read is yielded as a `ReadError` with its line and reason.

Whatever the file holds comes out as absorbance (or what is proportional to it) over ascending wavenumbers in cm^-1; see
`molvis_ir.units` for what becomes what.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from molvis_core.dataset import Measurement
from molvis_core.errors import ReadError, RecordError, StructureError
from molvis_core.files import parquet_columns, read_bytes, read_text
from molvis_core.formula import parse_formula
from molvis_core.jcamp import Block, Table, read_blocks, refusal
from molvis_core.parquet import Kind, read_batches
from molvis_core.records import Structure, Trace
from molvis_ir.units import absorbance, axis_kind, signal_kind, wavenumbers

Items = Iterator[Measurement | ReadError]
Vector = Float[np.ndarray, " t"]


# JCAMP-DX


def read_jcamp(path: Path) -> Items:
    """Infrared spectra of a JCAMP-DX file: XYDATA, XYPOINTS and pages of NTUPLES, in LINK blocks too.

    A block that is damaged (cut off, another number of points than stated, a failing check) is refused with its line,
    and so is one that holds another kind of data. A table of peaks is taken where it is in truth a spectrum: a hundred
    points or more, without gaps. Points marked as missing are left out. The structure comes from a SMILES or an InChI
    label of the block or of the LINK block around it; a molecular formula that contradicts it is an error.

    Raises:
        ReadError: the file cannot be read, or is no JCAMP-DX file.

    Reference: R. S. McDonald and P. A. Wilks, Appl. Spectrosc. 42 (1988) 151, doi:10.1366/0003702884428734
    """
    found = 0
    for outer in read_blocks(path):
        for block in outer.walk():
            for item in _jcamp_block(path, block, {**outer.labels, **block.labels}):
                found += 1
                yield item
    if not found:
        yield ReadError(path, "no data in it; a table after ##XYDATA= is wanted", line=1)


_INFRARED = re.compile(r"(FT-?)?IR( SPECTRUM)?|((MID|NEAR|FAR)[ -]?)?INFRARED( SPECTRUM)?")


def _jcamp_block(path: Path, block: Block, labels: Mapping[str, str]) -> Items:
    infrared = _INFRARED.fullmatch(block.data_type)
    if block.tables and not infrared:
        what = f"of type {block.data_type!r}" if block.data_type else "without ##DATA TYPE="
        reason = f"a block {what}; molvis-ir reads ##DATA TYPE=INFRARED SPECTRUM"
        yield ReadError(path, reason, line=block.line, record=block.title or None)
    elif (bad := refusal(path, block)) is not None:
        yield bad
    elif infrared and not block.tables:
        yield ReadError(path, "a block without data", line=block.line, record=block.title or None)
    else:
        for table in block.tables:
            yield _jcamp_table(path, block, table, labels)


def _jcamp_table(path: Path, block: Block, table: Table, labels: Mapping[str, str]) -> Measurement | ReadError:
    title = " ".join(filter(None, (block.title.partition("\n")[0], table.page)))
    if len(table.symbols) != 2 or table.texts or (table.label == "PEAKTABLE" and not _dense(table.x)):
        reason = "a list of peaks, not a spectrum; ##XYDATA= or ##XYPOINTS= is wanted"
        return ReadError(path, reason, line=table.line, record=title or None)
    fields = {
        "name": _first(labels, "NAMES", "CASNAME") or title or _first(labels, "CASREGISTRYNO") or _stem(path),
        "structure": _first(labels, "SMILES", "$SMILES") or _inchi(labels),
        "formula": _first(labels, "MOLFORM"),
        "source": _first(labels, "ORIGIN"),
        "contributor": _first(labels, "OWNER"),
        "identifier": title or _stem(path),
    }
    units = [table.units.get(symbol, "") for symbol in table.symbols]
    return _measurement(path, table.x, table.y, units[0], units[1], fields, line=table.line, record=title or None)


def _first(labels: Mapping[str, str], *names: str) -> str | None:
    """The first line of the first of these labels that says something."""
    lines = (labels.get(name, "").strip().partition("\n")[0].strip() for name in names)
    return next((line for line in lines if line), None)


def _inchi(labels: Mapping[str, str]) -> str | None:
    text = _first(labels, "INCHI", "$INCHI")
    return f"InChI={text}" if text and not text.startswith("InChI=") else text


def _dense(x: Vector) -> bool:
    steps = np.abs(np.diff(x))
    return len(x) >= 100 and bool((steps < 10 * np.median(steps)).all())


# Two columns of text


def read_xy(path: Path) -> Items:
    """Two columns of numbers with commas, semicolons, tabs or spaces between them; decimal commas where they are clear.

    Lines before the numbers may name the units (`Wavenumber (cm-1), %T`) and, as `key: value` or `key = value` and
    perhaps behind `#`, the name, the SMILES, the InChI and the units (`x`, `y`). Without units the axis is taken as
    cm^-1 where it lies between 50 and 15000, and the signal as absorbance unless it looks like transmittance, which is
    refused.

    Raises:
        ReadError: the file cannot be read, holds no numbers, or a line of it holds something else.
    """
    head: list[str] = []
    rows: list[tuple[float, float]] = []
    begin = 0
    odd: int | None = None
    for line, raw in enumerate(re.split(r"\r\n|\r|\n", read_text(path)), start=1):
        text = raw.strip()
        if not text:
            continue
        pair = _pair(text)
        if pair is not None:
            begin = begin or line
            rows.append(pair)
            odd = odd or (None if np.isfinite(pair).all() else line)
        elif rows and text[0] not in _COMMENTS:
            raise ReadError(path, f"{text[:60]!r} is not a pair of numbers", line=line)
        elif not rows:
            head.append(text.lstrip(_COMMENTS).strip())
    if len(rows) < 2:
        raise ReadError(path, "no two columns of numbers in it; x and y are wanted on each line")
    if odd:
        yield ReadError(path, "finite numbers are wanted", line=odd)
        return
    fields = _head_fields(head)
    x, y = np.array(rows, dtype=np.float64).T
    try:
        units = fields.pop("x", None) or _guess_axis(head, x), fields.pop("y", None) or _guess_signal(head, y)
    except RecordError as error:
        yield ReadError(path, str(error), line=begin)
        return
    stem = _stem(path)
    named = {"name": stem, "identifier": stem, **fields}
    yield _measurement(path, x, y, *units, named, line=begin, record=stem)


_COMMENTS = "#;!%/*\"'"
_UNITS = "units on a line before the numbers are wanted, such as: wavenumber (cm-1), absorbance"


def is_xy(path: Path) -> bool:
    """Whether a text file holds two columns of numbers: from the first pair on, nothing else in its first lines."""
    try:
        lines = [line.strip() for line in read_text(path).splitlines()[:100] if line.strip()]
    except ReadError:
        return False
    pairs = [_pair(line) is not None for line in lines[:-1]]
    return any(pairs) and all(pairs[pairs.index(True) :])


def _pair(text: str) -> tuple[float, float] | None:
    if ";" in text or "\t" in text:
        cells = re.split(r"[;\t]", text)
        # A comma that does not part columns parts decimals.
        cells = [c.replace(",", ".") if "." not in c else c for c in cells]
    elif "," in text:
        words = text.split()
        decimal = len(words) == 2 and not words[0].endswith(",") and not words[1].startswith(",")
        cells = [w.replace(",", ".") for w in words] if decimal else text.split(",")
    else:
        cells = text.split()
    cells = [c.strip().strip('"') for c in cells]
    while cells and not cells[-1]:
        cells.pop()
    try:
        x, y = (float(c) for c in cells)
    except ValueError:
        return None
    return x, y


def _head_fields(head: Iterable[str]) -> dict[str, str]:
    names = {"smiles": "structure", "inchi": "structure", "name": "name", "title": "name", "x": "x", "y": "y"}
    found: dict[str, str] = {}
    for line in head:
        if (match := re.match(r"(\w+)\s*[:=]\s*(\S.*)", line)) and (key := names.get(match.group(1).lower())):
            found.setdefault(key, match.group(2).strip())
    return found


def _cells(head: Iterable[str]) -> Iterator[str]:
    """What could name a unit: the cells of the lines before the numbers, and what stands in their brackets."""
    for line in head:
        for cell in re.split(r"[,;\t]|\s{2,}", line):
            parts = (cell, *re.findall(r"[(\[](.*?)[)\]]", cell), *(word for word in cell.split() if "%" in word))
            yield from (part.strip() for part in parts if part.strip())


def _guess_axis(head: Iterable[str], x: Vector) -> str:
    stated = next((cell for cell in _cells(head) if axis_kind(cell)), None)
    if stated is None and not (x.min() >= 50 and 200 < x.max() <= 15000):
        raise RecordError(f"x goes from {x.min():g} to {x.max():g} in no stated unit; {_UNITS}")
    return stated or "1/CM"


def _guess_signal(head: Iterable[str], y: Vector) -> str:
    # A cell such as `%T` names it; a word such as `Transmittance` in a longer line does, too.
    stated = next((cell for cell in _cells(head) if signal_kind(cell)), None)
    if stated is None:
        low, high = float(np.nanmin(y)), float(np.nanmax(y))
        if high > 10 or (high <= 1.2 and low >= -0.1 and float(np.nanmedian(y)) > (low + high) / 2 > 0.2):
            raise RecordError(f"y goes from {low:g} to {high:g} in no stated unit and may be transmittance; {_UNITS}")
    return stated or "ABSORBANCE"


# Instruments' own formats


def read_spc(path: Path) -> Items:
    """Galactic SPC files, new format (0x4B): each subfile is a spectrum. Wants `pip install molvis-ir[spc]`.

    Raises:
        ReadError: the file cannot be read, or spc-io is not installed.
    """
    raw = read_bytes(path)
    try:
        import spc_io
    except ImportError as error:
        raise ReadError(path, "SPC files want spc-io; install it with: pip install 'molvis-ir[spc]'") from error
    try:
        file = spc_io.SPC.from_bytes_io(io.BytesIO(raw))
        spectra = [(np.array(s.xarray, dtype=np.float64), np.array(s.yarray, dtype=np.float64)) for s in file]
        units = _SPC.get(str(file.xtype), str(file.xtype)), _SPC.get(str(file.ytype), str(file.ytype))
    except Exception as error:  # what a damaged file raises in a stranger's code is not known
        raise ReadError(path, f"damaged, or not a new-format SPC file: {error}") from error
    stem = _stem(path)
    for number, (x, y) in enumerate(spectra, start=1):
        name = stem if len(spectra) == 1 else f"{stem} {number}"
        yield _measurement(path, x, y, *units, {"name": stem, "identifier": name}, record=name)


_SPC = {
    "XWAVEN": "1/CM", "XUMETR": "MICROMETERS", "XNMETR": "NANOMETERS", "YABSRB": "ABSORBANCE", "YKMONK": "KUBELKA-MUNK",
    "YLOGDR": "LOG(1/R)", "YTRANS": "TRANSMITTANCE", "YEXTCF": "ABSORPTION INDEX", "YREFLEC": "REFLECTANCE",
    "YINDRF": "REFRACTIVE INDEX",
}  # fmt: skip


def read_opus(path: Path) -> Items:
    """The spectrum of a Bruker OPUS file. Wants `pip install molvis-ir[opus]`.

    Absorbance if there is one, else ATR, Kubelka-Munk, log(1/R) or transmittance, in this order: a file often holds the
    same measurement in several forms. Single-channel spectra and interferograms are no spectra yet, and refused.

    Raises:
        ReadError: the file cannot be read, or brukeropus is not installed.
    """
    raw = read_bytes(path)
    try:
        import brukeropus
    except ImportError as error:
        raise ReadError(path, "OPUS files want brukeropus; install it with: pip install 'molvis-ir[opus]'") from error
    with tempfile.TemporaryDirectory() as folder:
        # It opens paths only, and knows no gzip.
        plain = Path(folder) / "spectrum.0"
        plain.write_bytes(raw)
        try:
            file = brukeropus.read_opus(str(plain))
            blocks = {d.block.type[3] % 32: d for d in reversed(list(file.iter_data()))} if file else {}
            sample = file.snm if file else None
        except Exception as error:  # see read_spc
            raise ReadError(path, f"damaged, or not an OPUS file: {error}") from error
    if not file:
        raise ReadError(path, "not an OPUS file: it does not begin as they do")
    kind = next((kind for kind in _OPUS if kind in blocks), None)
    if kind is None:
        held = ", ".join(sorted(d.label for d in blocks.values())) or "no data"
        yield ReadError(path, f"it holds {held}; save it with its absorbance or transmittance", record=path.name)
        return
    data = blocks[kind]
    try:
        axis = {"WN": "1/CM", "MI": "MICROMETERS"}.get(str(data.dxu), str(data.dxu))
        x, y = np.array(data.x, dtype=np.float64), np.array(data.y, dtype=np.float64)
    except Exception as error:  # see read_spc
        raise ReadError(path, f"damaged: its spectrum lacks {error}") from error
    fields = {"name": str(sample or path.name).strip(), "identifier": path.name.removesuffix(".gz")}
    yield _measurement(path, x, y, axis, _OPUS[kind], fields, record=path.name)


# By the number of their kind of data.
_OPUS = {
    4: "ABSORBANCE", 19: "ABSORBANCE", 16: "ABSORBANCE", 6: "KUBELKA-MUNK", 15: "LOG(1/R)", 5: "TRANSMITTANCE",
    18: "TRANSMITTANCE",
}  # fmt: skip


# Tables


def read_parquet(path: Path) -> Items:
    """Tables of infrared spectra, as molvis's benchmark data: one row a spectrum, y in whole numbers, read in batches.

    Columns: `first_x`, `last_x`, `n_points`, `x_units`, `y_units`, `y` as a list and `y_scale` that it is multiplied
    by; `spectrum_id`, `name`, `smiles`, `inchikey`, `fold`, `origin`, `owner` and `licence` where it has them.
    Reflectance and refractive indices are refused row by row, absorption indices become absorbance.

    Raises:
        ReadError: the file is not Parquet, is damaged, or lacks a column.
    """
    number = 0
    for batch in read_batches(path, _KINDS, need=sorted(_WANTED), size=500):
        values = batch.column("y")
        rest = [name for name in batch.schema.names if name != "y"]
        for i, row in enumerate(batch.select(rest).to_pylist()):
            number += 1
            yield _row(path, row, values[i].values, number)


_WANTED = {"first_x", "last_x", "n_points", "y", "y_scale", "x_units", "y_units"}
_KINDS: dict[str, Kind] = {
    "first_x": "number", "last_x": "number", "n_points": "number", "y": "numbers", "y_scale": "number",
    "x_units": "text", "y_units": "text", "spectrum_id": "label", "name": "text", "smiles": "text", "inchikey": "text",
    "fold": "text", "origin": "text", "owner": "text", "licence": "text",
}  # fmt: skip


def is_ir_table(path: Path) -> bool:
    """Whether a Parquet table has the columns of infrared spectra."""
    return parquet_columns(path) >= _WANTED


def _row(path: Path, row: Mapping[str, Any], values: Any, number: int) -> Measurement | ReadError:
    record = row.get("spectrum_id") or number
    if values is None or len(values) != row["n_points"]:
        reason = f"n_points is {row['n_points']}, y has {0 if values is None else len(values)} values"
        return ReadError(path, reason, line=number, record=record)
    if row["first_x"] is None or row["last_x"] is None or row["y_scale"] is None:
        return ReadError(path, "first_x, last_x or y_scale is missing", line=number, record=record)
    x = np.linspace(row["first_x"], row["last_x"], len(values))
    y = values.to_numpy(zero_copy_only=False).astype(np.float64) * row["y_scale"]
    fields = {
        "identifier": str(record),
        "name": row.get("name"),
        "structure": row.get("smiles"),
        "inchikey": row.get("inchikey"),
        "fold": row.get("fold"),
        "source": row.get("origin"),
        "contributor": row.get("owner"),
        "licence": row.get("licence"),
    }
    return _measurement(path, x, y, row["x_units"] or "", row["y_units"] or "", fields, line=number, record=record)


# All of them


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[0] or path.name


def _measurement(
    path: Path,
    x: Vector,
    y: Vector,
    x_unit: str,
    y_unit: str,
    fields: Mapping[str, str | None],
    *,
    line: int | None = None,
    record: str | int | None = None,
) -> Measurement | ReadError:
    """One spectrum, or the reason why it is none. Where y is NaN the file marks it as missing."""
    try:
        known_y = ~np.isnan(y)
        x, y = x[known_y], y[known_y]
        if len(x) < 2:
            raise RecordError(f"{len(x)} points are no spectrum")
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise RecordError("a number is too large to be one; finite numbers are wanted")
        axis = wavenumbers(x, x_unit)
        trace = Trace(axis, absorbance(y, y_unit, axis), identifier=fields.get("identifier"))
        if np.ptp(trace.y) == 0:
            raise RecordError(f"every y is {trace.y[0]:g}: there is no spectrum in it")
        known = None
        if text := fields.get("structure"):
            known = dataclasses.replace(_known(text, fields.get("inchikey")), name=fields.get("name"))
            if (formula := fields.get("formula")) and _contradicts(formula, known.formula):
                raise StructureError(f"the formula {formula} contradicts {text}, which is {known.formula}; correct one")
    except (RecordError, StructureError) as error:
        return ReadError(path, str(error), line=line, record=record)
    return Measurement(
        trace,
        known,
        "ir",
        fold=fields.get("fold"),
        name=fields.get("name"),
        source=fields.get("source"),
        licence=fields.get("licence"),
        contributor=fields.get("contributor"),
    )


@functools.lru_cache(maxsize=20_000)
def _known(text: str, inchikey: str | None) -> Structure:
    """The structure; the source's own InChIKey stands, as other tables key on it."""
    from molvis_core.identity import structure

    found = structure(text)
    return dataclasses.replace(found, inchikey=inchikey) if inchikey else found


def _contradicts(stated: str, formula: str) -> bool:
    """Whether two formulas differ. One that cannot be read, such as a polymer's, says nothing."""
    try:
        # JCAMP-DX parts elements by spaces; isotopes of hydrogen have symbols of their own.
        found = Counter(parse_formula(re.sub(r"[\s/*]", "", stated)))
    except ValueError:
        return False
    found["H"] += found.pop("D", 0)
    return +found != Counter(parse_formula(formula))
