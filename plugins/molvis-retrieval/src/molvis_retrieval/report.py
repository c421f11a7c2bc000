"""Identifications as one HTML file to look at: spectra with explained peaks, drawn structures, probabilities, evidence.

The page holds everything it shows: no script, no font, no picture from elsewhere. It follows the reader's light or dark
setting, and prints in light.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molvis_core.errors import MolvisError
from molvis_core.html import render_page
from molvis_core.interfaces import Explains
from molvis_core.progress import Progress
from molvis_core.records import EiSpectrum, PeakList, Structure, Trace, Value
from molvis_files.drawing import draw_structure, formula_html
from molvis_files.spectrum_drawing import spectrum_style
from molvis_retrieval import pieces
from molvis_retrieval.drawing import Picture, draw_record, with_substructures
from molvis_retrieval.levels import MEANINGS, Known, best_known, confidence_level
from molvis_retrieval.presence import UNLIKELY, words
from molvis_retrieval.references import OwnStandards, Reference, Spectrum, known_references
from molvis_retrieval.results import Candidate, Identification, summary, write_file

if TYPE_CHECKING:
    from molvis_retrieval.bundle import Bundle
    from molvis_retrieval.index import Index


_MOST_SPECTRA = 3
_MOST_COMPARED = 20
"""Candidates whose reference spectra are looked for."""


@dataclass(frozen=True, slots=True)
class Row:
    """A candidate as the report shows it.

    Attributes:
        candidate: as identified.
        svg: its drawn structure; empty where RDKit cannot draw it.
        error: calculated less measured mass in ppm, where the mass is known.
        evidence: name, contribution, and its height above the least of the candidates shown as a share of the widest.
        true: it is the true structure.
    """

    candidate: Candidate
    svg: str
    error: float | None
    evidence: tuple[tuple[str, float, float], ...]
    true: bool


@dataclass(frozen=True, slots=True)
class Section:
    """A query as the report shows it.

    Attributes:
        found: the identification.
        pictures: of its spectra.
        rows: its best candidates.
        numbers: measured values that are no spectrum, in words.
        known: what a spectrum of its first candidate says.
    """

    found: Identification
    pictures: tuple[Picture, ...] = field(default=(), repr=False)
    rows: tuple[Row, ...] = field(default=(), repr=False)
    numbers: tuple[str, ...] = ()
    known: Known | None = None

    @property
    def words(self) -> list[str]:
        """What is known of the unknown beside its spectra."""
        one = self.found
        ion = f"m/z {one.precursor_mz:.4f}" + (f" as {one.adduct}" if one.adduct else "") if one.precursor_mz else ""
        mass = f"neutral mass {one.mass:.4f} Da" if one.mass else ""
        count = f"{one.spectra} measurements" if one.spectra > 1 else ""
        candidates = f"{one.n_candidates:,} candidate{'s' if one.n_candidates > 1 else ''}" if one.n_candidates else ""
        return [text for text in (ion, mass, *self.numbers, count, candidates) if text]

    @property
    def found_in(self) -> list[str]:
        """Where it was measured, and among what it was looked for."""
        origin = self.found.origin
        known = {"file": origin.source_file, "feature": origin.feature_id, "scan": origin.scans}
        time = f"retention time {origin.rt_min:.2f} min" if origin.rt_min is not None else ""
        searched = self.found.searched.words if self.found.searched else []
        return [*(f"{name} {value}" for name, value in known.items() if value), *([time] if time else []), *searched]

    @property
    def among(self) -> str:
        """How probable it is that the truth is among the candidates."""
        return words(self.found.probability_among)

    @property
    def unjudged(self) -> str:
        """That nobody looked whether some of the measurements are of this unknown; empty where all were looked at."""
        return pieces.unjudged_words(self.found.unjudged) if self.found.unjudged else ""

    @property
    def doubted(self) -> list[str]:
        """Kinds of measurements that are probably of another compound."""
        return [name for name, probability in self.found.pieces.items() if probability < pieces.UNLIKELY]

    @property
    def confidence(self) -> tuple[str, str]:
        """Level and why; see `molvis_retrieval.levels.confidence_level`."""
        level, why = confidence_level(self.found, self.known)
        return level, f"{MEANINGS[level]}: {why}"

    @property
    def undrawn(self) -> int:
        """Spectra that are not shown."""
        looked_at = sum(not isinstance(record, Value) for record, _ in _drawn(self.found))
        return sum(not isinstance(r, Value) for r in self.found.records) - looked_at


def write_report(
    path: Path | str,
    found: Sequence[Identification],
    *,
    bundle: Bundle | None = None,
    index: Index | None = None,
    settings: Mapping[str, object] | None = None,
    title: str = "Identification report",
    shown: int = 10,
    reference: Reference | None = None,
    standards: OwnStandards | None = None,
    progress: Progress | None = None,
) -> None:
    """Write `render_report`, whole or not at all.

    Raises:
        molvis_core.errors.DatasetError: the file cannot be written; the old one is kept.
    """
    text = render_report(
        found, bundle=bundle, index=index, settings=settings, title=title, shown=shown, reference=reference,
        standards=standards, progress=progress,
    )  # fmt: skip
    write_file(path, text)


def render_report(
    found: Sequence[Identification],
    *,
    bundle: Bundle | None = None,
    index: Index | None = None,
    settings: Mapping[str, object] | None = None,
    title: str = "Identification report",
    shown: int = 10,
    date: dt.datetime | None = None,
    reference: Reference | None = None,
    standards: OwnStandards | None = None,
    progress: Progress | None = None,
) -> str:
    """Identifications as one HTML page that loads nothing.

    Args:
        found: what `identify` returned.
        bundle: that made them; its scorers explain peaks where they can.
        index: that was searched.
        settings: shown in the head, name by name.
        title: of the page.
        shown: candidates drawn for each query.
        date: to print; now, if none is given.
        reference: spectra of structures, such as `molvis_retrieval.references.read_references` reads or a model
            predicts: that of the first candidate is drawn below the unknown's, upside down. Without it, what the
            bundle's scorers know where it supports the candidate.
        standards: what the user measured of known compounds, for level 1.
        progress: called with the queries done and in all.
    """
    explainers = [s for s in bundle.scorers.values() if isinstance(s, Explains)] if bundle else []
    reference = reference or known_references(bundle)
    sections: list[Section] = []
    for number, one in enumerate(found, start=1):
        sections.append(_section(one, explainers, shown, reference, number, standards))
        if progress:
            progress(number, len(found))
    template = resources.files("molvis_retrieval").joinpath("templates", "report.html").read_text(encoding="utf-8")
    return render_page(
        template,
        title=title,
        filters={"formula": formula_html},
        spectrum_style=spectrum_style(),
        sections=sections,
        counts=summary(found),
        unlikely=UNLIKELY,
        facts=_facts(bundle, index, settings or {}),
        date=(date or dt.datetime.now().astimezone()).strftime("%Y-%m-%d %H:%M"),
        calibrated=bundle is None or bool(bundle.calibration.fitted_on),
        fitted_on=bundle.calibration.fitted_on if bundle else "",
    )


def _facts(bundle: Bundle | None, index: Index | None, settings: Mapping[str, object]) -> list[tuple[str, str, str]]:
    """Name, value and detail of what the head lists."""
    facts: list[tuple[str, str, str]] = []
    if bundle is not None:
        facts.append(("bundle", bundle.name, bundle.digest[:12]))
    if index is not None:
        facts.append(("library", f"{len(index.library):,} structures", index.name))
    return facts + [(name, str(value), "") for name, value in settings.items()]


def _section(
    one: Identification,
    explainers: Sequence[Any],
    shown: int,
    reference: Reference | None,
    number: int,
    standards: OwnStandards | None,
) -> Section:
    asked_once = _asked_once(reference) if reference else None
    pictures = _pictures(one, explainers, asked_once, f"query-{number}")
    known = best_known(one, [asked_once] if asked_once else (), standards)
    return Section(one, pictures, _candidate_rows(one, shown), _numbers(one), known)


def _asked_once(reference: Reference) -> Reference:
    """A reference that answers the same question from memory: a search or a prediction takes its time."""
    answers: dict[tuple[str, int], Spectrum | None] = {}

    def answer(structure: Structure, like: Spectrum) -> Spectrum | None:
        question = structure.inchikey, id(like)
        if question not in answers:
            answers[question] = reference(structure, like)
        return answers[question]

    return answer


def _pictures(
    one: Identification, explainers: Sequence[Any], reference: Reference | None, figure: str
) -> tuple[Picture, ...]:
    """The records that can be drawn, above the spectrum of the best candidate where there is one."""
    best, second = (*one.candidates[:2], None, None)[:2]
    pictures: list[Picture] = []
    for number, (record, modality) in enumerate(_drawn(one), start=1):
        below = reference(best.structure, record) if reference and best and _has_peaks(record) else None
        explained = _explain(record, best, explainers)
        if isinstance(record, Trace):
            pictures += _beside_references(record, modality, one.candidates, reference)
            continue
        picture = draw_record(record, explained, modality=modality, reference=below)
        if picture is not None and best and explained and isinstance(record, PeakList):
            rival = _explain(record, second, explainers) or ()
            picture = with_substructures(
                picture, f"{figure}-spectrum-{number}", record, best.structure, explained, rival
            )
        if picture is not None:
            pictures.append(picture)
    return tuple(pictures)


def _beside_references(
    record: Trace, modality: str, candidates: Sequence[Candidate], reference: Reference | None
) -> list[Picture]:
    """A trace above the references of the best candidates that have one, or alone."""
    known = [
        (rank, found)
        for rank, one in enumerate(candidates[:_MOST_COMPARED], start=1)
        if reference and isinstance(found := reference(one.structure, record), Trace) and _overlap(found, record)
    ]
    drawn = [
        draw_record(record, modality=modality, reference=found, label=f"reference spectrum of candidate {rank}")
        for rank, found in known[:_MOST_SPECTRA]
    ] or [draw_record(record, modality=modality)]
    return [picture for picture in drawn if picture is not None]


def _overlap(one: Trace, other: Trace) -> bool:
    """Whether two traces share a part of the axis that can be drawn."""
    return int(((one.x >= other.x[0]) & (one.x <= other.x[-1])).sum()) > 1


def _numbers(one: Identification) -> tuple[str, ...]:
    """Measured values that are no spectrum, in words."""
    return tuple(
        f"{modality.upper()} {record.value:g}" + (f" as {record.adduct}" if record.adduct else "")
        for record, modality in zip(one.records, one.modalities, strict=False)
        if isinstance(record, Value)
    )


def _candidate_rows(one: Identification, shown: int) -> tuple[Row, ...]:
    """The best candidates, their evidence on one scale."""
    candidates = one.candidates[:shown]
    names = list(dict.fromkeys(name for c in candidates for name in c.evidence))
    values = {name: [c.evidence.get(name, 0.0) for c in candidates] for name in names}
    widest = max((max(v) - min(v) for v in values.values()), default=0.0) or 1.0
    return tuple(
        Row(
            candidate=c,
            svg=draw_structure(c.structure.smiles),
            error=(c.structure.exact_mass - one.mass) / one.mass * 1e6 if one.mass else None,
            evidence=tuple(
                (name, c.evidence.get(name, 0.0), (c.evidence.get(name, 0.0) - min(values[name])) / widest)
                for name in names
            ),
            true=one.truth is not None and c.structure.inchikey14 == one.truth.inchikey14,
        )
        for c in candidates
    )


def _has_peaks(record: Any) -> bool:
    return isinstance(record, PeakList | EiSpectrum) and len(record) > 0


def _drawn(one: Identification) -> list[tuple[Any, str]]:
    """The first few records of each modality, so that twenty MS/MS spectra do not hide one infrared spectrum."""
    modalities = one.modalities or ("",) * len(one.records)
    seen: Counter[str] = Counter()
    out: list[tuple[Any, str]] = []
    for record, modality in zip(one.records, modalities, strict=True):
        seen[modality] += 1
        if seen[modality] <= _MOST_SPECTRA:
            out.append((record, modality))
    return out


def _explain(record: Any, best: Candidate | None, explainers: Sequence[Any]) -> list[Any] | None:
    """The peaks that substructures of the best candidate explain; None where no scorer explains any."""
    if best is None:
        return None
    for explainer in explainers:
        if isinstance(record, explainer.accepts):
            try:
                return list(explainer.explain(record, best.structure))
            except MolvisError:  # a report without explanations is better than none
                return None
    return None
