"""Weights of the evidence, fitted to compounds whose answer is known."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from molvis_core.errors import (
    DatasetError,
)
from molvis_core.records import Measurement
from molvis_core.ties import first_largest
from molvis_retrieval.bundle import Bundle, Calibration
from molvis_retrieval.calibration import conditional_logit
from molvis_retrieval.calibration.compounds import by_compound, draw_subsets, usable_records
from molvis_retrieval.evidence import START_WEIGHT, Weigher

if TYPE_CHECKING:
    from molvis_retrieval.index import Index

log = logging.getLogger("molvis")

Progress = Callable[[int, int], None]


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
    compounds = by_compound(measurements)
    modalities = list(dict.fromkeys(m.modality for m in measurements))
    embedded = [m for m in modalities if m in bundle.modalities]
    embedded += bundle.channels.fused(modalities)
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
    made = {m: bundle.embed(m, r) for m, r in records.items() if m in bundle.modalities}
    cosine = {m: rows @ vectors.T for m, rows in made.items()}
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
        for fused in bundle.channels.fused(draw):
            vector = bundle.fuse([{m: made[m][i : i + 1] for m, i in draw.items() if m in made}], fused)
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
