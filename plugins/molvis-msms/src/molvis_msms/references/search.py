"""Library search: files of spectra against an index of references, and what was found as tables and JSON."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from molvis_core import registry
from molvis_core.errors import LeftOutError, MolvisError, ReadError
from molvis_core.records import Measurement, PeakList, Structure
from molvis_core.text import in_cell
from molvis_files.vendors import require_file
from molvis_files.writing import write_text
from molvis_msms.references.index import Found, References
from molvis_msms.references.similarity import Similarity, Tolerance

log = logging.getLogger("molvis")
Progress = Callable[[int, int], None]
Find = Callable[[References, PeakList, "Settings"], Found]
"""Finds the references that are like a spectrum."""


@dataclass(frozen=True, eq=False, slots=True)
class Hit:
    """A reference that is like a query.

    Attributes:
        rank: from 1.
        score: similarity, between 0 and 1.
        matched: pairs of peaks.
        name: of its compound.
        structure: of its compound; None where only the name is known.
        spectrum: of the reference.
        pairs: places of the peaks that match, in the query and in the reference.
        source, licence, contributor, authors: where the reference comes from and on what terms.
    """

    rank: int
    score: float
    matched: int
    name: str | None
    structure: Structure | None
    spectrum: PeakList
    pairs: Int64[np.ndarray, "k 2"]
    source: str | None = None
    licence: str | None = None
    contributor: str | None = None
    authors: str | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Searched:
    """A query with what was found for it.

    Attributes:
        query: its name.
        spectrum: that was searched; None where it could not be read.
        hits: references, the most similar first.
        problem: why it was not searched; empty where it was.
        truth: the compound that the file names for it, where it does.
    """

    query: str
    spectrum: PeakList | None = None
    hits: tuple[Hit, ...] = ()
    problem: str = ""
    truth: Structure | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """How references are searched.

    Attributes:
        similarity: by which spectra are compared.
        precursor: how far the precursors may be apart; None for any.
        top: hits of a query at most.
        min_score: similarity of the last of them.
        matched: pairs of peaks that a hit has at least.
    """

    similarity: Similarity = field(default_factory=Similarity)
    precursor: Tolerance | None = field(default_factory=lambda: Tolerance(10, "ppm"))
    top: int = 10
    min_score: float = 0.0
    matched: int = 1


def read_records(path: Path | str, reader: str | None = None) -> list[Measurement | ReadError]:
    """The spectra of a file, and an error for each that cannot be read or is left out.

    Raises:
        ReadError: the file cannot be read at all.
        molvis_core.errors.ComponentError: no reader claims it.
    """
    path = Path(path)
    require_file(path)
    read = registry.load("reader", reader or registry.for_suffix("reader", path, modality="msms").name)
    return list(read(path))


def read_spectra(path: Path | str, reader: str | None = None) -> list[Measurement | ReadError]:
    """The spectra of a file, and an error for each that cannot be read; what is no query at all is counted and logged.

    Raises:
        ReadError: the file cannot be read at all.
        molvis_core.errors.ComponentError: no reader claims it.
    """
    path = Path(path)
    items = read_records(path, reader)
    left_out = Counter(item.reason for item in items if isinstance(item, LeftOutError))
    for reason, count in left_out.items():
        log.warning("%s: %s%s", path.name, reason, f" ({count} times)" if count > 1 else "")
    return [item for item in items if not isinstance(item, LeftOutError)]


def find(references: References, spectrum: PeakList, settings: Settings) -> Found:
    """The references that are like a spectrum as it was measured.

    Raises:
        molvis_core.errors.ConfigError: the settings have a tolerance of the precursor, and the spectrum has none.
        molvis_core.errors.RecordError: it has no precursor, and the similarity compares losses alone.
    """
    return references.search(
        spectrum, settings.similarity, precursor=settings.precursor, top=settings.top, min_score=settings.min_score,
        matched=settings.matched,
    )  # fmt: skip


def search(
    references: References,
    queries: Sequence[Measurement | ReadError],
    settings: Settings | None = None,
    *,
    finding: Find = find,
    progress: Progress | None = None,
) -> list[Searched]:
    """Search references for each query. What cannot be searched gets a problem, and the rest goes on.

    Args:
        references: among which is searched.
        queries: spectra; an error stands for one that could not be read.
        settings: how.
        finding: finds the references that are like a query; another one may change the query first.
        progress: called with the queries done and in all.
    """
    settings = settings or Settings()
    found: list[Searched] = []
    for number, query in enumerate(queries, start=1):
        found.append(_search(references, query, settings, number, finding))
        if progress:
            progress(number, len(queries))
    return found


def _search(
    references: References, query: Measurement | ReadError, settings: Settings, number: int, finding: Find
) -> Searched:
    if isinstance(query, ReadError):
        return Searched(str(query.record or f"record {number}"), problem=str(query))
    spectrum: PeakList = query.record
    name = query.name or spectrum.identifier or f"spectrum {number}"
    try:
        if not len(spectrum):
            return Searched(name, spectrum, problem="it has no peaks", truth=query.structure)
        found = finding(references, spectrum, settings)
    except MolvisError as error:
        return Searched(name, spectrum, problem=str(error), truth=query.structure)
    hits = (_hit(references, settings.similarity, spectrum, found, place) for place in range(len(found.rows)))
    return Searched(name, spectrum, tuple(hits), truth=query.structure)


def _hit(references: References, similarity: Similarity, query: PeakList, found: Found, place: int) -> Hit:
    row = int(found.rows[place])
    spectrum = references.spectrum(row)
    origin = {n: references.table[n][row].as_py() for n in ("name", "source", "licence", "contributor", "authors")}
    return Hit(
        place + 1, float(found.scores[place]), int(found.matched[place]), structure=references.structure(row),
        spectrum=spectrum, pairs=similarity(query, spectrum).pairs, **origin,
    )  # fmt: skip


COLUMNS = (
    "query", "problem", "query_precursor_mz", "rank", "score", "matched_peaks", "name", "inchikey", "smiles", "formula",
    "adduct", "precursor_mz", "collision_energy", "instrument_type", "reference", "source", "licence", "contributor",
    "authors",
)  # fmt: skip


def to_json(found: Sequence[Searched]) -> list[dict[str, Any]]:
    """Nested plain values, ready for `json.dumps`."""
    return [
        {
            "query": one.query,
            "problem": one.problem,
            "precursor_mz": one.spectrum.precursor_mz if one.spectrum is not None else None,
            "adduct": one.spectrum.adduct if one.spectrum is not None else None,
            "truth": one.truth.smiles if one.truth else None,
            "hits": [{**_values(hit), "peaks": hit.pairs.tolist()} for hit in one.hits],
        }
        for one in found
    ]


def _values(hit: Hit) -> dict[str, Any]:
    known, spectrum = hit.structure, hit.spectrum
    return {
        "rank": hit.rank,
        "score": hit.score,
        "matched_peaks": hit.matched,
        "name": hit.name,
        "inchikey": known.inchikey if known else None,
        "smiles": known.smiles if known else None,
        "formula": known.formula if known else None,
        "adduct": spectrum.adduct,
        "precursor_mz": spectrum.precursor_mz,
        "collision_energy": spectrum.collision_energy,
        "instrument_type": spectrum.instrument_type,
        "reference": spectrum.identifier,
        "source": hit.source,
        "licence": hit.licence,
        "contributor": hit.contributor,
        "authors": hit.authors,
    }


def write_csv(path: Path, found: Sequence[Searched]) -> None:
    """A row for each hit, and one for each query without any; whole or not at all.

    Raises:
        molvis_core.errors.WriteError: the file cannot be written; the old one is kept.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=COLUMNS)
    writer.writeheader()
    for one in found:
        precursor = one.spectrum.precursor_mz if one.spectrum is not None else None
        base = {"query": one.query, "problem": one.problem, "query_precursor_mz": precursor}
        for row in [_values(hit) for hit in one.hits] or [{}]:
            cells: dict[Any, Any] = {**base, **row}
            writer.writerow({k: f"{v:.9g}" if isinstance(v, float) else in_cell(v) for k, v in cells.items()})
    write_text(path, text.getvalue())


def write_json(path: Path, found: Sequence[Searched]) -> None:
    """`to_json` as a file, whole or not at all.

    Raises:
        molvis_core.errors.WriteError: the file cannot be written; the old one is kept.
    """
    write_text(path, json.dumps(to_json(found), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
