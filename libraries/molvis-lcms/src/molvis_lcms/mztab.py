"""mzTab-M 2.0: the tables in which programs for metabolomics hand on features and what they are.

N. Hoffmann et al., mzTab-M: a data standard for sharing quantitative results in mass spectrometry metabolomics, Anal.
Chem. 91 (2019) 3302, doi:10.1021/acs.analchem.8b04310
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from molvis_core.errors import ReadError
from molvis_files.opening import lines

__all__ = ["MzTab", "Row", "Section", "problems_of", "read_mztab"]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a section.

    Attributes:
        line: of the file.
        cells: by column; None where the file has `null` or nothing.
    """

    line: int
    cells: Mapping[str, str | None]


@dataclass(slots=True)
class Section:
    """One of the three tables.

    Attributes:
        line: of the heading.
        columns: in their order.
        rows: in their order.
    """

    line: int
    columns: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)


@dataclass(slots=True)
class MzTab:
    """A file of mzTab-M.

    Attributes:
        metadata: values by key, such as `ms_run[1]-location`.
        lines: of the metadata in the file, by key.
        small_molecules: the summary, or None.
        features: by m/z and time, or None.
        evidence: why a feature is taken for a molecule, or None.
    """

    metadata: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    small_molecules: Section | None = None
    features: Section | None = None
    evidence: Section | None = None

    def numbered(self, name: str) -> list[int]:
        """The numbers of the elements of one kind, such as those of `assay[1]`, `assay[2]`."""
        found = (re.match(rf"{name}\[(\d+)\]", key) for key in self.metadata)
        return sorted({int(m.group(1)) for m in found if m})


_HEADS = {"SMH": "small_molecules", "SFH": "features", "SEH": "evidence"}
_ROWS = {"SML": "small_molecules", "SMF": "features", "SME": "evidence"}


def read_mztab(path: Path) -> MzTab:
    """A file of mzTab-M as it stands; `problems_of` says what is wrong with it.

    Raises:
        ReadError: it cannot be read, is no mzTab, a row comes before its heading, or has more cells than it.
    """
    out = MzTab()
    for number, cells in _cells(path):
        kind, rest = cells[0].strip(), cells[1:]
        if kind == "MTD":
            key = rest[0].strip() if rest else ""
            out.metadata[key] = rest[1].strip() if len(rest) > 1 else ""
            out.lines[key] = number
        elif kind in _HEADS:
            columns = tuple(c.strip() for c in rest)
            setattr(out, _HEADS[kind], Section(number, tuple(c for c in columns if c)))
        elif kind in _ROWS:
            section: Section | None = getattr(out, _ROWS[kind])
            if section is None:
                raise ReadError(path, f"a row {kind} comes before the heading of its section", line=number)
            section.rows.append(_row(path, number, section.columns, [_value(c) for c in rest]))
        elif kind and kind != "COM":
            raise ReadError(path, f"{kind!r} begins no line of mzTab-M; is it another format?", line=number)
    if "mzTab-version" not in out.metadata:
        raise ReadError(path, "it does not state an mzTab-version; is it another format?", line=1)
    return out


def _cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in lines(path):
        if line.strip():
            # Quotes around a cell are of the spreadsheet that wrote it.
            yield number, next(csv.reader([line], delimiter="\t"))


def _row(path: Path, number: int, columns: Sequence[str], values: list[str | None]) -> Row:
    if any(v is not None for v in values[len(columns) :]):
        reason = f"the row has {len(values)} cells, its section {len(columns)} columns"
        raise ReadError(path, reason, line=number)
    values += [None] * (len(columns) - len(values))
    return Row(number, dict(zip(columns, values, strict=False)))


def _value(cell: str) -> str | None:
    cell = cell.strip()
    return None if cell in {"", "null"} else cell


_REQUIRED = (
    "mzTab-version", "mzTab-ID", "software[1]", "quantification_method", "ms_run[1]-location",
    "assay[1]-ms_run_ref", "study_variable[1]-description", "study_variable[1]-assay_refs",
    "cv[1]-label", "cv[1]-full_name", "cv[1]-version", "cv[1]-uri", "database[1]", "database[1]-prefix",
    "database[1]-version", "database[1]-uri",
)  # fmt: skip
"""Of the metadata, whatever sections there are."""
_COLUMNS = {
    "small_molecules": (
        "SML_ID", "SMF_ID_REFS", "database_identifier", "chemical_formula", "smiles", "inchi", "chemical_name", "uri",
        "theoretical_neutral_mass", "adduct_ions", "reliability", "best_id_confidence_measure",
        "best_id_confidence_value",
    ),
    "features": (
        "SMF_ID", "SME_ID_REFS", "SME_ID_REF_ambiguity_code", "adduct_ion", "isotopomer", "exp_mass_to_charge",
        "charge", "retention_time_in_seconds", "retention_time_in_seconds_start", "retention_time_in_seconds_end",
    ),
    "evidence": (
        "SME_ID", "evidence_input_id", "database_identifier", "chemical_formula", "smiles", "inchi", "chemical_name",
        "uri", "derivatized_form", "adduct_ion", "exp_mass_to_charge", "charge", "theoretical_mass_to_charge",
        "spectra_ref", "identification_method", "ms_level", "rank",
    ),
}  # fmt: skip
_NUMBERS = {
    "theoretical_neutral_mass", "best_id_confidence_value", "exp_mass_to_charge", "theoretical_mass_to_charge",
    "retention_time_in_seconds", "retention_time_in_seconds_start", "retention_time_in_seconds_end",
}  # fmt: skip
_INTEGERS = {"SML_ID", "SMF_ID", "SME_ID", "charge", "rank"}
_ADDUCT = re.compile(r"\[\d*M([+-][\w\d]+)*\]\d*[+-]")
_SCANS = {
    "MS:1000768": re.compile(r"controllerType=\d+ controllerNumber=\d+ scan=\d+"),
    "MS:1000774": re.compile(r"index=\d+"),
    "MS:1000776": re.compile(r"scan=\d+"),
}
"""How scans are called, by the term of the run's id_format; of other formats nothing is checked."""


def problems_of(document: MzTab) -> list[str]:
    """What contradicts the specification, a line each, with the line of the file: empty where nothing does.

    Checked are the metadata and the columns that must be there, ids that are twice, references that lead nowhere,
    kinds of values, and references to scans of another form than the run's.
    """
    return [
        *_problems_of_metadata(document),
        *(p for name in _COLUMNS for p in _problems_of_section(document, name)),
        *_problems_of_references(document),
    ]


def _problems_of_metadata(document: MzTab) -> Iterator[str]:
    known = document.metadata
    if not re.fullmatch(r"2\.\d+\.\d+-M", known.get("mzTab-version", "")):
        yield f"mzTab-version is {known.get('mzTab-version')!r}; mzTab-M has 2.0.0-M"
    wanted: list[str] = list(_REQUIRED)
    if document.small_molecules:
        wanted += ["small_molecule-quantification_unit", "small_molecule-identification_reliability"]
    if document.features:
        wanted.append("small_molecule_feature-quantification_unit")
    if document.evidence:
        wanted.append("id_confidence_measure[1]")
    yield from (f"the metadata lack {key}" for key in wanted if not known.get(key))
    for number in document.numbered("ms_run"):
        if not any(key.startswith(f"ms_run[{number}]-scan_polarity") for key in known):
            yield f"the metadata lack ms_run[{number}]-scan_polarity[1]"
    elements = {key.partition("-")[0] for key in known}
    for key, value in known.items():
        if not key.endswith(("_ref", "_refs")) or value in {"", "null"}:
            continue
        for reference in re.split(r"[|,]", value):
            if reference.strip() not in elements:
                yield f"line {document.lines[key]}: {key} names {reference.strip()}, which the metadata lack"


def _problems_of_section(document: MzTab, name: str) -> Iterator[str]:
    section: Section | None = getattr(document, name)
    if section is None:
        return
    yield from (f"line {section.line}: the section lacks {c}" for c in _COLUMNS[name] if c not in section.columns)
    for kind in ("assay", "study_variable"):
        known = {f"abundance_{kind}[{number}]" for number in document.numbered(kind)}
        unknown = [c for c in section.columns if c.startswith(f"abundance_{kind}[") and c not in known]
        yield from (f"line {section.line}: {c} is of no {kind} of the metadata" for c in unknown)
    own = _COLUMNS[name][0]
    seen: set[str | None] = set()
    for row in section.rows:
        if row.cells.get(own) in seen:
            yield f"line {row.line}: {own} {row.cells.get(own)} is there twice"
        seen.add(row.cells.get(own))
        yield from _problems_of_values(row)


def _problems_of_values(row: Row) -> Iterator[str]:
    for column, value in row.cells.items():
        if value is None:
            continue
        number = column in _NUMBERS or column.startswith(("abundance_", "id_confidence_measure["))
        if number and not _is_number(value):
            yield f"line {row.line}: {column} is {value!r}, no number"
        elif column in _INTEGERS and not re.fullmatch(r"[+-]?\d+", value):
            yield f"line {row.line}: {column} is {value!r}, no whole number"
        elif column == "adduct_ion" and not _ADDUCT.fullmatch(value):
            yield f"line {row.line}: adduct_ion is {value!r}; it is written like [M+H]1+"


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _problems_of_references(document: MzTab) -> Iterator[str]:
    for name, column, other, key in (
        ("small_molecules", "SMF_ID_REFS", "features", "SMF_ID"),
        ("features", "SME_ID_REFS", "evidence", "SME_ID"),
    ):
        section: Section | None = getattr(document, name)
        there: Section | None = getattr(document, other)
        known = {row.cells.get(key) for row in there.rows} if there else set[str | None]()
        for row in section.rows if section else ():
            for reference in re.split(r"[|,]", row.cells.get(column) or ""):
                if reference.strip() and reference.strip() not in known:
                    yield f"line {row.line}: {column} names {reference.strip()}, which no row has as {key}"
    for row in document.evidence.rows if document.evidence else ():
        for reference in (row.cells.get("spectra_ref") or "").split("|"):
            yield from _problems_of_scan(document, row, reference.strip())


def _problems_of_scan(document: MzTab, row: Row, reference: str) -> Iterator[str]:
    run, _, scan = reference.partition(":")
    if not run:
        return
    if f"{run}-location" not in document.metadata:
        yield f"line {row.line}: spectra_ref names {run}, which the metadata lack"
    form = re.search(r"MS:\d+", document.metadata.get(f"{run}-id_format", ""))
    if form and (pattern := _SCANS.get(form.group())) and not pattern.fullmatch(scan):
        yield f"line {row.line}: spectra_ref is {reference!r}, but scans of {run} are called as {form.group()} has it"
