"""Tables of isotopologues as programs for mass spectra write them: IsoCor, El-MAVEN, wide and long.

References: Millard et al., Bioinformatics 35 (2019) 4484, doi:10.1093/bioinformatics/btz209 (IsoCor); Agrawal et al.,
Methods Mol. Biol. 1978 (2019) 301, doi:10.1007/978-1-4939-9236-2_19 (El-MAVEN)
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from molvis_core.errors import ReadError, did_you_mean
from molvis_files.opening import read_text
from molvis_flux.formats.opening import suffix
from molvis_flux.formats.tables import Row, rows

COLUMNS: dict[str, tuple[str, ...]] = {
    "compound": ("fragment", "fragment_id", "ms_id", "metabolite", "compound", "name", "analyte"),
    "mass": ("isotopologue", "isotopolog", "mass", "mass_isotope", "isotopelabel", "label", "isotope", "m"),
    "value": ("isotopologue_fraction", "fraction", "value", "corrected_area", "area", "intensity", "abundance"),
    "sd": ("sd", "std", "stdev", "error", "intensity_std_error"),
    "sample": ("sample", "sample_id", "experiment", "experiment_id", "file"),
    "formula": ("formula", "ion_formula"),
}
"""What columns hold, and what programs call them."""
UNITS = ("fraction", "percent", "area")
_ABOUT = (
    *itertools.chain.from_iterable(COLUMNS[what] for what in ("compound", "mass", "sd", "sample", "formula")),
    "derivative", "resolution", "metagroupid", "groupid", "goodpeakcount", "medmz", "medrt", "maxquality",
    "adductname", "compoundid", "expectedrtdiff", "ppmdiff", "parent", "rt", "mz", "note",
)  # fmt: skip
"""Columns that are no samples, of wide tables."""
_SHIFT = re.compile(r"(?:m\s*\+?\s*)?(?P<mass>\d{1,3})(?:\.0)?|(?:[a-z0-9 ]*-)?label-(?P<label>\d{1,3})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Isotopologues:
    """The mass isotopomers of a compound in a sample, as a table states them.

    Attributes:
        sample: its column, or what stands in the column of samples; or empty.
        compound: as the table calls it.
        values: of M+0, M+1, ...; NaN where the table has none.
        sd: their standard deviations, or empty where the table has none.
        formula: as the table states it, or empty.
        unit: `fraction`, `percent` or `area`.
        where: `file:line`.
    """

    sample: str
    compound: str
    values: tuple[float, ...]
    sd: tuple[float, ...]
    formula: str
    unit: str
    where: str

    def normalised(self) -> Isotopologues:
        """Fractions that sum to one, with their standard deviations."""
        total = 100.0 if self.unit == "percent" else math.fsum(v for v in self.values if v == v)
        if self.unit == "fraction" or not total > 0:
            return self
        return Isotopologues(
            self.sample,
            self.compound,
            tuple(v / total for v in self.values),
            tuple(s / total for s in self.sd),
            self.formula,
            "fraction",
            self.where,
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is written, where it is not plain from the table.

    Attributes:
        sheet: of a workbook; all that have the columns where none is named.
        delimiter: between cells of text.
        unit: `fraction`, `percent` or `area`.
        columns: headings by what they hold, of `COLUMNS`.
    """

    sheet: str = ""
    delimiter: str = ""
    unit: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)


_PLAIN = Layout()


def read_isotopologues(path: str | Path, layout: Layout = _PLAIN) -> tuple[Isotopologues, ...]:
    """The mass isotopomers of a table, whatever program wrote it.

    Long tables have a line for each mass; wide ones a column for each sample, or for each mass. Cells are separated by
    commas, semicolons or tabs, numbers may have a decimal comma where cells have not, and may be percent.

    Raises:
        ReadError: no such table; the message names the columns that were found, or the line.
    """
    path = Path(path)
    sheets = [list(rows) for _, rows in itertools.groupby(_rows(path, layout), lambda row: row.sheet)]
    if layout.sheet:
        titles = [some[0].sheet for some in sheets]
        if layout.sheet not in titles:
            near = did_you_mean(layout.sheet, titles)
            raise ReadError(
                path, f"has no sheet {layout.sheet!r}.{near} It has {', '.join(filter(None, titles)) or 'none'}"
            )
        sheets = [sheets[titles.index(layout.sheet)]]
    elif len(sheets) > 1:  # a workbook's other sheets hold what they like
        sheets = [some for some in sheets if _compounds(some[0], layout) is not None] or sheets[:1]
    if not sheets:
        raise ReadError(path, "is empty; a table of isotopologues has a line of headings")
    return tuple(item for some in sheets for item in _table(path, some, layout, named=len(sheets) > 1))


def _compounds(head: Row, layout: Layout) -> int | None:
    """The column of compounds."""
    return _column([_plain(cell) for cell in head.cells], "compound", layout)


def _plain(cell: str) -> str:
    return cell.lower().lstrip("#").strip()


def _table(path: Path, found: Sequence[Row], layout: Layout, *, named: bool) -> Iterator[Isotopologues]:
    """The isotopologues of one table; where it is a sheet of several, samples without a name are called after it."""
    head = found[0]
    names = [_plain(cell) for cell in head.cells]
    for what, heading in layout.columns.items():
        if _plain(heading) not in names:
            near = did_you_mean(heading, head.cells)
            raise ReadError(
                path, f"has no column {heading!r} for {what}.{near} It has {', '.join(head.cells)}", line=head.line
            )
    compound, mass = _column(names, "compound", layout), _column(names, "mass", layout)
    if compound is None:
        raise ReadError(
            path,
            f"has no column of compounds ({', '.join(COLUMNS['compound'][:5])}); it has {', '.join(head.cells)}. "
            "Name it with --table compound=HEADING",
            line=head.line,
        )
    masses = {i: int(m[1]) for i, name in enumerate(names) if (m := re.fullmatch(r"m\s*\+\s*(\d{1,3})", name))}
    if masses:
        cells = _wide_by_mass(found[1:], names, compound, masses, layout)
    elif mass is None:
        raise ReadError(
            path,
            f"has no column of masses ({', '.join(COLUMNS['mass'][:4])}) and none called M+0, M+1, ...; it has "
            f"{', '.join(head.cells)}. Name it with --table mass=HEADING",
            line=head.line,
        )
    else:
        cells = _by_line(path, found[1:], head.cells, names, compound, mass, layout)
    for item in _gathered(path, cells, layout.unit):
        yield replace(item, sample=head.sheet) if named and not item.sample else item


_Cell = tuple[str, str, int, str, str, str, int]
"""Sample, compound, mass, value, standard deviation, formula and line."""


def _rows(path: Path, layout: Layout) -> Iterator[Row]:
    """As `rows`, but for text with semicolons."""
    if suffix(path) in (".xlsx", ".xlsm"):
        yield from rows(path)
        return
    text = read_text(path)
    first = text.partition("\n")[0]
    delimiter = {"tab": "\t", "\\t": "\t"}.get(layout.delimiter, layout.delimiter) or max("\t;,", key=first.count)
    if len(delimiter) != 1 or delimiter in '"\r\n ':
        raise ReadError(path, f"the delimiter is {layout.delimiter!r}; it is one character, or tab")
    try:
        for number, cells in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), 1):
            if any(cell.strip() for cell in cells):
                yield Row(tuple(_with_point(path, cell.strip(), delimiter, number) for cell in cells), number)
    except csv.Error as error:
        raise ReadError(path, f"is no table: {error}") from error


def _with_point(path: Path, cell: str, delimiter: str, line: int) -> str:
    """A cell whose number has a decimal point, and no marks between thousands.

    Raises:
        ReadError: a comma that may be either.
    """
    if re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?", cell) and delimiter != ";":
        if delimiter == "\t" and cell.count(",") == 1 and "." not in cell:
            raise ReadError(
                path, f"{cell!r} may be {cell.replace(',', '')} or {cell.replace(',', '.')}; write no comma", line=line
            )
        return cell.replace(",", "")
    return cell.replace(",", ".") if delimiter != "," and re.fullmatch(r"-?\d+,\d+\s*%?", cell) else cell


def _column(names: Sequence[str], what: str, layout: Layout) -> int | None:
    """The column that was named, or the first of the best name."""
    known = (_plain(layout.columns[what]),) if what in layout.columns else COLUMNS[what]
    return next((names.index(name) for name in known if name in names), None)


def _at(row: Row, column: int | None) -> str:
    return row.cells[column] if column is not None and column < len(row.cells) else ""


def _wide_by_mass(
    found: Sequence[Row], names: Sequence[str], compound: int, masses: dict[int, int], layout: Layout
) -> Iterator[_Cell]:
    sample, formula = _column(names, "sample", layout), _column(names, "formula", layout)
    for row in found:
        for column, mass in masses.items():
            yield _at(row, sample), _at(row, compound), mass, _at(row, column), "", _at(row, formula), row.line


def _by_line(
    path: Path,
    found: Sequence[Row],
    head: Sequence[str],
    names: Sequence[str],
    compound: int,
    mass: int,
    layout: Layout,
) -> Iterator[_Cell]:
    sample, formula, value, sd = (_column(names, what, layout) for what in ("sample", "formula", "value", "sd"))
    about = {compound, mass, sample, formula, sd}
    samples = [i for i, n in enumerate(names) if n and n not in _ABOUT and i not in about] if value is None else []
    if value is None and not samples:
        raise ReadError(
            path,
            f"has no column of values ({', '.join(COLUMNS['value'])}) and none of a sample; it has {', '.join(head)}",
            line=1,
        )
    for row in found:
        shift = _mass_of(path, row, _at(row, mass))
        of = _at(row, compound), shift
        if value is not None:
            yield _at(row, sample), *of, _at(row, value), _at(row, sd), _at(row, formula), row.line
        for column in samples:
            yield head[column], *of, _at(row, column), "", _at(row, formula), row.line


def _mass_of(path: Path, row: Row, text: str) -> int:
    """The mass shift of `2`, `M+2`, `C13-label-2` and `C12 PARENT`."""
    if text.upper().endswith("PARENT"):
        return 0
    match = _SHIFT.fullmatch(text)
    if match is None:
        raise ReadError(
            path, f"the isotopologue is {text!r}; write 0, 1, ..., M+0, M+1, ... or C13-label-1", line=row.line
        )
    return int(match["mass"] or match["label"])


def _number(path: Path, text: str, what: str, line: int) -> tuple[float, bool]:
    """A number and whether it is percent; NaN of an empty cell."""
    percent = text.endswith("%")
    plain = text.rstrip("% ")
    if plain.lower() in ("", "na", "nan", "n/a", "nd"):
        return math.nan, percent
    try:
        value = float(plain)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise ReadError(path, f"{what} is {text!r}, no finite number", line=line)
    return value, percent


def _gathered(path: Path, cells: Iterator[_Cell], stated: str) -> Iterator[Isotopologues]:
    """One for each compound and sample, in the order of the table."""
    found: dict[tuple[str, str], dict[int, tuple[float, float]]] = {}
    about: dict[tuple[str, str], tuple[str, int]] = {}
    percents: set[tuple[str, str]] = set()
    for sample, compound, mass, value, sd, formula, line in cells:
        key = (sample, compound)
        number, percent = _number(path, value, f"M+{mass} of {compound}", line)
        if mass in found.setdefault(key, {}):
            raise ReadError(
                path, f"M+{mass} of {compound!r} in sample {sample!r} stands twice; take one line away", line=line
            )
        found[key][mass] = number, _number(path, sd, f"the sd of M+{mass} of {compound}", line)[0]
        about.setdefault(key, (formula, line))
        if percent:
            percents.add(key)
    if not found:
        raise ReadError(path, "holds no isotopologue below its heading")
    sums = {key: _sum(masses) for key, masses in found.items()}
    # What sums to 100 in every sample is percent, though no cell says so.
    hundred = any(sums.values()) and all(abs(total - 100) < 1 or total == 0 for total in sums.values())
    for key, masses in found.items():
        formula, line = about[key]
        unit = _unit(stated, sums[key], percent=hundred or key in percents)
        pairs = [masses.get(m, (math.nan, math.nan)) for m in range(max(masses) + 1)]
        sd = tuple(s for _, s in pairs)
        known = not all(map(math.isnan, sd))
        yield Isotopologues(*key, tuple(v for v, _ in pairs), sd if known else (), formula, unit, f"{path}:{line}")


def _sum(masses: dict[int, tuple[float, float]]) -> float:
    """Of the values that there are."""
    return math.fsum(value for value, _ in masses.values() if not math.isnan(value))


def _unit(stated: str, total: float, *, percent: bool) -> str:
    if stated:
        return stated
    if percent:
        return "percent"
    return "fraction" if abs(total - 1) < 0.05 else "area"
