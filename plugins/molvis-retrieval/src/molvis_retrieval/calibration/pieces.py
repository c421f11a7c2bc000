"""Fit how probable it is that each kind of measurement is of the unknown, with pieces exchanged on purpose.

Compounds that were measured in several ways are asked for with all of it and with some of it; in half of the cases one
piece is another compound's: half of these of about the same precursor, the others any. The weights make true structure
and exchanged piece most likely together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from molvis_core.errors import DatasetError
from molvis_core.progress import Progress
from molvis_core.records import Measurement
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.calibration.compounds import (
    Candidates,
    by_compound,
    candidates_of,
    draw_subsets,
    score_among,
    usable_records,
)
from molvis_retrieval.calibration.foreign import Pool
from molvis_retrieval.evidence import Weigher
from molvis_retrieval.pieces import Piece, Pieces, mixed
from molvis_retrieval.runs import as_measured

if TYPE_CHECKING:
    from molvis_retrieval.index import Index

EXCHANGED = 0.5
"""Share of the cases in which one piece is another compound's."""
_LEAST = 20
_PENALTY = 0.003
_BOUNDS = (0.01, 0.99)


@dataclass(frozen=True, slots=True)
class PieceCase:
    """Several pieces, at most one of which is another compound's.

    Attributes:
        compound: first block of the InChIKey.
        pieces: by modality.
        foreign: modality of the piece that is another compound's; empty where none is.
        truth: place of the true structure among the candidates.
    """

    compound: str
    pieces: Mapping[str, Piece]
    foreign: str
    truth: int


def calibrate_pieces(
    bundle: Bundle,
    measurements: Sequence[Measurement],
    index: Index,
    *,
    ppm: float = 10.0,
    per_compound: int = 4,
    seed: int = 0,
    progress: Progress | None = None,
    fitted_on: str = "",
) -> Pieces:
    """The probability that a piece is of the unknown, as fitted to the cases of `piece_cases`.

    Args:
        bundle: calibrated.
        measurements: with structures that the bundle was not trained on.
        index: of candidates, made by the same bundle.
        ppm: half width of the mass window.
        per_compound: measurements of a modality that are used; twice as many cases of a compound are drawn.
        seed: of everything drawn.
        progress: called with the compounds done and in all.
        fitted_on: description of the data, for the card.

    Raises:
        DatasetError: fewer than 20 compounds were measured in several ways, or a fusion pools what was measured.
    """
    if pooled := bundle.channels.fused({m.modality for m in measurements}):
        raise DatasetError(
            f"the bundle pools several modalities in {', '.join(pooled)}: of such evidence no part is one measurement's"
        )
    cases = piece_cases(
        bundle, measurements, index, ppm=ppm, per_compound=per_compound, seed=seed, progress=progress
    )  # fmt: skip
    return fit_pieces(cases, fitted_on=fitted_on)


def piece_cases(
    bundle: Bundle,
    measurements: Sequence[Measurement],
    index: Index,
    *,
    ppm: float = 10.0,
    per_compound: int = 4,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[PieceCase]:
    """Cases of compounds that were measured in several ways, with and without an exchanged piece.

    A compound without rival gives none.
    """
    index.require(bundle)
    rng = np.random.default_rng(seed)
    weigh, measurements = as_measured(
        Weigher(bundle, doubt=0.0), index.library, measurements, ppm, np.random.default_rng([seed, 1])
    )
    compounds = {k: found for k, found in by_compound(measurements).items() if len(found) > 1}
    maker = _Maker(bundle, weigh, index, Pool.of(measurements), ppm, per_compound, rng)
    out: list[PieceCase] = []
    for done, (key, found) in enumerate(compounds.items(), start=1):
        out += maker.cases(key, found)
        if progress:
            progress(done, len(compounds))
    return out


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the cases of one compound after the other."""

    bundle: Bundle
    weigh: Weigher
    index: Index
    pool: Pool
    ppm: float
    per_compound: int
    rng: np.random.Generator

    def cases(self, key: str, found: Mapping[str, Sequence[Measurement]]) -> list[PieceCase]:
        """Cases of one compound."""
        structure = next(i.structure for items in found.values() for i in items)
        assert structure is not None
        records, masses = usable_records(self.weigh, self.bundle.modalities, found, self.per_compound, self.rng)
        if len(records) < 2:
            return []
        mass = float(np.median(masses)) if masses else structure.exact_mass
        candidates = candidates_of(self.bundle, self.index, structure, mass, self.ppm)
        if not len(candidates.rivals):
            return []
        weigh, out = self.weigh.without([key]), list[PieceCase]()
        for draw in draw_subsets({m: len(v) for m, v in records.items()}, 2 * self.per_compound, self.rng):
            # Of one kind alone nothing can be told.
            asked, other = self._asked(key, {m: records[m][i] for m, i in draw.items()})
            pieces = self._pieces(weigh, asked, candidates) if len(asked) > 1 else {}
            if len(pieces) > 1 and (not other or other in pieces):
                out.append(PieceCase(key, pieces, other, candidates.own))
        return out

    def _asked(self, key: str, own: Mapping[str, Any]) -> tuple[dict[str, list[Any]], str]:
        """The records of a case, one of them perhaps exchanged, and which; nothing where none can take its place."""
        asked = {m: [record] for m, record in own.items()}
        if self.rng.random() >= EXCHANGED:
            return asked, ""
        other = str(self.rng.choice([*own]))
        made = self.pool.foreign(other, own[other], key, self.rng, near=bool(self.rng.random() < _NEAR))
        return ({}, "") if made is None else ({**asked, other: [made]}, other)

    def _pieces(
        self, weigh: Weigher, records: Mapping[str, Sequence[Any]], candidates: Candidates
    ) -> Mapping[str, Piece]:
        _, scored = score_among(self.bundle, weigh, records, candidates.structures, candidates.vectors)
        return scored.pieces


_NEAR = 0.5
"""Share of the exchanged pieces that are of about the same precursor."""


@dataclass(slots=True)
class _Design:
    """Cases as arrays, and the weights that are being fitted to them.

    Attributes:
        cases: to fit.
        names: features of each modality, the offset first.
        features: bounds, mean and standard deviation of each.
        weights: by modality.
        rows: standardised features of each piece of each case.
    """

    cases: Sequence[PieceCase]
    names: dict[str, list[str]]
    features: dict[str, tuple[float, float, float, float]]
    weights: dict[str, Float[np.ndarray, " f"]]
    rows: list[dict[str, Float[np.ndarray, " f"]]] = field(default_factory=list)

    @classmethod
    def of(cls, cases: Sequence[PieceCase]) -> _Design:
        """Features that vary, within their bounds and standardised."""
        made = cls(cases, {}, {}, {})
        for modality in dict.fromkeys(m for c in cases for m in c.pieces):
            fits = [c.pieces[modality].fit for c in cases if modality in c.pieces]
            made.names[modality] = []
            for name in dict.fromkeys(n for fit in fits for n in fit):
                known = np.array([fit[name] for fit in fits])
                low, high = np.quantile(known, _BOUNDS)
                inside = np.clip(known, low, high)
                if inside.std() > 1e-9:
                    low, high, mean, sd = (round(float(v), 6) for v in (low, high, inside.mean(), inside.std()))
                    made.features[f"{modality}/{name}"] = (low, high, mean, max(sd, 1e-6))
                    made.names[modality].append(name)
            made.weights[modality] = np.zeros(1 + len(made.names[modality]))
        made.rows = [{m: made.row(m, piece.fit) for m, piece in c.pieces.items()} for c in cases]
        return made

    def row(self, modality: str, fit: Mapping[str, float]) -> Float[np.ndarray, " f"]:
        """Standardised features of a piece."""
        out = [1.0]
        for name in self.names[modality]:
            low, high, mean, sd = self.features[f"{modality}/{name}"]
            out.append((min(max(fit[name], low), high) - mean) / sd)
        return np.array(out)

    def state(
        self, weights: Mapping[str, np.ndarray], penalty: float
    ) -> tuple[float, dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Loss, its gradient, and a curvature that is at least as large as its own in every direction."""
        count = len(self.cases)
        ridge = {m: 2 * penalty * np.r_[0.0, np.ones(len(w) - 1)] for m, w in weights.items()}
        loss = sum(float(0.5 * (ridge[m] * w) @ w) for m, w in weights.items())
        slope = {m: ridge[m] * w for m, w in weights.items()}
        bend = {m: np.diag(ridge[m] + 1e-6) for m in weights}
        for case, rows in zip(self.cases, self.rows, strict=True):
            prior = EXCHANGED / len(case.pieces)
            evidence = {m: piece.evidence for m, piece in case.pieces.items()}
            support = {m: float(rows[m] @ weights[m]) for m in rows}
            found = mixed(evidence, support, prior)
            logits = found.added + np.sum([*evidence.values()], axis=0)
            norm = float(np.logaddexp.reduce(logits))
            chosen = np.exp(logits - norm)
            loss += norm / count
            for m, row in rows.items():
                exchanged = m == case.foreign
                own = np.log1p(-prior) + evidence[m][case.truth]
                loss -= ((np.log(prior) - support[m]) if exchanged else float(own)) / count
                foreign = float(chosen @ found.foreign[m])
                slope[m] = slope[m] + (exchanged - foreign) * row / count
                bend[m] = bend[m] + max(foreign * (1 - foreign), 0.02) * np.outer(row, row) / count
        return loss, slope, bend


def fit_pieces(cases: Sequence[PieceCase], *, penalty: float = _PENALTY, fitted_on: str = "") -> Pieces:
    """The weights that make true structures and exchanged pieces most likely.

    Args:
        cases: of `piece_cases`.
        penalty: of squared weights of standardised features.
        fitted_on: description of the data, for the card.

    Raises:
        DatasetError: fewer than 20 compounds.
    """
    compounds = {case.compound for case in cases}
    if len(compounds) < _LEAST:
        raise DatasetError(
            f"{len(compounds)} compounds were measured in several ways; at least {_LEAST} are needed to fit how "
            "probable it is that a measurement is of the unknown"
        )
    design = _Design.of(cases)
    weights = design.weights
    loss, slope, bend = design.state(weights, penalty)
    for _ in range(100):
        step = {m: np.linalg.solve(bend[m], slope[m]) for m in weights}
        length = 1.0
        while True:
            tried = {m: weights[m] - length * step[m] for m in weights}
            state = design.state(tried, penalty)
            if state[0] <= loss or length < 1e-4:
                break
            length /= 2
        gained, weights = loss - state[0], tried
        loss, slope, bend = state
        if gained < 1e-7:
            break
    return Pieces(
        weights={
            f"{m}/{name}": round(float(w), 6)
            for m, own in weights.items()
            for name, w in zip(["", *design.names[m]], own, strict=True)
        },
        features=design.features,
        fitted_on=fitted_on,
    )
