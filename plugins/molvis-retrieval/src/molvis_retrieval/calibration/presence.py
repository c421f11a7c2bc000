"""Fit the probability that the truth is among the candidates, on queries whose true structure is known.

Each compound is asked for twice among equally many candidates: with its true structure among them, and with that taken
out. The same candidates are also asked for with another compound's measurement of about this mass, with peaks gathered
from many spectra, and with random peaks: nothing among them is the truth of these either.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int64

from molvis_core.errors import DatasetError
from molvis_core.progress import Progress
from molvis_core.records import Measurement
from molvis_core.ties import first_largest
from molvis_nn.logistic import logistic_regression
from molvis_retrieval import metrics
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.calibration.compounds import (
    Candidates,
    by_compound,
    candidates_of,
    draw_subsets,
    score_among,
    usable_records,
)
from molvis_retrieval.calibration.foreign import Pool, random_peaks
from molvis_retrieval.evidence import Weigher, describe
from molvis_retrieval.presence import MEASURED, Presence, expand, value
from molvis_retrieval.runs import as_measured

if TYPE_CHECKING:
    from molvis_retrieval.index import Index

Kind = Literal["present", "removed", "foreign", "shuffled", "random"]
KINDS: tuple[Kind, ...] = ("present", "removed", "foreign", "shuffled", "random")
"""With the truth; without; another compound's measurement; peaks from many spectra; peaks at random m/z."""

SHARES: dict[Kind, float] = {"present": 0.5, "removed": 0.5, "foreign": 0.1, "shuffled": 0.1, "random": 0.2}
"""What each kind weighs: own measurements half and half, false ones enough to be recognised where nothing fits."""

_LEAST = 20
_PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3)
_FOLDS = 5


@dataclass(frozen=True, slots=True)
class PresenceCase:
    """A query with or without its truth among the candidates.

    Attributes:
        compound: first block of the InChIKey.
        kind: what was done.
        features: of `describe`.
        candidates, records: how many.
        share: weight of the case.
    """

    compound: str
    kind: Kind
    features: dict[str, float]
    candidates: int
    records: int
    share: float

    @property
    def present(self) -> bool:
        """Whether the truth is among the candidates."""
        return self.kind == "present"


def presence_cases(
    bundle: Bundle,
    measurements: Sequence[Measurement],
    index: Index,
    *,
    ppm: float = 10.0,
    per_compound: int = 4,
    thinned: bool = True,
    kinds: Sequence[Kind] = KINDS,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[PresenceCase]:
    """Queries with their truth among the candidates and without, and false ones.

    A compound whose window holds no other structure gives none: without it there would be no candidate.

    Args:
        bundle: whose calibrated ranking chooses the first candidate.
        measurements: with structures that the bundle was not trained on.
        index: of candidates, made by the same bundle.
        ppm: half width of the mass window.
        per_compound: measurements of a modality that are used, by themselves and together.
        thinned: of every second query keep only some of the candidates, so that few are seen as well as many.
        kinds: which to make.
        seed: of everything drawn.
        progress: called with the compounds done and in all.
    """
    index.require(bundle)
    rng = np.random.default_rng(seed)
    weigh, measurements = as_measured(
        Weigher(bundle), index.library, measurements, ppm, np.random.default_rng([seed, 1])
    )
    compounds = by_compound(measurements)
    maker = _Maker(bundle, weigh, index, Pool.of(measurements), ppm, per_compound, thinned, kinds, rng)
    out: list[PresenceCase] = []
    for done, (key, found) in enumerate(compounds.items(), start=1):
        out += dataclasses.replace(maker, weigh=maker.weigh.without([key])).cases(found)
        if progress:
            progress(done, len(compounds))
    return out


@dataclass(frozen=True)
class _Maker:
    """Makes the cases of one compound after the other."""

    bundle: Bundle
    weigh: Weigher
    index: Index
    pool: Pool
    ppm: float
    per_compound: int
    thinned: bool
    kinds: Sequence[Kind]
    rng: np.random.Generator

    def cases(self, found: Mapping[str, Sequence[Measurement]]) -> list[PresenceCase]:
        """Cases of one compound; none where it has no usable measurement or no rival."""
        structure = next(i.structure for items in found.values() for i in items)
        assert structure is not None
        records, masses = usable_records(self.weigh, self.bundle.modalities, found, self.per_compound, self.rng)
        if not records:
            return []
        mass = float(np.median(masses)) if masses else structure.exact_mass
        candidates = candidates_of(self.bundle, self.index, structure, mass, self.ppm)
        if not len(candidates.rivals):
            return []
        draws = list(self._draws(records))
        out: list[PresenceCase] = []
        for drawn in draws:
            chosen = self._thinned(self.rng.permutation(candidates.rivals))
            for kind in self.kinds:
                case = self._case(kind, drawn, candidates, chosen)
                if case is not None:
                    out.append(dataclasses.replace(case, share=SHARES[kind] / len(draws)))
        return out

    def _thinned(self, rivals: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " k"]:
        """All rivals or, every second time, some of them."""
        if self.thinned and self.rng.random() < 0.5:
            # Few candidates as often as many: equally likely on a scale of logarithms.
            return rivals[: max(1, int(np.exp(self.rng.uniform(0, np.log(len(rivals) + 1)))))]
        return rivals

    def _case(
        self,
        kind: Kind,
        drawn: Mapping[str, Sequence[Any]],
        candidates: Candidates,
        chosen: Int64[np.ndarray, " k"],
    ) -> PresenceCase | None:
        """A query of a kind, of full weight; None where no such measurement can be made."""
        # As many candidates with the truth as without it: their number must not show which it is.
        places = chosen if kind == "removed" else np.r_[chosen[1:], candidates.own]
        asked = {m: [self._made(kind, m, r, candidates.key) for r in some] for m, some in drawn.items()}
        if any(r is None for some in asked.values() for r in some):
            return None
        features = self._described(asked, [candidates.structures[i] for i in places], candidates.vectors[places])
        return PresenceCase(candidates.key, kind, features, len(places), sum(len(v) for v in asked.values()), 1.0)

    def _draws(self, records: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, list[Any]]]:
        """One record of each modality or of some of them; and all records, where there are several of one."""
        for draw in draw_subsets({m: len(v) for m, v in records.items()}, self.per_compound, self.rng):
            yield {m: [records[m][i]] for m, i in draw.items()}
        if any(len(v) > 1 for v in records.values()):
            yield {m: list(v) for m, v in records.items()}

    def _made(self, kind: Kind, modality: str, record: Any, key: str) -> Any:
        if kind == "foreign":
            return self.pool.foreign(modality, record, key, self.rng)
        if kind == "shuffled":
            return self.pool.shuffled(modality, record, self.rng)
        return random_peaks(record, self.rng) if kind == "random" else record

    def _described(
        self, records: Mapping[str, Sequence[Any]], structures: Sequence[Any], vectors: Float[np.ndarray, "m dim"]
    ) -> dict[str, float]:
        cosine, scored = score_among(self.bundle, self.weigh, records, structures, vectors)
        first = int(metrics.in_order(scored.logits, 1)[0])
        return describe(records, cosine, scored, first, structures[first])


def calibrate_presence(
    bundle: Bundle,
    measurements: Sequence[Measurement],
    index: Index,
    *,
    ppm: float = 10.0,
    per_compound: int = 4,
    seed: int = 0,
    progress: Progress | None = None,
    fitted_on: str = "",
) -> Presence:
    """The probability that the truth is among the candidates, as fitted to the cases of `presence_cases`.

    Args:
        bundle: calibrated: its ranking chooses the candidate that is looked at.
        measurements: with structures that the bundle was not trained on.
        index: of candidates, made by the same bundle.
        ppm: half width of the mass window.
        per_compound: measurements of a modality that are used.
        seed: of everything drawn.
        progress: called with the compounds done and in all.
        fitted_on: description of the data, for the card.

    Raises:
        DatasetError: fewer than twenty compounds can be used.
    """
    options: dict[str, Any] = {"ppm": ppm, "per_compound": per_compound, "seed": seed, "progress": progress}
    return fit_presence(presence_cases(bundle, measurements, index, **options), fitted_on=fitted_on)


def fit_presence(cases: Sequence[PresenceCase], *, fitted_on: str = "", seed: int = 0) -> Presence:
    """A logistic regression on the features of cases, its penalty chosen by cross-validation over compounds.

    Raises:
        DatasetError: fewer than twenty compounds.
    """
    compounds, owner = np.unique([c.compound for c in cases], return_inverse=True)
    if len(compounds) < _LEAST:
        raise DatasetError(
            f"{len(compounds)} compounds can be used to calibrate whether the truth is among the candidates; at least "
            f"at least {_LEAST} are needed, each with another structure of its mass in the library"
        )
    present = np.array([c.present for c in cases])
    share = np.array([c.share for c in cases])
    modalities = {n.removeprefix(MEASURED) for c in cases for n in c.features if n.startswith(MEASURED)}
    features, values = _features(cases)
    terms = [*features, *_products(list(features), modalities)]
    x = expand(values, features, terms)
    fold = np.random.default_rng(seed).permutation(len(compounds))[owner] % _FOLDS
    losses = np.array([_held_out_loss(x, present, share, fold, penalty) for penalty in _PENALTIES])
    offset, weights = _logistic(x, present, share, _PENALTIES[first_largest(-losses)])
    return Presence(
        modalities=tuple(sorted(modalities)),
        offset=round(offset, 6),
        weights={term: round(float(w), 6) for term, w in zip(terms, weights, strict=True)},
        features=features,
        fitted_on=fitted_on,
    )


_BOUNDS = (0.005, 0.995)
_CONTEXT = ("first", "rivals", "mass", "peaks", "deviation", "fragmented", "records")


def _features(
    cases: Sequence[PresenceCase],
) -> tuple[dict[str, tuple[float, float, float, float]], Float[np.ndarray, "n f"]]:
    """Bounds, mean and standard deviation of every feature that varies; and the values, NaN where there is none."""
    names = list(dict.fromkeys(n for c in cases for n in c.features))
    values = np.array([[value(c.features, n) for n in names] for c in cases])
    features: dict[str, tuple[float, float, float, float]] = {}
    for name, column in zip(names, values.T, strict=True):
        known = column[~np.isnan(column)]
        low, high = np.quantile(known, _BOUNDS)
        inside = np.clip(known, low, high)
        if inside.std() > 1e-9:
            low, high, mean, std = (round(float(v), 6) for v in (low, high, inside.mean(), inside.std()))
            features[name] = (low, high, mean, std)
    return features, values[:, [names.index(n) for n in features]]


def _products(names: Sequence[str], modalities: Collection[str]) -> list[str]:
    """Products of two: what a fit is worth depends on how much there was to fit, and on the number of candidates.

    What any feature is worth depends on what was measured: all of them say little of a cross section by itself.
    """
    chosen = [n for n in names if n in modalities or n.startswith("score.") or n in _CONTEXT]
    measured = [n for n in names if n.startswith(MEASURED)]
    return [f"{a}*{b}" for i, a in enumerate(chosen) for b in chosen[i:]] + [
        f"{a}*{b}" for a in measured for b in names if b not in measured
    ]


def _held_out_loss(
    x: Float[np.ndarray, "n f"],
    present: Bool[np.ndarray, " n"],
    share: Float[np.ndarray, " n"],
    fold: np.ndarray,
    penalty: float,
) -> float:
    total = 0.0
    for number in range(_FOLDS):
        out = fold == number
        offset, weights = _logistic(x[~out], present[~out], share[~out], penalty)
        logit = offset + x[out] @ weights
        total += float(share[out] @ np.logaddexp(0, np.where(present[out], -logit, logit)))
    return total / float(share.sum())


def _logistic(
    x: Float[np.ndarray, "n f"], present: Bool[np.ndarray, " n"], share: Float[np.ndarray, " n"], penalty: float
) -> tuple[float, Float[np.ndarray, " f"]]:
    """Offset and weights of a logistic regression, squares of the weights penalised."""
    design = np.c_[np.ones(len(x)), x]
    ridge = 2 * penalty * np.r_[0.0, np.ones(x.shape[1])]
    found = logistic_regression(design, present, share / share.sum(), ridge)
    return float(found[0]), found[1:]
