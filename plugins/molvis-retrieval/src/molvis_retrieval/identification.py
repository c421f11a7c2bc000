"""Rank candidate structures for unknowns, with a probability for each.

An unknown is whatever was measured of one compound: MS/MS spectra of several ions, an infrared spectrum, a collision
cross section, in any subset. Every piece of evidence is a number for each candidate: the cosine of its embedding with a
measurement's, and what scorers such as `explained-peaks` add. A calibrated weight turns each into a share of a logit,
evidence adds up, and a softmax over the candidates gives the probability that a candidate is the truth, given that the
truth is among them. `molvis_retrieval.presence` estimates how probable that is.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from molvis_core.errors import ConfigError
from molvis_core.progress import Progress
from molvis_core.records import PeakList
from molvis_retrieval import metrics
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.classes import (
    MOST,
    ClassProbability,
    analogues,
    class_probabilities,
    installed_classifiers,
)
from molvis_retrieval.contradiction import with_pieces
from molvis_retrieval.evidence import Embedded, Weigher, describe, embed, whole_library
from molvis_retrieval.pieces import DOUBT
from molvis_retrieval.placing import likely, nearest, place_candidates
from molvis_retrieval.posterior import Hypotheses, marginals, with_formula
from molvis_retrieval.presence import Presence
from molvis_retrieval.results import Candidate, Identification, Identifications, Searched
from molvis_retrieval.runs import adapted, remarks
from molvis_retrieval.scope import Scope, Search
from molvis_retrieval.side_by_side import each
from molvis_retrieval.unknowns import Query, Unknown, unknowns_of
from molvis_retrieval.weighing import Weighed, weigh_readings

if TYPE_CHECKING:
    from molvis_retrieval.index import Index


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
    ions: Sequence[Mapping[str, float]] = (),
    isotopes: Sequence[PeakList | None] = (),
    formulas: bool | None = None,
    top: int = 20,
    rerank: bool = True,
    consensus: bool = False,
    modality: str | None = None,
    classes: bool = False,
    doubt: float = DOUBT,
    device: str | None = None,
    processes: int | None = 1,
    progress: Progress | None = None,
) -> Identifications:
    """Rank candidate structures for each query.

    A query that cannot be searched gets a `problem`, a measurement that cannot be used a note, and the rest goes on.

    Args:
        bundle: whose encoders and weights.
        queries: each a measurement, a bare record, or a sequence of them: all that was measured of one unknown.
        index: of candidates, made by the same bundle.
        candidates: `mass` takes those within `ppm` of the neutral mass, `formula` those of one formula, `all` the
            whole library; `auto` is `formula` where one is given, `mass` where a mass is given or an ion was measured,
            and `all` elsewhere.
        ppm: half width of the mass window.
        mass: neutral mass in Da, where it follows from no ion.
        formula: for `formula`; where it is not given, that of the query's own structure.
        adduct: taken for ions that name none.
        adducts: tried for ions that name none, and ranked together; without any, the likely ones of the ion's polarity
            (`molvis_core.chemistry.adducts.ADDUCT_SHARES`). `positive` and `negative` stand for those.
        ions: for each query, adducts that its ions without one may be, in the place of the likely ones, with the
            logarithm of how much more probable the other ions of a run are for each, which adds to the score.
        isotopes: for each query, peaks of a survey scan around its ion, or None.
        formulas: rank formulas too (`molvis_retrieval.posterior`); by default those of ions that name no adduct.
        top: candidates that come back for each query.
        rerank: use the bundle's scorers; with `all` only those that tell candidates of unlike masses apart, since
            weights of the others are calibrated among candidates of equal mass.
        consensus: measurements of one name are of one unknown.
        modality: of bare records; without it their type decides.
        classes: also give the classes that each unknown probably belongs to; it costs some milliseconds a candidate.
        doubt: how probable it is beforehand that one of several kinds of measurements is of another compound.
        device: where to embed.
        processes: how many rank many unknowns side by side, where not in the whole library; None for all processors.
        progress: called with the unknowns done and in all.

    Raises:
        molvis_core.errors.IndexFileError: another bundle made the index.
        molvis_core.errors.RecordError: a bare record that no modality takes, or more than one.
        ConfigError: an option that makes no sense.
    """
    if top < 1:
        raise ConfigError(f"top must be positive, got {top}")
    search = Search(candidates, ppm, mass, formula, adduct, tuple(adducts))
    index.require(bundle)
    unknowns = unknowns_of(bundle, queries, adduct, consensus, modality, mass)
    unknowns = _with_neighbours(unknowns, ions, isotopes, consensus)
    groups = _embedded(bundle, search, unknowns, device)
    good = [number for number, some in enumerate(groups) if not all(one.unknown.problem for one in some)]
    weighers = _weighers(bundle, index, search, rerank, doubt, [one.unknown for some in groups for one in some])
    ranker = Ranker(index, search, top, rerank, weighers, classes, formulas)
    found: dict[int, Identification] = {}
    for number, one in each(ranker, good, groups, search, processes):
        found[number] = one
        if progress:
            progress(len(found), len(good))
    return Identifications(
        found.get(number) or _identification(some[0].unknown, problem=some[0].unknown.problem)
        for number, some in enumerate(groups)
    )


def _with_neighbours(
    unknowns: Sequence[Unknown],
    ions: Sequence[Mapping[str, float]],
    isotopes: Sequence[PeakList | None],
    consensus: bool,
) -> Sequence[Unknown]:
    """Unknowns with the adducts that each may be and its isotopes, where they are given."""
    for name, given in (("ions", ions), ("isotopes", isotopes)):
        if given and (consensus or len(given) != len(unknowns)):
            raise ConfigError(f"{name} must be given for each of the {len(unknowns)} queries, without consensus")
    out = [replace(one, ions=own) for one, own in zip(unknowns, ions, strict=True)] if ions else unknowns
    return [replace(one, isotopes=p) for one, p in zip(out, isotopes, strict=True)] if isotopes else out


def _embedded(bundle: Bundle, search: Search, unknowns: Sequence[Unknown], device: str | None) -> list[list[Embedded]]:
    """The readings of each unknown with their vectors."""
    readings = [search.readings(one) for one in unknowns]
    vectors = iter(embed(bundle, [one for some in readings for one in some], device))
    return [[next(vectors) for _ in some] for some in readings]


def _named_ions(readings: Sequence[Unknown]) -> dict[str, list[Any]]:
    """What was measured of unknowns whose ion is known, by modality: from these follows how the run was measured."""
    out: dict[str, list[Any]] = {}
    for one in readings:
        if not one.problem and one.share == 1 and not one.betaine:
            for modality, records in one.measured.items():
                out.setdefault(modality, []).extend(records)
    return out


def _weighers(
    bundle: Bundle, index: Index, search: Search, rerank: bool, doubt: float, readings: Sequence[Unknown]
) -> dict[bool, Weigher]:
    """The evidence with and, where it is asked for, without the bundle's scorers, adapted to the run."""
    run = _named_ions(readings)
    return {
        reranked: adapted(Weigher(bundle, rerank=reranked, doubt=doubt), index.library, run, search.ppm)
        for reranked in {rerank, False}
    }


class Ranker:
    """Ranks the candidates of unknowns among those of one index."""

    def __init__(
        self,
        index: Index,
        search: Search,
        top: int,
        rerank: bool,
        weighers: Mapping[bool, Weigher],
        classes: bool,
        formulas: bool | None,
    ) -> None:
        self.index, self.search, self.top = index, search, top
        self.classifiers = installed_classifiers() if classes else []
        self.weighers = weighers
        self.rerank = rerank
        self.formulas = formulas

    def one(self, readings: Sequence[Embedded]) -> Identification:
        """The identification of an unknown."""
        (found,) = self.identify([readings])
        return found

    def identify(self, groups: Sequence[Sequence[Embedded]]) -> Iterator[Identification]:
        """Identifications of unknowns of one scope, each with its readings."""
        everything = self.search.scope(groups[0][0].unknown) == "all"
        # The whole library is read once for several unknowns: reading it costs more than their products.
        whole = [None] * len(groups)
        if everything and len(self.index.library) and self.index.clusters is None:
            whole = whole_library([some[0] for some in groups], self.index)
        weigh = self.weighers[self.rerank]
        # Among the whole library nothing was fitted, and without the scorers half of what was fitted is missing.
        presence = weigh.calibration.presence if weigh.complete and not everything else None
        for readings, cosine in zip(groups, whole, strict=True):
            unknowns = [one.unknown for one in readings]
            if everything:
                weigh = self.weighers[self.rerank].at_any_mass(unknowns[0].measured)
            placed = [
                nearest(self.index, place_candidates(self.index, self.search, one.unknown), one.vectors)
                for one in readings
            ]
            hypotheses = self._hypotheses(unknowns, rare_later=len(weigh.costs) > 1)
            if hypotheses is not None:
                placed = likely(placed, hypotheses)
            count = sum(
                len(self.index.library if at.rows is None else at.rows) for at in placed if not isinstance(at, str)
            )
            weighed = weigh_readings(readings, placed, self.index, weigh, cosine, hypotheses)
            searched = self.search.searched(self.index, unknowns)
            found = _ranked(unknowns, weighed, count, searched, self.index, self.top, presence, hypotheses)
            found = with_pieces(found, weighed, self.index, weigh)
            found = replace(found, classes=self._classes(found, weighed, weigh, unknowns[0].measured))
            said = tuple(remarks(weigh, unknowns[0].measured))
            yield replace(found, notes=(*found.notes, *said)) if said else found

    def _classes(
        self,
        found: Identification,
        weighed: Sequence[Weighed | str],
        weigh: Weigher,
        measured: Mapping[str, Sequence[Any]],
    ) -> tuple[ClassProbability, ...]:
        """What the most probable candidates agree on, and compounds of similar measurements."""
        if not self.classifiers:
            return ()
        some = [w for w in weighed if not isinstance(w, str)]
        logits = np.concatenate([w.logits for w in some]) if some else np.zeros(0)
        places = np.concatenate([w.places for w in some]) if some else np.zeros(0, dtype=np.int64)
        best = metrics.in_order(logits, MOST) if some else places
        shares = np.exp(logits[best] - logits.max()) if some else logits
        alike = analogues([(one.scorer, weigh.taken(key, measured)) for key, one in weigh.scorers.items()])
        among = found.probability_among if some else 0.0
        return class_probabilities(
            self.index.library.structures(places[best]), shares, self.classifiers, among=among, alike=alike
        )

    def _hypotheses(self, readings: Sequence[Unknown], *, rare_later: bool) -> Hypotheses | None:
        """What is known of the formulas of an unknown, where that is asked for."""
        asked = self.formulas if self.formulas is not None else readings[0].share < 1
        if not asked or self.search.scope(readings[0]) != "mass":
            return None
        return Hypotheses.of(readings, self.search.ppm, rare_later=rare_later)


def _ranked(
    readings: Sequence[Unknown],
    weighed: Sequence[Weighed | str],
    count: int,
    searched: Searched,
    index: Index,
    top: int,
    presence: Presence | None,
    hypotheses: Hypotheses | None,
) -> Identification:
    """Candidates under all adducts in one order, with probabilities over all of them; `count` were placed."""
    found = [w for w in weighed if not isinstance(w, str)]
    if not found:
        nothing = _not_found(readings, [w for w in weighed if isinstance(w, str)], searched)
        return _with_marginals(nothing, hypotheses, 0.0, {})
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
        adduct = one.unknown.adduct
        probability = math.exp(score - norm)
        sources = index.library.sources(int(places[place]))
        candidates.append(Candidate(rank, structure, score, probability, evidence, adduct, one.unknown.mass, sources))
    unknown = found[owner[best[0]]].unknown
    truth_rank = None
    if unknown.truth is not None:
        truth = index.library.rows_of(unknown.truth.inchikey14, unknown.truth.exact_mass)
        where = np.flatnonzero(np.isin(places, truth))
        if len(where):
            where = where[np.argmax(total[where])]
            truth_rank = float(metrics.rank_of_truth(total[None], np.array([where])).rank[0])
    margin = candidates[0].probability - (candidates[1].probability if len(candidates) > 1 else 0.0)
    among = _among(found[owner[best[0]]], int(best[0] - start[owner[best[0]]]), candidates[0], count, presence)
    if among is not None and hypotheses is not None:
        among = with_formula(among, hypotheses, candidates[0].adduct, candidates[0].structure.formula)
    one = _identification(
        unknown,
        searched=searched,
        probability_among=among,
        n_candidates=count,
        candidates=tuple(candidates),
        margin=margin,
        truth_rank=truth_rank,
    )
    return _with_marginals(one, hypotheses, among, _shares(found, total - norm, index))


def _shares(found: Sequence[Weighed], logs: Float[np.ndarray, " m"], index: Index) -> dict[tuple[str, str], float]:
    """Probability of each adduct with each formula, given that the truth is among the candidates."""
    out: defaultdict[tuple[str, str], float] = defaultdict(float)
    names = [(str(w.unknown.adduct), f) for w in found for f in index.library.formulas(w.places)]
    for name, value in zip(names, np.exp(logs).tolist(), strict=True):
        out[name] += value
    return out


def _with_marginals(
    one: Identification,
    hypotheses: Hypotheses | None,
    among: float | None,
    candidates: Mapping[tuple[str, str], float],
) -> Identification:
    """An identification with the probabilities of adducts and formulas, where these were looked at."""
    if hypotheses is None or among is None:
        return one
    adducts, formulas = marginals(hypotheses, among, candidates)
    return replace(one, adducts=adducts, formulas=formulas)


def _among(first: Weighed, place: int, best: Candidate, rivals: int, presence: Presence | None) -> float | None:
    """How probable it is that the truth is among the candidates; None where nothing was fitted for them."""
    measured = first.unknown.measured
    if presence is None or not presence.takes(tuple(measured)):
        return None
    features = describe(measured, first.cosine, first.scored, place, best.structure)
    if first.prior is not None:  # those taken for other adducts are rivals too
        features |= {"rivals": math.log(rivals), "first": best.probability}
    return presence.probability(features)


def _not_found(readings: Sequence[Unknown], problems: Sequence[str], searched: Searched) -> Identification:
    """What is wrong with an unknown of which nothing could be ranked."""
    if sum(not one.betaine for one in readings) == 1:
        return _identification(readings[0], problem=problems[0], searched=searched)
    tried = ", ".join(f"{r.adduct} ({r.mass:.4f} Da)" for r in readings if r.mass)
    found = _identification(
        readings[0],
        problem=f"the ion names no adduct, and as none of these the library holds a candidate: {tried}. Widen --ppm, "
        "or name adducts with --adducts",
        searched=searched,
    )
    return replace(found, adduct=None, mass=None)


def _identification(unknown: Unknown, **found: Any) -> Identification:
    """What was measured of an unknown, with what was found or why nothing was."""
    return Identification(
        unknown.name,
        precursor_mz=getattr(unknown.ion, "precursor_mz", None),
        adduct=unknown.adduct,
        mass=unknown.mass,
        spectra=len(unknown.records),
        truth=unknown.truth,
        records=unknown.records,
        modalities=tuple(m for m, records in unknown.measured.items() for _ in records),
        notes=unknown.notes,
        origin=unknown.origin,
        **found,
    )
