"""Evidence for candidates: cosines of embeddings and what scorers add, and the weights that turn them into logits."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int64

from molvis_core.errors import ConfigError, ScoreError
from molvis_core.interfaces import HasCost, HoldsAtAnyMass, LeavesOut
from molvis_core.records import PeakList, Structure
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.channels import ScorerChannel
from molvis_retrieval.pieces import DOUBT, Doubted, Piece, fit_of
from molvis_retrieval.presence import MEASURED
from molvis_retrieval.unknowns import Unknown

if TYPE_CHECKING:
    from molvis_retrieval.index import Index


_WIDER = 2
START_WEIGHT = 20.0
"""Weight of a cosine in a bundle that was never calibrated: a temperature of 0.05, as training starts with."""
_FAR = 4.0
"""How far, in natural logarithms, a candidate may be behind another for the scorers that cost most to look at it.

Of 70 validation compounds, a spectrum of each without its adduct, that leaves out a quarter of the candidates which
predicted spectra would be compared with, with .05% of the probability in the mean (1.4% at most), and no first one."""
_ASKED = 2
"""Kinds of scorers, by their cost, that must have been asked before."""
_FEWEST = 4
"""Candidates that they look at nevertheless: some evidence counts from what candidates have in common."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Evidence for candidates, weighed.

    Attributes:
        logits: of all candidates.
        cosines: what each modality's embedding adds, for all candidates.
        near: which candidates scorers looked at, best embedding first.
        scorers: what each scorer adds, for those.
        columns: of each scorer by the name of the feature, before they are weighed.
        given: what each scorer gave for those, by which it need not be asked again.
        pieces: what each kind of measurement says, where every part of the evidence is of one kind.
        doubted: what that comes to, as one of them may be another compound's; None where that was not looked at.
    """

    logits: Float[np.ndarray, " m"]
    cosines: dict[str, Float[np.ndarray, " m"]]
    near: Int64[np.ndarray, " s"]
    scorers: dict[str, Float[np.ndarray, " s"]]
    columns: dict[str, dict[str, Float[np.ndarray, " s"]]] = field(default_factory=dict)
    given: Mapping[str, Float[np.ndarray, "s f"]] = field(default_factory=dict)
    pieces: Mapping[str, Piece] = field(default_factory=dict)
    doubted: Doubted | None = None


class Weigher:
    """Turns evidence into logits with a bundle's calibrated weights."""

    def __init__(
        self, bundle: Bundle, *, rerank: bool = True, without: Collection[str] = (), doubt: float = DOUBT
    ) -> None:
        if not 0 <= doubt < 1:
            raise ConfigError(f"doubt is a probability, from 0 to less than 1, got {doubt}")
        self.calibration, self.doubt = bundle.calibration, doubt
        self.complete = rerank or not bundle.channels.scorers
        all_scorers = bundle.channels.scorers if rerank and bundle.calibration.weights else {}
        self.scorers = {key: channel for key, channel in all_scorers.items() if key not in without}

    def with_scorers(self, scorers: Mapping[str, ScorerChannel]) -> Weigher:
        """The same with these scorers under the names of its own."""
        out = copy.copy(self)
        out.scorers = dict(scorers)
        return out

    def without(self, compounds: Collection[str]) -> Weigher:
        """The same without what scorers know of some compounds, for queries to be like those of unknown ones."""
        using = {key: one for key, one in self.scorers.items() if isinstance(one.scorer, LeavesOut)}
        if not using:
            return self
        out = copy.copy(self)
        fewer = {key: replace(one, scorer=one.scorer.without(compounds)) for key, one in using.items()}
        out.scorers = {**self.scorers, **fewer}
        return out

    def costing(self, most: int) -> Weigher:
        """The same with the scorers alone that cost no more."""
        return self.with_scorers({key: one for key, one in self.scorers.items() if _cost(one) <= most})

    @property
    def costs(self) -> list[int]:
        """What the scorers cost, each number once, the least first."""
        return sorted({_cost(one) for one in self.scorers.values()})

    def at_any_mass(self, records: Mapping[str, Sequence[Any]]) -> Weigher:
        """The same without scorers of some records whose evidence holds among candidates of equal mass alone.

        In a whole library, more candidates are alike to an embedding than in a mass window: scorers look at more.
        """
        out = copy.copy(self)
        out.calibration = replace(self.calibration, shortlist=_WIDER * self.calibration.shortlist)
        out.scorers = {
            key: one
            for key, one in self.scorers.items()
            if isinstance(one.scorer, HoldsAtAnyMass) and one.scorer.any_mass and self.taken(key, records)
        }
        return out

    def takes(self, key: str, modality: str, record: Any) -> bool:
        """Whether a scorer takes a record."""
        return self.scorers[key].takes(modality, record)

    def taken(self, key: str, records: Mapping[str, Sequence[Any]]) -> list[Any]:
        """The records that a scorer takes."""
        return [r for m, some in records.items() for r in some if self.takes(key, m, r)]

    def weight(self, modality: str) -> float:
        """The weight of a cosine: one beside scorers, another where embeddings are the only evidence."""
        weights = self.calibration.weights
        return weights.get(modality, START_WEIGHT) if self.scorers else self.weight_alone(modality)

    def weight_alone(self, modality: str) -> float:
        """The weight of a cosine where embeddings are the only evidence."""
        weights = self.calibration.weights
        return weights.get(f"{modality}.alone", weights.get(modality, START_WEIGHT))

    def features(
        self,
        records: Mapping[str, Sequence[Any]],
        structures: Sequence[Structure],
        given: Mapping[str, Float[np.ndarray, "m f"]] | None = None,
    ) -> dict[str, Float[np.ndarray, "m f"]]:
        """Columns of each scorer that takes one of the records, a mean over those it takes times their gain.

        Records that a scorer tells apart (`TellsApart`), such as shifts of two nuclei, are evidence of their own: their
        means add up.

        Args:
            records: by modality.
            structures: candidates.
            given: what some scorers gave for the same before.

        Raises:
            ScoreError: a number that is not finite.
        """
        columns: dict[str, np.ndarray] = {}
        for key in self.scorers:
            mine = self.taken(key, records)
            if mine:
                columns[key] = given[key] if given and key in given else self._asked(key, mine, structures)
        return columns

    def _asked(self, key: str, mine: Sequence[Any], structures: Sequence[Structure]) -> Float[np.ndarray, "m f"]:
        """What a scorer gives for records that it takes."""
        channel = self.scorers[key]
        values = np.zeros((len(structures), len(channel.features)))
        for some in channel.apart(mine):
            found = [np.asarray(channel.scorer(r, structures), dtype=np.float64) for r in some]
            values += np.mean(found, axis=0) * self.gain(len(some))
        if not np.isfinite(values).all():
            raise ScoreError(f"scorer {key!r} gave a number that is not finite")
        return values

    def _features_of_near(
        self,
        records: Mapping[str, Sequence[Any]],
        structures: Sequence[Structure],
        given: Mapping[str, Float[np.ndarray, "m f"]],
        logits: Float[np.ndarray, " m"],
    ) -> dict[str, Float[np.ndarray, "m f"]]:
        """The same as `features`, where a scorer that costs more is not asked for candidates that are far behind.

        They get what the one gets that it supports least.

        Args:
            records: by modality.
            structures: candidates.
            given: what some scorers gave for the same before.
            logits: of the candidates before the scorers are asked.
        """
        found: dict[str, np.ndarray] = {}
        for key in sorted(self.scorers, key=lambda one: _cost(self.scorers[one])):
            mine = self.taken(key, records)
            if not mine:
                continue
            cheaper = [k for k in found if _cost(self.scorers[k]) < _cost(self.scorers[key])]
            if key in given:
                found[key] = given[key]
            elif len({_cost(self.scorers[k]) for k in cheaper}) < _ASKED or len(structures) <= _FEWEST:
                found[key] = self._asked(key, mine, structures)
            else:
                so_far = logits + sum((self._weighed(k, found[k]) for k in cheaper), np.zeros(1))
                best = np.sort(so_far)[::-1]
                near = np.flatnonzero(so_far >= min(best[0] - _FAR, best[_FEWEST - 1]))
                values = self._asked(key, mine, [structures[k] for k in near])
                least = values[np.argmin(self._weighed(key, values))]
                found[key] = np.tile(least, (len(structures), 1))
                found[key][near] = values
        return {key: found[key] for key in self.scorers if key in found}

    def _weighed(self, key: str, values: Float[np.ndarray, "m f"]) -> Float[np.ndarray, " m"]:
        """What a scorer's features add to logits."""
        return values @ np.array([self.calibration.weights.get(f"{key}.{f}", 0.0) for f in self.scorers[key].features])

    def gain(self, count: int) -> float:
        """The factor on the evidence of several records of one modality: between 1 and their number."""
        return count**self.calibration.repeats

    def score(
        self,
        records: Mapping[str, Sequence[Any]],
        cosine: Mapping[str, Float[np.ndarray, "r m"]],
        structures: Callable[[np.ndarray], Sequence[Structure]],
        given: Mapping[str, Float[np.ndarray, "s f"]] | None = None,
    ) -> Scored:
        """Logits of all candidates.

        Scorers look at the shortlist alone: the best by embedding, or everything where there is no embedding to choose
        by. A candidate outside it gets the least that a scorer gave inside, so that it cannot overtake one that was
        looked at with an equal embedding.

        Args:
            records: by modality.
            cosine: of the records with the candidates, for the modalities that have an encoder.
            structures: of the candidates whose places it is given.
            given: what some scorers gave for the shortlist before.
        """
        means = {
            m: self.gain(len(values)) * np.asarray(values, dtype=np.float64).mean(axis=0)
            for m, values in cosine.items()
        }
        if not means:
            raise ScoreError("no embedding to rank by")
        shares = {m: self.weight(m) * mean for m, mean in means.items()}
        logits = sum(shares.values(), np.zeros(1))
        # Cosines that do not count beside scorers still choose what scorers look at.
        first = logits if logits.any() else sum((self.weight_alone(m) * mean for m, mean in means.items()), logits)
        scored = self._reranked(records, logits, first, shares, structures, given)
        return self._with_doubt(scored, records, cosine)

    def score_without(
        self,
        records: Mapping[str, Sequence[Any]],
        count: int,
        structures: Callable[[np.ndarray], Sequence[Structure]],
        given: Mapping[str, Float[np.ndarray, "s f"]] | None = None,
    ) -> Scored:
        """The same where no measurement has an encoder, for so many candidates."""
        scored = self._reranked(records, np.zeros(count), np.zeros(count), {}, structures, given)
        return self._with_doubt(scored, records, {})

    def _reranked(
        self,
        records: Mapping[str, Sequence[Any]],
        logits: np.ndarray,
        first: np.ndarray,
        shares: dict[str, np.ndarray],
        structures: Callable[[np.ndarray], Sequence[Structure]],
        given: Mapping[str, np.ndarray] | None,
    ) -> Scored:
        count = min(self.calibration.shortlist, len(logits)) if shares else len(logits)
        near = np.argsort(-first, kind="stable")[:count]
        if not self.scorers or not count:
            return Scored(logits, shares, near, {})
        added: dict[str, np.ndarray] = {}
        columns: dict[str, dict[str, np.ndarray]] = {}
        found = self._features_of_near(records, structures(near), given or {}, logits[near])
        for key, values in found.items():
            # For what is asked of one candidate alone: a mean over the records, however many there are.
            mean = values / self.gain(len(self.taken(key, records)))
            columns[key] = dict(zip(self.scorers[key].features, mean.T, strict=True))
            added[key] = self._weighed(key, values)
        total = logits + sum(v.min() for v in added.values())
        total[near] = logits[near] + sum(added.values(), np.zeros(1))
        return Scored(total, shares, near, added, columns, found)

    def _with_doubt(
        self, scored: Scored, records: Mapping[str, Sequence[Any]], cosine: Mapping[str, Float[np.ndarray, "r m"]]
    ) -> Scored:
        """The same where one kind of measurement may be another compound's."""
        if len(records) < 2 or not len(scored.logits):
            return scored
        pieces = self._pieces(scored, records, cosine)
        doubted = self.calibration.pieces.doubted(pieces, self.doubt)
        logits = scored.logits if doubted is None else scored.logits + doubted.added
        return replace(scored, logits=logits, pieces=pieces, doubted=doubted)

    def _pieces(
        self, scored: Scored, records: Mapping[str, Sequence[Any]], cosine: Mapping[str, Float[np.ndarray, "r m"]]
    ) -> dict[str, Piece]:
        """What each kind of measurement says; nothing where a part of the evidence is of several kinds at once."""
        if set(cosine) - set(records):
            return {}
        evidence = {m: scored.cosines.get(m, np.zeros(len(scored.logits))) for m in records}
        columns = {m: {m: np.asarray(values, dtype=np.float64).mean(axis=0)} for m, values in cosine.items()}
        for key, values in scored.scorers.items():
            owners = [m for m, some in records.items() if any(self.takes(key, m, one) for one in some)]
            if len(owners) != 1:
                return {}
            evidence[owners[0]] = evidence[owners[0]] + _everywhere(values, scored.near, len(scored.logits))
            columns.setdefault(owners[0], {}).update(
                {
                    f"{key}.{name}": _everywhere(column, scored.near, len(scored.logits))
                    for name, column in scored.columns[key].items()
                }
            )
        # A value of an ion that no scorer knows says nothing, of any candidate.
        told = {m: own for m, own in columns.items() if any(column.any() for column in own.values())}
        return {m: Piece(evidence[m], fit_of(evidence[m], own)) for m, own in told.items()}


def _everywhere(values: Float[np.ndarray, " s"], near: Int64[np.ndarray, " s"], count: int) -> Float[np.ndarray, " m"]:
    """What a scorer gives for the shortlist, and the least of it for the other candidates."""
    out = np.full(count, values.min())
    out[near] = values
    return out


def _cost(channel: ScorerChannel) -> int:
    return channel.scorer.cost if isinstance(channel.scorer, HasCost) else 1


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


@dataclass(frozen=True, slots=True)
class Embedded:
    """An unknown with the vectors of what was measured of it.

    Attributes:
        unknown: without the records that their encoder cannot prepare.
        vectors: by modality, in the order of its records; and one of each fusion that pools several modalities.
    """

    unknown: Unknown
    vectors: Mapping[str, Float[np.ndarray, "_ dim"]]


_Rows = tuple[np.ndarray, dict[int, str]]
"""Vectors of an unknown's measurements of one modality, and by place what is wrong with those that have none."""


def _rows_of(bundle: Bundle, modality: str, mine: Sequence[Unknown], device: str | None) -> list[_Rows]:
    """Vectors of the measurements of a modality, of each unknown; a record that several hold is prepared once."""
    if not mine:
        return []
    records = {id(r): r for one in mine for r in one.measured[modality]}
    rows, faults = bundle.embed_usable(modality, list(records.values()), device=device)
    usable = iter(rows)
    made = {key: faults.get(place) or next(usable) for place, key in enumerate(records)}
    owned = [[made[id(r)] for r in one.measured[modality]] for one in mine]
    return [
        (
            np.array([v for v in own if not isinstance(v, str)]),
            {place: fault for place, fault in enumerate(own) if isinstance(fault, str)},
        )
        for own in owned
    ]


def _pool(bundle: Bundle, vectors: Sequence[dict[str, np.ndarray]], device: str | None) -> None:
    """Adds the vector of every fusion to the unknowns that have what it is made of."""
    for key in bundle.channels.fusions:
        several = [mine for mine in vectors if key in bundle.channels.fused(mine)]
        for mine, row in zip(several, bundle.fuse(several, key, device=device) if several else (), strict=True):
            mine[key] = row[None]


def embed(bundle: Bundle, unknowns: Sequence[Unknown], device: str | None = None) -> list[Embedded]:
    """The unknowns with their vectors; what an encoder cannot prepare is left out of them and noted.

    Each encoder prepares each record once, however many unknowns hold it.
    """
    good = [one for one in unknowns if not one.problem]
    found: dict[int, dict[str, _Rows]] = {id(one): {} for one in good}
    for modality in bundle.channels.encoders:
        mine = [one for one in good if modality in one.measured]
        for one, rows in zip(mine, _rows_of(bundle, modality, mine, device), strict=True):
            found[id(one)][modality] = rows
    out = [
        one if one.problem else _without(one, {m: bad for m, (_, bad) in found[id(one)].items() if bad})
        for one in unknowns
    ]
    vectors = [
        {} if kept.problem else {m: rows for m, (rows, _) in found[id(one)].items() if len(rows)}
        for one, kept in zip(unknowns, out, strict=True)
    ]
    _pool(bundle, vectors, device)
    return [Embedded(one, mine) for one, mine in zip(out, vectors, strict=True)]


def _without(unknown: Unknown, faults: Mapping[str, Mapping[int, str]]) -> Unknown:
    """An unknown without the records that their encoder cannot prepare: those at these places, for these reasons."""
    if not faults:
        return unknown
    several = len(unknown.records) + len(unknown.notes) > 1
    reasons = [(m, reason) for m in unknown.measured for _, reason in sorted(faults.get(m, {}).items())]
    notes = [f"{modality}: {reason}" if several else reason for modality, reason in reasons]
    kept = {
        m: tuple(r for place, r in enumerate(records) if place not in faults.get(m, ()))
        for m, records in unknown.measured.items()
    }
    measured = {m: records for m, records in kept.items() if records}
    if not measured:
        return replace(unknown, problem=notes[0], notes=())
    return replace(unknown, measured=measured, notes=(*notes, *unknown.notes))


def whole_library(unknowns: Sequence[Embedded], index: Index) -> list[dict[str, np.ndarray]]:
    """Cosines of several unknowns' records with everything in an index, which is read once for all of them."""
    pieces = [v for one in unknowns for v in one.vectors.values()]
    if not pieces:
        return [{} for _ in unknowns]
    product = cosines(np.concatenate(pieces), index, None)
    rows = iter(np.split(product, np.cumsum([len(v) for v in pieces])[:-1]))
    return [{modality: next(rows) for modality in one.vectors} for one in unknowns]


def describe(
    records: Mapping[str, Sequence[Any]],
    cosine: Mapping[str, Float[np.ndarray, "r m"]],
    scored: Scored,
    first: int,
    structure: Structure,
) -> dict[str, float]:
    """What is known of how well the first candidate fits, and of what it was chosen from.

    Args:
        records: what was measured, by modality.
        cosine: of the records with the candidates, before weighing.
        scored: the evidence.
        first: place of the first candidate.
        structure: of the first candidate.
    """
    total = scored.logits
    out = {f"{MEASURED}{name}": 1.0 for name in records}
    out |= {name: float(np.mean(values[:, first])) for name, values in cosine.items()}
    place = np.flatnonzero(scored.near == first)
    row = int(place[0]) if len(place) else 0
    for key, columns in scored.columns.items():
        out |= {f"{key}.{name}": float(values[row]) for name, values in columns.items()}
    spectra = [r for some in records.values() for r in some if isinstance(r, PeakList)]
    if spectra:
        out["peaks"] = float(np.mean([math.log1p(_below(r).sum()) for r in spectra]))
        out["fragmented"] = float(
            np.mean([r.intensity[_below(r)].sum() / max(r.intensity.sum(), 1e-9) for r in spectra])
        )
    others = np.delete(total, first)
    if len(others):
        out["deviation"] = float((total[first] - others.mean()) / (others.std() + 0.5))
    out |= {f"score.{name}": float(values[row]) for name, values in scored.scorers.items()}
    odds = np.exp(total - total[first])
    out["rivals"] = math.log(len(total))
    out["first"] = float(1 / odds.sum())
    out["records"] = math.log(sum(len(some) for some in records.values()))
    out["mass"] = math.log(structure.exact_mass)
    return out


def _below(record: PeakList) -> Bool[np.ndarray, " p"]:
    """Peaks that are not the precursor's own: these depend on the structure."""
    return record.mz < (record.precursor_mz or np.inf) - 0.5
