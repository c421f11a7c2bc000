"""Rank candidate structures for unknowns, and say how probable each is.

An unknown is whatever was measured of one compound: MS/MS spectra of several ions, an infrared spectrum, a collision
cross section, in any subset. Every piece of evidence is a number for each candidate: the cosine of its embedding with a
measurement's, and what scorers such as `explained-peaks` add. A calibrated weight turns each into a share of a logit,
evidence adds up, and a softmax over the candidates gives the probability that a candidate is the truth, given that the
truth is among them. How probable that is, `molvis_retrieval.presence` says.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float, Int64

from molvis_core import registry
from molvis_core.chemistry.adducts import likely_adducts
from molvis_core.chemistry.formula import formula_mass, parse_formula
from molvis_core.errors import (
    AdductError,
    BundleError,
    ConfigError,
    DatasetError,
    MolvisError,
    PluginError,
    RecordError,
    ScoreError,
)
from molvis_core.records import NO_ORIGIN, Measurement, Origin, Record, Structure
from molvis_core.text import in_cell
from molvis_core.ties import first_largest
from molvis_files.writing import replacing
from molvis_retrieval import conditional_logit
from molvis_retrieval.bundle import Bundle, Calibration
from molvis_retrieval.config import is_fused, parts_of
from molvis_retrieval.evaluation import metrics
from molvis_retrieval.ions import as_likely_ions, check_ion, common_mass, fitting_ion
from molvis_retrieval.presence import Presence, describe

if TYPE_CHECKING:
    import pandas as pd

    from molvis_retrieval.library import Index

log = logging.getLogger("molvis")
Progress = Callable[[int, int], None]
Scope = Literal["auto", "mass", "formula", "all"]
Query = Measurement | Record | Sequence["Measurement | Record"]
"""One measurement, or all that was measured of one unknown."""

START_WEIGHT = 20.0
"""Weight of a cosine in a bundle that was never calibrated: a temperature of 0.05, as training starts with."""


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
    """

    rank: int
    structure: Structure
    score: float
    probability: float
    evidence: dict[str, float] = field(default_factory=dict)
    adduct: str | None = None
    mass: float | None = None

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

    def joint(self, candidate: Candidate) -> float | None:
        """Probability of a candidate, all told: that the truth is among the candidates and that it is this one."""
        return None if self.probability_among is None else self.probability_among * candidate.probability


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
    unknowns = _unknowns(bundle, queries, adduct, consensus, modality, mass)
    groups = [_readings(u, _scope(candidates, u, formula, mass), adducts) for u in unknowns]
    flat, vectors = _embedded(bundle, [r for group in groups for r in group], device)
    rest = iter(flat)
    groups = {id(first): [first, *more] for first, *more in ([next(rest) for _ in group] for group in groups)}
    good = [group[0] for group in groups.values() if not all(r.problem for r in group)]
    weighers = {reranked: Weigher(bundle, rerank=reranked) for reranked in {rerank, False}}
    found: dict[int, Identification] = {}
    scopes: dict[int, Scope] = {id(u): _scope(candidates, u, formula, mass) for u in good}
    for together in _batches(good, lambda u: scopes[id(u)] == "all"):
        scope = scopes[id(together[0])]
        # The whole library is read once for several unknowns: reading it costs more than their products.
        whole: dict[int, dict[str, np.ndarray]] = {}
        if scope == "all" and len(index.library):
            whole = _whole(together, vectors, index)
        weigh = weighers[rerank and scope != "all"]
        # Among the whole library nothing was fitted, and without the scorers half of what was fitted is missing.
        presence = weigh.calibration.presence if weigh.complete and scope != "all" else None
        for unknown in together:
            readings = groups[id(unknown)]
            weighed = [_weigh(r, vectors, whole, index, scope, ppm, formula, weigh) for r in readings]
            searched = _searched(index, readings, scope, ppm, formula)
            found[id(unknown)] = replace(_ranked(readings, weighed, index, top, presence), searched=searched)
            if progress:
                progress(len(found), len(good))
    return Identifications(found.get(u) or readings[0].failed(readings[0].problem) for u, readings in groups.items())


@dataclass(frozen=True, slots=True)
class Unknown:
    """What was measured of one unknown, checked.

    Attributes:
        name: of the query.
        measured: records by modality, in the order in which they came.
        problem: why it cannot be searched; empty where it can.
        mass: neutral mass in Da, where an ion tells it or it was given.
        truth: the true structure, where it is known.
        notes: what of it is not used, and why.
        origin: where in which file it was found.
        share: how often neutral molecules form its ion; 1 where the ion is known.
    """

    name: str
    measured: dict[str, tuple[Any, ...]]
    problem: str = ""
    mass: float | None = None
    truth: Structure | None = None
    notes: tuple[str, ...] = ()
    origin: Origin = NO_ORIGIN
    share: float = 1.0

    @property
    def records(self) -> tuple[Any, ...]:
        """All of them, modality by modality."""
        return tuple(r for records in self.measured.values() for r in records)

    @property
    def ion(self) -> Any:
        """The first record that names an adduct or a precursor, or else the first."""
        ions = [r for r in self.records if _says(r, "adduct") or _says(r, "precursor_mz")]
        return ions[0] if ions else self.records[0] if self.records else None

    def failed(self, problem: str) -> Identification:
        """An identification that says why there is none."""
        return Identification(
            self.name,
            problem,
            getattr(self.ion, "precursor_mz", None),
            getattr(self.ion, "adduct", None),
            self.mass,
            len(self.records),
            truth=self.truth,
            records=self.records,
            modalities=tuple(m for m, records in self.measured.items() for _ in records),
            notes=self.notes,
            origin=self.origin,
        )


def _says(record: Any, name: str) -> bool:
    return getattr(record, name, None) is not None


@dataclass(frozen=True, slots=True)
class Scored:
    """Evidence for candidates, weighed.

    Attributes:
        logits: of all candidates.
        cosines: what each modality's embedding adds, for all candidates.
        near: which candidates scorers looked at, best embedding first.
        scorers: what each scorer adds, for those.
        columns: of each scorer by the name of the feature, before they are weighed.
    """

    logits: Float[np.ndarray, " m"]
    cosines: dict[str, Float[np.ndarray, " m"]]
    near: Int64[np.ndarray, " s"]
    scorers: dict[str, Float[np.ndarray, " s"]]
    columns: dict[str, dict[str, Float[np.ndarray, " s"]]] = field(default_factory=dict)


class Weigher:
    """Turns evidence into logits with a bundle's calibrated weights."""

    def __init__(self, bundle: Bundle, *, rerank: bool = True) -> None:
        self.calibration = bundle.calibration
        self.complete = rerank or not bundle.scorers
        self.scorers = bundle.scorers if rerank and bundle.calibration.weights else {}
        self._only = {
            key: registry.component("scorer", registry.spec_name(bundle.config.scorers[key])[0]).modality
            for key in self.scorers
        }

    def takes(self, key: str, modality: str, record: Any) -> bool:
        """Whether a scorer has something to say about a record."""
        return isinstance(record, self.scorers[key].accepts) and self._only[key] in ("", modality)

    def taken(self, key: str, records: Mapping[str, Sequence[Any]]) -> list[Any]:
        """The records that a scorer has something to say about."""
        return [r for m, some in records.items() for r in some if self.takes(key, m, r)]

    def weight(self, modality: str) -> float:
        """Of a cosine. In the company of scorers it has another weight than among embeddings alone."""
        weights = self.calibration.weights
        with_scorers = weights.get(modality, START_WEIGHT)
        return with_scorers if self.scorers else weights.get(f"{modality}.alone", with_scorers)

    def features(
        self, records: Mapping[str, Sequence[Any]], structures: Sequence[Structure]
    ) -> dict[str, Float[np.ndarray, "m f"]]:
        """Columns of each scorer that takes one of the records, a mean over those it takes times their gain.

        Raises:
            ScoreError: a number that is not finite.
        """
        columns: dict[str, np.ndarray] = {}
        for key, scorer in self.scorers.items():
            mine = self.taken(key, records)
            if not mine:
                continue
            values = np.mean([np.asarray(scorer(r, structures), dtype=np.float64) for r in mine], axis=0)
            if not np.isfinite(values).all():
                raise ScoreError(f"scorer {key!r} gave a number that is not finite")
            columns[key] = values * self.gain(len(mine))
        return columns

    def gain(self, count: int) -> float:
        """How much more several records of one modality say than one of them: between 1 and their number."""
        return count**self.calibration.repeats

    def score(
        self,
        records: Mapping[str, Sequence[Any]],
        cosine: Mapping[str, Float[np.ndarray, "r m"]],
        structures: Callable[[np.ndarray], Sequence[Structure]],
    ) -> Scored:
        """Logits of all candidates.

        Scorers look at the shortlist alone: the best by embedding, or everything where there is no embedding to choose
        by. A candidate outside it gets the least that a scorer gave inside, so that it cannot overtake one that was
        looked at with an equal embedding.

        Args:
            records: by modality.
            cosine: of the records with the candidates, for the modalities that have an encoder.
            structures: of the candidates whose places it is given.
        """
        shares = {
            m: self.weight(m) * self.gain(len(values)) * np.asarray(values, dtype=np.float64).mean(axis=0)
            for m, values in cosine.items()
        }
        logits = sum(shares.values(), np.zeros(1))
        if not shares:
            raise ScoreError("no embedding to rank by")
        return self._reranked(records, logits, shares, structures)

    def score_without(
        self, records: Mapping[str, Sequence[Any]], count: int, structures: Callable[[np.ndarray], Sequence[Structure]]
    ) -> Scored:
        """The same where no measurement has an encoder, for so many candidates."""
        return self._reranked(records, np.zeros(count), {}, structures)

    def _reranked(
        self,
        records: Mapping[str, Sequence[Any]],
        logits: np.ndarray,
        shares: dict[str, np.ndarray],
        structures: Callable[[np.ndarray], Sequence[Structure]],
    ) -> Scored:
        count = min(self.calibration.shortlist, len(logits)) if shares else len(logits)
        near = np.argsort(-logits, kind="stable")[:count]
        if not self.scorers or not count:
            return Scored(logits, shares, near, {})
        added: dict[str, np.ndarray] = {}
        columns: dict[str, dict[str, np.ndarray]] = {}
        for key, values in self.features(records, structures(near)).items():
            # For what is asked of one candidate alone: a mean over the records, however many there are.
            mean = values / self.gain(len(self.taken(key, records)))
            columns[key] = dict(zip(self.scorers[key].features, mean.T, strict=True))
            weights = [self.calibration.weights.get(f"{key}.{f}", 0.0) for f in self.scorers[key].features]
            added[key] = values @ np.array(weights)
        total = logits + sum(v.min() for v in added.values())
        total[near] = logits[near] + sum(added.values(), np.zeros(1))
        return Scored(total, shares, near, added, columns)


def _readings(unknown: Unknown, scope: Scope, adducts: Sequence[str]) -> list[Unknown]:
    """An unknown, or one for each adduct that it may be where nothing tells the mass that is searched for."""
    if scope != "mass":
        return [unknown]
    try:
        return as_likely_ions(unknown, adducts)
    except AdductError as error:
        return [replace(unknown, problem=str(error))]


def _scope(candidates: Scope, unknown: Unknown, formula: str | None, mass: float | None) -> Scope:
    if candidates != "auto":
        return candidates
    if formula is not None:
        return "formula"
    # An ion without adduct is asked for one rather than searched for in the whole library.
    ion = any(hasattr(r, "precursor_mz") for r in unknown.records)
    return "mass" if ion or mass is not None else "all"


def _searched(index: Index, readings: Sequence[Unknown], scope: Scope, ppm: float, formula: str | None) -> Searched:
    truth = readings[0].truth
    return Searched(
        index.name,
        len(index.library),
        scope,
        ppm if scope == "mass" else None,
        formula or (truth.formula if truth else None) if scope == "formula" else None,
        tuple(dict.fromkeys(a for u in readings for r in u.records if (a := getattr(r, "adduct", None)))),
    )


def scope_rows(
    index: Index, unknown: Unknown, scope: Scope, ppm: float, formula: str | None
) -> Int64[np.ndarray, " m"] | None:
    """Rows of the candidates; None for all.

    Raises:
        DatasetError: there is no candidate, and what to do about it.
    """
    library = index.library
    if scope == "all":
        if not len(library):
            raise DatasetError("the library is empty")
        return None
    if scope == "formula":
        wanted = formula or (unknown.truth.formula if unknown.truth else None)
        if wanted is None:
            raise DatasetError("no formula is known for this query; give one with --formula")
        rows = library.of_formula(wanted)
        if not len(rows):
            raise DatasetError(f"no candidate of formula {wanted} in the library")
        return rows
    if unknown.mass is None:
        raise DatasetError(
            "no neutral mass without precursor m/z and adduct; name the adduct with --adduct or the mass with --mass, "
            "or search all"
        )
    rows = library.within_ppm(unknown.mass, ppm)
    if not len(rows):
        raise DatasetError(
            f"no candidate within {ppm:g} ppm of {unknown.mass:.4f} Da; widen --ppm, or "
            f"check the adduct {_adduct(unknown)}"
        )
    return rows


def _adduct(unknown: Unknown) -> str:
    return str(getattr(unknown.ion, "adduct", None))


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
            rows, prior = fitting_ion(index.library, rows, _adduct(unknown), unknown.share)
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
    tried = ", ".join(f"{_adduct(r)} ({r.mass:.4f} Da)" for r in readings if r.mass)
    failed = readings[0].failed(
        f"the ion names no adduct, and as none of these the library holds a candidate: {tried}. Widen --ppm, or name "
        "adducts with --adducts"
    )
    return replace(failed, adduct=None, mass=None)


def cosines(vectors: np.ndarray, index: Index, rows: np.ndarray | None) -> np.ndarray:
    """Dot products of queries with rows of an index, or with all of it."""
    if rows is not None:
        return vectors @ index.take(rows).T
    import torch

    queries = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32))
    out = np.empty((len(vectors), len(index.library)), dtype=np.float32)
    for start, block in index.blocks():
        # By torch, as the widening: NumPy's threads and torch's, taking turns, wait for each other ten times as long.
        out[:, start : start + len(block)] = (queries @ torch.from_numpy(block).T).numpy()
    return out


def _batches(unknowns: Sequence[Unknown], whole: Callable[[Unknown], bool], most: int = 32) -> Iterator[list[Unknown]]:
    """Unknowns one by one; those that search the whole library in groups of at most so many records, or of one."""
    group: list[Unknown] = []
    for unknown in unknowns:
        full = group and sum(len(u.records) for u in group) + len(unknown.records) > most
        if group and (full or not whole(unknown) or not whole(group[0])):
            yield group
            group = []
        group.append(unknown)
    if group:
        yield group


def _whole(
    unknowns: Sequence[Unknown], vectors: Mapping[int, Mapping[str, np.ndarray]], index: Index
) -> dict[int, dict[str, np.ndarray]]:
    """Cosines of several unknowns' records with everything in an index."""
    pieces = [(id(u), m, v) for u in unknowns for m, v in vectors[id(u)].items()]
    if not pieces:
        return {}
    product = cosines(np.concatenate([v for _, _, v in pieces]), index, None)
    out: dict[int, dict[str, np.ndarray]] = {}
    start = 0
    for owner, modality, v in pieces:
        out.setdefault(owner, {})[modality] = product[start : start + len(v)]
        start += len(v)
    return out


def _embedded(
    bundle: Bundle, unknowns: Sequence[Unknown], device: str | None
) -> tuple[list[Unknown], dict[int, dict[str, np.ndarray]]]:
    """The unknowns with their embedded records; what an encoder cannot prepare is left out of them and noted.

    Records are prepared once, together. Only where that fails are they tried one by one, to tell which is at fault.
    """
    found = list(unknowns)
    try:
        return found, _vectors(bundle, [u for u in found if not u.problem], device)
    except MolvisError:
        kept = [u if u.problem else _prepared(bundle, u) for u in found]
        if kept == found:
            raise
    return kept, _vectors(bundle, [u for u in kept if not u.problem], device)


def _prepared(bundle: Bundle, unknown: Unknown) -> Unknown:
    """An unknown without the records that their encoder cannot prepare."""
    measured: dict[str, tuple[Any, ...]] = {}
    notes: list[str] = []
    several = len(unknown.records) + len(unknown.notes) > 1
    for modality, records in unknown.measured.items():
        kept: list[Any] = []
        for record in records:
            try:
                if modality in bundle.modalities:
                    bundle.encoder(modality).collate([record])
            except MolvisError as error:
                notes.append(f"{modality}: {error}" if several else str(error))
            else:
                kept.append(record)
        if kept:
            measured[modality] = tuple(kept)
    if not notes:
        return unknown
    if not measured:
        return replace(unknown, problem=notes[0], notes=())
    return replace(unknown, measured=measured, notes=(*notes, *unknown.notes))


def _vectors(bundle: Bundle, unknowns: Sequence[Unknown], device: str | None) -> dict[int, dict[str, np.ndarray]]:
    """Embedded records of each unknown, for the modalities that have an encoder."""
    out: dict[int, dict[str, np.ndarray]] = {id(u): {} for u in unknowns}
    for modality in bundle.modalities:
        mine = [u for u in unknowns if modality in u.measured]
        if not mine or is_fused(bundle.config, modality):
            continue
        rows = bundle.embed(modality, [r for u in mine for r in u.measured[modality]], device=device)
        start = 0
        for u in mine:
            count = len(u.measured[modality])
            out[id(u)][modality] = rows[start : start + count]
            start += count
    for key in fused_keys(bundle):
        several = [u for u in unknowns if len(out[id(u)].keys() & set(parts_of(bundle.config, key))) > 1]
        if several:
            rows = bundle.embed_fused([u.measured for u in several], key=key, device=device)
            for u, row in zip(several, rows, strict=True):
                out[id(u)][key] = row[None]
    return out


def fused_keys(bundle: Bundle) -> list[str]:
    """Encoders of a bundle that turn all measurements of an unknown into one vector."""
    return [key for key in bundle.config.encoders if is_fused(bundle.config, key)]


@dataclass(frozen=True, slots=True)
class _Item:
    """A record with what its query says of it."""

    record: Any
    modality: str
    label: str | None
    truth: Structure | None
    origin: Origin = NO_ORIGIN


def _unknowns(
    bundle: Bundle,
    queries: Sequence[Query],
    adduct: str | None,
    consensus: bool,
    modality: str | None,
    mass: float | None,
) -> list[Unknown]:
    groups: dict[Any, list[_Item]] = {}
    for number, query in enumerate(queries, start=1):
        parts = list(query) if isinstance(query, Sequence) else [query]
        items = [_item(bundle, part, number, modality) for part in parts]
        label = next((i.label for i in items if i.label), None)
        name = label or f"query {number}"
        items = [replace(i, label=name) for i in items] or [_Item(None, "", name, None)]
        groups.setdefault(name if consensus and label else number, []).extend(items)
    scorers = [
        (s.accepts, registry.component("scorer", registry.spec_name(bundle.config.scorers[k])[0]).modality)
        for k, s in bundle.scorers.items()
    ]
    return [_unknown(bundle, scorers, group, adduct, mass) for group in groups.values()]


def _item(bundle: Bundle, part: Measurement | Record, number: int, modality: str | None) -> _Item:
    if isinstance(part, Measurement):
        return _Item(part.record, part.modality, _label(part), part.structure, part.origin)
    return _Item(part, modality or _modality_of(bundle, part, number), getattr(part, "identifier", None), None)


def _label(part: Measurement) -> str | None:
    """What people call a measurement: its name, or the feature, or the scan, or whatever its source calls it."""
    identifier, origin = getattr(part.record, "identifier", None), part.origin
    if part.name or not (origin.feature_id or origin.scans):
        return part.name or identifier
    if origin.feature_id:
        return f"feature {origin.feature_id}"
    # mzML writes controllerType=0 controllerNumber=1 scan=17.
    own = identifier in (None, origin.scans) or identifier.endswith(f"scan={origin.scans}")
    return f"scan {origin.scans}" if own else identifier


def _modality_of(bundle: Bundle, record: Any, number: int) -> str:
    """The modality of a bare record, by its type: one that the bundle knows before one that it does not."""
    known = {c.name for c in registry.components("modality") if c.name != "structure"}
    fitting = [n for n in sorted(known) if registry.load("modality", n).record is type(record)]
    mine = [n for n in fitting if n in bundle.modalities]
    mine += [
        n
        for k, s in bundle.scorers.items()
        if (n := registry.component("scorer", registry.spec_name(bundle.config.scorers[k])[0]).modality) in fitting
        and n not in mine
    ]
    chosen = mine or fitting
    if len(chosen) != 1:
        what = f"may be any of {', '.join(chosen)}" if chosen else "belongs to no installed modality"
        raise RecordError(
            f"query {number} is a {type(record).__name__}, which {what}; hand over a Measurement that says its modality"
        )
    return chosen[0]


def _unknown(
    bundle: Bundle,
    scorers: Sequence[tuple[type[Any], str]],
    group: Sequence[_Item],
    adduct: str | None,
    mass: float | None,
) -> Unknown:
    measured: dict[str, list[Any]] = {}
    masses: list[float] = []
    notes: list[str] = []
    several = len(group) > 1
    for item in group:
        try:
            checked, own = _checked(bundle, scorers, item, adduct)
        except MolvisError as error:
            notes.append(f"{item.modality}: {error}" if several and item.modality else str(error))
            continue
        measured.setdefault(item.modality, []).append(checked)
        if own is not None:
            masses.append(own)
    problem = "" if measured else notes[0] if notes else "nothing was measured"
    if mass is None:
        mass, differ = common_mass(masses)
        problem = problem or differ
    truth = next((i.truth for i in group if i.truth is not None), None)
    kept = measured or _grouped(group)
    return Unknown(
        str(group[0].label),
        {m: tuple(r) for m, r in kept.items()},
        problem,
        mass,
        truth,
        tuple(notes if measured else ()),
        _one_origin([i.origin for i in group]),
    )


def _one_origin(origins: Sequence[Origin]) -> Origin:
    """Where the measurements of one unknown were found: their names side by side, the middle of their times."""

    def names(every: Iterable[str | None]) -> str | None:
        return ", ".join(dict.fromkeys(n for n in every if n)) or None

    times = [o.rt_min for o in origins if o.rt_min is not None]
    return Origin(
        names(o.feature_id for o in origins),
        names(o.scans for o in origins),
        float(np.median(times)) if times else None,
        names(o.source_file for o in origins),
    )


def _grouped(group: Sequence[_Item]) -> dict[str, list[Any]]:
    out: dict[str, list[Any]] = {}
    for item in group:
        if item.record is not None:
            out.setdefault(item.modality, []).append(item.record)
    return out


def _checked(
    bundle: Bundle, scorers: Sequence[tuple[type[Any], str]], item: _Item, adduct: str | None
) -> tuple[Any, float | None]:
    """A record that the bundle can use, and the neutral mass that it tells.

    Raises:
        MolvisError: the bundle cannot use it, and why.
    """
    if item.record is None:
        raise RecordError("nothing was measured")
    if item.modality in bundle.modalities:
        encoder = bundle.encoder(item.modality)
        if not isinstance(item.record, encoder.accepts):
            raise RecordError(
                f"a {type(item.record).__name__}; the {item.modality!r} encoder takes {encoder.accepts.__name__}"
            )
        return check_ion(item.record, adduct)
    if any(isinstance(item.record, kind) and only in ("", item.modality) for kind, only in scorers):
        return check_ion(item.record, adduct)
    raise BundleError(
        f"bundle {bundle.name!r} has no encoder for {item.modality!r} and no scorer that takes it; it knows "
        f"{', '.join(sorted({*bundle.modalities, *(only for _, only in scorers)} - {'structure', ''}))}"
    )


def calibrate(
    bundle: Bundle,
    measurements: Sequence[Measurement],
    index: Index,
    *,
    ppm: float = 10.0,
    per_compound: int = 4,
    penalty: float = 0.002,
    seed: int = 0,
    progress: Progress | None = None,
    fitted_on: str = "",
) -> Calibration:
    """Weights of the evidence by maximum likelihood: a conditional logit of the truth among candidates of equal mass.

    Measurements of several modalities are weighed together: a compound that was measured in several ways gives cases
    with all of them and with some of them, so that what they say twice is not counted twice. Each compound counts once,
    however many measurements it has. A true structure that the index lacks is embedded and added.

    Args:
        bundle: to calibrate; its present weights stay for modalities that were not measured here, and are not used.
        measurements: with structures that the bundle was not trained on.
        index: of candidates.
        ppm: half width of the mass window.
        per_compound: cases of a compound, drawn by `seed`.
        penalty: of squared weights of standardised evidence, so that columns that say the same share their weight.
            A cosine's weight is never negative; one that would be is 0, and a warning says so.
        seed: of the draw.
        progress: called with the compounds done and in all.
        fitted_on: what to say of the data.

    Raises:
        DatasetError: fewer than ten compounds can be used.
    """
    index.require(bundle)
    rng = np.random.default_rng(seed)
    compounds: dict[str, dict[str, list[Measurement]]] = {}
    for item in measurements:
        if item.structure is not None:
            compounds.setdefault(item.structure.inchikey14, {}).setdefault(item.modality, []).append(item)
    modalities = list(dict.fromkeys(m.modality for m in measurements))
    embedded = [m for m in modalities if m in bundle.modalities]
    embedded += [k for k in fused_keys(bundle) if len(set(parts_of(bundle.config, k)) & set(modalities)) > 1]
    weigh = Weigher(bundle.with_calibration(Calibration(dict.fromkeys(embedded or [""], START_WEIGHT))))
    scorers = [(f"{key}.{f}", key) for key, s in weigh.scorers.items() for f in s.features]
    columns = [*embedded, *(name for name, _ in scorers)]
    cases: list[_Case] = []
    repeated: list[_Case] = []
    for done, (key, found) in enumerate(compounds.items(), start=1):
        single, several = _cases(bundle, weigh, index, key, found, columns, embedded, ppm, per_compound, rng)
        cases += single
        repeated += several
        if progress:
            progress(done, len(compounds))
    count = sum(c.share for c in cases)
    if count < 10:
        raise DatasetError(f"{count:.0f} compounds can be used for calibration; at least 10 are wanted")
    kept = [i for i, name in enumerate(columns) if name in embedded or _measured(name, weigh, compounds)]
    names = [columns[i] for i in kept]
    weights = _similarities_upwards([(c.values[:, kept], c.truth, c.share) for c in cases], penalty, names, embedded)
    fitted = dict(zip(names, weights.tolist(), strict=True))
    if embedded:
        first = len(embedded)
        alone = _similarities_upwards(
            [(c.values[:, :first], c.truth, c.share) for c in cases], penalty, columns[:first], embedded, " alone"
        )
        fitted |= {f"{m}.alone": w for m, w in zip(embedded, alone.tolist(), strict=True)}
    old = {k: v for k, v in bundle.calibration.weights.items() if not _concerns(k, fitted)}
    full = np.zeros(len(columns))
    full[kept] = weights
    return Calibration(
        old | {k: round(v, 6) for k, v in fitted.items()},
        Calibration().shortlist,
        fitted_on,
        _repeats(repeated, full),
    )


def _similarities_upwards(
    cases: Sequence[conditional_logit.Case],
    penalty: float,
    names: Sequence[str],
    embedded: Sequence[str],
    how: str = "",
) -> Float[np.ndarray, " f"]:
    """Weights, none of a cosine below 0: a likeness that counts against a candidate is one that says nothing."""
    places = [i for i, name in enumerate(names) if name in embedded]
    weights, held = conditional_logit.fit_bounded(cases, penalty, places)
    for place, free in held.items():
        log.warning(
            "the cosine of %r%s gets weight 0: fitted freely it would count against a candidate (weight %.3g). Its "
            "encoder tells the truth from others of its mass no better than chance: molvis evaluate says how it ranks, "
            "and val_mean_cosine in the run's metrics.csv whether it has collapsed",
            names[place], how, free,
        )  # fmt: skip
    return weights


@dataclass(frozen=True, slots=True)
class _Case:
    """Evidence for the candidates of one query.

    Attributes:
        values: a column for each piece, 0 where it was not measured.
        truth: place of the true structure.
        share: weight of the case.
        counts: how many records are behind each column.
    """

    values: Float[np.ndarray, "m f"]
    truth: int
    share: float
    counts: Float[np.ndarray, " f"]


def _measured(name: str, weigh: Weigher, compounds: Mapping[str, Mapping[str, Sequence[Measurement]]]) -> bool:
    key = name.split(".", 1)[0]
    if key not in weigh.scorers:
        return False
    return any(weigh.takes(key, m, i.record) for c in compounds.values() for m, items in c.items() for i in items[:1])


def _concerns(name: str, fitted: Mapping[str, float]) -> bool:
    """Whether a weight is of something that was fitted anew."""
    heads = {k.split(".", 1)[0] for k in fitted}
    return name.split(".", 1)[0] in heads


def _cases(
    bundle: Bundle,
    weigh: Weigher,
    index: Index,
    key: str,
    found: Mapping[str, Sequence[Measurement]],
    columns: Sequence[str],
    embedded: Sequence[str],
    ppm: float,
    per_compound: int,
    rng: np.random.Generator,
) -> tuple[list[_Case], list[_Case]]:
    """Cases of one compound with one record of each modality that they hold, and one with several."""
    structure = next(i.structure for items in found.values() for i in items)
    assert structure is not None
    records, masses = usable_records(weigh, embedded, found, per_compound, rng)
    if not records:
        return [], []
    # One window for all of a compound's measurements: infrared spectra know no mass of their own.
    rows = index.library.within_ppm(float(np.median(masses)) if masses else structure.exact_mass, ppm)
    structures, vectors = index.library.structures(rows), index.take(rows)
    place = [i for i, s in enumerate(structures) if s.inchikey14 == key]
    truth = place[0] if place else len(structures)
    if not place:
        structures.append(structure)
        vectors = np.concatenate([vectors, bundle.embed("structure", [structure])])
    if len(structures) < 2:
        return [], []
    cosine = {m: bundle.embed(m, r) @ vectors.T for m, r in records.items() if m in bundle.modalities}
    mean = sum((c.mean(axis=0) for c in cosine.values()), np.zeros(len(structures)))
    near = np.argsort(-mean, kind="stable")[: Calibration().shortlist]
    if truth not in near:
        near = np.r_[near[:-1], truth]
    own = int(np.flatnonzero(near == truth)[0])
    chosen = [structures[i] for i in near]
    # One row of columns for each record; a case is a sum over the records that it holds.
    single: dict[str, list[np.ndarray]] = {}
    for modality, some in records.items():
        for number, record in enumerate(some):
            values = np.zeros((len(near), len(columns)))
            if modality in cosine:
                values[:, columns.index(modality)] = cosine[modality][number, near]
            for name, block in weigh.features({modality: [record]}, chosen).items():
                first = columns.index(f"{name}.{weigh.scorers[name].features[0]}")
                values[:, first : first + block.shape[1]] = block
            single.setdefault(modality, []).append(values)
    draws = draw_subsets({m: len(v) for m, v in single.items()}, per_compound, rng)
    cases: list[_Case] = []
    for draw in draws:
        values = sum((single[m][i] for m, i in draw.items()), np.zeros((len(near), len(columns))))
        for fused in set(fused_keys(bundle)) & set(columns):
            if len(draw.keys() & set(parts_of(bundle.config, fused))) > 1:
                vector = bundle.embed_fused([{m: [records[m][i]] for m, i in draw.items()}], key=fused)
                values[:, columns.index(fused)] = (vector @ vectors[near].T)[0]
        cases.append(_Case(values, own, 1 / len(draws), np.ones(len(columns))))
    several: list[_Case] = []
    if any(len(v) > 1 for v in single.values()):
        counts = np.ones(len(columns))
        total = np.zeros((len(near), len(columns)))
        for blocks in single.values():
            counts[np.any([b.any(axis=0) for b in blocks], axis=0)] = len(blocks)
            total += np.mean(blocks, axis=0)
        several.append(_Case(total, own, 1.0, counts))
    return cases, several


def usable_records(
    weigh: Weigher,
    embedded: Sequence[str],
    found: Mapping[str, Sequence[Measurement]],
    per_compound: int,
    rng: np.random.Generator,
) -> tuple[dict[str, list[Any]], list[float]]:
    """Up to so many records of each modality that an encoder or a scorer takes, drawn; and the masses they tell."""
    records: dict[str, list[Any]] = {}
    masses: list[float] = []
    for modality, items in found.items():
        for place in rng.permutation(len(items))[:per_compound]:
            try:
                record, mass = check_ion(items[place].record)
            except AdductError:
                continue
            if mass is None and hasattr(record, "mz"):
                continue  # a spectrum whose mass nobody knows has no candidates of equal mass
            records.setdefault(modality, []).append(record)
            masses += [mass] if mass is not None else []
    taken = {
        m: r
        for m, r in records.items()
        if m in embedded or any(weigh.takes(k, m, one) for k in weigh.scorers for one in r)
    }
    return taken, masses


def draw_subsets(counts: Mapping[str, int], most: int, rng: np.random.Generator) -> list[dict[str, int]]:
    """Which record of which modality the cases of a compound hold: every second case all, the others some."""
    names = list(counts)
    if len(names) == 1:
        return [{names[0]: i} for i in range(counts[names[0]])]
    draws: list[dict[str, int]] = []
    for number in range(most):
        size = len(names) if number % 2 == 0 else int(rng.integers(1, len(names)))
        some = rng.permutation(len(names))[:size]
        draws.append({names[i]: int(rng.integers(counts[names[i]])) for i in sorted(some)})
    return draws


def _repeats(cases: Sequence[_Case], weights: np.ndarray) -> float:
    """The power of their number by which several records of a modality say more than one, by maximum likelihood."""
    if len(cases) < _LEAST_REPEATED:
        return 0.0

    def loss(power: float) -> float:
        total = 0.0
        for case in cases:
            logits = (case.values * case.counts**power) @ weights
            total += float(np.logaddexp.reduce(logits) - logits[case.truth])
        return total

    powers = np.linspace(0, 1, 21)
    return round(float(powers[first_largest(-np.array([loss(p) for p in powers]), 1e-9)]), 6)


_LEAST_REPEATED = 10


COLUMNS: tuple[str, ...] = (
    "query", "feature_id", "scans", "rt_min", "source_file", "precursor_mz", "adduct", "mass", "n_candidates",
    "probability_among", "rank", "inchikey", "smiles", "name", "formula", "mass_error_ppm", "score", "probability",
    "probability_joint", "margin", "evidence", "problem",
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
        raise PluginError("a table wants pandas, which is not installed: pip install 'molvis-core[pandas]'") from error
    kinds = dict.fromkeys(COLUMNS, "object") | dict.fromkeys(_NUMBERS, "float64") | dict.fromkeys(_COUNTS, "Int64")
    return pd.DataFrame(to_rows(found), columns=list(COLUMNS)).astype(kinds)


_COUNTS = ("n_candidates", "rank")
_NUMBERS = (
    "rt_min", "precursor_mz", "mass", "mass_error_ppm", "score", "probability", "probability_among",
    "probability_joint", "margin",
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
    """Counts: queries, searched, problems, and where truths are known how many came first."""
    known = [f for f in found if f.truth_rank is not None]
    return {
        "queries": len(found),
        "searched": sum(not f.problem for f in found),
        "problems": sum(bool(f.problem) for f in found),
        "known": len(known),
        "first": sum(f.truth_rank == 1 for f in known),
    }
