"""Formulas of many spectra: read, ranked, and written as tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molvis_core import registry
from molvis_core.errors import LeftOutError, MolvisError, ReadError
from molvis_core.progress import Progress
from molvis_core.records import Measurement, PeakList
from molvis_files.writing import write_text
from molvis_formula.ranking import FormulaCandidate, FormulaSettings, formulas
from molvis_formula.survey import Survey, pattern_for

__all__ = ["Answer", "rank_all", "read_known", "read_spectra", "write_csv"]

COLUMNS = (
    "spectrum", "precursor_mz", "rank", "formula", "adduct", "probability", "ppm", "exact_mass", "explained", "peaks",
    "isotopes", "known", "problem",
)  # fmt: skip
"""Of the table that `write_csv` writes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found for one spectrum.

    Attributes:
        spectrum: its name.
        precursor_mz: of its ion.
        formulas: the likeliest ones.
        listed: how many there are in all.
        isotope_pattern: whether one was there to look at.
        problem: why there are none; empty where there are.
    """

    spectrum: str
    precursor_mz: float | None
    formulas: tuple[FormulaCandidate, ...]
    listed: int = 0
    isotope_pattern: bool = False
    problem: str = ""


def read_spectra(path: Path, reader: str | None = None) -> list[Measurement | ReadError]:
    """Fragment spectra of a file, and an error for each that cannot be read.

    Raises:
        ReadError: the file cannot be read at all.
        molvis_core.errors.ComponentError: no reader claims it.
    """
    name = reader or registry.for_suffix("reader", path, modality="msms").name
    return [item for item in registry.load("reader", name)(path) if not isinstance(item, LeftOutError)]


def rank_all(
    queries: Sequence[Measurement | ReadError],
    *,
    surveys: Sequence[Survey] = (),
    adduct: str | None = None,
    settings: FormulaSettings | None = None,
    top: int = 10,
    progress: Progress | None = None,
) -> list[Answer]:
    """Formulas of each spectrum. What cannot be answered gets a problem, and the rest goes on.

    Args:
        queries: of `read_spectra`.
        surveys: MS1 spectra with isotope patterns.
        adduct: of all spectra, instead of their own.
        settings: tolerances, elements, rules and priors.
        top: how many formulas are kept.
        progress: called with how many spectra are done.
    """
    settings = settings or FormulaSettings()
    found: list[Answer] = []
    for number, query in enumerate(queries, start=1):
        found.append(_answer(query, number, surveys, adduct, settings, top))
        if progress:
            progress(number, len(queries))
    return found


def _answer(
    query: Measurement | ReadError,
    number: int,
    surveys: Sequence[Survey],
    adduct: str | None,
    settings: FormulaSettings,
    top: int,
) -> Answer:
    if isinstance(query, ReadError):
        return Answer(str(query.record or f"spectrum {number}"), None, (), problem=str(query))
    spectrum = query.record
    name = spectrum.identifier or query.origin.feature_id or query.name or f"spectrum {number}"
    if not isinstance(spectrum, PeakList):
        return Answer(str(name), None, (), problem="this is no mass spectrum")
    pattern = pattern_for(query, surveys, settings.ppm)
    try:
        ranked = formulas(spectrum, adduct=adduct, isotope_pattern=pattern, settings=settings)
    except MolvisError as error:
        return Answer(str(name), spectrum.precursor_mz, (), problem=str(error))
    problem = "" if ranked else f"no formula of {settings.elements} is within {settings.ppm:g} ppm and keeps the rules"
    return Answer(str(name), spectrum.precursor_mz, tuple(ranked[:top]), len(ranked), pattern is not None, problem)


def read_known(path: Path) -> frozenset[str]:
    """Formulas of a text file, one a line, or of the column `formula` of a CSV, in Hill's order.

    Raises:
        ReadError: a line is no formula, or there is none.
    """
    from molvis_core.chemistry.formula import parse_formula
    from molvis_files.opening import read_text
    from molvis_formula.elements import ELEMENTS, counts_of, hill

    text = read_text(path)
    first = text.partition("\n")[0].lower().replace('"', "").split(",")
    column = next((i for i, name in enumerate(first) if name.strip() in ("formula", "molecular_formula")), None)
    rows = list(csv.reader(io.StringIO(text)))
    found: set[str] = set()
    for number, row in enumerate(rows[1:] if column is not None else rows, start=1 + (column is not None)):
        place = column or 0
        if len(row) <= place or not row[place].strip():
            continue
        try:
            counts = parse_formula(row[place].strip())
        except ValueError as error:
            raise ReadError(
                path, f"{error}; write a formula a line, or a CSV with a column formula", line=number
            ) from error
        if set(counts) <= set(ELEMENTS):
            found.add(hill(counts_of(counts)))
    if not found:
        raise ReadError(path, "there is no formula in it; write one a line, or a CSV with a column formula")
    return frozenset(found)


def write_csv(path: Path, answers: Sequence[Answer]) -> None:
    """A row for each formula of each spectrum, and one for each spectrum without any."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for one in answers:
        for rank, c in enumerate(one.formulas, start=1):
            table.writerow(_row(one, rank, c))
        if not one.formulas:
            table.writerow([one.spectrum, one.precursor_mz, *[""] * 10, one.problem])
    write_text(path, out.getvalue())


def _row(one: Answer, rank: int, c: FormulaCandidate) -> list[Any]:
    optional = ["" if v is None else f"{v:.4f}" for v in (c.explained, c.isotopes)]
    return [
        one.spectrum, one.precursor_mz, rank, c.formula, c.adduct, f"{c.probability:.6f}", f"{c.ppm:.3f}",
        f"{c.exact_mass:.6f}", optional[0], c.peaks, optional[1], "" if c.known is None else c.known, one.problem,
    ]  # fmt: skip
