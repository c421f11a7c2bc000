"""Identifications as lines of a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from molvis_core import output

if TYPE_CHECKING:
    from molvis_retrieval.metrics import Estimate
    from molvis_retrieval.results import Candidate, Identification

_MOST_CLASSES = 8
_MOST_SHARES = 3
FEW = 10
"""Queries up to which several candidates of each are shown."""


def show_found(found: Sequence[Identification], *, full: bool = False, most: int = 3) -> None:
    """The best candidates of each query, or one line a query where there are many; then what went wrong.

    Args:
        found: what `identify` returned.
        full: show all candidates of every query.
        most: candidates of a query otherwise.
    """
    searched = [one for one in found if one.candidates]
    if full or len(found) <= FEW:
        for one in searched:
            _show_query(one, len(one.candidates) if full else most)
    elif searched:
        _show_summary(searched)
    for text in _remarks(found, full=full):
        output.note(text)


def _show_query(one: Identification, most: int) -> None:
    several = len(set(one.modalities)) > 1
    tried = _tried(one)
    columns = ["rank", "probability", "formula", "InChIKey", "structure"]
    columns += ["adduct"] * tried + ["evidence"] * several
    rows = []
    for c in one.candidates[: max(most, FEW) if several else most]:
        row: list[object] = [f"{c.rank}{_mark(one, c)}", _share(one, c)]
        row += [c.structure.formula, c.structure.inchikey14, _label(c)]
        row += [c.adduct] * tried
        row += [", ".join(f"{name} {value:.1f}" for name, value in c.evidence.items())] * several
        rows.append(row)
    output.print_table(columns, rows, title=_title(one))
    for name, shares in (("adducts", one.adducts), ("formulas", one.formulas)):
        if shares:
            print(
                f"{name}, whichever structure: {', '.join(f'{k} {v:.2f}' for k, v in [*shares.items()][:_MOST_SHARES])}"
            )
    for text in one.contradictions:
        print(f"contradiction: {text}")
    if one.classes:
        likely = [f"{c.name} {c.told:.2f}" for c in one.classes[:_MOST_CLASSES]]
        print(f"classes: {', '.join(likely)}")
    print()


def _title(one: Identification) -> str:
    """The query, its ion and mass, and how many candidates it has."""
    from molvis_retrieval.presence import words

    feature, time = one.origin.feature_id, one.origin.rt_min
    ion = [f"feature {feature}"] if feature and feature not in one.query else []
    ion += [f"m/z {one.precursor_mz:.4f}"] if one.precursor_mz else []
    ion += [] if time is None else [f"{time:.2f} min"]
    ion += [one.adduct] if one.adduct and not _tried(one) else []
    mass = [f"{one.mass:.4f} Da"] if one.mass else []
    count = f"{one.n_candidates:,} candidate{'s' if one.n_candidates > 1 else ''}"
    among = [] if one.probability_among is None else [f"truth among them: {words(one.probability_among)}"]
    return ", ".join([one.query, *ion, *mass, count, *among])


def _show_summary(found: Sequence[Identification]) -> None:
    tried = any(_tried(one) for one in found)
    columns = ["query", "candidates", "among", "probability", "formula", "InChIKey", *["adduct"] * tried]
    columns.append("best structure")
    rows = [
        (
            one.query,
            one.n_candidates,
            None if one.probability_among is None else f"{one.probability_among:.2f}",
            _share(one, best),
            best.structure.formula,
            best.structure.inchikey14,
            *[best.adduct] * tried,
            f"{_label(best)}{_mark(one, best)}",
        )
        for one in found
        for best in one.candidates[:1]
    ]
    output.print_table(columns, rows)


def _tried(one: Identification) -> bool:
    """Whether the ion names no adduct, so that several were tried."""
    return one.searched is not None and len(one.searched.adducts) > 1


def _share(one: Identification, candidate: Candidate) -> str:
    return f"{candidate.probability:.3f}" if one.n_candidates > 1 else "only candidate"


def _label(candidate: Candidate) -> str:
    return candidate.structure.name or candidate.structure.smiles


def _mark(one: Identification, candidate: Candidate) -> str:
    return "*" if one.truth and candidate.structure.inchikey14 == one.truth.inchikey14 else ""


def _remarks(found: Sequence[Identification], *, full: bool) -> Iterator[str]:
    """What to know of the figures, then which queries were not identified, then what of the others was not used."""
    yield from _meanings(found)
    yield from _failures(found, full=full)
    if len(found) > FEW and not full:
        if odd := sum(bool(one.contradictions) for one in found):
            yield f"measurements contradict each other for {odd} of {len(found)} queries; --full and --json say which"
        yield "one line a query; --full shows all candidates, --csv and --json list them, --html draws them"
        return
    if any(one.pieces for one in found):
        yield "doubt: what it adds that a measurement may be another compound's, which is as probable as --doubt has it"
    for one in found:
        for text in one.notes:
            yield f"{one.query}: not used: {text}"


def _meanings(found: Sequence[Identification]) -> Iterator[str]:
    """What marks and probabilities mean, as far as there are some."""
    from molvis_retrieval.pieces import unjudged_words
    from molvis_retrieval.presence import UNLIKELY

    if any(_mark(one, c) for one in found for c in one.candidates):
        yield "*: the true structure, as the file names it"
    if any(one.candidates for one in found):
        yield "probability: of a candidate, given that the truth is among those that were ranked"
    if any(one.candidates and one.probability_among is None for one in found):
        yield "how probable it is that the truth is among the candidates is not calibrated for these"
    for modalities in dict.fromkeys(one.unjudged for one in found if one.unjudged):
        yield unjudged_words(modalities)
    if unlikely := sum((one.probability_among or 1.0) < UNLIKELY for one in found):
        yield f"among below {UNLIKELY} for {unlikely} of {len(found)}: the truth is probably not among the candidates"


def _failures(found: Sequence[Identification], *, full: bool) -> Iterator[str]:
    """Which queries were not identified, and why; the first few unless all are requested."""
    problems = [one for one in found if one.problem]
    shown = problems if full or len(problems) <= FEW else problems[:FEW]
    for one in shown:
        yield f"not identified: {one.query}: {one.problem}"
    if len(shown) < len(problems):
        yield f"not identified: {len(problems) - len(shown)} more; --csv and --json list them with reasons, --full here"


def percent(estimate: Estimate) -> str:
    """A share with its interval, in percent."""
    return f"{100 * estimate.value:.1f}% ({100 * estimate.low:.1f}-{100 * estimate.high:.1f})"
