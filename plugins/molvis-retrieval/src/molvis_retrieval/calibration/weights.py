"""Weights of the evidence, fitted to compounds whose structure is known."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from molvis_core.errors import DatasetError
from molvis_core.interfaces import TellsApart, UsesReferences
from molvis_core.progress import Progress
from molvis_core.records import Measurement, Structure
from molvis_core.ties import first_largest
from molvis_retrieval.bundle import Bundle, Calibration
from molvis_retrieval.calibration import conditional_logit
from molvis_retrieval.calibration.compounds import by_compound, candidates_of, draw_subsets, usable_records
from molvis_retrieval.evidence import START_WEIGHT, Weigher
from molvis_retrieval.runs import as_measured

if TYPE_CHECKING:
    from molvis_retrieval.index import Index

log = logging.getLogger("molvis")


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
    with all of them and with some of them, so that evidence which they share is not counted twice. Each compound counts
    once, however many measurements it has. A true structure that the index lacks is embedded and added.

    Args:
        bundle: to calibrate; its present weights stay for modalities that were not measured here, and are not used.
        measurements: with structures that the bundle was not trained on.
        index: of candidates.
        ppm: half width of the mass window.
        per_compound: cases of a compound, drawn by `seed`.
        penalty: of squared weights of standardised evidence, so that equal columns share their weight.
            The weight of a similarity, a cosine or one to reference spectra, is never negative; one that would be is 0,
            and a warning is logged where it is a cosine's.
        seed: of the draw.
        progress: called with the compounds done and in all.
        fitted_on: description of the data, for the card.

    Raises:
        DatasetError: fewer than ten compounds can be used.
    """
    index.require(bundle)
    rng = np.random.default_rng(seed)
    modalities = list(dict.fromkeys(m.modality for m in measurements))
    embedded = [m for m in modalities if m in bundle.modalities]
    embedded += bundle.channels.fused(modalities)
    weigh = Weigher(bundle.with_calibration(Calibration(dict.fromkeys(embedded or [""], START_WEIGHT))))
    weigh, measurements = as_measured(weigh, index.library, measurements, ppm, np.random.default_rng([seed, 1]))
    compounds = by_compound(measurements)
    columns = [*embedded, *_features(weigh)]
    maker = _Maker(bundle, weigh, index, columns, ppm, per_compound, rng)
    cases: list[_Case] = []
    repeated: list[_Case] = []
    for done, (key, found) in enumerate(compounds.items(), start=1):
        own = replace(maker, weigh=weigh.without([key]))
        single, several = own.cases(found, embedded)
        cases += single
        repeated += several
        if progress:
            progress(done, len(compounds))
    count = sum(c.share for c in cases)
    if count < 10:
        raise DatasetError(f"{count:.0f} compounds can be used for calibration; at least 10 are needed")
    usual = _usual(weigh)
    silent = _silent(bundle, embedded, weigh, compounds)
    counting = [name for name in embedded if name not in silent]
    kept = [i for i, name in enumerate(columns) if name in counting or _fits(name, weigh, compounds, usual)]
    names = [columns[i] for i in kept]
    weights = _similarities_upwards(
        [(c.values[:, kept], c.truth, c.share) for c in cases], penalty, names, embedded, _of_references(weigh)
    )
    fitted = dict(zip(names, weights.tolist(), strict=True)) | _alone(cases, penalty, embedded)
    fitted |= usual | dict.fromkeys(silent, 0.0)
    old = {k: v for k, v in bundle.calibration.weights.items() if not _concerns(k, fitted)}
    full = np.zeros(len(columns))
    full[kept] = weights
    return Calibration(
        old | {k: round(v, 6) for k, v in fitted.items()},
        Calibration().shortlist,
        fitted_on,
        _repeats(repeated, full),
    )


def _features(weigh: Weigher) -> list[str]:
    """Columns of the scorers, as `SCORER.FEATURE`."""
    return [f"{key}.{f}" for key, s in weigh.scorers.items() for f in s.features]


def _alone(cases: Sequence[_Case], penalty: float, embedded: Sequence[str]) -> dict[str, float]:
    """Weights of the cosines where no scorer is beside them; their columns are the first."""
    if not embedded:
        return {}
    first = len(embedded)
    alone = _similarities_upwards(
        [(c.values[:, :first], c.truth, c.share) for c in cases], penalty, embedded, embedded, how=" alone"
    )
    return {f"{m}.alone": w for m, w in zip(embedded, alone.tolist(), strict=True)}


def _of_references(weigh: Weigher) -> list[str]:
    """Columns of the scorers whose evidence is likeness to references."""
    return [
        f"{key}.{f}" for key, s in weigh.scorers.items() if isinstance(s.scorer, UsesReferences) for f in s.features
    ]


def _similarities_upwards(
    cases: Sequence[conditional_logit.Case],
    penalty: float,
    names: Sequence[str],
    embedded: Sequence[str],
    others: Sequence[str] = (),
    how: str = "",
) -> Float[np.ndarray, " f"]:
    """Weights, none of a similarity below 0: one that counts against a candidate is no evidence.

    References whose votes repeat what other evidence says better would else be subtracted from it, and that would not
    hold for compounds that are measured already.
    """
    places = [i for i, name in enumerate(names) if name in embedded or name in others]
    weights, held = conditional_logit.fit_bounded(cases, penalty, places)
    for place, free in held.items():
        if names[place] in others:
            log.info("the weight of %s%s is held at 0; fitted freely it would be %.3g", names[place], how, free)
            continue
        log.warning(
            "the cosine of %r%s gets weight 0: fitted freely it would count against a candidate (weight %.3g). Its "
            "encoder ranks the truth among others of its mass no better than chance: molvis evaluate measures it, "
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


def _silent(
    bundle: Bundle,
    embedded: Sequence[str],
    weigh: Weigher,
    compounds: Mapping[str, Mapping[str, Sequence[Measurement]]],
) -> list[str]:
    """Modalities whose cosines are not to count, as a scorer takes their measurements too."""
    if bundle.config.evidence.cosines:
        return []
    records = {m: items[0].record for found in compounds.values() for m, items in found.items() if items}
    return [m for m in embedded if m in records and any(weigh.takes(key, m, records[m]) for key in weigh.scorers)]


def _usual(weigh: Weigher) -> dict[str, float]:
    """Weights of features that are not fitted: with references of a query's own compound left out, only false
    candidates have them, and they would count against whoever has.
    """
    return {
        f"{key}.{feature}": float(weight)
        for key, one in weigh.scorers.items()
        if isinstance(one.scorer, UsesReferences)
        for feature, weight in one.scorer.usual_weights.items()
    }


def _fits(
    name: str,
    weigh: Weigher,
    compounds: Mapping[str, Mapping[str, Sequence[Measurement]]],
    usual: Mapping[str, float],
) -> bool:
    """Whether the weight of a scorer's feature is to be fitted."""
    return name not in usual and _measured(name, weigh, compounds)


def _concerns(name: str, fitted: Mapping[str, float]) -> bool:
    """Whether a weight is of something that was fitted anew."""
    heads = {k.split(".", 1)[0] for k in fitted}
    return name.split(".", 1)[0] in heads


@dataclass(frozen=True, slots=True)
class _Candidates:
    """The candidates of a compound that a fit looks at.

    Attributes:
        structures: those most like the measurements, the truth among them.
        vectors: of them.
        truth: place of the true structure.
        made: vectors of the records, by modality.
        cosine: of the records with the candidates, by modality.
    """

    structures: Sequence[Structure]
    vectors: Float[np.ndarray, "m dim"]
    truth: int
    made: Mapping[str, Float[np.ndarray, "r dim"]]
    cosine: Mapping[str, Float[np.ndarray, "r m"]]


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the cases of one compound after the other.

    Attributes:
        bundle: to calibrate.
        weigh: its evidence, with weights to start from.
        index: of candidates.
        columns: name of each piece of evidence.
        ppm: half width of the mass window.
        per_compound: cases of a compound.
        rng: draws them.
    """

    bundle: Bundle
    weigh: Weigher
    index: Index
    columns: Sequence[str]
    ppm: float
    per_compound: int
    rng: np.random.Generator

    def cases(
        self, found: Mapping[str, Sequence[Measurement]], embedded: Sequence[str]
    ) -> tuple[list[_Case], list[_Case]]:
        """Cases of one compound with one record of each modality that they hold, and one with several."""
        structure = next(i.structure for items in found.values() for i in items)
        assert structure is not None
        records, masses = usable_records(self.weigh, embedded, found, self.per_compound, self.rng)
        if not records:
            return [], []
        # One window for all of a compound's measurements: infrared spectra know no mass of their own.
        mass = float(np.median(masses)) if masses else structure.exact_mass
        candidates = self._candidates(structure, records, mass)
        if candidates is None:
            return [], []
        # One row of columns for each record; a case is a sum over the records that it holds.
        single = {
            modality: [self._values(candidates, modality, number, record) for number, record in enumerate(some)]
            for modality, some in records.items()
        }
        cases = self._subsets(candidates, single)
        together = self._together(candidates, single, records)
        return cases, [together] if (together.counts > 1).any() else []

    def _candidates(
        self, structure: Structure, records: Mapping[str, Sequence[Any]], mass: float
    ) -> _Candidates | None:
        """The candidates of a mass; None where the truth has no rival."""
        found = candidates_of(self.bundle, self.index, structure, mass, self.ppm)
        if not len(found.rivals):
            return None
        structures, vectors, truth = found.structures, found.vectors, found.own
        made = {m: self.bundle.embed(m, r) for m, r in records.items() if m in self.bundle.modalities}
        cosine = {m: rows @ vectors.T for m, rows in made.items()}
        mean = sum((c.mean(axis=0) for c in cosine.values()), np.zeros(len(structures)))
        near = np.argsort(-mean, kind="stable")[: Calibration().shortlist]
        if truth not in near:
            near = np.r_[near[:-1], truth]
        own = int(np.flatnonzero(near == truth)[0])
        nearest = {m: c[:, near] for m, c in cosine.items()}
        return _Candidates([structures[i] for i in near], vectors[near], own, made, nearest)

    def _values(self, candidates: _Candidates, modality: str, number: int, record: Any) -> Float[np.ndarray, "m f"]:
        """The evidence of one record for the candidates, a column for each piece."""
        values = np.zeros((len(candidates.structures), len(self.columns)))
        if modality in candidates.cosine:
            values[:, self.columns.index(modality)] = candidates.cosine[modality][number]
        for name, block in self.weigh.features({modality: [record]}, candidates.structures).items():
            first = self.columns.index(f"{name}.{self.weigh.scorers[name].features[0]}")
            values[:, first : first + block.shape[1]] = block
        return values

    def _subsets(
        self, candidates: _Candidates, single: Mapping[str, Sequence[Float[np.ndarray, "m f"]]]
    ) -> list[_Case]:
        """Cases with one record of each modality or of some of them."""
        draws = draw_subsets({m: len(v) for m, v in single.items()}, self.per_compound, self.rng)
        cases: list[_Case] = []
        made = candidates.made
        for draw in draws:
            values = sum(
                (single[m][i] for m, i in draw.items()), np.zeros((len(candidates.structures), len(self.columns)))
            )
            for fused in self.bundle.channels.fused(draw):
                vector = self.bundle.fuse([{m: made[m][i : i + 1] for m, i in draw.items() if m in made}], fused)
                values[:, self.columns.index(fused)] = (vector @ candidates.vectors.T)[0]
            cases.append(_Case(values, candidates.truth, 1 / len(draws), np.ones(len(self.columns))))
        return cases

    def _together(
        self,
        candidates: _Candidates,
        single: Mapping[str, Sequence[Float[np.ndarray, "m f"]]],
        records: Mapping[str, Sequence[Any]],
    ) -> _Case:
        """A case with all records, as they are scored: the mean of those that say the same, which add up otherwise."""
        counts = np.ones(len(self.columns))
        total = np.zeros((len(candidates.structures), len(self.columns)))
        for modality, some in single.items():
            blocks = np.stack(some)
            for columns, kinds in self._kinds(modality, records[modality]):
                parts = [blocks[kind][:, :, columns] for kind in kinds]
                speak = np.array([part.any(axis=(0, 1)) for part in parts])
                total[:, columns] += sum(part.mean(axis=0) for part in parts)
                # Kinds of other numbers that speak in one column are rare: it counts as their mean.
                said = (speak * np.array([len(kind) for kind in kinds])[:, None]).sum(axis=0)
                here = speak.any(axis=0)
                counts[np.array(columns)[here]] = said[here] / speak.sum(axis=0)[here]
        return _Case(total, candidates.truth, 1.0, counts)

    def _kinds(self, modality: str, records: Sequence[Any]) -> list[tuple[list[int], list[list[int]]]]:
        """Columns, and places of the records of a modality that say the same there."""
        left = set(range(len(self.columns)))
        found: list[tuple[list[int], list[list[int]]]] = []
        for name, channel in self.weigh.scorers.items():
            if isinstance(channel.scorer, TellsApart):
                apart = channel.apart([r for r in records if channel.takes(modality, r)])
                mine = [k for k, c in enumerate(self.columns) if c.split(".", 1)[0] == name]
                place = {id(record): k for k, record in enumerate(records)}
                if apart and mine:
                    found.append((mine, [[place[id(record)] for record in kind] for kind in apart]))
                    left -= set(mine)
        rest = [(sorted(left), [list(range(len(records)))])] if left else []
        return [*found, *rest]


def _repeats(cases: Sequence[_Case], weights: np.ndarray) -> float:
    """The power of their number that multiplies the evidence of several records, by maximum likelihood."""
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
