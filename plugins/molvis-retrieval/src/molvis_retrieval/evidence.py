"""Evidence for candidates: cosines of embeddings and what scorers add, and the weights that turn them into logits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int64

from molvis_core import registry
from molvis_core.errors import (
    MolvisError,
    ScoreError,
)
from molvis_core.records import PeakList, Structure
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.config import is_fused, parts_of
from molvis_retrieval.unknowns import Unknown

if TYPE_CHECKING:
    from molvis_retrieval.index import Index


START_WEIGHT = 20.0
"""Weight of a cosine in a bundle that was never calibrated: a temperature of 0.05, as training starts with."""


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


def batches(unknowns: Sequence[Unknown], whole: Callable[[Unknown], bool], most: int = 32) -> Iterator[list[Unknown]]:
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


def whole_library(
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


def embedded(
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
    out = {f"has.{name}": 1.0 for name in records}
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
    """Peaks that are not the precursor's own: those say something of the structure."""
    return record.mz < (record.precursor_mz or np.inf) - 0.5
