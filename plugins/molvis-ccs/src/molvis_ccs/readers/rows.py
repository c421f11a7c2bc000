"""One row of a table of cross sections to its measurements, in A^2, or the reason why it cannot be read."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from molvis_ccs.readers import checks
from molvis_core.errors import MolvisError, ReadError, RecordError
from molvis_core.records import Measurement, Structure, Value

if TYPE_CHECKING:
    from molvis_core.chemistry.adducts import Adduct
from molvis_ccs.readers.columns import GASES, Columns, Section, instrument_type

Items = Iterator[Measurement | ReadError]
_EMPTY = {"", "n/a", "na", "none", "null", "-", "?"}


def read_row(path: Path, columns: Columns, row: Mapping[str, str], line: int) -> Items:
    """One measurement for each column of cross sections that is filled, or the reason why there is none."""
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

    def __init__(self, columns: Columns, cells: Mapping[str, str | None]) -> None:
        self.columns, self.cells, self.at = columns, cells, ""

    def get(self, name: str) -> str | None:
        """A cell, None where it is empty or there is no such column."""
        if (text := self.cells.get(name)) is not None:
            self.at = self.columns.fields[name].strip()
        return text

    def number(self, name: str) -> float | None:
        """A cell as a number that is not negative."""
        return None if (text := self.get(name)) is None else _number(text)

    def measurement(self, section: Section, text: str) -> Measurement:
        """The measurement of one cross section of the row.

        Raises:
            MolvisError: something in it cannot be; `at` is the column.
        """
        structure, adduct = self.structure(), self.adduct()
        mz = self.mz(structure, adduct)
        gas = self.get("gas") or section.gas
        gas = GASES.get((gas or "").lower(), gas)
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
                instrument_type=section.instrument or instrument_type(cells.get("instrument")),
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
            raise RecordError(f"m/z must be positive, got {text}")
        if structure is None or adduct is None:
            return mz
        decimals = len(re.split(r"[eE]", text)[0].replace(",", ".").partition(".")[2])
        return checks.agreeing_mz(mz, structure, adduct, rounding=0.51 * 10**-decimals)

    def sd(self, name: str) -> float | None:
        """A standard deviation; 0 and NaN stand for one that is not known."""
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
    from molvis_core.chemistry.structures import structure

    if re.match(r"1S?/", text):
        text = f"InChI={text}"
    found = structure(text)
    own = inchikey if inchikey and re.fullmatch(r"[A-Z]{14}-[A-Z]{10}-[A-Z]", inchikey) else None
    return dataclasses.replace(found, inchikey=own) if own else found
