"""Readers of tandem mass spectra. A record that cannot be read is yielded as a `ReadError` with its line and reason."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.adducts import parse_adduct
from molvis_core.dataset import Measurement
from molvis_core.documents import load_json
from molvis_core.errors import AdductError, LeftOutError, ReadError, RecordError, StructureError
from molvis_core.files import lines, parquet_columns
from molvis_core.parquet import Kind, read_batches
from molvis_core.records import PeakList, Structure
from molvis_msms.fields import known_structure, measurement, peak

Items = Iterator[Measurement | ReadError]
_COUNT = re.compile(r"num\s*peaks\s*:", re.IGNORECASE)


def read_mgf(path: Path) -> Items:
    """Mascot generic format. Fields before the first `BEGIN IONS` hold for every spectrum that does not state its own.

    Raises:
        ReadError: the file cannot be read, or holds no `BEGIN IONS`.
    """
    shared: dict[str, str] = {}
    fields: dict[str, str] = {}
    peaks: list[tuple[float, float]] = []
    begin, number, bad = 0, 0, None
    for line_number, raw in lines(path):
        line = raw.strip()
        if line.upper() == "BEGIN IONS":
            if begin:
                yield ReadError(path, f"BEGIN IONS of line {begin} has no END IONS", line=line_number, record=number)
            fields, peaks, begin, number, bad = dict(shared), [], line_number, number + 1, None
        elif not line or line[0] in "#;!/":
            continue
        elif begin and line.upper() == "END IONS":
            yield bad or measurement(path, _titled(fields), peaks, line=begin, number=number)
            begin = 0
        elif "=" in line and not line[0].isdigit():
            key, _, value = line.partition("=")
            if begin or number == 0:
                (fields if begin else shared)[key.strip().lower()] = value.strip()
        elif begin and bad is None:
            try:
                peaks.append(peak(line))
            except ValueError as error:
                name = fields.get("title") or number
                bad = ReadError(path, str(error), line=line_number, record=name)
    if number == 0:
        raise ReadError(path, "no BEGIN IONS in it; is it an MGF file?")
    if begin:
        yield ReadError(path, "the file ends before END IONS: it is cut off", line=begin, record=number)


_IN_TITLES = {
    "scans": re.compile(r"\bscan=(\d+)"),  # ... File:"a.raw", NativeID:"controllerType=0 controllerNumber=1 scan=17"
    "rtinminutes": re.compile(r"(?<![\w.])(\d+\.?\d*) ?min\b"),  # Cmpd 1, +MSn(609.28), 7.8 min
    "ionmode": re.compile(r"(?<!\S)([+-])MS(?:n|\d|\b)"),
}
"""What msconvert and Bruker's programs write into titles, and nowhere else."""


def _titled(fields: Mapping[str, str]) -> dict[str, str]:
    """Fields, with those that only the title tells."""
    title = fields.get("title", "")[:300]
    told = {name: found.group(1) for name, form in _IN_TITLES.items() if (found := form.search(title))}
    return told | fields


def read_msp(path: Path) -> Items:
    """MSP libraries, as NIST, MoNA, RIKEN and MassBank write them.

    Raises:
        ReadError: the file cannot be read, or is empty.
    """
    number = 0
    for begin, block in _blocks(lines(path)):
        found = next((i for i, (_, line) in enumerate(block) if _COUNT.match(line)), None)
        number += 1
        if found is None:
            name = block[0][1].partition(":")[2].strip() or number
            yield ReadError(path, "no 'Num Peaks' line; the record is cut off or not MSP", line=begin, record=name)
            continue
        fields = _msp_fields(line for _, line in block[:found])
        yield _msp_record(path, fields, block[found], block[found + 1 :], begin, number)
    if number == 0:
        raise ReadError(path, "empty: no record in it")


def _blocks(numbered: Iterable[tuple[int, str]]) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """Records: separated by empty lines, or by a new `Name:` behind the peaks."""
    block: list[tuple[int, str]] = []
    for number, raw in numbered:
        line = raw.strip()
        starts = bool(re.match(r"name\s*:", line, re.IGNORECASE))
        if (not line or starts) and block:
            if starts and not any(_COUNT.match(b) for _, b in block):
                block.append((number, line))  # a second name of the same compound
                continue
            yield block[0][0], block
            block = []
        if line:
            block.append((number, line))
    if block:
        yield block[0][0], block


def _msp_fields(lines: Iterator[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        key = key.strip().lower().replace(" ", "_")
        if key in ("comments", "comment"):
            # NIST and MoNA hide further fields here: "SMILES=CCO" "author=..."
            for inner, quoted in re.findall(r'"([^"=]+)=([^"]*)"', value):
                fields.setdefault(inner.strip().lower().replace(" ", "_"), quoted)
        else:
            fields.setdefault(key, value.strip())
    return fields


def _msp_record(
    path: Path,
    fields: Mapping[str, str],
    count: tuple[int, str],
    rows: Sequence[tuple[int, str]],
    begin: int,
    number: int,
) -> Measurement | ReadError:
    name = fields.get("name") or number
    peaks: list[tuple[float, float]] = []
    for line_number, line in rows:
        # Annotations are quoted and may hold anything, numbers too.
        bare = re.sub(r'"[^"]*"', "", line)
        # Several peaks share a line where semicolons part them.
        for part in bare.split(";") if ";" in bare else [bare]:
            if part.strip():
                try:
                    peaks.append(peak(part))
                except ValueError as error:
                    return ReadError(path, str(error), line=line_number, record=name)
    wanted = re.match(r"[0-9]{1,9}", count[1].partition(":")[2].strip())
    if wanted and int(wanted.group()) != len(peaks):
        reason = f"Num Peaks says {wanted.group()}, found {len(peaks)}; was the record cut off?"
        return ReadError(path, reason, line=count[0], record=name)
    return measurement(path, fields, peaks, line=begin, number=number)


def read_massbank(path: Path) -> Items:
    """MassBank records, one or several in a file, each ending with `//`.

    Raises:
        ReadError: the file cannot be read, or holds no record.
    """
    fields: dict[str, str] = {}
    peaks: list[tuple[float, float]] = []
    begin, number, in_peaks, bad = 0, 0, False, None
    for line_number, raw in lines(path):
        line = raw.rstrip()
        if not begin:
            if not line.upper().startswith("ACCESSION:"):
                continue
            fields, peaks, begin, number, in_peaks, bad = {}, [], line_number, number + 1, False, None
        if line == "//":
            yield bad or measurement(path, fields, peaks, line=begin, number=number)
            begin = 0
        elif in_peaks and raw.startswith("  "):
            try:
                peaks.append(peak(line))
            except ValueError as error:
                bad = bad or ReadError(path, str(error), line=line_number, record=fields.get("accession"))
        else:
            key, _, value = line.partition(":")
            key, value = key.strip().lower(), value.strip()
            in_peaks = key == "pk$peak"
            if key in ("ac$mass_spectrometry", "ac$chromatography", "ms$focused_ion", "ch$link"):
                # AC$MASS_SPECTROMETRY: ION_MODE POSITIVE
                sub, _, value = value.partition(" ")
                key = f"{key}:{sub.lower()}"
            fields.setdefault(key, value)
    if number == 0:
        raise ReadError(path, "no 'ACCESSION:' in it; is it a MassBank record?")
    if begin:
        yield ReadError(path, "the record ends before '//': it is cut off", line=begin, record=fields.get("accession"))


def read_json(path: Path) -> Items:
    """Spectra as a JSON list, a JSON object, or JSON lines: as GNPS, MoNA and matchms write them.

    Raises:
        ReadError: the file is not JSON; names the line.
    """
    whole_file = not path.name.lower().removesuffix(".gz").endswith(".jsonl")
    # A whole library can stand on one line.
    numbered = lines(path, most=sys.maxsize if whole_file else None)
    if whole_file:
        kept = list(numbered)
        try:
            whole = load_json("\n".join(line for _, line in kept))
        except json.JSONDecodeError as error:
            # Lines of JSON under the name of a whole one: the first line alone says so.
            first = next((line for _, line in kept if line.strip()), "")
            if len(kept) < 2 or not isinstance(_parsed(first), dict):
                reason, line = error.msg, error.lineno
                raise ReadError(path, f"not JSON: {reason}", line=line) from error
        else:
            for number, record in enumerate(whole if isinstance(whole, list) else [whole], start=1):
                yield _json_record(path, record, None, number)
            return
        numbered = iter(kept)
    places = ((place, line) for place, line in numbered if line.strip())
    for number, (place, line) in enumerate(places, start=1):
        record = _parsed(line)
        if isinstance(record, str):
            yield ReadError(path, f"not JSON: {record}", line=place, record=number)
        else:
            yield _json_record(path, record, place, number)


def _parsed(line: str) -> dict[str, Any] | list[Any] | str:
    """What the line holds, or why it holds no JSON object."""
    try:
        found = load_json(line)
    except json.JSONDecodeError as error:
        return error.msg
    return found if isinstance(found, (dict, list)) else f"a spectrum is an object, found {type(found).__name__}"


def _json_record(path: Path, record: Any, line: int | None, number: int) -> Measurement | ReadError:
    if not isinstance(record, dict):
        return ReadError(path, f"a spectrum is an object, found {type(record).__name__}", line=line, record=number)
    fields = {_key(k): str(v) for k, v in record.items() if isinstance(v, (str, int, float))}
    # MoNA keeps names and identifiers inside the compound, and the rest in lists of metadata.
    for compound in itertools.islice(_objects(record.get("compound")), 1):
        for item in itertools.chain(
            _objects(compound.get("metaData")), [{"name": "inchi", "value": compound.get("inchi")}]
        ):
            if item.get("value") is not None:
                fields.setdefault(_key(item.get("name")), str(item["value"]))
        for item in itertools.islice(_objects(compound.get("names")), 1):
            fields.setdefault("name", str(item.get("name", "")))
    for item in _objects(record.get("metaData")):
        fields.setdefault(_key(item.get("name")), str(item.get("value", "")))
    try:
        peaks = _json_peaks({_key(k): v for k, v in record.items()})
    except (ValueError, TypeError, IndexError, KeyError, RecursionError) as error:
        return ReadError(path, f"its peaks are not pairs of numbers: {error}", line=line, record=number)
    return measurement(path, fields, peaks, line=line, number=number)


def _key(name: object) -> str:
    return str(name).strip().lower().replace(" ", "_")


def _objects(found: object) -> Iterator[Mapping[str, Any]]:
    """The objects of a JSON list; nothing from anything else."""
    return (item for item in found if isinstance(item, dict)) if isinstance(found, list) else iter(())


def _json_peaks(record: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Peaks as pairs under one name, as a string of either kind, or as two lists."""
    raw = next((record[k] for k in ("peaks_json", "peaks", "spectrum") if k in record), None)
    if raw is None:
        mz, heights = (next((record[k] for k in names if k in record), []) for names in (("mz", "mzs"), _HEIGHTS))
        raw = list(zip(mz, heights, strict=True))
    if isinstance(raw, str):
        pairs = load_json(raw) if raw.strip().startswith("[") else [p.split(":") for p in raw.replace(";", " ").split()]
    else:
        pairs = raw
    return [(float(p[0]), float(p[1])) for p in pairs]


_HEIGHTS = ("intensity", "intensities")


def is_massbank(path: Path) -> bool:
    """Whether a text file holds MassBank records: an accession stands among its first lines."""
    try:
        return any(line.upper().startswith("ACCESSION:") for _, line in itertools.islice(lines(path), 100))
    except ReadError:
        return False


def is_massbank_table(path: Path) -> bool:
    """Whether a Parquet table has the columns of MassBank spectra."""
    return {"mzs", "intensities"} <= parquet_columns(path)


def read_parquet(path: Path, *, quality: bool = True) -> Items:
    """Tables of MassBank spectra, as molvis's benchmark data: one row a spectrum, peaks as lists, read in batches.

    Args:
        path: the table; `.parquet` or `.parquet.gz`.
        quality: leave out rows of low resolution, and those whose precursor contradicts their structure, where the
            table has the columns `is_high_res` and `precursor_ok`. Each is yielded as a `LeftOutError`.

    Raises:
        ReadError: the file is not Parquet, is damaged, or lacks a column.
    """
    number = 0
    for batch in read_batches(path, _KINDS, need=("mzs", "intensities", "precursor_mz", "adduct", "smiles")):
        lists = {n: batch.column(n) for n in ("mzs", "intensities")}
        rest = {n: batch.column(n).to_pylist() for n in batch.schema.names if n not in lists}
        for i in range(batch.num_rows):
            number += 1
            row = {n: values[i] for n, values in rest.items()}
            if quality and (reason := _unfit(row)):
                yield LeftOutError(path, reason, line=number, record=row.get("identifier") or number)
            else:
                yield _parquet_row(path, row, lists["mzs"][i].values, lists["intensities"][i].values, number)


_KINDS: dict[str, Kind] = {
    "identifier": "label", "name": "text", "smiles": "text", "inchikey": "text", "formula": "text",
    "exact_mass": "number", "charge": "number", "precursor_mz": "number", "adduct": "text", "ion_mode": "text",
    "instrument_type": "text", "is_high_res": "flag", "precursor_ok": "flag", "ce_ev": "number", "mzs": "numbers",
    "intensities": "numbers", "source": "text", "contributor": "text", "licence": "text", "authors": "text",
    "cluster": "number", "fold": "text",
}  # fmt: skip


def _unfit(row: Mapping[str, Any]) -> str:
    """Why a row is left out, or nothing."""
    if not row.get("is_high_res", True):
        return "of low resolution (is_high_res)"
    return "" if row.get("precursor_ok", True) else "its precursor m/z contradicts its structure (precursor_ok)"


@functools.lru_cache(maxsize=20_000)
def _known(
    smiles: str, inchikey: str | None, formula: str | None, mass: float | None, charge: int, name: str | None
) -> Structure:
    if inchikey and formula and mass:
        return Structure(smiles, inchikey, formula.partition("+")[0].partition("-")[0].strip("[]"), mass, charge, name)
    return dataclasses.replace(known_structure(smiles), name=name)


def _parquet_row(path: Path, row: Mapping[str, Any], mz: Any, heights: Any, number: int) -> Measurement | ReadError:
    record = row.get("identifier") or number
    if mz is None or heights is None or not len(mz):
        return ReadError(path, "no peaks", line=number, record=record)
    try:
        known = None
        if row["smiles"]:
            known = _known(
                row["smiles"], row.get("inchikey"), row.get("formula"), row.get("exact_mass"), row.get("charge") or 0,
                row.get("name"),
            )  # fmt: skip
        ion = parse_adduct(row["adduct"]) if row["adduct"] else None
        mode = (row.get("ion_mode") or "").lower()
        if ion is not None and mode in ("positive", "negative") and mode != ion.ionmode:
            raise AdductError(f"adduct {ion.name} is {ion.ionmode}, but the ion mode is {mode}; correct one of them")
        energy = row.get("ce_ev")
        spectrum = PeakList(
            mz=mz.to_numpy(zero_copy_only=False).astype(np.float64),
            intensity=heights.to_numpy(zero_copy_only=False).astype(np.float64),
            precursor_mz=row["precursor_mz"],
            adduct=ion.name if ion else None,
            charge=ion.charge if ion else None,
            ionmode=ion.ionmode if ion else (mode or None),
            collision_energy=None if energy is None or np.isnan(energy) else float(energy),
            instrument_type=row.get("instrument_type"),
            ms_level=2,
            identifier=str(record),
        )
    except (AdductError, RecordError, StructureError) as error:
        return ReadError(path, str(error), line=number, record=record)
    origin = {k: row.get(k) for k in ("fold", "cluster", "name", "source", "licence", "contributor", "authors")}
    return Measurement(spectrum, known, "msms", **origin)
