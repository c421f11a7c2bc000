"""Rank candidate structures for unknowns, and say how probable each is.

An unknown is whatever was measured of one compound: MS/MS spectra of several ions, an infrared spectrum, a collision
cross section, in any subset. Every piece of evidence is a number for each candidate: the cosine of its embedding with a
measurement's, and what scorers such as `explained-peaks` add. A calibrated weight turns each into a share of a logit,
evidence adds up, and a softmax over the candidates gives the probability that a candidate is the truth, given that the
truth is among them. How probable that is, `molvis_retrieval.presence` says.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int64

from molvis_core.chemistry.adducts import likely_adducts
from molvis_core.chemistry.formula import formula_mass, parse_formula
from molvis_core.errors import (
    AdductError,
    ConfigError,
    MolvisError,
    ScoreError,
)
from molvis_core.records import Structure
from molvis_retrieval import metrics
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.evidence import Scored, Weigher, batches, cosines, describe, embedded, whole_library
from molvis_retrieval.ions import fitting_ion
from molvis_retrieval.presence import Presence
from molvis_retrieval.results import Candidate, Identification, Identifications
from molvis_retrieval.scope import Scope, adduct_of, scope_of, scope_rows, searched_in
from molvis_retrieval.unknowns import Query, Unknown, as_likely_ions, unknowns_of

if TYPE_CHECKING:
    from molvis_retrieval.index import Index

log = logging.getLogger("molvis")
Progress = Callable[[int, int], None]


def identify(
    bundle: Bundle,
    queries: Sequence[Query],
    index: Index,
    *,
    candidates: Scope = "auto",
    ppm: float = 10.0,
    mass: float | None = None,
    formula: str | None = None,
    adduct: str | None = None,
    adducts: Sequence[str] = (),
    top: int = 20,
    rerank: bool = True,
    consensus: bool = False,
    modality: str | None = None,
    device: str | None = None,
    progress: Progress | None = None,
) -> Identifications:
    """Rank candidate structures for each query.

    A query that cannot be searched gets a `problem`, a measurement of it that cannot be used a note, and the rest goes
    on.

    Args:
        bundle: whose encoders and weights.
        queries: each a measurement, a bare record, or a sequence of them: all that was measured of one unknown.
        index: of candidates, made by the same bundle.
        candidates: `mass` takes those within `ppm` of the neutral mass, `formula` those of one formula, `all` the
            whole library; `auto` is `formula` where one is given, `mass` where a mass is given or an ion was measured,
            and `all` elsewhere.
        ppm: half width of the mass window.
        mass: neutral mass in Da, where no ion tells it.
        formula: for `formula`; where it is not given, that of the query's own structure.
        adduct: taken for ions that name none.
        adducts: tried for ions that name none, and ranked together; without any, the likely ones of the ion's polarity
            (`molvis_core.chemistry.adducts.ADDUCT_SHARES`). `positive` and `negative` stand for those.
        top: candidates that come back for each query.
        rerank: use the bundle's scorers. Not with `all`: their weights are calibrated among candidates of equal mass,
            and among others they could lift one of another mass above the truth.
        consensus: measurements of one name are of one unknown.
        modality: of bare records; without it their type decides.
        device: where to embed.
        progress: called with the unknowns done and in all.

    Raises:
        molvis_core.errors.IndexFileError: another bundle made the index.
        molvis_core.errors.RecordError: a bare record that no modality takes, or more than one.
        ConfigError: an option that makes no sense.
    """
    if candidates not in ("auto", "mass", "formula", "all"):
        raise ConfigError(f"candidates = {candidates!r}; 'auto', 'mass', 'formula' or 'all' is wanted")
    if not ppm > 0 or top < 1 or not (mass is None or mass > 0):
        raise ConfigError(f"ppm = {ppm}, top = {top}, mass = {mass}; positive numbers are wanted")
    if formula is not None:
        try:
            formula_mass(parse_formula(formula))
        except ValueError as error:
            raise ConfigError(str(error)) from error
    index.require(bundle)
    if adduct is not None and adducts:
        raise ConfigError(f"adduct {adduct!r} is taken, or adducts {', '.join(adducts)} are tried; name one of the two")
    if adducts:
        likely_adducts(None, names=adducts)  # a name that cannot be read is no query's fault
    unknowns = unknowns_of(bundle, queries, adduct, consensus, modality, mass)
    groups = [_readings(u, scope_of(candidates, u, formula, mass), adducts) for u in unknowns]
    flat, vectors = embedded(bundle, [r for group in groups for r in group], device)
    rest = iter(flat)
    groups = {id(first): [first, *more] for first, *more in ([next(rest) for _ in group] for group in groups)}
    good = [group[0] for group in groups.values() if not all(r.problem for r in group)]
    weighers = {reranked: Weigher(bundle, rerank=reranked) for reranked in {rerank, False}}
    found: dict[int, Identification] = {}
    scopes: dict[int, Scope] = {id(u): scope_of(candidates, u, formula, mass) for u in good}
    for together in batches(good, lambda u: scopes[id(u)] == "all"):
        scope = scopes[id(together[0])]
        # The whole library is read once for several unknowns: reading it costs more than their products.
        whole: dict[int, dict[str, np.ndarray]] = {}
        if scope == "all" and len(index.library):
            whole = whole_library(together, vectors, index)
        weigh = weighers[rerank and scope != "all"]
        # Among the whole library nothing was fitted, and without the scorers half of what was fitted is missing.
        presence = weigh.calibration.presence if weigh.complete and scope != "all" else None
        for unknown in together:
            readings = groups[id(unknown)]
            weighed = [_weigh(r, vectors, whole, index, scope, ppm, formula, weigh) for r in readings]
            searched = searched_in(index, readings, scope, ppm, formula)
            found[id(unknown)] = replace(_ranked(readings, weighed, index, top, presence), searched=searched)
            if progress:
                progress(len(found), len(good))
    return Identifications(found.get(u) or readings[0].failed(readings[0].problem) for u, readings in groups.items())


def _readings(unknown: Unknown, scope: Scope, adducts: Sequence[str]) -> list[Unknown]:
    """An unknown, or one for each adduct that it may be where nothing tells the mass that is searched for."""
    if scope != "mass":
        return [unknown]
    try:
        return as_likely_ions(unknown, adducts)
    except AdductError as error:
        return [replace(unknown, problem=str(error))]


@dataclass(frozen=True, slots=True)
class _Weighed:
    """The candidates of an unknown, its ion taken for one adduct.

    Attributes:
        unknown: with that adduct.
        places: of the candidates in the library.
        cosine: of the records with them, before weighing.
        scored: their evidence.
        prior: logarithm of how often each forms the ion; None where the ion is known.
    """

    unknown: Unknown
    places: Int64[np.ndarray, " m"]
    cosine: Mapping[str, Float[np.ndarray, "r m"]]
    scored: Scored
    prior: Float[np.ndarray, " m"] | None

    @property
    def logits(self) -> Float[np.ndarray, " m"]:
        """Of all candidates, with the prior."""
        return self.scored.logits if self.prior is None else self.scored.logits + self.prior

    def evidence(self, place: int) -> dict[str, float]:
        """What each piece adds to the logit of a candidate."""
        out = {m: float(values[place]) for m, values in self.scored.cosines.items()}
        where = np.flatnonzero(self.scored.near == place)
        for key, values in self.scored.scorers.items():
            out[key] = float(values[where[0]]) if len(where) else float(values.min(initial=0.0))
        return out if self.prior is None else out | {"adduct": float(self.prior[place])}


def _weigh(
    unknown: Unknown,
    vectors: Mapping[int, Mapping[str, np.ndarray]],
    whole: Mapping[int, Mapping[str, np.ndarray]],
    index: Index,
    scope: Scope,
    ppm: float,
    formula: str | None,
    weigh: Weigher,
) -> _Weighed | str:
    """The candidates of an unknown with their evidence, or why there is none."""
    if unknown.problem:
        return unknown.problem
    try:
        rows = scope_rows(index, unknown, scope, ppm, formula)
        prior = None
        if unknown.share < 1 and rows is not None:
            rows, prior = fitting_ion(index.library, rows, adduct_of(unknown), unknown.share)
        cosine = whole.get(id(unknown)) or {m: cosines(v, index, rows) for m, v in vectors[id(unknown)].items()}
        places = np.arange(len(index.library)) if rows is None else rows
        scored = _scored(unknown, cosine, index, places, weigh)
    except MolvisError as error:
        return str(error)
    if not np.isfinite(scored.logits).all():
        return f"query {unknown.name!r} has scores that are not finite"
    return _Weighed(unknown, places, cosine, scored, prior)


def _scored(
    unknown: Unknown, cosine: Mapping[str, np.ndarray], index: Index, places: np.ndarray, weigh: Weigher
) -> Scored:
    if not cosine and not any(
        weigh.takes(k, m, r) for k in weigh.scorers for m, v in unknown.measured.items() for r in v
    ):
        raise ScoreError(
            f"{', '.join(unknown.measured)} alone cannot be searched for here: the bundle has no encoder for it, and "
            "its scorers rank candidates of equal mass. Give a mass with --mass or a formula with --formula, or add "
            "another measurement"
        )

    def structures_at(chosen: np.ndarray) -> Sequence[Structure]:
        return index.library.structures(places[chosen])

    if cosine:
        return weigh.score(unknown.measured, cosine, structures_at)
    return weigh.score_without(unknown.measured, len(places), structures_at)


def _ranked(
    readings: Sequence[Unknown],
    weighed: Sequence[_Weighed | str],
    index: Index,
    top: int,
    presence: Presence | None,
) -> Identification:
    """Candidates under all adducts in one order, with probabilities over all of them."""
    found = [w for w in weighed if not isinstance(w, str)]
    if not found:
        return _not_found(readings, [w for w in weighed if isinstance(w, str)])
    total = np.concatenate([w.logits for w in found])
    places = np.concatenate([w.places for w in found])
    owner = np.repeat(np.arange(len(found)), [len(w.places) for w in found])
    start = np.cumsum([0, *(len(w.places) for w in found)])
    peak = total.max()
    norm = peak + math.log(np.exp(total - peak).sum())
    best = metrics.in_order(total, top)  # where scores tie, in the order of adducts, then of the library
    candidates: list[Candidate] = []
    for rank, (place, structure) in enumerate(zip(best, index.library.structures(places[best]), strict=True), start=1):
        one = found[owner[place]]
        score = float(total[place])
        evidence = one.evidence(int(place - start[owner[place]]))
        adduct = getattr(one.unknown.ion, "adduct", None)
        probability = math.exp(score - norm)
        candidates.append(Candidate(rank, structure, score, probability, evidence, adduct, one.unknown.mass))
    unknown = found[owner[best[0]]].unknown
    truth_rank = None
    if unknown.truth is not None:
        where = np.flatnonzero(np.isin(places, index.library.rows_of(unknown.truth.inchikey14)))
        if len(where):
            where = where[np.argmax(total[where])]
            truth_rank = float(metrics.rank_of_truth(total[None], np.array([where])).rank[0])
    margin = candidates[0].probability - (candidates[1].probability if len(candidates) > 1 else 0.0)
    among = _among(found[owner[best[0]]], int(best[0] - start[owner[best[0]]]), candidates[0], len(total), presence)
    return replace(
        unknown.failed(""),
        probability_among=among,
        n_candidates=len(total),
        candidates=tuple(candidates),
        margin=margin,
        truth_rank=truth_rank,
    )


def _among(first: _Weighed, place: int, best: Candidate, rivals: int, presence: Presence | None) -> float | None:
    """How probable it is that the truth is among the candidates; None where nothing was fitted for them."""
    measured = first.unknown.measured
    if presence is None or not presence.takes(tuple(measured)):
        return None
    features = describe(measured, first.cosine, first.scored, place, best.structure)
    if first.prior is not None:  # those taken for other adducts are rivals too
        features |= {"rivals": math.log(rivals), "first": best.probability}
    return presence.probability(features)


def _not_found(readings: Sequence[Unknown], problems: Sequence[str]) -> Identification:
    """What is wrong with an unknown of which nothing could be ranked."""
    if len(readings) == 1:
        return readings[0].failed(problems[0])
    tried = ", ".join(f"{adduct_of(r)} ({r.mass:.4f} Da)" for r in readings if r.mass)
    failed = readings[0].failed(
        f"the ion names no adduct, and as none of these the library holds a candidate: {tried}. Widen --ppm, or name "
        "adducts with --adducts"
    )
    return replace(failed, adduct=None, mass=None)
