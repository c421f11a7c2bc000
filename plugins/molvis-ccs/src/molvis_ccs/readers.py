"""Readers of collision cross sections. A record that cannot be read is yielded as a `ReadError` with line and column.

What a column holds is told by its header, whatever its case and punctuation: the exports of CCSbase, AllCCS, METLIN-CCS
and the CCS Compendium are read as they are. Values come out in A^2.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from molvis_ccs import checks
from molvis_core.dataset import Measurement
from molvis_core.errors import MolvisError, ReadError, RecordError
from molvis_core.files import parquet_columns, read_bytes, read_text
from molvis_core.records import Structure, Value

if TYPE_CHECKING:
    from molvis_core.adducts import Adduct

Items = Iterator[Measurement | ReadError]

_NAMES: dict[str, tuple[str, ...]] = {
    "smiles": ("smiles", "smi", "canonicalsmiles", "isomericsmiles", "structure"),
    "inchi": ("inchi",),
    "inchikey": ("inchikey",),
    "name": ("name", "compound", "compoundname", "moleculename", "metabolite", "lipid", "analyte"),
    "adduct": (
        "adduct", "adducts", "precursoradduct", "ionspecies", "ionspeciesagilent", "ion", "iontype", "precursortype",
    ),
    "charge": ("charge", "z", "chargestate"),
    "ionmode": ("ionmode", "polarity", "mode", "ionization", "ionizationmode", "esimode"),
    "mz": ("mz", "m/z", "mzreported", "precursormz", "experimentalmz", "measuredmz", "mzmeasured", "mzavg"),
    "sd": ("sd", "ccssd", "sdccs", "std", "stdev", "stddev", "ccsstd", "ccsstdev", "standarddeviation"),
    "rsd": ("rsd", "rsdccs", "ccsrsd", "cv", "ccscv", "rsdpercent"),
    "gas": ("gas", "driftgas", "buffergas"),
    "instrument": ("instrumenttype", "itype", "ccstype", "imstype", "instrument", "platform", "technique"),
    "fold": ("fold", "split"),
    "source": ("source", "sources", "srctag", "ref", "dataset"),
    "authors": ("reference", "authors", "citation"),
    "contributor": ("collection", "contributor"),
    "licence": ("licence", "license"),
    "redistribution": ("redistribution",),
    "identifier": ("id", "allccsid", "metlinid", "ccsbaseid", "gid", "identifier"),
}  # fmt: skip
_CCS = re.compile(
    r"(?:exp|experimental|measured|mean|avg|average|corrected)?(?P<type>dt|sf|tw|tims|tw?ims)?(?:ims)?"
    r"(?:ccs|crosssection|collisioncrosssection)"
    r"(?P<gas>n2|he|co2|ar)?(?P<middle>value|exp|experimental|measured|mean|avg|average)?"
    r"(?P<unit>a2|a\^2|ang2|angstrom2|nm2|nm\^2)?(?P<n2>n2)?"
)
_GASES = {"n2": "N2", "nitrogen": "N2", "he": "He", "helium": "He", "co2": "CO2", "ar": "Ar", "argon": "Ar"}
_TYPES = (
    ("TIMS", ("tims", "trapped")),
    ("TW", ("tw", "travel", "synapt", "vion", "cyclic")),
    ("DT", ("dt", "drift", "6560", "sf", "stepped")),
)
_EMPTY = {"", "n/a", "na", "none", "null", "-", "?"}


@dataclasses.dataclass(frozen=True, slots=True)
class _Section:
    """A column of cross sections: its header, and what that says."""

    header: str
    factor: float
    instrument: str | None
    gas: str | None
    average: bool


@dataclasses.dataclass(frozen=True, slots=True)
class _Columns:
    """Which column holds what: field to header, and the columns of cross sections."""

    fields: Mapping[str, str]
    sections: Sequence[_Section]

    @property
    def fit(self) -> bool:
        """Whether there is a cross section, and an ion or a structure that it is of."""
        return bool(self.sections) and bool({"adduct", "mz", "smiles", "inchi"} & self.fields.keys())


def _plain(header: str) -> str:
    text = header.strip().lower().replace("\u00b2", "2").replace("\u00e5", "a").replace("\u212b", "a")
    return re.sub(r"[^a-z0-9/^]", "", text)


def _columns(headers: Sequence[str]) -> _Columns:
    plain = {header: _plain(header) for header in headers if header}
    fields: dict[str, str] = {}
    for name, known in _NAMES.items():
        found = sorted((known.index(p), header) for header, p in plain.items() if p in known)
        if found:
            fields[name] = found[0][1]
    sections: dict[tuple[str | None, str | None], _Section] = {}
    for header, text in plain.items():
        if (match := _CCS.fullmatch(text)) is None:
            continue
        unit, gas = match["unit"] or "", match["gas"] or match["n2"]
        section = _Section(
            header,
            100.0 if unit.startswith("nm") else 1.0,
            _instrument(match["type"]),
            _GASES[gas] if gas else None,
            bool(re.search("avg|average|mean", text)),
        )
        key = section.instrument, section.gas
        # Of CCS and CCS_AVG, the average is what the table is about.
        if key not in sections or (section.average and not sections[key].average):
            sections[key] = section
    return _Columns(fields, tuple(sections.values()))


def _instrument(text: str | None) -> str | None:
    low = (text or "").lower()
    return next((kind for kind, words in _TYPES if any(word in low for word in words)), text or None)


def read_csv(path: Path) -> Items:
    """A table with a header: commas, semicolons or tabs between the columns.

    Wanted are a column of cross sections and the adduct, the m/z or the structure. `DTCCSN2`, `TWCCS` and `TIMSCCS`
    beside each other are a measurement each. A header such as `CCS (nm^2)` is converted.

    Raises:
        ReadError: the file cannot be read, or its header lacks these columns.
    """
    text = read_text(path)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        headers = next((row for row in rows if any(cell.strip() for cell in row)), [])
        columns = _columns(headers)
        if not columns.fit:
            raise ReadError(path, _lacking(headers), line=rows.line_num or None)
        while True:
            line = rows.line_num + 1
            if (row := next(rows, None)) is None:
                return
            if not any(cell.strip() for cell in row):
                continue
            if len(row) > len(headers) and any(cell.strip() for cell in row[len(headers) :]):
                yield ReadError(path, f"{len(row)} cells under {len(headers)} headers", line=line)
                continue
            yield from _row(path, columns, dict(zip(headers, row, strict=False)), line)
    except csv.Error as error:
        raise ReadError(path, f"not a table: {error}", line=rows.line_num or None) from error


def _delimiter(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "")
    return max("\t;,", key=first.count)


def _lacking(headers: Sequence[str]) -> str:
    found = ", ".join(h.strip()[:30] for h in headers[:12]) or "nothing"
    return (
        "no column of cross sections (such as CCS or DTCCSN2) beside one of adducts, m/z or structures in its header; "
        f"it has {found}"
    )


def is_ccs_csv(path: Path) -> bool:
    """Whether the first line of a text file names a column of cross sections, and what it is of."""
    try:
        text = read_text(path)
    except ReadError:
        return False
    first = next((line for line in text.splitlines() if line.strip()), "")
    return _columns([cell.strip().strip('"') for cell in first.split(_delimiter(first))]).fit


def read_parquet(path: Path) -> Items:
    """A Parquet table with a row for each measurement and columns as `read_csv` wants them; read in batches.

    Raises:
        ReadError: the file is not Parquet, is damaged, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(io.BytesIO(read_bytes(path)) if path.name.lower().endswith(".gz") else path) as file:
            headers = file.schema_arrow.names
            columns = _columns(headers)
            if not columns.fit:
                raise ReadError(path, _lacking(headers))
            wanted = [*columns.fields.values(), *(section.header for section in columns.sections)]
            for batch in file.iter_batches(batch_size=2000, columns=wanted):
                for row in batch.to_pylist():
                    number += 1
                    cells = {k: "" if v is None else f"{v:+d}" if k == "charge" else str(v) for k, v in row.items()}
                    yield from _row(path, columns, cells, number)
    except (OSError, pa.ArrowException, ValueError) as error:
        if isinstance(error, ReadError):
            raise
        where = f" after row {number}" if number else ""
        raise ReadError(path, f"not a Parquet file, or damaged{where}: {error}") from error


def is_ccs_table(path: Path) -> bool:
    """Whether a Parquet table has the columns of cross sections."""
    return _columns(sorted(parquet_columns(path))).fit


def _row(path: Path, columns: _Columns, row: Mapping[str, str], line: int) -> Items:
    cells = {name: _cell(row.get(header)) for name, header in columns.fields.items()}
    record = cells.get("identifier") or cells.get("name") or line
    filled = [s for s in columns.sections if _cell(row.get(s.header)) is not None]
    if not filled:
        headers = ", ".join(section.header.strip() for section in columns.sections)
        yield ReadError(path, f"column {headers}: no cross section; leave the row out", line=line, record=record)
    for section in filled:
        reader = _Reader(columns, cells)
        try:
            yield reader.measurement(section, row[section.header])
        except MolvisError as error:
            yield ReadError(path, f"column {reader.at}: {error}", line=line, record=record)


def _cell(text: str | None) -> str | None:
    return None if text is None or text.strip().lower() in _EMPTY else text.strip()


class _Reader:
    """One row: it remembers the column that it looks at, for the message where that is bad."""

    def __init__(self, columns: _Columns, cells: Mapping[str, str | None]) -> None:
        self.columns, self.cells, self.at = columns, cells, ""

    def get(self, name: str) -> str | None:
        """A cell, None where it is empty or there is no such column."""
        if (text := self.cells.get(name)) is not None:
            self.at = self.columns.fields[name].strip()
        return text

    def number(self, name: str) -> float | None:
        """A cell as a number that is not negative."""
        return None if (text := self.get(name)) is None else _number(text)

    def measurement(self, section: _Section, text: str) -> Measurement:
        """What the row says of one cross section.

        Raises:
            MolvisError: something in it cannot be; `at` is the column.
        """
        structure, adduct = self.structure(), self.adduct()
        mz = self.mz(structure, adduct)
        gas = self.get("gas") or section.gas
        gas = _GASES.get((gas or "").lower(), gas)
        cells, sd, rsd = self.cells, self.sd("sd"), self.sd("rsd")
        self.at = section.header.strip()
        mass = mz * abs(adduct.charge) if mz is not None and adduct is not None else None
        ccs = checks.cross_section(section.factor * _number(text), mass=mass, gas=gas)
        licence = "; ".join(filter(None, (cells.get("redistribution"), cells.get("licence")))) or None
        return Measurement(
            Value(
                ccs,
                sd=sd * section.factor if sd else ccs * rsd / 100 if rsd else None,
                precursor_mz=mz,
                adduct=adduct.name if adduct else None,
                charge=adduct.charge if adduct else None,
                gas=gas,
                instrument_type=section.instrument or _instrument(cells.get("instrument")),
                identifier=cells.get("identifier"),
            ),
            structure,
            "ccs",
            fold=cells.get("fold"),
            name=cells.get("name"),
            source=cells.get("source"),
            licence=licence,
            contributor=cells.get("contributor"),
            authors=cells.get("authors"),
        )

    def structure(self) -> Structure | None:
        text = self.get("smiles") or self.get("inchi")
        if text is None:
            return None
        found = _known(text, self.cells.get("inchikey"))
        return dataclasses.replace(found, name=self.cells.get("name"))

    def adduct(self) -> Adduct | None:
        charge, mode = self.get("charge"), self.get("ionmode")
        text = self.get("adduct")
        return None if text is None else checks.ion(text, charge=charge, ionmode=mode)

    def mz(self, structure: Structure | None, adduct: Adduct | None) -> float | None:
        text = self.get("mz")
        if text is None:
            if structure is None or adduct is None:
                return None
            self.at = self.columns.fields.get("smiles") or self.columns.fields["inchi"]
            return checks.sure_ion(structure, adduct)
        mz = _number(text)
        if mz <= 0:
            raise RecordError(f"m/z {text}: a positive number is wanted")
        if structure is None or adduct is None:
            return mz
        decimals = len(re.split(r"[eE]", text)[0].replace(",", ".").partition(".")[2])
        return checks.agreeing_mz(mz, structure, adduct, rounding=0.51 * 10**-decimals)

    def sd(self, name: str) -> float | None:
        """A standard deviation; one of 0 or NaN says that it is not known."""
        text = self.get(name)
        if text is None or text.lower() == "nan":
            return None
        value = _number(text)
        if value < 0:
            raise RecordError(f"{text}: a standard deviation is not negative")
        return value or None


def _number(text: str) -> float:
    plain = text.strip().rstrip("%").strip()
    try:
        value = float(plain.replace(",", ".") if "." not in plain else plain)
    except ValueError as error:
        raise RecordError(f"{text.strip()[:40]!r} is not a number") from error
    if not abs(value) < float("inf"):
        raise RecordError(f"{text.strip()} is not a finite number; leave a value that is missing empty")
    return value


@functools.lru_cache(maxsize=20_000)
def _known(text: str, inchikey: str | None) -> Structure:
    """The structure; the source's own InChIKey stands, as other tables key on it."""
    from molvis_core.identity import structure

    if re.match(r"1S?/", text):
        text = f"InChI={text}"
    found = structure(text)
    own = inchikey if inchikey and re.fullmatch(r"[A-Z]{14}-[A-Z]{10}-[A-Z]", inchikey) else None
    return dataclasses.replace(found, inchikey=own) if own else found
