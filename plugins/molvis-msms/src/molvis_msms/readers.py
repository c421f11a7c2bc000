"""Readers of tandem mass spectra. A record that cannot be read is yielded as a `ReadError` with its line and reason."""

from __future__ import annotations

import functools
import gzip
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from molvis.adducts import parse_adduct
from molvis.dataset import Measurement
from molvis.errors import AdductError, ReadError, RecordError, StructureError
from molvis.identity import structure
from molvis.records import PeakList, Structure
from molvis_msms.fields import measurement

Items = Iterator[Measurement | ReadError]
_PAIR = re.compile(r"[\s,;:]+")


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        if path.name.lower().endswith(".gz") or raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
    except (OSError, EOFError) as error:
        raise ReadError(path, f"cannot be read: {error}") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Vendors' exports and older libraries are Latin-1, which every byte string is.
        return raw.decode("latin-1")


def _peak(text: str) -> tuple[float, float]:
    parts = [p for p in _PAIR.split(text.strip()) if p]
    if len(parts) < 2:
        raise ValueError(f"{text.strip()!r} is not a peak; m/z and intensity are wanted")
    return float(parts[0]), float(parts[1])


def read_mgf(path: Path) -> Items:
    """Mascot generic format.

    Raises:
        ReadError: the file cannot be read, or holds no `BEGIN IONS`.
    """
    fields: dict[str, str] = {}
    peaks: list[tuple[float, float]] = []
    begin, number, bad = 0, 0, None
    for line_number, raw in enumerate(_text(path).splitlines(), start=1):
        line = raw.strip()
        if line.upper() == "BEGIN IONS":
            if begin:
                yield ReadError(path, f"BEGIN IONS of line {begin} has no END IONS", line=line_number, record=number)
            fields, peaks, begin, number, bad = {}, [], line_number, number + 1, None
        elif not begin or not line or line[0] in "#;!/":
            continue
        elif line.upper() == "END IONS":
            yield bad or measurement(path, fields, peaks, line=begin, number=number)
            begin = 0
        elif "=" in line and not line[0].isdigit():
            key, _, value = line.partition("=")
            fields[key.strip().lower()] = value.strip()
        elif bad is None:
            try:
                peaks.append(_peak(line))
            except ValueError as error:
                name = fields.get("title") or number
                bad = ReadError(path, f"not a peak: {error}", line=line_number, record=name)
    if number == 0:
        raise ReadError(path, "no BEGIN IONS in it; is it an MGF file?")
    if begin:
        yield ReadError(path, "the file ends before END IONS: it is cut off", line=begin, record=number)


def read_msp(path: Path) -> Items:
    """MSP libraries, as NIST, MoNA, RIKEN and MassBank write them.

    Raises:
        ReadError: the file cannot be read, or holds no `Num Peaks`.
    """
    number = 0
    for begin, block in _blocks(_text(path)):
        found = next(
            (i for i, (_, line) in enumerate(block) if re.match(r"num\s*peaks\s*:", line, re.IGNORECASE)), None
        )
        number += 1
        if found is None:
            name = block[0][1].partition(":")[2].strip() or number
            yield ReadError(path, "no 'Num Peaks' line; the record is cut off or not MSP", line=begin, record=name)
            continue
        fields = _msp_fields(line for _, line in block[:found])
        yield _msp_record(path, fields, block[found], block[found + 1 :], begin, number)
    if number == 0:
        raise ReadError(path, "empty: no record in it")


def _blocks(text: str) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """Records: separated by empty lines, or by a new `Name:` behind the peaks."""
    block: list[tuple[int, str]] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        starts = bool(re.match(r"name\s*:", line, re.IGNORECASE))
        if (not line or starts) and block:
            if starts and not any(re.match(r"num\s*peaks\s*:", b, re.IGNORECASE) for _, b in block):
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
    lines: Sequence[tuple[int, str]],
    begin: int,
    number: int,
) -> Measurement | ReadError:
    name = fields.get("name") or number
    peaks: list[tuple[float, float]] = []
    for line_number, line in lines:
        # Annotations are quoted and may hold anything, numbers too.
        bare = re.sub(r'"[^"]*"', "", line)
        # Several peaks share a line where semicolons part them.
        for part in bare.split(";") if ";" in bare else [bare]:
            if part.strip():
                try:
                    peaks.append(_peak(part))
                except ValueError as error:
                    return ReadError(path, f"not a peak: {error}", line=line_number, record=name)
    wanted = re.sub(r"\D", "", count[1])
    if wanted and int(wanted) != len(peaks):
        return ReadError(path, f"Num Peaks says {wanted}, found {len(peaks)}", line=count[0], record=name)
    return measurement(path, fields, peaks, line=begin, number=number)


def read_massbank(path: Path) -> Items:
    """MassBank records, one or several in a file, each ending with `//`.

    Raises:
        ReadError: the file cannot be read, or holds no record.
    """
    fields: dict[str, str] = {}
    peaks: list[tuple[float, float]] = []
    begin, number, in_peaks, bad = 0, 0, False, None
    for line_number, raw in enumerate(_text(path).splitlines(), start=1):
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
                peaks.append(_peak(line))
            except ValueError as error:
                bad = bad or ReadError(path, f"not a peak: {error}", line=line_number, record=fields.get("accession"))
        else:
            key, _, value = line.partition(":")
            key, value = key.strip().lower(), value.strip()
            in_peaks = key == "pk$peak"
            if key in ("ac$mass_spectrometry", "ms$focused_ion", "ch$link"):
                # AC$MASS_SPECTROMETRY: ION_MODE POSITIVE
                sub, _, value = value.partition(" ")
                key = f"{key}:{sub.lower()}"
            fields.setdefault(key, value)
    if number == 0:
        raise ReadError(path, "no 'ACCESSION:' in it; is it a MassBank record?")
    if begin:
        yield ReadError(path, "the record ends before '//': it is cut off", line=begin, record=fields.get("accession"))


def read_mzml(path: Path) -> Items:
    """MS/MS scans of mzML files, through pyteomics. Other scans are passed over; profile scans are refused.

    Raises:
        ReadError: the file cannot be read as mzML, or is cut off.
    """
    from lxml.etree import XMLSyntaxError
    from pyteomics import mzml
    from pyteomics.xml import PyteomicsError

    opened = gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")
    number = 0
    try:
        with opened as raw, mzml.MzML(io.BytesIO(raw.read()), use_index=False) as scans:
            for scan in scans:
                number += 1
                if scan.get("ms level", 2) >= 2:
                    yield _scan(path, scan, number)
    except (XMLSyntaxError, PyteomicsError, OSError, EOFError, ValueError, KeyError) as error:
        where = f" after {number} scans" if number else ""
        raise ReadError(path, f"damaged or not mzML{where}: {error}") from error
    if number == 0:
        raise ReadError(path, "no scan in it; is it an mzML file?")


def _scan(path: Path, scan: Mapping[str, Any], number: int) -> Measurement | ReadError:
    identifier = str(scan.get("id", number))
    if "profile spectrum" in scan:
        return ReadError(
            path, "a profile scan; pick peaks first, for example with msconvert's peakPicking", record=identifier
        )
    try:
        precursor = scan["precursorList"]["precursor"][0]
        ion = precursor["selectedIonList"]["selectedIon"][0]
        selected = float(ion["selected ion m/z"])
    except (KeyError, IndexError) as error:
        return ReadError(path, f"the scan names no precursor ({error})", record=identifier)
    activation = precursor.get("activation", {})
    charge = int(ion["charge state"]) if "charge state" in ion else 1
    sign = "negative" if "negative scan" in scan else "positive"
    fields = {
        "id": identifier,
        "precursor_mz": repr(selected),
        "charge": f"{charge}{'-' if sign == 'negative' else '+'}",
        "ionmode": sign,
        "ms_level": str(scan.get("ms level", 2)),
    }
    if "collision energy" in activation:
        fields["collision_energy"] = f"{float(activation['collision energy'])} eV"
    peaks = list(zip(scan["m/z array"].tolist(), scan["intensity array"].tolist(), strict=True))
    return measurement(path, fields, peaks, line=None, number=number)


def read_json(path: Path) -> Items:
    """Spectra as a JSON list, a JSON object, or JSON lines: as GNPS, MoNA and matchms write them.

    Raises:
        ReadError: the file is not JSON; names the line.
    """
    text = _text(path)
    records: list[tuple[int | None, Any]]
    try:
        whole = json.loads(text)
        records = [(None, r) for r in (whole if isinstance(whole, list) else [whole])]
    except json.JSONDecodeError as error:
        lines = [(n, line) for n, line in enumerate(text.splitlines(), start=1) if line.strip()]
        if len(lines) < 2 or not lines[0][1].rstrip().endswith("}"):
            raise ReadError(path, f"not JSON: {error.msg}", line=error.lineno) from error
        records = []
        for number, line in lines:
            try:
                records.append((number, json.loads(line)))
            except json.JSONDecodeError as inner:
                records.append((number, ReadError(path, f"not JSON: {inner.msg}", line=number)))
    for number, (line, record) in enumerate(records, start=1):
        yield record if isinstance(record, ReadError) else _json_record(path, record, line, number)


def _json_record(path: Path, record: Any, line: int | None, number: int) -> Measurement | ReadError:
    if not isinstance(record, dict):
        return ReadError(path, f"a spectrum is an object, found {type(record).__name__}", line=line, record=number)
    fields = {k.lower().replace(" ", "_"): str(v) for k, v in record.items() if isinstance(v, (str, int, float))}
    for compound in record.get("compound", [])[:1] if isinstance(record.get("compound"), list) else []:
        # MoNA keeps names and identifiers inside the compound, and the rest in lists of metadata.
        for item in compound.get("metaData", []):
            fields.setdefault(str(item.get("name", "")).lower().replace(" ", "_"), str(item.get("value", "")))
        for item in compound.get("names", [])[:1]:
            fields.setdefault("name", str(item.get("name", "")))
    for item in record.get("metaData", []) if isinstance(record.get("metaData"), list) else []:
        fields.setdefault(str(item.get("name", "")).lower().replace(" ", "_"), str(item.get("value", "")))
    raw = next((record[k] for k in ("peaks_json", "peaks", "spectrum") if k in record), [])
    try:
        if isinstance(raw, str):
            listed = raw.strip().startswith("[")
            raw = json.loads(raw) if listed else [p.split(":") for p in raw.replace(";", " ").split()]
        peaks = [(float(p[0]), float(p[1])) for p in raw]
    except (ValueError, TypeError, IndexError, KeyError) as error:
        return ReadError(path, f"its peaks are not pairs of numbers: {error}", line=line, record=number)
    return measurement(path, fields, peaks, line=line, number=number)


def read_parquet(path: Path) -> Items:
    """Tables of MassBank spectra, as molvis's benchmark data: one row a spectrum, peaks as lists.

    Rows of low resolution, and those whose precursor contradicts their structure, are passed over where the table has
    the columns `is_high_res` and `precursor_ok`.

    Raises:
        ReadError: the file is not Parquet, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ReadError(path, f"not a Parquet file, or damaged: {error}") from error
    names = set(file.schema_arrow.names)
    if missing := [n for n in ("mzs", "intensities", "precursor_mz", "adduct", "smiles") if n not in names]:
        raise ReadError(path, f"no column {', '.join(missing)}; it has {', '.join(sorted(names))}")
    columns = [n for n in _PARQUET if n in names]
    number = 0
    for batch in file.iter_batches(batch_size=2000, columns=columns):
        lists = {n: batch.column(n) for n in ("mzs", "intensities")}
        rest = {n: batch.column(n).to_pylist() for n in columns if n not in lists}
        for i in range(batch.num_rows):
            number += 1
            row = {n: values[i] for n, values in rest.items()}
            if row.get("is_high_res", True) and row.get("precursor_ok", True):
                arrays = [lists[n][i].values.to_numpy().astype(np.float64) for n in ("mzs", "intensities")]
                yield _parquet_row(path, row, arrays[0], arrays[1], number)


_PARQUET = (
    "identifier", "name", "smiles", "inchikey", "formula", "exact_mass", "charge", "precursor_mz", "adduct", "ion_mode",
    "instrument_type", "is_high_res", "precursor_ok", "ce_ev", "mzs", "intensities", "source", "contributor", "licence",
    "authors", "cluster", "fold",
)  # fmt: skip


@functools.lru_cache(maxsize=20_000)
def _known(
    smiles: str, inchikey: str | None, formula: str | None, mass: float | None, charge: int, name: str | None
) -> Structure:
    if inchikey and formula and mass:
        return Structure(smiles, inchikey, formula.partition("+")[0].partition("-")[0].strip("[]"), mass, charge, name)
    return structure(smiles, name=name)


def _parquet_row(
    path: Path, row: Mapping[str, Any], mz: np.ndarray, intensity: np.ndarray, number: int
) -> Measurement | ReadError:
    record = row.get("identifier") or number
    try:
        known = _known(
            row["smiles"], row.get("inchikey"), row.get("formula"), row.get("exact_mass"), row.get("charge") or 0,
            row.get("name"),
        )  # fmt: skip
        ion = parse_adduct(row["adduct"])
        energy = row.get("ce_ev")
        spectrum = PeakList(
            mz=mz,
            intensity=intensity,
            precursor_mz=row["precursor_mz"],
            adduct=ion.name,
            charge=ion.charge,
            ionmode=ion.ionmode,
            collision_energy=None if energy is None or np.isnan(energy) else float(energy),
            instrument_type=row.get("instrument_type"),
            ms_level=2,
            identifier=str(record),
        )
    except (AdductError, RecordError, StructureError) as error:
        return ReadError(path, str(error), line=number, record=record)
    origin = {k: row.get(k) for k in ("fold", "cluster", "name", "source", "licence", "contributor", "authors")}
    return Measurement(spectrum, known, "msms", **origin)
