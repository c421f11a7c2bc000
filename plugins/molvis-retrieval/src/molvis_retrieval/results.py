"""What is known of unknowns: candidates in order, as values, tables and files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molvis_core.errors import (
    DatasetError,
    PluginError,
)
from molvis_core.records import NO_ORIGIN, Origin, Record, Structure
from molvis_core.text import in_cell
from molvis_files.identifiers import link_of
from molvis_files.writing import replacing
from molvis_retrieval.classes import ClassProbability

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate for an unknown.

    Attributes:
        rank: from 1.
        structure: of the candidate.
        score: logit; differences matter, not its height.
        probability: that it is the truth, given that the truth is among the candidates.
        evidence: what each piece adds to the score.
        adduct: as which ion it was taken; None where no ion was measured.
        mass: measured neutral mass in Da under that adduct.
        sources: files and databases that hold it, by the priority of the libraries that were searched.
    """

    rank: int
    structure: Structure
    score: float
    probability: float
    evidence: dict[str, float] = field(default_factory=dict)
    adduct: str | None = None
    mass: float | None = None
    sources: tuple[str, ...] = ()

    @property
    def links(self) -> dict[str, str]:
        """Where its identifiers lead, by identifier; without those of databases that are not known here."""
        links = {identifier: link_of(identifier) for identifier in self.structure.identifiers}
        return {identifier: link for identifier, link in links.items() if link}

    @property
    def mass_error(self) -> float | None:
        """Calculated less measured mass in ppm, where the mass was measured."""
        return (self.structure.exact_mass - self.mass) / self.mass * 1e6 if self.mass else None


@dataclass(frozen=True, slots=True)
class Searched:
    """Among what the candidates of an unknown were looked for.

    Attributes:
        library: name of the index.
        structures: that it holds.
        scope: `mass`, `formula` or `all`.
        ppm: half width of the mass window, for `mass`.
        formula: for `formula`.
        adducts: that were tried: the one that the query or the caller names, or the likely ones of its polarity.
    """

    library: str
    structures: int
    scope: str
    ppm: float | None = None
    formula: str | None = None
    adducts: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """The same for people."""
        window = {"mass": f"within {self.ppm or 0:g} ppm", "formula": f"of formula {self.formula}", "all": "all of it"}
        tried = [("as " if len(self.adducts) == 1 else "tried as ") + ", ".join(self.adducts)] if self.adducts else []
        return [f"searched {self.library} ({self.structures:,} structures)", window[self.scope], *tried]


@dataclass(frozen=True, slots=True)
class Identification:
    """What is known of one unknown.

    Attributes:
        query: its name.
        problem: empty when it was searched; else why it could not be.
        precursor_mz, adduct: of its first spectrum; where the spectrum names no adduct, that of the best candidate.
        mass: neutral mass in Da.
        spectra: how many were used.
        n_candidates: that were ranked.
        candidates: the best, in order.
        margin: probability of the first less that of the second.
        probability_among: that the truth is among the candidates at all; None where the bundle was not calibrated for
            that, or not for what was measured and searched here.
        truth: the true structure, where the query came with one.
        truth_rank: where that came, ties half; None where it is no candidate or not known.
        records: what was measured, for reports.
        modalities: of the records, in their order.
        notes: what of it could not be used, and why.
        origin: where in which file it was found.
        searched: among what candidates were looked for; None where nothing could be searched.
        classes: that it probably belongs to, the likeliest first; empty where they were not asked for.
        adducts, formulas: how probable each adduct and each formula is, whichever structure is behind it, one that
            the library lacks counted in; empty where that was not looked at.
        pieces: how probable it is that what was measured by each modality is of this unknown; empty where it was
            measured in one way, or where nothing was fitted for that.
        contradictions: what there is to say of those that probably are not.
    """

    query: str
    problem: str = ""
    precursor_mz: float | None = None
    adduct: str | None = None
    mass: float | None = None
    spectra: int = 1
    n_candidates: int = 0
    candidates: tuple[Candidate, ...] = ()
    margin: float = 0.0
    truth: Structure | None = None
    truth_rank: float | None = None
    records: tuple[Record, ...] = field(default=(), repr=False)
    modalities: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    origin: Origin = NO_ORIGIN
    searched: Searched | None = None
    probability_among: float | None = None
    classes: tuple[ClassProbability, ...] = ()
    adducts: Mapping[str, float] = field(default_factory=dict)
    formulas: Mapping[str, float] = field(default_factory=dict)
    pieces: Mapping[str, float] = field(default_factory=dict)
    contradictions: tuple[str, ...] = ()

    @property
    def unjudged(self) -> tuple[str, ...]:
        """Modalities of several of which nobody looked whether what was measured is of this unknown."""
        kinds = dict.fromkeys(self.modalities)
        if len(kinds) < 2 or not self.candidates:
            return ()
        return tuple(kind for kind in kinds if kind not in self.pieces)

    def joint(self, candidate: Candidate) -> float | None:
        """Joint probability of a candidate: that the truth is among the candidates and that it is this one."""
        return None if self.probability_among is None else self.probability_among * candidate.probability


COLUMNS: tuple[str, ...] = (
    "query", "feature_id", "scans", "rt_min", "source_file", "precursor_mz", "adduct", "mass", "n_candidates",
    "probability_among", "rank", "inchikey", "smiles", "name", "formula", "mass_error_ppm", "score", "probability",
    "probability_joint", "margin", "evidence", "problem", "identifiers", "sources",
    "adduct_probability", "formula_probability", "contradictions",
)  # fmt: skip
"""Of every table of identifications, in this order, whatever was found."""


class Identifications(list[Identification]):
    """Identifications in the order of their queries: a list that is a table when asked."""

    def to_rows(self) -> list[dict[str, Any]]:
        """See `to_rows`."""
        return to_rows(self)

    def to_frame(self) -> pd.DataFrame:
        """See `to_frame`."""
        return to_frame(self)


def to_frame(found: Sequence[Identification]) -> pd.DataFrame:
    """`to_rows` as a table of pandas: the columns `COLUMNS` and their kinds are the same whatever was found.

    Raises:
        PluginError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise PluginError("a table needs pandas, which is not installed: pip install 'molvis-core[pandas]'") from error
    kinds = dict.fromkeys(COLUMNS, "object") | dict.fromkeys(_NUMBERS, "float64") | dict.fromkeys(_COUNTS, "Int64")
    return pd.DataFrame(to_rows(found), columns=list(COLUMNS)).astype(kinds)


_COUNTS = ("n_candidates", "rank")


_NUMBERS = (
    "rt_min", "precursor_mz", "mass", "mass_error_ppm", "score", "probability", "probability_among",
    "probability_joint", "margin", "adduct_probability", "formula_probability",
)  # fmt: skip


def to_rows(found: Sequence[Identification]) -> list[dict[str, Any]]:
    """One flat row for each candidate, and one for each query that has none, with the keys `COLUMNS`."""
    rows: list[dict[str, Any]] = []
    for one in found:
        own = dict.fromkeys(COLUMNS) | {
            "query": one.query,
            "feature_id": one.origin.feature_id,
            "scans": one.origin.scans,
            "rt_min": one.origin.rt_min,
            "source_file": one.origin.source_file,
            "precursor_mz": one.precursor_mz,
            "adduct": one.adduct,
            "mass": one.mass,
            "n_candidates": one.n_candidates,
            "probability_among": one.probability_among,
            "margin": one.margin,
            "problem": one.problem,
            "contradictions": "; ".join(one.contradictions),
        }
        rows += [own | _cells(one, c) for c in one.candidates] or [own]
    return rows


def _cells(one: Identification, c: Candidate) -> dict[str, Any]:
    """What a candidate adds to the row of its query."""
    mass = c.mass or one.mass
    return {
        "adduct": c.adduct or one.adduct,
        "mass": mass,
        "rank": c.rank,
        "inchikey": c.structure.inchikey,
        "smiles": c.structure.smiles,
        "name": c.structure.name,
        "formula": c.structure.formula,
        "mass_error_ppm": replace(c, mass=mass).mass_error,
        "score": c.score,
        "probability": c.probability,
        "probability_joint": one.joint(c),
        "evidence": "; ".join(f"{name} {value:.4g}" for name, value in c.evidence.items()),
        "identifiers": "; ".join(c.structure.identifiers),
        "sources": "; ".join(c.sources),
        "adduct_probability": one.adducts.get(c.adduct or "", 0.0) if one.adducts else None,
        "formula_probability": one.formulas.get(c.structure.formula.rstrip("+-"), 0.0) if one.formulas else None,
    }


def to_json(found: Sequence[Identification]) -> list[dict[str, Any]]:
    """Nested plain values, ready for `json.dumps`."""
    out: list[dict[str, Any]] = []
    for one in found:
        candidates = [
            {
                "rank": c.rank,
                "inchikey": c.structure.inchikey,
                "smiles": c.structure.smiles,
                "name": c.structure.name,
                "formula": c.structure.formula,
                "exact_mass": c.structure.exact_mass,
                "adduct": c.adduct,
                "mass_error_ppm": c.mass_error,
                "score": c.score,
                "probability": c.probability,
                "probability_joint": one.joint(c),
                "evidence": c.evidence,
                "identifiers": list(c.structure.identifiers),
                "links": c.links,
                "sources": list(c.sources),
            }
            for c in one.candidates
        ]
        out.append(
            {
                "query": one.query,
                "feature_id": one.origin.feature_id,
                "scans": one.origin.scans,
                "rt_min": one.origin.rt_min,
                "source_file": one.origin.source_file,
                "problem": one.problem,
                "precursor_mz": one.precursor_mz,
                "adduct": one.adduct,
                "mass": one.mass,
                "spectra": one.spectra,
                "n_candidates": one.n_candidates,
                "margin": one.margin,
                "probability_among": one.probability_among,
                "truth": one.truth.smiles if one.truth else None,
                "truth_rank": one.truth_rank,
                "modalities": list(one.modalities),
                "notes": list(one.notes),
                "searched": asdict(one.searched) if one.searched else None,
                "classes": [asdict(c) for c in one.classes],
                "adducts": dict(one.adducts),
                "formulas": dict(one.formulas),
                "pieces": dict(one.pieces),
                "pieces_unjudged": list(one.unjudged),
                "contradictions": list(one.contradictions),
                "candidates": candidates,
            }
        )
    return out


def write_csv(path: Path | str, found: Sequence[Identification]) -> None:
    """`to_rows` as a CSV file, whole or not at all. Numbers have nine digits: 0.1 micro-dalton of an ion of 100 Da.

    Raises:
        DatasetError: the file cannot be written; the old one is kept.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=COLUMNS)
    writer.writeheader()
    for row in to_rows(found):
        writer.writerow({k: f"{v:.9g}" if isinstance(v, float) else in_cell(v) for k, v in row.items()})
    write_file(path, text.getvalue())


def write_json(path: Path | str, found: Sequence[Identification]) -> None:
    """`to_json` as a JSON file, whole or not at all.

    Raises:
        DatasetError: the file cannot be written; the old one is kept.
    """
    write_file(path, json.dumps(to_json(found), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_file(path: Path | str, text: str) -> None:
    """Write a text file by way of a temporary one.

    Raises:
        DatasetError: it cannot be written; the old one is kept.
    """
    path = Path(path)
    try:
        with replacing(path) as fresh:
            fresh.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written: {error}. What was there before is kept.") from error


def summary(found: Sequence[Identification]) -> Mapping[str, int]:
    """Counts: queries, searched, problems, contradictions, and where truths are known how many came first."""
    known = [f for f in found if f.truth_rank is not None]
    return {
        "queries": len(found),
        "searched": sum(not f.problem for f in found),
        "problems": sum(bool(f.problem) for f in found),
        "known": len(known),
        "first": sum(f.truth_rank == 1 for f in known),
        "contradictions": sum(bool(f.contradictions) for f in found),
    }
